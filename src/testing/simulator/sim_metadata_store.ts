// A durable metadata store with latency, for one simulated process after another. What a crash leaves of
// a commit under way is all of it or nothing.
// Invariant: a commit that resolved is there after every crash; revisions go up.

import type { SeededRandom } from "../../base/prng.ts";
import { RevisionTable } from "../../base/revision_table.ts";
import { MetadataStoreError } from "../../contracts/errors.ts";
import type {
  CommitResult,
  Entry,
  MetadataStore,
  MetadataStorePlugin,
  RevisionChanges,
  Session,
  Transaction,
} from "../../contracts/metadata_store.ts";
import type { SimProcess } from "./world.ts";

const HISTORY = { revisionsMax: 1000, bytesMax: 16 * 1024 * 1024 };

/** The store's content, which outlives the processes that open it. */
export class SimMetadata {
  #table = new RevisionTable(HISTORY);
  #opened: SimMetadataStore | null = null;

  /** A plugin for `process`, to be opened once. */
  pluginFor(process: SimProcess, random: SeededRandom): MetadataStorePlugin {
    return {
      kind: "metadata_store",
      name: "simulated",
      contract: 1,
      open: async () => {
        const next = new RevisionTable(HISTORY);
        for (const row of this.#table.rows()) next.restore({ ...row, owner: null });
        next.restoredAt(this.#table.revision);
        this.#table = next;
        this.#opened = new SimMetadataStore(process, random, next);
        return this.#opened;
      },
    };
  }

  processDied(random: SeededRandom): void {
    this.#opened?.processDied(random);
    this.#opened = null;
  }
}

class SimMetadataStore implements MetadataStore {
  readonly #process: SimProcess;
  readonly #random: SeededRandom;
  readonly #table: RevisionTable;
  readonly #pending = new Set<Transaction>();
  /** When the last commit will have resolved: they do so in order. */
  #lastUs = 0;

  constructor(process: SimProcess, random: SeededRandom, table: RevisionTable) {
    this.#process = process;
    this.#random = random;
    this.#table = table;
  }

  /** Commits under way have reached the store, or have not. */
  processDied(random: SeededRandom): void {
    for (const transaction of this.#pending) {
      if (random.below(2) === 0) break;
      this.#apply(transaction);
    }
    this.#pending.clear();
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    await this.#process.sleep(1 + this.#random.below(200), "metadata_read");
    return { revision: this.#table.revision, entries: this.#table.read(prefix) };
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    const { world } = this.#process;
    this.#pending.add(transaction);
    const dueUs = Math.max(world.nowUs + 20 + this.#random.below(3000), this.#lastUs);
    this.#lastUs = dueUs;
    await this.#process.sleep(dueUs - world.nowUs, "metadata_commit");
    this.#pending.delete(transaction);
    return this.#apply(transaction);
  }

  watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncIterable<RevisionChanges | "reset"> {
    return this.#table.watch(prefix, revision, signal);
  }

  async session(): Promise<Session> {
    throw new MetadataStoreError("unavailable", "There are no sessions in this simulation");
  }

  async close(): Promise<void> {
    this.#table.close(new MetadataStoreError("closed", "The metadata store is closed"));
  }

  #apply(transaction: Transaction): CommitResult {
    const conflicts: { key: string; revision: number }[] = [];
    for (const { key, revision } of transaction.conditions) {
      const found = this.#table.revisionOf(key);
      if (found !== revision) conflicts.push({ key, revision: found });
    }
    if (conflicts.length > 0) return { ok: false, conflicts };
    const revision = this.#table.revision + 1;
    this.#table.apply(
      revision,
      transaction.writes.map(({ key, value }) => ({
        key,
        value: value === null ? null : value.slice(),
        owner: null,
      })),
    );
    return { ok: true, revision };
  }
}
