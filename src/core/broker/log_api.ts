// The data plane: append, fetch, offsets. Append decides everything before its first await, so two
// calls append in the order they were made; fetch reads what is committed, and parks when that is
// too little. Nothing here looks at single records.
// Kafka: ReplicaManager.appendRecords, fetchMessages; DelayedFetch.

import type { BufferPool } from "../../base/buffer_pool.ts";
import { murmur2Partition } from "../../base/murmur2.ts";
import { ok } from "../../base/outcome.ts";
import type { Xxhash } from "../../base/xxhash.ts";
import type {
  AppendPartition,
  AppendRequest,
  AppendResult,
  Caller,
  EpochEnd,
  EpochQuery,
  FetchPartition,
  FetchRequest,
  FetchResponse,
  FetchResult,
  LogApi,
  OffsetQuery,
  OffsetResult,
  RecordError,
} from "../../contracts/broker.ts";
import type { Runtime, Timer } from "../../contracts/runtime.ts";
import {
  type KafkaError,
  type KafkaErrorName,
  kafkaError,
  type Outcome,
  refuse,
} from "../../protocol/errors.ts";
import { isInternalTopic } from "../cluster/topic_names.ts";
import type { CommitGroup } from "../log/commit_group.ts";
import type { LogRead } from "../log/log_reader.ts";
import { findOffset } from "../log/offset_lookup.ts";
import type { LogWaiter, PartitionLog } from "../log/partition_log.ts";
import {
  batchSizeOrRefusal,
  type Refusal,
  type ValidationContext,
  type ValidBatch,
  validateBatch,
} from "../log/validate_batches.ts";
import type { LogManager, TopicLogs } from "../partition/log_manager.ts";

/** Bytes of answers to fetches that may be held at once, over all callers. */
const READ_MEMORY_BYTES = 128 * 1024 * 1024;
/** What a fetch gets when so much is held already; and one batch, however large, always. */
const CROWDED_BYTES = 64 * 1024;

/** A partition's refusal may name the records that caused it (Produce v8+). */
export interface AppendError extends KafkaError {
  readonly recordErrors?: readonly RecordError[];
}

export interface LogApiOptions {
  readonly logs: LogManager;
  readonly runtime: Runtime;
  readonly xxhash: Xxhash;
  /** Most bytes that one compressed batch may become. */
  readonly decompressedBytesMax: () => number;
  readonly opensCompressed: () => boolean;
  /** Upper bound of one fetch, whatever is asked for (fetch.max.bytes). */
  readonly fetchBytesMax: () => number;
}

interface Appended {
  readonly log: PartitionLog;
  readonly result: AppendResult;
  /** All of it is committed once the high watermark has reached this. */
  readonly endOffset: number;
}

export class LogApiImpl implements LogApi {
  readonly #logs: LogManager;
  readonly #options: LogApiOptions;
  /** Where keyless records go next, by topic id. */
  readonly #sticky = new Map<string, number>();

  constructor(options: LogApiOptions) {
    this.#options = options;
    this.#logs = options.logs;
  }

  async append(_caller: Caller, request: AppendRequest): Promise<readonly Outcome<AppendResult>[]> {
    const { partitions } = request;
    const results: (Appended | AppendError)[] = new Array(partitions.length);
    let mustWait = false;
    for (let i = 0; i < partitions.length; i++) {
      const result = this.#appendOne(partitions[i]!);
      results[i] = result;
      if ("log" in result && result.log.highWatermark < result.endOffset) mustWait = true;
    }
    // Groups commit in order: the newest one stands for all.
    const group: CommitGroup | null = mustWait ? this.#logs.journal.newestGroup : null;
    let isCommitted = true;
    if (group !== null) isCommitted = await group.settled();
    return results.map((result): Outcome<AppendResult> => {
      if (!("log" in result)) return { ok: false, error: result };
      if (!isCommitted || result.log.highWatermark < result.endOffset) {
        return refuse("kafka_storage_error", "The log folder is offline: nothing was acknowledged");
      }
      return { ok: true, value: result.result };
    });
  }

  #appendOne(request: AppendPartition): Appended | AppendError {
    const topic = this.#logs.topicNamed(request.topic);
    const log = topic === undefined ? null : this.#logs.logIn(topic, request.partition);
    if (log === null) {
      return kafkaError(
        "unknown_topic_or_partition",
        `There is no partition ${request.partition} of topic "${request.topic}"`,
      );
    }
    if (!this.#logs.isOnline) return kafkaError("kafka_storage_error");
    // A shard would not see what it has not decided itself.
    if (isInternalTopic(request.topic)) {
      return kafkaError("invalid_topic_exception", "Nobody may append to an internal topic");
    }
    const { runtime } = this.#options;
    const { settings } = log.topic;
    const bytes = request.batches;
    if (bytes.length === 0) return kafkaError("invalid_record", "There is no batch to append");
    const wallMs = runtime.clock.wallMs();
    const context: ValidationContext = {
      settings,
      compression: runtime.compression,
      crc32c: runtime.crc32c,
      wallMs,
      decompressedBytesMax: this.#options.decompressedBytesMax(),
      opensCompressed: this.#options.opensCompressed(),
      takesTransactions: false,
    };
    const batches: ValidBatch[] = [];
    for (let at = 0; at < bytes.length; ) {
      const sizeBytes = batchSizeOrRefusal(bytes, at, settings.maxMessageBytes);
      if (typeof sizeBytes !== "number") return appendError(sizeBytes);
      if (request.singleBatch === true && sizeBytes !== bytes.length) {
        return kafkaError("invalid_record", "A partition takes exactly one batch in a request");
      }
      const batch = validateBatch(bytes, at, sizeBytes, context);
      if (!("bytes" in batch)) return appendError(batch);
      batches.push(batch);
      at += sizeBytes;
    }
    if (batches.length > 1 && batches.some((batch) => batch.producerId >= 0)) {
      return kafkaError("invalid_record", "An idempotent producer appends one batch at a time");
    }
    if (request.expectedOffset !== undefined && request.expectedOffset !== log.logEndOffset) {
      return kafkaError(
        "invalid_record",
        `The next offset is ${log.logEndOffset}, not ${request.expectedOffset}`,
      );
    }
    let first = null as Appended | null;
    for (const batch of batches) {
      const verdict = log.append(batch, wallMs);
      if (verdict.kind === "refused") return kafkaError(verdict.code, verdict.message);
      const endOffset =
        verdict.kind === "duplicate"
          ? verdict.lastOffset + 1
          : verdict.baseOffset + batch.recordCount;
      first = {
        log,
        result: first?.result ?? {
          baseOffset: verdict.baseOffset,
          logAppendTimeMs: verdict.logAppendTimeMs,
          logStartOffset: log.logStartOffset,
        },
        endOffset,
      };
    }
    return first!;
  }

  async fetch(caller: Caller, request: FetchRequest): Promise<FetchResponse> {
    const bytesMax = Math.min(request.bytesMax, this.#options.fetchBytesMax());
    const bounded = bytesMax === request.bytesMax ? request : { ...request, bytesMax };
    return await new ParkedFetch(this.#logs, this.#options.runtime, caller, bounded).run();
  }

  partitionFor(_caller: Caller, topicName: string, key: Uint8Array | null): Outcome<number> {
    const topic = this.#logs.topicNamed(topicName);
    if (topic === undefined) return refuse("unknown_topic_or_partition");
    const count = topic.partitionCount;
    if (key === null) {
      const next = this.#sticky.get(topic.id) ?? this.#options.runtime.random.uint32() % count;
      this.#sticky.set(topic.id, (next + 1) % count);
      return ok(next % count);
    }
    return ok(
      topic.context.settings.partitioner === "murmur2"
        ? murmur2Partition(key, count)
        : this.#options.xxhash.partition(key, count),
    );
  }

  async offsetFor(
    _caller: Caller,
    queries: readonly OffsetQuery[],
  ): Promise<readonly Outcome<OffsetResult>[]> {
    const results: Outcome<OffsetResult>[] = [];
    for (const query of queries) results.push(await this.#offsetOne(query));
    return results;
  }

  async #offsetOne(query: OffsetQuery): Promise<Outcome<OffsetResult>> {
    const found = this.#find(query.topic, query.partition, query.leaderEpoch);
    if (!found.ok) return found;
    const log = found.value;
    if (!this.#logs.isOnline) return refuse("kafka_storage_error");
    if (query.at === "earliest" || query.at === "latest") {
      const offset = query.at === "earliest" ? log.logStartOffset : log.highWatermark;
      const leaderEpoch =
        offset < log.logEndOffset ? log.epochs.epochAt(offset) : log.topic.leaderEpoch;
      return ok({ offset, timestampMs: -1, leaderEpoch: Math.max(leaderEpoch, 0) });
    }
    const at = query.at === "max_timestamp" ? "max" : query.at.timestampMs;
    const hit = await findOffset(log, at, this.#logs.reader, this.#logs.segmentFiles, {
      compression: this.#options.runtime.compression,
      sizeBytesMax: this.#options.decompressedBytesMax(),
    });
    if (hit === "corrupt") return refuse("corrupt_message");
    if (hit === "unsupported") return refuse("unsupported_compression_type");
    if (hit === "io") return refuse("kafka_storage_error");
    if (hit === null) return ok({ offset: -1, timestampMs: -1, leaderEpoch: -1 });
    return ok({ ...hit, leaderEpoch: log.epochs.epochAt(hit.offset) });
  }

  endOffsetForEpoch(_caller: Caller, queries: readonly EpochQuery[]): readonly Outcome<EpochEnd>[] {
    return queries.map((query): Outcome<EpochEnd> => {
      const found = this.#find(query.topic, query.partition, query.currentLeaderEpoch);
      if (!found.ok) return found;
      const log = found.value;
      // A leader's own epoch starts at its log end even before it has written under it.
      if (query.leaderEpoch === log.topic.leaderEpoch) {
        return ok({ leaderEpoch: query.leaderEpoch, endOffset: log.logEndOffset });
      }
      const end = log.epochs.endOf(query.leaderEpoch, log.logEndOffset);
      return ok(
        end === null
          ? { leaderEpoch: -1, endOffset: -1 }
          : { leaderEpoch: end.epoch, endOffset: end.endOffset },
      );
    });
  }

  topicNameOf(topicId: string): string | null {
    return this.#logs.topicWithId(topicId)?.context.name ?? null;
  }

  topicIdOf(name: string): string | null {
    return this.#logs.topicNamed(name)?.id ?? null;
  }

  #find(topicName: string, partition: number, leaderEpoch: number): Outcome<PartitionLog> {
    const topic = this.#logs.topicNamed(topicName);
    const log = topic === undefined ? null : this.#logs.logIn(topic, partition);
    if (log === null) return refuse("unknown_topic_or_partition");
    const refusal = checkEpoch(log, leaderEpoch);
    return refusal === null ? ok(log) : refuse(refusal);
  }
}

function checkEpoch(log: PartitionLog, leaderEpoch: number): KafkaErrorName | null {
  if (leaderEpoch < 0 || leaderEpoch === log.topic.leaderEpoch) return null;
  return leaderEpoch < log.topic.leaderEpoch ? "fenced_leader_epoch" : "unknown_leader_epoch";
}

function appendError(refusal: Refusal): AppendError {
  const error = kafkaError(refusal.code, refusal.message);
  return refusal.recordErrors === undefined
    ? error
    : { ...error, recordErrors: refusal.recordErrors };
}

/** One fetch: reads, and when that gives too little, waits for the high watermark of any of its partitions. */
class ParkedFetch implements LogWaiter {
  readonly #logs: LogManager;
  readonly #runtime: Runtime;
  readonly #caller: Caller;
  readonly #request: FetchRequest;
  readonly #buffers: Uint8Array<ArrayBuffer>[] = [];
  #wake: (() => void) | null = null;
  #hasNews = false;
  /** Of a fetch that only waits: it need not any more. */
  #hasSomething = false;
  #bytesMax = 0;

  constructor(logs: LogManager, runtime: Runtime, caller: Caller, request: FetchRequest) {
    this.#logs = logs;
    this.#runtime = runtime;
    this.#caller = caller;
    this.#request = request;
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
    else state.hasError = true;
  }

  #readOne(
    request: FetchPartition,
    state: ReadAll,
  ): Outcome<FetchResult> | Promise<Outcome<FetchResult>> {
    const topic: TopicLogs | undefined = this.#logs.topicNamed(request.topic);
    const log = topic === undefined ? null : this.#logs.logIn(topic, request.partition);
    if (log === null) return refuse("unknown_topic_or_partition");
    if (request.topicId !== undefined && topic?.id !== request.topicId) {
      return refuse("unknown_topic_id", `Topic "${request.topic}" was deleted and made anew`);
    }
    if (!this.#logs.isOnline) return refuse("kafka_storage_error");
    const epochRefusal = checkEpoch(log, request.leaderEpoch);
    if (epochRefusal !== null) return refuse(epochRefusal);
    const { fetchOffset } = request;
    if (fetchOffset < log.logStartOffset || fetchOffset > log.logEndOffset) {
      return refuse(
        "offset_out_of_range",
        `Offset ${fetchOffset} is outside ${log.logStartOffset} to ${log.logEndOffset}`,
      );
    }
    if (this.#request.waitsOnly === true) {
      if (fetchOffset < log.highWatermark) this.#hasSomething = true;
      return fetchResult(log, null);
    }
    const leftBytes = this.#bytesMax - state.sizeBytes;
    const isFirst = state.sizeBytes === 0;
    if (leftBytes <= 0 && !isFirst) return fetchResult(log, null);
    const bytesMax = Math.min(request.bytesMax, leftBytes);
    const read = this.#logs.reader.read(log, fetchOffset, log.highWatermark, bytesMax, isFirst);
    if (read instanceof Promise) {
      return read.then((slow) => this.#settle(log, request, slow, bytesMax, isFirst));
    }
    return this.#settle(log, request, read, bytesMax, isFirst);
  }

  #settle(
    log: PartitionLog,
    request: FetchPartition,
    read: LogRead,
    bytesMax: number,
    isFirst: boolean,
  ): Outcome<FetchResult> | Promise<Outcome<FetchResult>> {
    if (read.fault === null) {
      if (read.buffer !== null) this.#buffers.push(read.buffer);
      return fetchResult(log, read.batches);
    }
    if (log.topic.isDeleted) return refuse("unknown_topic_or_partition");
    if (request.fetchOffset < log.logStartOffset) return refuse("offset_out_of_range");
    if (read.fault === "corrupt") {
      return refuse(
        "corrupt_message",
        `The batch at offset ${request.fetchOffset} is damaged on disk: skip it by fetching after it`,
      );
    }
    if (read.fault === "moved") {
      // The bytes went to another file while they were read: the index knows where they are now.
      const again = this.#logs.reader.read(
        log,
        request.fetchOffset,
        log.highWatermark,
        bytesMax,
        isFirst,
      );
      if (again instanceof Promise) return again.then((slow) => this.#settleLast(log, slow));
      return this.#settleLast(log, again);
    }
    return refuse("kafka_storage_error");
  }

  #settleLast(log: PartitionLog, read: LogRead): Outcome<FetchResult> {
    if (read.fault === "corrupt") return refuse("corrupt_message");
    if (read.fault !== null) return refuse("kafka_storage_error");
    if (read.buffer !== null) this.#buffers.push(read.buffer);
    return fetchResult(log, read.batches);
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

function fetchResult(log: PartitionLog, batches: Uint8Array | null): Outcome<FetchResult> {
  const sizeBytes = batches?.length ?? 0;
  return ok({
    highWatermark: log.highWatermark,
    lastStableOffset: log.highWatermark,
    logStartOffset: log.logStartOffset,
    abortedTransactions: NO_TRANSACTIONS,
    batches: sizeBytes === 0 ? NO_BATCHES : [batches!],
    sizeBytes,
  });
}
