// A shard in its host: what is answered and when, what happens to who waits when an append or a load fails, and that
// the state after a load is what was acknowledged.

import { describe, expect, test } from "bun:test";
import { DecodeError } from "../../../src/base/byte_reader.ts";
import {
  answer,
  type Decide,
  type Decision,
  NO_DECISION,
  type Now,
  type RecordSerde,
  type Reply,
  type Shard,
  type ShardTimers,
} from "../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import type { Outcome } from "../../../src/protocol/errors.ts";
import { patchCrc } from "../../../src/record/batch_header.ts";
import { CODECS, type Codec } from "../../../src/record/compression.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
} from "../../../src/record/control_record.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import { ScriptedLog } from "./scripted_log.ts";

interface Entry {
  readonly key: string;
  readonly value: string | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Keys that begin with "?" are of a type that is not known, "!" of one that cannot be read. */
const serde: RecordSerde<Entry> = {
  encode: ({ key, value }) => ({
    key: encoder.encode(key),
    value: value === null ? null : encoder.encode(value),
  }),
  decode(key, value) {
    const text = decoder.decode(key);
    if (text.startsWith("?")) return null;
    if (text.startsWith("!")) throw new DecodeError("not readable");
    return { key: text, value: value === null ? null : decoder.decode(value) };
  },
};

/** A map of texts, and readers who wait for a key. */
class MapShard implements Shard<Entry> {
  readonly map = new Map<string, string>();
  readonly offsets: number[] = [];
  readonly waiting = new Map<string, Reply<string>[]>();
  readonly timers: ShardTimers<Entry>;
  isDropped = false;
  loadedAt: Now | null = null;

  constructor(timers: ShardTimers<Entry>) {
    this.timers = timers;
  }

  replay({ key, value }: Entry, offset: number): void {
    if (key === "poison") throw new Error("cannot be replayed");
    this.offsets.push(offset);
    if (value === null) this.map.delete(key);
    else this.map.set(key, value);
  }

  loaded(now: Now): Decision<Entry> {
    this.loadedAt = now;
    return NO_DECISION;
  }

  dropped(): void {
    this.isDropped = true;
  }

  put(entries: readonly Entry[], reply: Reply<string>): Decision<Entry> {
    const woken = entries.flatMap(({ key, value }) => {
      const replies = this.waiting.get(key) ?? [];
      this.waiting.delete(key);
      return replies.map((each) => answer(each, value ?? "gone"));
    });
    return { records: entries, answers: [answer(reply, "put"), ...woken] };
  }

  get(key: string, reply: Reply<string>): Decision<Entry> {
    return { records: [], answers: [answer(reply, this.map.get(key) ?? "none")] };
  }

  waitFor(key: string, reply: Reply<string>): Decision<Entry> {
    this.waiting.set(key, [...(this.waiting.get(key) ?? []), reply]);
    return NO_DECISION;
  }
}

class Rig {
  readonly test = new TestRuntime();
  readonly log: ScriptedLog;
  readonly shards: MapShard[] = [];
  readonly host: ShardHost<MapShard, Entry>;
  readonly gone = new AbortController();
  codec: Codec = "none";

  constructor(log = new ScriptedLog(), pendingMax = 1000) {
    this.log = log;
    this.host = new ShardHost({
      log,
      serde,
      runtime: this.test.runtime,
      makeShard: (timers) => {
        const shard = new MapShard(timers);
        this.shards.push(shard);
        return shard;
      },
      codec: () => this.codec,
      pendingMax,
    });
  }

  get shard(): MapShard {
    return this.shards.at(-1)!;
  }

  run(decide: Decide<MapShard, Entry, string>, signal = this.gone.signal): Watched {
    return new Watched(this.host.run(decide, signal));
  }

  put(key: string, value: string | null = "v"): Watched {
    return this.run((shard, _now, reply) => shard.put([{ key, value }], reply));
  }

  get(key: string): Watched {
    return this.run((shard, _now, reply) => shard.get(key, reply));
  }

  waitFor(key: string, signal = this.gone.signal): Watched {
    return this.run((shard, _now, reply) => shard.waitFor(key, reply), signal);
  }
}

/** A promise with what it came to: the answer, or the code of a refusal; null while it waits. */
class Watched {
  seen: string | null = null;
  readonly done: Promise<string>;

  constructor(promise: Promise<Outcome<string>>) {
    this.done = promise.then((outcome) => {
      this.seen = outcome.ok ? outcome.value : outcome.error.code;
      return this.seen;
    });
  }
}

/** A log that another life has written `entries` into, a batch for each. */
async function written(
  entries: readonly Entry[],
  codec: Codec = "none",
  batchBytesMax = 1_048_588,
): Promise<ScriptedLog> {
  const rig = new Rig();
  rig.log.batchBytesMax = batchBytesMax;
  rig.codec = codec;
  for (const { key, value } of entries) {
    await rig.put(key, value).done;
  }
  rig.host.close();
  return rig.log;
}

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

describe("loading", () => {
  const entries = [
    { key: "a", value: "1" },
    { key: "b", value: "2" },
    { key: "a", value: "3" },
    { key: "b", value: null },
  ];

  test.each(["none", "gzip", "zstd"] as const)("replays the log in order (%s)", async (codec) => {
    const rig = new Rig(await written(entries, codec));
    expect(await rig.get("a").done).toBe("3");
    expect(rig.shard.map).toEqual(new Map([["a", "3"]]));
    expect(rig.shard.offsets).toEqual([0, 1, 2, 3]);
    expect(rig.shard.loadedAt).not.toBeNull();
    expect(rig.log.borrowed).toBe(0);
  });

  test("starts at the log's start, also in the middle of a batch", async () => {
    const source = new Rig();
    await source.run((shard, _now, reply) => shard.put(entries, reply)).done;
    source.log.logStartOffset = 2;
    const rig = new Rig(source.log);
    await rig.get("a").done;
    expect(rig.shard.offsets).toEqual([2, 3]);
  });

  test("skips what it does not know, and markers", async () => {
    const source = new Rig();
    await source.put("?share", "1").done;
    source.log.append(
      buildEndTransactionMarker({
        producerId: 7,
        producerEpoch: 0,
        type: CONTROL_COMMIT,
        coordinatorEpoch: 0,
        timestampMs: 1,
      }),
    );
    await source.put("a", "1").done;
    const rig = new Rig(source.log);
    expect(await rig.get("a").done).toBe("1");
    expect(rig.shard.offsets).toEqual([2]);
    expect(rig.test.events("coordinator_loaded")[0]!.fields).toMatchObject({
      records: 2,
      skipped: 1,
    });
  });

  test("tells records of transactions apart, and their ends", async () => {
    const log = new ScriptedLog();
    const told: string[] = [];
    const inTransaction = (key: string, producerId: number) => {
      const builder = new RecordBatchBuilder({
        producerId,
        producerEpoch: 0,
        baseSequence: 0,
        isTransactional: true,
      });
      builder.append(1, encoder.encode(key), encoder.encode("1"));
      return builder.build();
    };
    const end = (producerId: number, type: typeof CONTROL_COMMIT | typeof CONTROL_ABORT) =>
      buildEndTransactionMarker({
        producerId,
        producerEpoch: 0,
        type,
        coordinatorEpoch: 0,
        timestampMs: 1,
      });
    log.append(inTransaction("a", 7));
    log.append(inTransaction("?unknown", 8));
    log.append(inTransaction("b", 8));
    log.append(end(8, CONTROL_ABORT));
    log.append(end(7, CONTROL_COMMIT));
    // Without a word on transactions they are passed over.
    const plain = new Rig(log);
    expect(await plain.get("a").done).toBe("none");
    const test = new TestRuntime();
    const host = new ShardHost<MapShard, Entry>({
      log,
      serde,
      runtime: test.runtime,
      makeShard: (timers) =>
        Object.assign(new MapShard(timers), {
          replayTransactional: ({ key }: Entry, offset: number, producerId: number) =>
            told.push(`${key} at ${offset} of ${producerId}`),
          replayMarker: (producerId: number, isCommit: boolean) =>
            told.push(`${producerId} ${isCommit ? "commits" : "aborts"}`),
        }),
      codec: () => "none",
      pendingMax: 10,
    });
    const got = await host.run<string>(
      (shard, _now, reply) => shard.get("a", reply),
      new AbortController().signal,
    );
    expect(got).toEqual({ ok: true, value: "none" });
    expect(told).toEqual(["a at 0 of 7", "b at 2 of 8", "8 aborts", "7 commits"]);
    expect(test.events("coordinator_loaded")[0]!.fields).toMatchObject({ records: 3, skipped: 1 });
  });

  test("fails at a marker that cannot be read", async () => {
    const log = new ScriptedLog();
    const builder = new RecordBatchBuilder({
      producerId: 7,
      producerEpoch: 0,
      isTransactional: true,
      isControl: true,
    });
    builder.append(1, new Uint8Array([0, 0, 0, 1]), new Uint8Array(2));
    log.append(builder.build());
    const rig = new Rig(log);
    expect(await rig.get("a").done).toBe("not_coordinator");
    const { reason } = rig.test.events("coordinator_load_failed")[0]!.fields;
    expect(reason).toBe("The marker at offset 0 cannot be read");
  });

  test("requests wait for it in order; answers come after it", async () => {
    const rig = new Rig(await written(entries));
    const first = rig.put("a", "4");
    const second = rig.get("a");
    expect(first.seen).toBeNull();
    expect(await second.done).toBe("4");
    expect(rig.shards).toHaveLength(1);
  });

  test("that takes too long refuses who waits and who comes, then answers", async () => {
    const log = await written(entries);
    let release = () => {};
    const read = log.read.bind(log);
    log.read = async (offset, bytesMax) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return read(offset, bytesMax);
    };
    const rig = new Rig(log);
    const waits = rig.get("a");
    await rig.test.advance(999);
    expect(waits.seen).toBeNull();
    await rig.test.advance(1);
    expect(waits.seen).toBe("coordinator_load_in_progress");
    expect(await rig.get("a").done).toBe("coordinator_load_in_progress");
    release();
    await settle();
    expect(await rig.get("a").done).toBe("3");
  });

  test("waits for what is not committed yet", async () => {
    const log = await written(entries);
    log.commitsAtOnce = false;
    const other = new Rig(log);
    const put = other.put("a", "5");
    await settle();
    expect(put.seen).toBeNull();
    other.host.close();
    const rig = new Rig(log);
    const read = rig.get("a");
    await settle();
    expect(read.seen).toBeNull();
    log.commit();
    expect(await read.done).toBe("5");
  });

  const damages: readonly [what: string, damage: (log: ScriptedLog) => void, reason: string][] = [
    ["a record that cannot be read", (log: ScriptedLog) => corruptKey(log), "cannot be read"],
    ["a damaged batch", (log: ScriptedLog) => void log.batches[1]!.fill(9, 16, 17), "is damaged"],
    ["a read that fails", (log: ScriptedLog) => void (log.readFault = "EIO"), "EIO"],
    ["a hole", (log: ScriptedLog) => void log.batches.splice(2), "Nothing can be read at offset 2"],
  ];

  test.each(damages.map((each) => [...each] as const))(
    "fails with %s, and says so, again and again",
    async (_what, damage, reason) => {
      const log = await written(entries);
      damage(log);
      const rig = new Rig(log);
      expect(await rig.get("a").done).toBe("not_coordinator");
      expect(await rig.put("a").done).toBe("not_coordinator");
      const failures = rig.test.events("coordinator_load_failed");
      expect(failures).toHaveLength(1);
      expect(String(failures[0]!.fields["reason"])).toContain(reason);
      expect(rig.shards).toHaveLength(1);
      expect(rig.shards[0]!.isDropped).toBe(true);
      await rig.test.advance(10_000);
      expect(await rig.get("a").done).toBe("not_coordinator");
      expect(rig.test.events("coordinator_load_failed")).toHaveLength(2);
      expect(log.borrowed).toBe(0);
      expect(log.counts.length <= 4).toBe(true);
    },
  );

  test("that is closed meanwhile ends, and nobody is answered", async () => {
    const rig = new Rig(await written(entries));
    const waits = rig.get("a");
    rig.host.close();
    expect(await waits.done).toBe("not_coordinator");
    await settle();
    expect(rig.host.isActive).toBe(false);
    expect(rig.shards[0]!.isDropped).toBe(true);
    expect(await rig.get("a").done).toBe("not_coordinator");
  });
});

function corruptKey(log: ScriptedLog): void {
  const bytes = log.batches[1]!;
  bytes[bytes.indexOf("b".charCodeAt(0), 61)] = "!".charCodeAt(0);
  patchCrc(bytes, 0, bytes.length);
}
