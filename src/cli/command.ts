// What a command is: its words, its flags and its examples as data, and what it does.
// Invariant: help, checks and parsing all come from the same data, so that none of them can lag behind.

import type { Arguments } from "./arguments.ts";
import type { Words } from "./flags.ts";
import type { CliHost } from "./host.ts";

export interface Example {
  readonly command: string;
  readonly says: string;
}

export interface Command extends Words {
  /** One line, without a full stop. */
  readonly summary: string;
  /** More, as paragraphs of at most 100 columns. */
  readonly about?: string;
  readonly examples: readonly Example[];
  /** @returns the exit code */
  run(args: Arguments, host: CliHost): Promise<number>;
}

/** A command and where it is, so that help loads none of the others' code. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}
