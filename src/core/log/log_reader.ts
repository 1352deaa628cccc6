// Reads whole batches of a partition from wherever they lie: journal extents (gathered, and pushed
// together in a pooled buffer; from memory while they are not written) or segment files. Nothing is
// decoded; checksums are looked at where this process has not seen them, or always when that is cheap.
// Invariant: a batch that does not match its checksum or its place is reported, never returned.

import type { BufferPool } from "../../base/buffer_pool.ts";
import { StorageError } from "../../contracts/errors.ts";
import type { Logger } from "../../contracts/runtime.ts";
import type { SegmentFile } from "../../contracts/storage.ts";
import { baseOffsetAt, isCrcValid } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { ExtentIndex } from "./extent_index.ts";
import type { Journal } from "./journal.ts";
import type { JournalFile } from "./journal_file.ts";
import { ENTRY_HEADER_BYTES } from "./journal_format.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import type { SegmentFiles } from "./segment_files.ts";
import { SegmentWalk, type Wanted } from "./segment_walk.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

/** Two extents this close are read together: a read call costs about as much as copying 4 KiB. */
const GAP_BYTES_MAX = 4096;
const SEGMENT_READ_BYTES_MIN = 64 * 1024;

export interface LogRead {
  /** Whole batches. */
  readonly batches: Uint8Array;
  /** Exclusive end of them, or past it where a damaged one has cut them off; meaningless where there are none. */
  readonly endOffset: number;
  /** To be given back to the pool once the batches have been used; null when there is none. */
  readonly buffer: Uint8Array<ArrayBuffer> | null;
  readonly fault: "corrupt" | "io" | "moved" | null;
}

/**
 * How often whoever reads may be told "moved" and asks again: the index knows where the bytes are by then. A cleaning moves
 * segment after segment.
 */
export const MOVES_MAX = 16;

const NOTHING = new Uint8Array(0);
const nothing = (fault: LogRead["fault"]): LogRead => ({
  batches: NOTHING,
  endOffset: -1,
  buffer: null,
  fault,
});
const NO_HOLES: NonNullable<PartitionLog["holes"]> = [];
export const EMPTY_READ: LogRead = nothing(null);
const CORRUPT_READ: LogRead = nothing("corrupt");
const IO_READ: LogRead = nothing("io");
const MOVED_READ: LogRead = nothing("moved");
/** Between `offset` and the end of its segment nothing is left. */
const CLEANED_AWAY: LogRead = nothing(null);

export interface LogReaderOptions {
  readonly journal: Journal;
  readonly segmentFiles: SegmentFiles;
  readonly pool: BufferPool;
  readonly crc32c: Crc32c | undefined;
  readonly log: Logger;
}

export class LogReader {
  readonly #options: LogReaderOptions;

  constructor(options: LogReaderOptions) {
    this.#options = options;
  }

  /**
   * Whole batches from the one that holds `offset`, or the next one where that was cleaned away, up to `endOffset` (exclusive, a batch border).
   *
   * @param bytesMax Soft: the first batch is returned whole even when it is larger, if `atLeastOne`.
   * @returns A plain value where the store answers at once.
   */
  read(
    log: PartitionLog,
    offset: number,
    endOffset: number,
    bytesMax: number,
    atLeastOne: boolean,
  ): LogRead | Promise<LogRead> {
    if (offset >= endOffset) return EMPTY_READ;
    let end = endOffset;
    // What lies past a hole is not returned with what lies before: its reader would not notice.
    for (const hole of log.holes ?? NO_HOLES) {
      if (offset >= hole.start && offset < hole.end) return CORRUPT_READ;
      if (hole.start > offset) end = Math.min(end, hole.start);
    }
    const read = this.#readWhole(log, offset, end, bytesMax, atLeastOne);
    if (end === endOffset || !atLeastOne) return read;
    // All up to the hole was cleaned away: what comes next for whoever reads is what is missing.
    const orHole = (found: LogRead): LogRead =>
      found.buffer === null && found.fault === null && offset >= log.logStartOffset
        ? CORRUPT_READ
        : found;
    return read instanceof Promise ? read.then(orHole) : orHole(read);
  }

  /** The same of a range without a hole. */
  #readWhole(
    log: PartitionLog,
    offset: number,
    end: number,
    bytesMax: number,
    atLeastOne: boolean,
  ): LogRead | Promise<LogRead> {
    if (offset < log.settledEnd) {
      return this.#readSegment(log, { offset, endOffset: end, bytesMax, atLeastOne });
    }
    const { extents } = log;
    if (extents === null) return EMPTY_READ;
    const first = extents.indexOf(offset);
    if (first < 0) return EMPTY_READ;
    return this.#readExtents(log, extents, first, end, bytesMax, atLeastOne);
  }

  /** Gives the buffer of a read back. */
  release(read: LogRead): void {
    if (read.buffer !== null) this.#options.pool.release(read.buffer);
  }

  #readExtents(
    log: PartitionLog,
    extents: ExtentIndex,
    first: number,
    endOffset: number,
    bytesMax: number,
    atLeastOne: boolean,
  ): LogRead | Promise<LogRead> {
    // What to take: `last` is exclusive. Spans are runs of close extents of one file.
    let last = first;
    let takenBytes = 0;
    let spanBytes = 0;
    let spanEnd = -1;
    let spanFile = -1;
    while (last < extents.count && extents.baseOffset(last) < endOffset) {
      const sizeBytes = extents.sizeBytes(last);
      if (takenBytes + sizeBytes > bytesMax && !(last === first && atLeastOne)) break;
      const position = extents.position(last);
      const fileNumber = extents.fileNumber(last);
      const gap = position - spanEnd;
      if (fileNumber === spanFile && gap >= 0 && gap <= GAP_BYTES_MAX) spanBytes += gap;
      spanBytes += sizeBytes;
      takenBytes += sizeBytes;
      spanFile = fileNumber;
      spanEnd = position + sizeBytes;
      last++;
    }
    if (last === first) return EMPTY_READ;
    const buffer = this.#options.pool.acquire(spanBytes);
    const end = last < extents.count ? extents.baseOffset(last) : log.logEndOffset;
    return this.#fill(log, extents, first, last, Math.min(end, endOffset), buffer);
  }

  /** Reads span after span into `buffer` and packs each; goes on in #fillSlowly once a read has to be waited for. */
  #fill(
    log: PartitionLog,
    extents: ExtentIndex,
    first: number,
    last: number,
    endOffset: number,
    buffer: Uint8Array<ArrayBuffer>,
  ): LogRead | Promise<LogRead> {
    let packed = 0;
    let next = first;
    while (next < last) {
      const file = this.#options.journal.files.get(extents.fileNumber(next));
      if (file === undefined) return this.#faulty(buffer, MOVED_READ);
      const spanLast = endOfSpan(extents, next, last, file.writtenEnd);
      const start = extents.position(next);
      const length = extents.position(spanLast - 1) + extents.sizeBytes(spanLast - 1) - start;
      let count: number | Promise<number> | null;
      try {
        count = readFile(file, buffer.subarray(packed, packed + length), start);
      } catch (error) {
        this.#reportIo(log, error);
        return this.#faulty(buffer, IO_READ);
      }
      if (count === null) return this.#faulty(buffer, MOVED_READ);
      if (typeof count !== "number") {
        // The index may change while that is waited for: what is left of it is copied.
        return this.#fillSlowly(log, extents.copy(next, last), endOffset, count, buffer, packed);
      }
      if (count !== length) return this.#faulty(buffer, IO_READ);
      const end = this.#packSpan(log, extents, next, spanLast, file, buffer, packed);
      if (end < 0) return this.#cutOrFault(buffer, -end - 1, endOffset);
      packed = end;
      next = spanLast;
    }
    return { batches: buffer.subarray(0, packed), endOffset, buffer, fault: null };
  }

  /** @param pending The read of the first span, under way into `buffer` from `packed`. */
  async #fillSlowly(
    log: PartitionLog,
    extents: ExtentIndex,
    endOffset: number,
    pending: Promise<number>,
    buffer: Uint8Array<ArrayBuffer>,
    packedBefore: number,
  ): Promise<LogRead> {
    const { files } = this.#options.journal;
    const held: JournalFile[] = [];
    for (let i = 0; i < extents.count; i++) {
      const file = files.get(extents.fileNumber(i));
      if (file === undefined || file === held.at(-1)) continue;
      file.readers++;
      held.push(file);
    }
    let packed = packedBefore;
    try {
      let reading: number | Promise<number> | null = pending;
      for (let next = 0; next < extents.count; ) {
        const file = files.get(extents.fileNumber(next));
        if (file === undefined) return this.#faulty(buffer, MOVED_READ);
        const spanLast = endOfSpan(extents, next, extents.count, file.writtenEnd);
        const start = extents.position(next);
        const length = extents.position(spanLast - 1) + extents.sizeBytes(spanLast - 1) - start;
        reading ??= readFile(file, buffer.subarray(packed, packed + length), start);
        if (reading === null) return this.#faulty(buffer, MOVED_READ);
        const count: number = await reading;
        reading = null;
        if (count !== length) return this.#faulty(buffer, IO_READ);
        const end = this.#packSpan(log, extents, next, spanLast, file, buffer, packed);
        if (end < 0) return this.#cutOrFault(buffer, -end - 1, endOffset);
        packed = end;
        next = spanLast;
      }
      return { batches: buffer.subarray(0, packed), endOffset, buffer, fault: null };
    } catch (error) {
      this.#reportIo(log, error);
      return this.#faulty(buffer, IO_READ);
    } finally {
      for (const file of held) file.readers--;
    }
  }

  /**
   * Checks the batches of a span that was read to `at`, and pushes them together there.
   * @returns The end of the last one; −1 − the end of the last good one when one is damaged.
   */
  #packSpan(
    log: PartitionLog,
    extents: ExtentIndex,
    first: number,
    last: number,
    file: JournalFile,
    buffer: Uint8Array<ArrayBuffer>,
    at: number,
  ): number {
    const start = extents.position(first);
    let to = at;
    for (let i = first; i < last; i++) {
      const position = extents.position(i);
      const from = at + (position - start);
      const sizeBytes = extents.sizeBytes(i);
      const mustCheck =
        this.#options.crc32c !== undefined || position - ENTRY_HEADER_BYTES < file.writtenFrom;
      if (
        baseOffsetAt(buffer, from) !== extents.baseOffset(i) ||
        batchSizeAt(buffer, from, from + sizeBytes) !== sizeBytes ||
        (mustCheck && !isCrcValid(buffer, from, sizeBytes, this.#options.crc32c))
      ) {
        const where = `journal file ${file.number}`;
        this.#reportCorrupt(log, extents.baseOffset(i), where, position);
        return -1 - to;
      }
      if (from !== to) buffer.copyWithin(to, from, from + sizeBytes);
      to += sizeBytes;
    }
    return to;
  }

  async #readSegment(log: PartitionLog, wanted: Wanted): Promise<LogRead> {
    const at = log.segmentIndexOf(wanted.offset);
    const segment = log.segments[at];
    if (segment === undefined) {
      // The topic went while what comes before was read.
      if (log.topic.isDeleted) return MOVED_READ;
      if (wanted.offset >= log.logStartOffset) {
        this.#reportCorrupt(log, wanted.offset, "no segment", 0);
        return CORRUPT_READ;
      }
      return EMPTY_READ;
    }
    const segmentEnd = log.segmentEnd(at);
    try {
      // Cleaning may have left nothing of it, and then it has no file.
      const read =
        segment.generation > 0 && segment.settledBytes === 0
          ? CLEANED_AWAY
          : await this.#options.segmentFiles.use(log, segment, false, (file) =>
              this.#readSegmentFile(log, segment, file, wanted),
            );
      if (read !== CLEANED_AWAY) return read;
      // The next record that is left follows in another segment, or in the journal.
      const { endOffset, bytesMax, atLeastOne } = wanted;
      return await this.read(log, segmentEnd, endOffset, bytesMax, atLeastOne);
    } catch (error) {
      // The segment went (retention, deletion), or the store is closing: look again.
      if (
        error instanceof StorageError &&
        (error.code === "closed" || error.code === "not_found")
      ) {
        return MOVED_READ;
      }
      this.#reportIo(log, error);
      return IO_READ;
    }
  }

  async #readSegmentFile(
    log: PartitionLog,
    segment: SegmentInfo,
    file: SegmentFile,
    wanted: Wanted,
  ): Promise<LogRead> {
    const { segmentFiles, pool, crc32c } = this.#options;
    const index = await segmentFiles.indexIn(log, segment, file);
    const entry = index.entryFor(wanted.offset);
    let position = index.positionOf(entry);
    const walk = new SegmentWalk(log, segment, index.offsetOf(entry), crc32c);
    walk.onDamage = (offset, at) => this.#reportCorrupt(log, offset, "segment file", at);
    let bytesWanted = Math.max(wanted.bytesMax, 0) + SEGMENT_READ_BYTES_MIN;
    for (;;) {
      const lengthMax = Math.min(bytesWanted, segment.settledBytes - position);
      if (lengthMax <= 0 && walk.wasCleanedAway) return CLEANED_AWAY;
      if (lengthMax <= 0) break;
      const buffer = pool.acquire(lengthMax);
      let keeps = false;
      try {
        const count = await file.readInto(buffer.subarray(0, lengthMax), position);
        const step = walk.take(buffer, count, position, wanted);
        if (step.kind === "found") {
          keeps = true;
          const { start, end, endOffset } = step;
          return { batches: buffer.subarray(start, end), endOffset, buffer, fault: null };
        }
        if (step.kind === "nothing") return EMPTY_READ;
        if (step.kind === "damaged") return CORRUPT_READ;
        if (count < lengthMax) break;
        // Not there yet, or one batch larger than the window; if it is larger than the file, it is damaged.
        if (step.skippedBytes === 0 && step.neededBytes <= lengthMax) break;
        position += step.skippedBytes;
        if (step.neededBytes > segment.settledBytes - position) break;
        bytesWanted = Math.max(step.neededBytes, SEGMENT_READ_BYTES_MIN);
      } finally {
        if (!keeps) pool.release(buffer);
      }
    }
    // The segment went meanwhile, or its file ends before what it was said to hold.
    const isGone = log.topic.isDeleted || !log.segments.includes(segment);
    if (isGone || wanted.offset < log.logStartOffset) return MOVED_READ;
    this.#reportCorrupt(log, wanted.offset, "segment file", position);
    return CORRUPT_READ;
  }

  /** Batches before the damaged one are good; without any, the damage is the answer. */
  #cutOrFault(buffer: Uint8Array<ArrayBuffer>, goodBytes: number, endOffset: number): LogRead {
    if (goodBytes === 0) return this.#faulty(buffer, CORRUPT_READ);
    return { batches: buffer.subarray(0, goodBytes), endOffset, buffer, fault: null };
  }

  #faulty(buffer: Uint8Array<ArrayBuffer>, read: LogRead): LogRead {
    this.#options.pool.release(buffer);
    return read;
  }

  #reportCorrupt(log: PartitionLog, offset: number, where: string, position: number): void {
    this.#options.log.error("batch_corrupt", {
      topic: log.topic.name,
      partition: log.partition,
      offset,
      where,
      position,
    });
  }

  #reportIo(log: PartitionLog, error: unknown): void {
    this.#options.log.error("log_read_failed", {
      topic: log.topic.name,
      partition: log.partition,
      error: String(error),
    });
  }
}

/** From the file, or from memory what is not written yet; null where it is in neither. */
function readFile(
  file: JournalFile,
  target: Uint8Array,
  position: number,
): number | Promise<number> | null {
  if (position >= file.writtenEnd) return file.readUnwritten(target, position) ? target.length : 0;
  return file.file?.readInto(target, position) ?? null;
}

/**
 * Exclusive end of the run of close extents of one file that begins at `first`: all of it written, before `writtenEnd`, or
 * none of it.
 */
function endOfSpan(extents: ExtentIndex, first: number, last: number, writtenEnd: number): number {
  const isWritten = extents.position(first) < writtenEnd;
  const fileNumber = extents.fileNumber(first);
  let end = extents.position(first) + extents.sizeBytes(first);
  let spanLast = first + 1;
  while (spanLast < last && extents.fileNumber(spanLast) === fileNumber) {
    const gap = extents.position(spanLast) - end;
    if (gap < 0 || gap > GAP_BYTES_MAX) break;
    if (isWritten !== extents.position(spanLast) < writtenEnd) break;
    end = extents.position(spanLast) + extents.sizeBytes(spanLast);
    spanLast++;
  }
  return spanLast;
}
