// What a cleaned segment says of its times: look-ups, retention and lags go by them, and headers without records have none.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { CompactedModel, compacted, logOf, write } from "../../support/compacted_log.ts";
import { caller, LogRig } from "../../support/log_rig.ts";

const DAY_MS = 86_400_000;

test("the newest time is that of a record that is left, not of a header without any", async () => {
  const rig = await LogRig.open(storageMemory(), compacted());
  const model = new CompactedModel();
  const timestampMs = rig.test.wallMs;
  const batch = { producerId: 4, producerEpoch: 0 };
  await write(rig, model, [{ key: "b", value: "stays" }], { timestampMs: timestampMs - 10 });
  // The producer's last batch: its header stays.
  await write(rig, model, [{ key: "a", value: "newest" }], {
    ...batch,
    baseSequence: 0,
    timestampMs: timestampMs + 500,
  });
  await write(rig, model, [{ key: "a", value: "last" }], { timestampMs });
  logOf(rig).roll(rig.test.wallMs);
  expect(await rig.logs.clean()).toBe(1);
  const [segment] = logOf(rig).segments;
  expect([segment!.maxTimestampMs, segment!.maxTimestampOffset]).toEqual([timestampMs, 2]);
  const query = async (at: "max_timestamp" | { timestampMs: number }) => {
    const isolation = "read_uncommitted" as const;
    const [found] = await rig.api.offsetFor(caller, [
      { topic: "t", partition: 0, at, isolation, leaderEpoch: -1 },
    ]);
    return found!.ok ? found!.value.offset : found!.error.code;
  };
  expect(await query("max_timestamp")).toBe(2);
  expect(await query({ timestampMs: timestampMs - 20 })).toBe(0);
  expect(await query({ timestampMs: timestampMs })).toBe(2);
  expect(await query({ timestampMs: timestampMs + 1 })).toBe(-1);
  await rig.close();
});

test("a segment without records is kept as long as the last of those that it was made of", async () => {
  const options = compacted({
    "cleanup.policy": "compact,delete",
    "retention.ms": `${10 * DAY_MS}`,
    "max.compaction.lag.ms": `${1000 * DAY_MS}`,
  });
  const rig = await LogRig.open(storageMemory(), options);
  const model = new CompactedModel();
  for (let day = 0; day < 3; day++) {
    const producer = { producerId: day, producerEpoch: 0, baseSequence: 0 };
    await write(rig, model, [{ key: "a", value: `${day}` }], producer);
    rig.test.wallMs += DAY_MS;
    if (day < 2) logOf(rig).roll(rig.test.wallMs);
  }
  logOf(rig).roll(rig.test.wallMs);
  rig.test.wallMs += DAY_MS;
  // The last one does not fit with the others.
  const big = [{ key: "big", value: "x".repeat(3900) }];
  await write(rig, model, [...big, { key: "a", value: "end" }]);
  logOf(rig).roll(rig.test.wallMs);
  expect(await rig.logs.clean()).toBe(1);
  const [first] = logOf(rig).segments;
  expect([first!.generation, first!.maxTimestampMs]).toEqual([1, -1]);
  const began = rig.test.wallMs - 4 * DAY_MS;
  // The third was begun two days after the first.
  expect(first!.createdMs).toBe(began + 2 * DAY_MS);
  rig.test.wallMs = began + 2 * DAY_MS + 10 * DAY_MS;
  await rig.logs.maintain(true);
  expect(logOf(rig).logStartOffset).toBe(0);
  rig.test.wallMs += 1;
  await rig.logs.maintain(true);
  expect(logOf(rig).logStartOffset).toBe(3);
  await rig.close();
});

test("max.compaction.lag.ms goes on from the first record where a cleaning ended in the middle", async () => {
  const rig = await LogRig.open(storageMemory(), {
    ...compacted({
      "internal.segment.bytes": "100000",
      "min.cleanable.dirty.ratio": "0.5",
      "max.compaction.lag.ms": `${DAY_MS}`,
    }),
    // For some 15 keys at a time.
    cleaner: { keysBytesMax: 3000 },
  });
  const model = new CompactedModel();
  // Older than their arrival.
  const timestampMs = rig.test.wallMs - DAY_MS / 4;
  for (let i = 0; i < 60; i++) {
    await write(rig, model, [{ key: `${i}`, value: "x" }], { timestampMs });
  }
  rig.test.wallMs += DAY_MS / 2;
  logOf(rig).roll(rig.test.wallMs);
  let cleanings = 0;
  while ((await rig.logs.clean()) === 1) cleanings++;
  // Half of it is clean: more is not due before its time.
  expect(cleanings).toBeGreaterThan(0);
  const { cleanedEnd } = logOf(rig);
  expect(cleanedEnd).toBeLessThan(60);
  rig.test.wallMs = timestampMs + DAY_MS;
  expect(await rig.logs.clean()).toBe(0);
  rig.test.wallMs += 1;
  while ((await rig.logs.clean()) === 1) cleanings++;
  expect(logOf(rig).cleanedEnd).toBe(60);
  await rig.close();
});
