// What every plugin is handed when it opens. A plugin keeps bytes, moves bytes or answers a
// question; it never sees core internals and never imports another plugin.

import type { Runtime } from "./runtime.ts";

/** Handed to a plugin when it opens; everything it may use of the outside world is in `runtime`. */
export interface PluginContext {
  readonly runtime: Runtime;
  /** The broker that opens the plugin: names folders and log lines. */
  readonly brokerId: number;
}
