// What the cleaner asks for before it believes that nothing more is there, and how often it looks at the logs there are.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { Cleaner } from "../../../src/core/log/cleaner.ts";
import { EMPTY_READ, type LogReader } from "../../../src/core/log/log_reader.ts";
import type { PartitionLog } from "../../../src/core/log/partition_log.ts";
import { CLEANER_DEFAULTS } from "../../../src/core/partition/lazy_cleaner.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { CompactedModel, keyedBatch, readRows } from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig, topic } from "../../support/log_rig.ts";

const CONFIGS = {
  "cleanup.policy": "compact",
  "internal.segment.bytes": "4000",
  "min.cleanable.dirty.ratio": "0.01",
};

/** A cleaner of the rig's logs of its own, that reads as `read` says. */
function cleanerOf(
  rig: LogRig,
  read: LogReader["read"],
  logs: () => Iterable<PartitionLog>,
): Cleaner {
  const { reader, journal, segmentFiles, aborted } = rig.logs;
  const { runtime } = rig.test;
  return new Cleaner({
    journal,
    reader: { read, release: reader.release.bind(reader) } as LogReader,
    segmentFiles,
    aborted,
    runtime,
    decompressedBytesMax: () => 1 << 20,
    settings: () => CLEANER_DEFAULTS,
    usableBytes: async () => -1,
    logs,
  });
}

const logOf = (rig: LogRig, partition = 0) => rig.logs.logIn(rig.logs.topicNamed("t")!, partition)!;

async function overwrite(rig: LogRig, model: CompactedModel, partition = 0): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const entries = [{ key: `${i % 30}`, value: `${i}`.padEnd(100, ".") }];
    if (partition === 0) model.write(entries);
    const outcome = await rig.append(keyedBatch(entries), "t", partition);
    if (!outcome.ok) throw new Error(outcome.error.code);
  }
}

describe("Cleaner", () => {
  test("a read without anything, whichever, removes nothing that is there", async () => {
    let emptied = 0;
    for (let at = 0; ; at++) {
      const rig = await LogRig.open(storageMemory(), { topics: [topic("t", 1, CONFIGS)] });
      const model = new CompactedModel();
      await overwrite(rig, model);
      let reads = 0;
      const { reader } = rig.logs;
      const cleaner = cleanerOf(
        rig,
        (...asked) => (reads++ === at ? EMPTY_READ : reader.read(...asked)),
        () => [logOf(rig)],
      );
      const cleaned = await cleaner.run();
      expect([at, model.wrongIn(await readRows(rig))]).toEqual([at, null]);
      const isOver = reads <= at;
      if (!isOver) {
        emptied++;
        expect([at, cleaned]).toEqual([at, 0]);
        expect(rig.test.events("log_not_cleanable").length).toBe(1);
        expect(logOf(rig).cleanedEnd).toBe(0);
      } else expect(cleaned).toBe(1);
      await rig.close();
      if (isOver) break;
    }
    // Of the keys, and of each group that is rewritten.
    expect(emptied).toBeGreaterThan(10);
  });

  test("leaves the end to be reached where the last records go, also after a restart", async () => {
    const memory = storageMemory();
    const plain = await LogRig.open(memory, { topics: [topic("t")] });
    const model = new CompactedModel();
    await overwrite(plain, model);
    for (let i = 0; i < 5; i++) await plain.append(keyedBatch([{ key: null, value: "no key" }]));
    await plain.close();

    const rig = await LogRig.open(memory, { topics: [topic("t", 1, CONFIGS)] });
    logOf(rig).roll(rig.test.wallMs);
    expect(await rig.logs.clean()).toBe(1);
    // It says so where a fetch finds nothing before the high watermark.
    const rows = await readRows(rig);
    expect(rows.map(({ key }) => key)).not.toContain(null);
    expect(model.wrongIn(rows)).toBe(null);
    await rig.close();

    const again = await LogRig.open(memory, { topics: [topic("t", 1, CONFIGS)] });
    expect(logOf(again).logEndOffset).toBe(305);
    for (const from of [300, 303, 304]) expect(await readRows(again, { from })).toEqual([]);
    await again.close();
  });

  test("waits while the disk has no room for two copies of what it writes at a time", async () => {
    let usable = 0;
    let looks = 0;
    const usableBytes = async () => {
      looks++;
      return usable;
    };
    const rig = await LogRig.open(storageMemory(), {
      topics: [topic("t", 1, CONFIGS)],
      usableBytes,
    });
    const model = new CompactedModel();
    await overwrite(rig, model);
    const before = await rig.storage.segments!.list("");
    const sizes = logOf(rig)
      .segments.slice(0, -1)
      .map(({ sizeBytes }) => sizeBytes);
    expect(sizes.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(40_000);
    // Before anything is read: each segment, as each becomes one, and the largest has to have room.
    usable = 2 * Math.max(...sizes) - 1;
    expect(await rig.logs.clean()).toBe(0);
    expect(looks).toBe(1);
    expect(await rig.storage.segments!.list("")).toEqual(before);
    expect(rig.test.events("log_cleaning_failed").map(({ level }) => level)).toEqual(["warn"]);
    usable = 2 * Math.max(...sizes);
    expect(await rig.logs.clean()).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("goes on behind a cleaning that was cut short, also where less may be cleaned by now", async () => {
    const lag = { ...CONFIGS, "min.compaction.lag.ms": "30000" };
    let isFull = false;
    const plugin = hookedStorage(storageMemory(), (call, name) => {
      // The first group comes to its end, and the next does not.
      const isSecond = name.endsWith(".1.log") && !name.endsWith("/00000000000000000000.1.log");
      return isFull && call === "append" && isSecond
        ? Promise.reject(new Error("no space left"))
        : undefined;
    });
    const rig = await LogRig.open(plugin, { topics: [topic("t", 1, CONFIGS)] });
    const model = new CompactedModel();
    const put = async (key: string) => {
      const entries = [{ key, value: key.padEnd(100, ".") }];
      const timestampMs = rig.test.wallMs;
      model.write(entries, timestampMs);
      await rig.append(keyedBatch(entries, { timestampMs }));
    };
    const isFirst = () => logOf(rig).segments.length < 2;
    // One segment, whose last record is written again later.
    for (let i = 0; isFirst(); i++) {
      await put(`${i % 2 === 0 ? "old " : ""}${i}`);
      if (logOf(rig).segments[0]!.sizeBytes > 3500 && i % 2 === 1) {
        logOf(rig).roll(rig.test.wallMs);
        rig.test.wallMs += 50_000;
      }
    }
    for (let round = 0; round < 5; round++) for (let i = 1; i < 40; i += 2) await put(`${i}`);
    isFull = true;
    expect(await rig.logs.clean()).toBe(0);
    const [first, second] = logOf(rig).segments;
    expect([first!.generation, second!.generation, logOf(rig).cleanedEnd]).toEqual([1, 0, 0]);
    isFull = false;
    const later = topic("t", 1, lag);
    rig.logs.topicChanged(later, new Settings().topicSettings(later.configs));
    expect(await rig.logs.clean()).toBe(1);
    expect(rig.test.events("log_not_cleanable")).toEqual([]);
    expect(logOf(rig).cleanedEnd).toBe(second!.baseOffset);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    rig.test.wallMs += 100_000;
    expect(await rig.logs.clean()).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  // "Not all that lies from offset 15 to 23 was read": an error, and the log was left for ten minutes and more.
  test("goes on behind one that was cut short where the dirty part begins in the middle of a segment", async () => {
    let isFull = false;
    const plugin = hookedStorage(storageMemory(), (call, name) => {
      const isSecond = name.endsWith(".1.log") && !name.endsWith("/00000000000000000000.1.log");
      return isFull && call === "append" && isSecond
        ? Promise.reject(new Error("no space left"))
        : undefined;
    });
    // For some 15 keys at a time.
    const cleaner = { keysBytesMax: 3000 };
    const rig = await LogRig.open(plugin, { topics: [topic("t", 1, CONFIGS)], cleaner });
    const model = new CompactedModel();
    const put = async (...keys: string[]) => {
      for (const key of keys) {
        const entries = [{ key, value: key.padEnd(100, ".") }];
        const timestampMs = rig.test.wallMs;
        model.write(entries, timestampMs);
        await rig.append(keyedBatch(entries, { timestampMs }));
      }
    };
    const names = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${prefix}${i}`);
    await put(...names("", 20));
    logOf(rig).roll(rig.test.wallMs);
    rig.test.wallMs += 50_000;
    await put("end");
    expect(await rig.logs.clean()).toBe(1);
    const { cleanedEnd } = logOf(rig);
    expect(cleanedEnd).toBeGreaterThan(5);
    expect(cleanedEnd).toBeLessThan(17);
    // The last of the first segment goes, and the cleaning is cut short.
    await put(...names("", 20).slice(17), ...names("y", 40));
    cleaner.keysBytesMax = 1 << 20;
    isFull = true;
    expect(await rig.logs.clean()).toBe(0);
    const [first, second] = logOf(rig).segments;
    expect([first!.generation, second!.generation]).toEqual([2, 0]);
    expect(logOf(rig).cleanedEnd).toBe(cleanedEnd);
    isFull = false;
    const later = topic("t", 1, { ...CONFIGS, "min.compaction.lag.ms": "30000" });
    rig.logs.topicChanged(later, new Settings().topicSettings(later.configs));
    // Reads that give nothing prove nothing: that of the keys, that of the count, or from the one or the other on.
    const { reader } = rig.logs;
    for (const [from, to] of [
      [0, 1],
      [2, 3],
      [0, 9],
      [2, 9],
    ] as const) {
      let reads = 0;
      const counted = (...asked: Parameters<LogReader["read"]>) => {
        const at = reads++;
        return at >= from && at < to ? EMPTY_READ : reader.read(...asked);
      };
      const doubtful = cleanerOf(rig, counted, () => [logOf(rig)]);
      expect([from, to, await doubtful.run()]).toEqual([from, to, 0]);
      expect(logOf(rig).cleanedEnd).toBe(cleanedEnd);
    }
    rig.test.lines.length = 0;
    expect(await rig.logs.clean()).toBe(1);
    expect(rig.test.events("log_not_cleanable")).toEqual([]);
    expect(logOf(rig).cleanedEnd).toBe(second!.baseOffset);
    rig.test.wallMs += 100_000;
    expect(await rig.logs.clean()).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("looks through all logs once, however many are dirty", async () => {
    const partitions = 20;
    const rig = await LogRig.open(storageMemory(), { topics: [topic("t", partitions, CONFIGS)] });
    const model = new CompactedModel();
    const logs: PartitionLog[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      await overwrite(rig, model, partition);
      logs.push(logOf(rig, partition));
    }
    let looks = 0;
    const read = rig.logs.reader.read.bind(rig.logs.reader);
    const cleaner = cleanerOf(rig, read, () => {
      looks++;
      return logs;
    });
    expect(await cleaner.run()).toBe(partitions);
    expect(looks).toBe(1);
    expect(await cleaner.run()).toBe(0);
    expect(looks).toBe(2);
    await rig.close();
  });
});
