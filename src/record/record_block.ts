// The record area of a batch, decompressed where needed, and what can be wrong with it.
// Invariant: a block of an uncompressed batch is a view; a compressed one never passes its bound.
// Kafka: org.apache.kafka.common.record.DefaultRecordBatch.compressedIterator.

import { BATCH_HEADER_BYTES, recordCountAt } from "./batch_header.ts";
import { type Compression, CompressionError, type CompressionErrorCode } from "./compression.ts";
import type { RecordBatch } from "./record_batch.ts";

/**
 * What can be wrong with the records of a batch whose checksum matches.
 *
 * - `bad_record_count`: more or fewer records than the header says.
 * - `bad_record_length`: a length or a count inside a record does not add up.
 * - `bad_offset_delta`: not 0, 1, 2, … (only where contiguity is asked for).
 * - `out_of_range`: a timestamp outside ±(2^53 - 1) ms.
 * - `bad_codec`: attribute bits name codec 5, 6 or 7.
 * - `bad_compression`: the compressed block is damaged.
 * - `unsupported_codec`: this host lacks the codec, so nothing can be said of the block.
 * - `too_large`: the block would grow past the bound given.
 */
export type RecordFault =
  | "bad_record_count"
  | "bad_record_length"
  | "bad_offset_delta"
  | "out_of_range"
  | "bad_codec"
  | "bad_compression"
  | "unsupported_codec"
  | "too_large";

/** The record area of a batch, decompressed. */
export interface RecordBlock {
  readonly bytes: Uint8Array;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** What the batch header says. */
  readonly count: number;
}

/** How to open a batch. */
export interface OpenOptions {
  readonly compression: Compression;
  /** Most bytes that a compressed block may become. */
  readonly sizeBytesMax: number;
}

const FAULTS: Record<CompressionErrorCode, RecordFault> = {
  corrupt: "bad_compression",
  too_large: "too_large",
  unsupported: "unsupported_codec",
};

/** The record area of a batch: a view of it, or decompressed into fresh bytes. */
export function openRecords(batch: RecordBatch, options: OpenOptions): RecordBlock | RecordFault {
  const count = recordCountAt(batch.bytes, batch.position);
  const start = batch.position + BATCH_HEADER_BYTES;
  const end = batch.position + batch.sizeBytes;
  const codec = batch.codec;
  if (codec === "none" || (count === 0 && start === end)) {
    return { bytes: batch.bytes, start, end, count };
  }
  if (codec === null) return "bad_codec";
  try {
    const bytes = options.compression.decompress(
      codec,
      batch.bytes.subarray(start, end),
      options.sizeBytesMax,
    );
    return { bytes, start: 0, end: bytes.length, count };
  } catch (error) {
    if (error instanceof CompressionError) return FAULTS[error.code];
    throw error;
  }
}
