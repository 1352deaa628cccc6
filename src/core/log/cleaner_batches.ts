// Which records of one batch survive cleaning, and the batch that is left of them: offsets, producer, sequence
// and codec as they were, tombstones with the time at which they may go (KIP-534).
// Invariant: a batch that loses nothing stays as it is, byte for byte. Kafka: LogCleaner.cleanInto, MemoryRecords.filterTo.

import { sizeOfVarlong, writeVarint, writeVarlong } from "../../base/varint.ts";
import {
  BATCH_HEADER_BYTES,
  DELETE_HORIZON_BIT,
  writeBatchHeader,
} from "../../record/batch_header.ts";
import type { Codec, Compression } from "../../record/compression.ts";
import type { RecordBatch } from "../../record/record_batch.ts";
import { openRecords, type RecordBlock, type RecordFault } from "../../record/record_block.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import { readVarlongAt, varintEnd } from "../../record/record_varint.ts";
import type { KeyOffsets } from "./cleaner_keys.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

/** Codec number 0: a batch without records has nothing to compress. */
const CODEC_MASK = 0x07;
/** A length and a longer timestamp delta. */
const RECORD_GROWTH_BYTES = 5 + 9;

export interface CleaningRules {
  /** The newest offsets of the keys written from the dirty part's start to `endOffset`. */
  readonly keys: KeyOffsets;
  /** Exclusive: records from here on stay, whatever the keys say. */
  readonly endOffset: number;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  readonly compression: Compression;
  /** The topic's own level where its codec is not the producer's choice; null for the codec's default. */
  readonly compressionLevel: number | null;
  readonly decompressedBytesMax: number;
  readonly crc32c: Crc32c | undefined;
}

/** What happened to the records of the batches so far. */
export interface CleaningCounts {
  records: number;
  kept: number;
  /** Of what was dropped: tombstones that had been there long enough. */
  tombstones: number;
}

export type CleanedBatch =
  /** Every record stays. */
  | { readonly kind: "kept" }
  /** None does, and the batch is not needed without. */
  | { readonly kind: "dropped" }
  /** `hasRecords`: false for a header alone. */
  | {
      readonly kind: "rewritten";
      readonly bytes: Uint8Array;
      readonly maxTimestampMs: number;
      readonly hasRecords: boolean;
    }
  | { readonly kind: "fault"; readonly fault: RecordFault };

const KEPT: CleanedBatch = { kind: "kept" };
const DROPPED: CleanedBatch = { kind: "dropped" };

/** Numbers that are noted of a record that stays: where it begins, where its body begins and ends, its timestamp delta. */
const NOTED = 4;

/**
 * Decides on every record of a batch.
 *
 * @param staysEmpty Whether its header is needed even without records.
 * @returns Fresh bytes where it is rewritten; offset and leader epoch as they were.
 */
export function cleanBatch(
  batch: RecordBatch,
  block: RecordBlock,
  staysEmpty: boolean,
  rules: CleaningRules,
  counts: CleaningCounts,
): CleanedBatch {
  const kept: number[] = [];
  const { baseOffset, baseTimestampMs, hasDeleteHorizon } = batch;
  const areTombstonesDue = hasDeleteHorizon && rules.nowMs >= baseTimestampMs;
  let isNewTombstoneThere = false;
  const cursor = new RecordCursor(block);
  let recordEnd = block.start;
  while (cursor.next()) {
    const recordStart = recordEnd;
    recordEnd = cursor.bodyEnd;
    const offset = baseOffset + cursor.offsetDelta;
    const isPast = offset >= rules.endOffset;
    const isTombstone = cursor.valueLength < 0;
    if (!isPast) {
      // Written while the topic was not compacted: without a key nothing says how long it is needed.
      if (cursor.keyLength < 0) continue;
      const { keyStart, keyLength } = cursor;
      if (offset < rules.keys.latest(block.bytes, keyStart, keyStart + keyLength)) continue;
      if (isTombstone && areTombstonesDue) {
        counts.tombstones++;
        continue;
      }
      if (isTombstone && !hasDeleteHorizon) isNewTombstoneThere = true;
    }
    kept.push(recordStart, cursor.bodyStart, recordEnd, cursor.timestampDelta);
  }
  if (cursor.fault !== null) return { kind: "fault", fault: cursor.fault };
  const keptCount = kept.length / NOTED;
  counts.records += block.count;
  counts.kept += keptCount;
  if (keptCount === 0) {
    if (!staysEmpty) return DROPPED;
    return block.count === 0 ? KEPT : emptiedBatch(batch, rules);
  }
  if (keptCount === block.count && !isNewTombstoneThere) return KEPT;
  const horizonMs = isNewTombstoneThere ? rules.nowMs + rules.deleteRetentionMs : null;
  return rewritten(batch, block, kept, horizonMs, rules);
}

/** What is left of a batch whose records all go. */
export function emptiedBatch(batch: RecordBatch, rules: CleaningRules): CleanedBatch {
  return { ...emptied(batch, rules), kind: "rewritten" };
}

/**
 * A transaction marker that nothing needs any more, with the time at which it may go; as with tombstones, whoever is
 * reading just now gets to see it before.
 */
export function expiringMarker(batch: RecordBatch, rules: CleaningRules): CleanedBatch {
  const block = openForCleaning(batch, rules);
  if (typeof block === "string") return { kind: "fault", fault: block };
  const cursor = new RecordCursor(block);
  const kept: number[] = [];
  let recordEnd = block.start;
  while (cursor.next()) {
    kept.push(recordEnd, cursor.bodyStart, cursor.bodyEnd, cursor.timestampDelta);
    recordEnd = cursor.bodyEnd;
  }
  if (cursor.fault !== null) return { kind: "fault", fault: cursor.fault };
  return rewritten(batch, block, kept, rules.nowMs + rules.deleteRetentionMs, rules);
}

/** Opens a batch for `cleanBatch`. */
export function openForCleaning(
  batch: RecordBatch,
  rules: Pick<CleaningRules, "compression" | "decompressedBytesMax">,
): RecordBlock | RecordFault {
  return openRecords(batch, {
    compression: rules.compression,
    sizeBytesMax: rules.decompressedBytesMax,
  });
}

/** @param horizonMs When its tombstones may go, where that is set now; the deltas then count from it. */
function rewritten(
  batch: RecordBatch,
  block: RecordBlock,
  kept: readonly number[],
  horizonMs: number | null,
  rules: CleaningRules,
): CleanedBatch {
  const baseTimestampMs = horizonMs ?? batch.baseTimestampMs;
  const shiftMs = batch.baseTimestampMs - baseTimestampMs;
  let sizeBytes = 0;
  let maxTimestampMs = -1;
  for (let i = 0; i < kept.length; i += NOTED) {
    const delta = kept[i + 3]!;
    // Another base makes its delta longer or shorter, by nine bytes at most; and the length in front.
    sizeBytes += kept[i + 2]! - kept[i]! + (shiftMs === 0 ? 0 : RECORD_GROWTH_BYTES);
    maxTimestampMs = Math.max(maxTimestampMs, batch.baseTimestampMs + delta);
  }
  if (batch.isLogAppendTime) maxTimestampMs = batch.maxTimestampMs;
  const codec = batch.codec as Codec;
  const headBytes = codec === "none" ? BATCH_HEADER_BYTES : 0;
  const room = new Uint8Array(headBytes + sizeBytes);
  const at =
    shiftMs === 0
      ? copyRecords(room, headBytes, block, kept)
      : writeRecords(room, headBytes, block, kept, shiftMs);
  const plain = room.subarray(0, at);
  let bytes = plain;
  if (codec !== "none") {
    const level = rules.compressionLevel ?? undefined;
    const records = rules.compression.compress(codec, plain, level);
    bytes = new Uint8Array(BATCH_HEADER_BYTES + records.length);
    bytes.set(records, BATCH_HEADER_BYTES);
  }
  const horizonBit = horizonMs === null ? 0 : DELETE_HORIZON_BIT;
  const attributes = batch.attributes | horizonBit;
  writeHeader(
    bytes,
    batch,
    attributes,
    baseTimestampMs,
    maxTimestampMs,
    kept.length / NOTED,
    rules,
  );
  return { kind: "rewritten", bytes, maxTimestampMs, hasRecords: true };
}

/** Copies records as they are, neighbours together. Returns the position after them. */
function copyRecords(
  target: Uint8Array,
  position: number,
  { bytes }: RecordBlock,
  kept: readonly number[],
): number {
  let at = position;
  for (let i = 0; i < kept.length; ) {
    const start = kept[i]!;
    let end = kept[i + 2]!;
    for (i += NOTED; i < kept.length && kept[i] === end; i += NOTED) end = kept[i + 2]!;
    target.set(bytes.subarray(start, end), at);
    at += end - start;
  }
  return at;
}

/** Copies records with other timestamp deltas. Returns the position after them. */
function writeRecords(
  target: Uint8Array,
  position: number,
  block: RecordBlock,
  kept: readonly number[],
  shiftMs: number,
): number {
  let at = position;
  for (let i = 0; i < kept.length; i += NOTED) {
    at = writeRecord(target, at, block, kept[i + 1]!, kept[i + 2]!, kept[i + 3]! + shiftMs);
  }
  return at;
}

/** Copies a record with another timestamp delta. Returns the position after it. */
function writeRecord(
  target: Uint8Array,
  position: number,
  { bytes }: RecordBlock,
  bodyStart: number,
  bodyEnd: number,
  timestampDelta: number,
): number {
  readVarlongAt(bytes, bodyStart + 1, bodyEnd);
  const restStart = varintEnd;
  const bodyBytes = 1 + sizeOfVarlong(timestampDelta) + bodyEnd - restStart;
  let at = writeVarint(target, position, bodyBytes);
  target[at++] = bytes[bodyStart]!;
  at = writeVarlong(target, at, timestampDelta);
  target.set(bytes.subarray(restStart, bodyEnd), at);
  return at + bodyEnd - restStart;
}

/** The header alone: it says how far its producer had come, and where the log goes on. */
function emptied(batch: RecordBatch, rules: CleaningRules) {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES);
  const { maxTimestampMs } = batch;
  const attributes = batch.attributes & ~(CODEC_MASK | DELETE_HORIZON_BIT);
  writeHeader(bytes, batch, attributes, -1, maxTimestampMs, 0, rules);
  return { bytes, maxTimestampMs, hasRecords: false };
}

function writeHeader(
  bytes: Uint8Array,
  batch: RecordBatch,
  attributes: number,
  baseTimestampMs: number,
  maxTimestampMs: number,
  recordCount: number,
  { crc32c }: CleaningRules,
): void {
  const { baseOffset, leaderEpoch, lastOffsetDelta, producerId, producerEpoch } = batch;
  writeBatchHeader(
    bytes,
    {
      baseOffset,
      leaderEpoch,
      attributes,
      lastOffsetDelta,
      baseTimestampMs,
      maxTimestampMs,
      producerId,
      producerEpoch,
      baseSequence: batch.baseSequence,
      recordCount,
    },
    crc32c,
  );
}
