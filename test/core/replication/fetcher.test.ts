// One fetcher over a scripted peer and a turned clock: sessions, back-off, and that one partition's trouble is not the others'.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Taken } from "../../../src/core/partition/partition_follower.ts";
import { Fetcher } from "../../../src/core/replication/fetcher.ts";
import type { FetchRequestInput, FetchResponse } from "../../../src/protocol/messages/01_fetch.ts";
import { syncedEndOf } from "../../../src/protocol/synced_end.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";

const TOPIC = "AAAAAAAAAAAAAAAAAAAAAQ";
const BACKOFF_MS = 1_000;

type Partition = FetchResponse["responses"][number]["partitions"][number];

/** A follower that notes what it is given, and moves as the test says. */
class ScriptedFollower {
  readonly leaderEpoch = 4;
  end = 10;
  syncedEnd = 10;
  /** By partition in the order of answers; "idle" when none is left. */
  readonly verdicts: (Taken | ((records: Uint8Array) => Taken))[] = [];
  readonly taken: { error: string | null; divergingEpoch: unknown; size: number }[] = [];

  question() {
    return {
      leaderEpoch: 4,
      fetchOffset: this.end,
      lastFetchedEpoch: 3,
      logStartOffset: 0,
      syncedEnd: this.syncedEnd,
      highWatermark: 5,
    };
  }

  async take(
    _asked: object,
    answer: { error: string | null; divergingEpoch: unknown; records: Uint8Array },
  ) {
    const { error, divergingEpoch, records } = answer;
    this.taken.push({ error, divergingEpoch, size: records.length });
    const verdict = this.verdicts.shift() ?? { kind: "idle" };
    return typeof verdict === "function" ? verdict(records) : verdict;
  }
}

let time: TestRuntime;
let fetcher: Fetcher;
let calls: { request: FetchRequestInput; timeoutMs: number; answer: (answer: object) => void }[];

beforeEach(() => {
  time = new TestRuntime();
  calls = [];
  const call = (_api: object, request: FetchRequestInput, { timeoutMs }: { timeoutMs: number }) =>
    new Promise((answer) => calls.push({ request, timeoutMs, answer }));
  fetcher = new Fetcher(2, {
    runtime: time.runtime,
    brokerId: 1,
    brokerEpoch: () => 77,
    peer: () => ({ call }) as never,
    waitMs: () => 500,
    bytesMin: () => 1,
    partitionBytesMax: () => 1_000,
    bytesMax: () => 10_000,
    backoffMs: () => BACKOFF_MS,
  });
});
afterEach(() => {
  fetcher.close();
  expect(time.failures).toEqual([]);
});

function follow(partition: number): ScriptedFollower {
  const follower = new ScriptedFollower();
  fetcher.add(TOPIC, partition, follower as never);
  return follower;
}

/** Answers the newest call, and lets what follows from it happen. */
async function answered(
  partitions: readonly Partial<Partition>[],
  more: object = {},
): Promise<void> {
  const responses = [{ topicId: TOPIC, partitions: partitions.map(whole) }];
  const body = { errorCode: 0, sessionId: 9, responses, ...more };
  calls.at(-1)!.answer({ ok: true, version: 17, body });
  await settle();
}

const whole = (partition: Partial<Partition>) => ({
  partitionIndex: 0,
  errorCode: 0,
  highWatermark: 5,
  logStartOffset: 0,
  divergingEpoch: { epoch: -1, endOffset: -1 },
  records: new Uint8Array(0),
  ...partition,
});

/** What a request asks for, by partition. */
const askedFor = ({ request }: (typeof calls)[number]) =>
  request.topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition));

/** A group that settles when the test says. */
function pendingGroup() {
  let end: () => void = () => {};
  const promise = new Promise<boolean>((resolve) => {
    end = () => resolve(true);
  });
  return { group: { settled: () => promise }, end };
}

test("the first request opens a session and says who asks and where it stands", async () => {
  follow(0);
  await settle();
  const [{ request, timeoutMs }] = calls as [(typeof calls)[number]];
  expect(request.replicaState).toEqual({ replicaId: 1, replicaEpoch: 77 });
  expect([request.sessionId, request.sessionEpoch, request.maxWaitMs]).toEqual([0, 0, 500]);
  expect(timeoutMs).toBeGreaterThan(500);
  const [asked] = request.topics[0]!.partitions;
  expect(asked).toMatchObject({ currentLeaderEpoch: 4, fetchOffset: 10, lastFetchedEpoch: 3 });
  expect(syncedEndOf(asked as never)).toBe(10);
});

describe("in a session", () => {
  test("only what has moved is asked for again, and what is followed no more is forgotten", async () => {
    const [first] = [follow(0), follow(1), follow(2)];
    await settle();
    expect(askedFor(calls[0]!)).toEqual([0, 1, 2]);
    first!.end = 12;
    await answered([]);
    expect([calls[1]!.request.sessionId, calls[1]!.request.sessionEpoch]).toEqual([9, 1]);
    expect(askedFor(calls[1]!)).toEqual([0]);
    fetcher.remove(TOPIC, 2);
    await answered([]);
    expect(askedFor(calls[2]!)).toEqual([]);
    expect(calls[2]!.request.forgottenTopicsData).toEqual([{ topicId: TOPIC, partitions: [2] }]);
    expect(calls[2]!.request.sessionEpoch).toBe(2);
  });

  test("a leader that does not know it any more is asked for everything at once", async () => {
    follow(0);
    await settle();
    await answered([]);
    await answered([], { errorCode: 70, sessionId: 0 });
    expect([calls.length, calls[2]!.request.sessionEpoch, askedFor(calls[2]!)]).toEqual([
      3,
      0,
      [0],
    ]);
    // Refused even so: after a pause.
    await answered([], { errorCode: 71, sessionId: 0 });
    expect(calls.length).toBe(3);
    await time.advance(BACKOFF_MS);
    expect(calls.length).toBe(4);
  });
});

test("a connection that is lost, or a leader that is too old, is tried again after a pause with everything", async () => {
  follow(0);
  await settle();
  await answered([]);
  for (const answer of [
    { ok: false, failure: "broken", message: "gone" },
    { ok: true, version: 14, body: {} },
  ]) {
    const count = calls.length;
    calls.at(-1)!.answer(answer);
    await settle();
    expect(calls.length).toBe(count);
    await time.advance(BACKOFF_MS - 1);
    expect(calls.length).toBe(count);
    await time.advance(1);
    expect([calls.length, calls.at(-1)!.request.sessionEpoch]).toEqual([count + 1, 0]);
    expect(askedFor(calls.at(-1)!)).toEqual([0]);
  }
});

describe("a partition that is refused", () => {
  test("is left out for a while, the others go on", async () => {
    const bad = follow(0);
    follow(1);
    await settle();
    bad.verdicts.push({ kind: "again", reason: "fenced_leader_epoch" });
    await answered([{ partitionIndex: 0, errorCode: 74 }]);
    expect(bad.taken[0]!.error).toBe("fenced_leader_epoch");
    expect(calls[1]!.request.forgottenTopicsData).toEqual([{ topicId: TOPIC, partitions: [0] }]);
    await time.advance(BACKOFF_MS);
    await answered([]);
    expect(askedFor(calls[2]!)).toEqual([0]);
    expect(time.events("replica_refused")[0]!.fields).toMatchObject({
      partition: 0,
      leader: 2,
      reason: "fenced_leader_epoch",
    });
  });

  test("is tried at once when its leader has registered anew", async () => {
    const bad = follow(0);
    await settle();
    bad.verdicts.push({ kind: "again", reason: "not_leader_or_follower" });
    await answered([{ errorCode: 6 }]);
    expect(calls.length).toBe(1);
    fetcher.retryNow();
    await settle();
    // The session has it still: nothing was asked meanwhile that would have left it out.
    expect([calls.length, askedFor(calls[1]!)]).toEqual([2, []]);
    expect(calls[1]!.request.forgottenTopicsData).toEqual([]);
  });

  test("for batches that are damaged is asked for again from where it stood", async () => {
    const follower = follow(0);
    await settle();
    follower.verdicts.push({ kind: "again", reason: "corrupt" });
    await answered([{ records: new Uint8Array(9) }]);
    await time.advance(BACKOFF_MS);
    expect(calls[1]!.request.forgottenTopicsData).toEqual([]);
    await answered([{ records: new Uint8Array(9) }]);
    expect(follower.taken.map(({ size }) => size)).toEqual([9, 9]);
  });
});

test("where histories part the follower is told, and asks again at once", async () => {
  const follower = follow(0);
  await settle();
  follower.verdicts.push(() => {
    follower.end = 6;
    return { kind: "cut", from: 10, to: 6, isBelowHighWatermark: true };
  });
  await answered([{ divergingEpoch: { epoch: 2, endOffset: 6 } }]);
  expect(follower.taken[0]!.divergingEpoch).toEqual({ epoch: 2, endOffset: 6 });
  expect(calls[1]!.request.topics[0]!.partitions[0]).toMatchObject({ fetchOffset: 6 });
  expect(time.events("committed_records_cut")[0]!.fields).toMatchObject({ from: 10, to: 6 });
});

describe("what is on its way to the disk", () => {
  test("when little, is synced before the leader is asked again: it hears of it", async () => {
    const follower = follow(0);
    await settle();
    const { group, end } = pendingGroup();
    follower.verdicts.push({ kind: "appended", group, sizeBytes: 100 });
    follower.end = 20;
    await answered([{ records: new Uint8Array(100) }]);
    expect(calls.length).toBe(1);
    follower.syncedEnd = 20;
    end();
    await settle();
    expect(syncedEndOf(calls[1]!.request.topics[0]!.partitions[0] as never)).toBe(20);
    expect(calls[1]!.request.maxWaitMs).toBe(500);
  });

  test("when much, is synced while the next is asked for, and two at most are under way", async () => {
    const follower = follow(0);
    await settle();
    const [one, two] = [pendingGroup(), pendingGroup()];
    for (const { group } of [one, two]) {
      follower.verdicts.push({ kind: "appended", group, sizeBytes: 100_000 });
    }
    await answered([{ records: new Uint8Array(9) }]);
    // Without waiting at the leader: it is to hear soon what is durable here.
    expect([calls.length, calls[1]!.request.maxWaitMs]).toEqual([2, 0]);
    await answered([{ records: new Uint8Array(9) }]);
    expect(calls.length).toBe(2);
    one.end();
    await settle();
    expect(calls.length).toBe(3);
    two.end();
  });
});

describe("while a request is under way", () => {
  test("another leader may be set: its late answer reaches neither the old follower nor the new one", async () => {
    const old = follow(0);
    await settle();
    const next = follow(0);
    await answered([{ records: new Uint8Array(9) }]);
    expect([old.taken, next.taken]).toEqual([[], []]);
    expect(askedFor(calls[1]!)).toEqual([0]);
  });

  test("a fetcher may be closed: nothing more is asked, and its answer changes nothing", async () => {
    const follower = follow(0);
    await settle();
    fetcher.close();
    await answered([{ records: new Uint8Array(9) }]);
    await time.advance(60_000);
    expect([calls.length, follower.taken]).toEqual([1, []]);
  });
});

test("with nothing to follow it asks for nothing", async () => {
  await time.advance(60_000);
  expect([calls.length, fetcher.partitionCount]).toEqual([0, 0]);
});
