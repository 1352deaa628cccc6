// The cleaner of compacted partitions: keeps the newest record of every key, in slices, behind the back of
// those who append and read. Each run of segments is written anew beside the old files; one state entry makes the new
// file the one in force, and then the old ones go.
// Invariant: a crash at any step leaves either the old segments or the new one in force, whole and synced; offsets never
// change. Kafka: LogCleaner, Cleaner.

import type { Runtime } from "../../contracts/runtime.ts";
import { batchSizeAt, RecordBatch } from "../../record/record_batch.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import type { AbortedIndex } from "./aborted_index.ts";
import { type CleaningCounts, type CleaningRules, openForCleaning } from "./cleaner_batches.ts";
import { CleanerFigures, type CleaningFigures } from "./cleaner_figures.ts";
import { KeyOffsets } from "./cleaner_keys.ts";
import { type CleaningPlan, groupSegments, isEarlyRollDue, planCleaning } from "./cleaner_plan.ts";
import { SegmentRewrite, type SyncPace } from "./cleaner_rewrite.ts";
import {
  CANNOT_READ,
  MOVED,
  NO_ROOM,
  NOT_COMPACTED,
  passedOver,
  QUIET,
  STOPPED,
  type Stop,
  TOO_MANY_KEYS,
  unreadable,
} from "./cleaner_stops.ts";
import { CleanedTransactions } from "./cleaner_transactions.ts";
import type { Journal } from "./journal.ts";
import type { LogRead, LogReader } from "./log_reader.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import type { SegmentFiles } from "./segment_files.ts";

/** Bytes of records gone through between two turns of the event loop. */
const SLICE_BYTES = 256 * 1024;
/** Bytes read, and what is left of them written, at once. */
const READ_BYTES = 1024 * 1024;
/** What is written is synced after so many bytes. */
const SYNC_BYTES = 4 * 1024 * 1024;
/** While others append: each of them may have to wait for one slice, and for one sync. */
const BUSY_SLICE_BYTES = 64 * 1024;
const BUSY_SYNC_BYTES = 256 * 1024;

/** Who appends is held up at times, by the disk above all: only after so long without an append does nobody. */
const BUSY_FOR_MS = 100;
/** While others append, so many times what a slice took, its syncs among it, is theirs. */
const BUSY_SHARE = 2;
/** Slept once so much of that has gathered, and at most so long: turning round instead would take a whole core from them. */
const BUSY_WAIT_MS_MIN = 2;
const BUSY_WAIT_MS_MAX = 50;
/** Longest wait at a time for log.cleaner.io.max.bytes.per.second. */
const WAIT_MS_MAX = 250;

/** The settings log.cleaner.*, as they are now. */
export interface CleanerSettings {
  readonly isEnabled: boolean;
  /** Memory for keys. */
  readonly keysBytesMax: number;
  /** How full of keys that may be. */
  readonly loadFactor: number;
  /** Read and written together; Infinity for no bound. */
  readonly bytesPerSecond: number;
}

export interface CleanerOptions {
  readonly journal: Journal;
  readonly reader: LogReader;
  readonly segmentFiles: SegmentFiles;
  readonly aborted: AbortedIndex;
  readonly runtime: Runtime;
  /** Most bytes that one compressed batch may become. */
  readonly decompressedBytesMax: () => number;
  readonly settings: () => CleanerSettings;
  /** Free space of the volume, in bytes; −1 where nobody knows. */
  readonly usableBytes: () => Promise<number>;
  /** All logs there are. */
  readonly logs: () => Iterable<PartitionLog>;
}

const DAMAGED = "damaged on disk";

/** Room for so many copies has to be there: a full disk takes the whole folder offline. */
const ROOMY_FACTOR = 2;

/** Logs looked at between two turns of the event loop. */
const LOOK_SLICE = 4096;

interface Candidate {
  readonly log: PartitionLog;
  readonly plan: CleaningPlan;
}

export class Cleaner {
  readonly #options: CleanerOptions;
  readonly #figures = new CleanerFigures();
  /** Logs that the run under way has found dirty enough and is not done with. */
  readonly waiting = new Set<PartitionLog>();
  #isRunning = false;
  #isStopped = false;
  #sliceBytes = 0;
  /** Of what was cleaned; never rejects. */
  #tidying: Promise<void> = Promise.resolve();
  /** Others have appended a moment ago. */
  #isBusy = false;
  #busyUntilMs = Number.NEGATIVE_INFINITY;
  /** What others have coming for slices since the last sleep. */
  #busyOwedMs = 0;
  readonly #syncPace: SyncPace;
  #sliceStartedMs = 0;
  #lastAppendedBytes = 0;
  #throttledBytes = 0;
  #throttledSinceMs = 0;
  #throttledPace = Number.POSITIVE_INFINITY;

  constructor(options: CleanerOptions) {
    this.#options = options;
    const isBusy = () => this.#isBusy;
    this.#syncPace = {
      get syncBytes() {
        return isBusy() ? BUSY_SYNC_BYTES : SYNC_BYTES;
      },
      get waitsForSyncs() {
        return isBusy();
      },
    };
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** What is known of a log. */
  figuresOf(log: PartitionLog): CleaningFigures {
    const { clock } = this.#options.runtime;
    return this.#figures.of(log, clock.wallMs(), clock.monotonicMs());
  }

  /** Cleans every log that is dirty enough, the dirtiest first, each once. Returns how many were. One run at a time. */
  async run(): Promise<number> {
    if (this.#isRunning || !this.#options.settings().isEnabled) return 0;
    this.#isRunning = true;
    this.#throttledBytes = 0;
    this.#throttledSinceMs = this.#options.runtime.clock.monotonicMs();
    this.#throttledPace = this.#options.settings().bytesPerSecond;
    this.#sliceStartedMs = this.#throttledSinceMs;
    // What came before this run is nobody's append now.
    this.#lastAppendedBytes = this.#options.journal.appendedBytes;
    this.#isBusy = false;
    let cleaned = 0;
    try {
      const dirty = await this.#dirtyLogs();
      for (const { log } of dirty) this.waiting.add(log);
      for (const { log } of dirty) {
        // What was found of it may be a while ago.
        const plan = this.#planOf(log);
        if (plan !== null && (await this.#clean({ log, plan }))) cleaned++;
        this.waiting.delete(log);
      }
    } finally {
      this.waiting.clear();
      this.#isRunning = false;
    }
    return cleaned;
  }

  /** The logs that are dirty enough, the dirtiest first. */
  async #dirtyLogs(): Promise<Candidate[]> {
    const found: Candidate[] = [];
    let looked = 0;
    for (const log of this.#options.logs()) {
      const plan = this.#planOf(log);
      if (plan !== null) found.push({ log, plan });
      if (++looked % LOOK_SLICE === 0) await this.#options.runtime.scheduler.yieldNow();
    }
    return found.sort((a, b) => b.plan.dirtyRatio - a.plan.dirtyRatio);
  }

  /** Null when there is nothing to do in it now. */
  #planOf(log: PartitionLog): CleaningPlan | null {
    if (this.#isStopped || this.#options.journal.isFailed) return null;
    const nowMs = this.#options.runtime.clock.monotonicMs();
    if (log.topic.isDeleted || this.#figures.left.has(log, nowMs, this.#means)) return null;
    const wallMs = this.#options.runtime.clock.wallMs();
    if (isEarlyRollDue(log, wallMs)) log.roll(wallMs);
    const plan = planCleaning(log, wallMs);
    return plan?.isDue ? plan : null;
  }

  /** Of the log that is being cleaned, when that began. */
  #cuts = 0;

  /** What there may be too little of: more of it, and a log that was left can be cleaned. */
  readonly #means = (): string => {
    const { settings, decompressedBytesMax } = this.#options;
    const { keysBytesMax, loadFactor } = settings();
    return `${keysBytesMax} ${loadFactor} ${decompressedBytesMax()}`;
  };

  /** Why a cleaning under way must not go on; null when it may. */
  #stopOf({ topic, cuts }: PartitionLog): Stop | null {
    if (this.#isStopped || topic.isDeleted) return STOPPED;
    // Newer records that others were to go for may have gone themselves.
    if (cuts !== this.#cuts) return MOVED;
    return topic.settings.cleanupCompact ? null : NOT_COMPACTED;
  }

  /** Whether it came to an end. */
  async #clean({ log, plan }: Candidate): Promise<boolean> {
    const { clock, log: logger } = this.#options.runtime;
    const where = { topic: log.topic.name, partition: log.partition };
    const startedMs = clock.monotonicMs();
    this.#figures.began(log, clock.wallMs());
    const before = { segments: log.segments.length, sizeBytes: log.sizeBytes };
    const counts: CleaningCounts = { records: 0, kept: 0, tombstones: 0 };
    this.#cuts = log.cuts;
    let done: number | Stop;
    try {
      done = await this.#cleanLog(log, plan, counts);
      // What was cut off under its hands is no fault of the log.
      if (typeof done !== "number") done = this.#stopOf(log) ?? done;
    } catch (error) {
      // A file that cannot be written or read is tried again later.
      done = { reason: String(error), isLasting: false };
    }
    await this.#tidying;
    if (typeof done !== "number") {
      this.#figures.ended(log, null);
      if (done.isLasting) {
        const isNews = this.#figures.left.add(log, done.reason, clock.monotonicMs(), this.#means());
        if (isNews) logger.error("log_not_cleanable", { ...where, reason: done.reason });
      } else if (!QUIET.has(done)) {
        logger.warn("log_cleaning_failed", { ...where, reason: done.reason });
      }
      return false;
    }
    const past = {
      startOffset: plan.dirtyStart,
      endOffset: done,
      segmentsBefore: before.segments,
      segmentsAfter: log.segments.length,
      bytesBefore: before.sizeBytes,
      bytesAfter: log.sizeBytes,
      recordsBefore: counts.records,
      recordsAfter: counts.kept,
      tombstonesRemoved: counts.tombstones,
      tookMs: Math.round(clock.monotonicMs() - startedMs),
    };
    this.#figures.ended(log, { ...past, endedMs: clock.wallMs() });
    logger.info("segments_cleaned", { ...where, ...past });
    return true;
  }

  /** The offset up to which it was cleaned. */
  async #cleanLog(
    log: PartitionLog,
    plan: CleaningPlan,
    counts: CleaningCounts,
  ): Promise<number | Stop> {
    const { runtime, settings, decompressedBytesMax } = this.#options;
    // Before keys are looked for in vain.
    const groupBytes = groupSegments(log, plan.dirtyEnd).map(bytesOf);
    if (!(await this.#hasRoomFor(Math.max(0, ...groupBytes)))) return NO_ROOM;
    const { keysBytesMax, loadFactor } = settings();
    const random = runtime.random;
    const keys = new KeyOffsets(keysBytesMax, loadFactor, () => random.uint32());
    const endOffset = await this.#collectKeys(log, plan, keys);
    if (typeof endOffset !== "number") return endOffset;
    const { deleteRetentionMs, compressionLevel } = log.topic.settings;
    const rules: CleaningRules = {
      keys,
      endOffset,
      nowMs: runtime.clock.wallMs(),
      deleteRetentionMs,
      compression: runtime.compression,
      compressionLevel,
      decompressedBytesMax: decompressedBytesMax(),
      crc32c: runtime.crc32c,
    };
    const groups = groupSegments(log, endOffset);
    const transactions = new CleanedTransactions();
    for (const [i, sources] of groups.entries()) {
      const cleanedEnd = i === groups.length - 1 ? endOffset : -1;
      const stop = await this.#rewrite(log, sources, rules, transactions, counts, cleanedEnd);
      if (stop !== null) return stop;
    }
    return endOffset;
  }

  async #hasRoomFor(sizeBytes: number): Promise<boolean> {
    const usableBytes = await this.#options.usableBytes();
    return usableBytes < 0 || usableBytes >= sizeBytes * ROOMY_FACTOR;
  }

  /** Notes the newest offset of every key that was written since the last cleaning; of as many as there is room for. */
  async #collectKeys(
    log: PartitionLog,
    { dirtyStart, dirtyEnd }: CleaningPlan,
    keys: KeyOffsets,
  ): Promise<number | Stop> {
    let mappedEnd = dirtyStart;
    const transactions = new CleanedTransactions();
    const onRead = async () => this.#figures.reached("keys", mappedEnd, dirtyEnd);
    const visit = (batch: RecordBatch): Stop | null => {
      // What was aborted takes the place of nothing.
      if (!batch.isControl && !transactions.isAborted(batch)) {
        const stop = this.#takeKeys(batch, dirtyStart, keys);
        if (stop !== null) return stop;
      }
      mappedEnd = batch.lastOffset + 1;
      return null;
    };
    const stop = await this.#forEachBatch(log, dirtyStart, dirtyEnd, transactions, visit, onRead);
    if (stop === TOO_MANY_KEYS && mappedEnd > dirtyStart) return mappedEnd;
    if (stop !== null) return stop;
    // A key that is passed over comes back once its tombstone goes.
    if (mappedEnd === dirtyEnd) return dirtyEnd;
    const cut = await this.#wasCutAt(log, mappedEnd, dirtyEnd);
    if (typeof cut !== "boolean") return cut;
    return cut ? dirtyEnd : passedOver(mappedEnd, dirtyEnd);
  }

  /**
   * Whether nothing from `offset` on is left of the segment that ends at `dirtyEnd`: a cleaning that was cut short has taken the
   * last of it, where that was meant to go on. Its batches are counted, as nothing else says that none was passed over.
   */
  async #wasCutAt(log: PartitionLog, offset: number, dirtyEnd: number): Promise<boolean | Stop> {
    const tail = log.segments[log.segmentIndexOf(dirtyEnd - 1)];
    if (tail === undefined || tail.generation === 0 || offset < tail.baseOffset) return false;
    let sizeBytes = 0;
    let lastEnd = offset;
    const visit = (batch: RecordBatch): null => {
      sizeBytes += batch.sizeBytes;
      lastEnd = batch.lastOffset + 1;
      return null;
    };
    const { baseOffset, settledBytes } = tail;
    const transactions = new CleanedTransactions();
    const stop = await this.#forEachBatch(log, baseOffset, dirtyEnd, transactions, visit);
    return stop ?? (sizeBytes === settledBytes && lastEnd <= offset);
  }

  #takeKeys(batch: RecordBatch, fromOffset: number, keys: KeyOffsets): Stop | null {
    const { runtime, decompressedBytesMax } = this.#options;
    const { compression } = runtime;
    const rules = { compression, decompressedBytesMax: decompressedBytesMax() };
    const block = openForCleaning(batch, rules);
    if (typeof block === "string") return unreadable(batch.baseOffset, block);
    this.#sliceBytes += block.end - block.start;
    const { baseOffset } = batch;
    const cursor = new RecordCursor(block);
    while (cursor.next()) {
      const offset = baseOffset + cursor.offsetDelta;
      if (cursor.keyLength < 0 || offset < fromOffset) continue;
      const { keyStart, keyLength } = cursor;
      if (!keys.put(block.bytes, keyStart, keyStart + keyLength, offset)) return TOO_MANY_KEYS;
    }
    return cursor.fault === null ? null : unreadable(baseOffset, cursor.fault);
  }

  /** @param cleanedEnd How far the log is clean once this group is done; −1 while more groups follow. */
  async #rewrite(
    log: PartitionLog,
    sources: readonly SegmentInfo[],
    rules: CleaningRules,
    transactions: CleanedTransactions,
    counts: CleaningCounts,
    cleanedEnd: number,
  ): Promise<Stop | null> {
    const { segmentFiles, aborted } = this.#options;
    if (!(await this.#hasRoomFor(bytesOf(sources)))) return NO_ROOM;
    const rewrite = new SegmentRewrite(
      log,
      sources,
      rules,
      transactions,
      segmentFiles,
      aborted,
      counts,
    );
    let hasLanded = false;
    try {
      const last = log.segments.indexOf(sources.at(-1)!);
      if (last < 0) return MOVED;
      const start = Math.max(sources[0]!.baseOffset, log.logStartOffset);
      const sourceBytes = bytesOf(sources);
      let visitedBytes = 0;
      let offset = start;
      const visit = (batch: RecordBatch): Stop | null => {
        visitedBytes += batch.sizeBytes;
        offset = batch.lastOffset + 1;
        const fault = rewrite.add(batch);
        this.#sliceBytes += rewrite.lastBytes;
        return fault === null ? null : unreadable(batch.baseOffset, fault);
      };
      const flush = async () => {
        this.#throttledBytes += await rewrite.flush(this.#syncPace);
        this.#figures.reached("rewrite", offset, rules.endOffset);
      };
      const end = log.segmentEnd(last);
      let stop = await this.#forEachBatch(log, start, end, transactions, visit, flush);
      if (stop !== null) return stop;
      // What was not visited would be gone.
      if (start === sources[0]!.baseOffset && visitedBytes !== sourceBytes) {
        return passedOver(start, end);
      }
      await rewrite.sync();
      stop = this.#stopOf(log);
      if (stop !== null) return stop;
      hasLanded = rewrite.land(cleanedEnd);
      if (!hasLanded) return MOVED;
      const { journal } = this.#options;
      const appendedBytes = journal.appendedBytes;
      const group = log.writeState();
      // Not by others.
      this.#lastAppendedBytes += journal.appendedBytes - appendedBytes;
      // Without it the old files may be what a start finds: they stay.
      if (!(await group.settled())) return STOPPED;
      log.dropExtentsBefore(log.settledEnd);
      // One file at a time, as that is work for the file system; beside the next group where nobody else needs it.
      const before = this.#tidying;
      this.#tidying = before.then(() => rewrite.tidy(this.#options.runtime.log));
      if (this.#isBusy) await this.#tidying;
      return null;
    } finally {
      if (!hasLanded) await rewrite.discard(this.#options.runtime.log);
    }
  }

  /**
   * Goes through the batches from the one that holds `start` to `end`, a segment border, with pauses.
   *
   * @param transactions Told what was aborted of them first.
   * @param onRead Called after the batches of each read; their bytes are there until it is done.
   */
  async #forEachBatch(
    log: PartitionLog,
    start: number,
    end: number,
    transactions: CleanedTransactions,
    visit: (batch: RecordBatch) => Stop | null,
    onRead: () => Promise<void> = async () => {},
  ): Promise<Stop | null> {
    const { reader } = this.#options;
    let offset = start;
    while (offset < end) {
      let stop = this.#stopOf(log);
      if (stop !== null) return stop;
      const { settledEnd } = log;
      const read = await this.#read(log, offset, end);
      if (read.fault === "corrupt") return unreadable(offset, DAMAGED);
      if (read.fault !== null) return read.fault === "moved" ? MOVED : CANNOT_READ;
      // Nothing: what follows was cleaned away; or the segment went, and the log's start is past it.
      if (read.buffer === null) return offset < log.logStartOffset ? MOVED : null;
      try {
        const { batches } = read;
        const found = await this.#options.aborted.collectOf(log, batches);
        if (typeof found === "string") return found === "moved" ? MOVED : CANNOT_READ;
        transactions.load(found);
        for (let at = 0; at < batches.length; ) {
          const sizeBytes = batchSizeAt(batches, at, batches.length);
          const batch = new RecordBatch(batches, at, sizeBytes);
          if (!this.#isSound(batch, settledEnd)) return unreadable(batch.baseOffset, DAMAGED);
          offset = batch.lastOffset + 1;
          stop = visit(batch);
          if (stop !== null) return stop;
          at += sizeBytes;
          if (this.#sliceBytes < this.#sliceBytesMax) continue;
          await this.#pause();
          stop = this.#stopOf(log);
          if (stop !== null) return stop;
        }
        await onRead();
        this.#throttledBytes += batches.length;
      } finally {
        reader.release(read);
      }
      await this.#pause();
    }
    return null;
  }

  /** What a disk, or the way from there, has got wrong once is read again: only what stays so is damage. */
  async #read(log: PartitionLog, offset: number, end: number): Promise<LogRead> {
    const { reader } = this.#options;
    const read = await reader.read(log, offset, end, this.#readBytes, true);
    return read.fault === "corrupt"
      ? await reader.read(log, offset, end, this.#readBytes, true)
      : read;
  }

  /**
   * Readers are given what this process has put into the journal as it lies there, where a checksum costs much, and look
   * for themselves; here it would get a new checksum, and damage pass for what was written.
   */
  #isSound(batch: RecordBatch, settledEnd: number): boolean {
    const wasChecked = this.#options.runtime.crc32c !== undefined || batch.baseOffset < settledEnd;
    return wasChecked || batch.check() === null;
  }

  get #sliceBytesMax(): number {
    return this.#isBusy ? BUSY_SLICE_BYTES : SLICE_BYTES;
  }

  get #readBytes(): number {
    // A pace is kept to from one read to the next.
    const isHeld = this.#isBusy || Number.isFinite(this.#throttledPace);
    return isHeld ? this.#sliceBytesMax : READ_BYTES;
  }

  /** Lets everybody else go first, and waits where log.cleaner.io.max.bytes.per.second says so. */
  async #pause(): Promise<void> {
    const { runtime, journal } = this.#options;
    const { clock, scheduler } = runtime;
    this.#sliceBytes = 0;
    const nowMs = clock.monotonicMs();
    while (!this.#isStopped) {
      const owedMs = this.#owedMs();
      if (owedMs <= 1) break;
      // Not all at once, so that a stop does not wait for it, nor another pace.
      await this.#waitFor(Math.min(owedMs, WAIT_MS_MAX));
    }
    await scheduler.yieldNow();
    if (journal.appendedBytes !== this.#lastAppendedBytes) this.#busyUntilMs = nowMs + BUSY_FOR_MS;
    this.#isBusy = nowMs < this.#busyUntilMs;
    if (this.#isBusy) {
      // What was waited for anyhow is theirs as well.
      const waitedMs = clock.monotonicMs() - nowMs;
      const owedMs = this.#busyOwedMs + BUSY_SHARE * (nowMs - this.#sliceStartedMs) - waitedMs;
      this.#busyOwedMs = Math.max(owedMs, 0);
      if (owedMs >= BUSY_WAIT_MS_MIN && !this.#isStopped) {
        await this.#waitFor(Math.min(owedMs, BUSY_WAIT_MS_MAX));
        this.#busyOwedMs = 0;
      }
      this.#lastAppendedBytes = journal.appendedBytes;
    }
    this.#sliceStartedMs = clock.monotonicMs();
  }

  /** How long to wait until what was read and written is no more than the pace allows. */
  #owedMs(): number {
    const { settings, runtime } = this.#options;
    const { bytesPerSecond } = settings();
    const nowMs = runtime.clock.monotonicMs();
    if (bytesPerSecond !== this.#throttledPace) {
      // What came before was held to another.
      this.#throttledPace = bytesPerSecond;
      this.#throttledBytes = 0;
      this.#throttledSinceMs = nowMs;
    }
    if (this.#throttledBytes === 0) return 0;
    return (this.#throttledBytes / bytesPerSecond) * 1000 - (nowMs - this.#throttledSinceMs);
  }

  #waitFor(ms: number): Promise<void> {
    const { scheduler } = this.#options.runtime;
    return new Promise((resolve) => void scheduler.after(ms, "cleaner_pause", resolve));
  }
}

/** Of whole segments that do not grow. */
function bytesOf(segments: readonly SegmentInfo[]): number {
  return segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
