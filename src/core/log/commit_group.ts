// Appends that share one write and one sync of the journal.
// Invariant: settled once, and its clients hear of a commit before whoever waits for it goes on.

import type { TopicSettings } from "../settings/topic_settings.ts";
import type { JournalClient, JournalFile } from "./journal_file.ts";

/** Appends that become durable together. */
export class CommitGroup {
  readonly file: JournalFile;
  readonly chunks: Uint8Array[] = [];
  sizeBytes = 0;
  /** In the file. */
  readonly startPosition: number;
  endPosition: number;
  needsSync = false;
  /** Where nothing in it needs a sync to be acknowledged. */
  syncWithinMs = Number.POSITIVE_INFINITY;
  state: "open" | "written" | "committed" | "failed" = "open";
  readonly clients: JournalClient[] = [];
  readonly endOffsets: number[] = [];
  #waiters: (() => void)[] = [];

  constructor(file: JournalFile) {
    this.file = file;
    this.startPosition = file.endPosition;
    this.endPosition = file.endPosition;
  }

  /** Copies what `target`, which stands for the file from `position` on, shares with the group. Returns how many bytes. */
  copyInto(target: Uint8Array, position: number): number {
    const end = position + target.length;
    let at = this.startPosition;
    let copiedBytes = 0;
    for (const chunk of this.chunks) {
      if (at >= end) break;
      const from = Math.max(position - at, 0);
      const to = Math.min(end - at, chunk.length);
      if (from < to) {
        target.set(chunk.subarray(from, to), at + from - position);
        copiedBytes += to - from;
      }
      at += chunk.length;
    }
    return copiedBytes;
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

/**
 * How an append wants to be acknowledged: once synced, or once written and then synced within so
 * many milliseconds (Infinity: when something else is).
 */
export type CommitMode = "sync" | number;

/** What `millrace.durability` asks of the journal. */
export function commitMode(settings: TopicSettings): CommitMode {
  if (settings.durability === "fsync") return "sync";
  return settings.durability === "interval" ? settings.syncIntervalMs : Number.POSITIVE_INFINITY;
}
