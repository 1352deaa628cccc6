// Batches of transactional topics as a client decodes them, control batches too, and what a read_committed reader shows of
// them: as Java's consumer does it, by the list of aborted transactions and the markers it meets.

import { CONTROL_ABORT, CONTROL_COMMIT, readControlBatch } from "../../../record/control_record.ts";
import { batchesIn, type RecordBatch } from "../../../record/record_batch.ts";
import { openRecords } from "../../../record/record_block.ts";
import { RecordCursor } from "../../../record/record_reader.ts";
import { identityOf, recordKeyOf } from "../record_values.ts";
import { simCompression } from "../sim_compression.ts";
import type { ModelPartition } from "./model.ts";

const OPEN = { compression: simCompression, sizeBytesMax: 64 * 1024 * 1024 };

export interface FetchedRecord {
  readonly offset: number;
  /** Number of the author. */
  readonly author: number;
  readonly sequence: number;
  readonly recordKey: number;
}

export interface FetchedBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly isTransactional: boolean;
  /** Of a control batch. */
  readonly marker: "commit" | "abort" | null;
  readonly records: readonly FetchedRecord[];
}

export interface AbortedRange {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** Or what is wrong with the bytes. */
export function batchesOf(partition: ModelPartition, bytes: Uint8Array): FetchedBatch[] | string {
  const { batches, fault } = batchesIn(bytes);
  if (fault !== null) return `${fault} after ${batches.length} batches`;
  const decoded: FetchedBatch[] = [];
  for (const batch of batches) {
    const damage = batch.check();
    if (damage !== null) return `batch ${batch.baseOffset}: ${damage}`;
    const one = batch.isControl ? markerOf(batch) : dataOf(partition, batch);
    if (typeof one === "string") return `batch ${batch.baseOffset}: ${one}`;
    decoded.push(one);
  }
  return decoded;
}

function markerOf(batch: RecordBatch): FetchedBatch | string {
  // The cleaner leaves an empty batch where a producer's last one stood.
  if (batch.recordCount === 0) return { ...headOf(batch), marker: null, records: [] };
  const type = readControlBatch(batch)?.type;
  if (type !== CONTROL_ABORT && type !== CONTROL_COMMIT) return `control record of type ${type}`;
  return { ...headOf(batch), marker: type === CONTROL_COMMIT ? "commit" : "abort", records: [] };
}

function dataOf(partition: ModelPartition, batch: RecordBatch): FetchedBatch | string {
  const block = openRecords(batch, OPEN);
  if (typeof block === "string") return block;
  const cursor = new RecordCursor(block);
  const records: FetchedRecord[] = [];
  while (cursor.next()) {
    const offset = batch.baseOffset + cursor.offsetDelta;
    const value = cursor.value() ?? cursor.headers()?.[0]?.value ?? null;
    const identity = value === null ? null : identityOf(value);
    if (identity === null) return `offset ${offset} is no record of ours`;
    const { topic, index } = partition;
    if (identity.topic !== topic.number || identity.partition !== index) {
      return `offset ${offset} is of topic ${identity.topic}, partition ${identity.partition}`;
    }
    const { producer: author, sequence } = identity;
    records.push({ offset, author, sequence, recordKey: recordKeyOf(identity) });
  }
  if (cursor.fault !== null) return cursor.fault;
  return { ...headOf(batch), marker: null, records };
}

function headOf({
  baseOffset,
  lastOffset,
  producerId,
  producerEpoch,
  isTransactional,
}: RecordBatch) {
  return { baseOffset, lastOffset, producerId, producerEpoch, isTransactional };
}

/** Splits records into those that a read_committed reader shows, and those that it hides. */
export function shownOf(
  batches: readonly FetchedBatch[],
  aborted: readonly AbortedRange[],
): { readonly shown: FetchedRecord[]; readonly hidden: FetchedRecord[] } {
  const waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  const producers = new Set<number>();
  const shown: FetchedRecord[] = [];
  const hidden: FetchedRecord[] = [];
  for (const { lastOffset, producerId, isTransactional, marker, records } of batches) {
    while (waiting.length > 0 && waiting[0]!.firstOffset <= lastOffset) {
      producers.add(waiting.shift()!.producerId);
    }
    if (marker === "abort") producers.delete(producerId);
    (isTransactional && producers.has(producerId) ? hidden : shown).push(...records);
  }
  return { shown, hidden };
}
