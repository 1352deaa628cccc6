// The first record at or after a timestamp, and the record with the greatest one. The indexes name
// a batch; only that batch is opened. Kafka: UnifiedLog.fetchOffsetByTimestamp, LogSegment.findOffsetByTimestamp.

import {
  baseOffsetAt,
  lastOffsetAt,
  maxTimestampAt,
  recordCountAt,
} from "../../record/batch_header.ts";
import { batchSizeAt, RecordBatch } from "../../record/record_batch.ts";
import { type OpenOptions, openRecords, type RecordFault } from "../../record/record_block.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import type { LogRead, LogReader } from "./log_reader.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import type { SegmentFiles } from "./segment_files.ts";

const READ_BYTES = 256 * 1024;
const TRIES = 5;

export interface FoundOffset {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Why a batch has no answer: it is damaged, or compressed with what this host lacks. */
type Unopened = "corrupt" | "unsupported";

function unopened(fault: RecordFault): Unopened {
  return fault === "unsupported_codec" ? "unsupported" : "corrupt";
}

/**
 * @param at A timestamp in ms, or "max" for the first record with the greatest timestamp.
 * @param endOffset Exclusive: the high watermark, or the last stable offset.
 */
export async function findOffset(
  log: PartitionLog,
  at: number | "max",
  endOffset: number,
  reader: LogReader,
  segmentFiles: SegmentFiles,
  open: OpenOptions,
): Promise<FoundOffset | null | Unopened | "io"> {
  if (at === "max") {
    const newest = newestSegment(log);
    if (newest === null) return null;
    const from = Math.max(log.logStartOffset, newest.maxTimestampOffset);
    const hit = await scan(log, from, endOffset, newest.maxTimestampMs, reader, open);
    if (hit !== null) return hit;
    // The record that has it was deleted, or is not committed yet: another one is the newest to be read.
    const readableMs = await newestReadable(log, endOffset, reader, segmentFiles, open);
    if (typeof readableMs === "string") return readableMs;
    if (readableMs < 0) return null;
    return await findOffset(log, readableMs, endOffset, reader, segmentFiles, open);
  }
  const segments = [...log.segments];
  for (const [i, segment] of segments.entries()) {
    if (segment.maxTimestampMs < at) continue;
    const end = segments[i + 1]?.baseOffset ?? log.logEndOffset;
    const start = await startIn(log, segment, end, at, segmentFiles);
    // The record that makes the segment new enough may be deleted: then a later one is the first.
    if (start === null) continue;
    return await scan(log, Math.max(log.logStartOffset, start), endOffset, at, reader, open);
  }
  return null;
}

function newestSegment(log: PartitionLog) {
  let newest = null;
  for (const segment of log.segments) {
    if (segment.maxTimestampMs < 0) continue;
    if (newest === null || segment.maxTimestampMs > newest.maxTimestampMs) newest = segment;
  }
  return newest;
}

/** The greatest timestamp from the log start to `endOffset`; −1 when there is none. */
async function newestReadable(
  log: PartitionLog,
  endOffset: number,
  reader: LogReader,
  segmentFiles: SegmentFiles,
  open: OpenOptions,
): Promise<number | Unopened | "io"> {
  let newestMs = -1;
  for (const [i, segment] of [...log.segments].entries()) {
    const start = Math.max(segment.baseOffset, log.logStartOffset);
    const end = Math.min(log.segmentEnd(i), endOffset);
    if (start >= end) continue;
    let offset = start;
    if (start === segment.baseOffset && end === log.segmentEnd(i)) {
      newestMs = Math.max(newestMs, segment.maxTimestampMs);
      continue;
    }
    // What is settled may reach past the end where transactions are undecided, and then it is read.
    if (start === segment.baseOffset && segment.settledBytes > 0 && log.settledEnd <= end) {
      newestMs = Math.max(newestMs, (await segmentFiles.index(log, segment)).maxTimestampMs);
      offset = Math.max(offset, log.settledEnd);
    }
    while (offset < end) {
      // A batch that is readable as a whole is known by its extent; one that the log start cuts is opened.
      const { extents } = log;
      const at = offset >= log.settledEnd ? (extents?.indexOf(offset) ?? -1) : -1;
      if (extents !== null && at >= 0 && extents.baseOffset(at) === offset) {
        newestMs = Math.max(newestMs, extents.maxTimestampMs(at));
        offset = at + 1 < extents.count ? extents.baseOffset(at + 1) : end;
        continue;
      }
      const read = await reader.read(log, offset, end, READ_BYTES, true);
      if (read.fault !== null && read.fault !== "moved") return read.fault;
      // The rest of the segment was cleaned away.
      if (read.fault === null && read.buffer === null && segment.generation > 0) break;
      if (read.fault !== null || read.buffer === null) return "io";
      try {
        const { batches } = read;
        for (let at = 0; at < batches.length; at += batchSizeAt(batches, at, batches.length)) {
          const isCut = baseOffsetAt(batches, at) < log.logStartOffset;
          const found = isCut ? newestInBatch(log, batches, at, open) : maxTimestampAt(batches, at);
          if (typeof found === "string") return found;
          // Of one that was emptied only its header is left, which tells of times that no record has.
          if (recordCountAt(batches, at) > 0) newestMs = Math.max(newestMs, found);
          offset = lastOffsetAt(batches, at) + 1;
        }
      } finally {
        reader.release(read);
      }
    }
  }
  return newestMs;
}

function newestInBatch(
  log: PartitionLog,
  batches: Uint8Array,
  at: number,
  open: OpenOptions,
): number | Unopened {
  const batch = new RecordBatch(batches, at, batchSizeAt(batches, at, batches.length));
  const block = openRecords(batch, open);
  if (typeof block === "string") return unopened(block);
  const cursor = new RecordCursor(block);
  let newestMs = -1;
  while (cursor.next()) {
    if (batch.baseOffset + cursor.offsetDelta < log.logStartOffset) continue;
    newestMs = Math.max(newestMs, timestampOf(batch, cursor));
  }
  return newestMs;
}

function timestampOf(batch: RecordBatch, cursor: RecordCursor): number {
  return batch.isLogAppendTime
    ? batch.maxTimestampMs
    : batch.baseTimestampMs + cursor.timestampDelta;
}

/** An offset at or before the first batch of the segment that is new enough; null when it has none. */
async function startIn(
  log: PartitionLog,
  segment: SegmentInfo,
  segmentEnd: number,
  timestampMs: number,
  segmentFiles: SegmentFiles,
): Promise<number | null> {
  const { settledEnd } = log;
  const settledUpTo = Math.max(segment.baseOffset, Math.min(settledEnd, segmentEnd));
  if (segment.settledBytes > 0) {
    const sparse = await segmentFiles.index(log, segment);
    if (sparse.maxTimestampMs >= timestampMs) return sparse.offsetForTimestamp(timestampMs);
    // Settling went on meanwhile: what it took out of the journal is no extent any more.
    if (log.settledEnd !== settledEnd) return settledUpTo;
  }
  const { extents } = log;
  for (
    let i = Math.max(extents?.indexOf(settledUpTo) ?? 0, 0);
    extents !== null && i < extents.count && extents.baseOffset(i) < segmentEnd;
    i++
  ) {
    if (extents.maxTimestampMs(i) >= timestampMs) return extents.baseOffset(i);
  }
  return null;
}

async function scan(
  log: PartitionLog,
  from: number,
  endOffset: number,
  timestampMs: number,
  reader: LogReader,
  open: OpenOptions,
): Promise<FoundOffset | null | Unopened | "io"> {
  let offset = from;
  for (let tries = 0; offset < endOffset; ) {
    const read = await reader.read(log, offset, endOffset, READ_BYTES, true);
    if (read.fault === "moved" || (read.fault === null && read.buffer === null)) {
      // The log's start has moved past it, or its bytes lie elsewhere now.
      if (log.topic.isDeleted || ++tries > TRIES) return "io";
      offset = Math.max(offset, log.logStartOffset);
      continue;
    }
    if (read.fault !== null) return read.fault;
    try {
      const hit = scanBatches(log, read, timestampMs, open);
      if (typeof hit !== "number") return hit;
      offset = hit;
    } finally {
      reader.release(read);
    }
  }
  return null;
}

/** What was found, or the offset after the batches. */
function scanBatches(
  log: PartitionLog,
  { batches }: LogRead,
  timestampMs: number,
  open: OpenOptions,
): FoundOffset | Unopened | number {
  let at = 0;
  let next = 0;
  while (at < batches.length) {
    const sizeBytes = batchSizeAt(batches, at, batches.length);
    next = lastOffsetAt(batches, at) + 1;
    if (maxTimestampAt(batches, at) >= timestampMs) {
      const batch = new RecordBatch(batches, at, sizeBytes);
      const block = openRecords(batch, open);
      if (typeof block === "string") return unopened(block);
      const cursor = new RecordCursor(block);
      while (cursor.next()) {
        const offset = batch.baseOffset + cursor.offsetDelta;
        const recordMs = timestampOf(batch, cursor);
        if (recordMs >= timestampMs && offset >= log.logStartOffset) {
          return { offset, timestampMs: recordMs };
        }
      }
    }
    at += sizeBytes;
  }
  return next;
}
