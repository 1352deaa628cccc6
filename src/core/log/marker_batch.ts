// The batch that ends a transaction in a log: one control record, stamped as the topic wants it.
// Invariant: byte for byte what Kafka's leader writes. Kafka: MemoryRecords.withEndTransactionMarker, LogValidator.

import { patchLogAppendTime } from "../../record/batch_header.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
} from "../../record/control_record.ts";
import type { EndMarker } from "./producer_state.ts";

export function markerBatch(
  { producerId, producerEpoch, coordinatorEpoch, isCommit }: EndMarker,
  baseOffset: number,
  leaderEpoch: number,
  timestampMs: number,
  isStamped: boolean,
): Uint8Array {
  const type = isCommit ? CONTROL_COMMIT : CONTROL_ABORT;
  const bytes = buildEndTransactionMarker({
    type,
    producerId,
    producerEpoch,
    coordinatorEpoch,
    timestampMs,
    baseOffset,
    leaderEpoch,
  });
  if (isStamped) patchLogAppendTime(bytes, 0, bytes.length, timestampMs);
  return bytes;
}
