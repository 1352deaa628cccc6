// The Compression capability of the host: gzip and zstd by node:zlib, snappy and lz4 by record/codecs.
// Invariant: what comes out is bounded while it comes out; every failure of a codec is a
// CompressionError. node:zlib alone does not notice a zstd frame that is cut short, and Deno's stops
// after the first of several: so frames are delimited here (zstd_frames.ts) and given to it one by one.

import type * as nodeZlib from "node:zlib";
import { lz4Compress, lz4Decompress } from "../record/codecs/lz4.ts";
import { snappyCompress, snappyDecompress } from "../record/codecs/snappy.ts";
import { zstdFramesIn } from "../record/codecs/zstd_frames.ts";
import {
  type Compression,
  type CompressionCodec,
  CompressionError,
} from "../record/compression.ts";
import { builtin } from "./host.ts";

/** Loaded at the first use: it costs 7 ms of start-up on Bun. */
let zlibLoaded: typeof nodeZlib | null = null;
function zlib(): typeof nodeZlib {
  zlibLoaded ??= builtin<typeof nodeZlib>("node:zlib");
  return zlibLoaded;
}

/** zlib where it has zstd: Node has it from 22.15 on. */
function zstdZlib(): typeof nodeZlib {
  const { zstdCompressSync } = zlib() as Partial<typeof nodeZlib>;
  if (zstdCompressSync !== undefined) return zlib();
  const detail = "this host has no zstd; Bun, Deno and Node from 22.15 on have it";
  throw new CompressionError("unsupported", "zstd", detail);
}

/** The codecs of this host. Holds no state; works on Bun, Deno, and workerd with nodejs_compat. */
export const hostCompression: Compression = {
  compress(codec: CompressionCodec, bytes: Uint8Array, level?: number): Uint8Array {
    switch (codec) {
      case "gzip":
        return plain(zlib().gzipSync(bytes, level === undefined ? {} : { level }));
      case "snappy":
        return snappyCompress(bytes);
      case "lz4":
        return lz4Compress(bytes);
      case "zstd":
        return plain(zstdZlib().zstdCompressSync(bytes, zstdOptions(level)));
    }
  },

  decompress(codec: CompressionCodec, bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
    switch (codec) {
      case "gzip":
        return bounded("gzip", zlib().gunzipSync, bytes, gzipSizeHint(bytes), sizeBytesMax);
      case "snappy":
        return snappyDecompress(bytes, sizeBytesMax);
      case "lz4":
        return lz4Decompress(bytes, sizeBytesMax);
      case "zstd":
        return zstdDecompress(bytes, sizeBytesMax);
    }
  },
};

/** node:zlib cannot be asked for more, nor would anyone want it. */
const OUTPUT_BYTES_MAX = 0x7fffffff;
const CHUNK_BYTES_MIN = 4 * 1024;
const CHUNK_BYTES_MAX = 1024 * 1024;

function zstdOptions(level: number | undefined): nodeZlib.ZstdOptions {
  if (level === undefined) return {};
  return { params: { [zlib().constants.ZSTD_c_compressionLevel]: level } };
}

function zstdDecompress(bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
  const frames = zstdFramesIn(bytes, sizeBytesMax);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const frame of frames) {
    const part = bounded(
      "zstd",
      zstdZlib().zstdDecompressSync,
      bytes.subarray(frame.start, frame.end),
      frame.contentSizeBytes ?? (frame.end - frame.start) * 4,
      sizeBytesMax - sizeBytes,
    );
    if (frame.contentSizeBytes !== null && frame.contentSizeBytes !== part.length) {
      throw new CompressionError("corrupt", "zstd", "the content size does not match");
    }
    parts.push(part);
    sizeBytes += part.length;
  }
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

type Inflate = (
  bytes: Uint8Array,
  options: { maxOutputLength: number; chunkSize: number },
) => Uint8Array;

function bounded(
  codec: "gzip" | "zstd",
  inflate: Inflate,
  bytes: Uint8Array,
  sizeBytesHint: number,
  sizeBytesMax: number,
): Uint8Array {
  // Zero is outside what zlib takes; the length is compared below all the same.
  const maxOutputLength = Math.min(Math.max(sizeBytesMax, 1), OUTPUT_BYTES_MAX);
  // One byte more than expected, so that the end is seen without a second chunk.
  const wanted = Math.min(sizeBytesHint, maxOutputLength) + 1;
  const chunkSize = Math.min(Math.max(wanted, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
  let out: Uint8Array;
  try {
    out = inflate(bytes, { maxOutputLength, chunkSize });
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") {
      throw tooLarge(codec, sizeBytesMax);
    }
    throw new CompressionError("corrupt", codec, "the data is damaged or cut short", { cause });
  }
  if (out.length > sizeBytesMax) throw tooLarge(codec, sizeBytesMax);
  return plain(out);
}

/** What the trailer of the last member says; only a hint, as it is modulo 2^32 and not to be trusted. */
function gzipSizeHint(bytes: Uint8Array): number {
  const at = bytes.length - 4;
  if (at < 0) return 0;
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

function tooLarge(codec: CompressionCodec, sizeBytesMax: number): CompressionError {
  return new CompressionError("too_large", codec, `more than ${sizeBytesMax} bytes come out`);
}

/** The same bytes without Buffer's own `slice`, which does not copy where everyone else's does. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
