// Copies partitions from one leader: one loop, one request for all of them, in a fetch session. Invariant: of one leader
// at most two answers are not durable yet; a partition that was refused is left out for a while and the others go on.
// The next question goes out while a large answer syncs; a small one is synced first, so that the leader hears of it.
// Kafka: AbstractFetcherThread, ReplicaFetcherThread, FetchSessionHandler.

import type { Runtime, Timer } from "../../contracts/runtime.ts";
import { errorByCode, NONE } from "../../protocol/errors.ts";
import {
  Fetch,
  type FetchRequestInput,
  type FetchResponse,
} from "../../protocol/messages/01_fetch.ts";
import { withSyncedEnd } from "../../protocol/synced_end.ts";
import type {
  FollowerQuestion,
  PartitionFollower,
  SyncGroup,
} from "../partition/partition_follower.ts";
import type { Peer } from "./peer.ts";

/** First version that names topics by id and has the replica's epoch; a leader without it is not copied from. */
const VERSION_MIN = 15;
/** An answer of so many bytes is followed by the next question at once. */
const LARGE_ANSWER_BYTES = 64 * 1024;
/** Beyond the wait that was asked for, a leader has so long to answer. */
const ANSWER_MS = 30_000;

export interface FetcherOptions {
  readonly runtime: Runtime;
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  /** The connection to the leader, asked for at each request: it may be another one by then. */
  readonly peer: () => Peer;
  /** replica.fetch.wait.max.ms */
  readonly waitMs: () => number;
  /** replica.fetch.min.bytes */
  readonly bytesMin: () => number;
  /** replica.fetch.max.bytes */
  readonly partitionBytesMax: () => number;
  /** replica.fetch.response.max.bytes */
  readonly bytesMax: () => number;
  /** replica.fetch.backoff.ms */
  readonly backoffMs: () => number;
}

interface Followed {
  readonly topicId: string;
  readonly partition: number;
  readonly follower: PartitionFollower;
  /** Monotonic; not asked for before. */
  retryAtMs: number;
  /** What the leader's session has of it; null: nothing. */
  asked: FollowerQuestion | null;
}

type WireTopics = FetchRequestInput["topics"];
type WireAnswer = FetchResponse["responses"][number]["partitions"][number];

export class Fetcher {
  readonly leaderId: number;
  readonly #options: FetcherOptions;
  readonly #followed = new Map<string, Followed>();
  /** Of which the leader's session has something, though they are followed no more. */
  readonly #forgotten = new Map<string, Followed>();
  #sessionId = 0;
  /** 0 opens a session. */
  #sessionEpoch = 0;
  #unsynced: SyncGroup | null = null;
  #wake: (() => void) | null = null;
  #isClosed = false;

  constructor(leaderId: number, options: FetcherOptions) {
    this.leaderId = leaderId;
    this.#options = options;
    options.runtime.scheduler.spawn("replica_fetcher", () => this.#run());
  }

  get partitionCount(): number {
    return this.#followed.size;
  }

  /** Follows a partition from now on, in the place of what was followed of it. */
  add(topicId: string, partition: number, follower: PartitionFollower): void {
    this.remove(topicId, partition);
    const followed = { topicId, partition, follower, retryAtMs: 0, asked: null };
    this.#followed.set(keyOf(topicId, partition), followed);
    this.#wakeUp();
  }

  remove(topicId: string, partition: number): void {
    const key = keyOf(topicId, partition);
    const followed = this.#followed.get(key);
    if (followed === undefined) return;
    this.#followed.delete(key);
    if (followed.asked !== null) this.#forgotten.set(key, followed);
  }

  /** Whatever was waited for after a failure is tried now: the leader has registered anew. */
  retryNow(): void {
    for (const followed of this.#followed.values()) followed.retryAtMs = 0;
    this.#wakeUp();
  }

  close(): void {
    this.#isClosed = true;
    this.#followed.clear();
    this.#wakeUp();
  }

  async #run(): Promise<void> {
    const { runtime, backoffMs } = this.#options;
    while (!this.#isClosed) {
      const nowMs = runtime.clock.monotonicMs();
      const due = [...this.#followed.values()].filter((each) => each.retryAtMs <= nowMs);
      if (due.length === 0) {
        await this.#pause(this.#nextMs(nowMs));
        continue;
      }
      const waitMs = this.#unsynced === null ? this.#options.waitMs() : 0;
      const request = this.#request(due, waitMs);
      const answer = await this.#options
        .peer()
        .call(Fetch, request, { timeoutMs: waitMs + ANSWER_MS });
      if (this.#isClosed) return;
      if (!answer.ok || answer.version < VERSION_MIN) {
        const failure = answer.ok ? "unsupported" : answer.failure;
        runtime.log.debug("replica_fetch_failed", { leader: this.leaderId, failure });
        this.#endSession();
        await this.#pause(backoffMs());
        continue;
      }
      if (!this.#noteSession(answer.body)) {
        // The leader does not know the session: a full fetch opens another, at once where it was one.
        if (request.sessionEpoch === 0) await this.#pause(backoffMs());
        continue;
      }
      await this.#take(answer.body);
    }
  }

  #request(due: readonly Followed[], waitMs: number): FetchRequestInput {
    const { brokerId, brokerEpoch, bytesMin, bytesMax } = this.#options;
    const isFull = this.#sessionEpoch === 0;
    const topics = new Map<string, Mutable<WireTopics[number]["partitions"]>>();
    const inRequest = new Set(due);
    for (const followed of due) {
      const question = followed.follower.question();
      if (!isFull && followed.asked !== null && isSame(followed.asked, question)) continue;
      followed.asked = question;
      const list = topics.get(followed.topicId) ?? [];
      topics.set(followed.topicId, list);
      list.push(this.#wirePartition(followed.partition, question));
    }
    const forgotten = new Map<string, number[]>();
    const forget = (each: Followed) => {
      each.asked = null;
      if (isFull) return;
      forgotten.set(each.topicId, [...(forgotten.get(each.topicId) ?? []), each.partition]);
    };
    for (const [key, each] of this.#forgotten) if (!this.#followed.has(key)) forget(each);
    this.#forgotten.clear();
    for (const each of this.#followed.values()) {
      if (each.asked !== null && !inRequest.has(each)) forget(each);
    }
    return {
      replicaState: { replicaId: brokerId, replicaEpoch: brokerEpoch() },
      maxWaitMs: waitMs,
      minBytes: bytesMin(),
      maxBytes: bytesMax(),
      isolationLevel: 0,
      sessionId: this.#sessionId,
      sessionEpoch: this.#sessionEpoch,
      topics: Array.from(topics, ([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData: Array.from(forgotten, ([topicId, partitions]) => ({
        topicId,
        partitions,
      })),
      rackId: "",
    };
  }

  #wirePartition(
    partition: number,
    question: FollowerQuestion,
  ): WireTopics[number]["partitions"][number] {
    return {
      partition,
      currentLeaderEpoch: question.leaderEpoch,
      fetchOffset: question.fetchOffset,
      lastFetchedEpoch: question.lastFetchedEpoch,
      logStartOffset: question.logStartOffset,
      highWatermark: question.highWatermark,
      partitionMaxBytes: this.#options.partitionBytesMax(),
      ...withSyncedEnd(question.syncedEnd),
    };
  }

  /** False: the request was refused as a whole. */
  #noteSession({ errorCode, sessionId }: FetchResponse): boolean {
    if (errorCode !== NONE) {
      this.#endSession();
      return false;
    }
    if (sessionId === 0) {
      this.#endSession();
      return true;
    }
    this.#sessionId = sessionId;
    this.#sessionEpoch = this.#sessionEpoch === 0x7fffffff ? 1 : this.#sessionEpoch + 1;
    return true;
  }

  #endSession(): void {
    this.#sessionId = 0;
    this.#sessionEpoch = 0;
    this.#forgotten.clear();
  }

  async #take({ responses }: FetchResponse): Promise<void> {
    const { clock } = this.#options.runtime;
    let sizeBytes = 0;
    let newest: SyncGroup | null = null;
    for (const { topicId, partitions } of responses) {
      for (const wire of partitions) {
        const followed = this.#followed.get(keyOf(topicId, wire.partitionIndex));
        const asked = followed?.asked ?? null;
        if (followed === undefined || asked === null) continue;
        const taken = await followed.follower.take(asked, answerOf(wire), clock.wallMs());
        if (taken.kind === "appended") {
          sizeBytes += taken.sizeBytes;
          newest = taken.group;
        } else if (taken.kind !== "idle") this.#noteTrouble(followed, taken);
      }
    }
    // Groups commit in order: the newest stands for all.
    const before = this.#unsynced;
    this.#unsynced = newest;
    if (sizeBytes >= LARGE_ANSWER_BYTES) await before?.settled();
    else {
      this.#unsynced = null;
      await (newest ?? before)?.settled();
    }
  }

  #noteTrouble(
    { topicId, partition, follower }: Followed,
    taken: Exclude<Awaited<ReturnType<PartitionFollower["take"]>>, { kind: "appended" | "idle" }>,
  ): void {
    const { log, clock } = this.#options.runtime;
    const of = { topicId, partition, leader: this.leaderId, leaderEpoch: follower.leaderEpoch };
    if (taken.kind === "cut") {
      const { from, to, isBelowHighWatermark } = taken;
      if (isBelowHighWatermark) log.warn("committed_records_cut", { ...of, from, to });
      else log.info("replica_cut", { ...of, from, to });
      return;
    }
    const reason = taken.kind === "again" ? taken.reason : "disk";
    if (reason === "moved") return;
    const followed = this.#followed.get(keyOf(topicId, partition));
    if (followed !== undefined) {
      followed.retryAtMs = clock.monotonicMs() + this.#options.backoffMs();
    }
    log.info("replica_refused", { ...of, reason });
  }

  /** Until the first of those left out is due; null: until something changes. */
  #nextMs(nowMs: number): number | null {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { retryAtMs } of this.#followed.values()) dueMs = Math.min(dueMs, retryAtMs);
    return dueMs === Number.POSITIVE_INFINITY ? null : Math.max(dueMs - nowMs, 1);
  }

  /** Resolves after so long, or sooner when there is something new to do. */
  async #pause(forMs: number | null): Promise<void> {
    let timer: Timer | null = null;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (forMs === null) return;
      timer = this.#options.runtime.scheduler.after(forMs, "replica_fetch_pause", resolve);
    });
    (timer as Timer | null)?.cancel();
    this.#wake = null;
  }

  #wakeUp(): void {
    this.#wake?.();
  }
}

type Mutable<T> = T extends readonly (infer E)[] ? E[] : never;

function keyOf(topicId: string, partition: number): string {
  return `${partition}/${topicId}`;
}

function isSame(a: FollowerQuestion, b: FollowerQuestion): boolean {
  return (
    a.leaderEpoch === b.leaderEpoch &&
    a.fetchOffset === b.fetchOffset &&
    a.lastFetchedEpoch === b.lastFetchedEpoch &&
    a.logStartOffset === b.logStartOffset &&
    a.syncedEnd === b.syncedEnd &&
    a.highWatermark === b.highWatermark
  );
}

function answerOf(wire: WireAnswer): Parameters<PartitionFollower["take"]>[1] {
  const { epoch, endOffset } = wire.divergingEpoch;
  return {
    error: errorByCode(wire.errorCode)?.code ?? null,
    highWatermark: wire.highWatermark,
    logStartOffset: wire.logStartOffset,
    divergingEpoch: endOffset < 0 ? null : { epoch, endOffset },
    records: wire.records ?? NO_RECORDS,
  };
}

const NO_RECORDS = new Uint8Array(0);
