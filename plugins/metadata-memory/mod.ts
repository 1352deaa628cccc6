// metadata-memory: the cluster's small memory held in this process: single-node tests and brokers that
// may forget. The reference of what the metadata store contract means.
// Invariant: a commit applies in one synchronous step, so it is linearizable by construction. Content
// lives as long as the plugin object, so that closing and opening again is a restart.

import { assert } from "../../src/base/assert.ts";
import { RevisionTable } from "../../src/base/revision_table.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
import {
  COMMIT_BYTES_MAX,
  COMMIT_WRITES_MAX,
  type CommitResult,
  type Entry,
  type MetadataStore,
  type MetadataStorePlugin,
  type RevisionChanges,
  type Session,
  type Transaction,
} from "../../src/contracts/metadata_store.ts";

/** What metadataMemory takes. */
export interface MemoryMetadataOptions {
  /** Revisions kept for watches that lag; older ones answer "reset". Default 10,000. */
  readonly historyRevisionsMax?: number;
}

const HISTORY_BYTES_MAX = 16 * 1024 * 1024;
const utf8 = new TextEncoder();

/** A metadata store in memory. Each call makes an independent one; opening it twice at once is "locked". */
export function metadataMemory(options: MemoryMetadataOptions = {}): MetadataStorePlugin {
  const revisionsMax = options.historyRevisionsMax ?? 10_000;
  let kept: RevisionTable | null = null;
  let opened: MemoryMetadata | null = null;
  return {
    kind: "metadata_store",
    name: "memory",
    contract: 1,
    async open(): Promise<MetadataStore> {
      if (opened !== null) {
        throw new MetadataStoreError(
          "locked",
          "Cannot open metadata-memory as this object is open already",
        );
      }
      const table = new RevisionTable({ revisionsMax, bytesMax: HISTORY_BYTES_MAX });
      if (kept !== null) {
        for (const row of kept.rows()) table.restore(row);
        table.restoredAt(kept.revision);
      }
      kept = table;
      const store = new MemoryMetadata(table, () => {
        if (opened === store) opened = null;
      });
      opened = store;
      return store;
    },
  };
}

class MemoryMetadata implements MetadataStore {
  readonly #table: RevisionTable;
  readonly #onClose: () => void;
  readonly #sessions = new Set<MemorySession>();
  #sessionsMade = 0;
  #isClosed = false;

  constructor(table: RevisionTable, onClose: () => void) {
    this.#table = table;
    this.#onClose = onClose;
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    return { revision: this.#table.revision, entries: this.#table.read(prefix) };
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    this.#check(transaction);
    const conflicts: { key: string; revision: number }[] = [];
    for (const { key, revision } of transaction.conditions) {
      const found = this.#table.revisionOf(key);
      if (found !== revision) conflicts.push({ key, revision: found });
    }
    if (conflicts.length > 0) return { ok: false, conflicts };
    if (transaction.writes.length === 0) return { ok: true, revision: this.#table.revision };
    const revision = this.#table.revision + 1;
    this.#table.apply(
      revision,
      transaction.writes.map(({ key, value, session }) => ({
        key,
        value: value === null ? null : value.slice(),
        owner: session?.id ?? null,
      })),
    );
    return { ok: true, revision };
  }

  watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncIterable<RevisionChanges | "reset"> {
    this.#mustBeOpen();
    return this.#table.watch(prefix, revision, signal);
  }

  async session(_ttlMs: number): Promise<Session> {
    this.#mustBeOpen();
    const session = new MemorySession(`memory-${++this.#sessionsMade}`, () => this.#drop(session));
    this.#sessions.add(session);
    return session;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    for (const session of [...this.#sessions]) await session.end();
    this.#isClosed = true;
    this.#table.close(closedError());
    this.#onClose();
  }

  /** Takes away what was written with the session, as one revision. */
  #drop(session: MemorySession): void {
    if (!this.#sessions.delete(session)) return;
    const keys = this.#table.keysOwned(session.id);
    if (keys.length === 0) return;
    this.#table.apply(
      this.#table.revision + 1,
      keys.map((key) => ({ key, value: null, owner: null })),
    );
  }

  #check(transaction: Transaction): void {
    const { writes } = transaction;
    let sizeBytes = 0;
    const keys = new Set<string>();
    for (const { key, value, session } of writes) {
      assert(!keys.has(key), "a commit writes a key at most once");
      keys.add(key);
      sizeBytes += utf8.encode(key).byteLength + (value?.byteLength ?? 0);
      if (session !== undefined && !this.#sessions.has(session as MemorySession)) {
        throw new MetadataStoreError(
          "closed",
          `Cannot write "${key}" with a session that has ended`,
        );
      }
    }
    if (writes.length > COMMIT_WRITES_MAX || sizeBytes > COMMIT_BYTES_MAX) {
      throw new MetadataStoreError(
        "too_large",
        `Cannot commit ${writes.length} writes of ${sizeBytes} bytes: at most ${COMMIT_WRITES_MAX} writes and ${COMMIT_BYTES_MAX} bytes`,
      );
    }
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }
}

/** In one process a session is lost only by its end or the store's close. */
class MemorySession implements Session {
  readonly id: string;
  readonly #lost = new AbortController();
  readonly #onEnd: () => void;

  constructor(id: string, onEnd: () => void) {
    this.id = id;
    this.#onEnd = onEnd;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async end(): Promise<void> {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort();
    this.#onEnd();
  }
}

function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "Cannot use metadata-memory after its close");
}
