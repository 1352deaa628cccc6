// What replication does to the log of a follower: appending what the leader sent, cutting off what the leader does not have,
// beginning anew where nothing of it is of use. Loaded where a broker is one of several.
// Invariant: of one log, one of these at a time, and the caller waits for it; a cut is durable before anything behind it is,
// and a crash finds the log as it was or as it is then. Kafka: UnifiedLog.truncateTo, truncateFullyAndStartAt.

import { StorageError } from "../../contracts/errors.ts";
import type { Logger, Runtime } from "../../contracts/runtime.ts";
import { baseOffsetAt, lastOffsetAt, maxTimestampAt } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { AbortedIndex } from "./aborted_index.ts";
import type { CommitGroup } from "./commit_group.ts";
import { appendAsFollower, type FollowerVerdict, fillTo, noteProducer } from "./follower_append.ts";
import type { Journal } from "./journal.ts";
import { cutTo } from "./log_cut.ts";
import type { LogReader } from "./log_reader.ts";
import { PartitionLog } from "./partition_log.ts";
import { emptySegment, type SegmentInfo } from "./partition_state.ts";
import type { SegmentFiles } from "./segment_files.ts";

const READ_BYTES = 1024 * 1024;
/** How often a cut looks again when the log changed while it read. */
const TRIES_MAX = 16;

/** "unreadable": what would be kept cannot be read, so that only beginning anew is left. "failed": nothing more is written here. */
export type CutVerdict =
  | { readonly kind: "cut"; readonly endOffset: number }
  | { readonly kind: "unreadable" | "failed" };

export interface ReplicaLogsOptions {
  readonly journal: Journal;
  readonly reader: LogReader;
  readonly segmentFiles: SegmentFiles;
  readonly aborted: AbortedIndex;
  readonly runtime: Pick<Runtime, "clock" | "scheduler" | "crc32c"> & { readonly log: Logger };
}

/** How a log will be once it is cut, looked up before. */
interface Cut {
  /** A batch border. */
  readonly offset: number;
  /** Of the segment file that the cut falls into, what is left. */
  readonly replaced: { readonly segment: SegmentInfo; readonly by: SegmentInfo } | null;
  /** Where the newest record of the last segment goes: the newest of what lies in its file; null where it stays. */
  readonly newest: Newest | null;
  /** A log with the producers and transactions up to the cut; null where they can be undone from memory. */
  readonly rebuilt: PartitionLog | null;
}

/** Of a segment: its greatest timestamp, and where to look for it from. */
interface Newest {
  maxTimestampMs: number;
  maxTimestampOffset: number;
}

type Found<T> = T | "unreadable" | "moved";

export class ReplicaLogs {
  readonly #options: ReplicaLogsOptions;

  constructor(options: ReplicaLogsOptions) {
    this.#options = options;
  }

  /** See appendAsFollower. */
  append(log: PartitionLog, bytes: Uint8Array): FollowerVerdict {
    const { clock, crc32c } = this.#options.runtime;
    return appendAsFollower(log, bytes, clock.wallMs(), crc32c);
  }

  /** For a leader that has nothing left between the log's end and `offset`: see the function. */
  fillTo(log: PartitionLog, offset: number): CommitGroup | null {
    const { clock, crc32c } = this.#options.runtime;
    return fillTo(log, offset, clock.wallMs(), crc32c);
  }

  /**
   * Cuts the log's end off at `offset`, or before it at the border of the batch that holds it. Below the log's start it begins
   * anew there. Durable when it resolves; nothing may be appended until then.
   */
  async truncateTo(log: PartitionLog, offset: number): Promise<CutVerdict> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (offset >= log.logEndOffset) {
        // An epoch that began here and had no record is no part of the leader's history either.
        log.epochs.truncateFromEnd(log.logEndOffset);
        return { kind: "cut", endOffset: log.logEndOffset };
      }
      if (offset < log.logStartOffset) return await this.startAnewAt(log, offset);
      // What is not written yet cannot be read.
      if ((await this.#options.journal.newestGroup?.settled()) === false) return { kind: "failed" };
      const { logStartOffset, settledEnd, replacements } = log;
      const cut = await this.#lookUp(log, offset);
      if (cut === "unreadable") return { kind: "unreadable" };
      const isSame =
        logStartOffset === log.logStartOffset &&
        settledEnd === log.settledEnd &&
        replacements === log.replacements;
      if (cut === "moved" || !isSame) {
        await this.#options.runtime.scheduler.yieldNow();
        continue;
      }
      // The batch that goes reaches over the log's start.
      if (cut.offset < logStartOffset) return await this.startAnewAt(log, logStartOffset);
      return await this.#cut(log, cut);
    }
    return { kind: "failed" };
  }

  /** Lets go of all that is here; the log goes on, empty, at `offset`. Durable when it resolves. */
  async startAnewAt(log: PartitionLog, offset: number): Promise<CutVerdict> {
    const { topic, partition, logEndOffset } = log;
    const fields = { topic: topic.name, partition, logEndOffset, offset };
    this.#options.runtime.log.warn("log_begins_anew", fields);
    const { dropped, group } = log.restartAt(offset);
    if (!(await group.settled())) return { kind: "failed" };
    await this.#removeFiles(log, dropped);
    return { kind: "cut", endOffset: offset };
  }

  async #cut(log: PartitionLog, { offset, replaced, newest, rebuilt }: Cut): Promise<CutVerdict> {
    const { runtime, segmentFiles, aborted } = this.#options;
    const { topic, partition, logEndOffset, highWatermark } = log;
    const fields = { topic: topic.name, partition, logEndOffset, offset, highWatermark };
    if (offset < highWatermark) runtime.log.error("log_cut_below_high_watermark", fields);
    else runtime.log.info("log_cut", fields);
    if (replaced !== null) log.segments[log.segments.indexOf(replaced.segment)] = replaced.by;
    const dropped = log.segments.filter(({ baseOffset }) => baseOffset >= offset);
    cutTo(log, offset);
    if (newest !== null) setNewest(log, newest);
    if (rebuilt !== null) {
      log.producers = rebuilt.producers;
      if (rebuilt.transactions !== null) {
        log.transactions?.restoreFrom(rebuilt.transactions, log.producers);
      } else log.transactions?.restoreFrom(null, log.producers);
    }
    log.firstBatches = null;
    log.settledEnd = Math.min(log.settledEnd, offset);
    const holes = (log.holes ?? []).filter(({ start }) => start < offset);
    log.holes = holes.length === 0 ? null : holes;
    // What was cleaned is not appended to: every batch there has a mark of its place.
    if ((log.segments.at(-1)?.generation ?? 0) > 0) {
      log.segments.push(emptySegment(offset, -1, runtime.clock.wallMs()));
    }
    aborted.forgetPages();
    if (!(await log.writeCut(offset).settled())) return { kind: "failed" };
    if (replaced !== null) await segmentFiles.forgetIndex(log, replaced.by);
    await this.#removeFiles(log, dropped);
    return { kind: "cut", endOffset: offset };
  }

  async #lookUp(log: PartitionLog, offset: number): Promise<Found<Cut>> {
    let border = offset;
    let replaced: Cut["replaced"] = null;
    let newest: Cut["newest"] = null;
    if (offset >= log.settledEnd) {
      border = borderInJournal(log, offset);
      const found = await this.#newestSettled(log, border);
      if (found === "unreadable") return found;
      newest = found;
    } else {
      const found = await this.#borderInSegment(log, offset);
      if (typeof found === "string") return found;
      border = found.border;
      replaced = found.replaced;
    }
    const { producers, transactions, highWatermark } = log;
    const needsRebuilding =
      (producers !== null && border < highWatermark) ||
      (producers?.isMissingAfterCut(border) ?? false) ||
      (transactions?.isMissingAfterCut(border) ?? false);
    if (!needsRebuilding) return { offset: border, replaced, newest, rebuilt: null };
    const rebuilt = await this.#rebuild(log, border);
    return typeof rebuilt === "string" ? rebuilt : { offset: border, replaced, newest, rebuilt };
  }

  /** Null where the segment that a cut in the journal falls into keeps its newest record. */
  async #newestSettled(log: PartitionLog, border: number): Promise<Newest | null | "unreadable"> {
    const segment = log.segments[log.segmentIndexOf(border - 1)];
    if (segment === undefined || segment.maxTimestampOffset < border) return null;
    const newest = { maxTimestampMs: -1, maxTimestampOffset: segment.baseOffset };
    if (segment.settledBytes === 0) return newest;
    try {
      const index = await this.#options.segmentFiles.index(log, segment);
      newest.maxTimestampMs = index.maxTimestampMs;
      newest.maxTimestampOffset = index.offsetForTimestamp(index.maxTimestampMs);
      return newest;
    } catch (error) {
      if (error instanceof StorageError) return "unreadable";
      throw error;
    }
  }

  /** Where the batch that holds `offset` begins in a segment file, and what is left of the segment before that. */
  async #borderInSegment(
    log: PartitionLog,
    offset: number,
  ): Promise<Found<{ readonly border: number; readonly replaced: Cut["replaced"] }>> {
    const at = log.segmentIndexOf(offset);
    const segment = log.segments[at];
    if (segment === undefined) return "unreadable";
    if (segment.baseOffset === offset) return { border: offset, replaced: null };
    const by = emptySegment(segment.baseOffset, segment.firstTimestampMs, segment.createdMs);
    const left: SegmentInfo = { ...by, generation: segment.generation };
    let border = offset;
    const end = Math.min(log.segmentEnd(at), log.settledEnd);
    const visit = (batches: Uint8Array, position: number, sizeBytes: number): boolean => {
      const baseOffset = baseOffsetAt(batches, position);
      if (lastOffsetAt(batches, position) >= offset) {
        border = Math.min(baseOffset, offset);
        return false;
      }
      left.sizeBytes += sizeBytes;
      const maxTimestampMs = maxTimestampAt(batches, position);
      if (maxTimestampMs > left.maxTimestampMs) {
        left.maxTimestampMs = maxTimestampMs;
        left.maxTimestampOffset = baseOffset;
      }
      return true;
    };
    const fault = await this.#forEachBatch(log, segment.baseOffset, end, visit);
    if (fault !== null) return fault;
    left.settledBytes = left.sizeBytes;
    if (segment.abortedCount > 0) {
      const found = await this.#options.aborted.collect(log, segment.baseOffset, border);
      if (typeof found === "string") return found;
      const isIn = (last: number) => last >= segment.baseOffset && last < border;
      left.abortedCount = found.filter(({ lastOffset }) => isIn(lastOffset)).length;
    }
    // It is a shortcut that tells of bytes which are to go: it may be missing.
    await this.#options.segmentFiles.forgetIndex(log, segment);
    return { border, replaced: { segment, by: left } };
  }

  /** Goes through what is kept: which producers wrote there, and how their transactions stand. */
  async #rebuild(log: PartitionLog, end: number): Promise<Found<PartitionLog>> {
    const rebuilt = new PartitionLog(this.#options.journal, log.topic, log.partition);
    rebuilt.role = log.role;
    const wallMs = this.#options.runtime.clock.wallMs();
    const committed = Math.min(log.highWatermark, end);
    const visit = (batches: Uint8Array, position: number, sizeBytes: number): boolean => {
      noteProducer(rebuilt, batches.subarray(position, position + sizeBytes), wallMs);
      return true;
    };
    const start = Math.max(log.segments[0]?.baseOffset ?? 0, log.logStartOffset);
    const onRead = () => {
      rebuilt.transactions?.onCommitted(committed);
      rebuilt.transactions?.aborted.dropFrom(0);
    };
    const fault = await this.#forEachBatch(log, start, end, visit, onRead);
    return fault ?? rebuilt;
  }

  /** @param visit Of the batch at a position of the bytes; false: that is all. */
  async #forEachBatch(
    log: PartitionLog,
    start: number,
    end: number,
    visit: (batches: Uint8Array, position: number, sizeBytes: number) => boolean,
    onRead: () => void = () => {},
  ): Promise<"unreadable" | "moved" | null> {
    const { reader, runtime } = this.#options;
    for (let offset = start; offset < end; ) {
      const read = await reader.read(log, offset, end, READ_BYTES, true);
      if (read.fault !== null) return read.fault === "moved" ? "moved" : "unreadable";
      // Cleaned away up to the end.
      if (read.buffer === null) return null;
      try {
        const { batches } = read;
        for (let at = 0; at < batches.length; ) {
          const sizeBytes = batchSizeAt(batches, at, batches.length);
          if (!visit(batches, at, sizeBytes)) return null;
          offset = lastOffsetAt(batches, at) + 1;
          at += sizeBytes;
        }
      } finally {
        reader.release(read);
      }
      onRead();
      await runtime.scheduler.yieldNow();
    }
    return null;
  }

  async #removeFiles(log: PartitionLog, dropped: readonly SegmentInfo[]): Promise<void> {
    for (const segment of dropped) {
      if (segment.settledBytes > 0) await this.#options.segmentFiles.remove(log, segment);
    }
  }
}

/** Of the last segment, after a cut in the journal took its newest record. */
function setNewest({ segments, extents, settledEnd }: PartitionLog, settled: Newest): void {
  const segment = segments.at(-1);
  if (segment === undefined) return;
  let { maxTimestampMs, maxTimestampOffset } = settled;
  const first = Math.max(segment.baseOffset, settledEnd);
  for (let i = (extents?.count ?? 0) - 1; extents !== null && i >= 0; i--) {
    const baseOffset = extents.baseOffset(i);
    if (baseOffset < first) break;
    // Of equal ones the first.
    if (extents.maxTimestampMs(i) < maxTimestampMs) continue;
    if (extents.maxTimestampMs(i) === maxTimestampMs && maxTimestampOffset < first) continue;
    maxTimestampMs = extents.maxTimestampMs(i);
    maxTimestampOffset = baseOffset;
  }
  segment.maxTimestampMs = maxTimestampMs;
  segment.maxTimestampOffset = maxTimestampOffset;
}

/** Where the batch begins that holds `offset`, or `offset` where one begins there. */
function borderInJournal({ extents, logEndOffset }: PartitionLog, offset: number): number {
  const i = extents?.indexOf(offset - 1) ?? -1;
  if (extents === null || i < 0) return offset;
  const end = i + 1 < extents.count ? extents.baseOffset(i + 1) : logEndOffset;
  return end <= offset ? offset : extents.baseOffset(i);
}
