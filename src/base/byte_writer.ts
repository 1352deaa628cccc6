// Writes big-endian values into growing chunks, and carries large views along without copying them.
// Invariant: the parts of `finish()` joined are the bytes in the order in which they were written.
// Kafka: ByteBufferAccessor, SendBuilder.

import { writeUvarint, writeVarint, writeVarlong } from "./varint.ts";

/** The value cannot be written in this form. A defect of whoever made the value. */
export class EncodeError extends Error {
  override readonly name = "EncodeError";
}

/** Views below this size are copied: an entry of writev costs more than copying a few hundred bytes. */
const COPY_BYTES_MAX = 512;
const SLAB_BYTES = 32 * 1024;
const CHUNK_BYTES_MAX = 256 * 1024;
/** Longest text on the wire: its length is an int16 in the classic form, and Kafka holds the compact one to it. */
const STRING_BYTES_MAX = 0x7fff;
const SHORT_CHARS_MAX = 64;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

const encoder = new TextEncoder();
const scratch = new DataView(new ArrayBuffer(8));
const noBytes = new Uint8Array(0);
/**
 * Memory that no writer holds now, each piece free from its position on: writers take turns, since an allocation
 * for each frame would cost more than encoding it. As many as writers that are used inside one another.
 */
const slabs: Uint8Array[] = [noBytes, noBytes, noBytes];
const slabPositions = [0, 0, 0];

/**
 * Growing writer. Use one a message, then `finish()` or `toBytes()`; after that it is empty and may be used again.
 */
export class ByteWriter {
  private chunk: Uint8Array = noBytes;
  /** Where the part that is being written starts in the chunk, and where the next byte goes. */
  private start = 0;
  private position = 0;
  private parts: Uint8Array[] = [];
  /** Sum of the sizes of `parts`. */
  private partsBytes = 0;

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.partsBytes + this.position - this.start;
  }

  uint8(value: number): void {
    const at = this.take(1);
    this.chunk[at] = value;
  }

  int8(value: number): void {
    const at = this.take(1);
    this.chunk[at] = value;
  }

  bool(value: boolean): void {
    const at = this.take(1);
    this.chunk[at] = value ? 1 : 0;
  }

  /** The low 16 bits of `value`: serves signed and unsigned. */
  int16(value: number): void {
    const at = this.take(2);
    const chunk = this.chunk;
    chunk[at] = value >> 8;
    chunk[at + 1] = value;
  }

  /** The low 32 bits of `value`: serves signed and unsigned. */
  int32(value: number): void {
    const at = this.take(4);
    put32(this.chunk, at, value);
  }

  /** @throws {EncodeError} when `value` is not a whole number, or outside 64 bits */
  int64(value: number | bigint): void {
    const at = this.take(8);
    const chunk = this.chunk;
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value))
        throw new EncodeError("An int64 number must be a safe integer");
      put32(chunk, at, Math.floor(value / 0x100000000));
      put32(chunk, at + 4, value);
      return;
    }
    if (typeof value !== "bigint" || value < INT64_MIN || value > INT64_MAX) {
      throw new EncodeError("An int64 must be a number or a bigint of 64 bits");
    }
    scratch.setBigInt64(0, value);
    put32(chunk, at, scratch.getInt32(0));
    put32(chunk, at + 4, scratch.getInt32(4));
  }

  float64(value: number): void {
    const at = this.take(8);
    scratch.setFloat64(0, value);
    for (let index = 0; index < 8; index++) this.chunk[at + index] = scratch.getUint8(index);
  }

  /** `value` taken as 32 unsigned bits. */
  uvarint(value: number): void {
    if (value >= 0 && value < 0x80) {
      const at = this.take(1);
      this.chunk[at] = value;
      return;
    }
    this.room(5);
    this.position = writeUvarint(this.chunk, this.position, value);
  }

  /** Signed 32 bits, zigzag. */
  varint(value: number): void {
    this.room(5);
    this.position = writeVarint(this.chunk, this.position, value);
  }

  /** Signed 64 bits, zigzag. */
  varlong(value: number | bigint): void {
    this.room(10);
    this.position = writeVarlong(this.chunk, this.position, value);
  }

  /** Copies `bytes`. */
  bytes(bytes: Uint8Array): void {
    const at = this.take(bytes.length);
    this.chunk.set(bytes, at);
  }

  /** Carries `bytes` (one view, or several back to back) along; large ones are not copied and must not change until sent. */
  view(bytes: Uint8Array | readonly Uint8Array[]): void {
    if (bytes instanceof Uint8Array) {
      this.attach(bytes);
      return;
    }
    for (let index = 0; index < bytes.length; index++) this.attach(bytes[index]!);
  }

  /** Text as UTF-8 behind an int16 length. @throws {EncodeError} when it is longer than 32,767 bytes */
  string16(text: string): void {
    const length = text.length;
    if (length <= SHORT_CHARS_MAX) {
      this.room(2 + SHORT_CHARS_MAX);
      const at = this.position;
      const chunk = this.chunk;
      if (putAscii(chunk, at + 2, text)) {
        chunk[at] = 0;
        chunk[at + 1] = length;
        this.position = at + 2 + length;
        return;
      }
    }
    const bytes = utf8Of(text);
    this.int16(bytes.length);
    this.bytes(bytes);
  }

  /** Text as UTF-8 behind an unsigned varint of its length plus one. @throws {EncodeError} beyond 32,767 bytes */
  compactString(text: string): void {
    const length = text.length;
    if (length <= SHORT_CHARS_MAX) {
      this.room(1 + SHORT_CHARS_MAX);
      const at = this.position;
      if (putAscii(this.chunk, at + 1, text)) {
        this.chunk[at] = length + 1;
        this.position = at + 1 + length;
        return;
      }
    }
    const bytes = utf8Of(text);
    this.uvarint(bytes.length + 1);
    this.bytes(bytes);
  }

  /** Leaves room for an int32 to be known later, and returns where, for `patchInt32`. */
  reserveInt32(): number {
    const at = this.sizeBytes;
    this.int32(0);
    return at;
  }

  /** Fills in four bytes kept by `reserveInt32`. */
  patchInt32(at: number, value: number): void {
    let offset = at;
    for (const part of this.parts) {
      // Four bytes reserved together lie together.
      if (offset < part.length) {
        put32(part, offset, value);
        return;
      }
      offset -= part.length;
    }
    put32(this.chunk, this.start + offset, value);
  }

  /** All that was written, as parts for a gathering send. They share memory with other messages: send, do not keep. */
  finish(): Uint8Array[] {
    this.seal();
    const parts = this.parts;
    this.release();
    return parts;
  }

  /** All that was written, as one array with memory of its own. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.sizeBytes);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    whole.set(this.chunk.subarray(this.start, this.position), at);
    // Copied, so the memory is free again.
    this.position = this.start;
    this.release();
    return whole;
  }

  /** Gives the unused end of the chunk to the next writer, and makes this one empty. */
  private release(): void {
    const freeBytes = this.chunk.length - this.position;
    let smallest = 0;
    for (let i = 1; i < slabs.length; i++) if (freeIn(i) < freeIn(smallest)) smallest = i;
    if (freeBytes > freeIn(smallest)) {
      slabs[smallest] = this.chunk;
      slabPositions[smallest] = this.position;
    }
    this.chunk = noBytes;
    this.start = 0;
    this.position = 0;
    this.parts = [];
    this.partsBytes = 0;
  }

  private attach(bytes: Uint8Array): void {
    if (bytes.length < COPY_BYTES_MAX) {
      this.bytes(bytes);
      return;
    }
    this.seal();
    this.parts.push(bytes);
    this.partsBytes += bytes.length;
  }

  private seal(): void {
    if (this.position === this.start) return;
    const chunk = this.chunk;
    const sizeBytes = this.position - this.start;
    this.parts.push(new Uint8Array(chunk.buffer, chunk.byteOffset + this.start, sizeBytes));
    this.partsBytes += sizeBytes;
    this.start = this.position;
  }

  private take(sizeBytes: number): number {
    if (this.position + sizeBytes > this.chunk.length) this.grow(sizeBytes);
    const at = this.position;
    this.position = at + sizeBytes;
    return at;
  }

  private room(sizeBytes: number): void {
    if (this.position + sizeBytes > this.chunk.length) this.grow(sizeBytes);
  }

  private grow(sizeBytes: number): void {
    this.seal();
    let largest = 0;
    for (let i = 1; i < slabs.length; i++) if (freeIn(i) > freeIn(largest)) largest = i;
    if (freeIn(largest) >= sizeBytes) {
      this.chunk = slabs[largest]!;
      this.start = slabPositions[largest]!;
      slabs[largest] = noBytes;
      slabPositions[largest] = 0;
    } else {
      const wanted = Math.min(CHUNK_BYTES_MAX, Math.max(SLAB_BYTES, this.partsBytes));
      this.chunk = new Uint8Array(Math.max(wanted, sizeBytes));
      this.start = 0;
    }
    this.position = this.start;
  }
}

function freeIn(at: number): number {
  return slabs[at]!.length - slabPositions[at]!;
}

function put32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >> 24;
  target[at + 1] = value >> 16;
  target[at + 2] = value >> 8;
  target[at + 3] = value;
}

/** Writes `text` and returns true if it is ASCII; what was written is void otherwise. */
function putAscii(target: Uint8Array, at: number, text: string): boolean {
  for (let index = 0, length = text.length; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return false;
    target[at + index] = code;
  }
  return true;
}

function utf8Of(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length > STRING_BYTES_MAX) {
    throw new EncodeError(`A string must be <= ${STRING_BYTES_MAX} bytes: it has ${bytes.length}`);
  }
  return bytes;
}
