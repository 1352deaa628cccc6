// Slots of keys in the order of the keys' bytes, in blocks short enough to be moved about.
// Invariant: no block is empty or longer than BLOCK_MAX; neighbouring blocks ascend.
// Kafka: none.

const BLOCK_MAX = 512;
const SLOT_BYTES = 8;

/** Below zero, zero or above as the slot's key comes before `key`, is it, or comes behind it. */
type Compare = (slot: number, key: Uint8Array) => number;

export class KeyOrder {
  readonly #compare: Compare;
  #blocks: number[][] = [];
  #count = 0;

  constructor(compare: Compare) {
    this.#compare = compare;
  }

  /** About what it takes, in bytes. */
  get sizeBytes(): number {
    return this.#count * SLOT_BYTES;
  }

  /** Begins with slots that are in order already. */
  fill(slots: readonly number[]): void {
    this.#blocks = [];
    this.#count = slots.length;
    const half = BLOCK_MAX / 2;
    for (let at = 0; at < slots.length; at += half) this.#blocks.push(slots.slice(at, at + half));
  }

  add(slot: number, key: Uint8Array): void {
    this.#count++;
    let { block, at } = this.#find(key);
    if (this.#blocks.length === 0) {
      this.#blocks.push([slot]);
      return;
    }
    if (block === this.#blocks.length) {
      block--;
      at = this.#blocks[block]!.length;
    }
    const slots = this.#blocks[block]!;
    slots.splice(at, 0, slot);
    if (slots.length > BLOCK_MAX) this.#blocks.splice(block + 1, 0, slots.splice(BLOCK_MAX / 2));
  }

  remove(slot: number, key: Uint8Array): void {
    const { block, at } = this.#find(key);
    const slots = this.#blocks[block];
    if (slots?.[at] !== slot) return;
    this.#count--;
    slots.splice(at, 1);
    if (slots.length === 0) this.#blocks.splice(block, 1);
  }

  /**
   * Slots of keys from `from` (inclusive; null for the first) to `to` (exclusive; null for no end), at most
   * `countMax`: the first of them, or, backwards, the last of them.
   */
  range(
    from: Uint8Array | null,
    to: Uint8Array | null,
    countMax: number,
    isReverse: boolean,
  ): number[] {
    const start = from === null ? { block: 0, at: 0 } : this.#find(from);
    const end = to === null ? { block: this.#blocks.length, at: 0 } : this.#find(to);
    const found: number[] = [];
    const isBefore = (a: typeof start, b: typeof start) =>
      a.block === b.block ? a.at < b.at : a.block < b.block;
    if (isReverse) {
      while (found.length < countMax && isBefore(start, end)) {
        if (end.at === 0) {
          end.block--;
          end.at = this.#blocks[end.block]!.length;
          continue;
        }
        end.at--;
        found.push(this.#blocks[end.block]![end.at]!);
      }
      return found;
    }
    while (found.length < countMax && isBefore(start, end)) {
      const slots = this.#blocks[start.block]!;
      if (start.at === slots.length) {
        start.block++;
        start.at = 0;
        continue;
      }
      found.push(slots[start.at++]!);
    }
    return found;
  }

  /** Where the first key lies that does not come before `key`: a place in a block, or behind all of them. */
  #find(key: Uint8Array): { block: number; at: number } {
    const blocks = this.#blocks;
    let low = 0;
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const slots = blocks[middle]!;
      if (this.#compare(slots[slots.length - 1]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    if (low === blocks.length) return { block: low, at: 0 };
    const slots = blocks[low]!;
    let from = 0;
    let to = slots.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#compare(slots[middle]!, key) < 0) from = middle + 1;
      else to = middle;
    }
    return { block: low, at: from };
  }
}
