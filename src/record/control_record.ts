// Control records: transaction markers, and the notes that a replicated log keeps about itself.
// Invariant: a control batch holds one record and takes one offset; consumers skip it.
// Kafka: org.apache.kafka.common.record.ControlRecordType, EndTransactionMarker.

import type { Crc32c } from "../base/crc32c.ts";
import { BATCH_HEADER_BYTES } from "./batch_header.ts";
import type { RecordBatch } from "./record_batch.ts";
import { RecordBatchBuilder } from "./record_builder.ts";
import { RecordCursor } from "./record_reader.ts";

// Types of control records by number.
/** Type 0: the producer's transaction was aborted. */
export const CONTROL_ABORT = 0;
/** Type 1: the producer's transaction was committed. */
export const CONTROL_COMMIT = 1;
/** Type 2: a new leader of a replicated log (KIP-595). */
export const CONTROL_LEADER_CHANGE = 2;
/** Type 3: the first record of a snapshot (KIP-630). */
export const CONTROL_SNAPSHOT_HEADER = 3;
/** Type 4: the last record of a snapshot. */
export const CONTROL_SNAPSHOT_FOOTER = 4;
/** Type 5: the version of the log's own protocol (KIP-853). */
export const CONTROL_KRAFT_VERSION = 5;
/** Type 6: who votes in the log's elections (KIP-853). */
export const CONTROL_KRAFT_VOTERS = 6;

/** What a control record says. */
export interface ControlRecord {
  /** Version of the key; 0 so far. */
  readonly version: number;
  /** One of the CONTROL_* numbers, or a newer one, which a reader skips. */
  readonly type: number;
  /** Only of ABORT and COMMIT: the epoch of the transaction coordinator that wrote the marker. */
  readonly coordinatorEpoch: number | null;
}

/** Reads a control record; null when its key or marker value is too short to be one. */
export function readControlRecord(
  key: Uint8Array | null,
  value: Uint8Array | null,
): ControlRecord | null {
  if (key === null || key.length < 4) return null;
  const version = int16At(key, 0);
  const type = int16At(key, 2);
  if (version < 0) return null;
  if (type !== CONTROL_ABORT && type !== CONTROL_COMMIT) {
    return { version, type, coordinatorEpoch: null };
  }
  if (value === null || value.length < 6 || int16At(value, 0) < 0) return null;
  const coordinatorEpoch = (value[2]! << 24) | (value[3]! << 16) | (value[4]! << 8) | value[5]!;
  return { version, type, coordinatorEpoch };
}

/**
 * The one record of a control batch; null when it has none, or none that can be read.
 *
 * @param batch Its checksum was looked at before.
 */
export function readControlBatch(batch: RecordBatch): ControlRecord | null {
  // Control batches are never compressed.
  if (batch.codec !== "none") return null;
  const { bytes, position, sizeBytes, recordCount: count } = batch;
  const start = position + BATCH_HEADER_BYTES;
  const cursor = new RecordCursor({ bytes, start, end: position + sizeBytes, count });
  return cursor.next() ? readControlRecord(cursor.key(), cursor.value()) : null;
}

/** The key of a control record: int16 version 0 and int16 type. */
export function controlKey(type: number): Uint8Array {
  return new Uint8Array([0, 0, type >>> 8, type]);
}

/** What ends a transaction on one partition. */
export interface EndTransactionMarker {
  readonly type: typeof CONTROL_ABORT | typeof CONTROL_COMMIT;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly timestampMs: number;
  /** Both overwritten at append; 0 and -1 by default. */
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  /** A faster CRC-32C of the host. */
  readonly crc32c?: Crc32c;
}

/** The control batch of a transaction marker. */
export function buildEndTransactionMarker(marker: EndTransactionMarker): Uint8Array {
  const epoch = marker.coordinatorEpoch;
  const value = new Uint8Array([0, 0, epoch >>> 24, epoch >>> 16, epoch >>> 8, epoch]);
  const builder = new RecordBatchBuilder({
    baseOffset: marker.baseOffset ?? 0,
    leaderEpoch: marker.leaderEpoch ?? -1,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    isTransactional: true,
    isControl: true,
    sizeBytesHint: 96,
    ...(marker.crc32c === undefined ? {} : { crc32c: marker.crc32c }),
  });
  builder.append(marker.timestampMs, controlKey(marker.type), value);
  return builder.build();
}

function int16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;
}
