// What a plan is made of: slots, and where each value came from.

import type { PluginUse } from "./define_config.ts";

/** A slot as the plan keeps it: a name with options, or a plugin made in the file. */
export type PlannedSlot = PluginUse | object;

export type Source = "default" | "file" | "environment" | "flag";
export interface Provenance {
  readonly source: Source;
  /** The file, the variable or the flag; empty for a default. */
  readonly detail: string;
}
