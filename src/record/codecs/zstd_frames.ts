// The outer structure of zstd data: where each frame ends, and what it says of its content's size.
// Invariant: looks at headers only, moves forward only, and refuses data that is cut short, which
// decoders made for streams take for "more to come".
// Source: RFC 8878, section 3.

import { CompressionError } from "../compression.ts";

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;

/** One frame with content; skippable ones are left out. */
export interface ZstdFrame {
  readonly start: number;
  /** Exclusive; the checksum belongs to the frame. */
  readonly end: number;
  /** Null when the frame does not say. */
  readonly contentSizeBytes: number | null;
}

/**
 * Finds the frames in `bytes`, which must hold whole frames and at least one.
 *
 * @param sizeBytesMax What all declared sizes together may not pass.
 * @throws {CompressionError}
 */
export function zstdFramesIn(bytes: Uint8Array, sizeBytesMax: number): ZstdFrame[] {
  const frames: ZstdFrame[] = [];
  let declaredBytes = 0;
  for (let at = 0; at < bytes.length; ) {
    const magic = littleEndian(bytes, at, 4);
    if ((magic & ~0xf) === SKIPPABLE_MAGIC) {
      const end = at + 8 + littleEndian(bytes, at + 4, 4);
      if (end > bytes.length) throw cutShort();
      at = end;
      continue;
    }
    if (magic !== FRAME_MAGIC)
      throw new CompressionError("corrupt", "zstd", "no frame begins here");
    const frame = frameAt(bytes, at);
    declaredBytes += frame.contentSizeBytes ?? 0;
    if (declaredBytes > sizeBytesMax) {
      throw new CompressionError("too_large", "zstd", `${declaredBytes} bytes of ${sizeBytesMax}`);
    }
    frames.push(frame);
    at = frame.end;
  }
  if (frames.length === 0) throw new CompressionError("corrupt", "zstd", "there is no frame");
  return frames;
}

function frameAt(bytes: Uint8Array, start: number): ZstdFrame {
  const descriptor = littleEndian(bytes, start + 4, 1);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  let at = start + 5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[(descriptor & 3) as 0]!;
  let sizeBytes: number = CONTENT_SIZE_BYTES[(descriptor >>> 6) as 0]!;
  if (sizeBytes === 0 && isSingleSegment) sizeBytes = 1;
  let contentSizeBytes: number | null = null;
  if (sizeBytes > 0) {
    contentSizeBytes = littleEndian(bytes, at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  }
  at += sizeBytes;
  for (;;) {
    const header = littleEndian(bytes, at, 3);
    const type = (header >>> 1) & 3;
    if (type === 3) throw new CompressionError("corrupt", "zstd", "a block type is undefined");
    // A block of type 1 repeats its one byte.
    at += 3 + (type === 1 ? 1 : header >>> 3);
    if ((header & 1) !== 0) break;
  }
  at += hasChecksum ? 4 : 0;
  if (at > bytes.length) throw cutShort();
  return { start, end: at, contentSizeBytes };
}

function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  if (at + count > bytes.length) throw cutShort();
  let value = 0;
  for (let i = count - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}

function cutShort(): CompressionError {
  return new CompressionError("corrupt", "zstd", "the data is cut short");
}
