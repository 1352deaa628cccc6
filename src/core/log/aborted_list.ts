// Transactions that were aborted, in the order of their markers: what a read_committed reader is told to skip.
// Invariant: last offsets ascend (strictly, but for transactions whose ends are lost); no transaction after one in the list
// begins before its last stable offset.
// Four numbers an entry in one Float64Array, and with a checksum in a file. Kafka: TransactionIndex, AbortedTxn.

import { crc32c } from "../../base/crc32c.ts";

/** One transaction that was aborted. */
export interface AbortedTransaction {
  readonly producerId: number;
  /** Of its first batch in the partition, inclusive. */
  readonly firstOffset: number;
  /** Of its marker; of the last record that is hidden with it, where its marker is lost. */
  readonly lastOffset: number;
  /** First offset of the oldest transaction that was open when the marker came; after the marker when none was. */
  readonly lastStableOffset: number;
}

const STRIDE = 4;
const ENTRIES_FIRST = 4;
/** Entries that are dropped at the front before what is left is moved there. */
const DROPPED_KEPT = 64;
/** Bytes of an entry in a file: four numbers and a checksum of them. */
export const ABORTED_BYTES = STRIDE * 8 + 4;

export class AbortedList {
  #cells = new Float64Array(ENTRIES_FIRST * STRIDE);
  #head = 0;
  #tail = 0;

  get count(): number {
    return this.#tail - this.#head;
  }

  at(i: number): AbortedTransaction {
    const at = (this.#head + i) * STRIDE;
    return {
      producerId: this.#cells[at]!,
      firstOffset: this.#cells[at + 1]!,
      lastOffset: this.#cells[at + 2]!,
      lastStableOffset: this.#cells[at + 3]!,
    };
  }

  lastOffset(i: number): number {
    return this.#cells[(this.#head + i) * STRIDE + 2]!;
  }

  push(aborted: AbortedTransaction): void {
    if (this.#tail * STRIDE === this.#cells.length) this.#makeRoom();
    const at = this.#tail++ * STRIDE;
    this.#cells[at] = aborted.producerId;
    this.#cells[at + 1] = aborted.firstOffset;
    this.#cells[at + 2] = aborted.lastOffset;
    this.#cells[at + 3] = aborted.lastStableOffset;
  }

  /** Puts one that ended before others of the list where it belongs: its last stable offset is lowered as need be. */
  insert(aborted: AbortedTransaction): void {
    const later = [...this.from(aborted.lastOffset + 1)];
    this.dropFrom(aborted.lastOffset + 1);
    const { lastStableOffset } = aborted;
    const firstLater = later.reduce((low, each) => Math.min(low, each.firstOffset), Infinity);
    this.push({ ...aborted, lastStableOffset: Math.min(lastStableOffset, firstLater) });
    for (const each of later) this.push(each);
  }

  /** Takes the one that begins there out. */
  remove(producerId: number, firstOffset: number): void {
    const isOther = (each: AbortedTransaction) =>
      each.producerId !== producerId || each.firstOffset !== firstOffset;
    const kept = this.between(0, Infinity).filter(isOther);
    this.dropFrom(0);
    for (const each of kept) this.push(each);
  }

  /** Index of the first whose marker stands at or after `offset`; `count` when none does. */
  indexFrom(offset: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.lastOffset(middle) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Lets go of those whose marker stands before `offset`. */
  dropBefore(offset: number): void {
    this.#head += this.indexFrom(offset);
    if (this.#head === this.#tail) {
      this.#head = 0;
      this.#tail = 0;
    } else if (this.#head > DROPPED_KEPT && this.#head > this.#tail / 2) {
      this.#cells.copyWithin(0, this.#head * STRIDE, this.#tail * STRIDE);
      this.#tail -= this.#head;
      this.#head = 0;
    }
  }

  /** Lets go of those whose marker stands at or after `offset`. */
  dropFrom(offset: number): void {
    this.#tail = this.#head + this.indexFrom(offset);
  }

  /** Those whose markers stand at or after `offset`. */
  *from(offset: number): Iterable<AbortedTransaction> {
    for (let i = this.indexFrom(offset); i < this.count; i++) yield this.at(i);
  }

  /** Those whose markers stand in [start, end). */
  between(start: number, end: number): AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    const to = this.indexFrom(end);
    for (let i = this.indexFrom(start); i < to; i++) found.push(this.at(i));
    return found;
  }

  #makeRoom(): void {
    const used = this.#cells.subarray(this.#head * STRIDE, this.#tail * STRIDE);
    const cells = new Float64Array(Math.max(used.length * 2, ENTRIES_FIRST * STRIDE));
    cells.set(used);
    this.#cells = cells;
    this.#tail -= this.#head;
    this.#head = 0;
  }
}

/**
 * Adds those of `sorted` that overlap [start, end) to `into`.
 *
 * @param sorted In the order of their markers, none of which need overlap.
 * @returns True when no later one can.
 */
export function collectAborted(
  sorted: Iterable<AbortedTransaction>,
  start: number,
  end: number,
  into: AbortedTransaction[],
): boolean {
  for (const aborted of sorted) {
    if (aborted.lastOffset >= start && aborted.firstOffset < end) into.push(aborted);
    if (aborted.lastStableOffset >= end) return true;
  }
  return false;
}

/** In the order of their ends, and what each says of those after it true of these. */
export function inOrder(list: readonly AbortedTransaction[]): AbortedTransaction[] {
  const sorted = list.toSorted((a, b) => a.lastOffset - b.lastOffset);
  let firstLater = Number.POSITIVE_INFINITY;
  for (let i = sorted.length - 1; i >= 0; i--) {
    const each = sorted[i]!;
    sorted[i] = { ...each, lastStableOffset: Math.min(each.lastStableOffset, firstLater) };
    firstLater = Math.min(firstLater, each.firstOffset);
  }
  return sorted;
}

export function encodeAborted(list: readonly AbortedTransaction[]): Uint8Array {
  const bytes = new Uint8Array(list.length * ABORTED_BYTES);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { producerId, firstOffset, lastOffset, lastStableOffset } of list) {
    view.setFloat64(at, producerId);
    view.setFloat64(at + 8, firstOffset);
    view.setFloat64(at + 16, lastOffset);
    view.setFloat64(at + 24, lastStableOffset);
    view.setUint32(at + 32, crc32c(bytes, at, at + 32));
    at += ABORTED_BYTES;
  }
  return bytes;
}

/** Null when the bytes are cut short or an entry does not match its checksum. */
export function decodeAborted(bytes: Uint8Array): AbortedTransaction[] | null {
  if (bytes.length % ABORTED_BYTES !== 0) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: AbortedTransaction[] = [];
  for (let at = 0; at < bytes.length; at += ABORTED_BYTES) {
    if (view.getUint32(at + 32) !== crc32c(bytes, at, at + 32)) return null;
    list.push({
      producerId: view.getFloat64(at),
      firstOffset: view.getFloat64(at + 8),
      lastOffset: view.getFloat64(at + 16),
      lastStableOffset: view.getFloat64(at + 24),
    });
  }
  return list;
}
