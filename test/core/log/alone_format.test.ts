// A broker that is alone writes what a Millrace from before replication reads, and does nothing for followers.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { FORMAT_REPLICATED } from "../../../src/core/log/journal_format.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";

const T = topic("t", 1, { "internal.segment.bytes": "2048" });

/** A life with settlings, deleted records and starts; which formats the journal's files have, and what lies in the store. */
async function live(replicates: boolean) {
  const plugin = storageMemory();
  const options = {
    topics: [T],
    journalFileBytes: 2048,
    journalBytesMax: 0,
    grownBytes: 600,
    ...(replicates ? { replicates: () => true } : {}),
  };
  const formats = new Set<number>();
  const batchesKept: number[] = [];
  for (let start = 0; start < 3; start++) {
    const rig = await LogRig.open(plugin, options);
    const log = rig.logs.log(T.id, 0)!;
    if (replicates) {
      log.role = {
        leaderEpoch: start,
        isLeader: true,
        onSynced: (synced) => synced.advanceHighWatermark(synced.syncedEnd),
      };
      log.beginEpoch(start);
    }
    for (let i = 0; i < 12; i++) {
      const from = { producerId: 3, producerEpoch: 0, baseSequence: start * 12 + i };
      const outcome = await rig.append(batchOf([`${i} ${"x".repeat(150)}`], from));
      expect(outcome.ok).toBe(true);
    }
    await rig.logs.maintain(true);
    expect((await rig.logs.deleteRecords(T.id, 0, start * 12 + 5)).ok).toBe(true);
    for (const { formatVersion } of rig.logs.journal.files.values()) formats.add(formatVersion);
    batchesKept.push(log.producers!.get(3)!.batches.length);
    await rig.close();
  }
  return { formats: [...formats], batchesKept };
}

test("alone there are no entries of replication, and five batches a producer", async () => {
  const { formats, batchesKept } = await live(false);
  expect(Math.max(...formats)).toBeLessThan(FORMAT_REPLICATED);
  expect(Math.max(...batchesKept)).toBe(5);
});

test("one of several has both", async () => {
  const { formats, batchesKept } = await live(true);
  expect(formats).toContain(FORMAT_REPLICATED);
  expect(Math.max(...batchesKept)).toBeGreaterThan(5);
});
