// The memory of answers that wait to be sent, over all connections: many slow readers together must not
// take what one of them may. Invariant: what is held is given back once, sent or not.
// Kafka: none; its answers are sent from the page cache, at the pace of the reader.

/** What one more fetch may still answer with when the memory is used up: a small batch of each reader. */
const SCARCE_BYTES = 64 * 1024;

export class ReplyMemory {
  readonly #bytesMax: number;
  #heldBytes = 0;

  /** @param bytesMax Answers beyond this are kept small; they are never refused. */
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

  hold(sizeBytes: number): void {
    this.#heldBytes += sizeBytes;
  }

  give(sizeBytes: number): void {
    this.#heldBytes -= sizeBytes;
  }

  /** Most bytes of batches for one more fetch, of the `bytesMax` it could have were nobody slow. */
  fetchBytesMax(bytesMax: number): number {
    return Math.min(bytesMax, Math.max(SCARCE_BYTES, this.#bytesMax - this.#heldBytes));
  }
}
