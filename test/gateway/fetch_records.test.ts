// Records out: from an offset on, within bounds, without what is not to be seen.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Broker } from "../../src/contracts/broker.ts";
import {
  type FetchRecordsRequest,
  fetchRecords,
  fetchWithRoom,
} from "../../src/gateway/fetch_records.ts";
import { appendRecords } from "../../src/gateway/records.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
} from "../../src/record/control_record.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { edgeCompression } from "../../src/runtime/edge_compression.ts";
import { type MemoryBroker, memoryBroker } from "../support/memory_broker.ts";

const BASE = { topic: "t", waitMsMax: 0, bytesMax: 1_000_000, recordsMax: 1000 };

let rig: MemoryBroker;
beforeEach(async () => {
  rig = await memoryBroker();
  await rig.topic("t", 2);
});
afterEach(() => rig.stop());

async function fill(partition: number, values: readonly number[], compression: "none" | "gzip") {
  const records = values.map((value) => ({ partition, key: null, value: Uint8Array.of(value) }));
  const done = await appendRecords(rig.broker, rig.runtime, rig.caller, {
    topic: "t",
    records,
    compression,
  });
  if (!done.ok || done.value.some((each) => !each.ok)) throw new Error("not appended");
}

async function read(request: Partial<FetchRecordsRequest>, broker: Broker = rig.broker) {
  const partitions = request.partitions ?? [{ partition: 0, offset: 0 }];
  return await fetchRecords(broker, rig.runtime, rig.caller, { ...BASE, ...request, partitions });
}

async function readOne(request: Partial<FetchRecordsRequest>, broker?: Broker) {
  const [outcome] = await read(request, broker);
  if (!outcome!.ok) throw new Error(`${outcome!.error.code}: ${outcome!.error.message}`);
  const { records, nextOffset } = outcome!.value;
  return { offsets: records.map(({ offset }) => offset), records, nextOffset };
}

/** A broker whose log answers with these bytes. */
function answering(
  batches: readonly Uint8Array[],
  abortedTransactions: readonly { producerId: number; firstOffset: number }[] = [],
  onRelease = () => {},
): Broker {
  const result = {
    highWatermark: 100,
    lastStableOffset: 100,
    logStartOffset: 0,
    abortedTransactions,
    batches,
    sizeBytes: 1,
  };
  const log = {
    fetch: async () => ({ partitions: [{ ok: true, value: result }], release: onRelease }),
  } as unknown as Broker["log"];
  return { log, setting: () => null } as unknown as Broker;
}

function batchOf(baseOffset: number, values: readonly string[], producerId = -1): Uint8Array {
  const isTransactional = producerId >= 0;
  const builder = new RecordBatchBuilder({
    baseOffset,
    isTransactional,
    producerId,
    producerEpoch: isTransactional ? 0 : -1,
    baseSequence: isTransactional ? 0 : -1,
  });
  for (const value of values) builder.append(1, null, new TextEncoder().encode(value));
  return builder.build();
}

describe("fetchRecords()", () => {
  test.each(["none", "gzip"] as const)("begins inside a batch of codec %s", async (codec) => {
    await fill(0, [10, 11, 12, 13], codec);
    await fill(0, [14, 15], codec);
    const { records, nextOffset } = await readOne({ partitions: [{ partition: 0, offset: 2 }] });
    expect(records.map(({ offset, value }) => [offset, value![0]])).toEqual([
      [2, 12],
      [3, 13],
      [4, 14],
      [5, 15],
    ]);
    expect(nextOffset).toBe(6);
  });

  test("gives so many records over all partitions, and goes on behind them", async () => {
    await fill(0, [1, 2, 3], "none");
    await fill(1, [4, 5, 6], "none");
    const from = (a: number, b: number) => [
      { partition: 0, offset: a },
      { partition: 1, offset: b },
    ];
    const first = await read({ partitions: from(0, 0), recordsMax: 4 });
    expect(first.map((each) => (each.ok ? each.value.nextOffset : each.error.code))).toEqual([
      3, 1,
    ]);
    const second = await read({ partitions: from(3, 1), recordsMax: 4 });
    expect(second.map((each) => (each.ok ? each.value.records.length : -1))).toEqual([0, 2]);
  });

  test("bounds the bytes of what it gives, also of what was compressed, but gives one record", async () => {
    const value = new Uint8Array(10_000);
    const records = Array.from({ length: 20 }, () => ({ partition: 0, key: null, value }));
    await appendRecords(rig.broker, rig.runtime, rig.caller, {
      topic: "t",
      records,
      compression: "gzip",
    });
    expect((await readOne({ bytesMax: 50_000 })).offsets).toEqual([0, 1, 2, 3]);
    const one = await readOne({ bytesMax: 100, partitions: [{ partition: 0, offset: 7 }] });
    expect(one).toMatchObject({ offsets: [7], nextOffset: 8 });
  });

  test("waits for what comes, as long as it was told, and no longer than its caller", async () => {
    const coming = readOne({ waitMsMax: 60_000 });
    await fill(0, [1], "none");
    expect((await coming).offsets).toEqual([0]);
    const waiting = readOne({ waitMsMax: 60_000, partitions: [{ partition: 0, offset: 1 }] });
    rig.gone.abort();
    expect(await waiting).toMatchObject({ offsets: [], nextOffset: 1 });
  });

  test("refuses offsets that are not there, and partitions, each for itself", async () => {
    await fill(0, [1], "none");
    const outcomes = await read({
      partitions: [
        { partition: 0, offset: 0 },
        { partition: 0, offset: 9 },
        { partition: 5, offset: 0 },
      ],
    });
    expect(outcomes.map((each) => (each.ok ? "ok" : each.error.code))).toEqual([
      "ok",
      "offset_out_of_range",
      "unknown_topic_or_partition",
    ]);
  });

  test("keeps nothing of the log's buffers", async () => {
    const batch = batchOf(0, ["aaaa", "bbbb"]);
    let isReleased = false;
    const broker = answering([batch], [], () => {
      isReleased = true;
      batch.fill(0);
    });
    const { records } = await readOne({}, broker);
    expect(isReleased).toBe(true);
    expect(records.map(({ value }) => new TextDecoder().decode(value!))).toEqual(["aaaa", "bbbb"]);
  });

  test("shows no markers, and no aborted records to who wants committed ones", async () => {
    const marker = (baseOffset: number, producerId: number, commits: boolean) =>
      buildEndTransactionMarker({
        type: commits ? CONTROL_COMMIT : CONTROL_ABORT,
        producerId,
        producerEpoch: 0,
        coordinatorEpoch: 0,
        timestampMs: 1,
        baseOffset,
      });
    const bytes = [
      batchOf(0, ["a", "b"], 1),
      batchOf(2, ["c"], 2),
      marker(3, 1, false),
      marker(4, 2, true),
      batchOf(5, ["d"], 1),
      marker(6, 1, true),
    ];
    const broker = answering(bytes, [{ producerId: 1, firstOffset: 0 }]);
    const committed = await readOne({ isolation: "read_committed" }, broker);
    expect(committed).toMatchObject({ offsets: [2, 5], nextOffset: 7 });
    expect((await readOne({}, broker)).offsets).toEqual([0, 1, 2, 5]);
  });

  test("says which codec the host lacks, and that it is no damage", async () => {
    await fill(0, [1, 2], "gzip");
    const runtime = { ...rig.runtime, compression: edgeCompression };
    const request = { ...BASE, partitions: [{ partition: 0, offset: 0 }] };
    const [refusal] = await fetchRecords(rig.broker, runtime, rig.caller, request);
    expect(refusal).toMatchObject({ error: { code: "unsupported_compression_type" } });
  });

  test("gives what stands before damage, then says where it is, and gives buffers back", async () => {
    const damaged = batchOf(2, ["c"]);
    damaged[damaged.length - 1]! ^= 1;
    let releases = 0;
    const broker = answering([batchOf(0, ["a", "b"]), damaged], [], () => releases++);
    expect(await readOne({}, broker)).toMatchObject({ offsets: [0, 1], nextOffset: 2 });
    const [refusal] = await read({ partitions: [{ partition: 0, offset: 2 }] }, broker);
    expect(refusal).toMatchObject({ ok: false, error: { code: "corrupt_message" } });
    const [cut] = await read({}, answering([batchOf(0, ["a"]).subarray(0, 40)]));
    expect(cut).toMatchObject({ ok: false, error: { code: "corrupt_message" } });
    expect(releases).toBe(2);
  });
});

describe("fetchWithRoom()", () => {
  /** Room that is counted. */
  function rooms() {
    const counts = { taken: 0, given: 0 };
    const take = async () => ({ bytesMax: 1_000_000, kept: ++counts.taken });
    return { counts, room: { take, give: () => void counts.given++ } };
  }
  const wait = (request: Partial<FetchRecordsRequest>, room: ReturnType<typeof rooms>["room"]) =>
    fetchWithRoom(
      rig.broker,
      rig.runtime,
      rig.caller,
      { ...BASE, partitions: [{ partition: 0, offset: 0 }], waitMsMax: 60_000, ...request },
      room,
    );

  test("holds none while it waits, also for more than there is", async () => {
    const { counts, room } = rooms();
    await fill(0, [1], "none");
    const waiting = wait({ bytesMin: 150 }, room);
    while (counts.given === 0) await rig.runtime.scheduler.yieldNow();
    expect(counts).toEqual({ taken: 1, given: 1 });
    await fill(0, [2], "none");
    await fill(0, [3], "none");
    const found = await waiting;
    expect(found?.outcomes).toMatchObject([{ value: { records: { length: 3 } } }]);
    expect(found?.kept).toBe(counts.taken);
    expect(counts.given).toBe(counts.taken - 1);
  });

  test("gives what there is when the time is up, and nothing when the caller has gone", async () => {
    await fill(0, [1], "none");
    const late = rooms();
    const found = await wait({ bytesMin: 1000, waitMsMax: 5 }, late.room);
    expect(found?.outcomes).toMatchObject([{ value: { records: { length: 1 }, nextOffset: 1 } }]);
    const gone = rooms();
    const waiting = wait({ bytesMin: 1000 }, gone.room);
    while (gone.counts.given === 0) await rig.runtime.scheduler.yieldNow();
    rig.gone.abort();
    const ended = await waiting;
    expect(ended).toMatchObject({
      kept: null,
      outcomes: [{ value: { records: [], nextOffset: 0 } }],
    });
    expect(gone.counts).toEqual({ taken: 1, given: 1 });
  });
});
