// What one partition's log decides: sequences, segments, start offsets, retention, look-ups.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";

async function rigWith(configs: Record<string, string> = {}, options: RigOptions = {}) {
  const plugin = storageMemory();
  const topics = [topic("t", 1, configs)];
  const rig = await LogRig.open(plugin, { topics, ...options });
  return { plugin, topics, rig, id: topics[0]!.id, log: rig.logs.log(topics[0]!.id, 0)! };
}

const produced = (sequence: number, values: string[], producerEpoch = 0, producerId = 9) =>
  batchOf(values, { producerId, producerEpoch, baseSequence: sequence });

describe("PartitionLog: idempotent producers", () => {
  test("a repeated batch gets its first offset, also after a restart; older ones and gaps are refused", async () => {
    const { plugin, rig, topics } = await rigWith();
    for (let i = 0; i < 7; i++) await rig.append(produced(i, [`v${i}`]));
    expect(await rig.append(produced(4, ["v4"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 4 },
    });
    expect(await rig.append(produced(0, ["v0"]))).toMatchObject({
      error: { code: "out_of_order_sequence_number" },
    });
    expect(await rig.append(produced(9, ["v9"]))).toMatchObject({
      error: { code: "out_of_order_sequence_number" },
    });
    await rig.close();
    const again = await LogRig.open(plugin, { topics });
    expect(await again.append(produced(6, ["v6"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 6 },
    });
    expect(await again.append(produced(7, ["v7"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 7 },
    });
    expect((await again.readAll()).map((r) => r.value)).toEqual(
      Array.from({ length: 8 }, (_, i) => `v${i}`),
    );
    await again.close();
  });

  test("a newer epoch starts at sequence 0, and an older one is refused from then on", async () => {
    const { rig } = await rigWith();
    await rig.append(produced(0, ["a", "b"]));
    expect(await rig.append(produced(5, ["c"], 1))).toMatchObject({
      error: { code: "out_of_order_sequence_number" },
    });
    expect(await rig.append(produced(0, ["c"], 1))).toMatchObject({ ok: true });
    expect(await rig.append(produced(2, ["d"], 0))).toMatchObject({
      error: { code: "invalid_producer_epoch" },
    });
    await rig.close();
  });

  test("sequences wrap from 2^31−1 to 0", async () => {
    const { rig } = await rigWith();
    expect(await rig.append(produced(0x7fff_fffe, ["a", "b"]))).toMatchObject({ ok: true });
    expect(await rig.append(produced(0, ["c"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 2 },
    });
    await rig.close();
  });

  test("a duplicate of a batch that is not yet synced is answered only when that is", async () => {
    const { rig } = await rigWith();
    const first = rig.append(produced(0, ["a"]));
    const second = rig.append(produced(0, ["a"]));
    expect(rig.logs.log(rig.logs.topicNamed("t")!.id, 0)!.highWatermark).toBe(0);
    expect(await second).toMatchObject({ ok: true, value: { baseOffset: 0 } });
    expect(rig.logs.log(rig.logs.topicNamed("t")!.id, 0)!.highWatermark).toBe(1);
    await first;
    await rig.close();
  });

  test("a producer of old records is known while it writes, and forgotten a day later", async () => {
    const { rig, log } = await rigWith({ "retention.ms": "-1" });
    const old = (sequence: number) =>
      batchOf(["old"], {
        producerId: 9,
        producerEpoch: 0,
        baseSequence: sequence,
        timestampMs: rig.test.wallMs - 30 * 86_400_000,
      });
    await rig.append(old(0));
    await rig.append(old(1));
    await rig.logs.maintain(true);
    expect(await rig.append(old(1))).toMatchObject({ ok: true, value: { baseOffset: 1 } });
    expect(await rig.append(old(5))).toMatchObject({
      error: { code: "out_of_order_sequence_number" },
    });
    rig.test.wallMs += 86_400_001;
    await rig.logs.maintain(true);
    expect(log.producers!.count).toBe(0);
    await rig.close();
  });

  test("what a producer was at survives when its journal file is given up", async () => {
    const plugin = storageMemory();
    const options = { journalFileBytes: 128 * 1024, journalBytesMax: 0 };
    let rig = await LogRig.open(plugin, options);
    const filler = "x".repeat(20_000);
    await rig.append(produced(0, ["only"]));
    for (let i = 0; i < 80; i++) await rig.append(batchOf([filler]));
    await rig.logs.maintain(false);
    expect(rig.logs.journal.files.has(1)).toBe(false);
    await rig.close();
    rig = await LogRig.open(plugin, options);
    expect(await rig.append(produced(0, ["only"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 0 },
    });
    expect(await rig.append(produced(1, ["next"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 81 },
    });
    await rig.close();
  });
});

describe("PartitionLog: segments and retention", () => {
  test("rolls when the next batch would pass segment.bytes, and by segment.ms of record time", async () => {
    const size = batchOf(["x".repeat(1000)]).length;
    const bySize = await rigWith({ "segment.bytes": "1048576" });
    for (let i = 0; i < 1100; i++) await bySize.rig.append(batchOf(["x".repeat(1000)]));
    const perSegment = Math.floor(1_048_576 / size);
    expect(bySize.log.segments.map((each) => each.baseOffset)).toEqual([0, perSegment]);
    const byTime = await rigWith({ "segment.ms": "60000" });
    for (const minute of [0, 0.5, 1.5, 2, 3]) {
      await byTime.rig.append(batchOf(["a"], { timestampMs: 1_700_000_000_000 + minute * 60_000 }));
    }
    expect(byTime.log.segments.map((each) => each.baseOffset)).toEqual([0, 2, 4]);
    await bySize.rig.close();
    await byTime.rig.close();
  });

  test("retention.bytes drops whole old segments and keeps the newest", async () => {
    const { rig, log, plugin, topics } = await rigWith({
      "segment.bytes": "1048576",
      "retention.bytes": "2000000",
    });
    for (let i = 0; i < 60; i++) await rig.append(batchOf(["y".repeat(100_000)]));
    expect(log.segments.length).toBe(6);
    await rig.logs.maintain(true);
    // Kafka keeps what is needed to have at least retention.bytes: two segments of ten batches.
    expect(log.logStartOffset).toBe(40);
    expect(log.segments.length).toBe(2);
    const before = await rig.fetch(39);
    expect(before.partitions[0]).toMatchObject({
      ok: false,
      error: { code: "offset_out_of_range" },
    });
    expect((await rig.readAll(40)).length).toBe(20);
    await rig.close();
    const again = await LogRig.open(plugin, { topics });
    expect(again.logs.log(topics[0]!.id, 0)!.logStartOffset).toBe(40);
    expect((await again.readAll(40)).length).toBe(20);
    await again.close();
  });

  test("retention.ms drops segments by their newest record, the last one too", async () => {
    const { rig, log } = await rigWith({ "segment.ms": "60000", "retention.ms": "3600000" });
    for (let minute = 0; minute < 10; minute++) {
      await rig.append(batchOf(["a"], { timestampMs: rig.test.wallMs + minute * 60_000 }));
    }
    rig.test.wallMs += 3_600_000 + 5 * 60_000;
    await rig.logs.maintain(true);
    expect(log.logStartOffset).toBe(4);
    rig.test.wallMs += 3_600_000;
    await rig.logs.maintain(true);
    expect(log.logStartOffset).toBe(10);
    expect(log.sizeBytes).toBe(0);
    expect(await rig.append(batchOf(["b"], { timestampMs: rig.test.wallMs }))).toMatchObject({
      ok: true,
      value: { baseOffset: 10 },
    });
    await rig.close();
  });

  test("an emptied log keeps its end offset over restarts, also when its journal file is gone", async () => {
    const plugin = storageMemory();
    const topics = [topic("t"), topic("other")];
    const options = { topics, journalFileBytes: 128 * 1024, journalBytesMax: 0 };
    let rig = await LogRig.open(plugin, options);
    for (let i = 0; i < 5; i++) await rig.append(batchOf([`${i}`]));
    expect(await rig.logs.deleteRecords(topics[0]!.id, 0, -1)).toEqual({
      ok: true,
      logStartOffset: 5,
    });
    for (let i = 0; i < 60; i++) await rig.append(batchOf(["z".repeat(20_000)]), "other");
    await rig.logs.maintain(false);
    expect(rig.logs.journal.files.has(1)).toBe(false);
    plugin.loseUnsynced();
    rig = await LogRig.open(plugin, options);
    expect(rig.logs.status(topics[0]!.id, 0)).toMatchObject({ logStartOffset: 5, logEndOffset: 5 });
    expect(await rig.append(batchOf(["next"]))).toMatchObject({
      ok: true,
      value: { baseOffset: 5 },
    });
    await rig.close();
  });

  test("deleteRecords() moves the start for good and refuses what lies past the high watermark", async () => {
    const { rig, id, plugin, topics } = await rigWith();
    for (let i = 0; i < 4; i++) await rig.append(batchOf([`${i}`, `${i}'`]));
    expect(await rig.logs.deleteRecords(id, 0, 9)).toEqual({
      ok: false,
      code: "offset_out_of_range",
    });
    expect(await rig.logs.deleteRecords(id, 0, 3)).toEqual({ ok: true, logStartOffset: 3 });
    expect(await rig.logs.deleteRecords(id, 0, 1)).toEqual({ ok: true, logStartOffset: 3 });
    plugin.loseUnsynced();
    const again = await LogRig.open(plugin, { topics });
    expect(again.logs.status(id, 0)).toMatchObject({ logStartOffset: 3, highWatermark: 8 });
    // The batch that holds offset 3 starts at 2: it is returned whole, and the client skips.
    expect((await again.readAll(3)).map((r) => r.offset)).toEqual([3, 4, 5, 6, 7]);
    await again.close();
  });
});

describe("PartitionLog: look-ups by timestamp", () => {
  const at = async (rig: LogRig, when: "earliest" | "latest" | "max_timestamp" | number) => {
    const [outcome] = await rig.api.offsetFor(caller, [
      {
        topic: "t",
        partition: 0,
        at: typeof when === "number" ? { timestampMs: when } : when,
        isolation: "read_uncommitted",
        leaderEpoch: -1,
      },
    ]);
    if (!outcome!.ok) throw new Error(outcome!.error.code);
    return [outcome!.value.offset, outcome!.value.timestampMs];
  };

  test("finds the first record that is late enough, in the journal and in segment files", async () => {
    for (const settles of [false, true]) {
      const rig = await LogRig.open(storageMemory(), {
        topics: [topic("t", 1, { "segment.bytes": "1048576" })],
        journalFileBytes: 256 * 1024,
        journalBytesMax: 0,
      });
      const start = 1_600_000_000_000;
      for (let i = 0; i < 200; i++) {
        await rig.append(batchOf([`${i}`, "x".repeat(10_000)], { timestampMs: start + i * 10 }));
      }
      if (settles) await rig.logs.maintain(false);
      const log = rig.logs.log(rig.logs.topicNamed("t")!.id, 0)!;
      expect(log.settledEnd > 0).toBe(settles);
      expect(await at(rig, start)).toEqual([0, start]);
      expect(await at(rig, start + 1)).toEqual([2, start + 10]);
      expect(await at(rig, start + 777)).toEqual([156, start + 780]);
      expect(await at(rig, start + 1990)).toEqual([398, start + 1990]);
      expect(await at(rig, start + 1991)).toEqual([-1, -1]);
      expect(await at(rig, "max_timestamp")).toEqual([398, start + 1990]);
      expect(await at(rig, "earliest")).toEqual([0, -1]);
      expect(await at(rig, "latest")).toEqual([400, -1]);
      await rig.close();
    }
  });
});

describe("PartitionLog: look-ups by timestamp after deletions", () => {
  // Simulation seed 16257: the newest record of a segment was deleted, the rest of it and the next
  // segments had been settled, and the look-up went on in the journal, past all of them.
  test("goes on in the next segment when what made one new enough is deleted", async () => {
    const rig = await LogRig.open(storageMemory(), {
      topics: [topic("t", 1, { "segment.bytes": "1048576" })],
      journalFileBytes: 256 * 1024,
      journalBytesMax: 0,
    });
    const start = 1_600_000_000_000;
    const append = (ms: number) =>
      rig.append(batchOf(["x".repeat(50_000)], { timestampMs: start + ms }));
    await append(5000);
    for (let i = 1; i < 100; i++) await append(i * 10);
    const { id } = rig.logs.topicNamed("t")!;
    await rig.logs.deleteRecords(id, 0, 1);
    await rig.logs.maintain(false);
    const log = rig.logs.log(id, 0)!;
    expect(log.settledEnd).toBeGreaterThan(50);
    const at = (ms: number) =>
      rig.api.offsetFor(caller, [
        {
          topic: "t",
          partition: 0,
          at: { timestampMs: start + ms },
          isolation: "read_uncommitted",
          leaderEpoch: -1,
        },
      ]);
    for (const offset of [1, 15, 25, 50, 99]) {
      expect((await at(offset * 10))[0]).toMatchObject({ ok: true, value: { offset } });
    }
    await rig.close();
  });
});

describe("fetch", () => {
  test("parks until data is committed, and wakes on it", async () => {
    const { rig } = await rigWith();
    const parked = rig.fetch(0, { waitMsMax: 60_000 });
    await rig.append(batchOf(["news"]));
    const outcome = (await parked).partitions[0]!;
    expect(outcome).toMatchObject({ ok: true, value: { highWatermark: 1 } });
    await rig.close();
  });

  test("answers empty when the time is up, and leaves no waiter behind", async () => {
    const { rig, log } = await rigWith();
    const parked = rig.fetch(0, { waitMsMax: 500 });
    await rig.test.advance(499);
    expect(log.waiters?.size).toBe(1);
    await rig.test.advance(2);
    expect((await parked).partitions[0]).toMatchObject({ ok: true, value: { sizeBytes: 0 } });
    expect(log.waiters).toBe(null);
    await rig.close();
  });

  test("returns at least one whole batch, and no more than the limit otherwise", async () => {
    const { rig } = await rigWith();
    for (let i = 0; i < 10; i++) await rig.append(batchOf(["x".repeat(1000)]));
    const one = await rig.fetch(0, { bytesMax: 1 });
    expect(one.partitions[0]).toMatchObject({
      ok: true,
      value: { sizeBytes: batchOf(["x".repeat(1000)]).length },
    });
    one.release();
    const some = await rig.fetch(3, { bytesMax: 5000 });
    const value = some.partitions[0]!;
    expect(value.ok && value.value.sizeBytes).toBe(4 * batchOf(["x".repeat(1000)]).length);
    some.release();
    expect(rig.logs.pool.lentBytes).toBe(0);
    await rig.close();
  });
});

describe("millrace.durability", () => {
  test("interval is acknowledged once written and synced within the topic's own interval; memory waits for others", async () => {
    const plugin = storageMemory();
    const topics = [
      topic("fast", 1, { "millrace.durability": "interval", "millrace.sync.interval.ms": "20" }),
      topic("slow", 1, { "millrace.durability": "interval", "millrace.sync.interval.ms": "5000" }),
      topic("lazy", 1, { "millrace.durability": "memory" }),
    ];
    const rig = await LogRig.open(plugin, { topics });
    const isSynced = () =>
      rig.logs.journal.active.syncedBytes === rig.logs.journal.active.endPosition;
    await rig.append(batchOf(["a"]), "lazy");
    await rig.test.advance(200);
    expect(isSynced()).toBe(false);
    await rig.append(batchOf(["b"]), "slow");
    await rig.test.advance(4000);
    expect(isSynced()).toBe(false);
    await rig.append(batchOf(["c"]), "fast");
    await rig.test.advance(20);
    expect(isSynced()).toBe(true);
    plugin.loseUnsynced();
    const again = await LogRig.open(plugin, { topics });
    for (const name of ["fast", "slow", "lazy"]) {
      expect((await again.readAll(0, name)).length).toBe(1);
    }
    await again.close();
  });
});
