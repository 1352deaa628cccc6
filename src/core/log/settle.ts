// Giving journal files up: partitions that have grown get segment files of their own, what little
// others have is moved to the journal's end, states are written again, and then the file goes.
// Invariant: a file goes only after everything needed from it is synced elsewhere and a synced state
// entry says so; a crash at any step leaves the old file, and recovery takes whichever is newer.

import type { BufferPool } from "../../base/buffer_pool.ts";
import type { Logger, Scheduler } from "../../contracts/runtime.ts";
import { baseOffsetAt, lastOffsetAt, maxTimestampAt } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { Journal } from "./journal.ts";
import type { JournalFile } from "./journal_file.ts";
import { EntryKind } from "./journal_format.ts";
import type { LogReader } from "./log_reader.ts";
import { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import type { SegmentFiles } from "./segment_files.ts";
import { SegmentIndex } from "./segment_index.ts";

/** A partition with this much in the journal gets segment files. */
const GROWN_BYTES = 1024 * 1024;
const GROWN_BATCHES = 1024;
const SLICE_BYTES = 1024 * 1024;

export interface SettlerOptions {
  readonly journal: Journal;
  readonly reader: LogReader;
  readonly segmentFiles: SegmentFiles;
  readonly pool: BufferPool;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** Sealed journal files are given up while they hold more than this, oldest first. */
  readonly journalBytesMax: number;
}

export class Settler {
  readonly #options: SettlerOptions;
  #isRunning = false;
  #isStopped = false;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Looks through the sealed files and gives up those that should go. One run at a time. */
  async run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let file = this.#next(); file !== null; file = this.#next()) {
        if (!(await this.#giveUp(file))) file.keptAtLiveBytes = file.liveBytes;
      }
    } finally {
      this.#isRunning = false;
    }
  }

  /** The file to give up now, or null: one without live batches, one mostly dead, or the oldest past the bound. */
  #next(): JournalFile | null {
    const { journal, journalBytesMax } = this.#options;
    if (this.#isStopped || journal.isFailed) return null;
    let candidate: JournalFile | null = null;
    let sealedBytes = 0;
    for (const file of journal.files.values()) {
      if (!file.isSealed || file.isGone || file.syncedBytes < file.endPosition) continue;
      // Found not worth it before; unless much of it died since, it still is not.
      if (file.liveBytes > file.keptAtLiveBytes * 0.75) continue;
      if (file.liveBytes < file.endPosition / 2) return file;
      sealedBytes += file.endPosition;
      candidate ??= file;
    }
    return sealedBytes > journalBytesMax ? candidate : null;
  }

  async #giveUp(file: JournalFile): Promise<boolean> {
    const { journal, log } = this.#options;
    const bytesBefore = file.liveBytes;
    const logs = [...file.logs].filter(
      (client): client is PartitionLog => client instanceof PartitionLog && !client.topic.isDeleted,
    );
    const settled: PartitionLog[] = [];
    const small: PartitionLog[] = [];
    for (const partitionLog of logs) {
      const share = liveIn(partitionLog, file);
      if (share.count > 0) (isGrown(partitionLog) ? settled : small).push(partitionLog);
    }
    for (const partitionLog of settled) {
      if (this.#isStopped || !(await this.#settle(partitionLog, file))) return false;
    }
    // Moving is only worth it when it frees more than it writes.
    if (file.liveBytes > file.endPosition / 2) return false;
    for (const partitionLog of small) {
      if (this.#isStopped || !(await this.#move(partitionLog, file))) return false;
    }
    for (const partitionLog of logs) {
      // A state in a later file knows all that this one says of the log.
      if (!partitionLog.topic.isDeleted && partitionLog.stateFile <= file.number) {
        partitionLog.writeState();
      }
    }
    if (!(await journal.flush())) return false;
    const isRemoved = await journal.remove(file);
    if (isRemoved) {
      log.debug("journal_file_given_up", { file: file.number, movedBytes: bytesBefore });
    }
    return isRemoved;
  }

  /** Copies everything of a log, up to its last batch in `file`, into segment files, and writes its state. */
  async #settle(log: PartitionLog, file: JournalFile): Promise<boolean> {
    const { segmentFiles, scheduler, pool, reader } = this.#options;
    const endOffset = Math.min(endOfShare(log, file), log.highWatermark);
    const touched = new Map<SegmentInfo, SegmentIndex>();
    let offset = Math.max(log.settledEnd, log.extents?.count ? log.extents.baseOffset(0) : 0);
    const settledBytes = new Map<SegmentInfo, number>();
    while (offset < endOffset) {
      if (this.#isStopped || log.topic.isDeleted) return false;
      const at = log.segmentIndexOf(offset);
      const segment = log.segments[at];
      if (segment === undefined) return false;
      const end = Math.min(log.segmentEnd(at), endOffset);
      const read = await reader.read(log, offset, end, SLICE_BYTES, true);
      if (read.fault !== null || read.buffer === null) return false;
      const target = await segmentFiles.open(log, segment, true);
      let index = touched.get(segment);
      if (index === undefined) {
        if (target.sizeBytes !== segment.settledBytes) await target.truncate(segment.settledBytes);
        index =
          segment.settledBytes === 0
            ? new SegmentIndex(segment.baseOffset)
            : await segmentFiles.index(log, segment);
        touched.set(segment, index);
      }
      let position = 0;
      while (position < read.batches.length) {
        const sizeBytes = batchSizeAt(read.batches, position, read.batches.length);
        const { indexIntervalBytes } = log.topic.settings;
        index.add(
          baseOffsetAt(read.batches, position),
          sizeBytes,
          maxTimestampAt(read.batches, position),
          indexIntervalBytes,
        );
        offset = lastOffsetAt(read.batches, position) + 1;
        position += sizeBytes;
      }
      await target.append([read.batches]);
      settledBytes.set(segment, index.coveredBytes);
      pool.release(read.buffer);
      await scheduler.yieldNow();
    }
    const files = [];
    for (const segment of touched.keys()) {
      files.push({ file: await segmentFiles.open(log, segment, false), chunks: [] });
    }
    if (files.length > 0) await segmentFiles.store.commit(files);
    if (log.topic.isDeleted) return false;
    for (const [segment, index] of touched) {
      segment.settledBytes = settledBytes.get(segment) ?? segment.settledBytes;
      segmentFiles.keepIndex(log, index);
      if (segment !== log.segments.at(-1)) await segmentFiles.writeIndex(log, index);
    }
    log.settledEnd = Math.max(log.settledEnd, offset);
    const group = log.writeState();
    if (!(await group.settled())) return false;
    log.dropExtentsBefore(log.settledEnd);
    return true;
  }

  /** Copies a small log's batches in `file` to the end of the journal. */
  async #move(log: PartitionLog, file: JournalFile): Promise<boolean> {
    const { journal, reader, pool, scheduler } = this.#options;
    const offsets: number[] = [];
    for (let i = 0; log.extents !== null && i < log.extents.count; i++) {
      if (log.extents.fileNumber(i) === file.number) offsets.push(log.extents.baseOffset(i));
    }
    for (const offset of offsets) {
      const read = await reader.read(log, offset, log.highWatermark, 1, true);
      if (read.fault !== null || read.buffer === null) return false;
      const { batches } = read;
      const group = journal.append(log, EntryKind.movedBatch, 0, batches, -1, "sync");
      const place = { file: journal.lastFile, position: journal.lastPosition };
      const isDone = await group.settled();
      const baseOffset = baseOffsetAt(batches, 0);
      const at = log.extents?.indexOf(baseOffset) ?? -1;
      const isStillThere = at >= 0 && log.extents!.baseOffset(at) === baseOffset;
      if (isDone && isStillThere && !log.topic.isDeleted) {
        const maxTimestampMs = maxTimestampAt(batches, 0);
        log.placeExtent(baseOffset, place.file, place.position, batches.length, maxTimestampMs);
      }
      pool.release(read.buffer);
      if (!isDone) return false;
      await scheduler.yieldNow();
    }
    return true;
  }
}

function isGrown(log: PartitionLog): boolean {
  if (log.settledEnd > log.logStartOffset) return true;
  const { extents } = log;
  if (extents === null) return false;
  if (extents.count >= GROWN_BATCHES) return true;
  let sizeBytes = 0;
  for (let i = 0; i < extents.count; i++) sizeBytes += extents.sizeBytes(i);
  return sizeBytes >= GROWN_BYTES;
}

function liveIn(log: PartitionLog, file: JournalFile): { readonly count: number } {
  let count = 0;
  for (let i = 0; log.extents !== null && i < log.extents.count; i++) {
    if (log.extents.fileNumber(i) === file.number) count++;
  }
  return { count };
}

/** Exclusive end of the last batch of the log that lies in `file`. */
function endOfShare(log: PartitionLog, file: JournalFile): number {
  const { extents } = log;
  for (let i = (extents?.count ?? 0) - 1; extents !== null && i >= 0; i--) {
    if (extents.fileNumber(i) !== file.number) continue;
    return i + 1 < extents.count ? extents.baseOffset(i + 1) : log.logEndOffset;
  }
  return log.settledEnd;
}
