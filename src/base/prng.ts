// Seeded random numbers: sfc32 (Chris Doty-Humphrey's Small Fast Chaotic generator, 32-bit).
// Invariant: a stream is a function of its seed and the labels it was forked by, never of draws
// made elsewhere; equal on every host. Not for secrets.
// Fits the Random capability of contracts/runtime.ts.

/** A seeded stream of random numbers. */
export class SeededRandom {
  /** Four words that name this stream; forks derive from these, not from the moving state. */
  readonly #name: readonly [number, number, number, number];
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  private constructor(name: readonly [number, number, number, number]) {
    this.#name = name;
    this.#a = name[0];
    this.#b = name[1];
    this.#c = name[2];
    this.#counter = name[3];
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /**
   * @param seed A safe integer (non-negative ones are distinct streams up to 2^53 - 1) or any text.
   */
  static of(seed: number | string): SeededRandom {
    return new SeededRandom(absorb([0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667], String(seed)));
  }

  /** Uniform integer in [0, 2^32). */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** Uniform integer in [0, boundExclusive), without modulo bias. The bound is 1 to 2^32. */
  below(boundExclusive: number): number {
    const rest = 0x100000000 % boundExclusive;
    for (;;) {
      const draw = this.uint32();
      if (draw < 0x100000000 - rest) return draw % boundExclusive;
    }
  }

  /** Uniform in [0, 1), with 32 bits. */
  fraction(): number {
    return this.uint32() / 0x100000000;
  }

  /** Fills `target` in place and returns it. */
  fill(target: Uint8Array): Uint8Array {
    let i = 0;
    for (; i + 4 <= target.length; i += 4) {
      const draw = this.uint32();
      target[i] = draw;
      target[i + 1] = draw >>> 8;
      target[i + 2] = draw >>> 16;
      target[i + 3] = draw >>> 24;
    }
    if (i < target.length) {
      for (let draw = this.uint32(); i < target.length; i++, draw >>>= 8) target[i] = draw;
    }
    return target;
  }

  /**
   * An independent stream for `label`. It does not depend on what was drawn here before, and forking
   * the same label twice gives the same stream twice.
   */
  fork(label: string): SeededRandom {
    return new SeededRandom(absorb(this.#name, label));
  }
}

/** Mixes the UTF-16 units of `text` and its length into four words. */
function absorb(
  name: readonly [number, number, number, number],
  text: string,
): [number, number, number, number] {
  let [a, b, c, d] = name;
  for (let i = 0; i <= text.length; i++) {
    const unit = i < text.length ? text.charCodeAt(i) : text.length ^ 0x5bd1e995;
    a = Math.imul(a ^ unit, 0x85ebca6b);
    b = Math.imul(b ^ (a >>> 15) ^ unit, 0xc2b2ae35);
    c = Math.imul(c ^ (b >>> 13) ^ a, 0x27d4eb2f);
    d = Math.imul(d ^ (c >>> 16) ^ b, 0x165667b1);
    a = (a + ((d << 7) | (d >>> 25))) | 0;
  }
  return [a, b, c, d];
}
