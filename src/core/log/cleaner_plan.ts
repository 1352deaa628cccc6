// What the cleaner may do in a log, and whether it is worth it: which offsets are dirty, how much of the log
// that is, and which segments are rewritten together.
// Invariant: only whole segments that will not grow, below the first unstable offset and older than
// min.compaction.lag.ms, are cleaned. Kafka: LogCleanerManager, Cleaner.groupSegmentsBySize.

import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";

/**
 * The last segment is ended for the cleaner's sake once it has this much and is dirty enough, so that a small
 * table does not wait for segment.bytes to be full. Kafka waits.
 */
export const EARLY_ROLL_BYTES = 1024 * 1024;
const OFFSET_DELTA_MAX = 0x7fff_ffff;

export interface CleaningPlan {
  /** Inclusive: what lies before it was cleaned. */
  readonly dirtyStart: number;
  /** Exclusive, where a segment begins. */
  readonly dirtyEnd: number;
  readonly dirtyBytes: number;
  /** Share of the bytes before `dirtyEnd` that is dirty: 0 to 1. */
  readonly dirtyRatio: number;
  readonly isDue: boolean;
}

/** Whether the last segment should end now, so that it can be cleaned. */
export function isEarlyRollDue(log: PartitionLog, wallMs: number): boolean {
  const { settings } = log.topic;
  const last = log.segments.at(-1);
  if (!settings.cleanupCompact || last === undefined || last.sizeBytes === 0) return false;
  if (log.hasHole) return false;
  if (isOlderThan(last, settings.maxCompactionLagMs, wallMs)) return true;
  // Where records have to stay a while, ending segments early only makes many of them.
  if (last.sizeBytes < EARLY_ROLL_BYTES || settings.minCompactionLagMs > 0) return false;
  const cleanBytes = bytesOf(log, 0, dirtyStartOf(log));
  const dirtyBytes = log.sizeBytes - cleanBytes;
  return dirtyBytes / log.sizeBytes > settings.minCleanableDirtyRatio;
}

/** Null when nothing can be cleaned. */
export function planCleaning(log: PartitionLog, wallMs: number): CleaningPlan | null {
  const { settings } = log.topic;
  if (!settings.cleanupCompact || log.hasHole) return null;
  // Most logs have one segment, which grows.
  if (log.segments.length < 2) return null;
  const dirtyStart = dirtyStartOf(log);
  const endMax = uncommittedStart(log);
  let dirtyEnd = dirtyStart;
  let isOverdue = false;
  for (let i = 0; i + 1 < log.segments.length; i++) {
    const segment = log.segments[i]!;
    const end = log.segmentEnd(i);
    if (end <= dirtyStart) continue;
    if (end > endMax) break;
    const { minCompactionLagMs } = settings;
    const newestMs = segment.maxTimestampMs >= 0 ? segment.maxTimestampMs : segment.createdMs;
    if (minCompactionLagMs > 0 && newestMs > wallMs - minCompactionLagMs) break;
    isOverdue ||= isOlderThan(segment, settings.maxCompactionLagMs, wallMs);
    dirtyEnd = end;
  }
  if (dirtyEnd === dirtyStart) return null;
  const dirtyBytes = bytesOf(log, dirtyStart, dirtyEnd);
  const dirtyRatio = dirtyBytes / (bytesOf(log, 0, dirtyStart) + dirtyBytes);
  const isDue = isOverdue || dirtyRatio > settings.minCleanableDirtyRatio;
  return { dirtyStart, dirtyEnd, dirtyBytes, dirtyRatio, isDue };
}

/** What there is before the dirty part, and what of that may be cleaned now. */
export function cleanableOf(
  log: PartitionLog,
  wallMs: number,
): { readonly cleanBytes: number; readonly cleanableBytes: number } {
  const cleanBytes = bytesOf(log, 0, dirtyStartOf(log));
  return { cleanBytes, cleanableBytes: planCleaning(log, wallMs)?.dirtyBytes ?? 0 };
}

/** The segments with batches before `endOffset`, in runs that each become one segment. */
export function groupSegments(log: PartitionLog, endOffset: number): SegmentInfo[][] {
  const { segmentBytes } = log.topic.settings;
  const groups: SegmentInfo[][] = [];
  let group: SegmentInfo[] = [];
  let groupBytes = 0;
  for (const [i, segment] of log.segments.entries()) {
    // The last one grows.
    if (segment.baseOffset >= endOffset || i + 1 === log.segments.length) break;
    const first = group[0];
    const isFull =
      first === undefined ||
      groupBytes + segment.sizeBytes > segmentBytes ||
      log.segmentEnd(i) - 1 - first.baseOffset > OFFSET_DELTA_MAX;
    if (isFull) {
      group = [];
      groupBytes = 0;
      groups.push(group);
    }
    group.push(segment);
    groupBytes += segment.sizeBytes;
  }
  return groups;
}

function dirtyStartOf(log: PartitionLog): number {
  return Math.max(log.cleanedEnd, log.logStartOffset);
}

/** Exclusive end of what nothing can undo any more. */
function uncommittedStart(log: PartitionLog): number {
  const firstUnstable = log.transactions?.firstUnstableOffset ?? Number.POSITIVE_INFINITY;
  return Math.min(log.highWatermark, firstUnstable);
}

/** Bytes of the segments with offsets in [start, end). */
function bytesOf(log: PartitionLog, start: number, end: number): number {
  let sizeBytes = 0;
  for (const [i, segment] of log.segments.entries()) {
    if (segment.baseOffset < end && log.segmentEnd(i) > start) sizeBytes += segment.sizeBytes;
  }
  return sizeBytes;
}

function isOlderThan(segment: SegmentInfo, ageMs: number, wallMs: number): boolean {
  const firstMs = segment.firstTimestampMs >= 0 ? segment.firstTimestampMs : segment.createdMs;
  return wallMs - firstMs > ageMs;
}
