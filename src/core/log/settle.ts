// Giving journal files up: partitions that have grown get segment files of their own, what little
// others have is moved to the journal's end, states are written again, and then the file goes.
// Invariant: a file goes only after everything needed from it is synced elsewhere and a synced state
// entry says so; a crash at any step leaves the old file, and recovery takes whichever is newer.

import type { Clock, Logger, Scheduler } from "../../contracts/runtime.ts";
import type { SegmentFile } from "../../contracts/storage.ts";
import { baseOffsetAt, lastOffsetAt, maxTimestampAt } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { AbortedIndex } from "./aborted_index.ts";
import type { CommitGroup } from "./commit_group.ts";
import { GatheredSync } from "./gathered_sync.ts";
import type { Journal } from "./journal.ts";
import type { JournalFile } from "./journal_file.ts";
import { EntryKind } from "./journal_format.ts";
import type { LogRead, LogReader } from "./log_reader.ts";
import { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import type { SegmentFiles } from "./segment_files.ts";
import { SegmentIndex } from "./segment_index.ts";

/** A partition with this much in the journal gets segment files. */
export const GROWN_BYTES = 1024 * 1024;
const GROWN_BATCHES = 1024;
const SLICE_BYTES = 1024 * 1024;
/** Batches moved by one commit, at most. */
const MOVED_SLICE = 512;
/** States written between two turns of the event loop. */
const STATES_SLICE = 256;
/** While more than this arrives a second, copying waits: it would compete for disk and event loop. */
const BUSY_BYTES_PER_SECOND = 8 * 1024 * 1024;
/** But not past so many times the bound. */
const BUSY_FACTOR = 4;

export interface SettlerOptions {
  readonly journal: Journal;
  readonly reader: LogReader;
  readonly segmentFiles: SegmentFiles;
  readonly aborted: AbortedIndex;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Sealed journal files are given up while they hold more than this, oldest first; four times as
   * much while a lot arrives.
   */
  readonly journalBytesMax: number;
  /** Whether the cleaner is about to take what a log has in the journal into segments of its own. */
  readonly isToBeCleaned?: (log: PartitionLog) => boolean;
  /** GROWN_BYTES unless a test wants segment files sooner. */
  readonly grownBytes: number;
}

/**
 * What came of trying to give a file up: "gone"; "kept" when it is not worth it or not possible until much
 * of it has died; "later" when something else was in the way just now.
 */
type Outcome = "gone" | "kept" | "later";

/** A segment that settling has appended to. Nobody reads what was appended until `land`. */
interface Part {
  readonly segment: SegmentInfo;
  /** Grows with the file; the index that readers have stays as it is. */
  readonly index: SegmentIndex;
  readonly sync: GatheredSync;
}

/** A batch on its way to another place of the journal. */
interface MovingBatch {
  readonly log: PartitionLog;
  readonly read: LogRead;
  readonly file: JournalFile;
  readonly position: number;
  /** Of the log, when it was read. */
  readonly cuts: number;
}

export class Settler {
  readonly #options: SettlerOptions;
  #isRunning = false;
  #isStopped = false;
  #bytesMax: number;
  #lastAppendedBytes = 0;
  #lastLookMs: number;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#bytesMax = options.journalBytesMax;
    this.#lastLookMs = options.clock.monotonicMs();
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Looks through the sealed files, each once, and gives up those that should go. One run at a time. */
  async run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#options.journal.isSettling = true;
    this.#bytesMax = this.#options.journalBytesMax * (this.#isBusy() ? BUSY_FACTOR : 1);
    const tried = new Set<JournalFile>();
    try {
      for (let file = this.#next(tried); file !== null; file = this.#next(tried)) {
        tried.add(file);
        if ((await this.#giveUp(file)) === "kept") file.keptAtBytes = file.neededBytes;
      }
    } finally {
      this.#isRunning = false;
      this.#options.journal.isSettling = false;
    }
  }

  /** Whether a lot has arrived since the last look. */
  #isBusy(): boolean {
    const { journal, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const seconds = (nowMs - this.#lastLookMs) / 1000;
    const arrivedBytes = journal.appendedBytes - this.#lastAppendedBytes;
    this.#lastLookMs = nowMs;
    this.#lastAppendedBytes = journal.appendedBytes;
    return seconds > 0 && arrivedBytes / seconds > BUSY_BYTES_PER_SECOND;
  }

  /** The file to give up now, or null: one without live batches, one mostly dead, or the oldest past the bound. */
  #next(tried: ReadonlySet<JournalFile>): JournalFile | null {
    const { journal } = this.#options;
    if (this.#isStopped || journal.isFailed) return null;
    let candidate: JournalFile | null = null;
    let sealedBytes = 0;
    for (const file of journal.files.values()) {
      if (!file.isSealed || file.isGone || file.syncedBytes < file.endPosition) continue;
      // What is damaged stays, as evidence and so that every start says so.
      if (file.isDamaged || tried.has(file)) continue;
      // Found not worth it before; unless much of it died since, it still is not.
      if (file.neededBytes > file.keptAtBytes * 0.75) continue;
      if (file.neededBytes < file.endPosition / 2 && !this.#shrinksSoon(file)) return file;
      sealedBytes += file.endPosition;
      candidate ??= file;
    }
    return sealedBytes > this.#bytesMax ? candidate : null;
  }

  /** What the cleaner takes of it need not be copied by others first, while there is room to wait for it. */
  #shrinksSoon(file: JournalFile): boolean {
    const { isToBeCleaned } = this.#options;
    if (isToBeCleaned === undefined || file.liveBytes === 0) return false;
    for (const log of file.logs) {
      if (log instanceof PartitionLog && isToBeCleaned(log)) return true;
    }
    return false;
  }

  async #giveUp(file: JournalFile): Promise<Outcome> {
    const { journal, log, scheduler } = this.#options;
    const bytesBefore = file.liveBytes;
    const logs = [...file.logs].filter(
      (client): client is PartitionLog => client instanceof PartitionLog && !client.topic.isDeleted,
    );
    // A state written now would pass over what is missing.
    if (logs.some((partitionLog) => partitionLog.hasHole)) return "kept";
    const small: PartitionLog[] = [];
    for (const partitionLog of logs) {
      if (liveCount(partitionLog, file) === 0) continue;
      if (!isGrown(partitionLog, this.#options.grownBytes)) small.push(partitionLog);
      else {
        const endOffset = endOfShare(partitionLog, file);
        const outcome = await this.#copy(
          partitionLog,
          Math.min(endOffset, partitionLog.highWatermark),
        );
        if (outcome !== "gone") return outcome;
      }
    }
    // Moving is only worth it when it frees more than it writes.
    if (file.neededBytes > file.endPosition / 2) return "kept";
    const outcome = await this.#move(small, file);
    if (outcome !== "gone") return outcome;
    let written = 0;
    for (const partitionLog of logs) {
      // A state in a later file knows all that this one says of the log.
      if (partitionLog.topic.isDeleted || partitionLog.stateFile > file.number) continue;
      partitionLog.writeState();
      if (++written % STATES_SLICE === 0) await scheduler.yieldNow();
    }
    if (!(await journal.flush())) return "later";
    if (!(await journal.remove(file))) return "later";
    log.debug("journal_file_given_up", { file: file.number, movedBytes: bytesBefore });
    return "gone";
  }

  /** Copies everything of a log up to `endOffset` into segment files, and writes its state. */
  async #copy(log: PartitionLog, endOffset: number): Promise<Outcome> {
    const { reader, scheduler } = this.#options;
    const parts: Part[] = [];
    const { cuts } = log;
    let outcome: Outcome = "later";
    try {
      let offset = Math.max(log.settledEnd, log.extents?.count ? log.extents.baseOffset(0) : 0);
      while (offset < endOffset) {
        if (this.#isStopped || log.topic.isDeleted || log.cuts !== cuts) return "later";
        // The cleaner was quicker: what is there now is what it left.
        if (offset < log.settledEnd) return "later";
        const at = log.segmentIndexOf(offset);
        const segment = log.segments[at];
        if (segment === undefined) return "later";
        const end = Math.min(log.segmentEnd(at), endOffset);
        const read = await reader.read(log, offset, end, SLICE_BYTES, true);
        if (read.fault !== null) return read.fault === "corrupt" ? "kept" : "later";
        // Its start has moved: what it has now is copied another time.
        if (read.buffer === null) return "later";
        try {
          if (baseOffsetAt(read.batches, 0) !== offset) return "later";
          offset = await this.#appendTo(log, segment, parts, read.batches);
        } finally {
          reader.release(read);
        }
        await scheduler.yieldNow();
      }
      if (await this.#land(log, parts, offset, cuts)) outcome = "gone";
    } finally {
      await this.#tidy(log, parts, outcome);
    }
    return outcome;
  }

  /** Appends batches to a segment's file. Returns the offset after them. */
  async #appendTo(
    log: PartitionLog,
    segment: SegmentInfo,
    parts: Part[],
    batches: Uint8Array,
  ): Promise<number> {
    const { segmentFiles } = this.#options;
    const append = async (target: SegmentFile): Promise<number> => {
      let part = parts.find((each) => each.segment === segment);
      if (part === undefined) {
        // A try that was cut short has left more than anybody knows of.
        if (target.sizeBytes !== segment.settledBytes) await target.truncate(segment.settledBytes);
        const index =
          segment.settledBytes === 0
            ? new SegmentIndex(segment.baseOffset)
            : (await segmentFiles.indexIn(log, segment, target)).copy();
        part = { segment, index, sync: new GatheredSync() };
        parts.push(part);
      }
      await target.append([batches]);
      let offset = 0;
      for (let at = 0; at < batches.length; ) {
        const sizeBytes = batchSizeAt(batches, at, batches.length);
        const { indexIntervalBytes } = log.topic.settings;
        const maxTimestampMs = maxTimestampAt(batches, at);
        part.index.add(baseOffsetAt(batches, at), sizeBytes, maxTimestampMs, indexIntervalBytes);
        offset = lastOffsetAt(batches, at) + 1;
        at += sizeBytes;
      }
      return offset;
    };
    // What was dropped meanwhile needs none.
    const sync = async () => {
      if (!log.segments.includes(segment)) return;
      await segmentFiles.use(log, segment, false, (file) => file.sync());
    };
    try {
      const offset = await segmentFiles.use(log, segment, true, append);
      // Only now: within, whoever removes the file would wait for this, and this for them.
      const part = parts.find((each) => each.segment === segment)!;
      await part.sync.wrote(batches.length, SLICE_BYTES, true, sync);
      return offset;
    } catch (error) {
      await segmentFiles.reopen(log, segment);
      throw error;
    }
  }

  /** Syncs the files, and then lets everybody know, and the journal first. */
  async #land(
    log: PartitionLog,
    parts: readonly Part[],
    endOffset: number,
    cuts: number,
  ): Promise<boolean> {
    const { segmentFiles } = this.#options;
    for (const { segment, sync } of parts) {
      await sync.settled();
      if (!log.segments.includes(segment)) continue;
      await segmentFiles.use(log, segment, false, (file) => file.sync());
    }
    const abortedCounts = await this.#landAborted(log, parts, endOffset);
    // What was copied may have been cut off meanwhile, and be something else by now.
    if (log.topic.isDeleted || log.cuts !== cuts) return false;
    for (const [i, { segment, index }] of parts.entries()) {
      if (!log.segments.includes(segment)) continue;
      segment.settledBytes = index.coveredBytes;
      segment.abortedCount += abortedCounts[i]!;
      segmentFiles.keepIndex(log, segment, index);
    }
    log.settledEnd = Math.max(log.settledEnd, endOffset);
    log.transactions?.aborted.dropBefore(log.settledEnd);
    const group = log.writeState();
    if (!(await group.settled())) return false;
    log.dropExtentsBefore(log.settledEnd);
    for (const { segment, index } of parts) {
      if (segment === log.segments.at(-1) || !log.segments.includes(segment)) continue;
      await segmentFiles.writeIndex(log, segment, index);
    }
    return true;
  }

  /** Writes down which transactions were aborted in what was appended to each file. Returns how many. */
  async #landAborted(
    log: PartitionLog,
    parts: readonly Part[],
    endOffset: number,
  ): Promise<readonly number[]> {
    const counts: number[] = [];
    for (const { segment } of parts) {
      const { transactions, segments } = log;
      const at = segments.indexOf(segment);
      const end = Math.min(at < 0 ? 0 : log.segmentEnd(at), endOffset);
      const added = transactions?.aborted.between(segment.baseOffset, end) ?? [];
      counts.push(added.length);
      await this.#options.aborted.append(log, segment, added);
    }
    return counts;
  }

  /** Segments that were dropped meanwhile leave no file; one whose append or sync failed is opened anew. */
  async #tidy(log: PartitionLog, parts: readonly Part[], outcome: Outcome): Promise<void> {
    const { segmentFiles, journal } = this.#options;
    if (journal.isFailed) return;
    for (const { segment } of parts) {
      // One that was cut has the same file.
      const { baseOffset, generation } = segment;
      const isThere = log.segments.some(
        (each) => each.baseOffset === baseOffset && each.generation === generation,
      );
      if (isThere) {
        if (outcome !== "gone") await segmentFiles.reopen(log, segment);
        continue;
      }
      // A synced state may speak of a dropped segment until the start entry that dropped it is synced too.
      if (!(await journal.flush())) return;
      await segmentFiles.remove(log, segment);
    }
  }

  /** Copies small logs' batches in `file` to the end of the journal. */
  async #move(logs: readonly PartitionLog[], file: JournalFile): Promise<Outcome> {
    const { journal, reader } = this.#options;
    let moving: MovingBatch[] = [];
    let movingBytes = 0;
    let group: CommitGroup | null = null;
    let outcome: Outcome = "gone";
    const land = async () => {
      const landing = moving;
      moving = [];
      movingBytes = 0;
      return await this.#landMoved(landing, group);
    };
    for (const log of logs) {
      for (const offset of offsetsIn(log, file)) {
        if (outcome !== "gone" || this.#isStopped || log.topic.isDeleted) break;
        // Gone meanwhile, into a segment that was cleaned.
        if (offset < log.settledEnd) continue;
        const { cuts } = log;
        const read = await reader.read(log, offset, log.highWatermark, 1, true);
        if (read.fault !== null) outcome = read.fault === "corrupt" ? "kept" : "later";
        // None: the log's start has moved past it.
        if (read.buffer === null) continue;
        if (offset < log.settledEnd || log.cuts !== cuts) {
          reader.release(read);
          continue;
        }
        group = journal.append(log, EntryKind.movedBatch, 0, read.batches, -1, "sync");
        const { lastFile: file, lastPosition: position } = journal;
        moving.push({ log, read, file, position, cuts });
        movingBytes += read.batches.length;
        if (movingBytes < SLICE_BYTES && moving.length < MOVED_SLICE) continue;
        if (!(await land())) outcome = "later";
      }
    }
    if (!(await land()) || this.#isStopped) return "later";
    return outcome;
  }

  async #landMoved(moving: readonly MovingBatch[], group: CommitGroup | null): Promise<boolean> {
    const { reader, scheduler } = this.#options;
    // Groups commit in order: the newest one stands for all.
    const isDone = group === null || (await group.settled());
    for (const { log, read, file, position, cuts } of moving) {
      const { batches } = read;
      const baseOffset = baseOffsetAt(batches, 0);
      const at = log.extents?.indexOf(baseOffset) ?? -1;
      const isStillThere = at >= 0 && log.extents!.baseOffset(at) === baseOffset;
      if (isDone && isStillThere && !log.topic.isDeleted && log.cuts === cuts) {
        log.placeExtent(baseOffset, file, position, batches.length, maxTimestampAt(batches, 0));
      }
      reader.release(read);
    }
    await scheduler.yieldNow();
    return isDone;
  }
}

function isGrown(log: PartitionLog, grownBytes: number): boolean {
  if (log.settledEnd > log.logStartOffset) return true;
  const { extents } = log;
  if (extents === null) return false;
  if (extents.count >= GROWN_BATCHES) return true;
  let sizeBytes = 0;
  for (let i = 0; i < extents.count; i++) sizeBytes += extents.sizeBytes(i);
  return sizeBytes >= grownBytes;
}

function liveCount(log: PartitionLog, file: JournalFile): number {
  let count = 0;
  for (let i = 0; log.extents !== null && i < log.extents.count; i++) {
    if (log.extents.fileNumber(i) === file.number) count++;
  }
  return count;
}

function offsetsIn(log: PartitionLog, file: JournalFile): number[] {
  const offsets: number[] = [];
  for (let i = 0; log.extents !== null && i < log.extents.count; i++) {
    if (log.extents.fileNumber(i) === file.number) offsets.push(log.extents.baseOffset(i));
  }
  return offsets;
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
