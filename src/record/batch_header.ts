// The header of a v2 batch: fields at fixed positions, read, patched in place and written.
// Invariant: positions are the caller's duty (see `batchSizeAt`); base offset and leader epoch lie
// before what the checksum covers, every other patch ends in a new checksum.
// int64 fields are read as numbers; `areInt64sSafe` says whether that lost anything.
// Kafka: org.apache.kafka.common.record.DefaultRecordBatch.

import { type Crc32c, crc32c } from "../base/crc32c.ts";

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

// Attribute bits beyond the codec (bits 0-2).
/** Attribute bit 3: the broker stamped the records, all with the batch's max timestamp. */
export const LOG_APPEND_TIME_BIT = 0x08;
/** Attribute bit 4: part of a transaction, visible to read_committed once that is committed. */
export const TRANSACTIONAL_BIT = 0x10;
/** Attribute bit 5: holds a control record, which no consumer is shown. */
export const CONTROL_BIT = 0x20;
/** Attribute bit 6: the base timestamp is when tombstones in it may go (KIP-534). */
export const DELETE_HORIZON_BIT = 0x40;

/** The length field: bytes of the batch after itself. */
export function batchLengthAt(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at + LENGTH_AT);
}

/** The magic number, unsigned. It stands at the same place in every message format. */
export function magicAt(bytes: Uint8Array, at: number): number {
  return bytes[at + MAGIC_AT]!;
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

/** Producer epoch, signed 16 bits; -1 when the batch is not idempotent. */
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
  writeInt16(bytes, at + PRODUCER_EPOCH_AT, producer.producerEpoch);
  writeInt32(bytes, at + BASE_SEQUENCE_AT, producer.baseSequence);
  patchCrc(bytes, at, sizeBytes, compute);
}

/** Writes the checksum that belongs to the bytes as they are. */
export function patchCrc(bytes: Uint8Array, at: number, sizeBytes: number, compute?: Crc32c): void {
  writeInt32(bytes, at + CRC_AT, computeCrc(bytes, at, sizeBytes, compute) | 0);
}

/** Every field of the header but length, magic and checksum, which follow from the bytes. */
export interface BatchHeader {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** Writes the header of `batch`, whose records stand from BATCH_HEADER_BYTES to its end already. */
export function writeBatchHeader(batch: Uint8Array, header: BatchHeader, compute?: Crc32c): void {
  writeInt64(batch, 0, header.baseOffset);
  writeInt32(batch, LENGTH_AT, batch.length - BATCH_LENGTH_PREFIX_BYTES);
  writeInt32(batch, LEADER_EPOCH_AT, header.leaderEpoch);
  batch[MAGIC_AT] = MAGIC_V2;
  writeInt16(batch, ATTRIBUTES_AT, header.attributes);
  writeInt32(batch, LAST_OFFSET_DELTA_AT, header.lastOffsetDelta);
  writeInt64(batch, BASE_TIMESTAMP_AT, header.baseTimestampMs);
  writeInt64(batch, MAX_TIMESTAMP_AT, header.maxTimestampMs);
  writeInt64(batch, PRODUCER_ID_AT, header.producerId);
  writeInt16(batch, PRODUCER_EPOCH_AT, header.producerEpoch);
  writeInt32(batch, BASE_SEQUENCE_AT, header.baseSequence);
  writeInt32(batch, RECORD_COUNT_AT, header.recordCount);
  patchCrc(batch, 0, batch.length, compute);
}

/** The sequence `count` records after `sequence`; sequences wrap from 2^31 - 1 to 0. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) & 0x7fffffff;
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

/** Whether every int64 of the header was read as the number it is: -(2^53 - 1) to 2^53 - 1. */
export function areInt64sSafe(bytes: Uint8Array, at: number): boolean {
  return (
    Number.isSafeInteger(readInt64(bytes, at)) &&
    Number.isSafeInteger(readInt64(bytes, at + BASE_TIMESTAMP_AT)) &&
    Number.isSafeInteger(readInt64(bytes, at + MAX_TIMESTAMP_AT)) &&
    Number.isSafeInteger(readInt64(bytes, at + PRODUCER_ID_AT))
  );
}

function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
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
