// Where a partition's batches lie in journal files: one entry a batch, ordered by offset.
// Invariant: base offsets strictly ascend. Kept in one Float64Array (32 bytes an entry), because
// most partitions have a handful of entries and a heavy one has a million.

const STRIDE = 4;
const AT_FILE = 1;
const AT_SIZE = 2;
const AT_TIME = 3;
/** Positions and sizes have 32 bits; above each stands a part of the file number: 21 bits keep a cell exact. */
const WORD = 0x1_0000_0000;
const FILE_LOW = 0x20_0000;
const ENTRIES_FIRST = 4;
const ENTRIES_KEPT = 64;

export class ExtentIndex {
  #cells = new Float64Array(ENTRIES_FIRST * STRIDE);
  #head = 0;
  #tail = 0;

  get count(): number {
    return this.#tail - this.#head;
  }

  /** First offset of entry `i` (0 is the oldest). */
  baseOffset(i: number): number {
    return this.#cells[(this.#head + i) * STRIDE]!;
  }
  fileNumber(i: number): number {
    const at = (this.#head + i) * STRIDE;
    const high = Math.floor(this.#cells[at + AT_SIZE]! / WORD);
    return high * FILE_LOW + Math.floor(this.#cells[at + AT_FILE]! / WORD);
  }
  /** Position of the batch itself, past its entry header. */
  position(i: number): number {
    return this.#cells[(this.#head + i) * STRIDE + AT_FILE]! % WORD;
  }
  sizeBytes(i: number): number {
    return this.#cells[(this.#head + i) * STRIDE + AT_SIZE]! % WORD;
  }
  maxTimestampMs(i: number): number {
    return this.#cells[(this.#head + i) * STRIDE + AT_TIME]!;
  }

  push(
    baseOffset: number,
    fileNumber: number,
    position: number,
    sizeBytes: number,
    maxTimestampMs: number,
  ): void {
    if (this.#tail * STRIDE === this.#cells.length) this.#makeRoom();
    this.#write(this.#tail++, baseOffset, fileNumber, position, sizeBytes, maxTimestampMs);
  }

  /** Puts an entry in its place by offset; an entry of the same offset is replaced. Returns the index. */
  place(
    baseOffset: number,
    fileNumber: number,
    position: number,
    sizeBytes: number,
    maxTimestampMs: number,
  ): { readonly replaced: boolean; readonly index: number } {
    const i = this.indexOf(baseOffset);
    if (i >= 0 && this.baseOffset(i) === baseOffset) {
      this.#write(this.#head + i, baseOffset, fileNumber, position, sizeBytes, maxTimestampMs);
      return { replaced: true, index: i };
    }
    if (this.#tail * STRIDE === this.#cells.length) this.#makeRoom();
    const at = this.#head + i + 1;
    this.#cells.copyWithin((at + 1) * STRIDE, at * STRIDE, this.#tail * STRIDE);
    this.#tail++;
    this.#write(at, baseOffset, fileNumber, position, sizeBytes, maxTimestampMs);
    return { replaced: false, index: i + 1 };
  }

  /** Index of the last entry whose base offset is at most `offset`; -1 when all are past it. */
  indexOf(offset: number): number {
    const cells = this.#cells;
    let low = this.#head;
    let high = this.#tail;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cells[middle * STRIDE]! <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1 - this.#head;
  }

  /** Entries [first, last) as an index of their own. */
  copy(first: number, last: number): ExtentIndex {
    const copied = new ExtentIndex();
    copied.#cells = this.#cells.slice((this.#head + first) * STRIDE, (this.#head + last) * STRIDE);
    copied.#tail = last - first;
    return copied;
  }

  dropFirst(count: number): void {
    this.#head += count;
    const used = this.#tail - this.#head;
    const capacity = this.#cells.length / STRIDE;
    // A partition that was busy gives its memory back; the bound keeps the copying rare.
    if (capacity > ENTRIES_KEPT && used <= capacity / 4) {
      const cells = new Float64Array(Math.max(used * 2, ENTRIES_FIRST) * STRIDE);
      cells.set(this.#cells.subarray(this.#head * STRIDE, this.#tail * STRIDE));
      this.#cells = cells;
      this.#head = 0;
      this.#tail = used;
    } else if (used === 0) {
      this.#head = 0;
      this.#tail = 0;
    }
  }

  /** Keeps the first `count` entries. */
  keepFirst(count: number): void {
    this.#tail = this.#head + count;
  }

  #write(
    slot: number,
    baseOffset: number,
    fileNumber: number,
    position: number,
    sizeBytes: number,
    maxTimestampMs: number,
  ): void {
    const at = slot * STRIDE;
    this.#cells[at] = baseOffset;
    this.#cells[at + AT_FILE] = (fileNumber % FILE_LOW) * WORD + position;
    this.#cells[at + AT_SIZE] = Math.floor(fileNumber / FILE_LOW) * WORD + sizeBytes;
    this.#cells[at + AT_TIME] = maxTimestampMs;
  }

  #makeRoom(): void {
    const used = this.#cells.subarray(this.#head * STRIDE, this.#tail * STRIDE);
    const isHalfEmpty = used.length * 2 <= this.#cells.length;
    const target = isHalfEmpty ? this.#cells : new Float64Array(this.#cells.length * 2);
    target.set(used, 0);
    this.#cells = target;
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
