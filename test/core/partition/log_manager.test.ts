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

describe("LogManager: what is not there", () => {
  test("a segment file that is gone is corrupt to its readers, and the rest is served", async () => {
    const plugin = storageMemory();
    const options = {
      topics: [topic("t", 1, { "segment.bytes": "1048576" })],
      journalFileBytes: 256 * 1024,
      journalBytesMax: 0,
    };
    let rig = await LogRig.open(plugin, options);
    for (let i = 0; i < 300; i++) await rig.append(batchOf([`${i}${"x".repeat(10_000)}`]));
    await rig.logs.maintain(false);
    const log = rig.logs.log(options.topics[0]!.id, 0)!;
    const second = log.segments[1]!.baseOffset;
    await rig.close();
    const storage = await plugin.open({ runtime: rig.test.runtime, brokerId: 1 });
    const [first] = await storage.segments!.list("segments/");
    const names = (await storage.segments!.list("segments/")).map((each) => each.name);
    await storage.segments!.remove(names.find((name) => name.endsWith("0000.log")) ?? first!.name);
    await storage.close();
    rig = await LogRig.open(plugin, options);
    expect((await rig.fetch(0)).partitions[0]).toMatchObject({
      error: { code: "corrupt_message" },
    });
    expect((await rig.readAll(second)).length).toBe(300 - second);
    expect(rig.test.events("segment_cut_short").length).toBe(1);
    await rig.close();
  });
});

describe("LogApi: memory of answers", () => {
  test("a crowd that fetches at one time shares a bound, and each still gets a batch", async () => {
    const rig = await LogRig.open(storageMemory(), { journalFileBytes: 64 * 1024 * 1024 });
    for (let i = 0; i < 40; i++) await rig.append(batchOf(["x".repeat(1_000_000)]));
    const bytesMax = 32 * 1024 * 1024;
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => rig.fetch(0, { bytesMax })),
    );
    expect(rig.logs.pool.lentBytes).toBeLessThan(
      128 * 1024 * 1024 + bytesMax * 2 + 100 * 2_097_152,
    );
    for (const answer of answers) {
      const [outcome] = answer.partitions;
      expect(outcome!.ok && outcome!.value.sizeBytes).toBeGreaterThan(1_000_000);
      answer.release();
    }
    const alone = await rig.fetch(0, { bytesMax });
    const [outcome] = alone.partitions;
    expect(outcome!.ok && outcome!.value.sizeBytes).toBeGreaterThan(30_000_000);
    alone.release();
    await rig.close();
  });

  test("producers are looked at every producer.id.expiration.check.interval.ms, whatever retention does", async () => {
    let expiryMs = 60_000;
    const rig = await LogRig.open(storageMemory(), {
      retentionCheckMs: () => 3_600_000,
      producerCheckMs: () => 10_000,
      producerExpiryMs: () => expiryMs,
    });
    const { id } = rig.logs.topicNamed("t")!;
    const idempotent = { producerId: 5, producerEpoch: 0, baseSequence: 0, timestampMs: 0 };
    await rig.append(batchOf(["a"], idempotent));
    const known = () => rig.logs.activeProducers(id, 0)!.length;
    const wait = async (ms: number) => {
      for (let waited = 0; waited < ms; waited += 1000) await rig.test.advance(1000);
    };
    await wait(55_000);
    expect(known()).toBe(1);
    await wait(17_000);
    expect(known()).toBe(0);
    // It may change while the broker runs.
    expiryMs = 5000;
    await rig.append(batchOf(["b"], { ...idempotent, producerId: 6 }));
    await wait(17_000);
    expect(known()).toBe(0);
    await rig.close();
  });

  test("retention is looked at every log.retention.check.interval.ms", async () => {
    const topics = [topic("t", 1, { "retention.ms": "1000" })];
    const rig = await LogRig.open(storageMemory(), { topics, retentionCheckMs: () => 20_000 });
    await rig.append(batchOf(["a"], { timestampMs: rig.test.wallMs }));
    const start = () => rig.logs.status(topics[0]!.id, 0)!.logStartOffset;
    for (let waited = 0; waited < 19; waited++) await rig.test.advance(1000);
    expect(start()).toBe(0);
    for (let waited = 0; waited < 3; waited++) await rig.test.advance(1000);
    expect(start()).toBe(1);
    await rig.close();
  });
});
