// The metadata store over a key-value store: conditions checked in order, commits that wait for one sync
// together. Invariant: the table holds only what is synced, so reads and watches never see what a power
// loss could take back. Every commit is conditional on the owner key and on the revision last seen; when one
// fails, nothing is committed any more. (The waiting is that of metadata-file: plugins do not import one another.)

import { assert } from "../../src/base/assert.ts";
import type { RevisionTable, RevisionWrite } from "../../src/base/revision_table.ts";
import { MetadataStoreError, StorageError } from "../../src/contracts/errors.ts";
import type { KeyValueOperation } from "../../src/contracts/key_value.ts";
import {
  COMMIT_BYTES_MAX,
  COMMIT_WRITES_MAX,
  type CommitResult,
  type Entry,
  type MetadataStore,
  type RevisionChanges,
  type Session,
  type Transaction,
} from "../../src/contracts/metadata_store.ts";
import type { FencedStore } from "./fenced_store.ts";
import { metadataErrorOf } from "./metadata_errors.ts";
import { encodeRevision, encodeRow, entryKey, REVISION_KEY } from "./metadata_rows.ts";

/** Commits that wait, at most: beyond it the store is hopelessly behind. */
const WAITING_MAX = 10_000;
/** What a write costs beside its key and value: the prefix and the header of the row, escapes apart. */
const WRITE_BYTES = 64;

const utf8 = new TextEncoder();

interface Waiting {
  readonly conditions: Transaction["conditions"];
  /** Null for the end of a session: its writes are what the table holds of it by then. */
  readonly writes: readonly RevisionWrite[] | null;
  readonly owner: string;
  readonly sizeBytes: number;
  resolve(result: CommitResult): void;
  reject(error: Error): void;
}

interface Step {
  readonly revision: number;
  readonly writes: readonly RevisionWrite[];
}

export class KvMetadata implements MetadataStore {
  readonly #table: RevisionTable;
  readonly #store: FencedStore;
  readonly #sessionPrefix: string;
  readonly #sessions = new Set<KvSession>();
  #sessionsMade = 0;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  #failure: MetadataStoreError | null = null;
  #closing: Promise<void> | null = null;

  /** @param sessionPrefix Differs from that of everybody who ever opened the store. */
  constructor(table: RevisionTable, store: FencedStore, sessionPrefix: string) {
    this.#table = table;
    this.#store = store;
    this.#sessionPrefix = sessionPrefix;
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    // A broker opens its metadata, then its log, then reads. Had another one come between, with topics of its own, this
    // one would take their logs for those of topics that are gone.
    try {
      await this.#store.mustBeOurs();
    } catch (error) {
      if (error instanceof StorageError && error.code === "locked") this.#fail(error, []);
      throw metadataErrorOf(error, "read the metadata");
    }
    return { revision: this.#table.revision, entries: this.#table.read(prefix) };
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    const sizeBytes = this.#check(transaction);
    const writes = transaction.writes.map(({ key, value, session }) => ({
      key,
      value: value === null ? null : value.slice(),
      owner: session?.id ?? null,
    }));
    const conditions = [...transaction.conditions];
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
    const id = `${this.#sessionPrefix}-${++this.#sessionsMade}`;
    const session = new KvSession(id, async () => {
      this.#sessions.delete(session);
      await this.#enqueue({ conditions: [], writes: null, owner: id, sizeBytes: 0 });
    });
    this.#sessions.add(session);
    return session;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Takes away what sessions of earlier openings wrote. Nobody waits yet. */
  async dropDeadSessions(): Promise<void> {
    const keys = this.#table.keysOwned();
    for (let at = 0; at < keys.length; at += COMMIT_WRITES_MAX) {
      const writes = keys.slice(at, at + COMMIT_WRITES_MAX).map(deletion);
      await this.#write([{ revision: this.#table.revision + 1, writes }]);
    }
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure === null) {
        // A session that cannot be ended durably is dropped by the next opening.
        await Promise.allSettled([...this.#sessions].map((session) => session.end()));
        await this.#running;
      } else {
        for (const session of this.#sessions) session.lose();
      }
    } finally {
      this.#table.close(closedError());
      await closeStore(this.#store);
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
      // Whoever commits in the same turn shares the sync.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        group = this.#takeGroup();
        await this.#commitGroup(group);
        group = [];
      }
    } catch (error) {
      this.#fail(error, group);
    } finally {
      this.#running = null;
    }
  }

  /** The next commits that share a sync. The end of a session stands alone: it looks at the table. */
  #takeGroup(): Waiting[] {
    const { operationsMax, commitBytesMax } = this.#store.kv.bounds;
    let count = 0;
    let sizeBytes = 0;
    let operations = 1;
    for (const waiting of this.#waiting) {
      sizeBytes += waiting.sizeBytes;
      operations += waiting.writes?.length ?? 0;
      const isOver = sizeBytes > commitBytesMax || operations > operationsMax;
      if (count > 0 && (waiting.writes === null || isOver)) break;
      count++;
      if (waiting.writes === null) break;
    }
    return this.#waiting.splice(0, count);
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const steps: Step[] = [];
    const results: CommitResult[] = [];
    /** Revisions that this group gives, which later conditions of it see. */
    const given = new Map<string, number>();
    let revision = this.#table.revision;
    for (const { conditions, writes: asked, owner } of group) {
      const conflicts: { key: string; revision: number }[] = [];
      for (const condition of conditions) {
        const found = given.get(condition.key) ?? this.#table.revisionOf(condition.key);
        if (found !== condition.revision) conflicts.push({ key: condition.key, revision: found });
      }
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
    if (steps.length > 0) await this.#write(steps);
    for (let i = 0; i < group.length; i++) group[i]!.resolve(results[i]!);
  }

  /** One commit and one sync for all steps; only then does the table show them. */
  async #write(steps: readonly Step[]): Promise<void> {
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
    const before = this.#table.revision;
    const value = encodeRevision(steps[steps.length - 1]!.revision);
    operations.push({ kind: "put", key: REVISION_KEY, value });
    const check = { key: REVISION_KEY, value: before === 0 ? null : encodeRevision(before) };
    await this.#store.commit(operations, [check]);
    await this.#store.sync();
    for (const step of steps) this.#table.apply(step.revision, step.writes);
  }

  #fail(error: unknown, group: readonly Waiting[]): void {
    this.#failure = metadataErrorOf(error, "commit to the metadata store");
    const waiting = [...group, ...this.#waiting];
    this.#waiting = [];
    for (const { reject } of waiting) reject(this.#failure);
    // Whoever fenced us off takes our entries away: nobody here may go on as if they were there.
    if (this.#failure.code === "locked") for (const session of this.#sessions) session.lose();
  }

  #check({ writes }: Transaction): number {
    const { bounds } = this.#store.kv;
    let sizeBytes = 0;
    let storedBytes = 0;
    const keys = new Set<string>();
    for (const { key, value, session } of writes) {
      assert(!keys.has(key), "a commit writes a key at most once");
      keys.add(key);
      const valueBytes = value?.byteLength ?? 0;
      sizeBytes += utf8.encode(key).byteLength + valueBytes;
      const stored = entryKey(key);
      if (stored === null) throw tooLarge(`key "${key.slice(0, 40)}…" is too long`);
      storedBytes += stored.length + valueBytes + WRITE_BYTES;
      if (valueBytes + WRITE_BYTES > bounds.valueBytesMax) {
        throw tooLarge(
          `the value of "${key}" has ${valueBytes} bytes: the key-value store takes ${bounds.valueBytesMax}`,
        );
      }
      if (session !== undefined && !this.#sessions.has(session as KvSession)) {
        throw new MetadataStoreError(
          "closed",
          `Cannot write "${key}" with a session that has ended`,
        );
      }
    }
    const isOver = storedBytes > bounds.commitBytesMax || writes.length >= bounds.operationsMax;
    if (writes.length > COMMIT_WRITES_MAX || sizeBytes > COMMIT_BYTES_MAX || isOver) {
      throw tooLarge(
        `${writes.length} writes of ${sizeBytes} bytes: at most ${COMMIT_WRITES_MAX} writes and ${COMMIT_BYTES_MAX} bytes`,
      );
    }
    return storedBytes;
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw closedError();
  }
}

/** With one opener a session is lost only by its end, the store's close, or another opener. */
class KvSession implements Session {
  readonly id: string;
  readonly #lost = new AbortController();
  readonly #onEnd: () => Promise<void>;
  #ending: Promise<void> | null = null;

  constructor(id: string, onEnd: () => Promise<void>) {
    this.id = id;
    this.#onEnd = onEnd;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  end(): Promise<void> {
    if (this.#ending === null) {
      this.lose();
      this.#ending = this.#onEnd();
    }
    return this.#ending;
  }

  lose(): void {
    this.#lost.abort();
  }
}

async function closeStore(store: FencedStore): Promise<void> {
  try {
    await store.close();
  } catch (error) {
    throw metadataErrorOf(error, "close the metadata store");
  }
}

function deletion(key: string): RevisionWrite {
  return { key, value: null, owner: null };
}

function tooLarge(how: string): MetadataStoreError {
  return new MetadataStoreError("too_large", `Cannot commit: ${how}`);
}

function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "Cannot use metadata-kv after its close");
}
