// Every op over a real broker: what is asked, what is answered, what is refused, and to whom.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { transportTcp } from "../../../plugins/transport-tcp/mod.ts";
import { MemoryNetwork } from "../../../src/testing/memory_network.ts";
import { type MemoryBroker, memoryBroker, tokenAuth } from "../../support/memory_broker.ts";
import { int, TcpClient } from "../../support/tcp_client.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let network: MemoryNetwork;
let rig: MemoryBroker;
let port: number;
let client: TcpClient;

async function start(options: Parameters<typeof memoryBroker>[0] = {}): Promise<void> {
  network = new MemoryNetwork();
  rig = await memoryBroker({ network, transports: [transportTcp({ port: 0 })], ...options });
  port = rig.broker.endpoints[0]!.port;
}

async function refusal(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return "ok";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

afterEach(() => rig.stop());

describe("records", () => {
  beforeEach(async () => {
    await start();
    await rig.topic("t", 2);
    client = await TcpClient.connect(network, port);
  });

  test("go in and come out byte for byte", async () => {
    const headers = [
      ["a", bytes("1")],
      ["a", null],
      ["ü", new Uint8Array(0)],
    ];
    const made = await client.ask("produce", {
      topic: "t",
      records: [
        [null, null, null, int(1_700_000_000_000), 1],
        [new Uint8Array(0), new Uint8Array(0), [], -1, 1],
        [bytes("k"), new Uint8Array(100_000).fill(5), headers, int(1_700_000_000_001), 1],
      ],
    });
    expect(made.results).toEqual([
      [1, 0, 1_700_000_000_000],
      [1, 1, -1],
      [1, 2, 1_700_000_000_001],
    ]);
    const found = await client.ask("fetch", { topic: "t", partitions: [[1, 0]] });
    expect(found.partitions).toEqual([
      {
        partition: 1,
        records: [
          [1, 0, 1_700_000_000_000, null, null, []],
          [1, 1, -1, new Uint8Array(0), new Uint8Array(0), []],
          [1, 2, 1_700_000_000_001, bytes("k"), new Uint8Array(100_000).fill(5), headers],
        ],
        nextOffset: 3,
        highWatermark: 3,
        logStartOffset: 0,
      },
    ]);
  });

  test("go to the partition of their key, and keep the order of their requests", async () => {
    const answers = Array.from({ length: 50 }, (_, i) =>
      client.begin("produce", { topic: "t", records: [[bytes("k"), Uint8Array.of(i)]] }),
    );
    const places = await Promise.all(answers.map(async ({ answer }) => (await answer).results[0]));
    expect(new Set(places.map(([partition]) => partition)).size).toBe(1);
    expect(places.map(([, offset]) => offset)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test("are refused one by one, or all together", async () => {
    const { results } = await client.ask("produce", {
      topic: "t",
      records: [
        [null, bytes("a"), null, null, 0],
        [null, bytes("b"), null, null, 9],
      ],
    });
    expect(results).toMatchObject([
      [0, 0, expect.any(Number)],
      { code: "unknown_topic_or_partition", retriable: true },
    ]);
    const expected = { topic: "t", records: [[null, null, null, null, 0]], expectedOffset: 7 };
    expect((await client.ask("produce", expected)).results).toMatchObject([
      { code: "invalid_record" },
    ]);
    expect(
      await refusal(client.ask("produce", { topic: "no name!", records: [[null, null]] })),
    ).toBe("invalid_topic_exception");
  });

  test.each([
    [{ topic: "t" }, /records/],
    [{ topic: "t", records: {} }, /records/],
    [{ topic: 5, records: [] }, /topic/],
    [{ records: [] }, /topic/],
    [{ topic: "t", records: [[null]] }, /Record 0/],
    [{ topic: "t", records: [[null, null], 5] }, /Record 1/],
    [{ topic: "t", records: [["k", null]] }, /key of record 0/],
    [{ topic: "t", records: [[null, 5]] }, /value of record 0/],
    [{ topic: "t", records: [[null, null, {}]] }, /headers of record 0/],
    [{ topic: "t", records: [[null, null, [["a"]]]] }, /header of record 0/],
    [{ topic: "t", records: [[null, null, [[5, null]]]] }, /header of record 0/],
    [{ topic: "t", records: [[null, null, null, -2]] }, /time of record 0/],
    [{ topic: "t", records: [[null, null, null, "now"]] }, /time of record 0/],
    [{ topic: "t", records: [[null, null, null, null, -1]] }, /partition of record 0/],
    [{ topic: "t", records: [], acks: 2 }, /acks/],
    [{ topic: "t", records: [], compression: "brotli" }, /compression/],
    [{ topic: "t", records: [], expectedOffset: "0" }, /expectedOffset/],
    [{ topic: "t", records: [], timeoutMs: -1 }, /timeoutMs/],
  ] as const)("of wrong shape cost their request alone: %j", async (fields, text) => {
    const asked = client.ask("produce", fields);
    await expect(asked).rejects.toThrow(text);
    expect(await refusal(asked)).toBe("invalid_request");
    expect(await client.ask("ping")).toEqual({ id: expect.any(Number) });
  });

  test.each([
    ["fetch", { topic: "t", partitions: [] }],
    ["fetch", { topic: "t", partitions: [[0, -1]] }],
    ["fetch", { topic: "t", partitions: [[0, "earliest"]] }],
    [
      "fetch",
      {
        topic: "t",
        partitions: [
          [0, 0],
          [0, 1],
        ],
      },
    ],
    ["fetch", { topic: "t", partitions: [[0]] }],
    ["fetch", { topic: "t", partitions: [[0, 0]], bytesMax: 0 }],
    ["fetch", { topic: "t", partitions: [[0, 0]], waitMs: 1e9 }],
    ["fetch", { topic: "t", partitions: [[0, 0]], committed: 1 }],
    ["fetch", { partitions: [[0, 0]] }],
    ["offsets", { topic: "t", partitions: [[0, "now"]] }],
    ["offsets", { topic: "t", partitions: [[0, {}]] }],
    ["offsets", { topic: "t", partitions: [[0, { timestampMs: "1" }]] }],
    ["create_topic", { topic: "x", partitions: 0 }],
    ["create_topic", { topic: "x", config: { "retention.ms": 5 } }],
    ["create_topic", {}],
    ["delete_topic", { topic: null }],
    ["describe_topic", { topic: [] }],
    ["subscribe", { topic: "t", at: "now" }],
    ["subscribe", { topic: "t", partitions: 5 }],
    ["subscribe", { topic: "t", credit: -1 }],
    ["credit", { subscription: 1 }],
    ["credit", { bytes: 1, subscription: -1 }],
    ["unsubscribe", {}],
    ["nonsense", {}],
    ["constructor", {}],
    ["toString", {}],
  ] as const)("%s %j is refused as invalid, and no more", async (op, fields) => {
    expect(await refusal(client.ask(op, fields))).toBe("invalid_request");
    await client.ask("ping");
  });

  test("with acks 0 are appended, and only failures are told", async () => {
    const quiet = client.begin("produce", {
      topic: "t",
      records: [[null, bytes("a"), null, null, 0]],
      acks: 0,
    });
    await client.ask("fetch", { topic: "t", partitions: [[0, 0]], waitMs: 5000 });
    const failing = { topic: "t", records: [[null, null, null, null, 9]], acks: 0 };
    expect(await refusal(client.ask("produce", failing))).toBe("unknown_topic_or_partition");
    await client.ask("ping");
    let isAnswered = false;
    const answered = () => {
      isAnswered = true;
    };
    void quiet.answer.then(answered, () => {});
    await client.ask("ping");
    expect(isAnswered).toBe(false);
  });

  test("are waited for, while other requests are answered", async () => {
    const waiting = client.ask("fetch", { topic: "t", partitions: [[0, 0]], waitMs: 60_000 });
    await client.ask("ping");
    await client.ask("produce", { topic: "t", records: [[null, bytes("a"), null, null, 0]] });
    expect((await waiting).partitions[0].records.length).toBe(1);
  });

  test("are found by word and by time", async () => {
    const at = (ms: number) => [null, null, null, ms, 0];
    await client.ask("produce", { topic: "t", records: [at(100), at(200)] });
    const asked = [
      [[0, "earliest"]],
      [[0, "latest"]],
      [[0, { timestampMs: 150 }]],
      [[0, 77]],
      [[9, "latest"]],
    ];
    const found = [];
    for (const partitions of asked) {
      found.push((await client.ask("offsets", { topic: "t", partitions })).partitions[0]);
    }
    expect(found).toMatchObject([
      { partition: 0, offset: 0 },
      { partition: 0, offset: 2 },
      { partition: 0, offset: 1, timestampMs: 200 },
      { partition: 0, offset: 77 },
      { partition: 9, error: { code: "unknown_topic_or_partition" } },
    ]);
    const late = await client.ask("fetch", { topic: "t", partitions: [[0, 50]] });
    expect(late.partitions).toMatchObject([{ error: { code: "offset_out_of_range" } }]);
  });
});

describe("topics", () => {
  test("are made, listed, described and deleted", async () => {
    await start();
    client = await TcpClient.connect(network, port);
    const config = { "retention.ms": "1000" };
    const made = await client.ask("create_topic", { topic: "b", partitions: 3, config });
    expect(made).toMatchObject({ topic: "b", partitions: 3, config, internal: false });
    expect(await refusal(client.ask("create_topic", { topic: "b" }))).toBe("topic_already_exists");
    const hostile = { topic: "c", config: JSON.parse('{"__proto__": "1"}') };
    expect(await refusal(client.ask("create_topic", hostile))).toBe("invalid_config");
    expect((await client.ask("list_topics")).topics).toMatchObject([{ topic: "b", partitions: 3 }]);
    expect(await client.ask("describe_topic", { topic: "b" })).toMatchObject({
      topicId: expect.any(String),
      config,
    });
    await client.ask("delete_topic", { topic: "b" });
    expect(await refusal(client.ask("describe_topic", { topic: "b" }))).toBe(
      "unknown_topic_or_partition",
    );
  });
});

describe("subscriptions", () => {
  beforeEach(async () => {
    await start();
    await rig.topic("t", 2);
    client = await TcpClient.connect(network, port);
  });

  const put = (partition: number, ...values: string[]) =>
    client.ask("produce", {
      topic: "t",
      records: values.map((value) => [null, bytes(value), null, null, partition]),
    });

  test("push what is there, and what comes", async () => {
    await put(0, "a", "b");
    const { id, positions } = await client.ask("subscribe", {
      topic: "t",
      at: "earliest",
      credit: 100_000,
    });
    expect(positions).toEqual([
      [0, 0],
      [1, 0],
    ]);
    const first = await client.event(id);
    expect(first.event).toBe("records");
    expect(first.records.map((record: unknown[]) => record[1])).toEqual([0, 1]);
    expect(first.positions).toEqual([
      [0, 2],
      [1, 0],
    ]);
    await put(1, "c");
    expect((await client.event(id)).records).toMatchObject([
      [1, 0, expect.any(Number), null, bytes("c"), []],
    ]);
  });

  test("begin at the end where nothing else is said, or where each partition is told", async () => {
    await put(0, "a", "b");
    const latest = await client.ask("subscribe", { topic: "t" });
    expect(latest.positions).toEqual([
      [0, 2],
      [1, 0],
    ]);
    const partitions = [[0, 1]];
    expect((await client.ask("subscribe", { topic: "t", partitions })).positions).toEqual([[0, 1]]);
  });

  test("push nothing without credit, and no more than one record beyond it", async () => {
    await put(0, ...Array.from({ length: 10 }, () => "x".repeat(1000)));
    const { id } = await client.ask("subscribe", { topic: "t", at: "earliest" });
    await client.ask("ping");
    await client.ask("ping");
    expect(client.queued(id)).toBe(0);
    client.tell({ id: 900, op: "credit", subscription: id, bytes: 2500 });
    const seen: number[] = [];
    while (seen.length < 3) {
      for (const [, offset] of (await client.event(id)).records) seen.push(offset);
    }
    await client.ask("ping");
    await client.ask("ping");
    expect(client.queued(id)).toBe(0);
    expect(seen).toEqual([0, 1, 2]);
    client.tell({ id: 901, op: "credit", subscription: id, bytes: 100_000 });
    while (seen.length < 10) {
      for (const [, offset] of (await client.event(id)).records) seen.push(offset);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("end when they are told to, with nothing behind the answer", async () => {
    const { id } = await client.ask("subscribe", { topic: "t", credit: 1_000_000 });
    await client.ask("unsubscribe", { subscription: id });
    await put(0, "late");
    await client.ask("ping");
    expect(client.queued(id)).toBe(0);
    expect(await refusal(client.ask("unsubscribe", { subscription: id }))).toBe(
      "unknown_subscription_id",
    );
    // Credit that was on its way is not an error.
    client.tell({ id: 950, op: "credit", subscription: id, bytes: 5 });
    await client.ask("ping");
  });

  test("end with a reason when their topic goes, or their offset has gone", async () => {
    const { id } = await client.ask("subscribe", {
      topic: "t",
      credit: 1000,
      partitions: [[0, 99]],
    });
    expect(await client.event(id)).toMatchObject({
      event: "end",
      error: { code: "offset_out_of_range" },
    });
    expect(await refusal(client.ask("subscribe", { topic: "missing" }))).toBe(
      "unknown_topic_or_partition",
    );
    expect(await refusal(client.ask("unsubscribe", { subscription: id }))).toBe(
      "unknown_subscription_id",
    );
  });

  test("end when their topic was made anew, although there is something at their offset", async () => {
    await put(0, "a");
    // Without credit it looks at nothing until there is another topic.
    const { id } = await client.ask("subscribe", { topic: "t", partitions: [[0, 0]] });
    await client.ask("delete_topic", { topic: "t" });
    await client.ask("create_topic", { topic: "t", partitions: 2 });
    await put(0, "b");
    client.tell({ id: 900, op: "credit", subscription: id, bytes: 1000 });
    expect(await client.event(id)).toMatchObject({
      event: "end",
      error: { code: "unknown_topic_id" },
    });
  });

  test("go on beside each other, and beside requests", async () => {
    const ids = [];
    for (let i = 0; i < 5; i++) {
      ids.push((await client.ask("subscribe", { topic: "t", credit: 10_000 })).id);
    }
    await put(0, "a");
    for (const id of ids) expect((await client.event(id)).records.length).toBe(1);
  });

  test("are told of the end when the broker stops", async () => {
    const { id } = await client.ask("subscribe", { topic: "t", credit: 1000 });
    const last = client.event(id);
    const waiting = client.ask("fetch", { topic: "t", partitions: [[0, 0]], waitMs: 60_000 });
    // What was sent is looked at before the stop.
    await client.ask("ping");
    const stopping = rig.broker.stop(5000);
    expect(await last).toMatchObject({ event: "end" });
    expect((await waiting).partitions[0].records).toEqual([]);
    await stopping;
    await client.closed;
  });
});

describe("tokens", () => {
  const isAllowed = (user: string, operation: string, resource: string) =>
    user === "alice" || (resource.startsWith("bob-") && ["read", "describe"].includes(operation));
  beforeEach(async () => {
    await start({ auth: [tokenAuth({ "a-token": "alice", "b-token": "bob" }, isAllowed)] });
    await rig.topic("bob-1");
    await rig.topic("secret");
  });

  test("are asked for in the first frame", async () => {
    for (const hello of [{}, { token: null }, { token: "wrong" }, { token: bytes("wrong") }]) {
      expect(await refusal(TcpClient.connect(network, port, hello))).toBe(
        "sasl_authentication_failed",
      );
    }
    expect(await refusal(TcpClient.connect(network, port, { token: 5 }))).toBe("invalid_request");
    for (const token of ["a-token", bytes("a-token")]) {
      const alice = await TcpClient.connect(network, port, { token });
      await alice.ask("produce", { topic: "bob-1", records: [[null, null]] });
    }
  });

  test("decide what is served, for every op", async () => {
    const bob = await TcpClient.connect(network, port, { token: "b-token" });
    const place = { topic: "secret", partitions: [[0, 0]] };
    const denied = "topic_authorization_failed";
    for (const [op, fields] of [
      ["produce", { topic: "secret", records: [[null, null]] }],
      ["produce", { topic: "secret", records: [[null, null, null, null, 0]] }],
      ["produce", { topic: "bob-1", records: [[null, null, null, null, 0]] }],
      ["produce", { topic: "made-up", records: [[null, null]] }],
      ["subscribe", { topic: "secret" }],
      ["create_topic", { topic: "secret2" }],
      ["create_topic", { topic: "bob-2" }],
      ["delete_topic", { topic: "secret" }],
      ["delete_topic", { topic: "bob-1" }],
      ["describe_topic", { topic: "secret" }],
    ] as const) {
      expect([op, fields.topic, await refusal(bob.ask(op, fields))]).toEqual([
        op,
        fields.topic,
        denied,
      ]);
    }
    for (const op of ["fetch", "offsets"]) {
      const asked = op === "fetch" ? place : { topic: "secret", partitions: [[0, "latest"]] };
      expect((await bob.ask(op, asked)).partitions).toMatchObject([{ error: { code: denied } }]);
    }
    expect(
      (await bob.ask("list_topics")).topics.map(({ topic }: { topic: string }) => topic),
    ).toEqual(["bob-1"]);
    expect((await bob.ask("fetch", { ...place, topic: "bob-1" })).partitions[0].records).toEqual(
      [],
    );
  });

  test("are renewed by the same principal alone", async () => {
    const bob = await TcpClient.connect(network, port, { token: "b-token" });
    expect(await bob.ask("auth", { token: "b-token" })).toMatchObject({ expiresAtMs: null });
    expect(await refusal(bob.ask("auth", { token: "a-token" }))).toBe("illegal_sasl_state");
    await bob.closed;
    const other = await TcpClient.connect(network, port, { token: "b-token" });
    expect(await refusal(other.ask("auth", { token: "wrong" }))).toBe("sasl_authentication_failed");
    await other.closed;
  });

  test("nothing but a hello is looked at first", async () => {
    for (const op of ["produce", "ping", "auth", "list_topics", undefined]) {
      const stranger = new TcpClient(await network.connect({ host: "x", port }));
      stranger.tell({ id: 1, op: "nothing before" });
      const asked = stranger.ask(op as string, { topic: "secret", records: [], token: "a-token" });
      expect(await refusal(asked)).not.toBe("ok");
      await stranger.closed;
    }
  });
});

describe("hello", () => {
  beforeEach(() => start());

  test("tells what is spoken, by whom, and what is bounded", async () => {
    const raw = new TcpClient(await network.connect({ host: "x", port }));
    expect(await raw.ask("hello", { version: 1, client: "c" })).toMatchObject({
      version: 1,
      broker: 1,
      cluster: rig.broker.clusterId,
      expiresAtMs: null,
      frameBytesMax: 16 * 1024 * 1024,
      inFlightMax: 128,
      idleMsMax: 600_000,
    });
  });

  test("of another version is refused, a second one too", async () => {
    expect(await refusal(TcpClient.connect(network, port, { version: 2 }))).toBe(
      "unsupported_version",
    );
    const twice = await TcpClient.connect(network, port);
    expect(await refusal(twice.ask("hello", { version: 1 }))).toBe("illegal_sasl_state");
    await twice.closed;
  });

  test("holds back what follows it", async () => {
    const raw = new TcpClient(await network.connect({ host: "x", port }));
    const hello = raw.ask("hello", { version: 1 });
    const pings = [raw.ask("ping"), raw.ask("ping")];
    await hello;
    await Promise.all(pings);
  });
});
