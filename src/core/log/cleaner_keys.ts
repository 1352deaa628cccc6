// The newest offset of every key in a range of a log, in a bounded piece of memory: 24 bytes a key.
// Invariant: a key is never taken for another (128 keyed bits of it are kept), and growing moves a small
// part of the table at a time. Kafka: SkimpyOffsetMap, which keeps MD5 of the key.

import { KeyHash } from "../../base/halfsiphash.ts";

/** Bytes that one place in the table takes. */
export const KEY_PLACE_BYTES = 24;
const PARTS = 256;
const PLACES_FIRST = 8;

/** A place is the key's four words and then offset + 1, 0 where it is empty: side by side, as memory is what a look-up waits for. */
const PLACE_WORDS = KEY_PLACE_BYTES / 4;
const PLACE_NUMBERS = KEY_PLACE_BYTES / 8;
const OFFSET_NUMBER = 2;

/** One part of the table: open addressing with linear probing. */
class Part {
  readonly places: number;
  readonly words: Int32Array;
  /** The same bytes. */
  readonly numbers: Float64Array;
  count = 0;

  constructor(places: number) {
    this.places = places;
    const bytes = new ArrayBuffer(places * KEY_PLACE_BYTES);
    this.words = new Int32Array(bytes);
    this.numbers = new Float64Array(bytes);
  }

  /** Where the key is, or the empty place where it belongs; there always is one. */
  placeOf(word0: number, word1: number, word2: number, word3: number): number {
    const { words, numbers } = this;
    const mask = this.places - 1;
    for (let place = (word0 >>> 8) & mask; ; place = (place + 1) & mask) {
      if (numbers[place * PLACE_NUMBERS + OFFSET_NUMBER] === 0) return place;
      const at = place * PLACE_WORDS;
      if (
        words[at] === word0 &&
        words[at + 1] === word1 &&
        words[at + 2] === word2 &&
        words[at + 3] === word3
      ) {
        return place;
      }
    }
  }

  /** Offset + 1; 0 where the place is empty. */
  numberAt(place: number): number {
    return this.numbers[place * PLACE_NUMBERS + OFFSET_NUMBER]!;
  }

  set(place: number, number: number): void {
    this.numbers[place * PLACE_NUMBERS + OFFSET_NUMBER] = number;
  }

  /** Takes an empty place. */
  take(place: number, word0: number, word1: number, word2: number, word3: number): void {
    const at = place * PLACE_WORDS;
    this.words[at] = word0;
    this.words[at + 1] = word1;
    this.words[at + 2] = word2;
    this.words[at + 3] = word3;
    this.count++;
  }
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
    let place = part.placeOf(word0, word1, word2, word3);
    if (part.numberAt(place) === 0) {
      if (part.count + 1 > part.places * this.#loadFactor) {
        const larger = this.#grown(number, part);
        if (larger === null) return false;
        part = larger;
        place = part.placeOf(word0, word1, word2, word3);
      }
      part.take(place, word0, word1, word2, word3);
      this.#count++;
    }
    part.set(place, offset + 1);
    return true;
  }

  /** The newest offset of the key `bytes[start, end)`; −1 when it is not there. */
  latest(bytes: Uint8Array, start: number, end: number): number {
    this.#hash.hash(bytes, start, end);
    const { word0, word1, word2, word3 } = this.#hash;
    const part = this.#parts[word0 & (PARTS - 1)] ?? null;
    if (part === null) return -1;
    return part.numberAt(part.placeOf(word0, word1, word2, word3)) - 1;
  }

  /** The part with twice the places; null where the bound does not allow it. */
  #grown(number: number, part: Part | null): Part | null {
    const before = part?.places ?? 0;
    const places = before === 0 ? PLACES_FIRST : before * 2;
    // Both are there while the one is copied.
    if (this.#places + places > this.#placesMax) return null;
    const larger = new Part(places);
    for (let from = 0; part !== null && from < before; from++) {
      const offset = part.numberAt(from);
      if (offset === 0) continue;
      const at = from * PLACE_WORDS;
      const { words } = part;
      const [word0, word1] = [words[at]!, words[at + 1]!];
      const [word2, word3] = [words[at + 2]!, words[at + 3]!];
      const to = larger.placeOf(word0, word1, word2, word3);
      larger.take(to, word0, word1, word2, word3);
      larger.set(to, offset);
    }
    this.#parts[number] = larger;
    this.#places += places - before;
    return larger;
  }
}
