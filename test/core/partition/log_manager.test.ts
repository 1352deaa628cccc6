// The log over the in-memory store: what is appended is read back, before and after a restart.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";

describe("LogManager", () => {
  test("append() gives contiguous offsets and fetch() returns the same records", async () => {
    const rig = await LogRig.open(storageMemory());
    expect(await rig.append(batchOf(["a", "b"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 0 },
    });
    expect(await rig.append(batchOf(["c"]))).toMatchObject({ ok: true, value: { baseOffset: 2 } });
    expect((await rig.readAll()).map((r) => `${r.offset}${r.value}`)).toEqual(["0a", "1b", "2c"]);
    expect((await rig.readAll(1)).map((r) => r.value)).toEqual(["b", "c"]);
    await rig.close();
  });

  test("a restart finds everything, also after losing what was not synced", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, { topics: [topic("t", 3)] });
    for (let i = 0; i < 50; i++) await rig.append(batchOf([`v${i}`]), "t", i % 3);
    plugin.loseUnsynced();
    rig = await LogRig.open(plugin, { topics: [topic("t", 3)] });
    const values = [];
    for (let p = 0; p < 3; p++) values.push(...(await rig.readAll(0, "t", p)).map((r) => r.value));
    expect(values.sort()).toEqual(Array.from({ length: 50 }, (_, i) => `v${i}`).sort());
    expect(await rig.append(batchOf(["next"]), "t", 0)).toMatchObject({
      ok: true,
      value: { baseOffset: 17 },
    });
    await rig.close();
  });

  test("journal files are given up: grown partitions get segments, small ones move along", async () => {
    const plugin = storageMemory();
    const topics = [topic("t", 2, { "segment.bytes": "1048576" }), topic("small", 1)];
    let rig = await LogRig.open(plugin, {
      topics,
      journalFileBytes: 256 * 1024,
      journalBytesMax: 512 * 1024,
    });
    const big = "x".repeat(10_000);
    for (let i = 0; i < 300; i++) {
      await rig.append(batchOf([`${i}${big}`]), "t", 0);
      if (i % 20 === 0) await rig.append(batchOf([`s${i}`]), "small", 0);
    }
    await rig.logs.maintain(false);
    const sealed = [...rig.logs.journal.files.values()].filter((file) => file.isSealed);
    expect(sealed.length).toBeLessThanOrEqual(3);
    expect(rig.logs.status(topics[0]!.id, 0)).toMatchObject({
      highWatermark: 300,
      logStartOffset: 0,
    });
    const check = async () => {
      const records = await rig.readAll(0, "t", 0);
      expect(records.map((r) => r.offset)).toEqual(Array.from({ length: 300 }, (_, i) => i));
      expect(records.every((r, i) => r.value === `${i}${big}`)).toBe(true);
      expect((await rig.readAll(0, "small", 0)).map((r) => r.value)).toEqual(
        Array.from({ length: 15 }, (_, i) => `s${i * 20}`),
      );
      expect((await rig.readAll(137, "t", 0))[0]!.offset).toBe(137);
    };
    await check();
    expect((await rig.storage.segments!.list("segments/")).length).toBeGreaterThan(1);
    plugin.loseUnsynced();
    rig = await LogRig.open(plugin, {
      topics,
      journalFileBytes: 256 * 1024,
      journalBytesMax: 512 * 1024,
    });
    await check();
    expect(rig.test.events("log_has_a_hole")).toEqual([]);
    await rig.close();
  });
});
