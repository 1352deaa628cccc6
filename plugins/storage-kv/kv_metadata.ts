// Commits made durable by a key-value store, for src/metadata. Invariant: every commit is conditional on the
// owner key and on the revision last seen; when one fails, there is no other.

import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { KeyValueOperation } from "../../src/contracts/key_value.ts";
import type { Transaction } from "../../src/contracts/metadata_store.ts";
import type { CommitBackend, GroupBounds, Step } from "../../src/metadata/committed_metadata.ts";
import type { FencedStore } from "./fenced_store.ts";
import { metadataErrorOf } from "./metadata_errors.ts";
import { encodeRevision, encodeRow, entryKey, REVISION_KEY } from "./metadata_rows.ts";

/** What a write costs beside its key and value: the prefix and the header of the row, escapes apart. */
const WRITE_BYTES = 64;

export class KvCommits implements CommitBackend {
  readonly name = "metadata-kv";
  readonly groupBounds: GroupBounds;
  readonly waitsForTurn = true;
  readonly #store: FencedStore;

  constructor(store: FencedStore) {
    this.#store = store;
    const { operationsMax, commitBytesMax } = store.kv.bounds;
    this.groupBounds = {
      sizeBytesMax: commitBytesMax,
      // The revision is one more operation.
      writesMax: operationsMax - 1,
      commitsMax: Number.POSITIVE_INFINITY,
    };
  }

  sizeOf(writes: Transaction["writes"]): number {
    const { valueBytesMax } = this.#store.kv.bounds;
    let sizeBytes = 0;
    for (const { key, value } of writes) {
      const stored = entryKey(key);
      if (stored === null) throw tooLarge(`key "${key.slice(0, 40)}…" is too long`);
      const valueBytes = (value?.byteLength ?? 0) + WRITE_BYTES;
      sizeBytes += stored.length + valueBytes;
      if (valueBytes > valueBytesMax) {
        throw tooLarge(
          `the value of "${key}" has ${value?.byteLength} bytes: the key-value store takes ${valueBytesMax}`,
        );
      }
    }
    const { sizeBytesMax, writesMax } = this.groupBounds;
    if (sizeBytes > sizeBytesMax || writes.length > writesMax) {
      throw tooLarge(
        `${writes.length} writes of ${sizeBytes} bytes: the key-value store takes ${writesMax} writes and ${sizeBytesMax} bytes`,
      );
    }
    return sizeBytes;
  }

  /** One commit and one sync for all steps. */
  async write(steps: readonly Step[]): Promise<void> {
    const operations: KeyValueOperation[] = [];
    for (const { revision, writes } of steps) {
      for (const { key: plain, value, owner } of writes) {
        const key = entryKey(plain)!;
        operations.push(
          value === null
            ? { kind: "remove", key }
            : { kind: "put", key, value: encodeRow(revision, owner, value) },
        );
      }
    }
    const before = steps[0]!.revision - 1;
    const value = encodeRevision(steps[steps.length - 1]!.revision);
    operations.push({ kind: "put", key: REVISION_KEY, value });
    const check = { key: REVISION_KEY, value: before === 0 ? null : encodeRevision(before) };
    await this.#store.commit(operations, [check]);
    await this.#store.sync();
  }

  /**
   * A broker opens its metadata, then its log, then reads. Had another one come between, with topics of its own,
   * this one would take their logs for those of topics that are gone.
   */
  beforeRead(): Promise<void> {
    return this.#store.mustBeOurs();
  }

  failureOf(error: unknown, action: "commit" | "read"): MetadataStoreError {
    return metadataErrorOf(
      error,
      action === "commit" ? "commit to the metadata store" : "read the metadata",
    );
  }

  /** Entries of a session that could not be ended go with the next opening: that is no failure to close. */
  async close(): Promise<void> {
    try {
      await this.#store.close();
    } catch (error) {
      throw metadataErrorOf(error, "close the metadata store");
    }
  }
}

function tooLarge(how: string): MetadataStoreError {
  return new MetadataStoreError("too_large", `Cannot commit: ${how}`);
}
