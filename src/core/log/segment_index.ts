// The sparse index of one segment file: every `index.interval.bytes` an entry of relative offset,
// position and the greatest timestamp so far. Serves offset and time look-ups alike; rebuilt from
// the file when it is missing. Kafka: OffsetIndex and TimeIndex, in one.

import { crc32c } from "../../base/crc32c.ts";

const MAGIC = 0x4d52_5349; // "MRSI"
const VERSION = 1;
const HEADER_BYTES = 32;
const ENTRY_BYTES = 16;

export class SegmentIndex {
  readonly baseOffset: number;
  #relativeOffsets: number[] = [];
  #positions: number[] = [];
  #maxTimestamps: number[] = [];
  /** End of the file part that the entries describe. */
  coveredBytes = 0;
  #bytesSinceEntry = Number.POSITIVE_INFINITY;
  #maxTimestampMs = -1;

  constructor(baseOffset: number) {
    this.baseOffset = baseOffset;
  }

  /** Bytes of memory, about. */
  get sizeBytes(): number {
    return 64 + this.#positions.length * 24;
  }

  get maxTimestampMs(): number {
    return this.#maxTimestampMs;
  }

  /**
   * Takes in the next batch of the file.
   *
   * @param isSure False where `batchOffset` is doubtful: then no entry begins here.
   */
  add(
    batchOffset: number,
    sizeBytes: number,
    maxTimestampMs: number,
    intervalBytes: number,
    isSure = true,
  ): void {
    if (isSure && this.#bytesSinceEntry >= intervalBytes) {
      this.#relativeOffsets.push(batchOffset - this.baseOffset);
      this.#positions.push(this.coveredBytes);
      // Of what lies before the entry: a look-up by time may start there when that is too old.
      this.#maxTimestamps.push(this.#maxTimestampMs);
      this.#bytesSinceEntry = 0;
    }
    this.#bytesSinceEntry += sizeBytes;
    this.coveredBytes += sizeBytes;
    this.#maxTimestampMs = Math.max(this.#maxTimestampMs, maxTimestampMs);
  }

  /** Nothing can be told of the rest of a damaged file: it gets no entries. */
  endingAt(coveredBytes: number): this {
    this.coveredBytes = coveredBytes;
    return this;
  }

  /** A copy that may grow while this one is read. */
  copy(): SegmentIndex {
    const copied = new SegmentIndex(this.baseOffset);
    copied.#relativeOffsets = [...this.#relativeOffsets];
    copied.#positions = [...this.#positions];
    copied.#maxTimestamps = [...this.#maxTimestamps];
    copied.coveredBytes = this.coveredBytes;
    copied.#bytesSinceEntry = this.#bytesSinceEntry;
    copied.#maxTimestampMs = this.#maxTimestampMs;
    return copied;
  }

  /** The last entry at or before the batch that holds `offset`; −1: look from the file's start. */
  entryFor(offset: number): number {
    const relative = offset - this.baseOffset;
    let low = 0;
    let high = this.#relativeOffsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#relativeOffsets[middle]! <= relative) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  positionOf(entry: number): number {
    return entry < 0 ? 0 : this.#positions[entry]!;
  }

  /** Base offset of the batch at an entry; −1 for the file's start. */
  offsetOf(entry: number): number {
    return entry < 0 ? -1 : this.baseOffset + this.#relativeOffsets[entry]!;
  }

  /** Offset from which to look for the first batch with a timestamp of at least `timestampMs`. */
  offsetForTimestamp(timestampMs: number): number {
    let low = 0;
    let high = this.#maxTimestamps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#maxTimestamps[middle]! < timestampMs) low = middle + 1;
      else high = middle;
    }
    return this.baseOffset + (low === 0 ? 0 : this.#relativeOffsets[low - 1]!);
  }

  encode(): Uint8Array {
    const count = this.#positions.length;
    const bytes = new Uint8Array(HEADER_BYTES + count * ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC);
    view.setUint32(4, VERSION);
    view.setFloat64(8, this.coveredBytes);
    view.setFloat64(16, this.#maxTimestampMs);
    view.setUint32(24, count);
    for (let i = 0; i < count; i++) {
      const at = HEADER_BYTES + i * ENTRY_BYTES;
      view.setUint32(at, this.#relativeOffsets[i]!);
      view.setUint32(at + 4, this.#positions[i]!);
      view.setFloat64(at + 8, this.#maxTimestamps[i]!);
    }
    view.setUint32(28, crc32c(bytes, HEADER_BYTES, bytes.length, crc32c(bytes, 0, 28)));
    return bytes;
  }

  /** Null when the bytes are not a whole index of `coveredBytes` bytes of that segment. */
  static decode(bytes: Uint8Array, baseOffset: number, coveredBytes: number): SegmentIndex | null {
    if (bytes.length < HEADER_BYTES) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = view.getUint32(24);
    if (
      view.getUint32(0) !== MAGIC ||
      view.getUint32(4) !== VERSION ||
      view.getFloat64(8) !== coveredBytes ||
      bytes.length !== HEADER_BYTES + count * ENTRY_BYTES ||
      view.getUint32(28) !== crc32c(bytes, HEADER_BYTES, bytes.length, crc32c(bytes, 0, 28))
    ) {
      return null;
    }
    const index = new SegmentIndex(baseOffset);
    index.coveredBytes = coveredBytes;
    index.#maxTimestampMs = view.getFloat64(16);
    for (let i = 0; i < count; i++) {
      const at = HEADER_BYTES + i * ENTRY_BYTES;
      index.#relativeOffsets.push(view.getUint32(at));
      index.#positions.push(view.getUint32(at + 4));
      index.#maxTimestamps.push(view.getFloat64(at + 8));
    }
    return index;
  }
}
