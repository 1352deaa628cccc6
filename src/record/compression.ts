// Codecs of record batches by their attribute bits, and the capability that runs them.
// Invariant: decompression stops at the bound it was given, while it runs, not afterwards; damaged
// input ends in a CompressionError and in nothing else.
// Kafka: org.apache.kafka.common.record.CompressionType.

/** A codec that changes the bytes. */
export type CompressionCodec = "gzip" | "snappy" | "lz4" | "zstd";

/** What attribute bits 0-2 can say. */
export type Codec = "none" | CompressionCodec;

/** Codecs by number: the index is the value of attribute bits 0-2. 5 to 7 are undefined. */
export const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/** The codec that batch attributes name, or null for the undefined numbers 5 to 7. */
export function codecOfAttributes(attributes: number): Codec | null {
  return CODECS[attributes & 0x07] ?? null;
}

/** The number of a codec, as it stands in attribute bits 0-2. */
export function codecNumber(codec: Codec): number {
  return CODECS.indexOf(codec);
}

/** Runs the codecs. Handed in by the host (src/runtime/compression.ts). Synchronous, for determinism. */
export interface Compression {
  /**
   * Compresses a whole block.
   *
   * @param level As in Kafka's `compression.<codec>.level`; the codec's default when left out. Snappy
   *   has none.
   * @returns Fresh bytes, in the framing that Kafka's Java client writes.
   */
  compress(codec: CompressionCodec, bytes: Uint8Array, level?: number): Uint8Array;

  /**
   * Decompresses a whole block, in every framing that Kafka clients send.
   *
   * @param sizeBytesMax Most bytes that may come out, inclusive; memory stays within a small multiple.
   * @returns Fresh bytes.
   * @throws {CompressionError} "corrupt" for damaged input, "too_large" past the bound, "unsupported"
   *   where the host lacks the codec, as `compress` does, too
   */
  decompress(codec: CompressionCodec, bytes: Uint8Array, sizeBytesMax: number): Uint8Array;
}

/** Why a block could not be decompressed; or compressed, where the host lacks the codec. */
export type CompressionErrorCode = "corrupt" | "too_large" | "unsupported";

/** The one error of decompression. */
export class CompressionError extends Error {
  override readonly name = "CompressionError";
  readonly code: CompressionErrorCode;
  readonly codec: CompressionCodec;

  constructor(
    code: CompressionErrorCode,
    codec: CompressionCodec,
    detail: string,
    options?: { cause?: unknown },
  ) {
    super(`Cannot decompress ${codec}: ${detail}`, options);
    this.code = code;
    this.codec = codec;
  }
}
