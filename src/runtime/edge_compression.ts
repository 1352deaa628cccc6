// The codecs of a host without node:zlib: snappy and lz4, which are plain code of ours. What workerd has of
// gzip is asynchronous, and it has no zstd.
// Invariant: a codec that is not here fails with "unsupported", never with "corrupt": the data may be sound.

import { lz4Compress, lz4Decompress } from "../record/codecs/lz4.ts";
import { snappyCompress, snappyDecompress } from "../record/codecs/snappy.ts";
import {
  type Compression,
  type CompressionCodec,
  CompressionError,
} from "../record/compression.ts";

export const edgeCompression: Compression = {
  compress(codec, bytes) {
    if (codec === "snappy") return snappyCompress(bytes);
    if (codec === "lz4") return lz4Compress(bytes);
    throw unsupported(codec);
  },
  decompress(codec, bytes, sizeBytesMax) {
    if (codec === "snappy") return snappyDecompress(bytes, sizeBytesMax);
    if (codec === "lz4") return lz4Decompress(bytes, sizeBytesMax);
    throw unsupported(codec);
  },
};

function unsupported(codec: CompressionCodec): CompressionError {
  const detail = "this host has no such codec; snappy and lz4 work everywhere";
  return new CompressionError("unsupported", codec, detail);
}
