// What every plugin is handed when it opens. A plugin keeps bytes, moves bytes or answers a
// question; it never sees core internals and never imports another plugin.

import type { AuthPlugin } from "./auth.ts";
import type { MetadataStorePlugin } from "./metadata_store.ts";
import type { Runtime } from "./runtime.ts";
import type { StoragePlugin } from "./storage.ts";
import type { TransportPlugin } from "./transport.ts";

export interface PluginContext {
  readonly runtime: Runtime;
  /** The broker that opens the plugin: names folders and log lines. */
  readonly brokerId: number;
}

export type Plugin = StoragePlugin | TransportPlugin | AuthPlugin | MetadataStorePlugin;
