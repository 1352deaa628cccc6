// Reads whole batches of a partition from wherever they lie: journal extents (gathered, and pushed
// together in a pooled buffer) or segment files. Nothing is decoded; checksums are looked at where
// this process has not seen them, or always when the host makes that cheap.
// Invariant: a batch that does not match its checksum or its place is reported, never returned.

import type { BufferPool } from "../../base/buffer_pool.ts";
import { StorageError } from "../../contracts/errors.ts";
import type { Logger } from "../../contracts/runtime.ts";
import { baseOffsetAt, isCrcValid, lastOffsetAt } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { ExtentIndex } from "./extent_index.ts";
import type { Journal } from "./journal.ts";
import type { JournalFile } from "./journal_file.ts";
import { ENTRY_HEADER_BYTES } from "./journal_format.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentFiles } from "./segment_files.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

/** Two extents this close are read together: a read call costs about as much as copying 4 KiB. */
const GAP_BYTES_MAX = 4096;
const SEGMENT_READ_BYTES_MIN = 64 * 1024;

export interface LogRead {
  /** Whole batches. */
  readonly batches: Uint8Array;
  /** To be given back to the pool once the batches have been used; null when there is none. */
  readonly buffer: Uint8Array<ArrayBuffer> | null;
  readonly fault: "corrupt" | "io" | "moved" | null;
}

const NOTHING = new Uint8Array(0);
export const EMPTY_READ: LogRead = { batches: NOTHING, buffer: null, fault: null };
const CORRUPT_READ: LogRead = { batches: NOTHING, buffer: null, fault: "corrupt" };
const IO_READ: LogRead = { batches: NOTHING, buffer: null, fault: "io" };
const MOVED_READ: LogRead = { batches: NOTHING, buffer: null, fault: "moved" };

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
   * Whole batches from the one that holds `offset`, up to `endOffset` (exclusive, a batch border).
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
    if (log.holes?.some((hole) => offset >= hole.start && offset < hole.end)) return CORRUPT_READ;
    if (offset < log.settledEnd)
      return this.#readSegment(log, offset, endOffset, bytesMax, atLeastOne);
    const { extents } = log;
    if (extents === null) return EMPTY_READ;
    const first = extents.indexOf(offset);
    if (first < 0) return EMPTY_READ;
    return this.#readExtents(log, extents, first, endOffset, bytesMax, atLeastOne);
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
    return this.#fill(log, extents, first, last, buffer, first, 0, takenBytes);
  }

  /**
   * Reads span after span into `buffer` from `at`, then packs. Extents are copied out of the index
   * only when a read has to be waited for, since the index may change meanwhile.
   */
  #fill(
    log: PartitionLog,
    extents: ExtentIndex,
    first: number,
    last: number,
    buffer: Uint8Array<ArrayBuffer>,
    next: number,
    at: number,
    takenBytes: number,
  ): LogRead | Promise<LogRead> {
    let packed = 0;
    while (next < last) {
      const fileNumber = extents.fileNumber(next);
      const start = extents.position(next);
      let end = start + extents.sizeBytes(next);
      let spanLast = next + 1;
      while (spanLast < last && extents.fileNumber(spanLast) === fileNumber) {
        const gap = extents.position(spanLast) - end;
        if (gap < 0 || gap > GAP_BYTES_MAX) break;
        end = extents.position(spanLast) + extents.sizeBytes(spanLast);
        spanLast++;
      }
      const file = this.#options.journal.files.get(fileNumber);
      if (file === undefined || file.file === null) return this.#faulty(buffer, MOVED_READ);
      const length = end - start;
      const target = buffer.subarray(packed, packed + length);
      let count: number | Promise<number>;
      try {
        count = file.file.readInto(target, start);
      } catch (error) {
        this.#reportIo(log, error);
        return this.#faulty(buffer, IO_READ);
      }
      if (typeof count !== "number") {
        return this.#fillSlowly(log, pick(extents, first, last), buffer, takenBytes);
      }
      if (count !== length) return this.#faulty(buffer, IO_READ);
      for (let i = next; i < spanLast; i++) {
        const sizeBytes = extents.sizeBytes(i);
        const from = packed + (extents.position(i) - start);
        const verdict = this.#place(
          log,
          buffer,
          from,
          at,
          sizeBytes,
          extents.baseOffset(i),
          file,
          extents.position(i),
        );
        if (!verdict) return this.#cutOrFault(buffer, at);
        at += sizeBytes;
      }
      packed = at;
      next = spanLast;
    }
    return { batches: buffer.subarray(0, at), buffer, fault: null };
  }

  /** Checks the batch at `from` and moves it to `to`. */
  #place(
    log: PartitionLog,
    buffer: Uint8Array<ArrayBuffer>,
    from: number,
    to: number,
    sizeBytes: number,
    baseOffset: number,
    file: JournalFile,
    position: number,
  ): boolean {
    const mustCheck =
      this.#options.crc32c !== undefined || position - ENTRY_HEADER_BYTES < file.writtenFrom;
    if (
      baseOffsetAt(buffer, from) !== baseOffset ||
      batchSizeAt(buffer, from, from + sizeBytes) !== sizeBytes ||
      (mustCheck && !isCrcValid(buffer, from, sizeBytes, this.#options.crc32c))
    ) {
      this.#reportCorrupt(log, baseOffset, `journal file ${file.number}`, position);
      return false;
    }
    if (from !== to) buffer.copyWithin(to, from, from + sizeBytes);
    return true;
  }

  async #fillSlowly(
    log: PartitionLog,
    extents: readonly Extent[],
    buffer: Uint8Array<ArrayBuffer>,
    takenBytes: number,
  ): Promise<LogRead> {
    let at = 0;
    for (const extent of extents) {
      const file = this.#options.journal.files.get(extent.fileNumber);
      if (file === undefined || file.file === null) return this.#faulty(buffer, MOVED_READ);
      file.readers++;
      try {
        const target = buffer.subarray(at, at + extent.sizeBytes);
        const count = await file.file.readInto(target, extent.position);
        if (count !== extent.sizeBytes) return this.#faulty(buffer, IO_READ);
      } catch (error) {
        this.#reportIo(log, error);
        return this.#faulty(buffer, IO_READ);
      } finally {
        file.readers--;
      }
      const isGood = this.#place(
        log,
        buffer,
        at,
        at,
        extent.sizeBytes,
        extent.baseOffset,
        file,
        extent.position,
      );
      if (!isGood) return this.#cutOrFault(buffer, at);
      at += extent.sizeBytes;
    }
    return { batches: buffer.subarray(0, takenBytes), buffer, fault: null };
  }

  async #readSegment(
    log: PartitionLog,
    offset: number,
    endOffset: number,
    bytesMax: number,
    atLeastOne: boolean,
  ): Promise<LogRead> {
    const segment = log.segments[log.segmentIndexOf(offset)];
    if (segment === undefined) return EMPTY_READ;
    try {
      const index = await this.#options.segmentFiles.index(log, segment);
      const file = await this.#options.segmentFiles.open(log, segment, false);
      let position = index.positionFor(offset);
      let wanted = Math.max(bytesMax, 0) + SEGMENT_READ_BYTES_MIN;
      for (;;) {
        const lengthMax = Math.min(wanted, segment.settledBytes - position);
        if (lengthMax <= 0) return EMPTY_READ;
        const buffer = this.#options.pool.acquire(lengthMax);
        const count = await file.readInto(buffer.subarray(0, lengthMax), position);
        const found = this.#walk(
          log,
          buffer,
          count,
          offset,
          endOffset,
          bytesMax,
          atLeastOne,
          position,
        );
        if (found.kind === "read") return found.read;
        this.#options.pool.release(buffer);
        if (found.kind === "fault") return CORRUPT_READ;
        if (count < lengthMax) return IO_READ;
        // Not there yet, or one batch larger than the window.
        position += found.skippedBytes;
        wanted = Math.max(found.neededBytes, SEGMENT_READ_BYTES_MIN);
        if (found.skippedBytes === 0 && found.neededBytes <= lengthMax) return EMPTY_READ;
      }
    } catch (error) {
      // The handle was closed to make room for others, or the segment went: look again.
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

  #walk(
    log: PartitionLog,
    buffer: Uint8Array<ArrayBuffer>,
    count: number,
    offset: number,
    endOffset: number,
    bytesMax: number,
    atLeastOne: boolean,
    position: number,
  ):
    | { readonly kind: "read"; readonly read: LogRead }
    | { readonly kind: "more"; readonly skippedBytes: number; readonly neededBytes: number }
    | { readonly kind: "fault" } {
    let at = 0;
    let start = -1;
    while (count - at >= 61) {
      const sizeBytes = batchSizeAt(buffer, at, Number.MAX_SAFE_INTEGER);
      if (sizeBytes < 0) {
        this.#reportCorrupt(log, offset, "segment file", position + at);
        if (start < 0) return { kind: "fault" };
        break;
      }
      const isBefore = lastOffsetAt(buffer, at) < offset;
      if (at + sizeBytes > count) {
        if (start < 0) return { kind: "more", skippedBytes: at, neededBytes: sizeBytes };
        break;
      }
      if (!isBefore) {
        if (baseOffsetAt(buffer, at) >= endOffset) break;
        const taken = start < 0 ? 0 : at - start;
        if (taken + sizeBytes > bytesMax && !(start < 0 && atLeastOne)) break;
        if (!isCrcValid(buffer, at, sizeBytes, this.#options.crc32c)) {
          this.#reportCorrupt(log, baseOffsetAt(buffer, at), "segment file", position + at);
          if (start < 0) return { kind: "fault" };
          break;
        }
        if (start < 0) start = at;
      }
      at += sizeBytes;
      if (isBefore) start = -1;
    }
    if (start < 0) {
      const isAtEnd = count - at >= 61;
      return isAtEnd
        ? { kind: "read", read: this.#emptyOf(buffer) }
        : { kind: "more", skippedBytes: at, neededBytes: 0 };
    }
    return { kind: "read", read: { batches: buffer.subarray(start, at), buffer, fault: null } };
  }

  #emptyOf(buffer: Uint8Array<ArrayBuffer>): LogRead {
    this.#options.pool.release(buffer);
    return EMPTY_READ;
  }

  /** Batches before the damaged one are good; without any, the damage is the answer. */
  #cutOrFault(buffer: Uint8Array<ArrayBuffer>, goodBytes: number): LogRead {
    if (goodBytes > 0) return { batches: buffer.subarray(0, goodBytes), buffer, fault: null };
    return this.#faulty(buffer, CORRUPT_READ);
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

interface Extent {
  readonly fileNumber: number;
  readonly position: number;
  readonly sizeBytes: number;
  readonly baseOffset: number;
}

function pick(extents: ExtentIndex, first: number, last: number): readonly Extent[] {
  const out: Extent[] = [];
  for (let i = first; i < last; i++) {
    out.push({
      fileNumber: extents.fileNumber(i),
      position: extents.position(i),
      sizeBytes: extents.sizeBytes(i),
      baseOffset: extents.baseOffset(i),
    });
  }
  return out;
}
