// Fetches records rather than batches: opens what the log gives, skips what comes before the offset, what
// is control, and what was aborted, and copies what has to outlive the log's read buffers.
// Invariant: `nextOffset` is behind every record that was given and before every one that was not.
// Kafka: CompletedFetch, for one call.

import { ok } from "../base/outcome.ts";
import type { Broker, Caller, FetchPartition, FetchResult } from "../contracts/broker.ts";
import type { Runtime } from "../contracts/runtime.ts";
import { type Outcome, refuse } from "../protocol/errors.ts";
import { areInt64sSafe, baseTimestampAt, LOG_APPEND_TIME_BIT } from "../record/batch_header.ts";
import { CONTROL_ABORT, readControlRecord } from "../record/control_record.ts";
import { batchSizeAt, checkBatch, RecordBatch } from "../record/record_batch.ts";
import { openRecords, type RecordBlock } from "../record/record_block.ts";
import { RecordCursor, type RecordHeader } from "../record/record_reader.ts";

/** Where the broker has no `socket.request.max.bytes`; Kafka's default. */
const OPENED_BYTES_DEFAULT = 104_857_600;
/** What a record weighs in memory besides its bytes, and a header. */
const RECORD_WEIGHT_BYTES = 64;
const HEADER_WEIGHT_BYTES = 32;

/** A record that was read. Its bytes are the caller's for good; records of one batch may share a buffer. */
export interface GatewayRecord {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the Unix epoch; -1 for none. */
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

/** From where one partition is read, inclusive. */
export interface PartitionPosition {
  readonly partition: number;
  readonly offset: number;
}

/** What to read of one topic, and how much at most. */
export interface FetchRecordsRequest {
  readonly topic: string;
  /** What the topic's id must be, where it is followed; "unknown_topic_id" when it is another. */
  readonly topicId?: string;
  readonly partitions: readonly PartitionPosition[];
  /** How long to wait for `bytesMin`, in ms; 0 answers at once. */
  readonly waitMsMax: number;
  /** Bytes of batches worth an answer; 1 when left out. */
  readonly bytesMin?: number;
  /** Bytes of records over all partitions, each with some overhead; one record is given however large. */
  readonly bytesMax: number;
  /** Records over all partitions. */
  readonly recordsMax: number;
  /** "read_uncommitted" when left out, as in Kafka. */
  readonly isolation?: "read_uncommitted" | "read_committed";
}

/** What one partition had. */
export interface FetchedRecords {
  readonly records: readonly GatewayRecord[];
  /** Where to go on: behind the last record given, and behind what is not shown. */
  readonly nextOffset: number;
  /** End of what may be read, exclusive. */
  readonly highWatermark: number;
  readonly logStartOffset: number;
  /** Bytes of batches that this was read from. */
  readonly readBytes: number;
}

/** What is left of the bounds of a call. */
interface Room {
  records: number;
  bytes: number;
  /** Nothing was given yet: one record is, whatever its size. */
  isEmpty: boolean;
}

/**
 * Reads records of one topic.
 *
 * @returns One outcome a partition, in request order. "offset_out_of_range" for an offset that is gone or not
 *   there yet; "corrupt_message" for a batch that cannot be opened, when it is the first to be shown;
 *   "unsupported_compression_type" where the host lacks its codec.
 */
export async function fetchRecords(
  broker: Broker,
  runtime: Runtime,
  caller: Caller,
  request: FetchRecordsRequest,
): Promise<readonly Outcome<FetchedRecords>[]> {
  const { bytesMax } = request;
  const isolation = request.isolation ?? "read_uncommitted";
  const response = await broker.log.fetch(caller, {
    isolation,
    waitMsMax: request.waitMsMax,
    bytesMin: request.bytesMin ?? 1,
    bytesMax,
    partitions: partitionsOf(request, request.partitions),
  });
  try {
    const opener = new Opener(broker, runtime, isolation === "read_committed");
    const room: Room = { records: request.recordsMax, bytes: bytesMax, isEmpty: true };
    return response.partitions.map((outcome, i): Outcome<FetchedRecords> => {
      if (!outcome.ok) return outcome;
      return opener.open(request.partitions[i]!, outcome.value, room);
    });
  } finally {
    response.release();
  }
}

/**
 * Waits until there is something at one of the positions, one of them is refused, or the time is up, and reads
 * nothing: however many wait, and are woken at once, they hold no memory for what comes.
 */
export async function waitForRecords(
  broker: Broker,
  caller: Caller,
  request: Pick<FetchRecordsRequest, "topic" | "topicId" | "partitions" | "waitMsMax">,
): Promise<void> {
  const response = await broker.log.fetch(caller, {
    isolation: "read_uncommitted",
    waitMsMax: request.waitMsMax,
    bytesMin: 1,
    bytesMax: 1,
    partitions: partitionsOf({ ...request, bytesMax: 1 }, request.partitions),
    waitsOnly: true,
  });
  response.release();
}

/**
 * As `fetchRecords`, with room for the answer taken before it is read: nothing is held while it waits.
 *
 * @param take resolves with room for what is about to be read; null ends the fetch
 * @param give gives room back that was not needed
 * @returns null when there is to be no answer. `kept` is null where the caller went, or the broker stops, in the wait:
 *   nothing is given then.
 */
export async function fetchWithRoom<R>(
  broker: Broker,
  runtime: Runtime,
  caller: Caller,
  request: FetchRecordsRequest,
  room: {
    take(): Promise<{ readonly bytesMax: number; readonly kept: R } | null>;
    give(kept: R): void;
  },
): Promise<{
  readonly outcomes: readonly Outcome<FetchedRecords>[];
  readonly kept: R | null;
} | null> {
  const { clock } = runtime;
  const { topic, topicId } = request;
  const deadlineMs = clock.monotonicMs() + request.waitMsMax;
  for (;;) {
    const taken = await room.take();
    if (taken === null) return null;
    const { kept, bytesMax } = taken;
    let isKept = false;
    let positions: readonly PartitionPosition[];
    let nothing: readonly Outcome<FetchedRecords>[];
    try {
      const now = { ...request, waitMsMax: 0, bytesMax };
      const outcomes = await fetchRecords(broker, runtime, caller, now);
      let readBytes = 0;
      for (const each of outcomes) if (each.ok) readBytes += each.value.readBytes;
      const isEnough =
        readBytes >= Math.min(request.bytesMin ?? 1, bytesMax) ||
        outcomes.some((each) => !each.ok) ||
        clock.monotonicMs() >= deadlineMs ||
        caller.signal.aborted;
      if (isEnough) {
        isKept = true;
        return { outcomes, kept };
      }
      nothing = outcomes.map((each, i) =>
        each.ok
          ? ok({ ...each.value, records: [], nextOffset: request.partitions[i]!.offset })
          : each,
      );
      // What is there already is too little: it is news that is waited for.
      positions = outcomes.map((each, i) => {
        const { partition, offset } = request.partitions[i]!;
        return { partition, offset: each.ok ? Math.max(offset, each.value.highWatermark) : offset };
      });
    } finally {
      if (!isKept) room.give(kept);
    }
    await waitForRecords(broker, caller, {
      topic,
      ...(topicId === undefined ? {} : { topicId }),
      partitions: positions,
      waitMsMax: Math.max(0, deadlineMs - clock.monotonicMs()),
    });
    if (caller.signal.aborted) return { outcomes: nothing, kept: null };
  }
}

function partitionsOf(
  { topic, topicId, bytesMax }: Pick<FetchRecordsRequest, "topic" | "topicId" | "bytesMax">,
  partitions: readonly PartitionPosition[],
): readonly FetchPartition[] {
  return partitions.map(({ partition, offset }) => ({
    topic,
    ...(topicId === undefined ? {} : { topicId }),
    partition,
    fetchOffset: offset,
    bytesMax,
    leaderEpoch: -1,
  }));
}

/** Opens the batches of one answer. */
class Opener {
  readonly #runtime: Runtime;
  readonly #openedBytesMax: number;
  readonly #isCommittedOnly: boolean;

  constructor(broker: Broker, runtime: Runtime, isCommittedOnly: boolean) {
    this.#runtime = runtime;
    this.#isCommittedOnly = isCommittedOnly;
    const setting = broker.setting("socket.request.max.bytes");
    this.#openedBytesMax = Number(setting ?? OPENED_BYTES_DEFAULT);
  }

  open(from: PartitionPosition, result: FetchResult, room: Room): Outcome<FetchedRecords> {
    const { partition } = from;
    const records: GatewayRecord[] = [];
    let nextOffset = from.offset;
    const { highWatermark, logStartOffset, sizeBytes: readBytes } = result;
    const done = (): Outcome<FetchedRecords> =>
      ok({ records, nextOffset, highWatermark, logStartOffset, readBytes });
    const aborts = [...result.abortedTransactions].sort((a, b) => a.firstOffset - b.firstOffset);
    const aborted = new Set<number>();
    for (const bytes of result.batches) {
      for (let at = 0; at < bytes.length; ) {
        const sizeBytes = batchSizeAt(bytes, at, bytes.length);
        const fault =
          sizeBytes < 0
            ? "bad_length"
            : areInt64sSafe(bytes, at)
              ? checkBatch(bytes, at, sizeBytes, this.#runtime.crc32c)
              : "out_of_range";
        if (fault !== null) {
          // What came before it is whole: it is given, and the next call ends here.
          return records.length > 0 ? done() : damaged(partition, nextOffset, fault);
        }
        const batch = new RecordBatch(bytes, at, sizeBytes);
        at += sizeBytes;
        if (batch.lastOffset < nextOffset) continue;
        if (this.#isShown(batch, aborts, aborted) && batch.recordCount > 0) {
          if (isFull(room)) return done();
          const step = this.#take(batch, partition, nextOffset, records, room);
          if (typeof step === "string") {
            return records.length > 0 ? done() : damaged(partition, batch.baseOffset, step);
          }
          nextOffset = step.nextOffset;
          if (!step.isWhole) return done();
        }
        nextOffset = batch.lastOffset + 1;
      }
    }
    return done();
  }

  /** Adds the batch's records from `from` on. @returns the fault when it cannot be opened */
  #take(
    batch: RecordBatch,
    partition: number,
    from: number,
    records: GatewayRecord[],
    room: Room,
  ): { readonly nextOffset: number; readonly isWhole: boolean } | string {
    const block = this.#blockOf(batch);
    if (typeof block === "string") return block;
    const isStamped = (batch.attributes & LOG_APPEND_TIME_BIT) !== 0;
    const baseMs = isStamped ? batch.maxTimestampMs : baseTimestampAt(batch.bytes, batch.position);
    const { baseOffset } = batch;
    const cursor = new RecordCursor(block);
    let nextOffset = from;
    const first = records.length;
    while (cursor.next()) {
      const offset = baseOffset + cursor.offsetDelta;
      if (offset < from) continue;
      if (isFull(room)) return { nextOffset, isWhole: false };
      const headers = cursor.headers();
      if (headers === null) break;
      const key = cursor.key();
      const value = cursor.value();
      const weightBytes = weightOf(key, value, headers);
      if (!room.isEmpty && weightBytes > room.bytes) {
        room.bytes = 0;
        return { nextOffset, isWhole: false };
      }
      room.isEmpty = false;
      room.records--;
      room.bytes -= weightBytes;
      const timestampMs = isStamped ? baseMs : baseMs + cursor.timestampDelta;
      records.push({ partition, offset, timestampMs, key, value, headers });
      nextOffset = offset + 1;
    }
    if (cursor.fault === null) return { nextOffset, isWhole: true };
    return records.length > first ? { nextOffset, isWhole: false } : cursor.fault;
  }

  /** The batch's records in bytes of their own. */
  #blockOf(batch: RecordBatch): RecordBlock | string {
    const block = openRecords(batch, {
      compression: this.#runtime.compression,
      sizeBytesMax: this.#openedBytesMax,
    });
    if (typeof block === "string" || block.bytes !== batch.bytes) return block;
    // Not `slice`, which is no copy where the log's bytes are a Buffer.
    const bytes = new Uint8Array(block.bytes.subarray(block.start, block.end));
    return { bytes, start: 0, end: bytes.length, count: block.count };
  }

  #isShown(
    batch: RecordBatch,
    aborts: { readonly producerId: number; readonly firstOffset: number }[],
    aborted: Set<number>,
  ): boolean {
    if (this.#isCommittedOnly && batch.isTransactional) {
      while (aborts.length > 0 && aborts[0]!.firstOffset <= batch.lastOffset) {
        aborted.add(aborts.shift()!.producerId);
      }
      if (batch.isControl && this.#isAbortMarker(batch)) aborted.delete(batch.producerId);
      else if (aborted.has(batch.producerId)) return false;
    }
    return !batch.isControl;
  }

  #isAbortMarker(batch: RecordBatch): boolean {
    const block = this.#blockOf(batch);
    if (typeof block === "string") return false;
    const cursor = new RecordCursor(block);
    if (!cursor.next()) return false;
    return readControlRecord(cursor.key(), cursor.value())?.type === CONTROL_ABORT;
  }
}

function isFull(room: Room): boolean {
  return !room.isEmpty && (room.records <= 0 || room.bytes <= 0);
}

/** What records weigh in memory: their bytes, and some overhead each. */
export function weightBytesOf(records: readonly GatewayRecord[]): number {
  let bytes = 0;
  for (const { key, value, headers } of records) bytes += weightOf(key, value, headers);
  return bytes;
}

function weightOf(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly RecordHeader[],
): number {
  let bytes = RECORD_WEIGHT_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) {
    bytes += HEADER_WEIGHT_BYTES + header.key.length + (header.value?.length ?? 0);
  }
  return bytes;
}

function damaged(partition: number, offset: number, fault: string): Outcome<FetchedRecords> {
  return refuse(
    fault === "unsupported_codec" ? "unsupported_compression_type" : "corrupt_message",
    `Cannot read partition ${partition} at offset ${offset}: ${fault}`,
  );
}
