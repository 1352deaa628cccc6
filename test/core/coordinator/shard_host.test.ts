// A shard in its host: what is answered and when, what happens to who waits when an append or a load fails, and that
// the state after a load is what was acknowledged.

import { describe, expect, test } from "bun:test";
import { answer } from "../../../src/core/coordinator/runtime/shard.ts";
import { CODECS } from "../../../src/record/compression.ts";
import { settle } from "../../support/test_runtime.ts";
import { ScriptedLog } from "./scripted_log.ts";
import { type Entry, Rig } from "./shard_host_rig.ts";

describe("deciding and answering", () => {
  test("a decision falls before run returns; its answer comes once its records are committed", async () => {
    const rig = new Rig();
    rig.log.commitsAtOnce = false;
    const put = rig.put("a", "1");
    expect(rig.shard.map.get("a")).toBe("1");
    await settle();
    expect(put.seen).toBeNull();
    rig.log.commit();
    await settle();
    expect(put.seen).toBe("put");
    expect(rig.shard.offsets).toEqual([0]);
    expect(rig.host.pendingCount).toBe(0);
  });

  test("a read waits for all it could see, and only for that", async () => {
    const rig = new Rig();
    rig.log.commitsAtOnce = false;
    const before = rig.get("a");
    await settle();
    expect(before.seen).toBe("none");
    rig.put("a", "1");
    const inTurn = rig.get("a");
    await settle();
    const inFlight = rig.get("a");
    rig.put("b", "2");
    const later = rig.get("b");
    await settle();
    expect([inTurn.seen, inFlight.seen, later.seen]).toEqual([null, null, null]);
    rig.log.commit(1);
    await settle();
    expect([inTurn.seen, inFlight.seen, later.seen]).toEqual(["1", "1", null]);
    rig.log.commit();
    await settle();
    expect(later.seen).toBe("2");
  });

  test("the decisions of a turn share a batch; the next turn begins another", async () => {
    const rig = new Rig();
    rig.put("a");
    rig.put("b");
    rig.put("c");
    await settle();
    rig.put("d");
    await settle();
    expect(rig.log.counts).toEqual([3, 1]);
    expect(rig.shard.offsets).toEqual([0, 1, 2, 3]);
  });

  test("a batch never passes its bound: several are written, each decision whole in one", async () => {
    const rig = new Rig();
    rig.log.batchBytesMax = 61 + 1000;
    const long = "x".repeat(200);
    const pair = (key: string): readonly Entry[] => [
      { key: `${key}1`, value: long },
      { key: `${key}2`, value: long },
    ];
    const puts = ["a", "b", "c"].map((key) =>
      rig.run((shard, _now, reply) => shard.put(pair(key), reply)),
    );
    await settle();
    expect(puts.map((each) => each.seen)).toEqual(["put", "put", "put"]);
    expect(rig.log.counts).toEqual([4, 2]);
    expect(rig.shard.offsets).toEqual([0, 1, 2, 3, 4, 5]);
    for (const batch of rig.log.batches) expect(batch.length <= 1061).toBe(true);
  });

  test("records that no batch takes are refused, or decided anew, or split", async () => {
    const rig = new Rig();
    rig.log.batchBytesMax = 61 + 300;
    const entries = ["a", "b", "c"].map((key) => ({ key, value: "x".repeat(150) }));
    const waits = rig.waitFor("a");
    const plain = rig.run((shard, _now, reply) => shard.put(entries, reply));
    expect(await plain.done).toBe("unknown_server_error");
    expect(await waits.done).toBe("unknown_server_error");
    expect(rig.shard.map.size).toBe(0);
    const instead = rig.run((shard, _now, reply) => ({
      ...shard.put(entries, reply),
      tooLarge: () => ({ records: [], answers: [answer(reply, "too large")] }),
    }));
    expect(await instead.done).toBe("too large");
    const split = rig.run((shard, _now, reply) => ({
      ...shard.put(entries, reply),
      mayBeSplit: true as const,
    }));
    expect(await split.done).toBe("put");
    expect(rig.log.counts).toEqual([1, 1, 1]);
    const hopeless = rig.run((shard, _now, reply) => ({
      ...shard.put([{ key: "d", value: "x".repeat(400) }], reply),
      mayBeSplit: true as const,
    }));
    expect(await hopeless.done).toBe("unknown_server_error");
    expect(rig.shard.map.has("d")).toBe(false);
  });

  test("room that is wanted beside records is there, or they are refused", async () => {
    const rig = new Rig();
    const put = (length: number, spareBytes: number) =>
      rig.run((shard, _now, reply) => ({
        ...shard.put([{ key: "a", value: "x".repeat(length) }], reply),
        spareBytes,
      })).done;
    rig.log.batchBytesMax = 61 + 300;
    expect(await put(200, 0)).toBe("put");
    expect(await put(200, 100)).toBe("unknown_server_error");
    expect(await put(100, 100)).toBe("put");
  });

  test("what no record can hold is refused, and the shard stays as it is", async () => {
    const rig = new Rig();
    const waits = rig.waitFor("b");
    expect(await rig.put("#a").done).toBe("unknown_server_error");
    expect(rig.shards.length).toBe(1);
    expect(await rig.put("b").done).toBe("put");
    expect(await waits.done).toBe("v");
    expect(rig.shard.offsets).toEqual([0]);
  });

  test("what cannot be compressed fits into its batch all the same, or is refused", async () => {
    for (const codec of CODECS) {
      const rig = new Rig();
      rig.codec = codec;
      const { batchBytesMax } = rig.log;
      let state = 1;
      const noise = (length: number) =>
        String.fromCharCode(
          ...Array.from({ length }, () => {
            state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
            return 1 + ((state >>> 16) % 127);
          }),
        );
      for (const spareBytes of [100, 400, 17_000]) {
        let value = "";
        for (const end = batchBytesMax - spareBytes; value.length < end; ) {
          value += noise(Math.min(10_000, end - value.length));
        }
        const outcome = await rig.put("a", value).done;
        expect(["put", "unknown_server_error"]).toContain(outcome!);
        for (const batch of rig.log.batches.splice(0)) {
          expect(batch.length <= batchBytesMax).toBe(true);
        }
        rig.log.batches.length = 0;
      }
    }
  });

  test("a kept reply is answered by a later decision, when that one is committed", async () => {
    const rig = new Rig();
    rig.log.commitsAtOnce = false;
    const waits = rig.waitFor("a");
    rig.put("a", "late");
    await settle();
    expect(waits.seen).toBeNull();
    rig.log.commit();
    expect(await waits.done).toBe("late");
  });

  test("a caller who goes frees its reply; what is decided for it later goes nowhere", async () => {
    const rig = new Rig();
    const gone = new AbortController();
    const waits = rig.waitFor("a", gone.signal);
    const stays = rig.waitFor("a");
    expect(rig.host.pendingCount).toBe(2);
    gone.abort();
    expect(await waits.done).toBe("not_coordinator");
    expect(rig.host.pendingCount).toBe(1);
    expect(rig.shard.waiting.get("a")!.map((reply) => reply.isDone)).toEqual([true, false]);
    expect(await rig.put("a", "1").done).toBe("put");
    expect(stays.seen).toBe("1");
    expect(await rig.waitFor("b", gone.signal).done).toBe("not_coordinator");
    expect(rig.shard.waiting.has("b")).toBe(false);
  });

  test("as many wait as may; one more is told to come again", async () => {
    const rig = new Rig(new ScriptedLog(), 2);
    rig.waitFor("a");
    rig.waitFor("a");
    expect(await rig.get("a").done).toBe("coordinator_load_in_progress");
  });

  test("a decision that fails is refused, and nothing of it stays", async () => {
    const rig = new Rig();
    const broken = rig.run(() => {
      throw new Error("a defect");
    });
    expect(await broken.done).toBe("unknown_server_error");
    expect(rig.test.events("coordinator_defect")).toHaveLength(1);
    expect(await rig.put("a").done).toBe("put");
    expect(rig.shards).toHaveLength(1);
  });

  test("a record that cannot be replayed drops the shard, and is not written", async () => {
    const rig = new Rig();
    await rig.put("a", "1").done;
    const waits = rig.waitFor("z");
    const broken = rig.put("poison");
    expect(await broken.done).toBe("unknown_server_error");
    expect(await waits.done).toBe("not_coordinator");
    expect(await rig.get("a").done).toBe("1");
    expect(rig.shards).toHaveLength(2);
    expect(rig.log.counts).toEqual([1]);
  });
});

describe("timers", () => {
  test("fire as decisions, in order, and go with the shard", async () => {
    const rig = new Rig();
    await rig.put("a", "0").done;
    const { timers } = rig.shard;
    const write = (value: string) => () => ({ records: [{ key: "a", value }], answers: [] });
    timers.set("late", 200, write("late"));
    timers.set("early", 100, write("early"));
    timers.set("never", 100, write("never"));
    timers.cancel("never");
    await rig.test.advance(99);
    expect(rig.shard.map.get("a")).toBe("0");
    await rig.test.advance(1);
    expect(rig.shard.map.get("a")).toBe("early");
    timers.set("late", 500, write("put off"));
    await rig.test.advance(499);
    expect(rig.shard.map.get("a")).toBe("early");
    await rig.test.advance(1);
    expect(rig.shard.map.get("a")).toBe("put off");
    timers.set("lost", 10, write("lost"));
    rig.log.refuses = true;
    rig.put("b");
    await settle();
    rig.log.refuses = false;
    await rig.test.advance(1000);
    expect(await rig.get("a").done).toBe("put off");
    expect(rig.log.counts).toEqual([1, 1, 1]);
  });
});

describe("an append that fails", () => {
  test("drops the shard: who waits is refused, what was not committed is not there any more", async () => {
    const rig = new Rig();
    await rig.put("a", "1").done;
    rig.log.commitsAtOnce = false;
    const put = rig.put("a", "2");
    const read = rig.get("a");
    const waits = rig.waitFor("z");
    await settle();
    rig.log.fail();
    rig.log.commitsAtOnce = true;
    await settle();
    expect([put.seen, read.seen, waits.seen]).toEqual([
      "not_coordinator",
      "not_coordinator",
      "not_coordinator",
    ]);
    expect(rig.shards[0]!.isDropped).toBe(true);
    expect(await rig.get("a").done).toBe("1");
    expect(rig.shards).toHaveLength(2);
    expect(rig.host.pendingCount).toBe(0);
  });

  test("that is refused at once does the same, also in the middle of several batches", async () => {
    const rig = new Rig();
    rig.log.batchBytesMax = 61 + 300;
    rig.log.refuses = true;
    const entries = ["a", "b", "c"].map((key) => ({ key, value: "x".repeat(150) }));
    const split = rig.run((shard, _now, reply) => ({
      ...shard.put(entries, reply),
      mayBeSplit: true as const,
    }));
    expect(await split.done).toBe("not_coordinator");
    rig.log.refuses = false;
    expect(rig.shard.map.size).toBe(0);
    expect(await rig.put("a", "1").done).toBe("put");
  });

  test("when the folder is offline there is no coordinator, until it is back", async () => {
    const rig = new Rig();
    await rig.put("a", "1").done;
    rig.log.commitsAtOnce = false;
    const put = rig.put("a", "2");
    await settle();
    rig.log.isOnline = false;
    rig.log.fail();
    expect(await put.done).toBe("not_coordinator");
    expect(await rig.get("a").done).toBe("coordinator_not_available");
    rig.log.isOnline = true;
    rig.log.commitsAtOnce = true;
    await rig.test.advance(10_000);
    expect(await rig.get("a").done).toBe("1");
  });
});
