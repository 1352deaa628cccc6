// Fetches partitions from their leaders, each leader on a connection of its own, ahead of whoever takes the
// batches.
// Invariant: one fetch a broker is under way; a partition is fetched again only from where its last answer
// ended; batches come out in the order in which they came in, and are decompressed one at a time as they do.
// Kafka: Fetcher, AbstractFetch, FetchSessionHandler (sessions are not used: ids 0 and -1).

import { ZERO_UUID } from "../base/uuid.ts";
import type { Timer } from "../contracts/runtime.ts";
import type { KafkaErrorName } from "../protocol/errors.ts";
import { Fetch, type FetchResponse } from "../protocol/messages/01_fetch.ts";
import {
  ClientError,
  isRetriable,
  kafkaErrorOf,
  refusal,
  requireNone,
  unwrap,
} from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import type { BatchOpener, FetchedBatch, SealedBatch } from "./fetched.ts";
import { backoffDelayMs } from "./waiting.ts";

export interface FetcherOptions {
  readonly isolation: "read_uncommitted" | "read_committed";
  readonly outOfRange: "error" | "earliest" | "latest";
  readonly waitMsMax: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly partitionBytesMax: number;
  readonly bufferBytesMax: number;
  /** Of a member of a group, whose partitions come and go. */
  readonly group?: {
    /** Whether having read every partition to its end is the end. */
    mayEnd(): boolean;
    /** A partition was of a topic that was deleted: what was fetched of it is dropped, and it goes on in the new one. */
    onAnew(state: FetchState): void;
  };
  /** Of a reader that keeps what it reads, and so is to know what goes. */
  readonly keeper?: FetchKeeper;
}

/** Whoever keeps what a fetcher brings. */
export interface FetchKeeper {
  /** A partition was answered: `batches` of the answer wait to be taken; it holds records from `logStart` to `end`. */
  onAnswer(state: FetchState, batches: number, logStart: number, end: number): void;
  /**
   * A partition is read from elsewhere: the topic was deleted and made anew, or the offset `from` was none of its
   * own. What was fetched of it and not given out is dropped.
   */
  onMoved(state: FetchState, from: number, isAnew: boolean): void;
}

/** One partition's progress. */
export interface FetchState {
  readonly topic: string;
  readonly partition: number;
  /** Next offset to fetch. */
  position: number;
  /** Stops there, exclusive; Infinity to go on for ever. */
  readonly end: number;
  readonly opener: BatchOpener;
  /** End of what may be read, exclusive, as of the last answer: by isolation. */
  readableEnd?: number;
  /** Fetched and not yet taken. */
  bufferedBytes: number;
  failures: number;
  retryAtMs: number;
  /** Neither fetched nor given out. */
  isPaused: boolean;
  /** Of the topic that the position was last read from; null before the first answer, and behind a seek. */
  topicId: string | null;
  /** How often its position was set: an answer to an older question is dropped. */
  seeks: number;
}

/** These mean that the leader is elsewhere, or not yet known to be here. */
const MOVED: ReadonlySet<string> = new Set<KafkaErrorName>([
  "not_leader_or_follower",
  "fenced_leader_epoch",
  "unknown_leader_epoch",
  "unknown_topic_or_partition",
  "unknown_topic_id",
  "inconsistent_topic_id",
  "leader_not_available",
  "replica_not_available",
  "kafka_storage_error",
  "offset_not_available",
]);

interface Fetching {
  readonly state: FetchState;
  readonly seeks: number;
  readonly leaderEpoch: number;
}
interface Buffered {
  readonly batch: SealedBatch;
  readonly state: FetchState;
  /** The state's when it was fetched. */
  readonly seeks: number;
  readonly sizeBytes: number;
}

/** Places at the front of the buffer that were taken and are not given up yet. */
const TAKEN_MAX = 1_024;

let lanes = 0;

export class PartitionFetcher {
  readonly #states: FetchState[];
  readonly #context: ClientContext;
  readonly #options: FetcherOptions;
  readonly #buffer: Buffered[] = [];
  readonly #fetching = new Set<number>();
  readonly #refreshing = new Set<string>();
  readonly #resetting = new Set<FetchState>();
  readonly #closing = new AbortController();
  readonly #lane = `fetch-${++lanes}`;
  #bufferedBytes = 0;
  #bufferAt = 0;
  #taken: Buffered | null = null;
  #waiter: { resolve(batch: FetchedBatch | null): void; reject(error: unknown): void } | null =
    null;
  #failure: unknown = null;
  #timer: Timer | null = null;

  constructor(context: ClientContext, options: FetcherOptions, states: readonly FetchState[]) {
    this.#context = context;
    this.#options = options;
    this.#states = [...states];
  }

  /** The partitions that are read. */
  get states(): readonly FetchState[] {
    return this.#states;
  }

  start(): void {
    this.#go();
  }

  /** The next batch; null when every partition has come to its end, or after `close`. One call at a time. */
  next(): Promise<FetchedBatch | null> {
    this.#giveBack();
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#hand();
      // Also when nothing is left to be taken: what was given back may have been all that filled the buffer.
      this.#go();
    });
  }

  /** Whether the partition of the batch given out last is read from elsewhere by now. */
  get isTakenStale(): boolean {
    return this.#taken !== null && this.#taken.seeks !== this.#taken.state.seeks;
  }

  /** The first offset that was not given out yet, in whole batches. */
  givenOf(state: FetchState): number {
    for (let at = this.#bufferAt; at < this.#buffer.length; at++) {
      const each = this.#buffer[at]!;
      if (each.state === state) return each.batch.from;
    }
    return state.position;
  }

  /** Goes on at `offset`; what was fetched of the partition and not given out is dropped. */
  seek(state: FetchState, offset: number): void {
    this.#forget(state);
    state.position = offset;
    this.look();
  }

  /** Drops what was fetched of a partition, and what is on its way. */
  #forget(state: FetchState): void {
    state.topicId = null;
    state.seeks++;
    state.failures = 0;
    state.retryAtMs = 0;
    const left = this.#buffer.slice(this.#bufferAt).filter((each) => {
      if (each.state !== state) return true;
      this.#bufferedBytes -= each.sizeBytes;
      state.bufferedBytes -= each.sizeBytes;
      return false;
    });
    this.#buffer.splice(0, this.#buffer.length, ...left);
    this.#bufferAt = 0;
  }

  /** Reads these too from now on. */
  add(states: readonly FetchState[]): void {
    this.#states.push(...states);
    this.#go();
  }

  /** Reads these no more; what was fetched of them and not given out is dropped, and the batch given out last is stale. */
  remove(states: readonly FetchState[]): void {
    for (const state of states) {
      const at = this.#states.indexOf(state);
      if (at >= 0) this.#states.splice(at, 1);
      this.#forget(state);
    }
    // What they filled of the buffer is free for the others.
    this.look();
  }

  /** Looks again whether this is the end, and what is to be fetched. */
  look(): void {
    this.#hand();
    this.#go();
  }

  /** Holds a partition back, or lets it go on. What was fetched of it is kept. */
  setPaused(state: FetchState, isPaused: boolean): void {
    state.isPaused = isPaused;
    if (isPaused) return;
    this.#hand();
    this.#go();
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#timer?.cancel();
    this.#buffer.length = 0;
    this.#bufferAt = 0;
    this.#waiter?.resolve(null);
    this.#waiter = null;
  }

  #isOver(): boolean {
    if (this.#closing.signal.aborted) return true;
    if (this.#options.group?.mayEnd() === false) return false;
    // Batches of paused partitions may still be there.
    if (this.#bufferAt < this.#buffer.length) return false;
    return this.states.every((state) => state.position >= state.end);
  }

  #take(): FetchedBatch | null {
    let next = this.#buffer[this.#bufferAt];
    if (next === undefined) return null;
    if (next.state.isPaused) {
      const at = this.#buffer.findIndex((each) => each?.state.isPaused === false);
      if (at < 0) return null;
      [next] = this.#buffer.splice(at, 1);
    } else {
      this.#buffer[this.#bufferAt++] = undefined as never;
      if (this.#bufferAt === this.#buffer.length || this.#bufferAt >= TAKEN_MAX) {
        this.#buffer.splice(0, this.#bufferAt);
        this.#bufferAt = 0;
      }
    }
    this.#taken = next!;
    return next!.batch.open();
  }

  /** The batch given out last is done with: its bytes no longer count. */
  #giveBack(): void {
    if (this.#taken === null) return;
    this.#bufferedBytes -= this.#taken.sizeBytes;
    this.#taken.state.bufferedBytes -= this.#taken.sizeBytes;
    this.#taken = null;
  }

  /** Starts a fetch to every leader that has none under way and something to be asked for. */
  #go(): void {
    if (this.#closing.signal.aborted || this.#failure !== null) return;
    // What is held back by a pause must not keep the others from being fetched.
    let heldBytes = 0;
    for (const { isPaused, bufferedBytes } of this.states) if (isPaused) heldBytes += bufferedBytes;
    if (this.#bufferedBytes - heldBytes >= this.#options.bufferBytesMax) return;
    const nowMs = this.#context.runtime.clock.monotonicMs();
    const byLeader = new Map<number, Fetching[]>();
    let retryAtMs = Number.POSITIVE_INFINITY;
    for (const state of this.states) {
      if (state.isPaused || state.position >= state.end || this.#resetting.has(state)) continue;
      if (state.retryAtMs > nowMs) {
        retryAtMs = Math.min(retryAtMs, state.retryAtMs);
        continue;
      }
      // One partition ahead of all others would starve them of the buffer.
      const share = Math.max(
        this.#options.bufferBytesMax / this.states.length,
        this.#options.partitionBytesMax,
      );
      if (state.bufferedBytes >= share) continue;
      const info = this.#context.metadata.known(state.topic);
      if (info === null) {
        void this.#refresh(state.topic);
        continue;
      }
      const partition = info.partitions[state.partition];
      if (partition === undefined || partition.leader < 0) {
        this.#context.metadata.invalidate(state.topic);
        this.#retryLater(state);
        retryAtMs = Math.min(retryAtMs, state.retryAtMs);
        continue;
      }
      const { topicId } = info;
      if (state.topicId !== null && topicId !== null && topicId !== state.topicId) {
        void this.#reset(state);
        continue;
      }
      if (this.#fetching.has(partition.leader)) continue;
      const fetching = byLeader.get(partition.leader) ?? [];
      byLeader.set(partition.leader, fetching);
      fetching.push({ state, seeks: state.seeks, leaderEpoch: partition.leaderEpoch });
    }
    for (const [leader, fetching] of byLeader) void this.#fetch(leader, fetching);
    if (retryAtMs < Number.POSITIVE_INFINITY) this.#goAt(retryAtMs);
  }

  #goAt(atMs: number): void {
    const { clock, scheduler } = this.#context.runtime;
    this.#timer?.cancel();
    const delayMs = Math.max(atMs - clock.monotonicMs(), 0);
    this.#timer = scheduler.after(delayMs, "consumer_retry", () => this.#go());
  }

  async #refresh(topic: string): Promise<void> {
    if (this.#refreshing.has(topic)) return;
    this.#refreshing.add(topic);
    try {
      const { metadata } = this.#context;
      await metadata.topic(topic, { signal: this.#closing.signal, unknownWaitMs: 5_000 });
    } catch (error) {
      if (!this.#isPassing(error)) this.fail(error);
      else for (const state of this.states) if (state.topic === topic) this.#retryLater(state);
    } finally {
      this.#refreshing.delete(topic);
    }
    this.#go();
  }

  async #fetch(leader: number, fetching: readonly Fetching[]): Promise<void> {
    this.#fetching.add(leader);
    const { port, metadata, requestTimeoutMs } = this.#context;
    const { waitMsMax, bytesMin, bytesMax, partitionBytesMax, isolation } = this.#options;
    type Partition = {
      partition: number;
      currentLeaderEpoch: number;
      fetchOffset: number;
      partitionMaxBytes: number;
    };
    const topics = new Map<string, Partition[]>();
    for (const { state, leaderEpoch } of fetching) {
      const partitions = topics.get(state.topic) ?? [];
      topics.set(state.topic, partitions);
      partitions.push({
        partition: state.partition,
        currentLeaderEpoch: leaderEpoch,
        fetchOffset: state.position,
        partitionMaxBytes: partitionBytesMax,
      });
    }
    const ids = new Map([...topics.keys()].map((name) => [name, metadata.known(name)?.topicId]));
    const haveIds = [...ids.values()].every((id) => id !== null && id !== undefined);
    try {
      const response = await port.send(
        Fetch,
        {
          maxWaitMs: waitMsMax,
          minBytes: bytesMin,
          maxBytes: bytesMax,
          isolationLevel: isolation === "read_committed" ? 1 : 0,
          topics: [...topics].map(([topic, partitions]) => {
            return { topic, topicId: ids.get(topic) ?? ZERO_UUID, partitions };
          }),
        },
        {
          to: leader,
          lane: this.#lane,
          signal: this.#closing.signal,
          // On top of the time the broker may hold it back.
          timeoutMs: waitMsMax + requestTimeoutMs,
          ...(haveIds ? {} : { versionMax: 12 }),
        },
      );
      if (this.#closing.signal.aborted) return;
      requireNone(response.errorCode, "Cannot fetch");
      for (const { state, seeks } of fetching) {
        if (state.seeks !== seeks) continue;
        this.#answered(state, response, ids.get(state.topic) ?? ZERO_UUID);
      }
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      if (!isRetriable(error)) this.fail(error);
      for (const { state } of fetching) {
        metadata.invalidate(state.topic);
        this.#retryLater(state);
      }
    } finally {
      this.#fetching.delete(leader);
    }
    this.#hand();
    this.#go();
  }

  #answered(state: FetchState, response: FetchResponse, topicId: string): void {
    const answer = response.responses
      .find((each) => (each.topic === "" ? each.topicId === topicId : each.topic === state.topic))
      ?.partitions.find((each) => each.partitionIndex === state.partition);
    // A full answer leaves partitions out; their turn comes.
    if (answer === undefined) return;
    const error = kafkaErrorOf(answer.errorCode);
    if (error !== null) {
      if (error.code === "offset_out_of_range") void this.#reset(state);
      else if (error.retriable || MOVED.has(error.code)) {
        this.#context.metadata.invalidate(state.topic);
        this.#retryLater(state);
      } else this.fail(refusal(error, `Cannot fetch ${state.topic}-${state.partition}`));
      return;
    }
    state.failures = 0;
    if (topicId !== ZERO_UUID) state.topicId = topicId;
    const { keeper, isolation } = this.#options;
    const { logStartOffset, lastStableOffset, highWatermark } = answer;
    const logEnd = isolation === "read_committed" ? lastStableOffset : highWatermark;
    state.readableEnd = logEnd;
    const bytes = answer.records;
    if (bytes === null || bytes.length === 0) {
      keeper?.onAnswer(state, 0, logStartOffset, logEnd);
      return;
    }
    const bounds = { end: state.end, highWatermark: logEnd };
    const aborted = answer.abortedTransactions ?? [];
    const { batches, nextOffset } = state.opener.open(bytes, state.position, bounds, aborted);
    if (nextOffset === state.position) {
      const text = `Offset ${nextOffset} of ${state.topic}-${state.partition} lies in a batch of more than ${this.#options.partitionBytesMax} bytes: raise partitionBytesMax`;
      this.fail(new ClientError("record_list_too_large", text));
      return;
    }
    state.position = nextOffset;
    for (const batch of batches) {
      const { sizeBytes } = batch;
      this.#buffer.push({ batch, state, seeks: state.seeks, sizeBytes });
      this.#bufferedBytes += sizeBytes;
      state.bufferedBytes += sizeBytes;
    }
    keeper?.onAnswer(state, batches.length, logStartOffset, logEnd);
  }

  /** The offset is not there any more, or not yet; or it was of a topic that was deleted and made anew. */
  async #reset(state: FetchState): Promise<void> {
    const { topic, partition, position, seeks } = state;
    const now = this.#context.metadata.known(topic)?.topicId ?? null;
    const isAnew = state.topicId !== null && now !== null && now !== state.topicId;
    const { outOfRange, isolation } = this.#options;
    this.#resetting.add(state);
    try {
      const queries = (["earliest", "latest"] as const).map((at) => ({ topic, partition, at }));
      const outcomes = await this.#context.admin.offsets(queries, { isolation });
      const doing = `Cannot look up an offset of ${topic}-${partition}`;
      const [earliest, latest] = outcomes.map((outcome) => unwrap(outcome, doing).offset);
      if (state.seeks !== seeks) {
        // Somebody has chosen another place meanwhile.
      } else if (outOfRange === "error" && isAnew) {
        const text = `Topic "${topic}" was deleted and made anew: offset ${position} of partition ${partition} was of the one before`;
        this.fail(new ClientError("unknown_topic_id", text));
      } else if (outOfRange === "error") {
        const text = `Offset ${position} of ${topic}-${partition} is out of range: it holds ${earliest} to ${latest} (exclusive)`;
        this.fail(new ClientError("offset_out_of_range", text));
      } else {
        const { group, keeper } = this.#options;
        if (keeper !== undefined || (isAnew && group !== undefined)) this.#forget(state);
        state.position = outOfRange === "earliest" ? earliest! : latest!;
        state.topicId = null;
        if (isAnew) group?.onAnew(state);
        keeper?.onMoved(state, position, isAnew);
      }
    } catch (error) {
      if (this.#isPassing(error)) this.#retryLater(state);
      else if (state.seeks === seeks) this.fail(error);
    } finally {
      this.#resetting.delete(state);
    }
    this.#hand();
    this.#go();
  }

  /** A group reads on without a topic that has gone: its rebalance takes the partitions away. */
  #isPassing(error: unknown): boolean {
    const isGone = error instanceof ClientError && error.code === "unknown_topic_or_partition";
    return isRetriable(error) || (isGone && this.#options.group !== undefined);
  }

  #retryLater(state: FetchState): void {
    const { runtime, backoff } = this.#context;
    state.failures++;
    state.retryAtMs =
      runtime.clock.monotonicMs() + backoffDelayMs(runtime, backoff, state.failures);
  }

  /** Gives whoever waits what there is for them. */
  #hand(): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    let batch: FetchedBatch | null = null;
    try {
      batch = this.#take();
    } catch (error) {
      this.#failure ??= error;
    }
    if (batch !== null) {
      this.#waiter = null;
      waiter.resolve(batch);
    } else if (this.#failure !== null) {
      this.#waiter = null;
      waiter.reject(this.#failure);
    } else if (this.#isOver()) {
      this.#waiter = null;
      waiter.resolve(null);
    }
  }

  /** Ends the reading: whoever waits for a batch gets the error. */
  fail(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#failure ??= error;
    this.#hand();
  }
}
