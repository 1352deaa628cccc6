// A log as a cleaner may leave it that does all it may: of what lies before the first open transaction, the last record of
// each key alone, nothing of what was aborted, and no tombstone either; markers, empty batches and gaps stay.

import { readControlBatch } from "../../../../src/record/control_record.ts";
import { RecordBatch } from "../../../../src/record/record_batch.ts";
import { openRecords } from "../../../../src/record/record_block.ts";
import { RecordBatchBuilder } from "../../../../src/record/record_builder.ts";
import { RecordCursor } from "../../../../src/record/record_reader.ts";
import { hostCompression } from "../../../../src/runtime/compression.ts";
import { ScriptedLog } from "../scripted_log.ts";

interface Found {
  readonly offset: number;
  readonly keyText: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly timestampMs: number;
}

function recordsOf(batch: RecordBatch): Found[] {
  const block = openRecords(batch, { compression: hostCompression, sizeBytesMax: 1 << 20 });
  if (typeof block === "string") throw new Error(block);
  const cursor = new RecordCursor(block);
  const found: Found[] = [];
  while (cursor.next()) {
    const key = cursor.key()!.slice();
    found.push({
      offset: batch.baseOffset + cursor.offsetDelta,
      keyText: key.join(),
      key,
      value: cursor.value()?.slice() ?? null,
      timestampMs: batch.baseTimestampMs + cursor.timestampDelta,
    });
  }
  return found;
}

/** A new log of the same offsets; the given one stays as it is. */
export function cleaned(log: ScriptedLog, keepsTombstones: boolean): ScriptedLog {
  const batches = log.batches.map((bytes) => new RecordBatch(bytes, 0, bytes.length));
  /** By first offset of the batch. */
  const isAborted = new Set<number>();
  const open = new Map<number, number[]>();
  for (const batch of batches) {
    if (!batch.isTransactional) continue;
    if (!batch.isControl) {
      open.set(batch.producerId, [...(open.get(batch.producerId) ?? []), batch.baseOffset]);
      continue;
    }
    const isAbort = readControlBatch(batch)!.type === 0;
    if (isAbort) for (const offset of open.get(batch.producerId) ?? []) isAborted.add(offset);
    open.delete(batch.producerId);
  }
  const endOffset = Math.min(log.logEndOffset, ...[...open.values()].flat());
  const isBefore = (batch: RecordBatch) => batch.lastOffset < endOffset;
  const last = new Map<string, number>();
  for (const batch of batches) {
    if (!isBefore(batch) || batch.isControl || isAborted.has(batch.baseOffset)) continue;
    for (const { keyText, offset } of recordsOf(batch)) last.set(keyText, offset);
  }
  const result = new ScriptedLog();
  for (const [i, batch] of batches.entries()) {
    const isLast = i === batches.length - 1;
    if (!isBefore(batch) || batch.isControl) {
      result.batches.push(log.batches[i]!.slice());
      continue;
    }
    const kept = recordsOf(batch).filter(
      ({ keyText, offset, value }) =>
        !isAborted.has(batch.baseOffset) &&
        last.get(keyText) === offset &&
        (keepsTombstones || value !== null),
    );
    // The end of the log keeps a batch, with nothing in it if need be.
    if (kept.length === 0 && !isLast) continue;
    const { baseOffset, producerId, producerEpoch, baseSequence, isTransactional } = batch;
    const builder = new RecordBatchBuilder({
      baseOffset,
      producerId,
      producerEpoch,
      baseSequence,
      isTransactional,
    });
    for (const { offset, key, value, timestampMs } of kept) {
      builder.append(timestampMs, key, value, [], offset - baseOffset);
    }
    result.batches.push(builder.build({ lastOffsetDelta: batch.lastOffset - baseOffset }));
  }
  result.logEndOffset = log.logEndOffset;
  result.highWatermark = log.highWatermark;
  return result;
}
