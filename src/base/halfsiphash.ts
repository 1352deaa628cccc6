// HalfSipHash with 64 bits (Aumasson, Bernstein): a keyed hash of 32-bit words, quick without BigInt.
// Two of them under keys of their own make 128 bits, by which keys of records are told apart: whoever does
// not know the key can make up no two inputs that collide, and nobody meets such a pair by chance.
// Invariant: with 2 and 4 rounds equal to the reference's vectors; KeyHash is two of halfSipHash with 1 and 3.

/** A 128-bit keyed hash: HalfSipHash-1-3 of 64 bits, twice, as Linux uses it for its tables. */
export class KeyHash {
  /** The last hash, as four signed words. */
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  readonly #a0: number;
  readonly #a1: number;
  readonly #b0: number;
  readonly #b1: number;

  /** @param uint32 Draws the secret key: four numbers of 32 bits. */
  constructor(uint32: () => number) {
    this.#a0 = uint32() | 0;
    this.#a1 = uint32() | 0;
    this.#b0 = uint32() | 0;
    this.#b1 = uint32() | 0;
  }

  /** Hashes `bytes[start, end)` into the four words: both hashes step by step side by side, as neither waits for the other. */
  hash(bytes: Uint8Array, start: number, end: number): void {
    let a0 = this.#a0;
    let a1 = this.#a1 ^ 0xee;
    let a2 = 0x6c796765 ^ a0;
    let a3 = 0x74656462 ^ this.#a1;
    let b0 = this.#b0;
    let b1 = this.#b1 ^ 0xee;
    let b2 = 0x6c796765 ^ b0;
    let b3 = 0x74656462 ^ this.#b1;
    const sizeBytes = end - start;
    const wordsEnd = start + (sizeBytes & ~3);
    // A round for each word and one for the length, and then three for each half of the result.
    let lastRounds = 6;
    let at = start;
    for (;;) {
      let word = 0;
      if (at < wordsEnd) {
        word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      } else if (at === wordsEnd) {
        word = sizeBytes << 24;
        for (let i = 0; at + i < end; i++) word |= bytes[at + i]! << (8 * i);
      } else {
        if (lastRounds === 6) {
          a2 ^= 0xee;
          b2 ^= 0xee;
        } else if (lastRounds === 3) {
          this.word0 = a1 ^ a3;
          this.word2 = b1 ^ b3;
          a1 ^= 0xdd;
          b1 ^= 0xdd;
        } else if (lastRounds === 0) break;
        lastRounds--;
      }
      at += 4;
      a3 ^= word;
      b3 ^= word;
      a0 = (a0 + a1) | 0;
      b0 = (b0 + b1) | 0;
      a1 = ((a1 << 5) | (a1 >>> 27)) ^ a0;
      b1 = ((b1 << 5) | (b1 >>> 27)) ^ b0;
      a0 = (a0 << 16) | (a0 >>> 16);
      b0 = (b0 << 16) | (b0 >>> 16);
      a2 = (a2 + a3) | 0;
      b2 = (b2 + b3) | 0;
      a3 = ((a3 << 8) | (a3 >>> 24)) ^ a2;
      b3 = ((b3 << 8) | (b3 >>> 24)) ^ b2;
      a0 = (a0 + a3) | 0;
      b0 = (b0 + b3) | 0;
      a3 = ((a3 << 7) | (a3 >>> 25)) ^ a0;
      b3 = ((b3 << 7) | (b3 >>> 25)) ^ b0;
      a2 = (a2 + a1) | 0;
      b2 = (b2 + b1) | 0;
      a1 = ((a1 << 13) | (a1 >>> 19)) ^ a2;
      b1 = ((b1 << 13) | (b1 >>> 19)) ^ b2;
      a2 = (a2 << 16) | (a2 >>> 16);
      b2 = (b2 << 16) | (b2 >>> 16);
      a0 ^= word;
      b0 ^= word;
    }
    this.word1 = a1 ^ a3;
    this.word3 = b1 ^ b3;
  }
}

/** What the last `halfSipHash` gave, as signed words. */
export let hashLow = 0;
export let hashHigh = 0;

/** Hashes `bytes[start, end)` under the key (k0, k1) into `hashLow` and `hashHigh`. */
export function halfSipHash(
  bytes: Uint8Array,
  start: number,
  end: number,
  k0: number,
  k1: number,
  roundsEach: number,
  roundsLast: number,
): void {
  let v0 = k0 | 0;
  let v1 = k1 ^ 0xee;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  const sizeBytes = end - start;
  const wordsEnd = start + (sizeBytes & ~3);
  for (let at = start; ; at += 4) {
    let word: number;
    if (at < wordsEnd) {
      word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    } else {
      word = sizeBytes << 24;
      for (let i = 0; at + i < end; i++) word |= bytes[at + i]! << (8 * i);
    }
    v3 ^= word;
    for (let round = roundsEach; round > 0; round--) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
    if (at >= wordsEnd) break;
  }
  v2 ^= 0xee;
  for (let half = 0; half < 2; half++) {
    for (let round = roundsLast; round > 0; round--) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    if (half === 0) {
      hashLow = v1 ^ v3;
      v1 ^= 0xdd;
    } else hashHigh = v1 ^ v3;
  }
}
