// The metadata store of a simulated cluster: one table on a machine of its own, which brokers reach over links that may be
// cut; sessions that end by virtual time, answers that are lost, watches that come late or have lost the thread.
// Invariant: linearizable; what was answered stays; an entry of a session is there until `heldUntilMs` at least.

import type { SeededRandom } from "../../../base/prng.ts";
import { RevisionTable, type RevisionWrite } from "../../../base/revision_table.ts";
import { MetadataStoreError } from "../../../contracts/errors.ts";
import {
  COMMIT_CONDITIONS_MAX,
  COMMIT_WRITES_MAX,
  type CommitResult,
  type Entry,
  type MetadataStore,
  type MetadataStorePlugin,
  type RevisionChanges,
  type Session,
  type Transaction,
} from "../../../contracts/metadata_store.ts";
import { Links } from "../links.ts";
import { SimProcess, type World } from "../world.ts";

/** What links call the machine that the store is on. */
export const STORE_MACHINE = "store";

const HISTORY_BYTES_MAX = 16 * 1024 * 1024;
/** A call that has no answer by then fails as "unavailable". */
const CALL_US = 1_500_000;
/** A session is renewed so many times within its time to live. */
const RENEWALS = 4;

export interface SharedMetadataOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly links: Links;
  readonly latencyUsMin: number;
  readonly latencyUsMax: number;
  /** Revisions kept for watches. */
  readonly historyRevisionsMax: number;
  /** Hears what is committed, as it is applied. */
  readonly onCommit?: (writes: readonly RevisionWrite[]) => void;
}

/** The store's machine. */
export class SharedMetadata {
  readonly options: SharedMetadataOptions;
  readonly table: RevisionTable;
  /** How many of 1000 answers are lost on their way. */
  lostAnswerPermille = 0;
  /** How much later watches tell, in microseconds. */
  watchLagUs = 0;
  readonly #process: SimProcess;
  readonly #expiries = new Map<string, { cancel(): void }>();
  readonly #clients = new Map<SimProcess, SharedMetadataClient>();
  #sessionsMade = 0;

  constructor(options: SharedMetadataOptions) {
    this.options = options;
    this.#process = new SimProcess(options.world, "store", STORE_MACHINE);
    this.table = new RevisionTable({
      revisionsMax: options.historyRevisionsMax,
      bytesMax: HISTORY_BYTES_MAX,
    });
  }

  pluginFor(process: SimProcess): MetadataStorePlugin {
    return {
      kind: "metadata_store",
      name: "simulated",
      contract: 1,
      isShared: true,
      open: async () => {
        const client = new SharedMetadataClient(this, process);
        this.#clients.set(process, client);
        return client;
      },
    };
  }

  /**
   * A store of its own for a broker that is alone, with what is here now but for keys of these prefixes: for a look at one
   * machine's disk.
   */
  aloneFor(process: SimProcess, leftOut: readonly string[]): MetadataStorePlugin {
    const { options } = this;
    const alone = new SharedMetadata({ ...options, links: new Links(), onCommit: () => {} });
    for (const row of this.table.rows()) {
      if (leftOut.some((prefix) => row.key.startsWith(prefix))) continue;
      alone.table.restore({ ...row, owner: null });
    }
    alone.table.restoredAt(this.table.revision);
    return { ...alone.pluginFor(process), isShared: false };
  }

  /** Its calls are not answered any more; its sessions run out. */
  processDied(process: SimProcess): void {
    this.#clients.get(process)?.abandon();
    this.#clients.delete(process);
  }

  /** Runs `act` at the store and brings back what it gives, over links that may lose either way. */
  call<T>(from: SimProcess, label: string, act: () => T): Promise<T> {
    const { links } = this.options;
    return new Promise((resolve, reject) => {
      const timer = from.after(CALL_US, `store_${label}_timeout`, () =>
        reject(new MetadataStoreError("unavailable", `The store did not answer to ${label}`)),
      );
      if (links.isCut(from.machine, STORE_MACHINE)) return;
      this.#process.after(this.latencyUs(), `store_${label}`, () => {
        let answer: () => void;
        try {
          const value = act();
          answer = () => resolve(value);
        } catch (error) {
          answer = () => reject(error);
        }
        if (links.isCut(STORE_MACHINE, from.machine)) return;
        if (this.options.random.below(1000) < this.lostAnswerPermille) return;
        from.after(this.latencyUs(), `store_${label}_answer`, () => {
          timer.cancel();
          answer();
        });
      });
    });
  }

  latencyUs(): number {
    const { random, latencyUsMin, latencyUsMax } = this.options;
    return latencyUsMin + random.below(latencyUsMax - latencyUsMin + 1);
  }

  commit({ conditions, writes }: Transaction): CommitResult {
    const { world } = this.options;
    if (conditions.length > COMMIT_CONDITIONS_MAX || writes.length > COMMIT_WRITES_MAX) {
      world.fail("metadata_contract", `${conditions.length} conditions, ${writes.length} writes`);
    }
    const conflicts: { key: string; revision: number }[] = [];
    for (const { key, revision } of conditions) {
      const found = this.table.revisionOf(key);
      if (found !== revision) conflicts.push({ key, revision: found });
    }
    if (conflicts.length > 0) return { ok: false, conflicts };
    const owned: RevisionWrite[] = writes.map(({ key, value, session }) => {
      if (session !== undefined && !this.#expiries.has(session.id)) {
        throw new MetadataStoreError("closed", `The session of "${key}" has ended`);
      }
      return { key, value: value?.slice() ?? null, owner: session?.id ?? null };
    });
    if (owned.length === 0) return { ok: true, revision: this.table.revision };
    this.table.apply(this.table.revision + 1, owned);
    this.options.onCommit?.(owned);
    return { ok: true, revision: this.table.revision };
  }

  /** As an operator takes a key away. */
  remove(key: string): void {
    if (this.table.revisionOf(key) === 0) return;
    this.table.apply(this.table.revision + 1, [{ key, value: null, owner: null }]);
  }

  beginSession(ttlMs: number): string {
    const id = `session-${++this.#sessionsMade}`;
    this.#expireLater(id, ttlMs);
    return id;
  }

  /** @returns Whether it still was there. */
  renew(id: string, ttlMs: number): boolean {
    const expiry = this.#expiries.get(id);
    if (expiry === undefined) return false;
    expiry.cancel();
    this.#expireLater(id, ttlMs);
    return true;
  }

  /** Takes away what was written with it, as one revision. */
  endSession(id: string): void {
    const expiry = this.#expiries.get(id);
    if (expiry === undefined) return;
    expiry.cancel();
    this.#expiries.delete(id);
    const keys = this.table.keysOwned(id);
    this.options.world.say(() => `the store ends ${id}: ${keys.join(", ")}`);
    if (keys.length === 0) return;
    const writes = keys.map((key) => ({ key, value: null, owner: null }));
    this.table.apply(this.table.revision + 1, writes);
  }

  #expireLater(id: string, ttlMs: number): void {
    const timer = this.#process.after(ttlMs * 1000, "store_session_expires", () =>
      this.endSession(id),
    );
    this.#expiries.set(id, timer);
  }
}

class SharedMetadataClient implements MetadataStore {
  readonly #store: SharedMetadata;
  readonly #process: SimProcess;
  readonly #closed = new AbortController();
  readonly #sessions = new Set<SimSession>();

  constructor(store: SharedMetadata, process: SimProcess) {
    this.#store = store;
    this.#process = process;
  }

  abandon(): void {
    this.#closed.abort();
  }

  read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    const { table } = this.#store;
    return this.#store.call(this.#process, "read", () => ({
      revision: table.revision,
      entries: table.read(prefix),
    }));
  }

  commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    return this.#store.call(this.#process, "commit", () => this.#store.commit(transaction));
  }

  async *watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncGenerator<RevisionChanges | "reset", void, void> {
    this.#mustBeOpen();
    const ends = AbortSignal.any([signal, this.#closed.signal]);
    const { links } = this.#store.options;
    for await (const step of this.#store.table.watch(prefix, revision, ends)) {
      const lagUs = this.#store.watchLagUs;
      await this.#process.sleep(this.#store.latencyUs() + lagUs, "store_watch");
      while (links.isCut(STORE_MACHINE, this.#process.machine)) {
        await this.#process.sleep(50_000, "store_watch_retry");
      }
      if (signal.aborted) return;
      yield step;
    }
    if (this.#closed.signal.aborted && !signal.aborted) throw closedError();
  }

  async session(ttlMs: number): Promise<Session> {
    this.#mustBeOpen();
    const askedMs = this.#process.world.nowUs / 1000;
    const id = await this.#store.call(this.#process, "session", () =>
      this.#store.beginSession(ttlMs),
    );
    const session = new SimSession(this.#store, this.#process, id, ttlMs, askedMs, () =>
      this.#sessions.delete(session),
    );
    this.#sessions.add(session);
    return session;
  }

  async close(): Promise<void> {
    for (const session of [...this.#sessions]) {
      // A store that is away drops it by itself.
      await session.end().catch(() => {});
    }
    this.#closed.abort();
  }

  #mustBeOpen(): void {
    if (this.#closed.signal.aborted) throw closedError();
  }
}

class SimSession implements Session {
  readonly id: string;
  heldUntilMs: number;
  readonly #store: SharedMetadata;
  readonly #process: SimProcess;
  readonly #ttlMs: number;
  readonly #lost = new AbortController();
  readonly #onOver: () => void;
  #deadline: { cancel(): void };
  #isOver = false;

  constructor(
    store: SharedMetadata,
    process: SimProcess,
    id: string,
    ttlMs: number,
    askedMs: number,
    onOver: () => void,
  ) {
    this.#store = store;
    this.#process = process;
    this.id = id;
    this.#ttlMs = ttlMs;
    this.#onOver = onOver;
    this.heldUntilMs = askedMs + ttlMs;
    this.#deadline = this.#loseAt(this.heldUntilMs);
    process.spawn("session_renewal", () => this.#renewForever());
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#over();
    await this.#store.call(this.#process, "end_session", () => this.#store.endSession(this.id));
  }

  async #renewForever(): Promise<void> {
    while (!this.#isOver) {
      await this.#process.sleep((this.#ttlMs * 1000) / RENEWALS, "session_renewal");
      if (this.#isOver) return;
      const askedMs = this.#process.world.nowUs / 1000;
      try {
        const isThere = await this.#store.call(this.#process, "renew", () =>
          this.#store.renew(this.id, this.#ttlMs),
        );
        if (this.#isOver) return;
        if (!isThere) return this.#over();
      } catch {
        // Tried again at the next turn, until the deadline.
        continue;
      }
      this.heldUntilMs = askedMs + this.#ttlMs;
      this.#deadline.cancel();
      this.#deadline = this.#loseAt(this.heldUntilMs);
    }
  }

  #loseAt(atMs: number): { cancel(): void } {
    const leftUs = atMs * 1000 - this.#process.world.nowUs;
    return this.#process.after(leftUs, "session_lost", () => this.#over());
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.heldUntilMs = Number.NEGATIVE_INFINITY;
    this.#deadline.cancel();
    this.#onOver();
    this.#lost.abort();
  }
}

function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "The metadata store is closed");
}
