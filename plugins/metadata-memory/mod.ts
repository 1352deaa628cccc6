// metadata-memory: the cluster's small memory held in this process: single-node tests and brokers that
// may forget. The reference of what the metadata store contract means.
// Invariant: a commit applies in one synchronous step, so it is linearizable by construction. Content
// lives as long as the plugin object, so that closing and opening again is a restart.

import { RevisionTable } from "../../src/base/revision_table.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type {
  CommitResult,
  Entry,
  MetadataStore,
  MetadataStorePlugin,
  RevisionChanges,
  Session,
  Transaction,
} from "../../src/contracts/metadata_store.ts";
import { Sessions } from "../../src/metadata/sessions.ts";
import { SharedTable } from "../../src/metadata/shared_table.ts";
import { checkedBytes, conflictsOf, deletion, ownWrites } from "../../src/metadata/transactions.ts";

/** What metadataMemory takes. */
export interface MemoryMetadataOptions {
  /** Revisions kept for watches that lag; older ones answer "reset". Default 10,000. */
  readonly historyRevisionsMax?: number;
  /**
   * Whether several brokers of this process may have it open at once: a cluster in one process. Their sessions run out by the clock
   * of whoever opened the store. Default false.
   */
  readonly shared?: boolean;
}

const HISTORY_BYTES_MAX = 16 * 1024 * 1024;

/** A metadata store in memory. Each call makes an independent one; opening it twice at once is "locked", unless it is shared. */
export function metadataMemory(options: MemoryMetadataOptions = {}): MetadataStorePlugin {
  const revisionsMax = options.historyRevisionsMax ?? 10_000;
  let kept: RevisionTable | null = null;
  let opened: MemoryMetadata | null = null;
  if (options.shared === true) {
    const table = new SharedTable("memory", { revisionsMax, bytesMax: HISTORY_BYTES_MAX });
    return {
      kind: "metadata_store",
      name: "memory",
      contract: 1,
      isShared: true,
      open: async ({ runtime }) => table.open(runtime),
    };
  }
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
  readonly #sessions = new Sessions("memory", async (id) => this.#drop(id));
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
    checkedBytes(transaction, this.#sessions);
    const conflicts = conflictsOf(transaction.conditions, (key) => this.#table.revisionOf(key));
    if (conflicts.length > 0) return { ok: false, conflicts };
    if (transaction.writes.length === 0) return { ok: true, revision: this.#table.revision };
    const revision = this.#table.revision + 1;
    this.#table.apply(revision, ownWrites(transaction));
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
    return this.#sessions.begin();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    const failure = await this.#sessions.endAll();
    if (failure !== null) throw failure;
    this.#isClosed = true;
    this.#table.close(closedError());
    this.#onClose();
  }

  /** Takes away what was written with a session, as one revision. */
  #drop(id: string): void {
    const keys = this.#table.keysOwned(id);
    if (keys.length > 0) this.#table.apply(this.#table.revision + 1, keys.map(deletion));
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }
}

function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "Cannot use metadata-memory after its close");
}
