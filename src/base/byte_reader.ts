// A cursor over the bytes of one frame. Big endian, as all of Kafka's wire.
// Invariant: no read goes past `end`; whatever the bytes, the only thing thrown is a DecodeError.
// Nothing is copied: what is handed out are views of the same memory.
// Kafka: ByteBufferAccessor, ByteUtils.

import { unzigzagParts } from "./varint.ts";

/** The bytes are not what they claim to be. Closes the connection they came from; touches nobody else. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

const TWO_32 = 0x100000000;
const ELEMENTS_MAX = 1 << 20;
/** Strings up to this many bytes are decoded by hand when they are ASCII, and remembered. */
const SHORT_BYTES_MAX = 48;
const REMEMBERED_COUNT = 512;
const REMEMBERED_MASK = REMEMBERED_COUNT - 1;
/** Direct-mapped memory of short strings: names come again and again, and a known one costs no allocation. */
const remembered: string[] = new Array<string>(REMEMBERED_COUNT).fill("");
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const scratch = new DataView(new ArrayBuffer(8));

/** Cursor over a Uint8Array. Fields are open for hot loops; only `position` may be moved from outside. */
export class ByteReader {
  /** The memory that is read. */
  readonly bytes: Uint8Array;
  /** Index in `bytes` of the next byte to read. */
  position: number;
  /** Index in `bytes` of the first byte that may not be read. */
  readonly end: number;
  /**
   * How many more elements (of arrays, say) may be made out of these bytes. An element of three bytes becomes an object
   * of fifty: without this bound a large hostile frame would cost gigabytes. Set it anew where a million is too few.
   */
  elementsLeft = ELEMENTS_MAX;
  /** How many int64 were outside ±(2^53−1) and came out as bigint: whoever admits the message may refuse it. */
  bigintCount = 0;

  /** @param end exclusive; `position` and `end` are within `bytes` */
  constructor(bytes: Uint8Array, position = 0, end: number = bytes.length) {
    if (!(position >= 0 && position <= end && end <= bytes.length)) {
      throw new DecodeError("Range outside of the bytes");
    }
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  /** Bytes left to read. */
  get remaining(): number {
    return this.end - this.position;
  }

  /** Moves past `sizeBytes`. @throws {DecodeError} when fewer are left, or it is negative */
  skip(sizeBytes: number): void {
    this.take(sizeBytes);
  }

  /** One byte, 0 to 255. */
  uint8(): number {
    return this.bytes[this.take(1)]!;
  }

  /** One signed byte. */
  int8(): number {
    return (this.bytes[this.take(1)]! << 24) >> 24;
  }

  /** One byte: zero is false, all else true, as Java's reader has it. */
  bool(): boolean {
    return this.bytes[this.take(1)]! !== 0;
  }

  int16(): number {
    const at = this.take(2);
    const bytes = this.bytes;
    return (((bytes[at]! << 8) | bytes[at + 1]!) << 16) >> 16;
  }

  uint16(): number {
    const at = this.take(2);
    const bytes = this.bytes;
    return (bytes[at]! << 8) | bytes[at + 1]!;
  }

  int32(): number {
    const at = this.take(4);
    const bytes = this.bytes;
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /**
   * A signed 64-bit integer. Typed as a number; outside ±(2^53−1) it is a bigint at run time and
   * `bigintCount` goes up, so that nobody has to look at each value (docs/adr/0004).
   */
  int64(): number {
    const at = this.take(8);
    const bytes = this.bytes;
    const high =
      (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const low =
      ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>>
      0;
    if (high > -0x200000 && high < 0x200000) return high * TWO_32 + low;
    if (high === -0x200000 && low > 0) return high * TWO_32 + low;
    this.bigintCount++;
    return ((BigInt(high) << 32n) | BigInt(low)) as unknown as number;
  }

  float64(): number {
    const at = this.take(8);
    for (let index = 0; index < 8; index++) scratch.setUint8(index, this.bytes[at + index]!);
    return scratch.getFloat64(0);
  }

  /** An unsigned varint of at most 5 bytes, as 32 unsigned bits. */
  uvarint(): number {
    const bytes = this.bytes;
    let at = this.position;
    const end = this.end;
    if (at >= end) throw endOfBytes();
    let byte = bytes[at++]!;
    let value = byte & 0x7f;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      if (shift > 28) throw new DecodeError("Varint is longer than 5 bytes");
      if (at >= end) throw endOfBytes();
      byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
    }
    this.position = at;
    return value >>> 0;
  }

  /** A zigzag varint of at most 5 bytes, as a signed 32-bit integer. */
  varint(): number {
    const bits = this.uvarint();
    return (bits >>> 1) ^ -(bits & 1);
  }

  /** A zigzag varlong of at most 10 bytes; as `int64` outside ±(2^53−1). */
  varlong(): number {
    const bytes = this.bytes;
    const end = this.end;
    let at = this.position;
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let index = 0; ; index++) {
      if (index === 10) throw new DecodeError("Varlong is longer than 10 bytes");
      if (at >= end) throw endOfBytes();
      const byte = bytes[at++]!;
      const group = byte & 0x7f;
      if (index < 4) low |= group << (7 * index);
      else if (index < 8) middle |= group << (7 * (index - 4));
      else if (index === 8) high = group;
      // Of the tenth byte only one bit fits into 64.
      else high |= (group & 1) << 7;
      if (byte < 0x80) break;
    }
    this.position = at;
    const value = unzigzagParts(low, middle, high);
    if (typeof value === "bigint") this.bigintCount++;
    return value as number;
  }

  /** A view of the next `sizeBytes`. @throws {DecodeError} when fewer are left, or it is negative */
  view(sizeBytes: number): Uint8Array {
    const at = this.take(sizeBytes);
    const bytes = this.bytes;
    // Not subarray: a Node Buffer would breed Buffers.
    return new Uint8Array(bytes.buffer, bytes.byteOffset + at, sizeBytes);
  }

  /** UTF-8 text of `sizeBytes`; malformed sequences become U+FFFD, as in Java. */
  utf8(sizeBytes: number): string {
    const at = this.take(sizeBytes);
    if (sizeBytes <= SHORT_BYTES_MAX) {
      const short = shortText(this.bytes, at, sizeBytes);
      if (short !== null) return short;
    }
    const bytes = this.bytes;
    return decoder.decode(new Uint8Array(bytes.buffer, bytes.byteOffset + at, sizeBytes));
  }

  /** Takes `count` from `elementsLeft`. @throws {DecodeError} when fewer are left */
  spendElements(count: number): void {
    this.elementsLeft -= count;
    if (this.elementsLeft < 0) throw new DecodeError("The bytes hold more elements than allowed");
  }

  private take(sizeBytes: number): number {
    const at = this.position;
    const next = at + sizeBytes;
    // Also false for NaN, and for negative sizes.
    if (!(next <= this.end && sizeBytes >= 0)) throw endOfBytes();
    this.position = next;
    return at;
  }
}

function endOfBytes(): DecodeError {
  return new DecodeError("The bytes end inside a value");
}

/** The text if it is ASCII, else null. */
function shortText(bytes: Uint8Array, at: number, sizeBytes: number): string | null {
  let hash = sizeBytes;
  for (let index = at, end = at + sizeBytes; index < end; index++) {
    const byte = bytes[index]!;
    if (byte > 0x7f) return null;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  const slot = (hash ^ (hash >>> 15)) & REMEMBERED_MASK;
  const known = remembered[slot]!;
  if (known.length === sizeBytes) {
    let index = 0;
    while (index < sizeBytes && known.charCodeAt(index) === bytes[at + index]) index++;
    if (index === sizeBytes) return known;
  }
  const text = decoder.decode(new Uint8Array(bytes.buffer, bytes.byteOffset + at, sizeBytes));
  remembered[slot] = text;
  return text;
}
