// The validating walk over the records of a block: what a broker does with every batch it is sent.
// Invariant: allocates nothing and follows no position outside its record; fast for one-byte varints.
// Kafka: org.apache.kafka.storage.internals.log.LogValidator, DefaultRecord.readPartiallyFrom.

import type { RecordBlock, RecordFault } from "./record_block.ts";
import { readVarintAt, readVarlongAt, varintEnd } from "./record_varint.ts";

/** What a walk learns on its way. Reused by the caller between walks. */
export interface RecordWalkFindings {
  /** Greatest timestamp delta, and the index of the first record that has it; 0 and -1 without records. */
  maxTimestampDelta: number;
  maxTimestampIndex: number;
  minTimestampDelta: number;
  /** Offset delta of the last record; -1 without records. */
  lastOffsetDelta: number;
  /** Records whose key is null: a compacted topic takes none. */
  nullKeyCount: number;
}

/** Fresh findings, to be filled by `walkRecords`. */
export function recordWalkFindings(): RecordWalkFindings {
  return {
    maxTimestampDelta: 0,
    maxTimestampIndex: -1,
    minTimestampDelta: 0,
    lastOffsetDelta: -1,
    nullKeyCount: 0,
  };
}

/**
 * Walks every record and checks that lengths nest and the count is right; allocates nothing.
 *
 * @param contiguous Also demand offset deltas 0, 1, 2, …: what a producer must send. Compaction
 *   leaves gaps; then only ascending deltas are demanded.
 * @param findings Filled in when given; without meaning after a fault.
 * @returns Null when sound.
 */
export function walkRecords(
  block: RecordBlock,
  contiguous: boolean,
  findings?: RecordWalkFindings,
): RecordFault | null {
  const { bytes, end, count } = block;
  let at = block.start;
  let maxDelta = Number.NEGATIVE_INFINITY;
  let maxIndex = -1;
  let minDelta = Number.POSITIVE_INFINITY;
  let nullKeys = 0;
  let lastDelta = -1;
  if (count < 0) return "bad_record_count";
  for (let index = 0; index < count; index++) {
    if (at >= end) return "bad_record_count";
    let value = bytes[at++]!;
    if (value < 0x80) value = (value >>> 1) ^ -(value & 1);
    else {
      value = readVarintAt(bytes, at - 1, end);
      at = varintEnd;
      if (at < 0) return "bad_record_length";
    }
    const recordEnd = at + value;
    // Six bytes are the least: attributes and five varints.
    if (value < 6 || recordEnd > end) return "bad_record_length";
    at++;

    value = bytes[at++]!;
    if (value < 0x80) value = (value >>> 1) ^ -(value & 1);
    else {
      value = readVarlongAt(bytes, at - 1, recordEnd);
      at = varintEnd;
      if (at < 0) return "bad_record_length";
      if (!Number.isSafeInteger(value)) return "out_of_range";
    }
    if (value > maxDelta) {
      maxDelta = value;
      maxIndex = index;
    }
    if (value < minDelta) minDelta = value;

    value = bytes[at++]!;
    if (value < 0x80) value = (value >>> 1) ^ -(value & 1);
    else {
      value = readVarintAt(bytes, at - 1, recordEnd);
      at = varintEnd;
      if (at < 0) return "bad_record_length";
    }
    if (contiguous ? value !== index : value <= lastDelta) return "bad_offset_delta";
    lastDelta = value;

    value = bytes[at++]!;
    if (value < 0x80) value = (value >>> 1) ^ -(value & 1);
    else {
      value = readVarintAt(bytes, at - 1, recordEnd);
      at = varintEnd;
      if (at < 0) return "bad_record_length";
    }
    if (value < 0) {
      if (value !== -1) return "bad_record_length";
      nullKeys++;
    } else at += value;
    if (at >= recordEnd) return "bad_record_length";

    value = bytes[at++]!;
    if (value < 0x80) value = (value >>> 1) ^ -(value & 1);
    else {
      value = readVarintAt(bytes, at - 1, recordEnd);
      at = varintEnd;
      if (at < 0) return "bad_record_length";
    }
    if (value < 0) {
      if (value !== -1) return "bad_record_length";
    } else at += value;
    if (at >= recordEnd) return "bad_record_length";

    value = bytes[at++]!;
    if (value !== 0) {
      at = walkHeaders(bytes, at - 1, recordEnd);
      if (at < 0) return "bad_record_length";
    }
    if (at !== recordEnd) return "bad_record_length";
  }
  if (at !== end) return "bad_record_count";
  if (findings !== undefined) {
    findings.maxTimestampDelta = maxIndex < 0 ? 0 : maxDelta;
    findings.maxTimestampIndex = maxIndex;
    findings.minTimestampDelta = maxIndex < 0 ? 0 : minDelta;
    findings.lastOffsetDelta = lastDelta;
    findings.nullKeyCount = nullKeys;
  }
  return null;
}

/** The end of the headers whose count stands at `at`, or -1. */
export function walkHeaders(bytes: Uint8Array, at: number, end: number): number {
  const count = readVarintAt(bytes, at, end);
  at = varintEnd;
  // Each header takes two bytes at least, so a wild count ends here and not in a long loop.
  if (at < 0 || count < 0 || count > (end - at) >>> 1) return -1;
  for (let i = 0; i < count; i++) {
    const keyLength = readVarintAt(bytes, at, end);
    at = varintEnd;
    if (at < 0 || keyLength < 0 || keyLength > end - at) return -1;
    at += keyLength;
    const valueLength = readVarintAt(bytes, at, end);
    at = varintEnd;
    if (at < 0 || valueLength < -1 || valueLength > end - at) return -1;
    if (valueLength > 0) at += valueLength;
  }
  return at;
}
