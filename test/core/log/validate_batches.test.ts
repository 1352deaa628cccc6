// What a leader refuses, and what it changes, before a batch becomes part of a log.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { edgeCompression } from "../../../src/runtime/edge_compression.ts";
import { batchOf, caller, LogRig, topic } from "../../support/log_rig.ts";

async function rigWith(configs: Record<string, string>) {
  return await LogRig.open(storageMemory(), { topics: [topic("t", 1, configs)] });
}

async function storedBatch(rig: LogRig, offset: number) {
  const response = await rig.fetch(offset, { bytesMax: 1 });
  const outcome = response.partitions[0]!;
  if (!outcome.ok) throw new Error(outcome.error.code);
  const batch = batchesIn(outcome.value.batches[0]!.slice()).batches[0]!;
  response.release();
  return batch;
}

const joined = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

describe("a host that lacks codecs", () => {
  const compression = edgeCompression;
  const packed = () => batchOf(["a", "b"], { codec: "gzip", timestampMs: 5 });

  test("refuses what it cannot open under its own name, and keeps nothing of it", async () => {
    const rig = await LogRig.open(storageMemory(), { compression });
    expect(await rig.append(packed())).toMatchObject({
      error: { code: "unsupported_compression_type" },
    });
    expect(await rig.append(batchOf(["a"], { codec: "snappy" }))).toMatchObject({
      value: { baseOffset: 0 },
    });
    await rig.close();
  });

  test("refuses to compress for a topic with such a codec", async () => {
    const topics = [topic("t", 1, { "compression.type": "zstd" })];
    const rig = await LogRig.open(storageMemory(), { compression, topics });
    expect(await rig.append(batchOf(["a"]))).toMatchObject({
      error: { code: "unsupported_compression_type" },
    });
    await rig.close();
  });

  test("keeps it unopened where it need not look, gives it back, and has no offset by time in it", async () => {
    const rig = await LogRig.open(storageMemory(), { compression, opensCompressed: false });
    expect(await rig.append(packed())).toMatchObject({ value: { baseOffset: 0 } });
    expect((await storedBatch(rig, 0)).codec).toBe("gzip");
    expect((await rig.readAll()).map(({ value }) => value)).toEqual(["a", "b"]);
    for (const at of ["max_timestamp", { timestampMs: 1 }] as const) {
      const [found] = await rig.api.offsetFor(caller, [
        { topic: "t", partition: 0, at, isolation: "read_uncommitted", leaderEpoch: -1 },
      ]);
      expect(found).toMatchObject({ error: { code: "unsupported_compression_type" } });
    }
    await rig.close();
  });
});

describe("validateBatch", () => {
  test("a batch that grows past max.message.bytes when the topic re-compresses it is refused", async () => {
    const rig = await rigWith({ "compression.type": "uncompressed", "max.message.bytes": "10000" });
    const packed = batchOf(["a".repeat(50_000)], { codec: "zstd" });
    expect(packed.length).toBeLessThan(1000);
    expect(await rig.append(packed)).toMatchObject({ error: { code: "message_too_large" } });
    const small = batchOf(["a".repeat(5000)], { codec: "zstd" });
    expect(await rig.append(small)).toMatchObject({ ok: true, value: { baseOffset: 0 } });
    expect((await storedBatch(rig, 0)).codec).toBe("none");
    expect((await rig.readAll())[0]!.value).toBe("a".repeat(5000));
    await rig.close();
  });

  test("the topic's codec replaces the producer's, and the batch stays whole", async () => {
    for (const [configured, codec] of [
      ["gzip", "gzip"],
      ["snappy", "snappy"],
      ["lz4", "lz4"],
      ["zstd", "zstd"],
      ["uncompressed", "none"],
      ["producer", "lz4"],
    ] as const) {
      const rig = await rigWith({ "compression.type": configured });
      await rig.append(
        batchOf(["x".repeat(500), "y".repeat(500)], {
          codec: "lz4",
          producerId: 4,
          producerEpoch: 1,
          baseSequence: 0,
        }),
      );
      const batch = await storedBatch(rig, 0);
      expect(batch.codec).toBe(codec);
      expect(batch.check()).toBe(null);
      expect([batch.producerId, batch.producerEpoch, batch.recordCount]).toEqual([4, 1, 2]);
      expect((await rig.readAll()).map((r) => r.value[0])).toEqual(["x", "y"]);
      await rig.close();
    }
  });

  test("LogAppendTime stamps every batch of a request, and a restart keeps the stamps", async () => {
    const rig = await rigWith({ "message.timestamp.type": "LogAppendTime" });
    const two = joined(batchOf(["a"], { timestampMs: 5 }), batchOf(["b", "c"], { timestampMs: 6 }));
    expect(await rig.append(two)).toMatchObject({
      ok: true,
      value: { baseOffset: 0, logAppendTimeMs: rig.test.wallMs },
    });
    for (const offset of [0, 1]) {
      const batch = await storedBatch(rig, offset);
      expect([batch.isLogAppendTime, batch.maxTimestampMs, batch.baseOffset]).toEqual([
        true,
        rig.test.wallMs,
        offset,
      ]);
      expect(batch.check()).toBe(null);
    }
    await rig.close();
  });

  test("of a request with one bad batch nothing is appended", async () => {
    const rig = await rigWith({});
    const bad = batchOf(["b"]);
    bad[bad.length - 1]! ^= 1;
    expect(await rig.append(joined(batchOf(["a"]), bad))).toMatchObject({
      error: { code: "corrupt_message" },
    });
    expect(await rig.append(joined(batchOf(["a"]), batchOf(["b"]).subarray(0, 40)))).toMatchObject({
      error: { code: "invalid_record" },
    });
    const idempotent = { producerId: 1, producerEpoch: 0 };
    expect(
      await rig.append(
        joined(
          batchOf(["a"], { ...idempotent, baseSequence: 0 }),
          batchOf(["b"], { ...idempotent, baseSequence: 1 }),
        ),
      ),
    ).toMatchObject({ error: { code: "invalid_record" } });
    expect(rig.logs.status(rig.logs.topicNamed("t")!.id, 0)).toMatchObject({ logEndOffset: 0 });
    expect(await rig.append(batchOf(["c"]))).toMatchObject({ ok: true, value: { baseOffset: 0 } });
    await rig.close();
  });

  test("timestamps outside the bounds are refused, with the records that have them", async () => {
    const rig = await rigWith({
      "message.timestamp.before.max.ms": "1000",
      "message.timestamp.after.max.ms": "2000",
    });
    const at = (byMs: number) =>
      rig.append(batchOf(["a"], { timestampMs: rig.test.wallMs + byMs }));
    for (const fine of [-1000, 0, 2000]) expect(await at(fine)).toMatchObject({ ok: true });
    for (const wrong of [-1001, 2001]) {
      expect(await at(wrong)).toMatchObject({
        error: { code: "invalid_timestamp", recordErrors: [{ batchIndex: 0 }] },
      });
    }
    await rig.close();
  });
});
