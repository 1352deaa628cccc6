// What happened in a run, as one number: every event, every chunk on the wire, every call to storage.
// Invariant: two runs with the same hash did the same things in the same order; the hash is made of
// integers only, so that it is equal on every engine. Lines for people are kept only when asked for.

const MASK = 0xffffffff;

/** How many of the last lines a verbose run keeps. */
const LINES_MAX = 20_000;

export class Trace {
  readonly #labels = new Map<string, number>();
  #a = 0x9e3779b9;
  #b = 0x85ebca6b;
  #count = 0;
  readonly #lines: string[] | null;
  readonly #onLine: ((line: string) => void) | null;

  /** @param keepsLines Whether lines are kept for people; the hash does not depend on it. */
  constructor(keepsLines: boolean, onLine: ((line: string) => void) | null = null) {
    this.#lines = keepsLines ? [] : null;
    this.#onLine = onLine;
  }

  get keepsLines(): boolean {
    return this.#lines !== null;
  }

  /** Takes an entry into the hash. All numbers are taken modulo 2^32. */
  add(label: string, x = 0, y = 0): void {
    this.#mix(this.#numberOf(label));
    this.#mix(x | 0);
    this.#mix(y | 0);
    this.#count++;
  }

  /** A line for people; not part of the hash. */
  say(nowUs: number, text: () => string): void {
    if (this.#lines === null) return;
    const line = `${(nowUs / 1000).toFixed(3).padStart(12)} ms  ${text()}`;
    if (this.#lines.length >= LINES_MAX) this.#lines.splice(0, LINES_MAX / 2);
    this.#lines.push(line);
    this.#onLine?.(line);
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  get count(): number {
    return this.#count;
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, "0");
    return `${hex(this.#a)}${hex(this.#b)}`;
  }

  #mix(word: number): void {
    let a = this.#a ^ word;
    a = Math.imul(a ^ (a >>> 15), 0x2c1b3c6d);
    a ^= this.#b;
    this.#b = (Math.imul(this.#b ^ (word >>> 7) ^ a, 0x297a2d39) + 0x5bd1e995) & MASK;
    this.#a = (a << 13) | (a >>> 19);
  }

  #numberOf(label: string): number {
    let known = this.#labels.get(label);
    if (known === undefined) {
      known = 0x811c9dc5;
      for (let i = 0; i < label.length; i++) {
        known = Math.imul(known ^ label.charCodeAt(i), 0x01000193);
      }
      this.#labels.set(label, known);
    }
    return known;
  }
}
