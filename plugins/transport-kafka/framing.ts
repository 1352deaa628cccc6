// Cuts a socket's chunks into frames: int32 length, then that many bytes.
// Invariant: the length is judged before anything is allocated for it, and a frame's memory grows with
// what has really arrived, so a hostile length costs nothing. Only whole frames hold budget, so it comes back.
// Kafka: NetworkReceive, SimpleMemoryPool (socket.request.max.bytes, queued.max.request.bytes).

import { assert } from "../../src/base/assert.ts";
import type { BufferPool } from "../../src/base/buffer_pool.ts";
import type { MemoryBudget } from "../../src/contracts/transport.ts";
import type { ArrivalMemory } from "./arrival_memory.ts";

/** Bytes of a frame that must have arrived before memory is taken for it; kept for everybody without asking. */
export const PROOF_BYTES = 16 * 1024;
/** From then on memory is taken in steps of this size, as bytes arrive. */
const STEP_BYTES = 1024 * 1024;

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

/** A chunk with frames in it: its memory goes back when it is used up and all of them are released. */
class Chunk {
  readonly bytes: Uint8Array;
  frameCount = 0;
  isUsedUp = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Where a frame lies: in a chunk as it came, or in a buffer of the pool. */
type FrameMemory = Chunk | Uint8Array<ArrayBuffer>;

/** One request's bytes, without the length. A view of the chunk it came in, or of a pooled buffer. */
export class Frame {
  readonly bytes: Uint8Array;
  #owner: FrameReader | null;
  readonly #memory: FrameMemory;

  constructor(bytes: Uint8Array, owner: FrameReader, memory: FrameMemory) {
    this.bytes = bytes;
    this.#owner = owner;
    this.#memory = memory;
  }

  /** Gives memory and budget back; nobody may look at `bytes` afterwards. Idempotent. */
  release(): void {
    const owner = this.#owner;
    if (owner === null) return;
    this.#owner = null;
    owner.released(this.bytes.length, this.#memory);
  }
}

/** What `next` found: a frame, or what has to happen before there can be one. */
export type FrameStep = Frame | "need_bytes" | "need_memory";

/** The incremental reader of one connection. Push a chunk, call `next` until it needs bytes, push the next. */
export class FrameReader {
  readonly #pool: BufferPool;
  readonly #budget: MemoryBudget;
  readonly #arrivals: ArrivalMemory;
  #frameBytesMax: number;
  readonly #recycle: (chunk: Uint8Array) => void;

  #chunk: Chunk | null = null;
  #at = 0;
  /** The length so far read of a length field, and how many of its four bytes. */
  #lengthBits = 0;
  #lengthBytesRead = 0;
  /** Length of the frame being read; -1 between frames. */
  #length = -1;
  /** Where the frame's bytes are put together when they span chunks. */
  #buffer: Uint8Array<ArrayBuffer> | null = null;
  #filled = 0;
  /** Bytes of arrival memory held for the frame being read, and how many of its bytes that allows. */
  #reserved = 0;
  /** Whether the frame being read, whole by now, has its length of the budget. */
  #isBudgeted = false;
  #inFlightBytes = 0;
  #isClosed = false;

  constructor(options: {
    readonly pool: BufferPool;
    /** For whole frames, until they are released. */
    readonly budget: MemoryBudget;
    /** For frames that span chunks, until they are whole. */
    readonly arrivals: ArrivalMemory;
    readonly frameBytesMax: number;
    /** Gets every chunk back once nothing looks at it any more. */
    readonly recycle?: (chunk: Uint8Array) => void;
  }) {
    this.#pool = options.pool;
    this.#budget = options.budget;
    this.#arrivals = options.arrivals;
    this.#frameBytesMax = options.frameBytesMax;
    this.#recycle = options.recycle ?? (() => {});
  }

  /** True when no frame is half read: the place to hold a connection back. */
  get isAtBoundary(): boolean {
    return this.#length === -1 && this.#lengthBytesRead === 0;
  }

  /** True while a half-read frame holds memory: whoever stalls now is in the way of others. */
  get holdsMemory(): boolean {
    return this.#reserved > 0;
  }

  /** Bytes of frames handed out and not yet released. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** Bounds the frames from the next one on. */
  limitTo(frameBytesMax: number): void {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Hands over the next chunk, owned from here on. The one before must be used up. */
  push(chunk: Uint8Array): void {
    assert(this.#chunk === null, "the chunk before has not been used up");
    if (chunk.length > 0) this.#chunk = new Chunk(chunk);
    this.#at = 0;
  }

  /** After "need_memory": resolves when `next` may be called again. What comes after `close` is given back. */
  async acquireMemory(): Promise<void> {
    const length = this.#length;
    if (this.#buffer === null || this.#filled === length) {
      await this.#budget.take(length);
      if (this.#isClosed) this.#budget.give(length);
      else this.#isBudgeted = true;
      return;
    }
    const sizeBytes = this.#stepBytes();
    await this.#arrivals.take(sizeBytes, this);
    if (this.#isClosed) this.#arrivals.give(sizeBytes, this);
    else this.#reserved += sizeBytes;
  }

  /** The next frame, or what is missing. @throws {FrameError} when the length cannot be served */
  next(): FrameStep {
    if (this.#chunk === null) return "need_bytes";
    const chunk = this.#chunk.bytes;
    if (this.#length === -1 && !this.#readLength(chunk)) return "need_bytes";
    const length = this.#length;
    const available = chunk.length - this.#at;

    if (this.#buffer === null) {
      if (available >= length) {
        if (!this.#takeBudget(length)) return "need_memory";
        const start = chunk.byteOffset + this.#at;
        const bytes = new Uint8Array(chunk.buffer, start, length);
        const memory = this.#chunk;
        memory.frameCount++;
        this.#advance(length);
        return this.#hand(bytes, memory);
      }
      const isProven = available >= PROOF_BYTES && this.#tryStep();
      this.#buffer = this.#pool.acquire(
        isProven ? firstSizeOf(length) : Math.min(length, PROOF_BYTES),
      );
    }
    return this.#fill(chunk);
  }

  /** Ends the reader: a half-read frame is dropped, its memory is given back. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#buffer !== null) this.#pool.release(this.#buffer);
    if (this.#reserved > 0) this.#arrivals.give(this.#reserved, this);
    if (this.#isBudgeted) this.#budget.give(this.#length);
    this.#buffer = null;
    this.#chunk = null;
    this.#reserved = 0;
    this.#isBudgeted = false;
    this.#length = -1;
  }

  /** Only for Frame.release. */
  released(sizeBytes: number, memory: FrameMemory): void {
    this.#inFlightBytes -= sizeBytes;
    if (sizeBytes > 0) this.#budget.give(sizeBytes);
    if (!(memory instanceof Chunk)) this.#pool.release(memory);
    else if (--memory.frameCount === 0 && memory.isUsedUp) this.#recycle(memory.bytes);
  }

  /** Puts together a frame that spans chunks. Each byte is copied once, apart from the first of large ones. */
  #fill(chunk: Uint8Array): FrameStep {
    const length = this.#length;
    for (;;) {
      const buffer = this.#buffer!;
      const allowed = Math.min(length, buffer.length, Math.max(this.#reserved, PROOF_BYTES));
      const count = Math.min(allowed - this.#filled, chunk.length - this.#at);
      if (count > 0) {
        buffer.set(chunk.subarray(this.#at, this.#at + count), this.#filled);
        this.#filled += count;
        this.#at += count;
      }
      if (this.#filled === length) {
        if (!this.#takeBudget(length)) return "need_memory";
        const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, length);
        this.#buffer = null;
        this.#advance(0);
        return this.#hand(bytes, buffer);
      }
      if (this.#at === chunk.length) {
        this.#useUp();
        return "need_bytes";
      }
      if (this.#filled >= this.#reserved && !this.#tryStep()) return "need_memory";
      if (this.#filled === buffer.length || buffer.length < firstSizeOf(length)) {
        this.#grow(buffer.length < firstSizeOf(length) ? firstSizeOf(length) : length);
      }
    }
  }

  /** Takes memory for what comes next of the frame being read. */
  #tryStep(): boolean {
    const sizeBytes = this.#stepBytes();
    if (!this.#arrivals.tryTake(sizeBytes, this)) return false;
    this.#reserved += sizeBytes;
    return true;
  }

  #stepBytes(): number {
    return Math.min(STEP_BYTES, this.#length - this.#reserved);
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
        this.#useUp();
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

  #takeBudget(sizeBytes: number): boolean {
    if (this.#isBudgeted || sizeBytes === 0) return true;
    this.#isBudgeted = this.#budget.tryTake(sizeBytes);
    return this.#isBudgeted;
  }

  #advance(count: number): void {
    this.#at += count;
    if (this.#at === this.#chunk!.bytes.length) this.#useUp();
  }

  /** All of the chunk has been copied, or lies in frames that were handed out. */
  #useUp(): void {
    const chunk = this.#chunk!;
    this.#chunk = null;
    chunk.isUsedUp = true;
    if (chunk.frameCount === 0) this.#recycle(chunk.bytes);
  }

  #hand(bytes: Uint8Array, memory: FrameMemory): Frame {
    this.#length = -1;
    this.#lengthBits = 0;
    this.#lengthBytesRead = 0;
    this.#filled = 0;
    this.#isBudgeted = false;
    this.#inFlightBytes += bytes.length;
    if (this.#reserved > 0) {
      this.#arrivals.give(this.#reserved, this);
      this.#reserved = 0;
    }
    return new Frame(bytes, this, memory);
  }
}

function firstSizeOf(length: number): number {
  return Math.min(length, FIRST_BYTES_MAX);
}
