// Segments that the cleaner has ended: no entry says so, and what is dropped up to there has to stay dropped.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";

const topics = [topic("t", 1, { "cleanup.policy": "compact,delete", "retention.ms": "-1" })];
const options = { topics, journalFileBytes: 32 * 1024, journalBytesMax: 0, grownBytes: 1000 };

// Random cleaning, seed 52062: the next start took the two segments for one, and missed its file.
test("records deleted up to the end of one are no damage after a kill", async () => {
  const memory = storageMemory();
  const rig = await LogRig.open(memory, options);
  for (let i = 0; i < 60; i++) await rig.append(batchOf([`${i}`.padEnd(1000, "x")]));
  await rig.logs.maintain(false);
  const log = rig.logs.log(topics[0]!.id, 0)!;
  expect(log.segments[0]!.settledBytes).toBeGreaterThan(0);
  log.roll(rig.test.wallMs);
  await rig.append(batchOf(["60".padEnd(1000, "x")]));
  expect((await rig.logs.deleteRecords(topics[0]!.id, 0, 60)).ok).toBe(true);
  expect(log.segments.map(({ baseOffset }) => baseOffset)).toEqual([60]);
  for (let i = 61; i < 70; i++) await rig.append(batchOf([`${i}`.padEnd(1000, "x")]));
  memory.loseUnsynced();

  const again = await LogRig.open(memory, options);
  expect(again.test.events("segment_cut_short")).toEqual([]);
  const offsets = async () => (await again.readAll(60)).map(({ offset }) => offset);
  const left = Array.from({ length: 10 }, (_, i) => 60 + i);
  expect(await offsets()).toEqual(left);
  // And once it lies in a segment file.
  for (let i = 70; i < 130; i++) await again.append(batchOf([`${i}`.padEnd(1000, "x")]));
  await again.logs.maintain(false);
  expect(again.logs.log(topics[0]!.id, 0)!.settledEnd).toBeGreaterThan(70);
  expect((await offsets()).slice(0, 10)).toEqual(left);
  expect(again.test.events("batch_corrupt")).toEqual([]);
  await again.close();
});
