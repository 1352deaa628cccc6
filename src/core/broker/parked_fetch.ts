// One fetch: reads what is committed, and parks when that is too little, until the high watermark of one of its
// partitions moves. A read_committed one ends at the last stable offset, and says which transactions were aborted.
// Invariant: batches and what is said of aborted transactions are of one moment. Kafka: ReplicaManager.fetchMessages,
// DelayedFetch, UnifiedLog.addAbortedTransactions.

import type { BufferPool } from "../../base/buffer_pool.ts";
import { ok } from "../../base/outcome.ts";
import type {
  Caller,
  FetchPartition,
  FetchRequest,
  FetchResponse,
  FetchResult,
} from "../../contracts/broker.ts";
import type { Runtime, Timer } from "../../contracts/runtime.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../protocol/errors.ts";
import type { AbortedFound } from "../log/aborted_index.ts";
import { type LogRead, MOVES_MAX } from "../log/log_reader.ts";
import type { LogWaiter, PartitionLog } from "../log/partition_log.ts";
import type { LogManager, TopicLogs } from "../partition/log_manager.ts";
import type { ReplicatedReads } from "./replicated_reads.ts";

/** Bytes of answers to fetches that may be held at once, over all callers. */
const READ_MEMORY_BYTES = 128 * 1024 * 1024;
/** What a fetch gets when so much is held already; and one batch, however large, always. */
const CROWDED_BYTES = 64 * 1024;

/** Of a partition without a log here: a cluster has it elsewhere, or nobody has. A broker alone has the logs of all there are. */
export function absentCode(topic: TopicLogs | undefined, partition: number): KafkaErrorName {
  const isThere = topic !== undefined && partition >= 0 && partition < topic.partitionCount;
  return isThere ? "not_leader_or_follower" : "unknown_topic_or_partition";
}

/**
 * Why a caller who knows that leader epoch (-1: none) is refused, or null: in a cluster only a leader serves, or for those who
 * take it a follower.
 */
export function checkEpoch(
  log: PartitionLog,
  leaderEpoch: number,
  takesFollowers = false,
): KafkaErrorName | null {
  const { role } = log;
  if (leaderEpoch >= 0 && leaderEpoch !== log.leaderEpoch) {
    return leaderEpoch < log.leaderEpoch ? "fenced_leader_epoch" : "unknown_leader_epoch";
  }
  if (role === null || role.isLeader) return null;
  return takesFollowers && role.leaderEpoch >= 0 ? null : "not_leader_or_follower";
}

/** Exclusive end of what a reader may see. */
export function readableEnd(log: PartitionLog, isolation: FetchRequest["isolation"]): number {
  return isolation === "read_committed" ? log.lastStableOffset : log.highWatermark;
}

/** One fetch: reads, and when that gives too little, waits for the high watermark of any of its partitions. */
export class ParkedFetch implements LogWaiter {
  readonly #logs: LogManager;
  readonly #runtime: Runtime;
  readonly #caller: Caller;
  readonly #request: FetchRequest;
  readonly #reads: ReplicatedReads | null;
  readonly #buffers: Uint8Array<ArrayBuffer>[] = [];
  #wake: (() => void) | null = null;
  #hasNews = false;
  /** Of a fetch that only waits: it need not any more. */
  #hasSomething = false;
  #bytesMax = 0;

  /** @param reads What a cluster asks of it; null: the broker is alone. */
  constructor(
    logs: LogManager,
    runtime: Runtime,
    caller: Caller,
    request: FetchRequest,
    reads: ReplicatedReads | null = null,
  ) {
    this.#logs = logs;
    this.#runtime = runtime;
    this.#caller = caller;
    this.#request = request;
    this.#reads = reads;
  }

  async run(): Promise<FetchResponse> {
    const { waitMsMax, bytesMin, waitsOnly = false } = this.#request;
    const deadlineMs = this.#runtime.clock.monotonicMs() + waitMsMax;
    for (;;) {
      this.#hasNews = false;
      // Counted before reading, so that a crowd that asks at one time shares the bound as well.
      const roomBytes = Math.max(READ_MEMORY_BYTES - this.#logs.pool.lentBytes, CROWDED_BYTES);
      this.#bytesMax = Math.min(this.#request.bytesMax, roomBytes);
      const read = this.#readAll();
      const outcome = read instanceof Promise ? await this.#listening(read) : read;
      const leftMs = deadlineMs - this.#runtime.clock.monotonicMs();
      const isEnough =
        (waitsOnly
          ? this.#hasSomething
          : outcome.sizeBytes >= Math.min(bytesMin, this.#bytesMax)) ||
        outcome.hasError ||
        leftMs <= 0 ||
        this.#caller.signal.aborted;
      if (isEnough) return this.#respond(outcome.partitions);
      this.#releaseBuffers();
      if (!this.#hasNews) await this.#wait(leftMs);
    }
  }

  onAdvance(): void {
    this.#hasNews = true;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** What comes in while a read is waited for is news as well. */
  async #listening(read: Promise<ReadAll>): Promise<ReadAll> {
    const logs = this.#parkedLogs();
    this.#listenTo(logs);
    try {
      return await read;
    } finally {
      this.#leave(logs);
    }
  }

  #listenTo(logs: readonly PartitionLog[]): void {
    for (const log of logs) {
      log.waiters ??= new Set();
      log.waiters.add(this);
    }
  }

  #leave(logs: readonly PartitionLog[]): void {
    for (const log of logs) {
      log.waiters?.delete(this);
      if (log.waiters?.size === 0) log.waiters = null;
    }
  }

  /** Until the high watermark of one of the partitions moves, the time is up, or the client is gone. */
  async #wait(leftMs: number): Promise<void> {
    const logs = this.#parkedLogs();
    const { signal } = this.#caller;
    let timer: Timer | null = null;
    const onAbort = () => this.onAdvance();
    try {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#listenTo(logs);
        timer = this.#runtime.scheduler.after(leftMs, "fetch_wait", resolve);
        signal.addEventListener("abort", onAbort, { once: true });
      });
    } finally {
      this.#wake = null;
      (timer as Timer | null)?.cancel();
      signal.removeEventListener("abort", onAbort);
      this.#leave(logs);
    }
  }

  #parkedLogs(): PartitionLog[] {
    const logs: PartitionLog[] = [];
    for (const { topic, partition } of this.#request.partitions) {
      const found = this.#logs.topicNamed(topic);
      const log = found === undefined ? null : this.#logs.logIn(found, partition);
      if (log !== null) logs.push(log);
    }
    return logs;
  }

  #readAll(): ReadAll | Promise<ReadAll> {
    const state: ReadAll = { partitions: [], sizeBytes: 0, hasError: false };
    return this.#readFrom(0, state);
  }

  #readFrom(start: number, state: ReadAll): ReadAll | Promise<ReadAll> {
    const { partitions } = this.#request;
    for (let i = start; i < partitions.length; i++) {
      const result = this.#readOne(partitions[i]!, state);
      if (result instanceof Promise) {
        return result.then((outcome) => {
          this.#take(state, outcome);
          return this.#readFrom(i + 1, state);
        });
      }
      this.#take(state, result);
    }
    return state;
  }

  #take(state: ReadAll, outcome: Outcome<FetchResult>): void {
    state.partitions.push(outcome);
    if (outcome.ok) state.sizeBytes += outcome.value.sizeBytes;
    // To be sent elsewhere is nothing to wait after, as an error is not.
    if (!outcome.ok || outcome.value.preferredReplica !== undefined) state.hasError = true;
  }

  #readOne(
    request: FetchPartition,
    state: ReadAll,
  ): Outcome<FetchResult> | Promise<Outcome<FetchResult>> {
    const topic: TopicLogs | undefined = this.#logs.topicNamed(request.topic);
    const log = topic === undefined ? null : this.#logs.logIn(topic, request.partition);
    if (log === null) return refuse(absentCode(topic, request.partition));
    if (request.topicId !== undefined && topic?.id !== request.topicId) {
      return refuse("unknown_topic_id", `Topic "${request.topic}" was deleted and made anew`);
    }
    if (!this.#logs.isOnline) return refuse("kafka_storage_error");
    const { rack } = this.#request;
    const epochRefusal = checkEpoch(log, request.leaderEpoch, rack !== undefined);
    if (epochRefusal !== null) return refuse(epochRefusal);
    const reads = this.#reads;
    if (reads?.isHeld() === false) return refuse("not_leader_or_follower");
    const { fetchOffset } = request;
    if (reads !== null && rack !== undefined && log.role?.isLeader === true) {
      const { listener } = this.#caller;
      const { partition } = request;
      const nearer = reads.nearerReplica(topic!.id, partition, fetchOffset, rack, listener);
      if (nearer !== null) {
        const here = fetchResult(log, null, NO_TRANSACTIONS);
        return here.ok ? ok({ ...here.value, preferredReplica: nearer }) : here;
      }
    }
    if (fetchOffset < log.logStartOffset || fetchOffset > log.logEndOffset) {
      return refuse(
        "offset_out_of_range",
        `Offset ${fetchOffset} is outside ${log.logStartOffset} to ${log.logEndOffset}`,
      );
    }
    if (this.#request.waitsOnly === true) {
      if (fetchOffset < readableEnd(log, this.#request.isolation)) this.#hasSomething = true;
      return fetchResult(log, null, NO_TRANSACTIONS);
    }
    const leftBytes = this.#bytesMax - state.sizeBytes;
    const isFirst = state.sizeBytes === 0;
    if (leftBytes <= 0 && !isFirst) return fetchResult(log, null, NO_TRANSACTIONS);
    const bytesMax = Math.min(request.bytesMax, leftBytes);
    return this.#readLog(log, request, bytesMax, isFirst, MOVES_MAX);
  }

  /** @param tries How often more its bytes may turn out to have gone elsewhere meanwhile. */
  #readLog(
    log: PartitionLog,
    request: FetchPartition,
    bytesMax: number,
    isFirst: boolean,
    tries: number,
  ): Outcome<FetchResult> | Promise<Outcome<FetchResult>> {
    const endOffset = readableEnd(log, this.#request.isolation);
    const { replacements } = log;
    const read = this.#logs.reader.read(log, request.fetchOffset, endOffset, bytesMax, isFirst);
    if (read instanceof Promise) {
      return read.then((slow) =>
        this.#settle(log, request, bytesMax, isFirst, tries, slow, replacements),
      );
    }
    return this.#settle(log, request, bytesMax, isFirst, tries, read, replacements);
  }

  #settle(
    log: PartitionLog,
    request: FetchPartition,
    bytesMax: number,
    isFirst: boolean,
    tries: number,
    read: LogRead,
    replacements: number,
  ): Outcome<FetchResult> | Promise<Outcome<FetchResult>> {
    if (read.fault === null) {
      if (read.buffer !== null) this.#buffers.push(read.buffer);
      if (this.#request.isolation === "read_uncommitted" || log.transactions === null) {
        return fetchResult(log, read.batches, NO_TRANSACTIONS);
      }
      return this.#withAborted(log, request, bytesMax, isFirst, tries, read, replacements);
    }
    if (log.topic.isDeleted) return refuse("unknown_topic_or_partition");
    if (request.fetchOffset < log.logStartOffset) return refuse("offset_out_of_range");
    if (read.fault === "corrupt") {
      return refuse(
        "corrupt_message",
        `The batch at offset ${request.fetchOffset} is damaged on disk: skip it by fetching after it`,
      );
    }
    // The bytes went to another file while they were read: the index knows where they are now.
    if (read.fault === "moved" && tries > 0) {
      return this.#readLog(log, request, bytesMax, isFirst, tries - 1);
    }
    return refuse("kafka_storage_error");
  }

  /** Adds what was aborted of what was read. */
  #withAborted(
    log: PartitionLog,
    request: FetchPartition,
    bytesMax: number,
    isFirst: boolean,
    tries: number,
    read: LogRead,
    replacements: number,
  ): Outcome<FetchResult> | Promise<Outcome<FetchResult>> {
    const { batches, endOffset } = read;
    if (batches.length === 0) return fetchResult(log, batches, NO_TRANSACTIONS);
    const finish = (found: AbortedFound): Outcome<FetchResult> | Promise<Outcome<FetchResult>> => {
      // Cleaning takes markers away together with what they aborted: one without the other tells a lie.
      if (found === "moved" || log.replacements !== replacements) {
        if (tries === 0) return refuse("kafka_storage_error");
        this.#drop(read);
        return this.#readLog(log, request, bytesMax, isFirst, tries - 1);
      }
      if (found === "unreadable") return refuse("kafka_storage_error");
      // So does what drops the oldest segments.
      if (request.fetchOffset < log.logStartOffset) return refuse("offset_out_of_range");
      return fetchResult(log, batches, found);
    };
    const { aborted } = this.#logs;
    const found = aborted.collect(log, request.fetchOffset, endOffset);
    return found instanceof Promise ? found.then(finish) : finish(found);
  }

  /** Gives back what was read in vain: a fetch holds the bytes of one try at a time. */
  #drop({ buffer }: LogRead): void {
    if (buffer === null) return;
    this.#buffers.splice(this.#buffers.lastIndexOf(buffer), 1);
    this.#logs.pool.release(buffer);
  }

  #respond(partitions: readonly Outcome<FetchResult>[]): FetchResponse {
    return { partitions, release: () => this.#releaseBuffers() };
  }

  #releaseBuffers(): void {
    const pool: BufferPool = this.#logs.pool;
    for (const buffer of this.#buffers) pool.release(buffer);
    this.#buffers.length = 0;
  }
}

interface ReadAll {
  readonly partitions: Outcome<FetchResult>[];
  sizeBytes: number;
  hasError: boolean;
}

const NO_BATCHES: readonly Uint8Array[] = [];
const NO_TRANSACTIONS: FetchResult["abortedTransactions"] = [];

function fetchResult(
  log: PartitionLog,
  batches: Uint8Array | null,
  abortedTransactions: FetchResult["abortedTransactions"],
): Outcome<FetchResult> {
  const sizeBytes = batches?.length ?? 0;
  return ok({
    highWatermark: log.highWatermark,
    lastStableOffset: log.lastStableOffset,
    logStartOffset: log.logStartOffset,
    abortedTransactions,
    batches: sizeBytes === 0 ? NO_BATCHES : [batches!],
    sizeBytes,
  });
}
