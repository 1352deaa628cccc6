// The data plane: append, fetch, offsets. Append decides everything before its first await, so two
// calls append in the order they were made; fetch reads what is committed, and parks when that is
// too little (ParkedFetch). Nothing here looks at single records. A transaction's first batch alone may have to wait before
// it is appended (FirstBatchGate).
// Kafka: ReplicaManager.appendRecords, fetchMessages; DelayedFetch.

import { murmur2Partition } from "../../base/murmur2.ts";
import { ok } from "../../base/outcome.ts";
import type { Xxhash } from "../../base/xxhash.ts";
import type {
  AppendPartition,
  AppendRequest,
  AppendResult,
  Caller,
  CurrentLeader,
  EpochEnd,
  EpochQuery,
  FetchRequest,
  FetchResponse,
  LogApi,
  OffsetQuery,
  OffsetResult,
  RecordError,
} from "../../contracts/broker.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { type KafkaError, kafkaError, type Outcome, refuse } from "../../protocol/errors.ts";
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  producerEpochAt,
  producerIdAt,
  TRANSACTIONAL_BIT,
} from "../../record/batch_header.ts";
import { isInternalTopic } from "../cluster/topic_names.ts";
import type { TransactionGate } from "../coordinator/transaction/ports.ts";
import type { CommitGroup } from "../log/commit_group.ts";
import { findOffset } from "../log/offset_lookup.ts";
import type { PartitionLog } from "../log/partition_log.ts";
import type { FirstBatch } from "../log/producer_state.ts";
import {
  batchSizeOrRefusal,
  type Refusal,
  type ValidationContext,
  type ValidBatch,
  validateBatch,
} from "../log/validate_batches.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { PartitionLeader } from "../partition/partition_leader.ts";
import { FirstBatchGate, type Transactional } from "./first_batch_gate.ts";
import { absentCode, checkEpoch, ParkedFetch, readableEnd } from "./parked_fetch.ts";
import type { ReplicatedAppends } from "./replicated_append.ts";
import type { ReplicatedReads } from "./replicated_reads.ts";

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
  /** Asked before a transaction's first batch; transactional batches are refused where it is left out. */
  readonly gate?: TransactionGate | null;
  /** Who leads here, and what replicas have; left out where this broker has the store for itself. */
  readonly replicas?: ReplicatedAppends;
  /** What a cluster asks of reads; left out where this broker has the store for itself. */
  readonly reads?: ReplicatedReads;
  /** Answers followers; left out where this broker has the store for itself. */
  readonly replicaFetch?: (caller: Caller, request: FetchRequest) => Promise<FetchResponse>;
  /** add.partitions.to.txn.retry.backoff.ms and its max; Kafka's defaults where they are left out. */
  readonly gateRetryMs?: () => number;
  readonly gateRetryMsMax?: () => number;
}

interface Appended {
  readonly log: PartitionLog;
  /** Null where there are no replicas. */
  readonly leader: PartitionLeader | null;
  readonly result: AppendResult;
  /** All of it is committed once the high watermark has reached this. */
  readonly endOffset: number;
}

export class LogApiImpl implements LogApi {
  readonly #logs: LogManager;
  readonly #options: LogApiOptions;
  readonly #gate: FirstBatchGate | null;
  /** Where keyless records go next, by topic id. */
  readonly #sticky = new Map<string, number>();

  constructor(options: LogApiOptions) {
    this.#options = options;
    this.#logs = options.logs;
    const { gate = null, runtime, gateRetryMs = () => 20, gateRetryMsMax = () => 100 } = options;
    const { clock, scheduler } = runtime;
    const retry = { retryMs: gateRetryMs, retryMsMax: gateRetryMsMax };
    this.#gate = gate === null ? null : new FirstBatchGate({ gate, clock, scheduler, ...retry });
  }

  async append(_caller: Caller, request: AppendRequest): Promise<readonly Outcome<AppendResult>[]> {
    const { partitions } = request;
    if (request.transactionalId !== null && mixesProducers(partitions)) {
      return partitions.map(() => refuse("invalid_producer_id_mapping", MIXED));
    }
    const results: (Appended | AppendError)[] = new Array(partitions.length);
    let transactional: Transactional<Appended | AppendError>[] | null = null;
    /** Their places in the request. */
    const places: number[] = [];
    for (let i = 0; i < partitions.length; i++) {
      const result = this.#appendOne(partitions[i]!, request);
      if ("adds" in result) {
        transactional ??= [];
        transactional.push(result);
        places.push(i);
      } else results[i] = result;
    }
    if (transactional !== null) {
      const passed = this.#gate!.pass(transactional);
      const isAsked = passed.some((each) => each instanceof Promise);
      const outcomes = isAsked ? await Promise.all(passed) : passed;
      for (let i = 0; i < places.length; i++) {
        results[places[i]!] = outcomes[i] as Appended | AppendError;
      }
    }
    const { replicas } = this.#options;
    if (replicas !== undefined) {
      const { newestGroup } = this.#logs.journal;
      return await replicas.appended(results, request, newestGroup, replicas);
    }
    let mustWait = false;
    for (const result of results) {
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

  /** What is of a transaction is not appended yet: the gate lets it pass. */
  #appendOne(
    request: AppendPartition,
    whole: AppendRequest,
  ): Appended | AppendError | Transactional<Appended | AppendError> {
    const topic = this.#logs.topicNamed(request.topic);
    const log = topic === undefined ? null : this.#logs.logIn(topic, request.partition);
    if (log === null && absentCode(topic, request.partition) === "unknown_topic_or_partition") {
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
    if (log === null) return kafkaError("not_leader_or_follower");
    const { runtime, replicas } = this.#options;
    const leader = replicas?.leaderOf(topic!.id, request.partition) ?? null;
    const refusal =
      replicas === undefined ? null : replicas.refusalOf(leader, whole.acks, replicas);
    if (refusal !== null) return refusal;
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
      takesTransactions: this.#gate !== null,
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
    const [only] = batches;
    if (only!.isTransactional) {
      return {
        log,
        batch: only!,
        partition: request,
        transactionalId: whole.transactionalId,
        adds: whole.addsToTransaction ?? false,
        append: (first) => {
          // Much may have happened while the coordinator was asked.
          if (log.topic.isDeleted) return kafkaError("unknown_topic_or_partition");
          if (!this.#logs.isOnline) return kafkaError("kafka_storage_error");
          if (leader?.isOver === true) return kafkaError("not_leader_or_follower");
          return appendTo(log, leader, batches, request.expectedOffset, wallMs, first);
        },
      };
    }
    return appendTo(log, leader, batches, request.expectedOffset, wallMs, null);
  }

  async fetch(caller: Caller, request: FetchRequest): Promise<FetchResponse> {
    const bytesMax = Math.min(request.bytesMax, this.#options.fetchBytesMax());
    const bounded = bytesMax === request.bytesMax ? request : { ...request, bytesMax };
    if (bounded.replica !== undefined) return await this.#fetchAsReplica(caller, bounded);
    const { runtime, reads = null } = this.#options;
    return await new ParkedFetch(this.#logs, runtime, caller, bounded, reads).run();
  }

  async #fetchAsReplica(caller: Caller, request: FetchRequest): Promise<FetchResponse> {
    const { replicaFetch } = this.#options;
    if (replicaFetch !== undefined) return await replicaFetch(caller, request);
    const partitions = request.partitions.map(() => refuse("not_leader_or_follower"));
    return { partitions, release: () => {} };
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
    const endOffset = readableEnd(log, query.isolation);
    const isBehind = this.#isBehindItsEpoch(query.topic, log);
    if (isBehind && query.at === "latest") return refuse("offset_not_available");
    if (query.at === "earliest" || query.at === "latest") {
      const offset = query.at === "earliest" ? log.logStartOffset : endOffset;
      const leaderEpoch = offset < log.logEndOffset ? log.epochs.epochAt(offset) : log.leaderEpoch;
      return ok({ offset, timestampMs: -1, leaderEpoch: Math.max(leaderEpoch, 0) });
    }
    const at = query.at === "max_timestamp" ? "max" : query.at.timestampMs;
    const hit = await findOffset(log, at, endOffset, this.#logs.reader, this.#logs.segmentFiles, {
      compression: this.#options.runtime.compression,
      sizeBytesMax: this.#options.decompressedBytesMax(),
    });
    if (hit === "corrupt") return refuse("corrupt_message");
    if (hit === "unsupported") return refuse("unsupported_compression_type");
    if (hit === "io") return refuse("kafka_storage_error");
    if (hit === null && isBehind) return refuse("offset_not_available");
    if (hit === null) return ok({ offset: -1, timestampMs: -1, leaderEpoch: -1 });
    return ok({ ...hit, leaderEpoch: log.epochs.epochAt(hit.offset) });
  }

  endOffsetForEpoch(_caller: Caller, queries: readonly EpochQuery[]): readonly Outcome<EpochEnd>[] {
    return queries.map((query): Outcome<EpochEnd> => {
      const found = this.#find(query.topic, query.partition, query.currentLeaderEpoch);
      if (!found.ok) return found;
      const log = found.value;
      // A leader's own epoch starts at its log end even before it has written under it.
      if (query.leaderEpoch === log.leaderEpoch) {
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

  currentLeader(caller: Caller, topic: string, partition: number): CurrentLeader | null {
    return this.#options.reads?.currentLeader(caller.listener, topic, partition) ?? null;
  }

  #find(topicName: string, partition: number, leaderEpoch: number): Outcome<PartitionLog> {
    const topic = this.#logs.topicNamed(topicName);
    const log = topic === undefined ? null : this.#logs.logIn(topic, partition);
    if (log === null) return refuse(absentCode(topic, partition));
    const refusal = checkEpoch(log, leaderEpoch);
    if (refusal !== null) return refuse(refusal);
    return this.#options.reads?.isHeld() === false ? refuse("not_leader_or_follower") : ok(log);
  }

  /** A new leader does not know yet how much of the epochs before its own is committed: its end would go back. */
  #isBehindItsEpoch(topicName: string, log: PartitionLog): boolean {
    const { replicas } = this.#options;
    if (replicas === undefined) return false;
    const topicId = this.#logs.topicNamed(topicName)?.id ?? "";
    const leader = replicas.leaderOf(topicId, log.partition);
    return leader !== null && leader.epochStartOffset > log.highWatermark;
  }
}

const MIXED = "Transactional batches of one request have to be of one producer, under one epoch";

/** Kafka: ReplicaManager.handleProduceAppend. */
function mixesProducers(partitions: readonly AppendPartition[]): boolean {
  let producerId = -1;
  let producerEpoch = -1;
  for (const { batches } of partitions) {
    if (batches.length < BATCH_HEADER_BYTES) continue;
    if ((attributesAt(batches, 0) & TRANSACTIONAL_BIT) === 0) continue;
    const id = producerIdAt(batches, 0);
    const epoch = producerEpochAt(batches, 0);
    if (producerId >= 0 && (id !== producerId || epoch !== producerEpoch)) return true;
    producerId = id;
    producerEpoch = epoch;
  }
  return false;
}

/** Appends the batches of one partition, all that was to be decided about them being decided. */
function appendTo(
  log: PartitionLog,
  leader: PartitionLeader | null,
  batches: readonly ValidBatch[],
  expectedOffset: number | undefined,
  wallMs: number,
  firstBatch: FirstBatch | null,
): Appended | AppendError {
  if (expectedOffset !== undefined && expectedOffset !== log.logEndOffset) {
    return kafkaError(
      "invalid_record",
      `The next offset is ${log.logEndOffset}, not ${expectedOffset}`,
    );
  }
  let first = null as Appended | null;
  for (const batch of batches) {
    const verdict = log.append(batch, wallMs, firstBatch);
    if (verdict.kind === "refused") return kafkaError(verdict.code, verdict.message);
    const endOffset =
      verdict.kind === "duplicate"
        ? verdict.lastOffset + 1
        : verdict.baseOffset + batch.recordCount;
    first = {
      log,
      leader,
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

function appendError(refusal: Refusal): AppendError {
  const error = kafkaError(refusal.code, refusal.message);
  return refusal.recordErrors === undefined
    ? error
    : { ...error, recordErrors: refusal.recordErrors };
}
