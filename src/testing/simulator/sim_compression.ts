// The Compression capability in a simulation: only codecs written in this repository, since the host's
// zlib gives other bytes on every engine. gzip and zstd are framed but stored, which is enough to take
// every path that looks at a codec.
// Invariant: equal input gives equal output on every engine.

import { lz4Compress, lz4Decompress } from "../../record/codecs/lz4.ts";
import { snappyCompress, snappyDecompress } from "../../record/codecs/snappy.ts";
import {
  type Compression,
  type CompressionCodec,
  CompressionError,
} from "../../record/compression.ts";

/** In front of the stored bytes, so that taking one codec for another is noticed. */
const STORED_MARK: Readonly<Record<string, number>> = { gzip: 0x1f8b, zstd: 0x28b5 };

export const simCompression: Compression = {
  compress(codec: CompressionCodec, bytes: Uint8Array): Uint8Array {
    switch (codec) {
      case "snappy":
        return snappyCompress(bytes);
      case "lz4":
        return lz4Compress(bytes);
      default: {
        const out = new Uint8Array(6 + bytes.length);
        const view = new DataView(out.buffer);
        view.setUint16(0, STORED_MARK[codec]!);
        view.setUint32(2, bytes.length);
        out.set(bytes, 6);
        return out;
      }
    }
  },

  decompress(codec: CompressionCodec, bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
    switch (codec) {
      case "snappy":
        return snappyDecompress(bytes, sizeBytesMax);
      case "lz4":
        return lz4Decompress(bytes, sizeBytesMax);
      default: {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const isSound =
          bytes.length >= 6 &&
          view.getUint16(0) === STORED_MARK[codec] &&
          view.getUint32(2) === bytes.length - 6;
        if (!isSound) throw new CompressionError("corrupt", codec, "not a stored block");
        if (bytes.length - 6 > sizeBytesMax) {
          throw new CompressionError(
            "too_large",
            codec,
            `more than ${sizeBytesMax} bytes come out`,
          );
        }
        return bytes.slice(6);
      }
    }
  },
};
