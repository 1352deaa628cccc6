// The cleaner over a whole log: what is left, when it comes, what others see of it meanwhile, and that readers, look-ups,
// retention and restarts go on over the gaps.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import {
  CompactedModel,
  compacted,
  doublesIn,
  filesIn,
  keyedBatch,
  logOf,
  overwrite,
  readRows,
  write,
  wrongBehind,
} from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

describe("Cleaner", () => {
  test("leaves the newest record of each key, offsets as they were, and the disk smaller", async () => {
    const memory = storageMemory();
    const rig = await LogRig.open(memory, compacted());
    const model = new CompactedModel();
    await overwrite(rig, model, 40, 20);
    const before = logOf(rig).sizeBytes;
    expect(await rig.logs.clean()).toBe(1);
    const rows = await readRows(rig);
    expect(model.wrongIn(rows)).toBe(null);
    const log = logOf(rig);
    expect(doublesIn(rows, log.cleanedEnd)).toEqual([]);
    expect(rows.length).toBeLessThan(40 + 80);
    expect(log.sizeBytes).toBeLessThan(before / 5);
    const line = rig.test.events("segments_cleaned")[0]!;
    expect(line.fields).toMatchObject({
      topic: "t",
      partition: 0,
      startOffset: 0,
      endOffset: log.cleanedEnd,
      bytesBefore: before,
      bytesAfter: log.sizeBytes,
    });
    expect(Number(line.fields["recordsAfter"])).toBeLessThanOrEqual(41);
    // Only what is in force is there.
    const inForce = log.segments.filter(({ settledBytes }) => settledBytes > 0).length;
    expect((await filesIn(rig)).length).toBe(inForce);
    expect(await rig.logs.clean()).toBe(0);
    await rig.close();

    const again = await LogRig.open(memory, compacted());
    expect(await readRows(again)).toEqual(rows);
    expect(logOf(again).cleanedEnd).toBe(log.cleanedEnd);
    expect(await again.logs.clean()).toBe(0);
    expect(again.test.lines.filter(({ level }) => level === "error" || level === "warn")).toEqual(
      [],
    );
    await again.close();
  });

  test("answers a fetch at an offset that is gone with the next batch, from every offset", async () => {
    const rig = await LogRig.open(storageMemory(), compacted());
    const model = new CompactedModel();
    await overwrite(rig, model, 25, 12);
    await rig.logs.clean();
    const rows = await readRows(rig);
    for (let offset = 0; offset < model.end; offset++) {
      const response = await rig.fetch(offset, { bytesMax: 1 });
      const outcome = response.partitions[0]!;
      if (!outcome.ok) throw new Error(outcome.error.code);
      const { batches } = batchesIn(outcome.value.batches[0]!);
      response.release();
      expect(batches[0]!.lastOffset).toBeGreaterThanOrEqual(offset);
      // Nothing between the offset asked for and the batch was left out.
      const skipped = rows.filter(
        (row) => row.offset >= offset && row.offset < batches[0]!.baseOffset,
      );
      expect(skipped).toEqual([]);
    }
    await rig.close();
  });

  test("looks up times over gaps", async () => {
    const rig = await LogRig.open(storageMemory(), compacted());
    const model = new CompactedModel();
    for (let i = 0; i < 200; i++) {
      rig.test.wallMs += 1000;
      await write(rig, model, [{ key: `${i % 7}`, value: `${i}`.padEnd(100, ".") }]);
    }
    await rig.logs.clean();
    const rows = await readRows(rig);
    expect(rows.length).toBeLessThan(60);
    const first = model.rows[0]!.timestampMs;
    const find = async (at: number | "max") => {
      const { findOffset } = await import("../../../src/core/log/offset_lookup.ts");
      const open = { compression: rig.test.runtime.compression, sizeBytesMax: 1 << 20 };
      const { highWatermark } = logOf(rig);
      return await findOffset(
        logOf(rig),
        at,
        highWatermark,
        rig.logs.reader,
        rig.logs.segmentFiles,
        open,
      );
    };
    for (let at = first - 500; at < first + 201_000; at += 3500) {
      const expected = rows.find((row) => row.timestampMs >= at);
      const found = await find(at);
      expect(found).toEqual(
        expected === undefined
          ? null
          : { offset: expected.offset, timestampMs: expected.timestampMs },
      );
    }
    const newest = rows.at(-1)!;
    expect(await find("max")).toEqual({ offset: newest.offset, timestampMs: newest.timestampMs });
    await rig.close();
  });

  test("comes when enough is dirty, and not before", async () => {
    const rig = await LogRig.open(
      storageMemory(),
      compacted({ "min.cleanable.dirty.ratio": "0.5" }),
    );
    const model = new CompactedModel();
    await overwrite(rig, model, 200, 1);
    expect(await rig.logs.clean()).toBe(1);
    await overwrite(rig, model, 100, 1);
    expect(await rig.logs.clean()).toBe(0);
    await overwrite(rig, model, 200, 1);
    expect(await rig.logs.clean()).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("leaves alone what is younger than min.compaction.lag.ms, and the last segment", async () => {
    const rig = await LogRig.open(storageMemory(), compacted({ "min.compaction.lag.ms": "10000" }));
    const model = new CompactedModel();
    await overwrite(rig, model, 10, 20);
    rig.test.wallMs += 5_000;
    expect(await rig.logs.clean()).toBe(0);
    const young = model.end;
    await overwrite(rig, model, 10, 20);
    rig.test.wallMs += 5_500;
    expect(await rig.logs.clean()).toBe(1);
    const log = logOf(rig);
    expect(log.cleanedEnd).toBeLessThanOrEqual(young);
    expect(log.cleanedEnd).toBeGreaterThan(young - 60);
    const rows = await readRows(rig);
    expect(rows.filter(({ offset }) => offset >= young).length).toBe(200);
    expect(model.wrongIn(rows)).toBe(null);
    await rig.close();
  });

  test("cleans what is older than max.compaction.lag.ms, however little it is", async () => {
    const options = compacted({
      "min.cleanable.dirty.ratio": "1",
      "max.compaction.lag.ms": "60000",
      "internal.segment.bytes": "1000000",
    });
    const rig = await LogRig.open(storageMemory(), options);
    const model = new CompactedModel();
    await overwrite(rig, model, 10, 3);
    expect(await rig.logs.clean()).toBe(0);
    rig.test.wallMs += 61_000;
    expect(await rig.logs.clean()).toBe(1);
    expect((await readRows(rig)).length).toBe(10);
    await overwrite(rig, model, 10, 1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("ends the last segment early once it is large and dirty", async () => {
    const options = compacted({
      "internal.segment.bytes": "100000000",
      "min.cleanable.dirty.ratio": "0.5",
    });
    const memory = storageMemory();
    const rig = await LogRig.open(memory, { ...options, journalFileBytes: 8 * 1024 * 1024 });
    const model = new CompactedModel();
    for (let i = 0; i < 30; i++) {
      await write(rig, model, [{ key: `${i % 3}`, value: `${i}`.padEnd(40_000, ".") }]);
      if (i < 25) expect(await rig.logs.clean()).toBe(0);
    }
    expect(await rig.logs.clean()).toBe(1);
    expect((await readRows(rig)).map(({ offset }) => offset)).toEqual([27, 28, 29]);
    await write(rig, model, [{ key: "1", value: "after" }]);
    await rig.close();
    const again = await LogRig.open(memory, options);
    expect(model.wrongIn(await readRows(again))).toBe(null);
    await again.close();
  });

  test("drops tombstones after delete.retention.ms, and tells of deletions until then", async () => {
    const rig = await LogRig.open(storageMemory(), compacted({ "delete.retention.ms": "60000" }));
    const model = new CompactedModel();
    await overwrite(rig, model, 20, 2);
    await write(rig, model, [{ key: "key 3", value: null }]);
    await overwrite(rig, model, 3, 60);
    await rig.logs.clean();
    const tombstones = async () =>
      (await readRows(rig)).filter(({ value }) => value === null).length;
    expect(await tombstones()).toBe(1);
    expect((await readRows(rig)).filter(({ key }) => key === "key 3").length).toBe(1);
    rig.test.wallMs += 59_000;
    await overwrite(rig, model, 3, 60);
    expect(await rig.logs.clean()).toBe(1);
    expect(await tombstones()).toBe(1);
    rig.test.wallMs += 2_000;
    await overwrite(rig, model, 3, 60);
    expect(await rig.logs.clean()).toBe(1);
    expect(await tombstones()).toBe(0);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("cleans a part at a time where not all keys fit", async () => {
    const cleaner = { keysBytesMax: 60_000 };
    const rig = await LogRig.open(storageMemory(), { ...compacted(), cleaner });
    const model = new CompactedModel();
    await overwrite(rig, model, 2000, 3);
    const ends: number[] = [];
    while ((await rig.logs.clean()) > 0) {
      ends.push(logOf(rig).cleanedEnd);
      expect(model.wrongIn(await readRows(rig))).toBe(null);
    }
    expect(ends.length).toBeGreaterThan(3);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    const rows = await readRows(rig);
    expect(doublesIn(rows, logOf(rig).cleanedEnd)).toEqual([]);
    await rig.close();
  });

  test("says once that a batch has more keys than fit, and leaves the partition alone", async () => {
    const cleaner = { keysBytesMax: 1 };
    const options = compacted({ "internal.segment.bytes": "400" });
    const rig = await LogRig.open(storageMemory(), { ...options, cleaner });
    const model = new CompactedModel();
    await overwrite(rig, model, 300, 1);
    expect(await rig.logs.clean()).toBe(0);
    expect(await rig.logs.clean()).toBe(0);
    expect(rig.test.events("log_not_cleanable").length).toBe(1);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("keeps a producer's last batch as a header, and its sequence goes on", async () => {
    const memory = storageMemory();
    const rig = await LogRig.open(memory, compacted());
    const model = new CompactedModel();
    const produced = [{ key: "key 0", value: "produced" }];
    const producer = { producerId: 9, producerEpoch: 0, baseSequence: 0 };
    await write(rig, model, produced, producer);
    await overwrite(rig, model, 10, 20);
    await rig.logs.clean();
    const response = await rig.fetch(0, { bytesMax: 1 });
    const outcome = response.partitions[0]!;
    if (!outcome.ok) throw new Error(outcome.error.code);
    expect(batchesIn(outcome.value.batches[0]!).batches[0]).toMatchObject({
      baseOffset: 0,
      recordCount: 0,
      producerId: 9,
      lastSequence: 0,
    });
    response.release();
    const again = await rig.append(keyedBatch(produced, producer));
    expect(again).toMatchObject({ ok: true, value: { baseOffset: 0 } });
    await write(rig, model, produced, { ...producer, baseSequence: 1 });
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("refuses records without a key", async () => {
    const rig = await LogRig.open(storageMemory(), compacted());
    const batch = keyedBatch([
      { key: "a", value: "x" },
      { key: null, value: "y" },
    ]);
    const outcome = await rig.append(batch);
    expect(outcome).toMatchObject({
      ok: false,
      error: { code: "invalid_record", recordErrors: [{ batchIndex: 1 }] },
    });
    await rig.close();
  });

  test("does nothing while log.cleaner.enable is false, nor to topics that only delete", async () => {
    const off = await LogRig.open(storageMemory(), {
      ...compacted(),
      cleaner: { isEnabled: false },
    });
    const model = new CompactedModel();
    await overwrite(off, model, 10, 20);
    expect(await off.logs.clean()).toBe(0);
    expect((await readRows(off)).length).toBe(200);
    await off.close();
    const deleting = await LogRig.open(storageMemory(), compacted({ "cleanup.policy": "delete" }));
    await overwrite(deleting, new CompactedModel(), 10, 20);
    expect(await deleting.logs.clean()).toBe(0);
    await deleting.close();
  });

  test("runs in the background, every log.cleaner.backoff.ms", async () => {
    const cleaner = { backoffMs: 5_000 };
    const rig = await LogRig.open(storageMemory(), { ...compacted(), cleaner });
    const model = new CompactedModel();
    await overwrite(rig, model, 10, 20);
    await rig.test.advance(4_000);
    expect(rig.test.events("segments_cleaned").length).toBe(0);
    await rig.test.advance(2_500);
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(rig.test.events("segments_cleaned").length).toBe(1);
    expect(rig.test.failures).toEqual([]);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("retention by time goes on over what was cleaned where the policy has both", async () => {
    const memory = storageMemory();
    const options = compacted({ "cleanup.policy": "compact,delete", "retention.ms": "100000" });
    const rig = await LogRig.open(memory, options);
    const model = new CompactedModel();
    await overwrite(rig, model, 30, 10);
    expect(await rig.logs.clean()).toBe(1);
    rig.test.wallMs += 90_000;
    await overwrite(rig, model, 5, 40);
    expect(await rig.logs.clean()).toBe(1);
    rig.test.wallMs += 20_000;
    await rig.logs.maintain(true);
    const { logStartOffset } = rig.logs.status(rig.logs.topicNamed("t")!.id, 0)!;
    expect(logStartOffset).toBeGreaterThan(0);
    const left = await readRows(rig, { from: logStartOffset });
    // What is young enough is all there.
    expect(left.filter(({ offset }) => offset >= 300).map(({ key }) => key)).toContain("key 4");
    expect(wrongBehind(model, left, 300)).toBe(null);
    rig.test.wallMs += 100_000;
    await rig.logs.maintain(true);
    const status = rig.logs.status(rig.logs.topicNamed("t")!.id, 0)!;
    expect(status.logStartOffset).toBe(model.end);
    await overwrite(rig, model, 5, 3);
    const rows = await readRows(rig, { from: status.logStartOffset });
    expect(rows.length).toBe(15);
    await rig.close();
    const again = await LogRig.open(memory, options);
    expect(await readRows(again, { from: status.logStartOffset })).toEqual(rows);
    expect(again.test.events("orphan_removed")).toEqual([]);
    await again.close();
  });

  test("goes on when records are deleted, or the topic, while it cleans", async () => {
    for (const what of ["records", "topic"]) {
      const holder: { rig: LogRig | null; isDone: boolean } = { rig: null, isDone: false };
      let deleting: Promise<unknown> = Promise.resolve();
      const memory = storageMemory();
      const plugin = hookedStorage(memory, (call, name) => {
        const { rig } = holder;
        if (call !== "append" || rig === null || !name.endsWith(".1.log") || holder.isDone) return;
        holder.isDone = true;
        const { id } = rig.logs.topicNamed("t")!;
        const image = options.topics![0]!;
        deleting =
          what === "records" ? rig.logs.deleteRecords(id, 0, 285) : rig.logs.topicDeleted(image);
        return undefined;
      });
      const options = compacted({ "cleanup.policy": "compact,delete" });
      const rig = await LogRig.open(plugin, options);
      holder.rig = rig;
      const model = new CompactedModel();
      await overwrite(rig, model, 30, 10);
      expect(await rig.logs.clean()).toBe(0);
      await deleting;
      expect(holder.isDone).toBe(true);
      if (what === "topic") {
        expect(await filesIn(rig)).toEqual([]);
      } else {
        const rows = await readRows(rig, { from: 285 });
        expect(rows.map(({ offset }) => offset)).toEqual(
          [285, 286, 287, 288, 289, 290].concat([291, 292, 293, 294, 295, 296, 297, 298, 299]),
        );
        const { length } = logOf(rig).segments.filter(({ settledBytes }) => settledBytes > 0);
        expect((await filesIn(rig)).length).toBe(length);
      }
      expect(rig.test.lines.filter(({ level }) => level === "error")).toEqual([]);
      expect(rig.logs.pool.lentBytes).toBe(0);
      await rig.close();
    }
  });

  test("a disk that fails once costs nothing but time, whatever the call", async () => {
    const failed = new Set<string>();
    for (let call = 0; ; call++) {
      const holder = { rig: null as LogRig | null, count: 0, failedIn: "" };
      const plugin = hookedStorage(storageMemory(), (what, name) => {
        // A journal that fails takes the folder offline: that is shown elsewhere.
        if (holder.rig === null || !name.startsWith("segments/") || holder.failedIn !== "") return;
        if (holder.count++ < call) return;
        holder.failedIn = what;
        return Promise.reject(new StorageError("io", `${what} fails`));
      });
      const rig = await LogRig.open(plugin, compacted({ "internal.segment.bytes": "1500" }));
      const model = new CompactedModel();
      // Some of it lies in segments of its own by then, and some in the journal.
      await overwrite(rig, model, 10, 4);
      await rig.logs.clean();
      await overwrite(rig, model, 10, 8);
      holder.rig = rig;
      await rig.logs.clean();
      holder.rig = null;
      if (holder.failedIn === "") {
        await rig.close();
        break;
      }
      failed.add(holder.failedIn);
      const after = async () => [call, holder.failedIn, model.wrongIn(await readRows(rig))];
      expect(await after()).toEqual([call, holder.failedIn, null]);
      await rig.logs.clean();
      expect(await after()).toEqual([call, holder.failedIn, null]);
      expect([call, doublesIn(await readRows(rig), logOf(rig).cleanedEnd)]).toEqual([call, []]);
      expect(logOf(rig).cleanedEnd).toBeGreaterThan(60);
      expect(rig.logs.isOnline).toBe(true);
      expect(rig.logs.pool.lentBytes).toBe(0);
      await rig.close();
    }
    expect([...failed].sort()).toEqual(["append", "close", "open", "read", "remove", "sync"]);
  }, 60_000);

  test("keeps to log.cleaner.io.max.bytes.per.second", async () => {
    const cleaner = { bytesPerSecond: 10_000 };
    const rig = await LogRig.open(storageMemory(), { ...compacted(), cleaner });
    const model = new CompactedModel();
    await overwrite(rig, model, 10, 100);
    const startedMs = rig.test.monotonicMs;
    let isDone = false;
    const cleaning = rig.logs.clean().then(() => {
      isDone = true;
    });
    while (!isDone) {
      await rig.test.advance(250);
      await settle();
    }
    await cleaning;
    // Some 80 KB, gone through twice, of which little is left to be written.
    const tookMs = rig.test.monotonicMs - startedMs;
    expect(tookMs).toBeGreaterThan(14_000);
    expect(tookMs).toBeLessThan(19_000);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("reports a damaged batch of a cleaned segment, wherever the damage is, and never serves it", async () => {
    const { filesOf, flipped, replaced, storeWith } = await import("../../support/log_files.ts");
    const memory = storageMemory();
    const rig = await LogRig.open(memory, compacted());
    const model = new CompactedModel();
    await overwrite(rig, model, 20, 12);
    await rig.logs.clean();
    const whole = await readRows(rig);
    await rig.close();
    const files = await filesOf(memory);
    const name = [...files.keys()].find((each) => each.endsWith(".1.log"))!;
    const bytes = files.get(name)!;
    const random = SeededRandom.of("damage");
    for (let i = 0; i < (isFullTestRun ? 2000 : 120); i++) {
      // The batch header more often than the records.
      const at = i % 2 === 0 ? random.below(61) : random.below(bytes.length);
      const damaged = flipped(bytes, at, random.below(8));
      const again = await LogRig.open(await storeWith(replaced(files, name, damaged)), compacted());
      let rows = null;
      try {
        rows = await readRows(again);
      } catch (error) {
        expect(String(error)).toContain("corrupt_message");
      }
      if (rows !== null) expect([at, rows]).toEqual([at, whole]);
      else expect(again.test.events("batch_corrupt").length).toBeGreaterThan(0);
      // What lies behind can be read.
      expect(await readRows(again, { from: logOf(again).cleanedEnd })).toEqual(
        whole.filter(({ offset }) => offset >= logOf(again).cleanedEnd),
      );
      await again.close();
    }
  }, 600_000);

  test("goes through 100,000 keys in slices, and ends near 100,000 records", async () => {
    const keyCount = isFullTestRun ? 100_000 : 20_000;
    const rounds = 4;
    const options = compacted({
      "internal.segment.bytes": "4000000",
      "min.cleanable.dirty.ratio": "0.5",
    });
    let turns = 0;
    const rig = await LogRig.open(storageMemory(), {
      ...options,
      journalFileBytes: 16 * 1024 * 1024,
    });
    const { scheduler } = rig.test.runtime;
    const yieldNow = scheduler.yieldNow.bind(scheduler);
    let longestMs = 0;
    let sinceMs = performance.now();
    scheduler.yieldNow = async () => {
      turns++;
      longestMs = Math.max(longestMs, performance.now() - sinceMs);
      await yieldNow();
      sinceMs = performance.now();
    };
    const value = (round: number, key: number) => `${round} of ${key} `.padEnd(48, ".");
    for (let round = 0; round < rounds; round++) {
      for (let key = 0; key < keyCount; key += 500) {
        const entries = Array.from({ length: 500 }, (_, i) => {
          return { key: `key ${key + i}`, value: value(round, key + i) };
        });
        const outcome = await rig.append(keyedBatch(entries));
        expect(outcome.ok).toBe(true);
      }
    }
    sinceMs = performance.now();
    // What the last segment holds is cleaned once there is another.
    logOf(rig).roll(rig.test.wallMs);
    while ((await rig.logs.clean()) > 0);
    const rows = await readRows(rig, { bytesMax: 1024 * 1024 });
    expect(rows.length).toBe(keyCount);
    expect(rows.every((row) => row.value!.startsWith(`${rounds - 1} of `))).toBe(true);
    // About 70 bytes a record, in slices of 256 KiB, gone through twice.
    expect(turns).toBeGreaterThan((2 * keyCount * rounds * 70) / 300_000);
    expect(longestMs).toBeLessThan(500);
    await rig.close();
  }, 120_000);
});
