// Cutting the end of a log off in memory: extents, segments, offsets, epochs, producers, transactions.
// Invariant: what lies before the cut stays as it was; segment files are not touched, as only their settled bytes count.
// Kafka: LocalLog.truncateTo, ProducerStateManager.truncateAndReload.

import type { ExtentIndex } from "./extent_index.ts";
import type { LeaderEpochs } from "./leader_epochs.ts";
import type { LogTransactions } from "./log_transactions.ts";
import type { SegmentInfo } from "./partition_state.ts";
import type { ProducerState } from "./producer_state.ts";

/** What is cut: PartitionLog has it. */
interface CutLog {
  readonly journal: { release(fileNumber: number, sizeBytes: number): void };
  readonly extents: ExtentIndex | null;
  readonly epochs: LeaderEpochs;
  segments: SegmentInfo[];
  producers: ProducerState | null;
  transactions: LogTransactions | null;
  firstBatches: object | null;
  holes: object | null;
  logStartOffset: number;
  logEndOffset: number;
  syncedEnd: number;
  highWatermark: number;
  settledEnd: number;
  cleanedEnd: number;
}

/** @param offset A batch border. */
export function cutTo(log: CutLog, offset: number): void {
  dropExtentsFrom(log, offset);
  while (log.segments.length > 0 && log.segments.at(-1)!.baseOffset >= offset) log.segments.pop();
  log.logEndOffset = Math.min(log.logEndOffset, offset);
  log.syncedEnd = Math.min(log.syncedEnd, offset);
  log.highWatermark = Math.min(log.highWatermark, offset);
  log.cleanedEnd = Math.min(log.cleanedEnd, offset);
  if (log.transactions === null) log.producers?.truncate(offset);
  else log.transactions.truncate(offset, log.producers);
  log.epochs.truncateFromEnd(offset);
}

function dropExtentsFrom(log: CutLog, offset: number): void {
  const { extents, segments } = log;
  let last = segments.length - 1;
  while (extents !== null && extents.count > 0) {
    const i = extents.count - 1;
    const baseOffset = extents.baseOffset(i);
    if (baseOffset < offset) break;
    while (last >= 0 && segments[last]!.baseOffset > baseOffset) last--;
    const sizeBytes = extents.sizeBytes(i);
    log.journal.release(extents.fileNumber(i), sizeBytes);
    extents.keepFirst(i);
    if (last >= 0) segments[last]!.sizeBytes -= sizeBytes;
  }
}

/** Lets go of journal extents whose batches end at or before `offset`. */
export function dropExtentsBefore(log: CutLog, offset: number): void {
  const { extents } = log;
  if (extents === null) return;
  let count = 0;
  while (count < extents.count) {
    const end = count + 1 < extents.count ? extents.baseOffset(count + 1) : log.logEndOffset;
    if (end > offset) break;
    log.journal.release(extents.fileNumber(count), extents.sizeBytes(count));
    count++;
  }
  if (count > 0) extents.dropFirst(count);
}

/** Leaves a log that holds nothing and ends at `offset`. Returns the segments that it had. */
export function forgetAll(log: CutLog, offset: number): readonly SegmentInfo[] {
  dropExtentsFrom(log, 0);
  const dropped = log.segments;
  log.segments = [];
  log.holes = null;
  log.producers = null;
  log.transactions = null;
  log.firstBatches = null;
  log.epochs.restore([]);
  log.logStartOffset = offset;
  log.logEndOffset = offset;
  log.syncedEnd = offset;
  log.highWatermark = offset;
  log.settledEnd = offset;
  log.cleanedEnd = 0;
  return dropped;
}
