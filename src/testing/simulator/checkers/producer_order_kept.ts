// One producer's order is kept: the records of an idempotent producer stand in a partition in the order in
// which they were written, without a gap; those of a plain one in order where each was sent once, and on
// one connection.

import type { Checker, PartitionHistory, SentBatch } from "../history.ts";
import { inWords } from "../record_values.ts";

export const producerOrderKept: Checker = {
  name: "producer_order_kept",

  audited(partition, { logStartOffset, records }, fail) {
    const batchOf = batchesBySequence(partition);
    const last = new Map<number, { readonly key: number; readonly batch: SentBatch }>();
    for (const { key, identity, offset } of records) {
      const batch = batchOf.get(key);
      if (batch === undefined) continue;
      const before = last.get(identity.producer);
      last.set(identity.producer, { key, batch });
      if (batch.isIdempotent) {
        // The first one may follow records that retention took.
        if (before === undefined && logStartOffset === 0 && identity.sequence !== 0) {
          fail(`${partition.label} ${offset}: ${inWords(key)} is the first of its producer`);
        }
        if (before !== undefined && key !== before.key + 1) {
          fail(`${partition.label} ${offset}: ${inWords(key)} follows ${inWords(before.key)}`);
        }
      } else if (before !== undefined && mustBeInOrder(before.batch, batch) && key < before.key) {
        fail(`${partition.label} ${offset}: ${inWords(key)} stands after ${inWords(before.key)}`);
      }
    }
  },
};

function mustBeInOrder(a: SentBatch, b: SentBatch): boolean {
  return a.attempts === 1 && b.attempts === 1 && a.connection === b.connection;
}

function batchesBySequence(partition: PartitionHistory): Map<number, SentBatch> {
  const batchOf = new Map<number, SentBatch>();
  for (const batch of partition.sent.values()) {
    for (let i = 0; i < batch.recordCount; i++) {
      batchOf.set(batch.producer * 0x100000000 + batch.firstSequence + i, batch);
    }
  }
  return batchOf;
}
