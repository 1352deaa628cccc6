// Finds the aborted transactions of a segment by going through the log up to its end: a transaction may begin in any
// segment before it. Slow, and needed only where the file beside the segment is damaged.
// Invariant: what has no marker stays as the file said it. Kafka: LogSegment.recover.

import { CONTROL_ABORT, readControlBatch } from "../../record/control_record.ts";
import { batchSizeAt, RecordBatch } from "../../record/record_batch.ts";
import { ABORTED_BYTES, type AbortedTransaction, decodeAborted, inOrder } from "./aborted_list.ts";
import { type LogReader, MOVES_MAX } from "./log_reader.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";

const READ_BYTES = 256 * 1024;

/** Entries that are whole, each for itself, of a file that is not. */
export function wholeEntries(bytes: Uint8Array): AbortedTransaction[] {
  const found: AbortedTransaction[] = [];
  for (let at = 0; at + ABORTED_BYTES <= bytes.length; at += ABORTED_BYTES) {
    found.push(...(decodeAborted(bytes.subarray(at, at + ABORTED_BYTES)) ?? []));
  }
  return found;
}

/**
 * Those whose markers stand in what is settled of `segment`; null when the log cannot be read.
 *
 * @param known What is left of the file: of transactions whose ends are lost nothing else tells.
 */
export async function abortedIn(
  log: PartitionLog,
  segment: SegmentInfo,
  reader: LogReader,
  known: readonly AbortedTransaction[],
): Promise<readonly AbortedTransaction[] | null> {
  const at = log.segments.indexOf(segment);
  if (at < 0) return null;
  const end = Math.min(log.segmentEnd(at), log.settledEnd);
  const found: AbortedTransaction[] = [];
  /** First offsets by producer, in ascending order. */
  const open = new Map<number, number>();
  /** Producers by the offsets of markers that abort, from the segment on. */
  const aborts = new Map<number, number>();
  let offset = Math.max(log.segments[0]!.baseOffset, log.logStartOffset);
  let moves = 0;
  while (offset < end) {
    const read = await reader.read(log, offset, end, READ_BYTES, true);
    // A segment before it was cleaned, or its start has moved.
    if (read.fault === "moved" && moves++ < MOVES_MAX) {
      offset = Math.max(offset, log.logStartOffset);
      continue;
    }
    if (read.fault !== null) return null;
    moves = 0;
    // Cleaned away up to the end.
    if (read.buffer === null) break;
    const { batches } = read;
    try {
      for (let position = 0; position < batches.length; ) {
        const sizeBytes = batchSizeAt(batches, position, batches.length);
        const batch = new RecordBatch(batches, position, sizeBytes);
        if (batch.baseOffset >= segment.baseOffset && isAbort(batch)) {
          aborts.set(batch.baseOffset, batch.producerId);
        }
        const aborted = takeBatch(batch, open);
        if (aborted !== null && aborted.lastOffset >= segment.baseOffset) found.push(aborted);
        offset = batch.lastOffset + 1;
        position += sizeBytes;
      }
    } finally {
      reader.release(read);
    }
  }
  const isUnmarked = ({ producerId, lastOffset }: AbortedTransaction) =>
    lastOffset >= Math.max(segment.baseOffset, log.logStartOffset) &&
    lastOffset < end &&
    aborts.get(lastOffset) !== producerId;
  const unmarked = known.filter(isUnmarked);
  return unmarked.length === 0 ? found : inOrder([...found, ...unmarked]);
}

/** The transaction that the batch aborts, or null. */
function takeBatch(batch: RecordBatch, open: Map<number, number>): AbortedTransaction | null {
  if (!batch.isTransactional) return null;
  const { producerId, baseOffset, lastOffset } = batch;
  if (!batch.isControl) {
    // Of a batch without records there is nothing to hide.
    if (batch.recordCount > 0 && !open.has(producerId)) open.set(producerId, baseOffset);
    return null;
  }
  const firstOffset = open.get(producerId);
  open.delete(producerId);
  if (firstOffset === undefined || !isAbort(batch)) return null;
  const [firstOpen = lastOffset + 1] = open.values();
  return { producerId, firstOffset, lastOffset, lastStableOffset: firstOpen };
}

function isAbort(batch: RecordBatch): boolean {
  return batch.isControl && readControlBatch(batch)?.type === CONTROL_ABORT;
}
