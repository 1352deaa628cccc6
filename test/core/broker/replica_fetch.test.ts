// What a leader answers a follower: what is appended, what is news, where histories part, and when it refuses.

import { beforeEach, describe, expect, test } from "bun:test";
import type { FetchOutcome } from "../../../src/contracts/broker.ts";
import { ReplicaFetch } from "../../../src/core/broker/replica_fetch.ts";
import { callerOf } from "../../support/memory_broker.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";

let time: TestRuntime;
let gone: AbortController;
let isHeld: boolean;
let leads: boolean;
let noted: object[];
let released: number;
/** What reads give, in order; when none is left, seven bytes. */
let reads: (object | Promise<object>)[];
let leader: {
  leaderEpoch: number;
  replicaWaiters: Set<() => void>;
  follower: (id: number) => object | null;
  followerFetched: (fetch: object) => boolean;
};
let log: {
  logStartOffset: number;
  logEndOffset: number;
  highWatermark: number;
  lastStableOffset: number;
  epochs: { endOf: (epoch: number, end: number) => object | null };
};

beforeEach(() => {
  time = new TestRuntime();
  gone = new AbortController();
  [isHeld, leads, noted, released, reads] = [true, true, [], 0, []];
  log = {
    logStartOffset: 2,
    logEndOffset: 20,
    highWatermark: 8,
    lastStableOffset: 8,
    // Epoch 3 up to 15, 5 from there on.
    epochs: {
      endOf: (epoch, end) =>
        epoch < 3 ? null : epoch < 5 ? { epoch: 3, endOffset: 15 } : { epoch: 5, endOffset: end },
    },
  };
  leader = {
    leaderEpoch: 5,
    replicaWaiters: new Set(),
    follower: (id) => (id === 2 ? {} : null),
    followerFetched: (fetch) => noted.push(fetch) > 0,
  };
});

interface Asked {
  readonly fetchOffset?: number;
  readonly leaderEpoch?: number;
  readonly lastFetchedEpoch?: number;
  readonly highWatermark?: number;
  readonly topicId?: string;
  readonly replicaId?: number;
  readonly waitMsMax?: number;
}

function start(asked: Asked = {}) {
  const { fetchOffset = 10, leaderEpoch = 5, lastFetchedEpoch = 3, highWatermark = 8 } = asked;
  const topic = {};
  const logs = {
    isOnline: true,
    topicWithId: (id: string) => (id === "U" ? topic : undefined),
    logIn: () => log,
    pool: { lentBytes: 0, release: () => released++ },
    reader: {
      read: async () =>
        (await reads.shift()) ?? {
          fault: null,
          buffer: new Uint8Array(7),
          batches: new Uint8Array(7),
        },
    },
  };
  const leaderOf = () => (leads ? (leader as never) : null);
  const options = { logs: logs as never, runtime: time.runtime, leaderOf, isHeld: () => isHeld };
  const fetch = new ReplicaFetch(options, callerOf("Broker:2", gone.signal), {
    isolation: "read_uncommitted",
    waitMsMax: asked.waitMsMax ?? 500,
    bytesMin: 1,
    bytesMax: 1_000,
    replica: { id: asked.replicaId ?? 2, epoch: 102 },
    partitions: [
      {
        topic: "users",
        topicId: asked.topicId ?? "U",
        partition: 0,
        fetchOffset,
        bytesMax: 1_000,
        leaderEpoch,
        follower: { lastFetchedEpoch, logStartOffset: 2, syncedEnd: fetchOffset, highWatermark },
      },
    ],
  });
  const state: { answer: FetchOutcome | null; release: () => void } = {
    answer: null,
    release: () => {},
  };
  void fetch.run().then(({ partitions, release }) => {
    state.answer = partitions[0]!;
    state.release = release;
  });
  return state;
}

async function codeOf(asked: Asked): Promise<string | null> {
  const state = start(asked);
  await settle();
  return state.answer?.ok === false ? state.answer.error.code : null;
}

async function toldOf(asked: Asked) {
  const state = start(asked);
  await settle();
  return state.answer?.ok ? state.answer.value : null;
}

test("what is appended is sent, committed or not, after the follower's position was taken in", async () => {
  const state = start();
  await settle();
  expect(state.answer).toMatchObject({
    ok: true,
    value: { sizeBytes: 7, highWatermark: 8, logStartOffset: 2 },
  });
  expect(noted).toEqual([
    { brokerId: 2, brokerEpoch: 102, fetchOffset: 10, syncedEnd: 10, logStartOffset: 2 },
  ]);
  expect(released).toBe(0);
  state.release();
  state.release();
  expect([released, leader.replicaWaiters.size]).toEqual([1, 0]);
});

describe("with nothing new", () => {
  test("it waits for an append", async () => {
    const state = start({ fetchOffset: 20, lastFetchedEpoch: 5 });
    await settle();
    expect(state.answer).toBe(null);
    log.logEndOffset = 21;
    for (const wake of leader.replicaWaiters) wake();
    await settle();
    expect(state.answer).toMatchObject({ value: { sizeBytes: 7 } });
    expect(noted.length).toBe(1);
  });

  test("it is told of a higher high watermark at once, as far as it has that", async () => {
    const state = start({ fetchOffset: 20, lastFetchedEpoch: 5 });
    await settle();
    log.highWatermark = 9;
    for (const wake of leader.replicaWaiters) wake();
    await settle();
    expect(state.answer).toMatchObject({ value: { sizeBytes: 0, highWatermark: 9 } });
  });

  test("it is answered when its time is up, or when it has gone", async () => {
    const state = start({ fetchOffset: 20, lastFetchedEpoch: 5 });
    const other = start({ fetchOffset: 20, lastFetchedEpoch: 5, waitMsMax: 60_000 });
    await settle();
    await time.advance(499);
    expect(state.answer).toBe(null);
    await time.advance(1);
    expect(state.answer).toMatchObject({ value: { sizeBytes: 0 } });
    expect(other.answer).toBe(null);
    gone.abort();
    await settle();
    expect([other.answer === null, leader.replicaWaiters.size]).toEqual([false, 0]);
  });

  test("it is refused once the leadership is over", async () => {
    const state = start({ fetchOffset: 20, lastFetchedEpoch: 5 });
    await settle();
    leads = false;
    for (const wake of leader.replicaWaiters) wake();
    await settle();
    expect(state.answer).toMatchObject({ ok: false, error: { code: "not_leader_or_follower" } });
  });
});

describe("where histories part", () => {
  test("it is told the newest epoch that both may know, and where that ended; its position counts for nothing", async () => {
    const diverging = { divergingEpoch: { epoch: 3, endOffset: 15 }, sizeBytes: 0 };
    expect(await toldOf({ fetchOffset: 18, lastFetchedEpoch: 3 })).toMatchObject(diverging);
    expect(await toldOf({ fetchOffset: 12, lastFetchedEpoch: 4 })).toMatchObject(diverging);
    expect(noted).toEqual([]);
  });

  test("what it has beyond the leader's end parts there", async () => {
    const told = await toldOf({ fetchOffset: 25, lastFetchedEpoch: 5 });
    expect(told).toMatchObject({ divergingEpoch: { epoch: 5, endOffset: 20 } });
    expect(noted).toEqual([]);
  });

  test("who knows only what nobody knows here, or is before the log's start, is told where to begin anew", async () => {
    for (const asked of [
      { lastFetchedEpoch: 2 },
      { fetchOffset: 1 },
      { fetchOffset: 0, lastFetchedEpoch: -1 },
    ]) {
      const state = start(asked);
      await settle();
      expect(state.answer).toMatchObject({
        ok: false,
        error: { code: "offset_out_of_range", logStartOffset: 2 },
      });
    }
    expect(noted).toEqual([]);
  });
});

test("it refuses under another epoch, to strangers, for other topics, and without a session", async () => {
  expect(await codeOf({ leaderEpoch: 4 })).toBe("fenced_leader_epoch");
  expect(await codeOf({ leaderEpoch: 6 })).toBe("unknown_leader_epoch");
  expect(await codeOf({ replicaId: 7 })).toBe("not_leader_or_follower");
  expect(await codeOf({ topicId: "V" })).toBe("unknown_topic_id");
  isHeld = false;
  expect(await codeOf({})).toBe("not_leader_or_follower");
  isHeld = true;
  leads = false;
  expect(await codeOf({})).toBe("not_leader_or_follower");
  expect(noted).toEqual([]);
});

describe("a read", () => {
  test("of bytes that moved meanwhile is done again; what is damaged, or cannot be read, is said", async () => {
    reads = [{ fault: "moved" }];
    expect(await toldOf({})).toMatchObject({ sizeBytes: 7 });
    reads = [{ fault: "corrupt" }];
    expect(await codeOf({})).toBe("corrupt_message");
    reads = [{ fault: "io" }];
    expect(await codeOf({})).toBe("kafka_storage_error");
  });

  test("that ends after the leadership is not sent, and its memory is given back", async () => {
    let end: (read: object) => void = () => {};
    reads = [new Promise<object>((resolve) => (end = resolve))];
    const state = start();
    await settle();
    leads = false;
    end({ fault: null, buffer: new Uint8Array(7), batches: new Uint8Array(7) });
    await settle();
    expect(state.answer).toMatchObject({ ok: false, error: { code: "not_leader_or_follower" } });
    state.release();
    expect(released).toBe(1);
  });
});
