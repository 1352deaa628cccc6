// A metadata store with one opener, over whatever makes a group of commits durable: conditions checked in
// order, commits that wait for one sync together. Invariant: the table holds only what is synced, so reads and
// watches never see what a power loss could take back. One group is on its way at a time; when it fails,
// nothing is committed any more, since nobody knows what is held.

import type { RevisionTable, RevisionWrite } from "../base/revision_table.ts";
import { MetadataStoreError } from "../contracts/errors.ts";
import {
  COMMIT_WRITES_MAX,
  type CommitResult,
  type Entry,
  type MetadataStore,
  type RevisionChanges,
  type Session,
  type Transaction,
} from "../contracts/metadata_store.ts";
import type { Random } from "../contracts/runtime.ts";
import { Sessions } from "./sessions.ts";
import { checkedBytes, conflictsOf, deletion, ownWrites } from "./transactions.ts";

/** Commits that wait, at most: beyond it the backend is hopelessly behind. */
const WAITING_MAX = 10_000;

/** All that one revision writes. */
export interface Step {
  readonly revision: number;
  readonly writes: readonly RevisionWrite[];
}

/** What a group takes at most. The first commit of a group is taken whatever it has. */
export interface GroupBounds {
  /** Of what `sizeOf` says. */
  readonly sizeBytesMax: number;
  readonly writesMax: number;
  readonly commitsMax: number;
}

/** Where commits are made durable. Its errors are its own; `failureOf` says what they are to the contract. */
export interface CommitBackend {
  /** What messages call the store, e.g. "metadata-file". */
  readonly name: string;
  readonly groupBounds: GroupBounds;
  /** Whether the first commit waits for those of the same turn, to share its sync; else it goes at once. */
  readonly waitsForTurn: boolean;
  /**
   * What the writes of one commit, of `sizeBytes` bytes of keys and values, count against the group's bounds.
   * @throws {MetadataStoreError} "too_large" for what it cannot hold
   */
  sizeOf(writes: Transaction["writes"], sizeBytes: number): number;
  /** Writes all steps, whose revisions go up by one, or none of them: durable when it resolves. */
  write(steps: readonly Step[]): Promise<void>;
  /** After each group, when the table shows it; the next one waits for what it returns. */
  afterGroup?(): Promise<void> | undefined;
  /** Before each read. */
  beforeRead?(): Promise<void>;
  /** What was thrown by `write` and `afterGroup` ("commit") or `beforeRead`. "locked" loses all sessions. */
  failureOf(error: unknown, action: "commit" | "read"): MetadataStoreError;
  /** @param failure Why a session could not be ended by this close; null when none is left. */
  close(failure: Error | null): Promise<void>;
}

interface Waiting {
  readonly conditions: Transaction["conditions"];
  /** Null for the end of a session: its writes are what the table holds of it by then. */
  readonly writes: readonly RevisionWrite[] | null;
  readonly owner: string;
  readonly sizeBytes: number;
  resolve(result: CommitResult): void;
  reject(error: Error): void;
}

export class CommittedMetadata implements MetadataStore {
  readonly #table: RevisionTable;
  readonly #backend: CommitBackend;
  readonly #sessions: Sessions;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  #failure: MetadataStoreError | null = null;
  #closing: Promise<void> | null = null;

  private constructor(table: RevisionTable, backend: CommitBackend, sessionPrefix: string) {
    this.#table = table;
    this.#backend = backend;
    this.#sessions = new Sessions(sessionPrefix, async (id) => {
      await this.#enqueue({ conditions: [], writes: null, owner: id, sizeBytes: 0 });
    });
  }

  /**
   * Takes away what sessions of earlier openings wrote: nobody else has the store open.
   * @param table Holds what the backend does.
   * @throws What `backend.write` throws
   */
  static async open(
    table: RevisionTable,
    backend: CommitBackend,
    random: Random,
  ): Promise<CommittedMetadata> {
    const keys = table.keysOwned();
    for (let at = 0; at < keys.length; at += COMMIT_WRITES_MAX) {
      const writes = keys.slice(at, at + COMMIT_WRITES_MAX).map(deletion);
      await writeSteps(table, backend, [{ revision: table.revision + 1, writes }]);
    }
    const sessionPrefix = `${table.revision}-${random.uint32().toString(36)}`;
    return new CommittedMetadata(table, backend, sessionPrefix);
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    if (this.#backend.beforeRead !== undefined) {
      try {
        await this.#backend.beforeRead();
      } catch (error) {
        const failure = this.#backend.failureOf(error, "read");
        if (failure.code === "locked") this.#fail(error, []);
        throw failure;
      }
    }
    return { revision: this.#table.revision, entries: this.#table.read(prefix) };
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    const plainBytes = checkedBytes(transaction, this.#sessions);
    const sizeBytes = this.#backend.sizeOf(transaction.writes, plainBytes);
    const conditions = [...transaction.conditions];
    const writes = ownWrites(transaction);
    return await this.#enqueue({ conditions, writes, owner: "", sizeBytes });
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

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    let failure: Error | null = null;
    try {
      if (this.#failure === null) {
        // A session that cannot be ended durably is dropped by the next opening.
        failure = await this.#sessions.endAll();
        await this.#running;
      } else this.#sessions.loseAll();
    } finally {
      this.#table.close(this.#closedError());
      await this.#backend.close(failure);
    }
  }

  #enqueue(commit: Omit<Waiting, "resolve" | "reject">): Promise<CommitResult> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(
        new MetadataStoreError(
          "unavailable",
          `Cannot commit as ${WAITING_MAX} commits wait already`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...commit, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Commits group after group until nobody waits. Never rejects: failures go to those who wait. */
  async #run(): Promise<void> {
    let group: Waiting[] = [];
    try {
      if (this.#backend.waitsForTurn) await Promise.resolve();
      while (this.#waiting.length > 0) {
        group = this.#takeGroup();
        await this.#commitGroup(group);
        group = [];
        const after = this.#backend.afterGroup?.();
        if (after !== undefined) await after;
      }
    } catch (error) {
      this.#fail(error, group);
    } finally {
      this.#running = null;
    }
  }

  /** The next commits that share a sync. The end of a session stands alone: it looks at the table. */
  #takeGroup(): Waiting[] {
    const { sizeBytesMax, writesMax, commitsMax } = this.#backend.groupBounds;
    let commits = 0;
    let sizeBytes = 0;
    let writes = 0;
    for (const waiting of this.#waiting) {
      sizeBytes += waiting.sizeBytes;
      writes += waiting.writes?.length ?? 0;
      const isOver = sizeBytes > sizeBytesMax || writes > writesMax;
      if (commits > 0 && (waiting.writes === null || isOver)) break;
      commits++;
      if (waiting.writes === null || commits === commitsMax) break;
    }
    return this.#waiting.splice(0, commits);
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const steps: Step[] = [];
    const results: CommitResult[] = [];
    /** Revisions that this group gives, which later conditions of it see. */
    const given = new Map<string, number>();
    const revisionOf = (key: string) => given.get(key) ?? this.#table.revisionOf(key);
    let revision = this.#table.revision;
    for (const { conditions, writes: asked, owner } of group) {
      const conflicts = conflictsOf(conditions, revisionOf);
      if (conflicts.length > 0) {
        results.push({ ok: false, conflicts });
        continue;
      }
      const writes = asked ?? this.#table.keysOwned(owner).map(deletion);
      if (writes.length > 0) {
        revision++;
        for (const { key, value } of writes) given.set(key, value === null ? 0 : revision);
        steps.push({ revision, writes });
      }
      results.push({ ok: true, revision });
    }
    if (steps.length > 0) await writeSteps(this.#table, this.#backend, steps);
    for (let i = 0; i < group.length; i++) group[i]!.resolve(results[i]!);
  }

  #fail(error: unknown, group: readonly Waiting[]): void {
    this.#failure = this.#backend.failureOf(error, "commit");
    const waiting = [...group, ...this.#waiting];
    this.#waiting = [];
    for (const { reject } of waiting) reject(this.#failure);
    // Whoever fenced us off takes our entries away: nobody here may go on as if they were there.
    if (this.#failure.code === "locked") this.#sessions.loseAll();
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw this.#closedError();
  }

  #closedError(): MetadataStoreError {
    return new MetadataStoreError("closed", `Cannot use ${this.#backend.name} after its close`);
  }
}

/** Only when they are durable does the table show them. */
async function writeSteps(
  table: RevisionTable,
  backend: CommitBackend,
  steps: readonly Step[],
): Promise<void> {
  await backend.write(steps);
  for (const step of steps) table.apply(step.revision, step.writes);
}
