// Following a topic: what is there, what comes, and nothing while nobody asks.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Broker } from "../../src/contracts/broker.ts";
import { appendRecords } from "../../src/gateway/records.ts";
import { RecordTail, type TailOptions } from "../../src/gateway/tail.ts";
import { deleteTopic } from "../../src/gateway/topics.ts";
import { type MemoryBroker, memoryBroker } from "../support/memory_broker.ts";

let rig: MemoryBroker;
let fetches: number;
beforeEach(async () => {
  rig = await memoryBroker();
  await rig.topic("t", 2);
  fetches = 0;
});
afterEach(() => rig.stop());

async function put(partition: number, ...values: number[]): Promise<void> {
  const records = values.map((value) => ({ partition, key: null, value: Uint8Array.of(value) }));
  await appendRecords(rig.broker, rig.runtime, rig.caller, { topic: "t", records });
}

function tailOf(options: Partial<TailOptions> = {}): RecordTail {
  const { broker } = rig;
  const log = {
    fetch: (...given: Parameters<typeof broker.log.fetch>) => {
      fetches++;
      return broker.log.fetch(...given);
    },
    topicIdOf: (name: string) => broker.log.topicIdOf(name),
  };
  const counted = { log, setting: (name: string) => broker.setting(name) } as unknown as Broker;
  const partitions = options.partitions ?? [0, 1].map((partition) => ({ partition, offset: 0 }));
  return new RecordTail(counted, rig.runtime, rig.caller, { topic: "t", ...options, partitions });
}

async function values(tail: RecordTail, bounds?: { recordsMax?: number }): Promise<number[]> {
  const batch = await tail.next(bounds);
  if (batch === null || !batch.ok) throw new Error("ended");
  return batch.value.records.map(({ value }) => value![0]!);
}

describe("RecordTail", () => {
  test("gives what is there, then what comes, each record once", async () => {
    await put(0, 1, 2);
    await put(1, 3);
    const tail = tailOf();
    expect(await values(tail)).toEqual([1, 2, 3]);
    const coming = values(tail);
    await put(1, 4);
    expect(await coming).toEqual([4]);
    expect(tail.positions).toEqual([
      { partition: 0, offset: 2 },
      { partition: 1, offset: 2 },
    ]);
  });

  test("reads nothing while nobody asks", async () => {
    await put(0, 1);
    const tail = tailOf();
    await put(0, 2);
    expect(fetches).toBe(0);
    await values(tail);
    await put(0, 3);
    expect(fetches).toBe(1);
  });

  test("lets no partition starve the others", async () => {
    await put(0, 1, 2, 3, 4);
    await put(1, 11, 12);
    const tail = tailOf({ recordsMax: 2 });
    expect(await values(tail)).toEqual([1, 2]);
    expect(await values(tail)).toEqual([11, 12]);
    expect(await values(tail, { recordsMax: 1 })).toEqual([3]);
  });

  test("says whether there was more", async () => {
    await put(0, 1, 2, 3);
    const tail = tailOf();
    expect(await tail.next({ recordsMax: 2 })).toMatchObject({ value: { isBehind: true } });
    expect(await tail.next({ recordsMax: 2 })).toMatchObject({ value: { isBehind: false } });
  });

  test("ends with its caller, also in the middle of waiting", async () => {
    const tail = tailOf();
    const coming = tail.next();
    rig.gone.abort();
    expect(await coming).toBeNull();
    expect(await tail.next()).toBeNull();
    expect(fetches).toBe(1);
  });

  test("says that an offset is gone, then ends", async () => {
    await put(0, 1);
    const tail = tailOf({ partitions: [{ partition: 0, offset: 50 }] });
    const refusal = await tail.next();
    expect(refusal).toMatchObject({ ok: false, error: { code: "offset_out_of_range" } });
    expect(refusal!.ok || refusal!.error.message).toContain("offset 50");
    expect(await tail.next()).toBeNull();
  });

  test("gives the records of one partition before the failure of another", async () => {
    await put(0, 1);
    const tail = tailOf({
      partitions: [
        { partition: 1, offset: 9 },
        { partition: 0, offset: 0 },
      ],
    });
    expect(await values(tail)).toEqual([1]);
    expect(await tail.next()).toMatchObject({ error: { code: "offset_out_of_range" } });
  });

  test("gives a sign of life where it was asked for", async () => {
    const batch = await tailOf({ quietMsMax: 10 }).next();
    expect(batch).toMatchObject({ ok: true, value: { records: [] } });
  });

  test("is an async iterator, and ends where the loop is left", async () => {
    await put(0, 1, 2, 3);
    const tail = tailOf({ recordsMax: 1 });
    const seen: number[] = [];
    for await (const batch of tail) {
      if (!batch.ok) throw new Error(batch.error.code);
      for (const { value } of batch.value.records) seen.push(value![0]!);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([1, 2]);
    expect(await tail.next()).toBeNull();
  });

  test("ends where its topic was deleted and made anew, whatever offset it is at", async () => {
    await put(0, 1, 2, 3);
    const tail = tailOf();
    expect(await values(tail)).toEqual([1, 2, 3]);
    const waiting = tailOf({ partitions: [{ partition: 0, offset: 3 }] });
    const woken = waiting.next();
    await deleteTopic(rig.broker, rig.caller, "t");
    expect(await woken).toMatchObject({ error: { code: "unknown_topic_or_partition" } });
    await rig.topic("t", 2);
    await put(0, 11, 12, 13, 14);
    expect(await tail.ready()).toBe(true);
    expect(await tail.next()).toMatchObject({ ok: false, error: { code: "unknown_topic_id" } });
    expect(await tail.next()).toBeNull();
    // So does one that was given an id from before.
    const old = tailOf({ topicId: "AAAAAAAAAAAAAAAAAAAAAQ" });
    expect(await old.next()).toMatchObject({ error: { code: "unknown_topic_id" } });
  });

  test("waits for records without reading, and reads them without waiting", async () => {
    const tail = tailOf({ partitions: [{ partition: 0, offset: 0 }] });
    expect(await tail.next({ isNow: true })).toMatchObject({ value: { records: [] } });
    const ready = tail.ready();
    await put(0, 1);
    expect(await ready).toBe(true);
    expect(await values(tail)).toEqual([1]);
    const quiet = tailOf({ partitions: [{ partition: 0, offset: 1 }], quietMsMax: 5 });
    expect(await quiet.ready()).toBe(false);
    const ended = tail.ready();
    rig.gone.abort();
    expect(await ended).toBe(false);
  });
});
