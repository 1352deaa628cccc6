// Cuts a socket's chunks into frames: uint32 length, then that many bytes.
// Invariant: the length is judged before anything is allocated for it, and a frame's memory grows with what
// has really arrived, so a hostile length costs nothing.

import type { ArrivalMemory } from "./memory.ts";

/** Bytes of a half-read frame that are kept without asking. */
export const FREE_BYTES = 16 * 1024;
const LENGTH_BYTES = 4;

/** The length of a frame is over the bound. The connection that it came from closes. */
export class FrameTooLarge extends Error {
  override readonly name = "FrameTooLarge";
  readonly lengthBytes: number;
  constructor(lengthBytes: number, frameBytesMax: number) {
    super(`A frame of ${lengthBytes} bytes is too large: ${frameBytesMax} are taken`);
    this.lengthBytes = lengthBytes;
  }
}

/** What `next` found: a frame, that bytes are missing, or that memory is (`acquireMemory`). */
export type FrameStep = Uint8Array | "need_bytes" | "need_memory";

/** The reader of one connection. Push a chunk, call `next` until it needs bytes, push the next. */
export class FrameReader {
  readonly #arrivals: ArrivalMemory;
  /** Bound on the frames that are still to come. */
  frameBytesMax: number;
  #chunk: Uint8Array | null = null;
  #at = 0;
  readonly #prefix = new Uint8Array(LENGTH_BYTES);
  #prefixRead = 0;
  /** Length of the frame being read; -1 between frames. */
  #length = -1;
  /** Where a frame that spans chunks is put together. */
  #buffer: Uint8Array | null = null;
  #filled = 0;
  #reservedBytes = 0;
  #isClosed = false;

  constructor(arrivals: ArrivalMemory, frameBytesMax: number) {
    this.#arrivals = arrivals;
    this.frameBytesMax = frameBytesMax;
  }

  /** True when no frame is half read. */
  get isAtBoundary(): boolean {
    return this.#length === -1 && this.#prefixRead === 0;
  }

  /** Length of the frame being read; 0 when it is not known yet. */
  get lengthBytes(): number {
    return Math.max(this.#length, 0);
  }

  /** Hands over the next chunk; the one before has been used up. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next frame: a view of the chunk, or bytes of its own. @throws {FrameTooLarge} */
  next(): FrameStep {
    const chunk = this.#chunk;
    if (chunk === null) return "need_bytes";
    while (this.#length === -1) {
      if (this.#at === chunk.length) return this.#usedUp();
      this.#prefix[this.#prefixRead++] = chunk[this.#at++]!;
      if (this.#prefixRead < LENGTH_BYTES) continue;
      const [a, b, c, d] = this.#prefix as unknown as [number, number, number, number];
      const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
      if (length > this.frameBytesMax) throw new FrameTooLarge(length, this.frameBytesMax);
      this.#length = length;
    }
    const length = this.#length;
    if (this.#buffer === null) {
      if (chunk.length - this.#at >= length) {
        // Plainly: of a host's own kind of bytes, such as Buffer, `slice` would be no copy.
        const frame = new Uint8Array(chunk.buffer, chunk.byteOffset + this.#at, length);
        this.#at += length;
        return this.#done(frame);
      }
      this.#buffer = new Uint8Array(Math.min(length, FREE_BYTES));
    }
    for (;;) {
      const buffer = this.#buffer!;
      const count = Math.min(buffer.length - this.#filled, chunk.length - this.#at);
      buffer.set(chunk.subarray(this.#at, this.#at + count), this.#filled);
      this.#filled += count;
      this.#at += count;
      if (this.#filled === length) return this.#done(buffer);
      if (this.#at === chunk.length) return this.#usedUp();
      // There is more than fits: as much again is worth having, once memory is there.
      const sizeBytes = Math.min(length, buffer.length * 2);
      if (this.#reservedBytes < sizeBytes) return "need_memory";
      this.#buffer = new Uint8Array(sizeBytes);
      this.#buffer.set(buffer);
    }
  }

  /** After "need_memory": resolves when `next` may be called again. */
  async acquireMemory(): Promise<void> {
    const wantedBytes = Math.min(this.#length, this.#buffer!.length * 2) - this.#reservedBytes;
    await this.#arrivals.take(wantedBytes, this);
    if (this.#isClosed) this.#arrivals.give(wantedBytes, this);
    else this.#reservedBytes += wantedBytes;
  }

  /** Drops a half-read frame and gives its memory back. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#chunk = null;
    this.#giveBack();
  }

  #usedUp(): "need_bytes" {
    this.#chunk = null;
    return "need_bytes";
  }

  #done(frame: Uint8Array): Uint8Array {
    this.#giveBack();
    this.#length = -1;
    this.#prefixRead = 0;
    return frame;
  }

  #giveBack(): void {
    this.#buffer = null;
    this.#filled = 0;
    if (this.#reservedBytes > 0) this.#arrivals.give(this.#reservedBytes, this);
    this.#reservedBytes = 0;
  }
}
