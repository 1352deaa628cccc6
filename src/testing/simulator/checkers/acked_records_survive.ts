// Acknowledged records survive: whatever a producer was told is in the log, at the offset it was told,
// until retention or DeleteRecords takes it. Holds for acks=1 and acks=-1 under durability fsync.

import type { Checker } from "../history.ts";
import { inWords } from "../record_values.ts";

export const ackedRecordsSurvive: Checker = {
  name: "acked_records_survive",

  acked(partition, { batch, baseOffset }, fail) {
    for (let i = 0; i < batch.recordCount; i++) {
      const key = batch.producer * 0x100000000 + batch.firstSequence + i;
      const known = partition.acked.get(baseOffset + i);
      if (known !== undefined && known !== key) {
        fail(
          `offset ${baseOffset + i} of ${partition.label} was acknowledged twice: ${inWords(known)} and ${inWords(key)}`,
        );
      }
      partition.acked.set(baseOffset + i, key);
    }
  },

  audited(partition, { logStartOffset, highWatermark, records }, fail) {
    const found = new Map(records.map((record) => [record.offset, record.key]));
    for (const [offset, key] of partition.acked) {
      if (offset < logStartOffset) continue;
      if (offset >= highWatermark) {
        fail(
          `acknowledged ${inWords(key)} at ${partition.label} ${offset} is gone: the log ends at ${highWatermark}`,
        );
      }
      const there = found.get(offset);
      if (there !== key) {
        fail(
          `acknowledged ${inWords(key)} at ${partition.label} ${offset} is gone: ${there === undefined ? "nothing" : inWords(there)} is there`,
        );
      }
    }
  },
};
