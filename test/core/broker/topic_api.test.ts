import { afterEach, describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import { errorByCode } from "../../../src/protocol/errors.ts";
import { type ApiBench, apiBench, call, callerOf } from "./api_bench.ts";

const METADATA = 3;
const CREATE_TOPICS = 19;
const DELETE_TOPICS = 20;
const DELETE_RECORDS = 21;
const CREATE_PARTITIONS = 37;
const DESCRIBE_TOPIC_PARTITIONS = 75;

let bench: ApiBench;
async function open(settings: Readonly<Record<string, string>> = {}): Promise<void> {
  bench = await apiBench(settings);
}
afterEach(() => bench.close());

const codeOf = (row: { errorCode: number }): string => errorByCode(row.errorCode)?.code ?? "ok";
const codes = (rows: readonly { errorCode: number }[]): string[] => rows.map(codeOf);

async function create(name: string, numPartitions = 1, configs: Record<string, string> = {}) {
  const answer = await call(bench, CREATE_TOPICS, 7, {
    topics: [
      {
        name,
        numPartitions,
        replicationFactor: -1,
        assignments: [],
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: 1000,
    validateOnly: false,
  });
  expect(codes(answer.topics)).toEqual(["ok"]);
  return answer.topics[0].topicId as string;
}

describe("Metadata", () => {
  const named = (...names: string[]) => names.map((name) => ({ name, topicId: ZERO_UUID }));

  test("tells the address of the listener that the caller came in by", async () => {
    await open({ "broker.rack": "r1" });
    for (const listener of ["kafka", "outside"]) {
      const caller = callerOf("ANONYMOUS", listener);
      const answer = await call({ ...bench, caller }, METADATA, 12, { topics: [] });
      expect(answer.brokers).toEqual([
        { nodeId: 1, host: `${listener}.example`, port: 9092, rack: "r1" },
      ]);
      expect(answer.clusterId).toBe(bench.cluster.clusterId);
      expect(answer.controllerId).toBe(1);
    }
  });

  test("makes the topics it is asked for and answers them at once, where both sides allow it", async () => {
    await open({ "num.partitions": "2" });
    const ask = (allowAutoTopicCreation: boolean, version = 12) =>
      call(bench, METADATA, version, { topics: named("new"), allowAutoTopicCreation });
    expect(codes((await ask(false)).topics)).toEqual(["unknown_topic_or_partition"]);
    const made = await ask(true);
    expect(codes(made.topics)).toEqual(["ok"]);
    expect(made.topics[0].partitions.length).toBe(2);
    expect(made.topics[0].topicId).toBe(bench.cluster.image.topicsByName.get("new")!.id);
    const old = await call(bench, METADATA, 0, { topics: named("by-v0") });
    expect(codes(old.topics)).toEqual(["ok"]);
    const internal = await call(bench, METADATA, 12, { topics: named("__consumer_offsets") });
    expect(codes(internal.topics)).toEqual(["unknown_topic_or_partition"]);
    expect(internal.topics[0].isInternal).toBe(true);
  });

  test("makes none where auto.create.topics.enable is false, and says why one cannot be made", async () => {
    await open({ "auto.create.topics.enable": "false" });
    const off = await call(bench, METADATA, 12, { topics: named("new", "a/b") });
    expect(codes(off.topics)).toEqual(["unknown_topic_or_partition", "invalid_topic_exception"]);
    await bench.close();
    await open({ "default.replication.factor": "3" });
    const three = await call(bench, METADATA, 12, { topics: named("new") });
    expect(codes(three.topics)).toEqual(["invalid_replication_factor"]);
  });

  test("asked twice at once, makes a topic once", async () => {
    await open();
    const answers = await Promise.all(
      [1, 2, 3].map(() => call(bench, METADATA, 12, { topics: named("new") })),
    );
    for (const answer of answers) expect(codes(answer.topics)).toEqual(["ok"]);
    expect(new Set(answers.map((answer) => answer.topics[0].topicId)).size).toBe(1);
  });

  test("has no leader for partitions once the log directory is offline", async () => {
    await open();
    await create("t");
    bench.partitions.isOnline = false;
    const answer = await call(bench, METADATA, 12, { topics: named("t") });
    expect(answer.topics[0].partitions[0]).toMatchObject({
      errorCode: 5,
      leaderId: -1,
      replicaNodes: [1],
      isrNodes: [],
      offlineReplicas: [1],
    });
  });

  test("lists a topic of 100,000 partitions", async () => {
    await open();
    await create("wide", 100_000);
    const answer = await bench.topics.metadata(
      bench.caller,
      {
        topics: null,
        allowAutoTopicCreation: false,
        includeClusterAuthorizedOperations: false,
        includeTopicAuthorizedOperations: false,
      },
      12,
    );
    expect(answer.topics[0]!.partitions.length).toBe(100_000);
    expect(answer.topics[0]!.partitions[99_999]).toMatchObject({
      partitionIndex: 99_999,
      leaderId: 1,
    });
  });
});

describe("CreateTopics", () => {
  test("answers the settings in force from v5 on, ours among them", async () => {
    await open({ "log.retention.hours": "1" });
    const topics = [
      {
        name: "t",
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: "partitioner", value: "murmur2" }],
      },
    ];
    const answer = await call(bench, CREATE_TOPICS, 7, { topics, validateOnly: true });
    const rows = answer.topics[0].configs as {
      name: string;
      value: string;
      configSource: number;
    }[];
    const row = (name: string) => rows.find((each) => each.name === name);
    expect(row("partitioner")).toMatchObject({ value: "murmur2", configSource: 1 });
    expect(row("retention.ms")).toMatchObject({ value: "3600000", configSource: 4 });
    expect(row("internal.segment.bytes")).toBeUndefined();
    expect(bench.cluster.image.topicsByName.size).toBe(0);
  });
});

describe("DeleteTopics", () => {
  test("by name up to v5, by name or id from v6; the answer has both", async () => {
    await open();
    await create("a");
    const id = await create("b");
    const v5 = await call(bench, DELETE_TOPICS, 5, {
      topicNames: ["a", "nope", "x", "x"],
      timeoutMs: 1,
    });
    expect(codes(v5.responses)).toEqual(["ok", "unknown_topic_or_partition", "invalid_request"]);
    const v6 = await call(bench, DELETE_TOPICS, 6, {
      topics: [
        { name: null, topicId: id },
        { name: null, topicId: ZERO_UUID },
      ],
      timeoutMs: 1,
    });
    expect(codes(v6.responses)).toEqual(["ok", "invalid_request"]);
    expect(v6.responses[0]).toMatchObject({ name: "b", topicId: id });
    expect(bench.cluster.image.topicsByName.size).toBe(0);
  });

  test("has an error of its own from v3 on where deletion is off", async () => {
    await open({ "delete.topic.enable": "false" });
    await create("a");
    const ask = (version: number) =>
      call(bench, DELETE_TOPICS, version, { topicNames: ["a"], timeoutMs: 1 });
    expect(codes((await ask(1)).responses)).toEqual(["invalid_request"]);
    expect(codes((await ask(3)).responses)).toEqual(["topic_deletion_disabled"]);
  });
});

describe("CreatePartitions", () => {
  test("refuses a topic named twice, and only looks when told to", async () => {
    await open();
    await create("a");
    await create("b");
    const row = (name: string) => ({ name, count: 3, assignments: null });
    const topics = [row("a"), row("b"), row("b")];
    const answer = await call(bench, CREATE_PARTITIONS, 3, {
      topics,
      timeoutMs: 1,
      validateOnly: true,
    });
    expect(codes(answer.results)).toEqual(["ok", "invalid_request"]);
    expect(bench.cluster.image.topicsByName.get("a")!.partitionCount).toBe(1);
  });
});

describe("DeleteRecords", () => {
  const ask = (name: string, offsets: readonly (readonly [number, number])[], timeoutMs = 1000) =>
    call(bench, DELETE_RECORDS, 2, {
      topics: [
        {
          name,
          partitions: offsets.map(([partitionIndex, offset]) => ({ partitionIndex, offset })),
        },
      ],
      timeoutMs,
    });

  test("moves the log start, and refuses with Kafka's codes", async () => {
    await open();
    await create("t", 2);
    await create("compact", 1, { "cleanup.policy": "compact" });
    const answer = await ask("t", [
      [0, 3],
      [1, -1],
      [0, 99999],
      [0, -2],
      [9, 0],
    ]);
    const rows = answer.topics[0].partitions;
    expect(codes(rows)).toEqual([
      "ok",
      "ok",
      "offset_out_of_range",
      "offset_out_of_range",
      "unknown_topic_or_partition",
    ]);
    expect(rows.map((row: { lowWatermark: number }) => row.lowWatermark)).toEqual([
      3, 5, -1, -1, -1,
    ]);
    const compact = await ask("compact", [[0, 0]]);
    expect(codes(compact.topics[0].partitions)).toEqual(["policy_violation"]);
    const unknown = await ask("nope", [[0, 0]]);
    expect(codes(unknown.topics[0].partitions)).toEqual(["unknown_topic_or_partition"]);
  });

  test("answers that time is up where the log does not get done", async () => {
    await open();
    await create("t");
    let letGo = (): void => {};
    bench.partitions.hold = new Promise((resolve) => {
      letGo = resolve;
    });
    const waiting = ask("t", [[0, 3]], 0);
    bench.fireTimers();
    expect(codes((await waiting).topics[0].partitions)).toEqual(["request_timed_out"]);
    letGo();
  });

  test("ends waiting when the caller goes", async () => {
    await open();
    await create("t");
    bench.partitions.hold = new Promise(() => {});
    const gone = new AbortController();
    const caller = { ...bench.caller, signal: gone.signal };
    const waiting = call({ ...bench, caller }, DELETE_RECORDS, 2, {
      topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset: 3 }] }],
      timeoutMs: 60_000,
    });
    gone.abort();
    expect(codes((await waiting).topics[0].partitions)).toEqual(["request_timed_out"]);
  });
});

describe("DescribeTopicPartitions", () => {
  test("pages through all topics in order of name, and leaves none out", async () => {
    await open({ "max.request.partition.size.limit": "5" });
    await create("b", 7);
    await create("a", 3);
    await create("c", 2);
    const seen: string[] = [];
    let cursor: { topicName: string; partitionIndex: number } | null = null;
    let pages = 0;
    do {
      const answer = await call(bench, DESCRIBE_TOPIC_PARTITIONS, 0, {
        topics: [],
        responsePartitionLimit: 2000,
        cursor,
      });
      let count = 0;
      for (const topic of answer.topics) {
        for (const partition of topic.partitions) {
          seen.push(`${topic.name}${partition.partitionIndex}`);
          count++;
        }
      }
      expect(count).toBeLessThan(6);
      cursor = answer.nextCursor;
      pages++;
    } while (cursor !== null);
    expect(pages).toBe(3);
    expect(seen).toEqual([
      ...["a0", "a1", "a2", "b0", "b1", "b2", "b3", "b4", "b5", "b6", "c0", "c1"],
    ]);
  });

  test("goes on after the cursor's topic has gone, and refuses a cursor before the first partition", async () => {
    await open();
    await create("a");
    await create("c", 2);
    const ask = (topicName: string, partitionIndex: number) =>
      call(bench, DESCRIBE_TOPIC_PARTITIONS, 0, {
        topics: [],
        responsePartitionLimit: 100,
        cursor: { topicName, partitionIndex },
      });
    const after = await ask("b", 1);
    expect(after.topics.map((topic: { name: string }) => topic.name)).toEqual(["c"]);
    expect(after.topics[0].partitions.length).toBe(2);
    expect(codes((await ask("c", -1)).topics)).toEqual(["invalid_request"]);
  });
});
