// The sending half's cursor over the chunks of one write: small chunks are gathered into one host
// call, large ones are sent from where they lie.
// Invariant: a byte that the host has not taken stays in the caller's chunk, never in the scratch
// buffer, so a short write loses and repeats nothing.

/** From this size on a chunk is sent by itself, uncopied. */
const DIRECT_BYTES_MIN = 16 * 1024;
/** Size of a scratch buffer: the most that one gathered call sends. */
export const SCRATCH_BYTES = 64 * 1024;

export class Gather {
  readonly #chunks: readonly Uint8Array[];
  #index = 0;
  #position = 0;

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks;
    this.#skipEmpty();
  }

  /** True when the host has taken everything. */
  get done(): boolean {
    return this.#index === this.#chunks.length;
  }

  /** How large a scratch buffer `next` can use: 0 where one chunk is all that is left, which is sent from where it lies. */
  get scratchBytes(): number {
    const chunks = this.#chunks;
    if (this.#index >= chunks.length - 1) return 0;
    let sizeBytes = -this.#position;
    for (let index = this.#index; index < chunks.length && sizeBytes < SCRATCH_BYTES; index++) {
      sizeBytes += chunks[index]!.byteLength;
    }
    return Math.min(sizeBytes, SCRATCH_BYTES);
  }

  /**
   * The next bytes to hand to the host: a view of a chunk, or of `scratch` with several small chunks
   * copied into it. Valid until `scratch` is used again.
   */
  next(scratch: Uint8Array): Uint8Array {
    const chunks = this.#chunks;
    const first = chunks[this.#index]!;
    const firstBytes = first.byteLength - this.#position;
    if (firstBytes >= DIRECT_BYTES_MIN || this.#index === chunks.length - 1) {
      return this.#position === 0 ? first : first.subarray(this.#position);
    }
    let filled = 0;
    let position = this.#position;
    for (let index = this.#index; index < chunks.length; index++) {
      const chunk = chunks[index]!;
      const chunkBytes = chunk.byteLength - position;
      if (chunkBytes < DIRECT_BYTES_MIN) {
        if (filled + chunkBytes > scratch.byteLength) break;
        scratch.set(position === 0 ? chunk : chunk.subarray(position), filled);
        filled += chunkBytes;
      } else {
        // A short header does not travel alone: the head of the large chunk goes with it.
        const headBytes = DIRECT_BYTES_MIN - filled;
        if (headBytes > 0) {
          scratch.set(chunk.subarray(position, position + headBytes), filled);
          filled += headBytes;
        }
        break;
      }
      position = 0;
    }
    return scratch.subarray(0, filled);
  }

  /** The host has taken `sizeBytes` of what `next` gave. */
  advance(sizeBytes: number): void {
    while (sizeBytes > 0) {
      const restBytes = this.#chunks[this.#index]!.byteLength - this.#position;
      if (sizeBytes < restBytes) {
        this.#position += sizeBytes;
        return;
      }
      sizeBytes -= restBytes;
      this.#index++;
      this.#position = 0;
    }
    this.#skipEmpty();
  }

  #skipEmpty(): void {
    while (this.#index < this.#chunks.length && this.#chunks[this.#index]!.byteLength === 0) {
      this.#index++;
    }
  }
}
