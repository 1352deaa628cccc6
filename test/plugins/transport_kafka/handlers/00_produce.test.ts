import { describe, expect, test } from "bun:test";
import type { AppendRequest, AppendResult, Outcome } from "../../../../src/contracts/broker.ts";
import { kafkaError } from "../../../../src/protocol/errors.ts";
import { Produce } from "../../../../src/protocol/messages/00_produce.ts";
import { ApiVersions } from "../../../../src/protocol/messages/18_api_versions.ts";
import { settle } from "../fakes.ts";
import { Harness, ok, refused } from "../scripted.ts";

const TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ";
const UNKNOWN_ID = "EREREREiIjMzREREVVVVVQ";
const NO_ID = "AAAAAAAAAAAAAAAAAAAAAA";

/** Bytes in the place of a batch: only magic, at 16, and the low attribute byte, at 22, are looked at. */
function batch(sizeBytes = 82, attributes = 0): Uint8Array {
  const bytes = new Uint8Array(sizeBytes).fill(7);
  bytes[16] = 2;
  bytes[21] = 0;
  bytes[22] = attributes;
  return bytes;
}

function request(
  version: number,
  partitions: readonly { index: number; records: Uint8Array | null }[],
  options: { acks?: number; topicId?: string; transactionalId?: string } = {},
) {
  return {
    transactionalId: options.transactionalId ?? null,
    acks: options.acks ?? -1,
    timeoutMs: 5000,
    topicData: [
      {
        name: version < 13 ? "orders" : "",
        topicId: version < 13 ? NO_ID : (options.topicId ?? TOPIC_ID),
        partitionData: partitions,
      },
    ],
  };
}

async function start(): Promise<Harness> {
  const harness = await Harness.start();
  harness.scripted.topicIds.set(TOPIC_ID, "orders");
  return harness;
}

describe("Produce", () => {
  test("says who leads instead of who was asked, from v10 on", async () => {
    const harness = await start();
    harness.scripted.append = async () => [
      refused("not_leader_or_follower"),
      refused("not_enough_replicas"),
    ];
    harness.scripted.currentLeader = (_listener, topic, partition) =>
      topic === "orders" ? { leaderId: 2, leaderEpoch: 10 + partition, endpoint: null } : null;
    const none = { leaderId: -1, leaderEpoch: -1 };
    const endpoint = { host: "two.example", port: 9092, rack: null };
    for (const [version, isKnown] of [
      [9, true],
      [10, true],
      [13, true],
      [13, false],
    ] as const) {
      if (version === 13 && isKnown) {
        harness.scripted.currentLeader = () => ({ leaderId: 2, leaderEpoch: 10, endpoint });
      }
      if (!isKnown) harness.scripted.currentLeader = () => null;
      const two = [0, 1].map((index) => ({ index, records: batch() }));
      const answer = await harness.connect().ask(Produce, version, request(version, two));
      const rows = answer.responses[0]!.partitionResponses;
      const hint = version >= 10 && isKnown ? { leaderId: 2, leaderEpoch: 10 } : none;
      expect(rows.map((each) => [each.errorCode, each.currentLeader])).toEqual([
        [6, hint],
        [19, none],
      ]);
      const isTold = version === 13 && isKnown;
      expect(answer.nodeEndpoints).toEqual(isTold ? [{ nodeId: 2, ...endpoint }] : []);
    }
  });

  test("appends the batch of each partition as it came, in every version", async () => {
    for (let version = 3; version <= 13; version++) {
      const harness = await start();
      harness.scripted.append = async () => [
        ok({ baseOffset: 12, logAppendTimeMs: 1700, logStartOffset: 4 }),
        ok({ baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 }),
      ];
      const records = batch();
      const answer = await harness.connect().ask(
        Produce,
        version,
        request(version, [
          { index: 3, records },
          { index: 1, records: batch(900) },
        ]),
      );
      const [append] = harness.scripted.of<AppendRequest>("append");
      expect(append!.acks).toBe(-1);
      expect(append!.timeoutMs).toBe(5000);
      expect(
        append!.partitions.map(({ topic, partition, singleBatch, batches }) => [
          topic,
          partition,
          singleBatch,
          batches.length,
        ]),
      ).toEqual([
        ["orders", 3, true, 82],
        ["orders", 1, true, 900],
      ]);
      const [topic] = answer.responses;
      expect(version < 13 ? topic!.name : topic!.topicId).toBe(version < 13 ? "orders" : TOPIC_ID);
      expect(topic!.partitionResponses[0]).toMatchObject({
        index: 3,
        errorCode: 0,
        baseOffset: 12,
        logAppendTimeMs: 1700,
        logStartOffset: version < 5 ? -1 : 4,
        recordErrors: [],
        errorMessage: null,
      });
      expect(topic!.partitionResponses[1]!.index).toBe(1);
      expect(answer.nodeEndpoints).toEqual([]);
      expect(harness.budget.heldBytes).toBe(0);
    }
  });

  test("hands the batch over as a view of the received bytes, and holds the frame until it is appended", async () => {
    const harness = await start();
    let finish: () => void = () => {};
    harness.scripted.append = () =>
      new Promise((resolve) => {
        finish = () => resolve([ok({ baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 })]);
      });
    const client = harness.connect();
    client.send(Produce, 9, request(9, [{ index: 0, records: batch(5000) }]));
    await settle();
    expect(harness.budget.heldBytes).toBeGreaterThan(5000);
    const [append] = harness.scripted.of<AppendRequest>("append");
    expect(append!.partitions[0]!.batches.buffer.byteLength).toBeGreaterThan(5000);
    finish();
    await settle();
    expect(harness.budget.heldBytes).toBe(0);
    expect(client.peer.frames.length).toBe(1);
  });

  test("pipelined requests append in the order in which they came", async () => {
    const harness = await start();
    const finish: ((outcomes: Outcome<AppendResult>[]) => void)[] = [];
    harness.scripted.append = () => new Promise((resolve) => finish.push(resolve));
    const client = harness.connect();
    for (const size of [61, 62, 63]) {
      client.send(Produce, 9, request(9, [{ index: 0, records: batch(size) }]));
    }
    await settle();
    const appended = harness.scripted.of<AppendRequest>("append");
    expect(appended.map((each) => each.partitions[0]!.batches.length)).toEqual([61, 62, 63]);
    for (const [index, resolve] of [...finish.entries()].reverse()) {
      resolve([ok({ baseOffset: index, logAppendTimeMs: -1, logStartOffset: 0 })]);
    }
    await settle();
    expect(client.peer.frames.length).toBe(3);
  });

  test("an unknown topic id is error 100 for its partitions, the others go on", async () => {
    const harness = await start();
    const body = request(13, [{ index: 0, records: batch() }]);
    const unknown = {
      name: "",
      topicId: UNKNOWN_ID,
      partitionData: [
        { index: 0, records: batch() },
        { index: 1, records: batch() },
      ],
    };
    const zero = { ...unknown, topicId: NO_ID };
    const answer = await harness.connect().ask(Produce, 13, {
      ...body,
      topicData: [unknown, body.topicData[0]!, zero],
    });
    expect(
      answer.responses.map((topic) => [
        topic.topicId,
        topic.partitionResponses.map((each) => [each.errorCode, each.baseOffset]),
      ]),
    ).toEqual([
      [
        UNKNOWN_ID,
        [
          [100, -1],
          [100, -1],
        ],
      ],
      [TOPIC_ID, [[0, 0]]],
      [
        NO_ID,
        [
          [100, -1],
          [100, -1],
        ],
      ],
    ]);
    expect(harness.scripted.of<AppendRequest>("append")[0]!.partitions.length).toBe(1);
  });

  test("trap 14: null records are answered with 87, where Kafka never answers", async () => {
    const harness = await start();
    for (const version of [3, 8, 13]) {
      const answer = await harness
        .connect()
        .ask(Produce, version, request(version, [{ index: 0, records: null }]));
      expect(answer.responses[0]!.partitionResponses[0]).toMatchObject({
        errorCode: 87,
        baseOffset: -1,
        logStartOffset: -1,
      });
    }
    expect(harness.scripted.of("append").length).toBe(0);
  });

  test("trap 14: acks other than -1, 0 and 1 are 21, and nothing is appended", async () => {
    const harness = await start();
    for (const acks of [2, -2, 32767]) {
      const answer = await harness
        .connect()
        .ask(Produce, 13, request(13, [{ index: 0, records: batch() }], { acks }));
      expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(21);
    }
    expect(harness.scripted.calls.length).toBe(0);
  });

  test("zstd needs v7: before it, error 76", async () => {
    const harness = await start();
    const client = harness.connect();
    for (const version of [3, 6]) {
      const answer = await client.ask(
        Produce,
        version,
        request(version, [
          { index: 0, records: batch(82, 4) },
          { index: 1, records: batch(82, 3) },
        ]),
      );
      expect(answer.responses[0]!.partitionResponses.map((each) => each.errorCode)).toEqual([
        76, 0,
      ]);
    }
    const answer = await client.ask(Produce, 7, request(7, [{ index: 0, records: batch(82, 4) }]));
    expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
  });

  test("refusals carry the message and the named records from v8 on", async () => {
    const harness = await start();
    harness.scripted.append = async () => [
      {
        ok: false,
        error: {
          ...kafkaError("invalid_timestamp", "Cannot append"),
          recordErrors: [
            { batchIndex: 0, message: "too late" },
            { batchIndex: 2, message: null },
          ],
        },
      },
      refused("message_too_large"),
    ];
    const body = (version: number) =>
      request(version, [
        { index: 0, records: batch() },
        { index: 1, records: batch() },
      ]);
    const client = harness.connect();
    const v8 = (await client.ask(Produce, 8, body(8))).responses[0]!.partitionResponses;
    expect(v8[0]).toMatchObject({
      errorCode: 32,
      baseOffset: -1,
      logAppendTimeMs: -1,
      logStartOffset: -1,
      errorMessage: "Cannot append",
      recordErrors: [
        { batchIndex: 0, batchIndexErrorMessage: "too late" },
        { batchIndex: 2, batchIndexErrorMessage: null },
      ],
    });
    expect(v8[1]).toMatchObject({ errorCode: 10, recordErrors: [] });
    const v7 = (await client.ask(Produce, 7, body(7))).responses[0]!.partitionResponses;
    expect(v7.map((each) => each.errorCode)).toEqual([32, 10]);
  });

  test("trap 15: acks 0 is not answered, and the connection goes on", async () => {
    const harness = await start();
    const client = harness.connect();
    client.send(Produce, 13, request(13, [{ index: 0, records: batch() }], { acks: 0 }));
    await settle();
    expect(harness.scripted.of<AppendRequest>("append")[0]!.acks).toBe(0);
    expect(client.peer.frames.length).toBe(0);
    expect((await client.ask(ApiVersions, 0, {})).errorCode).toBe(0);
    expect(harness.budget.heldBytes).toBe(0);
  });

  test("trap 15: an error under acks 0 closes the connection, with its reason in the log", async () => {
    for (const why of ["broker", "unknown id", "null records"]) {
      const harness = await start();
      harness.scripted.append = async () => [refused("unknown_topic_or_partition")];
      const client = harness.connect();
      const records = why === "null records" ? null : batch();
      const options = { acks: 0, topicId: why === "unknown id" ? UNKNOWN_ID : TOPIC_ID };
      client.send(Produce, 13, request(13, [{ index: 0, records }], options));
      await settle();
      expect(client.peer.closeReason).toBe("unacknowledged_produce_failed");
      const [fields] = harness.hand.eventsOf("kafka_connection_closed");
      expect(String(fields!["detail"])).toContain("first topic");
      expect(harness.budget.heldBytes).toBe(0);
    }
  });

  test("no topics at all is an empty answer", async () => {
    const harness = await start();
    const body = { ...request(13, []), topicData: [] };
    expect((await harness.connect().ask(Produce, 13, body)).responses).toEqual([]);
    expect(harness.scripted.calls.length).toBe(0);
  });

  test("a transactional batch in a request without transactional id is 53 for all of it; other magics are the log's to judge", async () => {
    const harness = await start();
    const client = harness.connect();
    const old = batch(82, 0x14);
    old[16] = 1;
    const codes = async (attributes: number) => {
      const answer = await client.ask(
        Produce,
        6,
        request(6, [
          { index: 0, records: batch(82, attributes) },
          { index: 1, records: old },
        ]),
      );
      return answer.responses[0]!.partitionResponses.map((each) => each.errorCode);
    };
    expect(await codes(0x10)).toEqual([53, 53]);
    expect(harness.scripted.calls).toEqual([]);
    harness.scripted.append = async ({ partitions }) =>
      partitions.map(() => ok({ baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 }));
    expect(await codes(0)).toEqual([0, 0]);
  });

  test("from v12 on the partition joins the transaction on the way", async () => {
    for (let version = 3; version <= 13; version++) {
      const harness = await start();
      const batches = [{ index: 0, records: batch(82, 0x10) }];
      await harness
        .connect()
        .ask(Produce, version, request(version, batches, { transactionalId: "tx" }));
      const [append] = harness.scripted.of<AppendRequest>("append");
      expect([version, append!.addsToTransaction]).toEqual([version, version >= 12]);
    }
  });

  test("refusals of transactions are told in codes that the version knows", async () => {
    const expected: readonly [Parameters<typeof refused>[0], (version: number) => number][] = [
      ["invalid_producer_epoch", () => 47],
      ["invalid_producer_id_mapping", () => 49],
      ["invalid_txn_state", () => 48],
      ["transaction_abortable", (version) => (version >= 11 ? 120 : 48)],
      ["concurrent_transactions", () => 51],
      ["not_enough_replicas", () => 19],
    ];
    for (let version = 3; version <= 13; version++) {
      const harness = await start();
      harness.scripted.append = async () => expected.map(([code]) => refused(code));
      const batches = expected.map((_, index) => ({ index, records: batch(82, 0x10) }));
      const answer = await harness
        .connect()
        .ask(Produce, version, request(version, batches, { transactionalId: "tx" }));
      expect(answer.responses[0]!.partitionResponses.map((each) => each.errorCode)).toEqual(
        expected.map(([, code]) => code(version)),
      );
    }
  });

  test("a transactional id reaches the broker", async () => {
    const harness = await start();
    await harness
      .connect()
      .ask(
        Produce,
        11,
        request(11, [{ index: 0, records: batch(82, 0x10) }], { transactionalId: "tx" }),
      );
    expect(harness.scripted.of<AppendRequest>("append")[0]!.transactionalId).toBe("tx");
  });
});
