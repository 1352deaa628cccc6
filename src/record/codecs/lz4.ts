// lz4 frames: every flavour of the frame format is read, Java's flavour is written.
// Invariant: output never passes the bound; memory is never taken on the word of a header alone; each
// input byte is looked at once, so damage can neither hang nor crash.
// Kafka: org.apache.kafka.common.compress.Lz4BlockInputStream, Lz4BlockOutputStream.

import { xxh32 } from "../../base/xxh32.ts";
import { CompressionError } from "../compression.ts";

const FRAME_MAGIC = 0x184d2204;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** Version 1, independent blocks, no checksums: what Java and librdkafka write. */
const WRITTEN_FLG = 0x60;
const WRITTEN_BD = 0x40;
const WRITTEN_BLOCK_BYTES = 0x10000;
const STORED_BIT = 0x80000000;

/** A byte of compressed input can stand for at most 255 bytes of output. */
const RATIO_MAX = 255;

const CORRUPT = -1;
const PAST_LIMIT = -2;

/**
 * Decompresses one or more lz4 frames.
 *
 * @param sizeBytesMax Most bytes that may come out, inclusive.
 * @throws {CompressionError}
 */
export function lz4Decompress(bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
  const state: Inflated = { out: new Uint8Array(0), size: 0, sizeBytesMax };
  let at = 0;
  do {
    if (bytes.length - at < 7) throw corrupt("a frame header is cut short");
    const magic = int32At(bytes, at);
    if ((magic & ~0xf) === SKIPPABLE_MAGIC) {
      const skipped = int32At(bytes, at + 4) >>> 0;
      if (bytes.length - at < 8 || skipped > bytes.length - at - 8) {
        throw corrupt("a skippable frame is cut short");
      }
      at += 8 + skipped;
    } else if (magic === FRAME_MAGIC) {
      at = readFrame(bytes, at + 4, state);
    } else {
      throw corrupt("no lz4 frame begins here");
    }
  } while (at < bytes.length);
  return state.out.subarray(0, state.size);
}

interface Inflated {
  out: Uint8Array;
  size: number;
  readonly sizeBytesMax: number;
}

/** Reads the frame whose descriptor begins at `at`; returns where it ends. */
function readFrame(bytes: Uint8Array, descriptorAt: number, state: Inflated): number {
  let at = descriptorAt;
  const flg = bytes[at]!;
  const bd = bytes[at + 1]!;
  if (flg >>> 6 !== 1) throw corrupt("the frame version is not 1");
  if ((flg & 0x01) !== 0) throw corrupt("the frame needs a dictionary");
  const blockSizeCode = (bd >>> 4) & 7;
  if (blockSizeCode < 4) throw corrupt("the block size is undefined");
  const isLinked = (flg & 0x20) === 0;
  const checksumBytes = (flg & 0x10) === 0 ? 0 : 4;
  const hasContentSize = (flg & 0x08) !== 0;
  const hasContentChecksum = (flg & 0x04) !== 0;
  const blockBytesMax = 1 << (8 + 2 * blockSizeCode);
  at += hasContentSize ? 10 : 2;
  if (at >= bytes.length) throw corrupt("a frame header is cut short");
  if (bytes[at] !== ((xxh32(bytes, descriptorAt, at) >>> 8) & 0xff)) {
    throw corrupt("the header checksum does not match");
  }
  at++;
  let contentSize = -1;
  if (hasContentSize) {
    contentSize =
      (int32At(bytes, descriptorAt + 2) >>> 0) +
      (int32At(bytes, descriptorAt + 6) >>> 0) * 0x100000000;
    if (contentSize > state.sizeBytesMax - state.size) throw tooLarge(state.sizeBytesMax);
  }
  const frameStart = state.size;
  for (;;) {
    if (bytes.length - at < 4) throw corrupt("a frame is cut short");
    const blockHeader = int32At(bytes, at) >>> 0;
    at += 4;
    if (blockHeader === 0) break;
    const isStored = blockHeader >= STORED_BIT;
    const blockBytes = isStored ? blockHeader - STORED_BIT : blockHeader;
    if (blockBytes > blockBytesMax) throw corrupt("a block is larger than the frame allows");
    const blockEnd = at + blockBytes;
    if (blockEnd + checksumBytes > bytes.length) throw corrupt("a block is cut short");
    if (checksumBytes > 0 && xxh32(bytes, at, blockEnd) !== int32At(bytes, blockEnd) >>> 0) {
      throw corrupt("a block checksum does not match");
    }
    readBlock(bytes, at, blockEnd, {
      state,
      isStored,
      blockBytesMax,
      windowStart: isLinked ? frameStart : state.size,
    });
    at = blockEnd + checksumBytes;
  }
  if (contentSize >= 0 && state.size - frameStart !== contentSize) {
    throw corrupt("the content size does not match");
  }
  if (hasContentChecksum) {
    if (bytes.length - at < 4) throw corrupt("a frame is cut short");
    if (xxh32(state.out, frameStart, state.size) !== int32At(bytes, at) >>> 0) {
      throw corrupt("the content checksum does not match");
    }
    at += 4;
  }
  return at;
}

interface BlockContext {
  readonly state: Inflated;
  readonly isStored: boolean;
  readonly blockBytesMax: number;
  /** First position of the output that matches may reach back to. */
  readonly windowStart: number;
}

function readBlock(bytes: Uint8Array, start: number, end: number, context: BlockContext): void {
  const { state } = context;
  const inputBytes = end - start;
  const grownBytesMax = context.isStored ? inputBytes : inputBytes * RATIO_MAX + 64;
  const limit = Math.min(
    state.size + Math.min(context.blockBytesMax, grownBytesMax),
    state.sizeBytesMax,
  );
  if (limit > state.out.length) {
    const grown = Math.max(limit, Math.min(state.out.length * 2, state.sizeBytesMax));
    const larger = new Uint8Array(grown);
    larger.set(state.out.subarray(0, state.size));
    state.out = larger;
  }
  if (context.isStored) {
    if (inputBytes > limit - state.size) throw tooLarge(state.sizeBytesMax);
    state.out.set(bytes.subarray(start, end), state.size);
    state.size += inputBytes;
    return;
  }
  const size = decodeBlock(bytes, start, end, state.out, state.size, limit, context.windowStart);
  if (size === CORRUPT) throw corrupt("a block is damaged");
  if (size === PAST_LIMIT) {
    if (limit === state.sizeBytesMax) throw tooLarge(state.sizeBytesMax);
    throw corrupt("a block grows past the frame's block size");
  }
  state.size = size;
}

/** Decodes one block to `out` from `outStart` on; returns the end of the output, or what went wrong. */
function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
  outLimit: number,
  windowStart: number,
): number {
  let at = start;
  let to = outStart;
  while (at < end) {
    const token = bytes[at++]!;
    let literals = token >>> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (at >= end) return CORRUPT;
        more = bytes[at++]!;
        literals += more;
      } while (more === 255);
    }
    if (literals > end - at) return CORRUPT;
    if (literals > outLimit - to) return PAST_LIMIT;
    if (literals > 32) {
      out.set(bytes.subarray(at, at + literals), to);
      at += literals;
      to += literals;
    } else {
      for (const stop = at + literals; at < stop; ) out[to++] = bytes[at++]!;
    }
    if (at === end) return to;
    if (end - at < 2) return CORRUPT;
    const distance = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    if (distance === 0 || distance > to - windowStart) return CORRUPT;
    let length = token & 15;
    if (length === 15) {
      let more: number;
      do {
        if (at >= end) return CORRUPT;
        more = bytes[at++]!;
        length += more;
      } while (more === 255);
    }
    length += 4;
    if (length > outLimit - to) return PAST_LIMIT;
    to = copyMatch(out, to, distance, length);
  }
  return CORRUPT;
}

/** Repeats what stands `distance` bytes back; source and target may overlap, which repeats a pattern. */
export function copyMatch(out: Uint8Array, to: number, distance: number, length: number): number {
  const stop = to + length;
  if (length > 48 && distance >= 16) {
    while (to < stop) {
      const step = Math.min(distance, stop - to);
      out.copyWithin(to, to - distance, to - distance + step);
      to += step;
    }
    return stop;
  }
  for (let from = to - distance; to < stop; ) out[to++] = out[from++]!;
  return stop;
}

/**
 * Compresses to one lz4 frame of independent blocks of 64 KiB. Greedy, one candidate for each
 * position: about lz4's level 1; levels are not offered.
 */
export function lz4Compress(bytes: Uint8Array): Uint8Array {
  const blocks = Math.ceil(bytes.length / WRITTEN_BLOCK_BYTES);
  const out = new Uint8Array(7 + bytes.length + 4 * blocks + 4);
  writeInt32(out, 0, FRAME_MAGIC);
  out[4] = WRITTEN_FLG;
  out[5] = WRITTEN_BD;
  out[6] = (xxh32(out, 4, 6) >>> 8) & 0xff;
  let to = 7;
  const table = new Uint16Array(1 << HASH_BITS);
  for (let start = 0; start < bytes.length; start += WRITTEN_BLOCK_BYTES) {
    const end = Math.min(start + WRITTEN_BLOCK_BYTES, bytes.length);
    table.fill(0);
    const size = encodeBlock(bytes, start, end, out, to + 4, table);
    if (size > 0) {
      writeInt32(out, to, size);
      to += 4 + size;
    } else {
      writeInt32(out, to, (end - start) | STORED_BIT);
      out.set(bytes.subarray(start, end), to + 4);
      to += 4 + end - start;
    }
  }
  writeInt32(out, to, 0);
  return out.subarray(0, to + 4);
}

const HASH_BITS = 13;
/** No match starts in the last 12 bytes and none reaches into the last 5: the format's own rule. */
const MATCH_START_MARGIN = 12;
const LAST_LITERALS = 5;

/**
 * Encodes `bytes[start, end)`, at most 64 KiB, to `out` from `outStart` on.
 *
 * @param table Zeroed: positions by hash, relative to `start`. Position 0 doubles as "none": a
 *   candidate is always compared, so that costs nothing.
 * @returns The size, or 0 when it would not be smaller than the input.
 */
function encodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
  table: Uint16Array,
): number {
  const outLimit = outStart + (end - start) - 1;
  const matchStartEnd = end - MATCH_START_MARGIN;
  const matchEnd = end - LAST_LITERALS;
  let to = outStart;
  let anchor = start;
  let at = start + 1;
  let misses = 0;
  while (at < matchStartEnd) {
    const word = int32At(bytes, at);
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
    const candidate = start + table[slot]!;
    table[slot] = at - start;
    if (int32At(bytes, candidate) !== word) {
      at += 1 + (misses++ >>> 6);
      continue;
    }
    misses = 0;
    let length = 4;
    while (at + length < matchEnd && bytes[candidate + length] === bytes[at + length]) length++;
    const literals = at - anchor;
    // Token, both length extensions, literals and distance.
    if (to + 3 + literals + literals / 255 + length / 255 + 2 > outLimit) return 0;
    const tokenAt = to++;
    const extra = length - 4;
    out[tokenAt] = (Math.min(literals, 15) << 4) | Math.min(extra, 15);
    if (literals >= 15) to = writeLength(out, to, literals - 15);
    to = copyLiterals(bytes, anchor, at, out, to);
    const distance = at - candidate;
    out[to++] = distance;
    out[to++] = distance >>> 8;
    if (extra >= 15) to = writeLength(out, to, extra - 15);
    at += length;
    anchor = at;
  }
  const literals = end - anchor;
  if (to + 2 + literals + literals / 255 > outLimit) return 0;
  out[to++] = Math.min(literals, 15) << 4;
  if (literals >= 15) to = writeLength(out, to, literals - 15);
  to = copyLiterals(bytes, anchor, end, out, to);
  return to - outStart;
}

function copyLiterals(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  to: number,
): number {
  if (end - start > 32) {
    out.set(bytes.subarray(start, end), to);
    return to + end - start;
  }
  for (let at = start; at < end; ) out[to++] = bytes[at++]!;
  return to;
}

function writeLength(out: Uint8Array, at: number, rest: number): number {
  for (; rest >= 255; rest -= 255) out[at++] = 255;
  out[at++] = rest;
  return at;
}

function int32At(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function corrupt(detail: string): CompressionError {
  return new CompressionError("corrupt", "lz4", detail);
}

function tooLarge(sizeBytesMax: number): CompressionError {
  return new CompressionError("too_large", "lz4", `more than ${sizeBytesMax} bytes come out`);
}
