// A metadata store in memory that several brokers of one process have open at once, each with sessions that run out by its clock.
// Invariant: a commit applies in one synchronous step, so it is linearizable by construction; what was written with a session goes
// at its end, as one revision, and by then `heldUntilMs` has passed. Content lives as long as the object.

import { type RevisionHistoryBounds, RevisionTable } from "../base/revision_table.ts";
import { MetadataStoreError } from "../contracts/errors.ts";
import type {
  CommitResult,
  Entry,
  MetadataStore,
  RevisionChanges,
  Session,
  Transaction,
} from "../contracts/metadata_store.ts";
import type { Runtime, Timer } from "../contracts/runtime.ts";
import { checkedBytes, conflictsOf, deletion, ownWrites } from "./transactions.ts";

/** Renewals in the time of one session: one that comes late is made up by the next. */
const RENEWALS = 4;

/** The table that its openers share. Their clocks are one: they are in one process. */
export class SharedTable {
  readonly name: string;
  readonly table: RevisionTable;
  readonly #sessions = new Set<TimedSession>();
  #sessionsMade = 0;

  constructor(name: string, bounds: RevisionHistoryBounds) {
    this.name = name;
    this.table = new RevisionTable(bounds);
  }

  open(runtime: Pick<Runtime, "clock" | "scheduler">): MetadataStore {
    return new SharedOpening(this, runtime);
  }

  begin(ttlMs: number, runtime: Pick<Runtime, "clock" | "scheduler">): TimedSession {
    const session = new TimedSession(this, `${this.name}-${++this.#sessionsMade}`, ttlMs, runtime);
    this.#sessions.add(session);
    return session;
  }

  /** Ends sessions whose time is over: whoever holds one may be stuck, and does not see to it. */
  expire(nowMs: number): void {
    for (const session of this.#sessions) if (nowMs >= session.heldUntilMs) session.expire();
  }

  /** Takes away what was written with a session, as one revision. */
  drop(session: TimedSession): void {
    this.#sessions.delete(session);
    const keys = this.table.keysOwned(session.id);
    if (keys.length > 0) this.table.apply(this.table.revision + 1, keys.map(deletion));
  }
}

class SharedOpening implements MetadataStore {
  readonly #shared: SharedTable;
  readonly #runtime: Pick<Runtime, "clock" | "scheduler">;
  readonly #live = new Set<TimedSession>();
  readonly #watches = new Set<AbortController>();
  #isClosed = false;

  constructor(shared: SharedTable, runtime: Pick<Runtime, "clock" | "scheduler">) {
    this.#shared = shared;
    this.#runtime = runtime;
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    const { table } = this.#shared;
    return { revision: table.revision, entries: table.read(prefix) };
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    checkedBytes(transaction, {
      has: (session) => this.#live.has(session as TimedSession) && !session.lost.aborted,
    });
    const { table } = this.#shared;
    const conflicts = conflictsOf(transaction.conditions, (key) => table.revisionOf(key));
    if (conflicts.length > 0) return { ok: false, conflicts };
    if (transaction.writes.length === 0) return { ok: true, revision: table.revision };
    const revision = table.revision + 1;
    table.apply(revision, ownWrites(transaction));
    return { ok: true, revision };
  }

  async *watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncIterable<RevisionChanges | "reset"> {
    this.#mustBeOpen();
    // The table outlives this opening, so its watches end by a signal of their own.
    const own = new AbortController();
    const end = (): void => own.abort();
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    this.#watches.add(own);
    try {
      yield* this.#shared.table.watch(prefix, revision, own.signal);
      if (!signal.aborted) this.#mustBeOpen();
    } finally {
      signal.removeEventListener("abort", end);
      this.#watches.delete(own);
    }
  }

  async session(ttlMs: number): Promise<Session> {
    this.#mustBeOpen();
    const session = this.#shared.begin(ttlMs, this.#runtime);
    this.#live.add(session);
    session.lost.addEventListener("abort", () => this.#live.delete(session), { once: true });
    return session;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    for (const session of this.#live) await session.end();
    this.#isClosed = true;
    for (const watch of this.#watches) watch.abort();
  }

  #mustBeOpen(): void {
    if (this.#isClosed) {
      throw new MetadataStoreError(
        "closed",
        `Cannot use metadata-${this.#shared.name} after its close`,
      );
    }
  }
}

/** Renews itself by the clock of its opener; a clock that jumped over its time has lost it. */
class TimedSession implements Session {
  readonly id: string;
  readonly #ttlMs: number;
  readonly #runtime: Pick<Runtime, "clock" | "scheduler">;
  readonly #shared: SharedTable;
  readonly #lost = new AbortController();
  #heldUntilMs: number;
  #timer: Timer | null = null;

  constructor(
    shared: SharedTable,
    id: string,
    ttlMs: number,
    runtime: Pick<Runtime, "clock" | "scheduler">,
  ) {
    this.#shared = shared;
    this.id = id;
    this.#ttlMs = ttlMs;
    this.#runtime = runtime;
    this.#heldUntilMs = runtime.clock.monotonicMs() + ttlMs;
    this.#renewLater();
  }

  get heldUntilMs(): number {
    return this.#lost.signal.aborted ? Number.NEGATIVE_INFINITY : this.#heldUntilMs;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async end(): Promise<void> {
    this.expire();
  }

  #renewLater(): void {
    const { scheduler, clock } = this.#runtime;
    this.#timer = scheduler.after(this.#ttlMs / RENEWALS, "metadata_session", () => {
      const nowMs = clock.monotonicMs();
      this.#shared.expire(nowMs);
      if (this.#lost.signal.aborted) return;
      this.#heldUntilMs = nowMs + this.#ttlMs;
      this.#renewLater();
    });
  }

  /** Its holder knows first, then the others. Idempotent. */
  expire(): void {
    if (this.#lost.signal.aborted) return;
    this.#timer?.cancel();
    this.#lost.abort();
    this.#shared.drop(this);
  }
}
