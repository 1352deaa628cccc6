// Commits made durable by a log, for src/metadata: what a group of them holds, and when the log is written anew.
// Invariant: after a write or sync that failed nobody knows what the file holds, so that every failure is final.

import type { RevisionTable } from "../../src/base/revision_table.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { CommitBackend, GroupBounds, Step } from "../../src/metadata/committed_metadata.ts";
import type { MetadataLog } from "./metadata_log.ts";

export class FileCommits implements CommitBackend {
  readonly name = "metadata-file";
  readonly groupBounds: GroupBounds = {
    sizeBytesMax: 4 * 1024 * 1024,
    writesMax: Number.POSITIVE_INFINITY,
    commitsMax: 1_000,
  };
  readonly waitsForTurn = false;
  readonly #table: RevisionTable;
  readonly #log: MetadataLog;
  readonly #onClose: () => Promise<void>;

  constructor(table: RevisionTable, log: MetadataLog, onClose: () => Promise<void>) {
    this.#table = table;
    this.#log = log;
    this.#onClose = onClose;
  }

  sizeOf(_writes: unknown, sizeBytes: number): number {
    return sizeBytes;
  }

  write(steps: readonly Step[]): Promise<void> {
    return this.#log.append(steps);
  }

  afterGroup(): Promise<void> | undefined {
    return this.#log.needsCompaction(this.#table) ? this.#log.compact(this.#table) : undefined;
  }

  failureOf(error: unknown): MetadataStoreError {
    const reason = error instanceof Error ? error.message : String(error);
    return new MetadataStoreError(
      "unavailable",
      `Cannot commit as a write or sync of the metadata log failed: ${reason}`,
      { cause: error },
    );
  }

  async close(failure: Error | null): Promise<void> {
    try {
      this.#log.close();
    } finally {
      await this.#onClose();
    }
    if (failure !== null) throw failure;
  }
}
