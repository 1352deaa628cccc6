// The memory of answers that wait to be sent, over all connections: many slow readers together must not
// take what one of them may. Invariant: what is held is given back once, sent or not.
// Kafka: none; its answers are sent from the page cache, at the pace of the reader.

/** What one more fetch may still answer with when the memory is used up: a small batch of each reader. */
const SCARCE_BYTES = 64 * 1024;

export class ReplyMemory {
  readonly #bytesMax: number;
  readonly #waiting = new Set<() => void>();
  #heldBytes = 0;

  /** @param bytesMax Answers beyond this are kept small; beyond the double, fetches wait until some were sent. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of answers made and not yet taken by a host. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** True when a connection should have no more than one fetch on its way. */
  get isScarce(): boolean {
    return this.#heldBytes >= this.#bytesMax;
  }

  /** True when not even one more fetch of a connection may begin. */
  get isExhausted(): boolean {
    return this.#heldBytes > 2 * this.#bytesMax;
  }

  /** True while somebody waits for others to read. */
  get isWaitedFor(): boolean {
    return this.#waiting.size > 0;
  }

  /** Has `wake` called once, when it is not exhausted any more, first come first served. */
  whenFreed(wake: () => void): void {
    this.#waiting.add(wake);
  }

  /** `wake` is not wanted any more. */
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  hold(sizeBytes: number): void {
    this.#heldBytes += sizeBytes;
    this.#wakeNext();
  }

  give(sizeBytes: number): void {
    this.#heldBytes -= sizeBytes;
    this.#wakeNext();
  }

  /** One at a time: what it makes is counted before the next one begins. */
  #wakeNext(): void {
    if (this.isExhausted) return;
    for (const wake of this.#waiting) {
      this.#waiting.delete(wake);
      wake();
      return;
    }
  }

  /** Most bytes of batches for one more fetch, of the `bytesMax` it could have were nobody slow. */
  fetchBytesMax(bytesMax: number): number {
    return Math.min(bytesMax, Math.max(SCARCE_BYTES, this.#bytesMax - this.#heldBytes));
  }
}
