// Appends that share one write and one sync of the journal.
// Invariant: settled once, and its clients hear of a commit before whoever waits for it goes on.

import type { JournalClient, JournalFile } from "./journal_file.ts";

/** Appends that become durable together. */
export class CommitGroup {
  readonly file: JournalFile;
  readonly chunks: Uint8Array[] = [];
  sizeBytes = 0;
  endPosition = 0;
  needsSync = false;
  /** Where nothing in it needs a sync to be acknowledged. */
  syncWithinMs = Number.POSITIVE_INFINITY;
  state: "open" | "written" | "committed" | "failed" = "open";
  readonly clients: JournalClient[] = [];
  readonly endOffsets: number[] = [];
  #waiters: (() => void)[] = [];

  constructor(file: JournalFile) {
    this.file = file;
  }

  get isSettled(): boolean {
    return this.state === "committed" || this.state === "failed";
  }

  /** Resolves when the group is committed (true) or has failed (false). */
  async settled(): Promise<boolean> {
    if (!this.isSettled) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return this.state === "committed";
  }

  settle(state: "committed" | "failed"): void {
    if (this.isSettled) return;
    this.state = state;
    if (state === "committed") {
      for (let i = 0; i < this.clients.length; i++) {
        this.clients[i]!.onCommitted(this.endOffsets[i]!);
      }
    }
    this.chunks.length = 0;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
