// Which aborted transactions a read_committed reader has to know of: from memory for what lies in the journal, and from
// a file beside each segment for what is settled, read in pages and kept in a bounded cache.
// Invariant: a file holds the entries that its segment counts, written and synced before the state that counts them; one
// that does not is made again from the log. Kafka: TransactionIndex, LocalLog.collectAbortedTransactions.

import { Lru } from "../../base/lru.ts";
import { StorageError } from "../../contracts/errors.ts";
import type { Clock, Logger } from "../../contracts/runtime.ts";
import type { SegmentFile } from "../../contracts/storage.ts";
import { baseOffsetAt, lastOffsetAt } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import {
  ABORTED_BYTES,
  type AbortedTransaction,
  collectAborted,
  decodeAborted,
  encodeAborted,
} from "./aborted_list.ts";
import { type LogReader, MOVES_MAX } from "./log_reader.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import { abortedFileName, type SegmentFiles } from "./segment_files.ts";

/** Entries read at once. */
const PAGE_ENTRIES = 1024;
const CACHE_BYTES_MAX = 4 * 1024 * 1024;
/** What an entry in memory takes, about. */
const KEPT_BYTES = 80;
/** A file that could not be made again is tried again after a pause that doubles: each time the log is read from its start. */
const LOST_MS_MIN = 1000;
const LOST_MS_MAX = 600_000;

/** "moved": the segment went meanwhile, look again; "unreadable": neither the file nor the log could be read. */
export type AbortedFault = "moved" | "unreadable";
export type AbortedFound = readonly AbortedTransaction[] | AbortedFault;

/** A segment that counts entries, as it was when somebody began to look. */
interface Wanted {
  readonly segment: SegmentInfo;
  readonly count: number;
}

/** A file that could not be made again, and how often it was before. */
interface Lost {
  readonly pauseMs: number;
  readonly retryAtMs: number;
}

const NONE: readonly AbortedTransaction[] = [];

export interface AbortedIndexOptions {
  readonly segmentFiles: SegmentFiles;
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly log: Logger;
}

export class AbortedIndex {
  readonly #options: AbortedIndexOptions;
  readonly #pages = new Lru<string, readonly AbortedTransaction[]>(CACHE_BYTES_MAX);
  readonly #rebuilding = new Map<string, Promise<boolean>>();
  /** How often a segment's file was made again: what was read of it before is of no account. */
  readonly #rebuilds = new WeakMap<SegmentInfo, number>();
  readonly #lost = new WeakMap<SegmentInfo, Lost>();
  /** Files that are being written, by name. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(options: AbortedIndexOptions) {
    this.#options = options;
  }

  /** Entries were cut off a file: others will stand in their places. */
  forgetPages(): void {
    this.#pages.clear();
  }

  /**
   * The aborted transactions that overlap [start, end), in the order of their markers.
   *
   * @param end At most the last stable offset.
   * @returns A plain value where no file has to be looked at.
   */
  collect(log: PartitionLog, start: number, end: number): AbortedFound | Promise<AbortedFound> {
    return this.#collect(log, start, end, MOVES_MAX);
  }

  /** @param tries How often more a file may turn out to have been made again meanwhile. */
  #collect(
    log: PartitionLog,
    start: number,
    end: number,
    tries: number,
  ): AbortedFound | Promise<AbortedFound> {
    const { transactions } = log;
    if (transactions === null) return NONE;
    // Both are looked at in one turn: what is settled while files are read was in the journal when this began.
    const inJournal: AbortedTransaction[] = [];
    const { aborted } = transactions;
    if (aborted.count > 0) collectAborted(aborted.from(start), start, end, inJournal);
    let wanted: Wanted[] | null = null;
    const { segments } = log;
    for (let i = Math.max(log.segmentIndexOf(start), 0); i < segments.length; i++) {
      const segment = segments[i]!;
      if (segment.abortedCount === 0) continue;
      wanted ??= [];
      wanted.push({ segment, count: segment.abortedCount });
    }
    if (wanted === null) return inJournal;
    return this.#collectSettled(log, wanted, start, end, inJournal, tries);
  }

  /** The same of whole batches, of which there is at least one. */
  collectOf(log: PartitionLog, batches: Uint8Array): AbortedFound | Promise<AbortedFound> {
    if (log.transactions === null) return NONE;
    let last = 0;
    for (let at = 0; at < batches.length; at += batchSizeAt(batches, at, batches.length)) last = at;
    return this.collect(log, baseOffsetAt(batches, 0), lastOffsetAt(batches, last) + 1);
  }

  async #collectSettled(
    log: PartitionLog,
    wanted: readonly Wanted[],
    start: number,
    end: number,
    inJournal: readonly AbortedTransaction[],
    tries: number,
  ): Promise<AbortedFound> {
    const found: AbortedTransaction[] = [];
    for (const each of wanted) {
      const fault = await this.#collectIn(log, each, start, end, found);
      if (fault === "done") return found;
      // Counts are others now, and more may have been settled: all is looked at again.
      if (fault === "rebuilt") {
        return tries > 0 ? await this.#collect(log, start, end, tries - 1) : "unreadable";
      }
      if (fault !== null) return fault;
    }
    found.push(...inJournal);
    return found;
  }

  async #collectIn(
    log: PartitionLog,
    wanted: Wanted,
    start: number,
    end: number,
    found: AbortedTransaction[],
  ): Promise<AbortedFault | "rebuilt" | "done" | null> {
    const pageCount = Math.ceil(wanted.count / PAGE_ENTRIES);
    const rebuilds = this.#rebuildsOf(wanted.segment);
    let low = 0;
    let high = pageCount - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const page = await this.#page(log, wanted, middle);
      if (typeof page === "string") return page;
      if ((page.at(-1)?.lastOffset ?? 0) < start) low = middle + 1;
      else high = middle;
    }
    for (let i = low; i < pageCount; i++) {
      const page = await this.#page(log, wanted, i);
      if (typeof page === "string") return page;
      // Of the pages, some are of the one file and some of the other.
      if (this.#rebuildsOf(wanted.segment) !== rebuilds) return "rebuilt";
      if (collectAborted(page, start, end, found)) return "done";
    }
    return null;
  }

  async #page(
    log: PartitionLog,
    { segment, count }: Wanted,
    number: number,
  ): Promise<readonly AbortedTransaction[] | AbortedFault | "rebuilt"> {
    const first = number * PAGE_ENTRIES;
    const entries = Math.min(count - first, PAGE_ENTRIES);
    const file = `${abortedFileName(log, segment)}@${this.#rebuildsOf(segment)}`;
    const key = `${file}#${number}/${entries}`;
    const cached = this.#pages.get(key);
    if (cached !== undefined) return cached;
    const page = await this.#read(log, segment, first, entries);
    if (page !== null) {
      this.#pages.set(key, page, entries * KEPT_BYTES);
      return page;
    }
    if (!log.segments.includes(segment) || log.topic.isDeleted) return "moved";
    return (await this.#rebuild(log, segment)) ? "rebuilt" : "unreadable";
  }

  #rebuildsOf(segment: SegmentInfo): number {
    return this.#rebuilds.get(segment) ?? 0;
  }

  /** Null when they are not all there as they should be. */
  async #read(
    log: PartitionLog,
    segment: SegmentInfo,
    first: number,
    entries: number,
  ): Promise<readonly AbortedTransaction[] | null> {
    const bytes = new Uint8Array(entries * ABORTED_BYTES);
    try {
      const count = await this.#options.segmentFiles.useAborted(log, segment, false, (file) =>
        Promise.resolve(file.readInto(bytes, first * ABORTED_BYTES)),
      );
      if (count !== bytes.length) return null;
    } catch (error) {
      if (error instanceof StorageError) return null;
      throw error;
    }
    const page = decodeAborted(bytes);
    const at = log.segments.indexOf(segment);
    const end = at < 0 ? Number.POSITIVE_INFINITY : log.segmentEnd(at);
    let last = segment.baseOffset;
    for (const { lastOffset } of page ?? NONE) {
      // Out of order, or of another segment, whose file was written in the place of this one. Two whose ends are lost may
      // be said to have ended at the same offset.
      if (lastOffset < last || lastOffset >= end) return null;
      last = lastOffset;
    }
    return page;
  }

  /**
   * Adds entries to the file of a segment, after those that it counts, and syncs it. Nobody sees them before the caller
   * has made the segment count them.
   */
  async append(
    log: PartitionLog,
    segment: SegmentInfo,
    added: readonly AbortedTransaction[],
  ): Promise<void> {
    if (added.length === 0) return;
    const { segmentFiles } = this.#options;
    // Neither may be, where the file was lost or cut: then what it should have is made again first.
    const isWhole = async () =>
      segment.abortedCount === 0 ||
      (await this.#read(log, segment, segment.abortedCount - 1, 1)) !== null;
    if (!(await isWhole()) && !(await this.#rebuild(log, segment))) {
      throw new StorageError("io", `Cannot read "${abortedFileName(log, segment)}"`);
    }
    const write = async (file: SegmentFile) => {
      // A try that was cut short has left more than anybody knows of.
      const endBytes = segment.abortedCount * ABORTED_BYTES;
      if (file.sizeBytes > endBytes) await file.truncate(endBytes);
      await file.append([encodeAborted(added)]);
      await file.sync();
    };
    try {
      await this.#alone(abortedFileName(log, segment), () =>
        segmentFiles.useAborted(log, segment, true, write),
      );
    } catch (error) {
      await segmentFiles.reopen(log, segment);
      throw error;
    }
  }

  /** Makes the file of a segment again from the log, and lets the segment count what is there. */
  async #rebuild(log: PartitionLog, segment: SegmentInfo): Promise<boolean> {
    const name = abortedFileName(log, segment);
    const nowMs = this.#options.clock.monotonicMs();
    const lost = this.#lost.get(segment);
    let rebuilding = this.#rebuilding.get(name);
    if (rebuilding === undefined) {
      if (lost !== undefined && nowMs < lost.retryAtMs) return false;
      rebuilding = this.#alone(name, () => this.#rebuildOnce(log, segment, name));
      this.#rebuilding.set(name, rebuilding);
    }
    try {
      return await rebuilding;
    } finally {
      this.#rebuilding.delete(name);
    }
  }

  async #rebuildOnce(log: PartitionLog, segment: SegmentInfo, name: string): Promise<boolean> {
    const { segmentFiles, reader, log: logger } = this.#options;
    const { topic, partition } = log;
    const fields = { topic: topic.name, partition, name };
    try {
      // Needed once in a life, after damage.
      const { abortedIn, wholeEntries } = await import("./aborted_rebuild.ts");
      const known = wholeEntries(await this.#bytesOf(log, segment));
      for (;;) {
        const { settledEnd } = log;
        const list = await abortedIn(log, segment, reader, known);
        // Its segment went meanwhile.
        if (!log.segments.includes(segment) || topic.isDeleted) return true;
        if (list === null) {
          this.#giveUp(segment);
          logger.error("aborted_index_lost", fields);
          return false;
        }
        await segmentFiles.useAborted(log, segment, true, async (file) => {
          await file.truncate(0);
          await file.append([encodeAborted(list)]);
          await file.sync();
        });
        // More was settled meanwhile, and counted: that is not in the list.
        if (log.settledEnd !== settledEnd) continue;
        segment.abortedCount = list.length;
        this.#rebuilds.set(segment, this.#rebuildsOf(segment) + 1);
        this.#lost.delete(segment);
        logger.warn("aborted_index_rebuilt", { ...fields, entries: list.length });
        return true;
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#giveUp(segment);
      logger.error("aborted_index_lost", { ...fields, error: String(error) });
      // A file that failed to take a write takes no other: the next try opens it anew.
      await segmentFiles.reopen(log, segment).catch((closing: unknown) => {
        logger.warn("segment_not_closed", { ...fields, error: String(closing) });
      });
      return false;
    }
  }

  /** What of its entries can be read, as it stands there. */
  async #bytesOf(log: PartitionLog, segment: SegmentInfo): Promise<Uint8Array> {
    const bytes = new Uint8Array(segment.abortedCount * ABORTED_BYTES);
    try {
      const count = await this.#options.segmentFiles.useAborted(log, segment, false, (file) =>
        Promise.resolve(file.readInto(bytes, 0)),
      );
      return bytes.subarray(0, count);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      // It is not there, or cannot be read: the log says the rest.
      return bytes.subarray(0, 0);
    }
  }

  /** For now. */
  #giveUp(segment: SegmentInfo): void {
    const before = this.#lost.get(segment);
    const pauseMs = before === undefined ? LOST_MS_MIN : Math.min(before.pauseMs * 2, LOST_MS_MAX);
    const retryAtMs = this.#options.clock.monotonicMs() + pauseMs;
    this.#lost.set(segment, { pauseMs, retryAtMs });
  }

  /** One writer of a file at a time. */
  async #alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    for (let busy = this.#writing.get(name); busy; busy = this.#writing.get(name)) await busy;
    const working = work();
    const done = working.then(
      () => {},
      () => {},
    );
    this.#writing.set(name, done);
    try {
      return await working;
    } finally {
      this.#writing.delete(name);
    }
  }
}
