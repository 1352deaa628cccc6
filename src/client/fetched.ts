// What a fetch brought of one partition: batches checked, cut to the offsets that were asked for, and
// decompressed once they are wanted, since an answer of 16 MiB may become a hundred times that.
// Invariant: offsets ascend over all batches of a partition; nothing before `from` or at `end` or beyond is
// shown; control batches and aborted transactions are not either, though their offsets pass.
// Kafka: CompletedFetch, Fetcher.

import { areInt64sSafe, baseTimestampAt, LOG_APPEND_TIME_BIT } from "../record/batch_header.ts";
import { CONTROL_ABORT, readControlRecord } from "../record/control_record.ts";
import { batchSizeAt, checkBatch, faultOfSize, RecordBatch } from "../record/record_batch.ts";
import { openRecords, type RecordBlock } from "../record/record_block.ts";
import { type LogRecord, RecordCursor } from "../record/record_reader.ts";
import { ClientError } from "./client_error.ts";
import type { ClientRuntime } from "./waiting.ts";

/** A record that was read. Key, value and header values are views of what was fetched. */
export interface ConsumedRecord extends LogRecord {
  readonly topic: string;
  readonly partition: number;
}

/** A batch's worth of records of one partition. */
export class FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  /** For `RecordCursor`, where objects for each record are too many; skip what `from` and `end` leave out. */
  readonly block: RecordBlock;
  readonly baseOffset: number;
  /** First offset to show, inclusive; the batch may begin before it. */
  readonly from: number;
  /** First offset not to show. */
  readonly end: number;
  /** The offset behind the batch, where the next one begins. */
  readonly next: number;
  /** What timestamp deltas count from; the time of every record when `isLogAppendTime`. */
  readonly baseTimestampMs: number;
  readonly isLogAppendTime: boolean;
  /**
   * End of what may be read, exclusive, when this was fetched: of "read_committed" the last stable offset, where the oldest open
   * transaction begins.
   */
  readonly highWatermark: number;

  constructor(
    place: { readonly topic: string; readonly partition: number },
    batch: RecordBatch,
    block: RecordBlock,
    bounds: { readonly from: number; readonly end: number; readonly highWatermark: number },
  ) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.block = block;
    this.baseOffset = batch.baseOffset;
    this.from = bounds.from;
    this.end = bounds.end;
    this.next = Math.min(batch.lastOffset + 1, bounds.end);
    this.highWatermark = bounds.highWatermark;
    this.isLogAppendTime = (batch.attributes & LOG_APPEND_TIME_BIT) !== 0;
    this.baseTimestampMs = this.isLogAppendTime
      ? batch.maxTimestampMs
      : baseTimestampAt(batch.bytes, batch.position);
  }

  /** The records, at most `countMax`. @throws {ClientError} "corrupt_message" */
  records(countMax = Number.POSITIVE_INFINITY): ConsumedRecord[] {
    const records: ConsumedRecord[] = [];
    const cursor = new RecordCursor(this.block);
    const { topic, partition } = this;
    while (records.length < countMax && cursor.next()) {
      const offset = this.baseOffset + cursor.offsetDelta;
      if (offset < this.from) continue;
      if (offset >= this.end) return records;
      const headers = cursor.headers();
      if (headers === null) break;
      const timestampMs = this.timestampOf(cursor);
      const key = cursor.key();
      records.push({ topic, partition, offset, timestampMs, key, value: cursor.value(), headers });
    }
    this.requireSound(cursor);
    return records;
  }

  /** The time of the record a cursor over `block` stands on, in ms; -1 for none. */
  timestampOf(cursor: RecordCursor): number {
    return this.isLogAppendTime
      ? this.baseTimestampMs
      : this.baseTimestampMs + cursor.timestampDelta;
  }

  /** @throws {ClientError} "corrupt_message" when the cursor stopped at damage */
  requireSound(cursor: RecordCursor): void {
    if (cursor.fault !== null) throw damaged(this, this.baseOffset, cursor.fault);
  }
}

/** A batch as it was fetched: checked, and still compressed. */
export class SealedBatch {
  /** As fetched, in bytes. */
  readonly sizeBytes: number;
  /** First offset to show. */
  readonly from: number;
  readonly #open: () => FetchedBatch;

  constructor(sizeBytes: number, from: number, open: () => FetchedBatch) {
    this.sizeBytes = sizeBytes;
    this.from = from;
    this.#open = open;
  }

  /** @throws {ClientError} "corrupt_message" when it cannot be decompressed, "unsupported_compression_type" */
  open(): FetchedBatch {
    return this.#open();
  }
}

/** Finds the batches of one partition's answers, and leaves out what was aborted. One a partition. */
export class BatchOpener {
  readonly #place: { readonly topic: string; readonly partition: number };
  readonly #runtime: ClientRuntime;
  readonly #sizeBytesMax: number;
  readonly #isCommittedOnly: boolean;
  /**
   * Producers whose open transaction will have been aborted. Of one answer: the next says anew which there are, and a marker
   * that ends one may have been compacted away between them.
   */
  readonly #aborted = new Set<number>();

  constructor(
    place: { readonly topic: string; readonly partition: number },
    runtime: ClientRuntime,
    options: { readonly sizeBytesMax: number; readonly isCommittedOnly: boolean },
  ) {
    this.#place = place;
    this.#runtime = runtime;
    this.#sizeBytesMax = options.sizeBytesMax;
    this.#isCommittedOnly = options.isCommittedOnly;
  }

  /**
   * Finds what came for the offsets from `from` on.
   *
   * @returns The batches with something to show, and the offset to fetch next.
   * @throws {ClientError} "corrupt_message", "unsupported_for_message_format"
   */
  open(
    bytes: Uint8Array,
    from: number,
    bounds: { readonly end: number; readonly highWatermark: number },
    abortedTransactions: readonly { readonly producerId: number; readonly firstOffset: number }[],
  ): { readonly batches: readonly SealedBatch[]; readonly nextOffset: number } {
    this.#aborted.clear();
    const batches: SealedBatch[] = [];
    // The next one last: an answer may tell of tens of thousands, and taking the first moves all others.
    const aborts = [...abortedTransactions].sort((a, b) => b.firstOffset - a.firstOffset);
    let nextOffset = from;
    let at = 0;
    while (at < bytes.length && nextOffset < bounds.end) {
      const sizeBytes = batchSizeAt(bytes, at, bytes.length);
      if (sizeBytes < 0) {
        const fault = faultOfSize(sizeBytes);
        // The broker cuts the last batch where the answer is full.
        if (fault === "truncated") break;
        throw damaged(this.#place, nextOffset, fault);
      }
      const batch = new RecordBatch(bytes, at, sizeBytes);
      at += sizeBytes;
      const fault = areInt64sSafe(bytes, batch.position)
        ? checkBatch(bytes, batch.position, sizeBytes, this.#runtime.crc32c)
        : "out_of_range";
      if (fault !== null) throw damaged(this.#place, batch.baseOffset, fault);
      if (batch.lastOffset < nextOffset) continue;
      const isShown = this.#isShown(batch, aborts);
      if (isShown && batch.recordCount > 0) {
        const shown = { ...bounds, from: nextOffset };
        const open = () => new FetchedBatch(this.#place, batch, this.#blockOf(batch), shown);
        batches.push(new SealedBatch(sizeBytes, nextOffset, open));
      }
      nextOffset = batch.lastOffset + 1;
    }
    return { batches, nextOffset };
  }

  #isShown(batch: RecordBatch, aborts: { producerId: number; firstOffset: number }[]): boolean {
    if (this.#isCommittedOnly && batch.isTransactional) {
      while (aborts.length > 0 && aborts[aborts.length - 1]!.firstOffset <= batch.lastOffset) {
        this.#aborted.add(aborts.pop()!.producerId);
      }
      if (batch.isControl) {
        if (this.#isAbortMarker(batch)) this.#aborted.delete(batch.producerId);
      } else if (this.#aborted.has(batch.producerId)) return false;
    }
    return !batch.isControl;
  }

  #isAbortMarker(batch: RecordBatch): boolean {
    const cursor = new RecordCursor(this.#blockOf(batch));
    if (!cursor.next()) return false;
    return readControlRecord(cursor.key(), cursor.value())?.type === CONTROL_ABORT;
  }

  #blockOf(batch: RecordBatch): RecordBlock {
    const block = openRecords(batch, {
      compression: this.#runtime.compression,
      sizeBytesMax: this.#sizeBytesMax,
    });
    if (typeof block === "string") throw damaged(this.#place, batch.baseOffset, block);
    return block;
  }
}

function damaged(
  place: { readonly topic: string; readonly partition: number },
  offset: number,
  fault: string,
): ClientError {
  const code =
    fault === "unsupported_codec"
      ? "unsupported_compression_type"
      : fault === "unsupported_for_message_format"
        ? "unsupported_for_message_format"
        : "corrupt_message";
  const text = `Cannot read ${place.topic}-${place.partition} at offset ${offset}: ${fault}`;
  return new ClientError(code, text, { retriable: false });
}
