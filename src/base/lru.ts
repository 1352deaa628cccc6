// A map that forgets what was used least recently once its values weigh more than a bound in bytes.
// Invariant: sizeBytes is the sum of the sizes given at `set` and never passes sizeBytesMax.

/** What to do with an entry that leaves; it is no longer in the map when this runs. */
export type OnEvict<K, V> = (key: K, value: V) => void;

/** A least-recently-used map bounded by bytes, not by count. */
export class Lru<K, V> {
  readonly sizeBytesMax: number;
  readonly #entries = new Map<K, { value: V; sizeBytes: number }>();
  readonly #onEvict: OnEvict<K, V> | undefined;
  #sizeBytes = 0;

  /** @param onEvict Called for entries pushed out or replaced by `set`, not for `delete` or `clear`. */
  constructor(sizeBytesMax: number, onEvict?: OnEvict<K, V>) {
    this.sizeBytesMax = sizeBytesMax;
    this.#onEvict = onEvict;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** The value, now the most recently used; undefined when absent. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** The value, without counting as a use. */
  peek(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /**
   * Sets a value, pushing out the least recently used ones as needed.
   *
   * @param sizeBytes What the value weighs; not negative.
   * @returns False when it alone is over the bound: then it is not kept, and an older value under the
   *   key is gone all the same.
   */
  set(key: K, value: V, sizeBytes: number): boolean {
    const older = this.#entries.get(key);
    if (older !== undefined) {
      this.delete(key);
      if (older.value !== value) this.#onEvict?.(key, older.value);
    }
    if (sizeBytes > this.sizeBytesMax) return false;
    while (this.#sizeBytes + sizeBytes > this.sizeBytesMax) {
      const oldest = this.#entries.entries().next();
      if (oldest.done === true) break;
      this.delete(oldest.value[0]);
      this.#onEvict?.(oldest.value[0], oldest.value[1].value);
    }
    this.#entries.set(key, { value, sizeBytes });
    this.#sizeBytes += sizeBytes;
    return true;
  }

  /** Removes a key; returns whether it was there. */
  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#sizeBytes -= entry.sizeBytes;
    return true;
  }

  clear(): void {
    this.#entries.clear();
    this.#sizeBytes = 0;
  }

  /** Keys, least recently used first. */
  keys(): IterableIterator<K> {
    return this.#entries.keys();
  }
}
