// Builds a v2 batch: for clients, for the coordinators' own logs, and for control records.
// Invariant: what it builds passes `checkBatch` and `walkRecords`; uncompressed, it is byte for byte
// what Kafka's Java client builds from the same records and options.
// Kafka: org.apache.kafka.common.record.MemoryRecordsBuilder, DefaultRecord.writeTo.

import { assert } from "../base/assert.ts";
import type { Crc32c } from "../base/crc32c.ts";
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from "../base/varint.ts";
import {
  BATCH_HEADER_BYTES,
  CONTROL_BIT,
  DELETE_HORIZON_BIT,
  LOG_APPEND_TIME_BIT,
  TRANSACTIONAL_BIT,
  writeBatchHeader,
} from "./batch_header.ts";
import { type Codec, type Compression, codecNumber } from "./compression.ts";
import type { RecordHeader } from "./record_reader.ts";

/** What a batch says of itself. All may be left out. */
export interface BatchOptions {
  /** 0 by default, which is what a broker wants to be sent. */
  readonly baseOffset?: number;
  /** -1 by default. */
  readonly leaderEpoch?: number;
  /** "none" by default; any other needs `compression`. */
  readonly codec?: Codec;
  readonly compression?: Compression;
  /** The codec's default when left out. */
  readonly compressionLevel?: number;
  /** When set, LogAppendTime: this is the time of every record. */
  readonly logAppendTimeMs?: number;
  /** When set, deltas count from this delete horizon and bit 6 says so. */
  readonly deleteHorizonMs?: number;
  /** -1 by default: not idempotent. */
  readonly producerId?: number;
  /** -1 by default. */
  readonly producerEpoch?: number;
  /** -1 by default. */
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  /** A faster CRC-32C of the host. */
  readonly crc32c?: Crc32c;
  /** First guess of the size, to save growing. */
  readonly sizeBytesHint?: number;
}

/** What `build` may be told besides; for compaction, which keeps what records used to say. */
export interface BuildOptions {
  /** Where the batch ends although its last records are gone. */
  readonly lastOffsetDelta?: number;
  readonly baseTimestampMs?: number;
  readonly maxTimestampMs?: number;
}

/** One batch in the making. Single use: nothing may be appended after `build`. */
export class RecordBatchBuilder {
  readonly #options: BatchOptions;
  #bytes: Uint8Array<ArrayBuffer>;
  #at = BATCH_HEADER_BYTES;
  #count = 0;
  #lastOffsetDelta = -1;
  #baseTimestampMs = -1;
  #maxTimestampMs = -1;
  #isBuilt = false;

  constructor(options: BatchOptions = {}) {
    this.#options = options;
    this.#bytes = new Uint8Array(Math.max(options.sizeBytesHint ?? 512, BATCH_HEADER_BYTES));
    if (options.deleteHorizonMs !== undefined) this.#baseTimestampMs = options.deleteHorizonMs;
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /** Size of the batch as it stands, before compression. */
  get sizeBytes(): number {
    return this.#at;
  }

  /**
   * Appends a record; the bytes are copied.
   *
   * @param timestampMs Milliseconds since the epoch, or -1 for none.
   * @param offsetDelta One more than the last record's by default; compaction leaves gaps.
   * @returns The record's offset delta.
   */
  append(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = [],
    offsetDelta = this.#lastOffsetDelta + 1,
  ): number {
    assert(!this.#isBuilt, "a batch that is built takes no more records");
    assert(offsetDelta > this.#lastOffsetDelta, "offset deltas must ascend");
    if (this.#count === 0) {
      if (this.#options.deleteHorizonMs === undefined) this.#baseTimestampMs = timestampMs;
      this.#maxTimestampMs = timestampMs;
    } else if (timestampMs > this.#maxTimestampMs) {
      this.#maxTimestampMs = timestampMs;
    }
    const timestampDelta = timestampMs - this.#baseTimestampMs;
    const encodedHeaders = headers.length === 0 ? NO_HEADERS : encodeHeaders(headers);
    const bodyBytes =
      1 +
      sizeOfVarlong(timestampDelta) +
      sizeOfVarint(offsetDelta) +
      sizeOfNullable(key) +
      sizeOfNullable(value) +
      encodedHeaders.length;
    let at = this.#at;
    const bytes = this.#reserve(at + 5 + bodyBytes);
    at = writeVarint(bytes, at, bodyBytes);
    bytes[at++] = 0;
    at = writeVarlong(bytes, at, timestampDelta);
    at = writeVarint(bytes, at, offsetDelta);
    at = writeNullable(bytes, at, key);
    at = writeNullable(bytes, at, value);
    bytes.set(encodedHeaders, at);
    this.#at = at + encodedHeaders.length;
    this.#count++;
    this.#lastOffsetDelta = offsetDelta;
    return offsetDelta;
  }

  /**
   * The finished batch.
   *
   * @returns Owned by the caller; may be a view of a larger buffer.
   */
  build(kept: BuildOptions = {}): Uint8Array<ArrayBuffer> {
    assert(!this.#isBuilt, "a batch is built once");
    this.#isBuilt = true;
    const options = this.#options;
    const codec = options.codec ?? "none";
    let batch = this.#bytes.subarray(0, this.#at);
    // Kafka's builder leaves a batch without records uncompressed in content, whatever its codec.
    if (codec !== "none" && this.#count > 0) {
      assert(options.compression !== undefined, "a codec needs the compression capability");
      const records = batch.subarray(BATCH_HEADER_BYTES);
      const block = options.compression.compress(codec, records, options.compressionLevel);
      batch = new Uint8Array(BATCH_HEADER_BYTES + block.length);
      batch.set(block, BATCH_HEADER_BYTES);
    }
    writeBatchHeader(
      batch,
      {
        baseOffset: options.baseOffset ?? 0,
        leaderEpoch: options.leaderEpoch ?? -1,
        attributes:
          codecNumber(codec) |
          (options.logAppendTimeMs === undefined ? 0 : LOG_APPEND_TIME_BIT) |
          (options.isTransactional === true ? TRANSACTIONAL_BIT : 0) |
          (options.isControl === true ? CONTROL_BIT : 0) |
          (options.deleteHorizonMs === undefined ? 0 : DELETE_HORIZON_BIT),
        lastOffsetDelta: kept.lastOffsetDelta ?? Math.max(this.#lastOffsetDelta, 0),
        baseTimestampMs: kept.baseTimestampMs ?? this.#baseTimestampMs,
        maxTimestampMs: options.logAppendTimeMs ?? kept.maxTimestampMs ?? this.#maxTimestampMs,
        producerId: options.producerId ?? -1,
        producerEpoch: options.producerEpoch ?? -1,
        baseSequence: options.baseSequence ?? -1,
        recordCount: this.#count,
      },
      options.crc32c,
    );
    return batch;
  }

  #reserve(sizeBytes: number): Uint8Array<ArrayBuffer> {
    if (sizeBytes > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(sizeBytes, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#at));
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

const NO_HEADERS = new Uint8Array(1);
const textEncoder = new TextEncoder();

/** Header count and headers as they stand at the end of a record. */
function encodeHeaders(headers: readonly RecordHeader[]): Uint8Array {
  const keys: Uint8Array[] = [];
  let sizeBytes = sizeOfVarint(headers.length);
  for (const header of headers) {
    const key = textEncoder.encode(header.key);
    keys.push(key);
    sizeBytes += sizeOfNullable(key) + sizeOfNullable(header.value);
  }
  const bytes = new Uint8Array(sizeBytes);
  let at = writeVarint(bytes, 0, headers.length);
  for (let i = 0; i < headers.length; i++) {
    at = writeNullable(bytes, at, keys[i]!);
    at = writeNullable(bytes, at, headers[i]!.value);
  }
  return bytes;
}

function sizeOfNullable(data: Uint8Array | null): number {
  return data === null ? 1 : sizeOfVarint(data.length) + data.length;
}

function writeNullable(bytes: Uint8Array, at: number, data: Uint8Array | null): number {
  if (data === null) return writeVarint(bytes, at, -1);
  const start = writeVarint(bytes, at, data.length);
  bytes.set(data, start);
  return start + data.length;
}
