// Reads a journal file entry by entry after a start. Tells a torn tail (the end of what was never
// synced: cut) from damage in the middle (something later vouches for it: reported and stepped over).
// Invariant: an entry that was synced is never cut; an entry that fails a checksum is never applied.

import type { Logger } from "../../contracts/runtime.ts";
import type { SegmentFile } from "../../contracts/storage.ts";
import { BATCH_HEADER_BYTES, isCrcValid } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import {
  coveredPayloadBytes,
  ENTRY_HEADER_BYTES,
  type EntryHeader,
  FILE_HEADER_BYTES,
  isBatchKind,
  isEntryHeaderValid,
  isEntryMagic,
  readEntryHeader,
} from "./journal_format.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

const WINDOW_BYTES = 1024 * 1024;
/** A transaction marker is a batch of fewer bytes, and the visitor wants all of it. */
const MARKER_BYTES_MAX = 128;
/** The first byte of an entry. */
const ENTRY_MAGIC_FIRST = 0x4d;

/** Called for each sound entry. `bytes[payloadAt …]` holds the batch header, all of a marker, or the whole payload of other kinds. */
export type EntryVisitor = (
  header: EntryHeader,
  bytes: Uint8Array,
  headerAt: number,
  payloadAt: number,
  payloadPosition: number,
) => void;

export interface ScanResult {
  /** End of the last entry that is kept. */
  readonly endPosition: number;
  /** Bytes after it that were never acknowledged. */
  readonly tornBytes: number;
  /** What follows the end began as an entry of this file; otherwise it is space, or what a recycled file held. */
  readonly isTornEntry: boolean;
  readonly damagedRanges: number;
  readonly entryCount: number;
}

export interface ScanOptions {
  readonly file: SegmentFile;
  readonly fileNumber: number;
  /** Null when the file's header is damaged. */
  readonly salt: number | null;
  /** A later file was begun: this one was synced to its end before. */
  readonly isVouchedFor: boolean;
  readonly crc32c: Crc32c | undefined;
  readonly log: Logger;
  readonly visit: EntryVisitor;
  /** Told where synced entries were stepped over, before the next one is visited. */
  readonly onDamage: () => void;
}

/** Whether some entry of the file says that what lies before it was synced. */
export async function hasVoucher(file: SegmentFile, fileNumber: number): Promise<boolean> {
  const scanner = new Scanner({ file, fileNumber, salt: null });
  return (await scanner.findSyncedBytes()) > FILE_HEADER_BYTES;
}

export async function scanJournalFile(options: ScanOptions): Promise<ScanResult> {
  const scanner = new Scanner(options);
  const syncedBytes = options.isVouchedFor
    ? options.file.sizeBytes
    : await scanner.findSyncedBytes();
  return await scanner.scan(syncedBytes, options);
}

class Scanner {
  readonly #options: Pick<ScanOptions, "file" | "fileNumber" | "salt">;
  #window = new Uint8Array(WINDOW_BYTES);
  #view = new DataView(this.#window.buffer);
  #words = new Int32Array(this.#window.buffer);
  /** The window holds file bytes [windowAt, windowAt + windowBytes). */
  #windowAt = 0;
  #windowBytes = 0;
  readonly #header: EntryHeader = {
    kind: 0,
    flags: 0,
    payloadBytes: 0,
    partition: 0,
    syncedBefore: 0,
  };

  constructor(options: Pick<ScanOptions, "file" | "fileNumber" | "salt">) {
    this.#options = options;
  }

  /** The furthest position that some sound entry vouches for. */
  async findSyncedBytes(): Promise<number> {
    const end = this.#options.file.sizeBytes;
    let syncedBytes = FILE_HEADER_BYTES;
    let position = FILE_HEADER_BYTES;
    while (position < end) {
      if (await this.#isSoundAt(position)) {
        syncedBytes = Math.max(syncedBytes, this.#header.syncedBefore);
        position += ENTRY_HEADER_BYTES + this.#header.payloadBytes;
        continue;
      }
      const later = await this.#findSound(position + 1, (header) => header.syncedBefore > position);
      if (later < 0) break;
      position = later;
    }
    return syncedBytes;
  }

  async scan(syncedBytes: number, options: ScanOptions): Promise<ScanResult> {
    const { file, fileNumber, log, visit, crc32c } = options;
    const end = file.sizeBytes;
    let position = FILE_HEADER_BYTES;
    let damagedRanges = 0;
    let entryCount = 0;
    while (position < end) {
      const isSound = await this.#isSoundAt(position);
      const header = this.#header;
      const entryEnd = position + ENTRY_HEADER_BYTES + header.payloadBytes;
      const isTrusted = position < syncedBytes;
      if (isSound && (isTrusted || (await this.#isPayloadSound(position, crc32c)))) {
        const at = position - this.#windowAt;
        visit(header, this.#window, at, at + ENTRY_HEADER_BYTES, position + ENTRY_HEADER_BYTES);
        entryCount++;
        position = entryEnd;
        continue;
      }
      if (!isTrusted) {
        const tornBytes = end - position;
        const isTornEntry = await this.#isBegunAt(position);
        return { endPosition: position, tornBytes, isTornEntry, damagedRanges, entryCount };
      }
      const next = await this.#findSound(position + 1, () => true);
      damagedRanges++;
      options.onDamage();
      log.error("journal_corrupt", {
        file: fileNumber,
        position,
        sizeBytes: (next < 0 ? Math.min(end, syncedBytes) : next) - position,
      });
      if (next < 0) {
        // Nothing readable follows. What was vouched for stays in place, as evidence.
        return {
          endPosition: end,
          tornBytes: 0,
          isTornEntry: false,
          damagedRanges,
          entryCount,
        };
      }
      position = next;
    }
    return { endPosition: end, tornBytes: 0, isTornEntry: false, damagedRanges, entryCount };
  }

  async #isBegunAt(position: number): Promise<boolean> {
    if (position + ENTRY_HEADER_BYTES > this.#options.file.sizeBytes) return true;
    await this.#hold(position, ENTRY_HEADER_BYTES);
    return this.#isMagicAt(position - this.#windowAt);
  }

  /** Whether a whole entry with a right header checksum stands at `position`; fills #header. */
  async #isSoundAt(position: number): Promise<boolean> {
    const end = this.#options.file.sizeBytes;
    if (position + ENTRY_HEADER_BYTES > end) return false;
    await this.#hold(position, ENTRY_HEADER_BYTES + BATCH_HEADER_BYTES);
    let at = position - this.#windowAt;
    if (!isEntryMagic(this.#view, at, this.#options.fileNumber, this.#options.salt)) return false;
    const header = this.#header;
    readEntryHeader(this.#view, at, header);
    if (position + ENTRY_HEADER_BYTES + header.payloadBytes > end) return false;
    if (isBatchKind(header.kind) && header.payloadBytes < BATCH_HEADER_BYTES) return false;
    const covered = coveredPayloadBytes(header.kind, header.payloadBytes);
    await this.#hold(position, ENTRY_HEADER_BYTES + Math.max(covered, MARKER_BYTES_MAX));
    at = position - this.#windowAt;
    return isEntryHeaderValid(this.#window, this.#view, at, header);
  }

  /** The checksum of a batch whose sync nothing vouches for. */
  async #isPayloadSound(position: number, crc32c: Crc32c | undefined): Promise<boolean> {
    const { kind, payloadBytes } = this.#header;
    if (!isBatchKind(kind)) return true;
    await this.#hold(position, ENTRY_HEADER_BYTES + payloadBytes);
    const at = position - this.#windowAt + ENTRY_HEADER_BYTES;
    return (
      batchSizeAt(this.#window, at, at + payloadBytes) === payloadBytes &&
      isCrcValid(this.#window, at, payloadBytes, crc32c)
    );
  }

  /** Position of the first sound entry at or after `from` that `accepts`; −1 when there is none. */
  async #findSound(from: number, accepts: (header: EntryHeader) => boolean): Promise<number> {
    const end = this.#options.file.sizeBytes;
    let position = from;
    while (position + ENTRY_HEADER_BYTES <= end) {
      await this.#hold(position, ENTRY_HEADER_BYTES);
      const limit = this.#windowBytes - ENTRY_HEADER_BYTES;
      let at = position - this.#windowAt;
      while (at <= limit && !this.#isMagicAt(at)) at = this.#nextMagic(at + 1, limit + 1);
      position = this.#windowAt + at;
      if (at > limit) continue;
      if ((await this.#isSoundAt(position)) && accepts(this.#header)) return position;
      position++;
    }
    return -1;
  }

  /** Where in the window the next entry may begin, at most `end`. What follows the entries may be 128 MiB of space. */
  #nextMagic(from: number, end: number): number {
    const window = this.#window;
    let at = from;
    for (; (at & 3) !== 0; at++) if (window[at] === ENTRY_MAGIC_FIRST) return Math.min(at, end);
    const words = this.#words;
    let word = at >> 2;
    const lastWord = (end >> 2) - 4;
    while (word < lastWord) {
      if ((words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]!) !== 0) break;
      word += 4;
    }
    at = window.indexOf(ENTRY_MAGIC_FIRST, word << 2);
    return at < 0 || at > end ? end : at;
  }

  #isMagicAt(at: number): boolean {
    return (
      this.#window[at] === ENTRY_MAGIC_FIRST &&
      isEntryMagic(this.#view, at, this.#options.fileNumber, this.#options.salt)
    );
  }

  /** Makes the window hold `sizeBytes` from `position` on, as far as the file has them. */
  async #hold(position: number, sizeBytes: number): Promise<void> {
    const wantedEnd = Math.min(position + sizeBytes, this.#options.file.sizeBytes);
    if (position >= this.#windowAt && wantedEnd <= this.#windowAt + this.#windowBytes) return;
    if (sizeBytes > this.#window.length) {
      // Whole words.
      this.#window = new Uint8Array((sizeBytes + 3) & ~3);
      this.#words = new Int32Array(this.#window.buffer);
      this.#view = new DataView(this.#window.buffer);
    }
    this.#windowAt = position;
    this.#windowBytes = await this.#options.file.readInto(this.#window, position);
    // What was there before must not pass for the file's bytes.
    if (this.#windowBytes < this.#window.length) this.#window.fill(0, this.#windowBytes);
  }
}
