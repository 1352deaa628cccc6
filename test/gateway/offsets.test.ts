// Start positions: words, offsets and times.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { resolveOffsets, type StartPosition } from "../../src/gateway/offsets.ts";
import { appendRecords } from "../../src/gateway/records.ts";
import { type MemoryBroker, memoryBroker } from "../support/memory_broker.ts";

let rig: MemoryBroker;
beforeAll(async () => {
  rig = await memoryBroker();
  await rig.topic("t", 2);
  const records = [100, 200, 300].map((timestampMs) => ({
    partition: 1,
    key: null,
    value: null,
    timestampMs,
  }));
  await appendRecords(rig.broker, rig.runtime, rig.caller, { topic: "t", records });
});
afterAll(() => rig.stop());

async function at(...starts: StartPosition[]): Promise<unknown[]> {
  const asked = starts.map((start) => ({ partition: 1, at: start }));
  const outcomes = await resolveOffsets(rig.broker, rig.caller, "t", asked);
  return outcomes.map((each) => (each.ok ? each.value.offset : each.error.code));
}

describe("resolveOffsets()", () => {
  test("finds each kind of start, in the order asked", async () => {
    const starts: StartPosition[] = [
      { offset: 77 },
      "latest",
      { timestampMs: 150 },
      "earliest",
      { timestampMs: 301 },
      { timestampMs: 0 },
    ];
    expect(await at(...starts)).toEqual([77, 3, 1, 0, 3, 0]);
    expect(await at({ offset: 5 })).toEqual([5]);
    expect(await at()).toEqual([]);
  });

  test("refuses offsets that cannot be, and partitions that are not there", async () => {
    expect(await at({ offset: -1 }, { offset: 1.5 }, "earliest")).toEqual([
      "offset_out_of_range",
      "offset_out_of_range",
      0,
    ]);
    const outcomes = await resolveOffsets(rig.broker, rig.caller, "t", [
      { partition: 9, at: "latest" },
      { partition: 0, at: { timestampMs: 1 } },
    ]);
    expect(outcomes).toMatchObject([
      { ok: false, error: { code: "unknown_topic_or_partition" } },
      { ok: true, value: { partition: 0, offset: 0, timestampMs: -1 } },
    ]);
  });

  test("tells the time of the record that a time found", async () => {
    const [found] = await resolveOffsets(rig.broker, rig.caller, "t", [
      { partition: 1, at: { timestampMs: 150 } },
    ]);
    expect(found).toMatchObject({ value: { offset: 1, timestampMs: 200 } });
  });
});
