// A v2 record batch as bytes: header fields at fixed positions, checked and patched in place.
// Invariant: nothing here copies a batch; damage is a value (BatchFault), never a throw.
// int64 fields are read as numbers; `checkBatch` refuses those outside the safe range first.
// Kafka: org.apache.kafka.common.record.DefaultRecordBatch, ByteBufferLogInputStream.

import { type Crc32c, crc32c } from "../base/crc32c.ts";
import { type Codec, codecOfAttributes } from "./compression.ts";

/** Bytes before the records: the smallest possible batch. */
export const BATCH_HEADER_BYTES = 61;
/** Base offset and length: what must be read to know how long a batch is. */
export const BATCH_LENGTH_PREFIX_BYTES = 12;
/** Bytes up to and including the magic number, in every message format. */
export const BYTES_UP_TO_MAGIC = 17;
/** The only message format served. */
export const MAGIC_V2 = 2;

const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const RECORD_COUNT_AT = 57;
/** Length fields below this cannot even be a message of format 0. */
const LENGTH_MIN_V0 = 14;

/** Attribute bits beyond the codec (bits 0-2). */
export const LOG_APPEND_TIME_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;
export const DELETE_HORIZON_BIT = 0x40;

/**
 * What can be wrong with a batch.
 *
 * - `truncated`: the bytes end before the batch does. At the end of a fetch this is no error.
 * - `bad_length`: the length field is too small for any batch of its format.
 * - `unsupported_for_message_format`: format 0 or 1.
 * - `bad_magic`: no format there ever was.
 * - `bad_crc`: the checksum does not match.
 * - `bad_count`: record count and last offset delta contradict each other.
 * - `out_of_range`: an int64 outside ±(2^53 - 1).
 */
export type BatchFault =
  | "truncated"
  | "bad_length"
  | "unsupported_for_message_format"
  | "bad_magic"
  | "bad_crc"
  | "bad_count"
  | "out_of_range";

/** `batchSizeAt` returns the negative of one of these; `faultOfSize` names it. */
const FAULTS: readonly BatchFault[] = [
  "truncated",
  "bad_length",
  "unsupported_for_message_format",
  "bad_magic",
];

/**
 * Size of the batch at `at`, header included, without looking at its contents or checksum.
 *
 * @param end Exclusive end of what may be read.
 * @returns Bytes (at least BATCH_HEADER_BYTES, at most `end - at`), or a negative number that
 *   `faultOfSize` turns into a fault.
 */
export function batchSizeAt(bytes: Uint8Array, at: number, end: number): number {
  const rest = end - at;
  if (rest < BATCH_LENGTH_PREFIX_BYTES) return -1;
  const length = readInt32(bytes, at + LENGTH_AT);
  if (length < LENGTH_MIN_V0) return -2;
  if (rest < BYTES_UP_TO_MAGIC) return -1;
  const magic = bytes[at + MAGIC_AT]!;
  if (magic !== MAGIC_V2) return magic < MAGIC_V2 ? -3 : -4;
  const sizeBytes = length + BATCH_LENGTH_PREFIX_BYTES;
  if (sizeBytes < BATCH_HEADER_BYTES) return -2;
  return sizeBytes > rest ? -1 : sizeBytes;
}

/** The fault behind a negative result of `batchSizeAt`. */
export function faultOfSize(size: number): BatchFault {
  return FAULTS[-size - 1]!;
}

/** Base offset, inclusive: the offset of the first record the batch was written with. */
export function baseOffsetAt(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at);
}

/** Last offset, inclusive. */
export function lastOffsetAt(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at) + readInt32(bytes, at + LAST_OFFSET_DELTA_AT);
}

/** Epoch of the leader that appended the batch; -1 when unknown. Outside the checksum. */
export function leaderEpochAt(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + LEADER_EPOCH_AT);
}

/** The checksum the batch carries, unsigned. */
export function crcAt(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + CRC_AT) >>> 0;
}

/** Attribute bits: codec in 0-2, then the *_BIT constants. */
export function attributesAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + ATTRIBUTES_AT]! << 8) | bytes[at + ATTRIBUTES_AT + 1]!;
}

/** Last offset minus base offset; counts records that compaction has removed too. */
export function lastOffsetDeltaAt(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + LAST_OFFSET_DELTA_AT);
}

/** What timestamp deltas are added to, ms; the delete horizon when DELETE_HORIZON_BIT is set. */
export function baseTimestampAt(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + BASE_TIMESTAMP_AT);
}

/** Greatest timestamp in ms; that of every record under LOG_APPEND_TIME_BIT. */
export function maxTimestampAt(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + MAX_TIMESTAMP_AT);
}

/** Producer id; -1 when the batch is not idempotent, which this field alone decides. */
export function producerIdAt(bytes: Uint8Array, at: number): number {
  return readInt64(bytes, at + PRODUCER_ID_AT);
}

export function producerEpochAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at + PRODUCER_EPOCH_AT]! << 24) >> 16) | bytes[at + PRODUCER_EPOCH_AT + 1]!;
}

/** Sequence of the first record; -1 when there is none. */
export function baseSequenceAt(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + BASE_SEQUENCE_AT);
}

/** Records in the batch; 0 when compaction kept only the header. */
export function recordCountAt(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + RECORD_COUNT_AT);
}

/** Whether the checksum matches the `sizeBytes` bytes at `at`. */
export function isCrcValid(
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
  compute?: Crc32c,
): boolean {
  return crcAt(bytes, at) === computeCrc(bytes, at, sizeBytes, compute);
}

/**
 * Checks the header and the checksum of a whole batch; not the records (see `walkRecords`).
 *
 * @param sizeBytes What `batchSizeAt` gave.
 * @param compute A faster CRC-32C of the host.
 * @returns Null when sound.
 */
export function checkBatch(
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
  compute?: Crc32c,
): BatchFault | null {
  if (!isCrcValid(bytes, at, sizeBytes, compute)) return "bad_crc";
  const count = recordCountAt(bytes, at);
  const lastDelta = lastOffsetDeltaAt(bytes, at);
  if (count < 0 || lastDelta < 0 || count - 1 > lastDelta) return "bad_count";
  if (
    !isSafeInt64At(bytes, at) ||
    !isSafeInt64At(bytes, at + BASE_TIMESTAMP_AT) ||
    !isSafeInt64At(bytes, at + MAX_TIMESTAMP_AT) ||
    !isSafeInt64At(bytes, at + PRODUCER_ID_AT)
  ) {
    return "out_of_range";
  }
  return null;
}

/** Overwrites the base offset. The checksum stays valid. */
export function patchBaseOffset(bytes: Uint8Array, at: number, baseOffset: number): void {
  writeInt64(bytes, at, baseOffset);
}

/** Overwrites the leader epoch. The checksum stays valid. */
export function patchLeaderEpoch(bytes: Uint8Array, at: number, leaderEpoch: number): void {
  writeInt32(bytes, at + LEADER_EPOCH_AT, leaderEpoch);
}

/** Gives every record the broker's time, and the batch a new checksum. */
export function patchLogAppendTime(
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
  timestampMs: number,
  compute?: Crc32c,
): void {
  bytes[at + ATTRIBUTES_AT + 1]! |= LOG_APPEND_TIME_BIT;
  writeInt64(bytes, at + MAX_TIMESTAMP_AT, timestampMs);
  patchCrc(bytes, at, sizeBytes, compute);
}

/** Overwrites the greatest timestamp where the records say otherwise; gives a new checksum. */
export function patchMaxTimestamp(
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
  maxTimestampMs: number,
  compute?: Crc32c,
): void {
  if (maxTimestampAt(bytes, at) === maxTimestampMs) return;
  writeInt64(bytes, at + MAX_TIMESTAMP_AT, maxTimestampMs);
  patchCrc(bytes, at, sizeBytes, compute);
}

/** Overwrites producer id, epoch and first sequence; gives a new checksum. */
export function patchProducer(
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
  producer: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly baseSequence: number;
  },
  compute?: Crc32c,
): void {
  writeInt64(bytes, at + PRODUCER_ID_AT, producer.producerId);
  bytes[at + PRODUCER_EPOCH_AT] = producer.producerEpoch >> 8;
  bytes[at + PRODUCER_EPOCH_AT + 1] = producer.producerEpoch;
  writeInt32(bytes, at + BASE_SEQUENCE_AT, producer.baseSequence);
  patchCrc(bytes, at, sizeBytes, compute);
}

/** Writes the checksum that belongs to the bytes as they are. */
export function patchCrc(bytes: Uint8Array, at: number, sizeBytes: number, compute?: Crc32c): void {
  writeInt32(bytes, at + CRC_AT, computeCrc(bytes, at, sizeBytes, compute) | 0);
}

/** The sequence `count` records after `sequence`; sequences wrap from 2^31 - 1 to 0. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) & 0x7fffffff;
}

/** One batch inside a larger buffer: a view for code that is not counting nanoseconds. */
export class RecordBatch {
  readonly bytes: Uint8Array;
  /** Where the batch starts in `bytes`. */
  readonly position: number;
  /** Header included. */
  readonly sizeBytes: number;

  /** @param sizeBytes What `batchSizeAt(bytes, position, …)` gave. */
  constructor(bytes: Uint8Array, position: number, sizeBytes: number) {
    this.bytes = bytes;
    this.position = position;
    this.sizeBytes = sizeBytes;
  }

  get baseOffset(): number {
    return baseOffsetAt(this.bytes, this.position);
  }
  /** Inclusive. */
  get lastOffset(): number {
    return lastOffsetAt(this.bytes, this.position);
  }
  get leaderEpoch(): number {
    return leaderEpochAt(this.bytes, this.position);
  }
  get crc(): number {
    return crcAt(this.bytes, this.position);
  }
  get attributes(): number {
    return attributesAt(this.bytes, this.position);
  }
  /** Null for the undefined codec numbers 5 to 7. */
  get codec(): Codec | null {
    return codecOfAttributes(this.attributes);
  }
  get isLogAppendTime(): boolean {
    return (this.attributes & LOG_APPEND_TIME_BIT) !== 0;
  }
  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL_BIT) !== 0;
  }
  get isControl(): boolean {
    return (this.attributes & CONTROL_BIT) !== 0;
  }
  get hasDeleteHorizon(): boolean {
    return (this.attributes & DELETE_HORIZON_BIT) !== 0;
  }
  get lastOffsetDelta(): number {
    return lastOffsetDeltaAt(this.bytes, this.position);
  }
  get baseTimestampMs(): number {
    return baseTimestampAt(this.bytes, this.position);
  }
  get maxTimestampMs(): number {
    return maxTimestampAt(this.bytes, this.position);
  }
  get producerId(): number {
    return producerIdAt(this.bytes, this.position);
  }
  get producerEpoch(): number {
    return producerEpochAt(this.bytes, this.position);
  }
  get baseSequence(): number {
    return baseSequenceAt(this.bytes, this.position);
  }
  /** Sequence of the last record; -1 when there is none. */
  get lastSequence(): number {
    const base = this.baseSequence;
    return base < 0 ? -1 : sequenceAfter(base, this.lastOffsetDelta);
  }
  get recordCount(): number {
    return recordCountAt(this.bytes, this.position);
  }

  /** The batch's own bytes, as a view. */
  view(): Uint8Array {
    return this.bytes.subarray(this.position, this.position + this.sizeBytes);
  }

  /** See `checkBatch`. */
  check(compute?: Crc32c): BatchFault | null {
    return checkBatch(this.bytes, this.position, this.sizeBytes, compute);
  }
}

/** What lies in a buffer of batches. */
export interface BatchesFound {
  /** Whole batches, in order; neither checksum nor records were looked at. */
  readonly batches: readonly RecordBatch[];
  /** Why the walk stopped before the end, or null when every byte belongs to a batch. */
  readonly fault: BatchFault | null;
  /** End of the last whole batch, exclusive. */
  readonly end: number;
}

/** Finds the batches that stand back to back in `bytes[start, end)`. */
export function batchesIn(bytes: Uint8Array, start = 0, end = bytes.length): BatchesFound {
  const batches: RecordBatch[] = [];
  let at = start;
  while (at < end) {
    const size = batchSizeAt(bytes, at, end);
    if (size < 0) return { batches, fault: faultOfSize(size), end: at };
    batches.push(new RecordBatch(bytes, at, size));
    at += size;
  }
  return { batches, fault: null, end: at };
}

function computeCrc(bytes: Uint8Array, at: number, sizeBytes: number, compute?: Crc32c): number {
  const start = at + ATTRIBUTES_AT;
  const end = at + sizeBytes;
  return compute === undefined ? crc32c(bytes, start, end) : compute(bytes.subarray(start, end), 0);
}

function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function readInt64(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) * 0x100000000 + (readInt32(bytes, at + 4) >>> 0);
}

/** Whether the number read is the number written: -(2^53 - 1) to 2^53 - 1. */
function isSafeInt64At(bytes: Uint8Array, at: number): boolean {
  return Number.isSafeInteger(readInt64(bytes, at));
}

function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  writeInt32(bytes, at, Math.floor(value / 0x100000000));
  writeInt32(bytes, at + 4, value | 0);
}
