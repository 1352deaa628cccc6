// Records in, offsets out: partitions by key, batches within the topic's bound, one outcome a record.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ok } from "../../src/base/outcome.ts";
import type { AppendRequest, Broker } from "../../src/contracts/broker.ts";
import { fetchRecords } from "../../src/gateway/fetch_records.ts";
import {
  type AppendedRecord,
  type AppendRecordsRequest,
  appendRecords,
} from "../../src/gateway/records.ts";
import { type MemoryBroker, memoryBroker } from "../support/memory_broker.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const keyless = (value: string) => ({ key: null, value: bytes(value) });

let rig: MemoryBroker;
beforeEach(async () => {
  rig = await memoryBroker();
});
afterEach(() => rig.stop());

function append(request: AppendRecordsRequest) {
  return appendRecords(rig.broker, rig.runtime, rig.caller, request);
}

/** The places of the records. @throws {Error} when any was refused */
async function places(request: AppendRecordsRequest): Promise<AppendedRecord[]> {
  const outcome = await append(request);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value.map((each) => {
    if (!each.ok) throw new Error(each.error.message);
    return each.value;
  });
}

/** The rig's broker, with what it is asked to append written down. */
function watched(): { readonly broker: Broker; readonly appends: AppendRequest[] } {
  const appends: AppendRequest[] = [];
  const { broker } = rig;
  const log: Broker["log"] = {
    append: (caller, request) => {
      appends.push(request);
      return broker.log.append(caller, request);
    },
    fetch: (...given) => broker.log.fetch(...given),
    partitionFor: (...given) => broker.log.partitionFor(...given),
    offsetFor: (...given) => broker.log.offsetFor(...given),
    endOffsetForEpoch: (...given) => broker.log.endOffsetForEpoch(...given),
    topicNameOf: (id) => broker.log.topicNameOf(id),
    topicIdOf: (name) => broker.log.topicIdOf(name),
  };
  const { brokerId, clusterId, topics, admin, groups, transactions } = broker;
  const { features, featuresEpoch } = broker;
  const setting = (name: string) => broker.setting(name);
  const isOnline = () => broker.isOnline();
  const apis = { topics, admin, groups, transactions, log };
  const counted = { brokerId, clusterId, ...apis, features, featuresEpoch, setting, isOnline };
  return { broker: counted, appends };
}

describe("appendRecords()", () => {
  test("gives each record its partition, offset and time, in order", async () => {
    await rig.topic("t", 4);
    const records = ["a", "b", "a", "c", "a"].map((key) => ({ key: bytes(key), value: null }));
    const found = await places({
      topic: "t",
      records: [...records, { ...records[0]!, timestampMs: 5 }],
    });
    const ofA = [0, 2, 4, 5].map((at) => found[at]!);
    const partition = rig.broker.log.partitionFor(rig.caller, "t", bytes("a"));
    expect(ofA.map((each) => each.partition)).toEqual(
      Array(4).fill((partition as { value: number }).value),
    );
    const offsets = ofA.map((each) => each.offset);
    expect(offsets).toEqual([...offsets].sort((x, y) => x - y));
    expect(new Set(offsets).size).toBe(4);
    expect(found[5]!.timestampMs).toBe(5);
    expect(Math.abs(found[0]!.timestampMs - Date.now())).toBeLessThan(60_000);
  });

  test("keeps keyless records of one call together, and calls apart", async () => {
    await rig.topic("t", 3);
    const partitions = new Set<number>();
    for (let call = 0; call < 3; call++) {
      const found = await places({ topic: "t", records: [keyless("x"), keyless("y")] });
      expect(found[0]!.partition).toBe(found[1]!.partition);
      expect(found[1]!.offset).toBe(1);
      partitions.add(found[0]!.partition);
    }
    expect(partitions.size).toBe(3);
  });

  test("takes the partition given, whatever the key", async () => {
    await rig.topic("t", 3);
    const record = { key: bytes("k"), value: bytes("v") };
    const found = await places({
      topic: "t",
      records: [2, 0, 2].map((partition) => ({ ...record, partition })),
    });
    expect(found.map(({ partition, offset }) => [partition, offset])).toEqual([
      [2, 0],
      [0, 0],
      [2, 1],
    ]);
  });

  test("refuses what one partition does not take, and appends the rest", async () => {
    await rig.topic("t", 1);
    const outcome = await append({
      topic: "t",
      records: [
        keyless("a"),
        { ...keyless("b"), partition: 7 },
        { ...keyless("c"), partition: -1 },
      ],
    });
    if (!outcome.ok) throw new Error(outcome.error.code);
    expect(outcome.value.map((each) => (each.ok ? each.value.offset : each.error.code))).toEqual([
      0,
      "unknown_topic_or_partition",
      "unknown_topic_or_partition",
    ]);
  });

  test("makes one append of a call, with a batch of each partition", async () => {
    await rig.topic("t", 2);
    const { broker, appends } = watched();
    const records = [0, 1, 0].map((partition) => ({ ...keyless("x"), partition }));
    await appendRecords(broker, rig.runtime, rig.caller, { topic: "t", records, acks: 1 });
    expect(appends.length).toBe(1);
    expect(appends[0]!.acks).toBe(1);
    expect(appends[0]!.partitions.map(({ partition }) => partition)).toEqual([0, 1]);
  });

  test("appends in the order of calls that nobody waited for", async () => {
    await rig.topic("t", 1);
    const calls = Array.from({ length: 20 }, (_, i) =>
      places({ topic: "t", records: [keyless(String(i))] }),
    );
    const offsets = (await Promise.all(calls)).map(([record]) => record!.offset);
    expect(offsets).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  test("splits at the broker's bound, and further where the topic takes less", async () => {
    await rig.topic("t", 1, { "max.message.bytes": "5000" });
    const { broker, appends } = watched();
    const value = new Uint8Array(1000).fill(7);
    const records = Array.from({ length: 40 }, () => ({ key: null, value }));
    const outcome = await appendRecords(broker, rig.runtime, rig.caller, { topic: "t", records });
    if (!outcome.ok) throw new Error(outcome.error.code);
    expect(outcome.value).toEqual(
      outcome.value.map((each, offset) => {
        if (!each.ok) throw new Error(each.error.code);
        return ok({ ...each.value, offset });
      }),
    );
    // 40 KB, then halves of it: 20, 10, 5, 2.5.
    expect(appends.length).toBeLessThanOrEqual(5);
  });

  test("says that a record is too large, and does not try for ever", async () => {
    await rig.topic("t", 1, { "max.message.bytes": "5000" });
    const { broker, appends } = watched();
    const large = { key: null, value: new Uint8Array(10_000) };
    const outcome = await appendRecords(broker, rig.runtime, rig.caller, {
      topic: "t",
      records: [keyless("a"), large, keyless("b")],
    });
    if (!outcome.ok) throw new Error(outcome.error.code);
    expect(outcome.value.map((each) => (each.ok ? "ok" : each.error.code))).toEqual(
      Array(3).fill("message_too_large"),
    );
    expect(appends.length).toBeLessThanOrEqual(12);
  });

  test("makes a missing topic where the settings allow it", async () => {
    const found = await places({ topic: "made", records: [keyless("a")] });
    expect(found[0]).toMatchObject({ partition: 0, offset: 0 });
    await rig.stop();
    rig = await memoryBroker({ settings: { "auto.create.topics.enable": false } });
    for (const partition of [undefined, 0]) {
      const record = partition === undefined ? keyless("a") : { ...keyless("a"), partition };
      const outcome = await append({ topic: "missing", records: [record] });
      expect(outcome).toMatchObject({ ok: false, error: { code: "unknown_topic_or_partition" } });
    }
    const named = await append({ topic: "no such name!", records: [keyless("a")] });
    expect(named).toMatchObject({ ok: false, error: { code: "invalid_topic_exception" } });
  });

  test("holds an append to the offset that is expected", async () => {
    await rig.topic("t", 2);
    const at = (partition: number) => ({ ...keyless("a"), partition });
    await places({ topic: "t", records: [at(0), at(0)], expectedOffset: 0 });
    const late = await append({ topic: "t", records: [at(0)], expectedOffset: 1 });
    expect(late).toMatchObject({
      ok: true,
      value: [{ ok: false, error: { code: "invalid_record" } }],
    });
    const both = await append({ topic: "t", records: [at(0), at(1)], expectedOffset: 2 });
    expect(both).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });

  test("refuses times that cannot be, before anything is appended", async () => {
    await rig.topic("t", 1);
    for (const timestampMs of [0.5, -2, Number.NaN, 2 ** 60]) {
      const records = [keyless("a"), { ...keyless("b"), timestampMs }];
      const outcome = await append({ topic: "t", records });
      expect(outcome).toMatchObject({ ok: false, error: { code: "invalid_timestamp" } });
    }
    expect(await places({ topic: "t", records: [{ ...keyless("a"), timestampMs: -1 }] })).toEqual([
      { partition: 0, offset: 0, timestampMs: -1 },
    ]);
    expect(await append({ topic: "t", records: [] })).toEqual({ ok: true, value: [] });
  });

  test("tells the broker's time where the topic stamps", async () => {
    await rig.topic("t", 1, { "message.timestamp.type": "LogAppendTime" });
    const [found] = await places({ topic: "t", records: [{ ...keyless("a"), timestampMs: 5 }] });
    expect(found!.timestampMs).toBeGreaterThan(1_600_000_000_000);
  });

  test.each(["none", "gzip", "snappy", "lz4", "zstd"] as const)(
    "brings records back byte for byte, compressed with %s",
    async (compression) => {
      await rig.topic("t", 1);
      const records = [
        { key: null, value: null, timestampMs: 1 },
        { key: new Uint8Array(0), value: new Uint8Array(0), timestampMs: 3 },
        {
          key: bytes("k"),
          value: new Uint8Array(3000).fill(9),
          timestampMs: 2,
          headers: [
            { key: "ü", value: bytes("1") },
            { key: "ü", value: null },
            { key: "", value: new Uint8Array(0) },
          ],
        },
      ];
      await places({ topic: "t", records, compression });
      const [outcome] = await fetchRecords(rig.broker, rig.runtime, rig.caller, {
        topic: "t",
        partitions: [{ partition: 0, offset: 0 }],
        waitMsMax: 0,
        bytesMax: 100_000,
        recordsMax: 10,
      });
      if (!outcome!.ok) throw new Error(outcome!.error.message);
      expect(outcome!.value.records).toEqual(
        records.map((record, offset) => ({ partition: 0, offset, headers: [], ...record })),
      );
    },
  );
});
