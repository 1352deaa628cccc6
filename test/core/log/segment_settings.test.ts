// The settings of segments that show in nothing but where they end and how their indexes look.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SegmentIndex } from "../../../src/core/log/segment_index.ts";
import { isRollDue } from "../../../src/core/log/segment_roll.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";

const settingsOf = (configs: Readonly<Record<string, string>>) =>
  new Settings().topicSettings(new Map(Object.entries(configs)));

/** Milliseconds after which a segment that begins at `baseOffset` ends, to the nearest hundred. */
function endsAfterMs(configs: Readonly<Record<string, string>>, baseOffset: number): number {
  const settings = settingsOf(configs);
  const segment = {
    baseOffset,
    sizeBytes: 100,
    settledBytes: 0,
    firstTimestampMs: 0,
    maxTimestampMs: 0,
    maxTimestampOffset: baseOffset,
    createdMs: 0,
    generation: 0,
    abortedCount: 0,
  };
  for (let ms = 0; ; ms += 100) {
    if (isRollDue(segment, settings, 0, 10, baseOffset + 2, ms, ms)) return ms;
  }
}

describe("settings of segments", () => {
  test("segment.ms ends one by the time of its records, segment.jitter.ms up to so much sooner", () => {
    const offsets = Array.from({ length: 40 }, (_, i) => i * 1000);
    const plain = offsets.map((offset) => endsAfterMs({ "segment.ms": "10000" }, offset));
    expect(new Set(plain)).toEqual(new Set([10_100]));
    const jittered = offsets.map((offset) =>
      endsAfterMs({ "segment.ms": "10000", "segment.jitter.ms": "4000" }, offset),
    );
    expect(Math.min(...jittered)).toBeGreaterThan(6000 - 100);
    expect(Math.max(...jittered)).toBeLessThanOrEqual(10_100);
    // They do not end together.
    expect(new Set(jittered).size).toBeGreaterThan(15);
  });

  test("max.compaction.lag.ms ends the segment of a compacted topic in time for it", () => {
    const configs = { "segment.ms": "10000", "max.compaction.lag.ms": "3000" };
    expect(endsAfterMs(configs, 0)).toBe(10_100);
    expect(endsAfterMs({ ...configs, "cleanup.policy": "compact" }, 0)).toBe(3100);
  });

  test("index.interval.bytes: so far apart are entries of the index", async () => {
    const sizeWith = async (intervalBytes: string): Promise<number> => {
      const topics = [topic("t", 1, { "index.interval.bytes": intervalBytes })];
      const rig = await LogRig.open(storageMemory(), {
        topics,
        journalFileBytes: 32 * 1024,
        journalBytesMax: 0,
        grownBytes: 1,
      });
      for (let i = 0; i < 400; i++) await rig.append(batchOf([`${i}`.padEnd(200, "v")]));
      await rig.logs.maintain(false);
      const log = rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;
      const [segment] = log.segments;
      expect(segment!.settledBytes).toBeGreaterThan(50_000);
      const index = await rig.logs.segmentFiles.use(log, segment!, false, (file) =>
        rig.logs.segmentFiles.indexIn(log, segment!, file),
      );
      expect(index).toBeInstanceOf(SegmentIndex);
      await rig.close();
      return index.sizeBytes;
    };
    const [fine, coarse] = [await sizeWith("500"), await sizeWith("8000")];
    expect(fine).toBeGreaterThan(4 * coarse);
  });
});
