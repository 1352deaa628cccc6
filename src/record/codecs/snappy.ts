// Snappy: raw blocks and the xerial stream around them are read, the xerial stream is written.
// Invariant: output never passes the bound, and a declared length that its input could not reach is
// refused before any memory is taken. Position only ever moves forward.
// Kafka: org.apache.kafka.common.compress.SnappyCompression (snappy-java's stream format).

import { CompressionError } from "../compression.ts";
import { copyMatch } from "./lz4.ts";

/** 0x82 "SNAPPY" 0x00, then two int32: version and least compatible version. */
const XERIAL_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
const XERIAL_HEADER_BYTES = 16;
/** Input bytes of a block, as in Java's SnappyOutputStream. */
const XERIAL_BLOCK_BYTES = 32 * 1024;
/** The densest element is a copy of 64 bytes in three. */
const RATIO_MAX = 22;

/**
 * Decompresses a raw block or a xerial stream.
 *
 * @param sizeBytesMax Most bytes that may come out, inclusive.
 * @throws {CompressionError}
 */
export function snappyDecompress(bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
  if (!isXerial(bytes)) {
    const out = new Uint8Array(declaredSize(bytes, 0, bytes.length, sizeBytesMax));
    decodeBlock(bytes, 0, bytes.length, out, 0);
    return out;
  }
  let sizeBytes = 0;
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length; ) {
    const end = blockEnd(bytes, at);
    sizeBytes += declaredSize(bytes, at + 4, end, sizeBytesMax - sizeBytes);
    at = end;
  }
  const out = new Uint8Array(sizeBytes);
  let to = 0;
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length; ) {
    const end = blockEnd(bytes, at);
    to = decodeBlock(bytes, at + 4, end, out, to);
    at = end;
  }
  return out;
}

/** Compresses to a xerial stream of blocks of 32 KiB, as Java's clients do. */
export function snappyCompress(bytes: Uint8Array): Uint8Array {
  const blocks = Math.ceil(bytes.length / XERIAL_BLOCK_BYTES);
  const out = new Uint8Array(XERIAL_HEADER_BYTES + blocks * 12 + encodedBytesMax(bytes.length));
  out.set(XERIAL_MAGIC);
  out[11] = 1;
  out[15] = 1;
  let to = XERIAL_HEADER_BYTES;
  const table = new Uint16Array(1 << HASH_BITS);
  for (let start = 0; start < bytes.length; start += XERIAL_BLOCK_BYTES) {
    const end = Math.min(start + XERIAL_BLOCK_BYTES, bytes.length);
    table.fill(0);
    const blockStop = encodeBlock(bytes, start, end, out, to + 4, table);
    const size = blockStop - to - 4;
    out[to] = size >>> 24;
    out[to + 1] = size >>> 16;
    out[to + 2] = size >>> 8;
    out[to + 3] = size;
    to = blockStop;
  }
  return out.subarray(0, to);
}

function isXerial(bytes: Uint8Array): boolean {
  if (bytes.length < XERIAL_HEADER_BYTES) return false;
  for (let i = 0; i < XERIAL_MAGIC.length; i++) {
    if (bytes[i] !== XERIAL_MAGIC[i]) return false;
  }
  return true;
}

/** End of the xerial block whose length stands at `at`. */
function blockEnd(bytes: Uint8Array, at: number): number {
  if (bytes.length - at < 4) throw corrupt("a block is cut short");
  const size =
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  if (size > bytes.length - at - 4) throw corrupt("a block is cut short");
  return at + 4 + size;
}

/** The length that the raw block at `[at, end)` declares, once it is known to be possible. */
function declaredSize(bytes: Uint8Array, at: number, end: number, sizeBytesMax: number): number {
  let size = 0;
  let scale = 1;
  for (let i = at; i < Math.min(at + 5, end); i++, scale *= 128) {
    const byte = bytes[i]!;
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if (size > (end - i - 1) * RATIO_MAX) throw corrupt("the length is out of reach");
      if (size > sizeBytesMax) {
        throw new CompressionError("too_large", "snappy", `${size} bytes of ${sizeBytesMax} left`);
      }
      return size;
    }
  }
  throw corrupt("the length is damaged");
}

/** Decodes the raw block at `[start, end)`; returns the end of its output. */
function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
): number {
  const outEnd = outStart + declaredSize(bytes, start, end, out.length - outStart);
  let at = start;
  while (bytes[at]! >= 0x80) at++;
  at++;
  let to = outStart;
  while (at < end) {
    const tag = bytes[at++]!;
    let length: number;
    if ((tag & 3) === 0) {
      length = (tag >>> 2) + 1;
      if (length > 60) {
        const lengthBytes = length - 60;
        if (lengthBytes > end - at) throw corrupt("a literal is cut short");
        length = 1;
        for (let i = 0, scale = 1; i < lengthBytes; i++, scale *= 256) {
          length += bytes[at++]! * scale;
        }
      }
      if (length > end - at) throw corrupt("a literal is cut short");
      if (length > outEnd - to) throw corrupt("more comes out than the block declares");
      if (length > 32) {
        out.set(bytes.subarray(at, at + length), to);
        at += length;
        to += length;
      } else {
        for (const stop = at + length; at < stop; ) out[to++] = bytes[at++]!;
      }
      continue;
    }
    const distanceBytes = (tag & 3) === 3 ? 4 : tag & 3;
    if (distanceBytes > end - at) throw corrupt("a copy is cut short");
    let distance = bytes[at]!;
    if (distanceBytes === 1) {
      length = ((tag >>> 2) & 7) + 4;
      distance |= (tag >>> 5) << 8;
    } else {
      length = (tag >>> 2) + 1;
      distance |= bytes[at + 1]! << 8;
      if (distanceBytes === 4) distance += bytes[at + 2]! * 0x10000 + bytes[at + 3]! * 0x1000000;
    }
    at += distanceBytes;
    if (distance === 0 || distance > to - outStart) throw corrupt("a copy reaches too far back");
    if (length > outEnd - to) throw corrupt("more comes out than the block declares");
    to = copyMatch(out, to, distance, length);
  }
  if (to !== outEnd) throw corrupt("less comes out than the block declares");
  return to;
}

const HASH_BITS = 13;
/** Below this much left, matches are not looked for. */
const MATCH_MARGIN = 8;

/** Most bytes that raw blocks of `sizeBytes` in all can take, their declared lengths aside. */
function encodedBytesMax(sizeBytes: number): number {
  return sizeBytes + Math.ceil(sizeBytes / 6) + 32;
}

/** Encodes `bytes[start, end)`, at most 64 KiB, as a raw block; returns where it ends in `out`. */
function encodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
  table: Uint16Array,
): number {
  let to = outStart;
  let rest = end - start;
  for (; rest >= 0x80; rest >>>= 7) out[to++] = (rest & 0x7f) | 0x80;
  out[to++] = rest;
  const matchStartEnd = end - MATCH_MARGIN;
  let anchor = start;
  let at = start + 1;
  let misses = 0;
  while (at < matchStartEnd) {
    const word = int32At(bytes, at);
    const slot = Math.imul(word, 0x1e35a7bd) >>> (32 - HASH_BITS);
    const candidate = start + table[slot]!;
    table[slot] = at - start;
    if (int32At(bytes, candidate) !== word) {
      at += 1 + (misses++ >>> 5);
      continue;
    }
    misses = 0;
    let length = 4;
    while (at + length < end && bytes[candidate + length] === bytes[at + length]) length++;
    if (at > anchor) to = writeLiteral(bytes, anchor, at, out, to);
    to = writeCopy(out, to, at - candidate, length);
    at += length;
    anchor = at;
  }
  return anchor < end ? writeLiteral(bytes, anchor, end, out, to) : to;
}

function writeLiteral(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  to: number,
): number {
  const last = end - start - 1;
  if (last < 60) {
    out[to++] = last << 2;
  } else if (last < 256) {
    out[to++] = 60 << 2;
    out[to++] = last;
  } else {
    out[to++] = 61 << 2;
    out[to++] = last;
    out[to++] = last >>> 8;
  }
  if (last >= 32) {
    out.set(bytes.subarray(start, end), to);
    return to + last + 1;
  }
  for (let at = start; at < end; ) out[to++] = bytes[at++]!;
  return to;
}

/** Copies of at most 64 bytes each; the last two share, as a copy of less than 4 costs most. */
function writeCopy(out: Uint8Array, to: number, distance: number, length: number): number {
  while (length >= 68) {
    to = writeLongCopy(out, to, distance, 64);
    length -= 64;
  }
  if (length > 64) {
    to = writeLongCopy(out, to, distance, 60);
    length -= 60;
  }
  if (length >= 12 || distance >= 2048) return writeLongCopy(out, to, distance, length);
  out[to++] = 1 | ((length - 4) << 2) | ((distance >>> 8) << 5);
  out[to++] = distance;
  return to;
}

function writeLongCopy(out: Uint8Array, to: number, distance: number, length: number): number {
  out[to++] = 2 | ((length - 1) << 2);
  out[to++] = distance;
  out[to++] = distance >>> 8;
  return to;
}

function int32At(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function corrupt(detail: string): CompressionError {
  return new CompressionError("corrupt", "snappy", detail);
}
