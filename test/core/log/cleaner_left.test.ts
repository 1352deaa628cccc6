// Cleanings that end before their end: because the topic is not compacted any more, or for what is in the log; and that the
// latter are tried again when that may help.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { Cleaner } from "../../../src/core/log/cleaner.ts";
import { EMPTY_READ, type LogReader } from "../../../src/core/log/log_reader.ts";
import { CLEANER_DEFAULTS } from "../../../src/core/partition/lazy_cleaner.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import {
  CompactedModel,
  compacted,
  filesIn,
  logOf,
  overwrite,
  readRows,
} from "../../support/compacted_log.ts";
import { LogRig, topic } from "../../support/log_rig.ts";

const MINUTE_MS = 60_000;

/** What a test turns while the cleaner is at it. */
interface Means {
  keysBytesMax: number;
  read: LogReader["read"];
}

function cleanerOf(rig: LogRig, means: Partial<Means> = {}): { cleaner: Cleaner; means: Means } {
  const { reader, journal, segmentFiles, aborted } = rig.logs;
  const { runtime } = rig.test;
  const turned: Means = {
    keysBytesMax: CLEANER_DEFAULTS.keysBytesMax,
    read: reader.read.bind(reader),
    ...means,
  };
  const cleaner = new Cleaner({
    journal,
    reader: {
      read: (...asked: Parameters<LogReader["read"]>) => turned.read(...asked),
      release: reader.release.bind(reader),
    } as LogReader,
    segmentFiles,
    aborted,
    runtime,
    decompressedBytesMax: () => 1 << 20,
    settings: () => ({ ...CLEANER_DEFAULTS, keysBytesMax: turned.keysBytesMax }),
    usableBytes: async () => -1,
    logs: () => [logOf(rig)],
  });
  return { cleaner, means: turned };
}

/** As when somebody alters the topic. */
function alter(rig: LogRig, configs: Readonly<Record<string, string>>): void {
  const { configs: all } = compacted(configs).topics![0]!;
  const image = topic("t", 1, Object.fromEntries(all));
  rig.logs.topicChanged(image, new Settings(new Map()).topicSettings(image.configs));
}

const complaints = (rig: LogRig) =>
  rig.test.lines.filter(({ level }) => level === "warn" || level === "error");

describe("a cleaning whose topic is not compacted any more", () => {
  test("ends at the next slice, wherever it is, and leaves the log as it was or whole", async () => {
    let aborted = 0;
    for (let at = 0; ; at++) {
      const rig = await LogRig.open(storageMemory(), compacted());
      const model = new CompactedModel();
      await overwrite(rig, model, 30, 40);
      let reads = 0;
      const { reader } = rig.logs;
      const { cleaner, means } = cleanerOf(rig, {
        read: (...asked) => {
          if (reads++ === at) alter(rig, { "cleanup.policy": "delete" });
          return reader.read(...asked);
        },
      });
      const cleaned = await cleaner.run();
      const wasSwitched = reads > at;
      expect([at, cleaned]).toEqual([at, wasSwitched ? 0 : 1]);
      if (wasSwitched) {
        aborted++;
        expect([at, reads]).toEqual([at, at + 1]);
        expect(logOf(rig).cleanedEnd).toBe(0);
        expect(await cleaner.run()).toBe(0);
      }
      expect([at, model.wrongIn(await readRows(rig))]).toEqual([at, null]);
      const inForce = logOf(rig).segments.filter(({ settledBytes }) => settledBytes > 0).length;
      expect((await filesIn(rig)).length).toBe(inForce);
      if (wasSwitched && at % 5 === 0) {
        means.read = reader.read.bind(reader);
        alter(rig, {});
        expect([at, await cleaner.run()]).toEqual([at, 1]);
        expect([at, model.wrongIn(await readRows(rig))]).toEqual([at, null]);
      }
      expect(complaints(rig)).toEqual([]);
      await rig.close();
      if (!wasSwitched) break;
    }
    // Of the keys, and of each group that is rewritten.
    expect(aborted).toBeGreaterThan(10);
  });

  test("goes on where deletion is added to compaction", async () => {
    const rig = await LogRig.open(storageMemory(), compacted());
    const model = new CompactedModel();
    await overwrite(rig, model, 30, 40);
    const { reader } = rig.logs;
    const { cleaner } = cleanerOf(rig, {
      read: (...asked) => {
        alter(rig, { "cleanup.policy": "compact,delete" });
        return reader.read(...asked);
      },
    });
    expect(await cleaner.run()).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });
});

describe("a cleaning that others end", () => {
  for (const [what, end] of [
    ["stopped", (_rig: LogRig, cleaner: Cleaner) => cleaner.stop()],
    [
      "left without what it was about to read",
      (rig: LogRig) => {
        const log = logOf(rig);
        log.moveStart(log.highWatermark);
      },
    ],
  ] as const) {
    test(`is over with the next read, and says nothing, where it is ${what}`, async () => {
      for (let at = 0; ; at++) {
        const rig = await LogRig.open(storageMemory(), compacted());
        const model = new CompactedModel();
        await overwrite(rig, model, 30, 15);
        let reads = 0;
        const { reader } = rig.logs;
        const holder: { cleaner: Cleaner | null } = { cleaner: null };
        holder.cleaner = cleanerOf(rig, {
          read: (...asked) => {
            if (reads++ === at) end(rig, holder.cleaner!);
            return reader.read(...asked);
          },
        }).cleaner;
        const cleaned = await holder.cleaner.run();
        const isOver = reads <= at;
        expect([at, cleaned]).toEqual([at, isOver ? 1 : 0]);
        if (!isOver) expect([at, reads]).toEqual([at, at + 1]);
        expect(complaints(rig)).toEqual([]);
        const { logStartOffset } = logOf(rig);
        if (logStartOffset === 0) expect(model.wrongIn(await readRows(rig))).toBe(null);
        await rig.close();
        if (isOver) break;
      }
    });
  }
});

describe("a log that was left for what is in it", () => {
  async function tooManyKeys() {
    const rig = await LogRig.open(storageMemory(), compacted({ "internal.segment.bytes": "400" }));
    const model = new CompactedModel();
    await overwrite(rig, model, 300, 1);
    let reads = 0;
    const { reader } = rig.logs;
    const { cleaner, means } = cleanerOf(rig, {
      keysBytesMax: 1,
      read: (...asked) => {
        reads++;
        return reader.read(...asked);
      },
    });
    /** Cleaned, and whether it was tried at all. */
    const run = async () => {
      const before = reads;
      const cleaned = await cleaner.run();
      return [cleaned, reads > before];
    };
    const said = () => rig.test.events("log_not_cleanable").length;
    expect(await run()).toEqual([0, true]);
    expect(await run()).toEqual([0, false]);
    expect(said()).toBe(1);
    return { rig, model, means, run, said };
  }

  test("is tried again once there is more room for keys", async () => {
    const { rig, model, means, run, said } = await tooManyKeys();
    means.keysBytesMax = 2;
    expect(await run()).toEqual([0, true]);
    means.keysBytesMax = CLEANER_DEFAULTS.keysBytesMax;
    expect(await run()).toEqual([1, true]);
    expect(said()).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("is tried again when its topic is altered, or its start moves", async () => {
    const { rig, run, said } = await tooManyKeys();
    alter(rig, { "internal.segment.bytes": "400", "delete.retention.ms": "5" });
    expect(await run()).toEqual([0, true]);
    expect(await run()).toEqual([0, false]);
    logOf(rig).moveStart(20);
    expect(await run()).toEqual([0, true]);
    expect(await run()).toEqual([0, false]);
    expect(said()).toBe(1);
    await rig.close();
  });

  test("is tried again after a pause that doubles up to a day, and its cause is said once", async () => {
    const { rig, run, said } = await tooManyKeys();
    for (const minutes of [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]) {
      rig.test.monotonicMs += minutes * MINUTE_MS - 1;
      expect([minutes, await run()]).toEqual([minutes, [0, false]]);
      rig.test.monotonicMs += 1;
      expect([minutes, await run()]).toEqual([minutes, [0, true]]);
    }
    expect(said()).toBe(1);
    await rig.close();
  });

  test("has another cause said, and after a cleaning the same one anew", async () => {
    const { rig, model, means, run, said } = await tooManyKeys();
    const read = means.read;
    means.keysBytesMax = CLEANER_DEFAULTS.keysBytesMax;
    means.read = () => EMPTY_READ;
    await run();
    expect(said()).toBe(2);
    rig.test.monotonicMs += 20 * MINUTE_MS;
    means.read = read;
    expect(await run()).toEqual([1, true]);
    means.keysBytesMax = 1;
    await overwrite(rig, model, 300, 1);
    expect(await run()).toEqual([0, true]);
    expect(said()).toBe(3);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });
});
