// Which segments are cleaned, and which together.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { groupSegments, isEarlyRollDue, planCleaning } from "../../../src/core/log/cleaner_plan.ts";
import type { PartitionLog } from "../../../src/core/log/partition_log.ts";
import { CompactedModel, compacted, logOf, overwrite } from "../../support/compacted_log.ts";
import { LogRig } from "../../support/log_rig.ts";

test("a log with a hole is not cleaned, and no segment of it ended early: a state of it would pass over what is missing", async () => {
  const rig = await LogRig.open(storageMemory(), compacted({ "internal.segment.bytes": "900000" }));
  const log = logOf(rig);
  await overwrite(rig, new CompactedModel(), 1000, 16);
  expect(log.segments.length).toBe(2);
  const { wallMs } = rig.test;
  rig.logs.topicNamed("t")!.context.settings = {
    ...log.topic.settings,
    maxCompactionLagMs: 10,
  };
  expect(isEarlyRollDue(log, wallMs + 100)).toBe(true);
  expect(planCleaning(log, wallMs)?.isDue).toBe(true);
  log.holes = [{ start: 5, end: 6 }];
  expect(isEarlyRollDue(log, wallMs + 100)).toBe(false);
  expect(planCleaning(log, wallMs)).toBe(null);
  // What lies before the log's start is missed by nobody.
  log.logStartOffset = 6;
  expect(isEarlyRollDue(log, wallMs + 100)).toBe(true);
  expect(planCleaning(log, wallMs)?.isDue).toBe(true);
  log.logStartOffset = 0;
  log.holes = null;
  await rig.close();
});

test("segments become one as long as their bytes and the distance of their offsets fit into one", () => {
  const grouped = (segments: readonly { baseOffset: number; sizeBytes: number }[], end: number) => {
    const log = {
      topic: { settings: { segmentBytes: 100 } },
      segments,
      segmentEnd: (i: number) => segments[i + 1]?.baseOffset ?? end,
    } as unknown as PartitionLog;
    return groupSegments(log, end).map((group) => group.map(({ baseOffset }) => baseOffset));
  };
  const of = (...baseOffsets: number[]) =>
    baseOffsets.map((baseOffset) => ({ baseOffset, sizeBytes: 40 }));
  expect(grouped(of(0, 10, 20, 30, 40), 50)).toEqual([
    [0, 10],
    [20, 30],
  ]);
  const max = 0x7fff_ffff;
  // The last offset is one before the next segment's first.
  expect(grouped(of(5, 10, max + 6, max + 9), max + 20)).toEqual([[5, 10], [max + 6]]);
  expect(grouped(of(5, 10, max + 7, max + 9), max + 20)).toEqual([[5], [10, max + 7]]);
});
