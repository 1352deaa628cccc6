// Cuts a socket's chunks into frames: int32 length, then that many bytes.
// Invariant: the length is judged before anything is allocated for it, and a frame's memory grows with
// what has really arrived, so a hostile length costs nothing; whoever holds budget never waits for more.
// Kafka: NetworkReceive, SimpleMemoryPool (socket.request.max.bytes, queued.max.request.bytes).

import { assert } from "../../src/base/assert.ts";
import type { BufferPool } from "../../src/base/buffer_pool.ts";
import type { MemoryBudget } from "../../src/contracts/transport.ts";

/** Bytes of a frame that must have arrived before its whole length is taken from the budget. */
export const PROOF_BYTES = 16 * 1024;

/** A longer frame gets memory for its whole length only when so much of it is there. */
const FIRST_BYTES_MAX = 4 * 1024 * 1024;

/** The bytes on the wire cannot be frames. The connection they came from closes. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly code: "frame_length_negative" | "frame_too_large";
  readonly lengthBytes: number;
  constructor(code: FrameError["code"], lengthBytes: number) {
    super(`Frame length ${lengthBytes} is refused: ${code}`);
    this.code = code;
    this.lengthBytes = lengthBytes;
  }
}

/** One request's bytes, without the length. A view of the chunk it came in, or of a pooled buffer. */
export class Frame {
  readonly bytes: Uint8Array;
  #owner: FrameReader | null;
  #buffer: Uint8Array<ArrayBuffer> | null;

  constructor(bytes: Uint8Array, owner: FrameReader, buffer: Uint8Array<ArrayBuffer> | null) {
    this.bytes = bytes;
    this.#owner = owner;
    this.#buffer = buffer;
  }

  /** Gives memory and budget back; nobody may look at `bytes` afterwards. Idempotent. */
  release(): void {
    const owner = this.#owner;
    if (owner === null) return;
    this.#owner = null;
    owner.released(this.bytes.length, this.#buffer);
    this.#buffer = null;
  }
}

/** What `next` found: a frame, or what has to happen before there can be one. */
export type FrameStep = Frame | "need_bytes" | "need_memory";

/** The incremental reader of one connection. Push a chunk, call `next` until it needs bytes, push the next. */
export class FrameReader {
  readonly #pool: BufferPool;
  readonly #budget: MemoryBudget;
  readonly #frameBytesMax: number;

  #chunk: Uint8Array | null = null;
  #at = 0;
  /** The length so far read of a length field, and how many of its four bytes. */
  #lengthBits = 0;
  #lengthBytesRead = 0;
  /** Length of the frame being read; -1 between frames. */
  #length = -1;
  /** Where the frame's bytes are put together when they span chunks. */
  #buffer: Uint8Array<ArrayBuffer> | null = null;
  #filled = 0;
  /** Bytes taken from the budget for the frame being read: 0 or its length. */
  #taken = 0;
  #inFlightBytes = 0;

  constructor(options: {
    readonly pool: BufferPool;
    readonly budget: MemoryBudget;
    readonly frameBytesMax: number;
  }) {
    this.#pool = options.pool;
    this.#budget = options.budget;
    this.#frameBytesMax = options.frameBytesMax;
  }

  /** True when no frame is half read: the place to hold a connection back. */
  get isAtBoundary(): boolean {
    return this.#length === -1 && this.#lengthBytesRead === 0;
  }

  /** True while a half-read frame holds budget: whoever stalls now is in everybody's way. */
  get holdsBudget(): boolean {
    return this.#taken > 0;
  }

  /** Bytes of frames handed out and not yet released. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** After "need_memory": what to take from the budget before `granted`. */
  get memoryWanted(): number {
    return this.#length;
  }

  /** Hands over the next chunk, owned from here on. The one before must be used up. */
  push(chunk: Uint8Array): void {
    assert(this.#chunk === null, "the chunk before has not been used up");
    if (chunk.length > 0) this.#chunk = chunk;
    this.#at = 0;
  }

  /** `memoryWanted` bytes have been taken from the budget on behalf of the frame being read. */
  granted(): void {
    assert(this.#taken === 0 && this.#length >= 0, "no frame waits for memory");
    this.#taken = this.#length;
  }

  /** The next frame, or what is missing. @throws {FrameError} when the length cannot be served */
  next(): FrameStep {
    const chunk = this.#chunk;
    if (chunk === null) return "need_bytes";
    if (this.#length === -1 && !this.#readLength(chunk)) return "need_bytes";
    const length = this.#length;
    const available = chunk.length - this.#at;

    if (this.#buffer === null) {
      if (available >= length) {
        if (!this.#take(length)) return "need_memory";
        const start = chunk.byteOffset + this.#at;
        const bytes = new Uint8Array(chunk.buffer, start, length);
        this.#advance(length);
        return this.#hand(bytes, null);
      }
      if (available < PROOF_BYTES && length > PROOF_BYTES) {
        this.#buffer = this.#pool.acquire(PROOF_BYTES);
      } else if (length <= PROOF_BYTES) {
        // Small enough to be kept for everybody without asking; the budget is asked once it is whole.
        this.#buffer = this.#pool.acquire(length);
      } else {
        if (!this.#take(length)) return "need_memory";
        this.#buffer = this.#pool.acquire(firstSizeOf(length));
      }
    }
    return this.#fill(chunk);
  }

  /** Ends the reader: a half-read frame is dropped, its memory and budget are given back. */
  close(): void {
    if (this.#buffer !== null) this.#pool.release(this.#buffer);
    if (this.#taken > 0) this.#budget.give(this.#taken);
    this.#buffer = null;
    this.#chunk = null;
    this.#taken = 0;
    this.#length = -1;
  }

  /** Only for Frame.release. */
  released(sizeBytes: number, buffer: Uint8Array<ArrayBuffer> | null): void {
    this.#inFlightBytes -= sizeBytes;
    if (sizeBytes > 0) this.#budget.give(sizeBytes);
    if (buffer !== null) this.#pool.release(buffer);
  }

  /** Puts together a frame that spans chunks. Each byte is copied once, apart from the first PROOF_BYTES. */
  #fill(chunk: Uint8Array): FrameStep {
    const length = this.#length;
    for (;;) {
      const buffer = this.#buffer!;
      const room = Math.min(buffer.length, length) - this.#filled;
      const count = Math.min(room, chunk.length - this.#at);
      if (count > 0) {
        buffer.set(chunk.subarray(this.#at, this.#at + count), this.#filled);
        this.#filled += count;
        this.#at += count;
      }
      if (this.#filled === length) {
        if (!this.#take(length)) return "need_memory";
        const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, length);
        this.#buffer = null;
        this.#advance(0);
        return this.#hand(bytes, buffer);
      }
      if (this.#at === chunk.length && this.#filled < buffer.length) {
        this.#chunk = null;
        return "need_bytes";
      }
      if (!this.#take(length)) return "need_memory";
      this.#grow(buffer.length < FIRST_BYTES_MAX ? firstSizeOf(length) : length);
    }
  }

  #grow(sizeBytes: number): void {
    const small = this.#buffer!;
    const large = this.#pool.acquire(sizeBytes);
    large.set(this.#filled === small.length ? small : small.subarray(0, this.#filled));
    this.#pool.release(small);
    this.#buffer = large;
  }

  #readLength(chunk: Uint8Array): boolean {
    while (this.#lengthBytesRead < 4) {
      if (this.#at === chunk.length) {
        this.#chunk = null;
        return false;
      }
      this.#lengthBits = (this.#lengthBits << 8) | chunk[this.#at++]!;
      this.#lengthBytesRead++;
    }
    const length = this.#lengthBits;
    if (length < 0) throw new FrameError("frame_length_negative", length);
    if (length > this.#frameBytesMax) throw new FrameError("frame_too_large", length);
    this.#length = length;
    return true;
  }

  #take(sizeBytes: number): boolean {
    if (this.#taken > 0 || sizeBytes === 0) return true;
    if (!this.#budget.tryTake(sizeBytes)) return false;
    this.#taken = sizeBytes;
    return true;
  }

  #advance(count: number): void {
    this.#at += count;
    if (this.#at === this.#chunk!.length) this.#chunk = null;
  }

  #hand(bytes: Uint8Array, buffer: Uint8Array<ArrayBuffer> | null): Frame {
    this.#length = -1;
    this.#lengthBits = 0;
    this.#lengthBytesRead = 0;
    this.#filled = 0;
    this.#taken = 0;
    this.#inFlightBytes += bytes.length;
    return new Frame(bytes, this, buffer);
  }
}

function firstSizeOf(length: number): number {
  return Math.min(length, FIRST_BYTES_MAX);
}
