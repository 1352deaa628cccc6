// Brings a shard up to date: reads its partition from the start to the end and replays every record.
// Invariant: a shard is loaded whole or not at all. A damaged batch, or a record that cannot be read, fails the load: to go
// on without it would lose what was acknowledged. What a transaction wrote is told apart, and so is its end.
// Kafka: CoordinatorLoaderImpl, which fails likewise.

import { DecodeError } from "../../../base/byte_reader.ts";
import type { Runtime } from "../../../contracts/runtime.ts";
import {
  CONTROL_ABORT,
  CONTROL_COMMIT,
  readControlRecord,
} from "../../../record/control_record.ts";
import { batchSizeAt, faultOfSize, RecordBatch } from "../../../record/record_batch.ts";
import { openRecords } from "../../../record/record_block.ts";
import { RecordCursor } from "../../../record/record_reader.ts";
import type { CoordinatorLog } from "./coordinator_log.ts";
import type { RecordSerde, Shard } from "./shard.ts";

/** Read at once: some milliseconds of decoding, after which others get their turn. */
const READ_BYTES = 256 * 1024;
/** Most bytes that a compressed batch may become. */
const DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024;

export interface LoadOptions<R> {
  readonly log: CoordinatorLog;
  readonly serde: RecordSerde<R>;
  readonly shard: Shard<R>;
  readonly runtime: Runtime;
  /** False: the shard is not wanted any more, and loading ends. */
  readonly isWanted: () => boolean;
}

export type LoadOutcome =
  | {
      readonly ok: true;
      readonly recordCount: number;
      /** Records of types that this broker does not know. */
      readonly skippedCount: number;
      readonly sizeBytes: number;
    }
  | { readonly ok: false; readonly reason: string };

class LoadFault {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** Never rejects but for a defect of the shard's replay. */
export async function loadShard<R>(options: LoadOptions<R>): Promise<LoadOutcome> {
  const { log, runtime, isWanted } = options;
  // What is not committed yet may still be lost, and cannot be read.
  if (log.highWatermark < log.logEndOffset && !(await log.settled())) {
    return { ok: false, reason: "The end of the log was not committed" };
  }
  const load = new Load(options);
  let offset = log.logStartOffset;
  while (offset < log.highWatermark) {
    if (!isWanted()) return { ok: false, reason: "The shard is not wanted any more" };
    const read = await log.read(offset, READ_BYTES);
    if (!read.ok) return { ok: false, reason: read.reason };
    let reached: number | LoadFault;
    try {
      reached = load.take(read.batches, offset);
    } finally {
      read.release();
    }
    if (reached instanceof LoadFault) return { ok: false, reason: reached.reason };
    offset = reached;
    await runtime.scheduler.yieldNow();
  }
  const { recordCount, skippedCount, sizeBytes } = load;
  return { ok: true, recordCount, skippedCount, sizeBytes };
}

class Load<R> {
  recordCount = 0;
  skippedCount = 0;
  sizeBytes = 0;
  readonly #options: LoadOptions<R>;

  constructor(options: LoadOptions<R>) {
    this.#options = options;
  }

  /** Replays whole batches. @returns the offset to read on from */
  take(bytes: Uint8Array, offset: number): number | LoadFault {
    let next = offset;
    for (let at = 0; at < bytes.length; ) {
      const sizeBytes = batchSizeAt(bytes, at, bytes.length);
      if (sizeBytes < 0) {
        return new LoadFault(
          `The batch after offset ${next} is damaged (${faultOfSize(sizeBytes)})`,
        );
      }
      const batch = new RecordBatch(bytes, at, sizeBytes);
      const fault = this.#takeBatch(batch, next);
      if (fault !== null) return fault;
      next = Math.max(next, batch.lastOffset + 1);
      at += sizeBytes;
    }
    this.sizeBytes += bytes.length;
    if (next === offset) return new LoadFault(`Nothing can be read at offset ${offset}`);
    return next;
  }

  #takeBatch(batch: RecordBatch, from: number): LoadFault | null {
    const { runtime, shard } = this.#options;
    // Control batches of another kind are a log's notes to itself.
    if (batch.isControl && !batch.isTransactional) return null;
    const replay = batch.isTransactional
      ? (record: R, offset: number) => shard.replayTransactional?.(record, offset, batch.producerId)
      : (record: R, offset: number) => shard.replay(record, offset);
    const block = openRecords(batch, {
      compression: runtime.compression,
      sizeBytesMax: DECOMPRESSED_BYTES_MAX,
    });
    const { baseOffset } = batch;
    if (typeof block === "string") {
      return new LoadFault(`The batch at offset ${baseOffset} cannot be opened (${block})`);
    }
    const cursor = new RecordCursor(block);
    while (cursor.next()) {
      const offset = baseOffset + cursor.offsetDelta;
      if (offset < from) continue;
      const fault = batch.isControl
        ? this.#takeMarker(cursor, offset, batch.producerId)
        : this.#takeRecord(cursor, offset, replay);
      if (fault !== null) return fault;
    }
    if (cursor.fault !== null) {
      return new LoadFault(`The batch at offset ${baseOffset} is damaged (${cursor.fault})`);
    }
    return null;
  }

  #takeMarker(cursor: RecordCursor, offset: number, producerId: number): LoadFault | null {
    const marker = readControlRecord(cursor.key(), cursor.value());
    if (marker === null) return new LoadFault(`The marker at offset ${offset} cannot be read`);
    const { type } = marker;
    if (type !== CONTROL_COMMIT && type !== CONTROL_ABORT) return null;
    this.#options.shard.replayMarker?.(producerId, type === CONTROL_COMMIT);
    return null;
  }

  #takeRecord(
    cursor: RecordCursor,
    offset: number,
    replay: (record: R, offset: number) => void,
  ): LoadFault | null {
    const { serde } = this.#options;
    const key = cursor.key();
    if (key === null) return new LoadFault(`The record at offset ${offset} has no key`);
    let record: R | null;
    try {
      record = serde.decode(key, cursor.value());
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return new LoadFault(`The record at offset ${offset} cannot be read: ${error.message}`);
    }
    this.recordCount++;
    if (record === null) this.skippedCount++;
    else replay(record, offset);
    return null;
  }
}
