// The newest offset of every key in a range of a log, in a bounded piece of memory: 24 bytes a key.
// Invariant: a key is never taken for another (128 keyed bits of it are kept), and growing moves a small
// part of the table at a time. Kafka: SkimpyOffsetMap, which keeps MD5 of the key.

import { KeyHash } from "../../base/halfsiphash.ts";

/** Bytes that one place in the table takes. */
export const KEY_PLACE_BYTES = 24;
const PARTS = 256;
const PLACES_FIRST = 8;

/** One part of the table: open addressing with linear probing. */
interface Part {
  /** Four words a place. */
  readonly hashes: Int32Array;
  /** Offset + 1; 0 for an empty place. */
  readonly offsets: Float64Array;
  count: number;
}

export class KeyOffsets {
  readonly #hash: KeyHash;
  readonly #parts: (Part | null)[] = new Array<Part | null>(PARTS).fill(null);
  readonly #placesMax: number;
  readonly #loadFactor: number;
  #places = 0;
  #count = 0;

  /**
   * @param sizeBytesMax Bound of the table's memory; room for a few keys is there in any case.
   * @param loadFactor How full a part may get before it grows, above 0 and below 1.
   * @param uint32 Draws the hash's secret key.
   */
  constructor(sizeBytesMax: number, loadFactor: number, uint32: () => number) {
    this.#hash = new KeyHash(uint32);
    this.#placesMax = Math.max(Math.floor(sizeBytesMax / KEY_PLACE_BYTES), PLACES_FIRST);
    this.#loadFactor = Math.min(Math.max(loadFactor, 0.1), 0.95);
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#places * KEY_PLACE_BYTES;
  }

  /**
   * Notes that the key `bytes[start, end)` was written at `offset`. Offsets ascend.
   *
   * @returns False when there is no room for it: then nothing was noted.
   */
  put(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    this.#hash.hash(bytes, start, end);
    const { word0, word1, word2, word3 } = this.#hash;
    const number = word0 & (PARTS - 1);
    let part = this.#parts[number] ?? null;
    if (part === null) {
      part = this.#grown(number, null);
      if (part === null) return false;
    }
    let place = this.#placeOf(part, word0, word1, word2, word3);
    if (part.offsets[place] === 0) {
      if (part.count + 1 > part.offsets.length * this.#loadFactor) {
        const larger = this.#grown(number, part);
        if (larger === null) return false;
        part = larger;
        place = this.#placeOf(part, word0, word1, word2, word3);
      }
      part.hashes[place * 4] = word0;
      part.hashes[place * 4 + 1] = word1;
      part.hashes[place * 4 + 2] = word2;
      part.hashes[place * 4 + 3] = word3;
      part.count++;
      this.#count++;
    }
    part.offsets[place] = offset + 1;
    return true;
  }

  /** The newest offset of the key `bytes[start, end)`; −1 when it is not there. */
  latest(bytes: Uint8Array, start: number, end: number): number {
    this.#hash.hash(bytes, start, end);
    const { word0, word1, word2, word3 } = this.#hash;
    const part = this.#parts[word0 & (PARTS - 1)] ?? null;
    if (part === null) return -1;
    return part.offsets[this.#placeOf(part, word0, word1, word2, word3)]! - 1;
  }

  /** Where the key is, or the empty place where it belongs; there always is one. */
  #placeOf(part: Part, word0: number, word1: number, word2: number, word3: number): number {
    const { hashes, offsets } = part;
    const mask = offsets.length - 1;
    for (let place = (word0 >>> 8) & mask; ; place = (place + 1) & mask) {
      if (offsets[place] === 0) return place;
      const at = place * 4;
      if (
        hashes[at] === word0 &&
        hashes[at + 1] === word1 &&
        hashes[at + 2] === word2 &&
        hashes[at + 3] === word3
      ) {
        return place;
      }
    }
  }

  /** The part with twice the places; null where the bound does not allow it. */
  #grown(number: number, part: Part | null): Part | null {
    const before = part?.offsets.length ?? 0;
    const places = before === 0 ? PLACES_FIRST : before * 2;
    // Both are there while the one is copied.
    if (this.#places + places > this.#placesMax) return null;
    const larger: Part = {
      hashes: new Int32Array(places * 4),
      offsets: new Float64Array(places),
      count: part?.count ?? 0,
    };
    for (let from = 0; part !== null && from < before; from++) {
      if (part.offsets[from] === 0) continue;
      const words = part.hashes.subarray(from * 4, from * 4 + 4);
      const to = this.#placeOf(larger, words[0]!, words[1]!, words[2]!, words[3]!);
      larger.hashes.set(words, to * 4);
      larger.offsets[to] = part.offsets[from]!;
    }
    this.#parts[number] = larger;
    this.#places += places - before;
    return larger;
  }
}
