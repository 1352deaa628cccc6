// Finds the aborted transactions of a segment by going through the log up to its end: a transaction may begin in any
// segment before it. Slow, and needed only where the file beside the segment is damaged. Kafka: LogSegment.recover.

import { CONTROL_ABORT, readControlBatch } from "../../record/control_record.ts";
import { batchSizeAt, RecordBatch } from "../../record/record_batch.ts";
import type { AbortedTransaction } from "./aborted_list.ts";
import type { LogReader } from "./log_reader.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";

const READ_BYTES = 256 * 1024;

/** Those whose markers stand in what is settled of `segment`; null when the log cannot be read. */
export async function abortedIn(
  log: PartitionLog,
  segment: SegmentInfo,
  reader: LogReader,
): Promise<readonly AbortedTransaction[] | null> {
  const at = log.segments.indexOf(segment);
  if (at < 0) return null;
  const end = Math.min(log.segmentEnd(at), log.settledEnd);
  const found: AbortedTransaction[] = [];
  /** First offsets by producer, in ascending order. */
  const open = new Map<number, number>();
  let offset = Math.max(log.segments[0]!.baseOffset, log.logStartOffset);
  while (offset < end) {
    const read = await reader.read(log, offset, end, READ_BYTES, true);
    if (read.fault !== null) return null;
    // Cleaned away up to the end.
    if (read.buffer === null) break;
    const { batches } = read;
    try {
      for (let position = 0; position < batches.length; ) {
        const sizeBytes = batchSizeAt(batches, position, batches.length);
        const batch = new RecordBatch(batches, position, sizeBytes);
        const aborted = takeBatch(batch, open);
        if (aborted !== null && aborted.lastOffset >= segment.baseOffset) found.push(aborted);
        offset = batch.lastOffset + 1;
        position += sizeBytes;
      }
    } finally {
      reader.release(read);
    }
  }
  return found;
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
  if (firstOffset === undefined || readControlBatch(batch)?.type !== CONTROL_ABORT) return null;
  const [firstOpen = lastOffset + 1] = open.values();
  return { producerId, firstOffset, lastOffset, lastStableOffset: firstOpen };
}
