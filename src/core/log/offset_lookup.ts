// The first record at or after a timestamp, and the record with the greatest one. The indexes name
// a batch; only that batch is opened. Kafka: UnifiedLog.fetchOffsetByTimestamp, LogSegment.findOffsetByTimestamp.

import { lastOffsetAt, maxTimestampAt } from "../../record/batch_header.ts";
import { batchSizeAt, RecordBatch } from "../../record/record_batch.ts";
import { type OpenOptions, openRecords } from "../../record/record_block.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import type { LogRead, LogReader } from "./log_reader.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentFiles } from "./segment_files.ts";

const READ_BYTES = 256 * 1024;
const TRIES = 5;

export interface FoundOffset {
  readonly offset: number;
  readonly timestampMs: number;
}

/** @param at A timestamp in ms, or "max" for the first record with the greatest timestamp. */
export async function findOffset(
  log: PartitionLog,
  at: number | "max",
  reader: LogReader,
  segmentFiles: SegmentFiles,
  open: OpenOptions,
): Promise<FoundOffset | null | "corrupt" | "io"> {
  let timestampMs: number;
  let from = log.logStartOffset;
  if (at === "max") {
    const newest = newestSegment(log);
    if (newest === null) return null;
    timestampMs = newest.maxTimestampMs;
    from = Math.max(from, newest.maxTimestampOffset);
  } else {
    timestampMs = at;
    const segment = log.segments.findIndex((each) => each.maxTimestampMs >= timestampMs);
    if (segment < 0) return null;
    from = Math.max(from, await startIn(log, segment, timestampMs, segmentFiles));
  }
  return await scan(log, from, timestampMs, reader, open);
}

function newestSegment(log: PartitionLog) {
  let newest = null;
  for (const segment of log.segments) {
    if (segment.maxTimestampMs < 0) continue;
    if (newest === null || segment.maxTimestampMs > newest.maxTimestampMs) newest = segment;
  }
  return newest;
}

/** An offset at or before the first batch of the segment that is new enough. */
async function startIn(
  log: PartitionLog,
  index: number,
  timestampMs: number,
  segmentFiles: SegmentFiles,
): Promise<number> {
  const segment = log.segments[index]!;
  const settledUpTo = Math.min(log.settledEnd, log.segmentEnd(index));
  if (segment.settledBytes > 0) {
    const sparse = await segmentFiles.index(log, segment);
    if (sparse.maxTimestampMs >= timestampMs) return sparse.offsetForTimestamp(timestampMs);
  }
  const { extents } = log;
  for (
    let i = Math.max(extents?.indexOf(Math.max(segment.baseOffset, settledUpTo)) ?? 0, 0);
    extents !== null && i < extents.count;
    i++
  ) {
    if (extents.maxTimestampMs(i) >= timestampMs) return extents.baseOffset(i);
  }
  return segment.baseOffset;
}

async function scan(
  log: PartitionLog,
  from: number,
  timestampMs: number,
  reader: LogReader,
  open: OpenOptions,
): Promise<FoundOffset | null | "corrupt" | "io"> {
  let offset = from;
  for (let tries = 0; offset < log.highWatermark; ) {
    const read = await reader.read(log, offset, log.highWatermark, READ_BYTES, true);
    if (read.fault === "moved" || (read.fault === null && read.buffer === null)) {
      // The log's start has moved past it, or its bytes lie elsewhere now.
      if (log.topic.isDeleted || ++tries > TRIES) return "io";
      offset = Math.max(offset, log.logStartOffset);
      continue;
    }
    if (read.fault !== null) return read.fault;
    try {
      const hit = scanBatches(log, read, timestampMs, open);
      if (hit === "corrupt" || typeof hit === "object") return hit;
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
): FoundOffset | "corrupt" | number {
  let at = 0;
  let next = 0;
  while (at < batches.length) {
    const sizeBytes = batchSizeAt(batches, at, batches.length);
    next = lastOffsetAt(batches, at) + 1;
    if (maxTimestampAt(batches, at) >= timestampMs) {
      const batch = new RecordBatch(batches, at, sizeBytes);
      const block = openRecords(batch, open);
      if (typeof block === "string") return "corrupt";
      const cursor = new RecordCursor(block);
      while (cursor.next()) {
        const offset = batch.baseOffset + cursor.offsetDelta;
        const recordMs = batch.isLogAppendTime
          ? batch.maxTimestampMs
          : batch.baseTimestampMs + cursor.timestampDelta;
        if (recordMs >= timestampMs && offset >= log.logStartOffset) {
          return { offset, timestampMs: recordMs };
        }
      }
    }
    at += sizeBytes;
  }
  return next;
}
