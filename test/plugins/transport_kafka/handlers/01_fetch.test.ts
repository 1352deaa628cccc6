import { describe, expect, test } from "bun:test";
import type {
  EpochQuery,
  FetchRequest,
  FetchResult,
  Outcome,
} from "../../../../src/contracts/broker.ts";
import type { RequestInputOf } from "../../../../src/protocol/infer.ts";
import { Fetch } from "../../../../src/protocol/messages/01_fetch.ts";
import { join, settle } from "../fakes.ts";
import { type Client, emptyFetch, Harness, ok, refused } from "../scripted.ts";

const TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ";
const OTHER_ID = "AAAAAAAAAAAAAAAAAAAAAg";
const UNKNOWN_ID = "EREREREiIjMzREREVVVVVQ";
const NO_ID = "AAAAAAAAAAAAAAAAAAAAAA";

type Body = RequestInputOf<typeof Fetch>;
type WirePartition = Body["topics"][number]["partitions"][number];

function wire(
  partition: number,
  fetchOffset = 0,
  more: Partial<WirePartition> = {},
): WirePartition {
  return { partition, fetchOffset, partitionMaxBytes: 1000, ...more };
}

/** A request with ids from v13 on. `sessionId` 0 and epoch -1: no session. */
function body(
  version: number,
  partitions: readonly WirePartition[],
  more: Partial<Body> = {},
  topicId = TOPIC_ID,
): Body {
  const topic = version < 13 ? { topic: "orders", partitions } : { topicId, partitions };
  return {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_000_000,
    topics: partitions.length === 0 ? [] : [topic],
    ...(version >= 7 ? { sessionId: 0, sessionEpoch: -1 } : {}),
    ...(more as object),
  } as Body;
}

function withBatches(highWatermark: number, batches: readonly Uint8Array[]): Outcome<FetchResult> {
  return ok({
    ...emptyFetch(highWatermark),
    batches,
    sizeBytes: batches.reduce((sum, each) => sum + each.length, 0),
  });
}

async function start(options: Parameters<typeof Harness.start>[0] = {}): Promise<Harness> {
  const harness = await Harness.start(options);
  harness.scripted.topicIds.set(TOPIC_ID, "orders");
  harness.scripted.topicIds.set(OTHER_ID, "other");
  return harness;
}

/** What came back: topic, partition, error code. */
async function outline(client: Client, version: number, request: Body) {
  const answer = await client.ask(Fetch, version, request);
  return {
    error: answer.errorCode,
    sessionId: answer.sessionId,
    partitions: answer.responses.flatMap((topic) =>
      topic.partitions.map((each) => `${each.partitionIndex}:${each.errorCode}`),
    ),
  };
}

describe("Fetch", () => {
  test("asks the broker for what the request says and sends the batches uncopied, in every version", async () => {
    for (let version = 4; version <= 18; version++) {
      const harness = await start();
      const batches = [new Uint8Array(700).fill(1), new Uint8Array(90).fill(2)];
      harness.scripted.fetch = async () => [withBatches(26, batches), ok(emptyFetch(3, 1))];
      const client = harness.connect();
      const answer = await client.ask(
        Fetch,
        version,
        body(version, [wire(0, 5, version >= 9 ? { currentLeaderEpoch: 4 } : {}), wire(2, 9)], {
          maxWaitMs: 300,
          minBytes: 7,
          maxBytes: 5000,
          isolationLevel: 1,
        }),
      );
      const [asked] = harness.scripted.of<FetchRequest>("fetch");
      const byId = version < 13 ? {} : { topicId: TOPIC_ID };
      expect(asked).toEqual({
        isolation: "read_committed",
        waitMsMax: 300,
        bytesMin: 7,
        bytesMax: 5000,
        partitions: [
          {
            topic: "orders",
            ...byId,
            partition: 0,
            fetchOffset: 5,
            bytesMax: 1000,
            leaderEpoch: version >= 9 ? 4 : -1,
          },
          {
            topic: "orders",
            ...byId,
            partition: 2,
            fetchOffset: 9,
            bytesMax: 1000,
            leaderEpoch: -1,
          },
        ],
        ...(version >= 11 ? { rack: "" } : {}),
      });
      const [topic] = answer.responses;
      expect(version < 13 ? topic!.topic : topic!.topicId).toBe(version < 13 ? "orders" : TOPIC_ID);
      const [first, second] = topic!.partitions;
      expect(first).toMatchObject({
        partitionIndex: 0,
        errorCode: 0,
        highWatermark: 26,
        lastStableOffset: 26,
        logStartOffset: version < 5 ? -1 : 0,
        abortedTransactions: [],
        preferredReadReplica: -1,
      });
      expect(first!.records).toEqual(join(batches));
      expect(second!.records).toEqual(new Uint8Array(0));
      expect(client.peer.writes[0]).toBeGreaterThan(1);
      expect(harness.scripted.releasedFetches).toBe(1);
    }
  });

  test("the read buffers are given back after the write, and also when the client is gone", async () => {
    const harness = await start();
    harness.scripted.fetch = async () => [withBatches(26, [new Uint8Array(700)])];
    const client = harness.connect();
    client.peer.isStalled = true;
    client.send(Fetch, 12, body(12, [wire(0)]));
    await settle();
    expect(harness.scripted.releasedFetches).toBe(0);
    client.peer.resume();
    await settle();
    expect(harness.scripted.releasedFetches).toBe(1);

    const leaver = harness.connect();
    leaver.peer.isStalled = true;
    leaver.send(Fetch, 12, body(12, [wire(0)]));
    await settle();
    leaver.peer.reset();
    await settle();
    expect(harness.scripted.releasedFetches).toBe(2);
  });

  test("a client that leaves ends its parked fetch through the caller's signal", async () => {
    const harness = await start();
    let isParked = false;
    harness.scripted.fetch = (request, caller) =>
      new Promise((resolve) => {
        isParked = true;
        caller.signal.addEventListener("abort", () => {
          isParked = false;
          resolve(request.partitions.map(() => refused("request_timed_out")));
        });
      });
    const client = harness.connect();
    client.send(Fetch, 12, body(12, [wire(0)], { maxWaitMs: 500_000, minBytes: 1 }));
    await settle();
    expect(isParked).toBe(true);
    // A parked fetch holds no request memory.
    expect(harness.budget.heldBytes).toBe(0);
    client.peer.finish();
    await settle();
    expect(isParked).toBe(false);
    expect(client.peer.closeReason).toBe("connection_ended");
  });

  test("caps what one answer may carry, and never asks for more than that at least", async () => {
    const harness = await start({ fetchBytesMax: 2048 });
    await harness
      .connect()
      .ask(Fetch, 12, body(12, [wire(0)], { maxBytes: 0x7fffffff, minBytes: 1 << 20 }));
    expect(harness.scripted.of<FetchRequest>("fetch")[0]).toMatchObject({
      bytesMax: 2048,
      bytesMin: 2048,
    });
  });

  test("unknown ids are 100, unknown names 3, others the broker's own error; all with empty records", async () => {
    const harness = await start();
    harness.scripted.fetch = async (request) =>
      request.partitions.map(({ partition }) =>
        partition === 9 ? refused("unknown_topic_or_partition") : refused("unknown_leader_epoch"),
      );
    const client = harness.connect();
    const answer = await client.ask(Fetch, 18, {
      ...body(18, []),
      topics: [
        { topicId: UNKNOWN_ID, partitions: [wire(0)] },
        { topicId: TOPIC_ID, partitions: [wire(9), wire(1)] },
        { topicId: NO_ID, partitions: [wire(0)] },
      ],
    });
    const found = answer.responses.map(({ partitions }) =>
      partitions.map((each) => [each.errorCode, each.highWatermark, each.abortedTransactions]),
    );
    expect(found).toEqual([
      [[100, -1, []]],
      [
        [3, -1, []],
        [75, -1, null],
      ],
      [[100, -1, []]],
    ]);
    for (const { partitions } of answer.responses) {
      for (const { records } of partitions) expect(records).toEqual(new Uint8Array(0));
    }
  });

  test("answers at once when no partition is left to read", async () => {
    const harness = await start();
    const answer = await harness.connect().ask(Fetch, 18, body(18, [wire(0)], {}, UNKNOWN_ID));
    expect(answer.responses[0]!.partitions[0]!.errorCode).toBe(100);
    expect(harness.scripted.of("fetch").length).toBe(0);
  });

  test("offsets beyond 2^53 are out of range; a large high watermark in v18 is no matter", async () => {
    const harness = await start();
    const client = harness.connect();
    const answer = await client.ask(
      Fetch,
      18,
      body(18, [
        wire(0, (1n << 60n) as unknown as number),
        wire(1, 0, { highWatermark: (1n << 62n) as unknown as number }),
      ]),
    );
    expect(answer.responses[0]!.partitions.map((each) => each.errorCode)).toEqual([1, 0]);
  });

  test("replica ids of followers are refused; -2, a debugging consumer, is served", async () => {
    const harness = await start();
    const client = harness.connect();
    expect((await client.ask(Fetch, 12, body(12, [wire(0)], { replicaId: 3 }))).errorCode).toBe(42);
    const replicaState = { replicaId: 3, replicaEpoch: 1 };
    expect((await client.ask(Fetch, 18, body(18, [wire(0)], { replicaState }))).errorCode).toBe(42);
    const v4 = await client.ask(Fetch, 4, body(4, [wire(0)], { replicaId: 3 }));
    expect(v4.responses[0]!.partitions[0]!.errorCode).toBe(42);
    expect(harness.scripted.calls.length).toBe(0);
    expect((await client.ask(Fetch, 12, body(12, [wire(0)], { replicaId: -2 }))).errorCode).toBe(0);
    expect(harness.scripted.of("fetch").length).toBe(1);
  });

  test("aborted transactions are listed under read_committed, null otherwise", async () => {
    const harness = await start();
    harness.scripted.fetch = async () => [
      ok({ ...emptyFetch(5), abortedTransactions: [{ producerId: 6, firstOffset: 3 }] }),
    ];
    const client = harness.connect();
    const committed = await client.ask(Fetch, 12, body(12, [wire(0)], { isolationLevel: 1 }));
    expect(committed.responses[0]!.partitions[0]!.abortedTransactions).toEqual([
      { producerId: 6, firstOffset: 3 },
    ]);
    const uncommitted = await client.ask(Fetch, 12, body(12, [wire(0)], { isolationLevel: 0 }));
    expect(uncommitted.responses[0]!.partitions[0]!.abortedTransactions).toBe(null);
  });

  test("zstd batches need v10: before it, error 76", async () => {
    const harness = await start();
    const zstd = new Uint8Array(100);
    zstd[22] = 4;
    harness.scripted.fetch = async () => [withBatches(1, [zstd])];
    const client = harness.connect();
    for (const [version, errorCode] of [
      [4, 76],
      [9, 76],
      [10, 0],
    ] as const) {
      const answer = await client.ask(Fetch, version, body(version, [wire(0)]));
      expect(answer.responses[0]!.partitions[0]!.errorCode).toBe(errorCode);
    }
  });

  test("says who leads instead of who was asked (v16), and which replica is nearer (v11)", async () => {
    const harness = await start();
    harness.scripted.fetch = async () => [
      refused("not_leader_or_follower"),
      refused("fenced_leader_epoch"),
      refused("unknown_leader_epoch"),
      ok({ ...emptyFetch(7), preferredReplica: 3 }),
    ];
    const endpoint = { host: "two.example", port: 9092, rack: "b" };
    harness.scripted.currentLeader = (_listener, topic, partition) =>
      topic === "orders" ? { leaderId: 2, leaderEpoch: 10 + partition, endpoint } : null;
    const client = harness.connect();
    const four = [wire(0), wire(1), wire(2), wire(3)];
    const none = { leaderId: -1, leaderEpoch: -1 };
    for (const version of [11, 15, 16, 18]) {
      const rackId = { rackId: "b" } as Partial<Body>;
      const answer = await client.ask(Fetch, version, body(version, four, rackId));
      expect(harness.scripted.of<FetchRequest>("fetch").at(-1)!.rack).toBe("b");
      const rows = answer.responses[0]!.partitions;
      expect(rows.map((each) => each.preferredReadReplica)).toEqual([-1, -1, -1, 3]);
      const hints = [
        { leaderId: 2, leaderEpoch: 10 },
        { leaderId: 2, leaderEpoch: 11 },
      ];
      expect(rows.map((each) => each.currentLeader)).toEqual(
        version >= 16 ? [...hints, none, none] : [none, none, none, none],
      );
      expect(answer.nodeEndpoints).toEqual(version >= 16 ? [{ nodeId: 2, ...endpoint }] : []);
    }
  });

  test("a last fetched epoch is compared with the log's (v12)", async () => {
    const harness = await start();
    const ends: Record<number, Outcome<{ leaderEpoch: number; endOffset: number }>> = {
      5: ok({ leaderEpoch: -1, endOffset: -1 }),
      3: ok({ leaderEpoch: 2, endOffset: 40 }),
      2: ok({ leaderEpoch: 2, endOffset: 40 }),
      1: refused("fenced_leader_epoch"),
    };
    harness.scripted.endOffsetForEpoch = (query: EpochQuery) => ends[query.leaderEpoch]!;
    const client = harness.connect();
    const ask = async (lastFetchedEpoch: number, fetchOffset: number) => {
      const answer = await client.ask(
        Fetch,
        12,
        body(12, [wire(0, fetchOffset, { lastFetchedEpoch })]),
      );
      return answer.responses[0]!.partitions[0]!;
    };
    expect((await ask(5, 10)).errorCode).toBe(1);
    expect((await ask(1, 10)).errorCode).toBe(74);
    expect((await ask(3, 10)).divergingEpoch).toEqual({ epoch: 2, endOffset: 40 });
    expect((await ask(2, 41)).divergingEpoch).toEqual({ epoch: 2, endOffset: 40 });
    expect(harness.scripted.of("fetch").length).toBe(0);
    expect((await ask(2, 40)).divergingEpoch).toEqual({ epoch: -1, endOffset: -1 });
    expect(harness.scripted.of("fetch").length).toBe(1);
  });
});

describe("Fetch sessions", () => {
  /** Opens a session over partitions 0 and 1 and returns its id. */
  async function open(client: Client, version = 18): Promise<number> {
    const answer = await client.ask(
      Fetch,
      version,
      body(version, [wire(0), wire(1)], { sessionId: 0, sessionEpoch: 0 }),
    );
    expect(answer.sessionId).toBeGreaterThan(0);
    return answer.sessionId;
  }

  test("leave out partitions without news", async () => {
    const harness = await start();
    const marks = new Map([
      [0, 5],
      [1, 0],
    ]);
    let batchOf = -1;
    harness.scripted.fetch = async (request) =>
      request.partitions.map(({ partition }) => {
        if (partition !== batchOf) return ok(emptyFetch(marks.get(partition)!));
        return withBatches(marks.get(partition)!, [new Uint8Array(74)]);
      });
    const client = harness.connect();
    const sessionId = await open(client);
    const step = (sessionEpoch: number, partitions: WirePartition[] = []) =>
      outline(client, 18, body(18, partitions, { sessionId, sessionEpoch }));
    expect(await step(1)).toEqual({ error: 0, sessionId, partitions: [] });
    marks.set(1, 1);
    expect((await step(2)).partitions).toEqual(["1:0"]);
    expect((await step(3)).partitions).toEqual([]);
    batchOf = 0;
    expect((await step(4)).partitions).toEqual(["0:0"]);
    batchOf = -1;
    // What was served goes behind the others; what is asked again keeps the place it has.
    expect((await step(5, [wire(0, 9)])).partitions).toEqual([]);
    const last = harness.scripted.of<FetchRequest>("fetch").at(-1)!;
    expect(last.partitions.map((each) => [each.partition, each.fetchOffset])).toEqual([
      [1, 0],
      [0, 9],
    ]);
  });

  test("tell errors each time, and the recovery", async () => {
    const harness = await start();
    let isFailing = true;
    harness.scripted.fetch = async (request) =>
      request.partitions.map(({ partition }) =>
        partition === 0 && isFailing ? refused("kafka_storage_error") : ok(emptyFetch(0)),
      );
    const client = harness.connect();
    const sessionId = await open(client);
    const step = (sessionEpoch: number) =>
      outline(client, 18, body(18, [], { sessionId, sessionEpoch }));
    expect((await step(1)).partitions).toEqual(["0:56"]);
    expect((await step(2)).partitions).toEqual(["0:56"]);
    isFailing = false;
    expect((await step(3)).partitions).toEqual(["0:0"]);
    expect((await step(4)).partitions).toEqual([]);
  });

  test("take up partitions and forget them", async () => {
    const harness = await start();
    const client = harness.connect();
    const sessionId = await open(client);
    await client.ask(Fetch, 18, {
      ...body(18, [], { sessionId, sessionEpoch: 1 }),
      topics: [{ topicId: OTHER_ID, partitions: [wire(7)] }],
      forgottenTopicsData: [{ topicId: TOPIC_ID, partitions: [0, 99] }],
    });
    const last = harness.scripted.of<FetchRequest>("fetch").at(-1)!;
    expect(last.partitions.map((each) => `${each.topic}-${each.partition}`)).toEqual([
      "orders-1",
      "other-7",
    ]);
    // Forgetting all of them ends the session.
    const empty = await outline(
      client,
      18,
      body(18, [], {
        sessionId,
        sessionEpoch: 2,
        forgottenTopicsData: [
          { topicId: TOPIC_ID, partitions: [1] },
          { topicId: OTHER_ID, partitions: [7] },
        ],
      }),
    );
    expect(empty).toEqual({ error: 0, sessionId: 0, partitions: [] });
    expect((await outline(client, 18, body(18, [], { sessionId, sessionEpoch: 3 }))).error).toBe(
      70,
    );
  });

  test("answer 71 to a wrong epoch, 70 to an unknown id, 106 to the wrong kind of name", async () => {
    const harness = await start();
    const client = harness.connect();
    const sessionId = await open(client);
    const ask = (id: number, sessionEpoch: number, version = 18) =>
      outline(client, version, body(version, [], { sessionId: id, sessionEpoch }));
    expect(await ask(sessionId, 9)).toEqual({ error: 71, sessionId: 0, partitions: [] });
    expect(await ask(sessionId ^ 1, 1)).toEqual({ error: 70, sessionId: 0, partitions: [] });
    expect(await ask(sessionId, 1, 12)).toEqual({ error: 106, sessionId: 0, partitions: [] });
    // None of that moved the session.
    expect((await ask(sessionId, 1)).error).toBe(0);
    expect((await ask(sessionId, 1)).error).toBe(71);
  });

  test("end with epoch -1, and with a full fetch that opens another", async () => {
    const harness = await start();
    const client = harness.connect();
    const first = await open(client);
    const closing = body(18, [wire(0)], { sessionId: first, sessionEpoch: -1 });
    expect(await outline(client, 18, closing)).toEqual({
      error: 0,
      sessionId: 0,
      partitions: ["0:0"],
    });
    expect(
      (await outline(client, 18, body(18, [], { sessionId: first, sessionEpoch: 1 }))).error,
    ).toBe(70);
    const second = await open(client);
    const again = await outline(
      client,
      18,
      body(18, [wire(0)], { sessionId: second, sessionEpoch: 0 }),
    );
    expect(again.sessionId).not.toBe(second);
    expect(
      (await outline(client, 18, body(18, [], { sessionId: second, sessionEpoch: 1 }))).error,
    ).toBe(70);
    expect(
      (await outline(client, 18, body(18, [], { sessionId: again.sessionId, sessionEpoch: 1 })))
        .error,
    ).toBe(0);
  });

  test("go by name before v13", async () => {
    const harness = await start();
    const client = harness.connect();
    const sessionId = await open(client, 11);
    expect(await outline(client, 11, body(11, [], { sessionId, sessionEpoch: 1 }))).toEqual({
      error: 0,
      sessionId,
      partitions: [],
    });
  });

  test("a topic that is gone is told by id, time and again", async () => {
    const harness = await start();
    const client = harness.connect();
    const sessionId = await open(client);
    harness.scripted.topicIds.delete(TOPIC_ID);
    for (const sessionEpoch of [1, 2]) {
      const { partitions } = await outline(client, 18, body(18, [], { sessionId, sessionEpoch }));
      expect(partitions).toEqual(["0:100", "1:100"]);
    }
  });

  test("with no slots every answer says session 0, and full fetches go on", async () => {
    const harness = await start({ sessionCacheSlots: 0 });
    const client = harness.connect();
    for (let round = 0; round < 2; round++) {
      const request = body(18, [wire(0)], { sessionId: 0, sessionEpoch: 0 });
      expect(await outline(client, 18, request)).toEqual({
        error: 0,
        sessionId: 0,
        partitions: ["0:0"],
      });
    }
  });
});
