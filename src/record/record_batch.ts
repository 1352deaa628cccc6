// A v2 record batch inside a larger buffer: where it ends, whether it is sound, and a view of it.
// Invariant: nothing here copies a batch; damage is a value (BatchFault), never a throw.
// Kafka: org.apache.kafka.common.record.DefaultRecordBatch, ByteBufferLogInputStream.

import type { Crc32c } from "../base/crc32c.ts";
import {
  areInt64sSafe,
  attributesAt,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_PREFIX_BYTES,
  BYTES_UP_TO_MAGIC,
  baseOffsetAt,
  baseSequenceAt,
  baseTimestampAt,
  batchLengthAt,
  CONTROL_BIT,
  crcAt,
  DELETE_HORIZON_BIT,
  isCrcValid,
  LOG_APPEND_TIME_BIT,
  lastOffsetAt,
  lastOffsetDeltaAt,
  leaderEpochAt,
  MAGIC_V2,
  magicAt,
  maxTimestampAt,
  producerEpochAt,
  producerIdAt,
  recordCountAt,
  sequenceAfter,
  TRANSACTIONAL_BIT,
} from "./batch_header.ts";
import { type Codec, codecOfAttributes } from "./compression.ts";

/** Length fields below this cannot even be a message of format 0. */
const LENGTH_MIN_V0 = 14;

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
  const length = batchLengthAt(bytes, at);
  if (length < LENGTH_MIN_V0) return -2;
  if (rest < BYTES_UP_TO_MAGIC) return -1;
  const magic = magicAt(bytes, at);
  if (magic !== MAGIC_V2) return magic < MAGIC_V2 ? -3 : -4;
  const sizeBytes = length + BATCH_LENGTH_PREFIX_BYTES;
  if (sizeBytes < BATCH_HEADER_BYTES) return -2;
  return sizeBytes > rest ? -1 : sizeBytes;
}

/** The fault behind a negative result of `batchSizeAt`. */
export function faultOfSize(size: number): BatchFault {
  return FAULTS[-size - 1]!;
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
  return areInt64sSafe(bytes, at) ? null : "out_of_range";
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
