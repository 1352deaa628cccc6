// HalfSipHash with 64 bits (Aumasson, Bernstein): a keyed hash of 32-bit words, quick without BigInt.
// Two of them under keys of their own make 128 bits, by which keys of records are told apart: whoever does
// not know the key can make up no two inputs that collide, and nobody meets such a pair by chance.
// Invariant: with 2 and 4 rounds equal to the reference's vectors.

/** A 128-bit keyed hash: HalfSipHash-1-3 of 64 bits, twice, as Linux uses it for its tables. */
export class KeyHash {
  /** The last hash, as four signed words. */
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  readonly #keys: readonly [number, number, number, number];

  /** @param uint32 Draws the secret key: four numbers of 32 bits. */
  constructor(uint32: () => number) {
    this.#keys = [uint32() | 0, uint32() | 0, uint32() | 0, uint32() | 0];
  }

  /** Hashes `bytes[start, end)` into the four words. */
  hash(bytes: Uint8Array, start: number, end: number): void {
    const [k0, k1, k2, k3] = this.#keys;
    halfSipHash(bytes, start, end, k0, k1, 1, 3);
    this.word0 = hashLow;
    this.word1 = hashHigh;
    halfSipHash(bytes, start, end, k2, k3, 1, 3);
    this.word2 = hashLow;
    this.word3 = hashHigh;
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
