// Brings a shard up to date: reads its partition from the start to the end and replays every record, and the ends of
// transactions where their markers stand. What a transaction wrote that is still open stays pending.
// Invariant: a shard is loaded whole or not at all. A damaged batch, or a record that cannot be read, fails the load: to go
// on without it would lose what was acknowledged. Kafka: CoordinatorLoaderImpl, which fails likewise.

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
import type { Producer, RecordSerde, Shard } from "./shard.ts";

/** Read at once: some milliseconds of decoding, after which others get their turn. */
const READ_BYTES = 256 * 1024;
/** Most bytes that a compressed batch may become. */
const DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024;

export interface LoadOptions<R> {
  readonly log: CoordinatorLog;
  readonly serde: RecordSerde<R>;
  readonly shard: Shard<R>;
  readonly runtime: Runtime;
  /** Where to begin: the start of the log, or where an earlier load of the same shard has ended. */
  readonly fromOffset: number;
  /** False: the shard is not wanted any more, and loading ends. */
  readonly isWanted: () => boolean;
}

export type LoadOutcome =
  | {
      readonly ok: true;
      /** Exclusive. Markers may have been appended behind it since. */
      readonly endOffset: number;
      /** Markers are not counted. */
      readonly recordCount: number;
      /** Records of types that this broker does not know. */
      readonly skippedCount: number;
      readonly sizeBytes: number;
    }
  | { readonly ok: false; readonly reason: string };

const NOT_COMMITTED: LoadOutcome = { ok: false, reason: "The end of the log was not committed" };

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
  if (log.highWatermark < log.logEndOffset && !(await log.settled())) return NOT_COMMITTED;
  const load = new Load(options);
  let offset = options.fromOffset;
  while (offset < log.logEndOffset) {
    if (!isWanted()) return { ok: false, reason: "The shard is not wanted any more" };
    // A marker has come meanwhile.
    if (offset >= log.highWatermark && !(await log.settled())) return NOT_COMMITTED;
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
  return { ok: true, endOffset: offset, recordCount, skippedCount, sizeBytes };
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
    const { runtime } = this.#options;
    const block = openRecords(batch, {
      compression: runtime.compression,
      sizeBytesMax: DECOMPRESSED_BYTES_MAX,
    });
    const { baseOffset } = batch;
    if (typeof block === "string") {
      return new LoadFault(`The batch at offset ${baseOffset} cannot be opened (${block})`);
    }
    const { isControl, isTransactional, producerId, producerEpoch } = batch;
    const producer = isTransactional ? { producerId, producerEpoch } : null;
    const cursor = new RecordCursor(block);
    while (cursor.next()) {
      const offset = baseOffset + cursor.offsetDelta;
      if (offset < from) continue;
      const fault = isControl
        ? this.#takeMarker(cursor, offset, producer)
        : this.#takeRecord(cursor, offset, producer);
      if (fault !== null) return fault;
    }
    if (cursor.fault !== null) {
      return new LoadFault(`The batch at offset ${baseOffset} is damaged (${cursor.fault})`);
    }
    return null;
  }

  /** Of control records only markers concern a shard. */
  #takeMarker(cursor: RecordCursor, offset: number, producer: Producer | null): LoadFault | null {
    const control = readControlRecord(cursor.key(), cursor.value());
    if (control === null) return new LoadFault(`The control record at offset ${offset} is damaged`);
    const { type } = control;
    if (producer !== null && (type === CONTROL_ABORT || type === CONTROL_COMMIT)) {
      this.#options.shard.replayEnd?.({ ...producer, isCommit: type === CONTROL_COMMIT });
    }
    return null;
  }

  #takeRecord(cursor: RecordCursor, offset: number, producer: Producer | null): LoadFault | null {
    const { serde, shard } = this.#options;
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
    else shard.replay(record, offset, producer);
    return null;
  }
}
