// The metadata store over a log: conditions checked in order, commits that wait for one sync together.
// Invariant: the table holds only what is synced, so reads and watches never see what a power loss could
// take back. One group is on its way at a time; when its write or sync fails, nothing is committed any
// more, since nobody knows what the file holds.

import { assert } from "../../src/base/assert.ts";
import type { RevisionTable, RevisionWrite } from "../../src/base/revision_table.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
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
import type { LoggedStep } from "./log_format.ts";
import type { MetadataLog } from "./metadata_log.ts";

/** Commits that wait, at most: beyond it the disk is hopelessly behind. */
const WAITING_MAX = 10_000;
/** Most bytes and commits of one group. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
const GROUP_COMMITS_MAX = 1_000;

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

export class FileMetadata implements MetadataStore {
  readonly #table: RevisionTable;
  readonly #log: MetadataLog;
  readonly #sessionPrefix: string;
  readonly #sessions = new Set<FileSession>();
  readonly #onClose: () => Promise<void>;
  #sessionsMade = 0;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  #failure: MetadataStoreError | null = null;
  #closing: Promise<void> | null = null;

  /** @param sessionPrefix Differs from that of every other process that ever opened the log. */
  constructor(
    table: RevisionTable,
    log: MetadataLog,
    sessionPrefix: string,
    onClose: () => Promise<void>,
  ) {
    this.#table = table;
    this.#log = log;
    this.#sessionPrefix = sessionPrefix;
    this.#onClose = onClose;
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
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
    return await this.#enqueue({
      conditions: [...transaction.conditions],
      writes,
      owner: "",
      sizeBytes,
    });
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
    const session = new FileSession(id, async () => {
      this.#sessions.delete(session);
      await this.dropOwned(id);
    });
    this.#sessions.add(session);
    return session;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Takes away, durably, what was written with a session. */
  async dropOwned(owner: string): Promise<void> {
    await this.#enqueue({ conditions: [], writes: null, owner, sizeBytes: 0 });
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure === null) {
        await Promise.all([...this.#sessions].map((session) => session.end()));
        await this.#running;
      }
    } finally {
      this.#table.close(closedError());
      try {
        this.#log.close();
      } finally {
        await this.#onClose();
      }
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
      while (this.#waiting.length > 0) {
        group = this.#takeGroup();
        await this.#commitGroup(group);
        group = [];
        if (this.#log.needsCompaction(this.#table)) await this.#log.compact(this.#table);
      }
    } catch (error) {
      this.#fail(error, group);
    } finally {
      this.#running = null;
    }
  }

  /** The next commits that share a sync. The end of a session stands alone: it looks at the table. */
  #takeGroup(): Waiting[] {
    let count = 0;
    let sizeBytes = 0;
    for (const waiting of this.#waiting) {
      if (
        count > 0 &&
        (waiting.writes === null || sizeBytes + waiting.sizeBytes > GROUP_BYTES_MAX)
      ) {
        break;
      }
      count++;
      sizeBytes += waiting.sizeBytes;
      if (waiting.writes === null || count === GROUP_COMMITS_MAX) break;
    }
    return this.#waiting.splice(0, count);
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const steps: LoggedStep[] = [];
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
    if (steps.length > 0) await this.#log.append(steps);
    for (const step of steps) this.#table.apply(step.revision, step.writes);
    for (let i = 0; i < group.length; i++) group[i]!.resolve(results[i]!);
  }

  #fail(error: unknown, group: readonly Waiting[]): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#failure = new MetadataStoreError(
      "unavailable",
      `Cannot commit as a write or sync of the metadata log failed: ${reason}`,
      { cause: error },
    );
    const waiting = [...group, ...this.#waiting];
    this.#waiting = [];
    for (const { reject } of waiting) reject(this.#failure);
  }

  #check(transaction: Transaction): number {
    const { writes } = transaction;
    let sizeBytes = 0;
    const keys = new Set<string>();
    for (const { key, value, session } of writes) {
      assert(!keys.has(key), "a commit writes a key at most once");
      keys.add(key);
      sizeBytes += utf8.encode(key).byteLength + (value?.byteLength ?? 0);
      if (session !== undefined && !this.#sessions.has(session as FileSession)) {
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
    return sizeBytes;
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw closedError();
  }
}

/** In one process a session is lost only by its end or the store's close. */
class FileSession implements Session {
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
      this.#lost.abort();
      this.#ending = this.#onEnd();
    }
    return this.#ending;
  }
}

function deletion(key: string): RevisionWrite {
  return { key, value: null, owner: null };
}

function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "Cannot use metadata-file after its close");
}
