// Two reads of an offset agree, over restarts too, and with what was acknowledged; and what a consumer has
// seen never disappears (visible means synced), unless retention or DeleteRecords takes it.

import type { Checker } from "../history.ts";
import { inWords } from "../record_values.ts";

export const readsAgree: Checker = {
  name: "reads_agree",

  read(partition, { records }, fail) {
    for (const { offset, key, identity } of records) {
      if (identity.topic !== partition.topic.number || identity.partition !== partition.partition) {
        fail(
          `${partition.label} ${offset} holds a record of topic ${identity.topic}, partition ${identity.partition}`,
        );
      }
      const known = partition.seen.get(offset) ?? partition.acked.get(offset);
      if (known !== undefined && known !== key) {
        fail(`${partition.label} ${offset} was ${inWords(known)} and is ${inWords(key)}`);
      }
      partition.seen.set(offset, key);
    }
  },

  acked(partition, { batch, baseOffset }, fail) {
    for (let i = 0; i < batch.recordCount; i++) {
      const key = batch.producer * 0x100000000 + batch.firstSequence + i;
      const known = partition.seen.get(baseOffset + i);
      if (known !== undefined && known !== key) {
        fail(
          `${partition.label} ${baseOffset + i} was read as ${inWords(known)} and acknowledged as ${inWords(key)}`,
        );
      }
    }
  },

  audited(partition, { logStartOffset, highWatermark, records }, fail) {
    const found = new Map(records.map((record) => [record.offset, record.key]));
    for (const [offset, key] of partition.seen) {
      if (offset < logStartOffset) continue;
      if (offset >= highWatermark || found.get(offset) !== key) {
        fail(`${inWords(key)} at ${partition.label} ${offset} was seen by a consumer and is gone`);
      }
    }
  },
};
