// Records as a cursor over a block, which copies nothing, and as values for those who want values.
// Invariant: keys, values and header values are views; damage is a value (RecordFault), not a throw.
// Kafka: org.apache.kafka.common.record.DefaultRecord.readFrom, DefaultRecordBatch.iterator.

import {
  baseOffsetAt,
  baseTimestampAt,
  LOG_APPEND_TIME_BIT,
  maxTimestampAt,
} from "./batch_header.ts";
import type { RecordBatch } from "./record_batch.ts";
import {
  type OpenOptions,
  openRecords,
  type RecordBlock,
  type RecordFault,
} from "./record_block.ts";
import { readVarintAt, readVarlongAt, varintEnd } from "./record_varint.ts";
import { walkHeaders } from "./record_walk.ts";

/** A header of a record. Keys may repeat; their order is kept. */
export interface RecordHeader {
  readonly key: string;
  /** A view; null is not the empty value. */
  readonly value: Uint8Array | null;
}

/** One record as a value. Keys, values and header values are views of the block they were read from. */
export interface LogRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

/**
 * Steps through the records of a block. Fields hold the current record until the next `next()`.
 *
 * Offset deltas need not be contiguous. Header contents are looked at only by `headers()`.
 */
export class RecordCursor {
  /** Why `next()` returned false, or null at the proper end. */
  fault: RecordFault | null = null;
  /** The current record as bytes: from its attributes to its end, exclusive. */
  bodyStart = 0;
  bodyEnd = 0;
  timestampDelta = 0;
  offsetDelta = 0;
  keyStart = 0;
  /** -1 for null. */
  keyLength = -1;
  valueStart = 0;
  /** -1 for null. */
  valueLength = -1;

  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #count: number;
  #at: number;
  #index = 0;

  constructor(block: RecordBlock) {
    this.#bytes = block.bytes;
    this.#at = block.start;
    this.#end = block.end;
    this.#count = block.count;
    if (block.count < 0) this.fault = "bad_record_count";
  }

  /** Moves to the next record. False at the end, or at damage: then `fault` says which. */
  next(): boolean {
    if (this.fault !== null) return false;
    if (this.#index >= this.#count) {
      if (this.#at !== this.#end) this.fault = "bad_record_count";
      return false;
    }
    if (this.#at >= this.#end) {
      this.fault = "bad_record_count";
      return false;
    }
    const bytes = this.#bytes;
    const length = readVarintAt(bytes, this.#at, this.#end);
    if (varintEnd < 0 || length < 6 || length > this.#end - varintEnd) return this.#damaged();
    const end = varintEnd + length;
    this.bodyStart = varintEnd;
    this.bodyEnd = end;
    this.timestampDelta = readVarlongAt(bytes, varintEnd + 1, end);
    if (varintEnd < 0) return this.#damaged();
    if (!Number.isSafeInteger(this.timestampDelta)) {
      this.fault = "out_of_range";
      return false;
    }
    this.offsetDelta = readVarintAt(bytes, varintEnd, end);
    if (varintEnd < 0) return this.#damaged();
    this.keyLength = readVarintAt(bytes, varintEnd, end);
    if (varintEnd < 0 || this.keyLength < -1) return this.#damaged();
    this.keyStart = varintEnd;
    const valueLengthAt = varintEnd + Math.max(this.keyLength, 0);
    this.valueLength = readVarintAt(bytes, valueLengthAt, end);
    if (varintEnd < 0 || this.valueLength < -1) return this.#damaged();
    this.valueStart = varintEnd;
    if (varintEnd + Math.max(this.valueLength, 0) >= end) return this.#damaged();
    this.#at = end;
    this.#index++;
    return true;
  }

  /** A view of the key, or null. */
  key(): Uint8Array | null {
    if (this.keyLength < 0) return null;
    return this.#bytes.subarray(this.keyStart, this.keyStart + this.keyLength);
  }

  /** A view of the value, or null. */
  value(): Uint8Array | null {
    if (this.valueLength < 0) return null;
    return this.#bytes.subarray(this.valueStart, this.valueStart + this.valueLength);
  }

  /** The headers, values as views; null when they are damaged, and then `fault` is set. */
  headers(): readonly RecordHeader[] | null {
    const bytes = this.#bytes;
    const headersAt = this.valueStart + Math.max(this.valueLength, 0);
    if (bytes[headersAt] === 0 && headersAt + 1 === this.bodyEnd) return NO_HEADERS;
    if (walkHeaders(bytes, headersAt, this.bodyEnd) !== this.bodyEnd) {
      this.fault = "bad_record_length";
      return null;
    }
    const headers: RecordHeader[] = [];
    const count = readVarintAt(bytes, headersAt, this.bodyEnd);
    let at = varintEnd;
    for (let i = 0; i < count; i++) {
      const keyLength = readVarintAt(bytes, at, this.bodyEnd);
      const keyEnd = varintEnd + keyLength;
      const key = textDecoder.decode(bytes.subarray(varintEnd, keyEnd));
      const valueLength = readVarintAt(bytes, keyEnd, this.bodyEnd);
      at = varintEnd;
      if (valueLength < 0) {
        headers.push({ key, value: null });
      } else {
        headers.push({ key, value: bytes.subarray(at, at + valueLength) });
        at += valueLength;
      }
    }
    return headers;
  }

  #damaged(): false {
    this.fault = "bad_record_length";
    return false;
  }
}

const NO_HEADERS: readonly RecordHeader[] = [];
// Without ignoreBOM a header key that begins with U+FEFF would lose it.
const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The records of a batch, and why there are not more of them. */
export interface RecordsRead {
  readonly records: readonly LogRecord[];
  /** Null when all were read. */
  readonly fault: RecordFault | null;
}

/** Reads every record of a batch as a value: for consumers and tests, not for the broker's hot path. */
export function readRecords(batch: RecordBatch, options: OpenOptions): RecordsRead {
  const block = openRecords(batch, options);
  if (typeof block === "string") return { records: [], fault: block };
  const records: LogRecord[] = [];
  const baseOffset = baseOffsetAt(batch.bytes, batch.position);
  const baseTimestampMs = baseTimestampAt(batch.bytes, batch.position);
  const isLogAppendTime = (batch.attributes & LOG_APPEND_TIME_BIT) !== 0;
  const appendTimeMs = maxTimestampAt(batch.bytes, batch.position);
  const cursor = new RecordCursor(block);
  while (cursor.next()) {
    const headers = cursor.headers();
    if (headers === null) break;
    records.push({
      offset: baseOffset + cursor.offsetDelta,
      timestampMs: isLogAppendTime ? appendTimeMs : baseTimestampMs + cursor.timestampDelta,
      key: cursor.key(),
      value: cursor.value(),
      headers,
    });
  }
  return { records, fault: cursor.fault };
}
