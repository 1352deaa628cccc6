import { afterEach, describe, expect, test } from "bun:test";
import { errorByCode } from "../../../src/protocol/errors.ts";
import { topicRequest } from "../cluster/cluster_bench.ts";
import { type ApiBench, apiBench, call } from "./api_bench.ts";

const INIT_PRODUCER_ID = 22;
const DESCRIBE_CONFIGS = 32;
const ALTER_CONFIGS = 33;
const DESCRIBE_LOG_DIRS = 35;
const INCREMENTAL_ALTER_CONFIGS = 44;
const DESCRIBE_CLUSTER = 60;
const DESCRIBE_PRODUCERS = 61;
const TOPIC = 2;
const BROKER = 4;
const GROUP = 32;

let bench: ApiBench;
async function open(settings: Readonly<Record<string, string>> = {}): Promise<void> {
  bench = await apiBench(settings);
  await bench.cluster.createTopic(topicRequest("t", { numPartitions: 2 }));
}
afterEach(() => bench.close());

const codes = (rows: readonly { errorCode: number }[]): string[] =>
  rows.map((row) => errorByCode(row.errorCode)?.code ?? "ok");

interface Row {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  readonly configSource: number;
  readonly isSensitive: boolean;
  readonly documentation: string | null;
  readonly synonyms: readonly { name: string; value: string | null; source: number }[];
}

async function describeConfigs(
  resourceType: number,
  resourceName: string,
  configurationKeys: readonly string[] | null = null,
): Promise<{ errorCode: number; configs: Row[] }> {
  const answer = await call(bench, DESCRIBE_CONFIGS, 4, {
    resources: [{ resourceType, resourceName, configurationKeys }],
    includeSynonyms: true,
    includeDocumentation: true,
  });
  return answer.results[0];
}

function alter(resourceType: number, resourceName: string, name: string, value: string) {
  return call(bench, INCREMENTAL_ALTER_CONFIGS, 1, {
    resources: [{ resourceType, resourceName, configs: [{ name, configOperation: 0, value }] }],
    validateOnly: false,
  });
}

describe("DescribeConfigs", () => {
  test("shows a topic's values with every layer they come from", async () => {
    await open({ "message.max.bytes": "5000" });
    await alter(BROKER, "", "message.max.bytes", "6000");
    await alter(BROKER, "1", "message.max.bytes", "7000");
    await alter(TOPIC, "t", "max.message.bytes", "8000");
    const { configs } = await describeConfigs(TOPIC, "t", ["max.message.bytes", "nope"]);
    expect(configs.length).toBe(1);
    expect(configs[0]).toMatchObject({ value: "8000", configSource: 1, readOnly: false });
    expect(configs[0]!.synonyms.map(({ name, value, source }) => [name, value, source])).toEqual([
      ["max.message.bytes", "8000", 1],
      ["message.max.bytes", "7000", 2],
      ["message.max.bytes", "6000", 3],
      ["message.max.bytes", "5000", 4],
      ["message.max.bytes", "1048588", 5],
    ]);
    expect(configs[0]!.documentation).toContain("Largest record batch");
  });

  test("never tells a password, whoever set it", async () => {
    await open();
    expect(codes((await alter(BROKER, "1", "ssl.key.password", "secret")).responses)).toEqual([
      "ok",
    ]);
    const { configs } = await describeConfigs(BROKER, "1", ["ssl.key.password"]);
    expect(configs[0]).toMatchObject({ value: null, isSensitive: true, configSource: 2 });
    expect(JSON.stringify(configs)).not.toContain("secret");
  });

  test("lists all settings of a broker, those that cannot change as read-only", async () => {
    await open({ "num.partitions": "4" });
    const { configs } = await describeConfigs(BROKER, "1");
    expect(configs.length).toBeGreaterThan(340);
    const row = (name: string) => configs.find((each) => each.name === name);
    expect(row("num.partitions")).toMatchObject({ value: "4", readOnly: true, configSource: 4 });
    expect(row("message.max.bytes")).toMatchObject({ readOnly: false, configSource: 5 });
    expect(row("num.io.threads")?.documentation).toStartWith("Without effect: ");
    expect(row("internal.segment.bytes")).toBeUndefined();
  });

  test("of all brokers shows what was set for all of them", async () => {
    await open();
    await alter(BROKER, "", "log.retention.ms", "5");
    await alter(BROKER, "1", "message.max.bytes", "7000");
    const { configs } = await describeConfigs(BROKER, "");
    expect(configs.map(({ name, value, configSource }) => [name, value, configSource])).toEqual([
      ["log.retention.ms", "5", 3],
    ]);
  });

  test("shows what a group has of its own, and else what the broker gives all of them", async () => {
    await open({ "group.consumer.heartbeat.interval.ms": "6000" });
    const { errorCode, configs } = await describeConfigs(GROUP, "nobody");
    expect([errorCode, configs.length]).toEqual([0, 17]);
    await alter(GROUP, "g", "consumer.session.timeout.ms", "50000");
    const rows = (await describeConfigs(GROUP, "g")).configs;
    const row = (name: string) => rows.find((each) => each.name === name)!;
    expect(row("consumer.session.timeout.ms")).toMatchObject({ value: "50000", configSource: 8 });
    const layers = ({ synonyms }: Row) =>
      synonyms.map(({ name, value, source }) => [name, value, source]);
    expect(layers(row("consumer.session.timeout.ms"))).toEqual([
      ["consumer.session.timeout.ms", "50000", 8],
      ["group.consumer.session.timeout.ms", "45000", 5],
    ]);
    expect(row("consumer.heartbeat.interval.ms")).toMatchObject({ value: "6000", configSource: 4 });
    expect(row("share.isolation.level")).toMatchObject({
      value: "read_uncommitted",
      configSource: 5,
      readOnly: false,
    });
    expect(row("share.isolation.level").documentation).toStartWith("Without effect: ");
    await alter(BROKER, "", "group.consumer.assignment.interval.ms", "7");
    const [interval] = (await describeConfigs(GROUP, "g", ["consumer.assignment.interval.ms"]))
      .configs;
    expect(interval).toMatchObject({ value: "7", configSource: 3 });
  });

  test("refuses log levels and resources that are not here", async () => {
    await open();
    for (const [type, name] of [
      [8, "1"],
      [GROUP, ""],
      [16, "m"],
      [BROKER, "77"],
    ] as const) {
      expect(codes([await describeConfigs(type, name)])).toEqual(["invalid_request"]);
    }
  });
});

describe("AlterConfigs", () => {
  test("replaces what a topic has, refuses a resource named twice, and can only look", async () => {
    await open();
    await alter(TOPIC, "t", "retention.ms", "5");
    const ask = (validateOnly: boolean, ...names: string[]) =>
      call(bench, ALTER_CONFIGS, 2, {
        resources: names.map((resourceName) => ({
          resourceType: TOPIC,
          resourceName,
          configs: [{ name: "max.message.bytes", value: "2000" }],
        })),
        validateOnly,
      });
    const own = () => Object.fromEntries(bench.cluster.image.topicsByName.get("t")!.configs);
    expect(codes((await ask(true, "t")).responses)).toEqual(["ok"]);
    expect(codes((await ask(false, "t", "t")).responses)).toEqual([
      "invalid_request",
      "invalid_request",
    ]);
    expect(own()).toEqual({ "retention.ms": "5" });
    expect(codes((await ask(false, "t", "nope")).responses)).toEqual([
      "ok",
      "unknown_topic_or_partition",
    ]);
    expect(own()).toEqual({ "max.message.bytes": "2000" });
  });
});

describe("DescribeCluster", () => {
  test("tells operations where asked, and knows endpoint types", async () => {
    await open();
    const asked = await call(bench, DESCRIBE_CLUSTER, 2, {
      includeClusterAuthorizedOperations: true,
    });
    expect(asked.clusterAuthorizedOperations).toBe(8096);
    const odd = await call(bench, DESCRIBE_CLUSTER, 2, {
      includeClusterAuthorizedOperations: false,
      endpointType: 7,
    });
    expect(codes([odd])).toEqual(["unsupported_endpoint_type"]);
  });
});

describe("DescribeLogDirs", () => {
  test("has the sizes of what was asked for, and of the volume", async () => {
    await open();
    await bench.cluster.createTopic(topicRequest("other"));
    const all = await call(bench, DESCRIBE_LOG_DIRS, 5, { topics: null });
    expect(all.results).toMatchObject([
      { errorCode: 0, logDir: "/data", totalBytes: 1000, usableBytes: 600, isCordoned: false },
    ]);
    const sizes = all.results[0].topics.map(
      (topic: { name: string; partitions: { partitionSize: number }[] }) => [
        topic.name,
        ...topic.partitions.map((partition) => partition.partitionSize),
      ],
    );
    expect(sizes).toEqual([
      ["t", 100, 100],
      ["other", 100],
    ]);
    const some = await call(bench, DESCRIBE_LOG_DIRS, 1, {
      topics: [
        { topic: "t", partitions: [1, 9] },
        { topic: "nope", partitions: [0] },
      ],
    });
    expect(some.results[0].topics).toMatchObject([
      { name: "t", partitions: [{ partitionIndex: 1, partitionSize: 100, offsetLag: 0 }] },
    ]);
  });

  test("says that the directory is offline", async () => {
    await open();
    bench.partitions.isOnline = false;
    const answer = await call(bench, DESCRIBE_LOG_DIRS, 5, { topics: null });
    expect(codes(answer.results)).toEqual(["kafka_storage_error"]);
  });
});

describe("DescribeProducers", () => {
  test("lists who wrote, by partition", async () => {
    await open();
    bench.partitions.producers = [
      {
        producerId: 6,
        producerEpoch: 1,
        lastSequence: 4,
        lastTimestampMs: 1234,
        coordinatorEpoch: -1,
        currentTransactionStartOffset: -1,
      },
    ];
    const answer = await call(bench, DESCRIBE_PRODUCERS, 0, {
      topics: [
        { name: "t", partitionIndexes: [0, 9] },
        { name: "nope", partitionIndexes: [0] },
      ],
    });
    expect(codes(answer.topics[0].partitions)).toEqual(["ok", "unknown_topic_or_partition"]);
    expect(codes(answer.topics[1].partitions)).toEqual(["unknown_topic_or_partition"]);
    expect(answer.topics[0].partitions[0].activeProducers).toEqual([
      {
        producerId: 6,
        producerEpoch: 1,
        lastSequence: 4,
        lastTimestamp: 1234,
        coordinatorEpoch: -1,
        currentTxnStartOffset: -1,
      },
    ]);
  });
});

describe("InitProducerId", () => {
  const ask = (more: Readonly<Record<string, unknown>>, version = 5) =>
    call(bench, INIT_PRODUCER_ID, version, {
      transactionalId: null,
      transactionTimeoutMs: 2147483647,
      ...more,
    });

  test("gives ids in turn, also to clients that send id and epoch 0", async () => {
    await open();
    const first = await ask({});
    expect([first.errorCode, first.producerId, first.producerEpoch]).toEqual([0, 0, 0]);
    expect((await ask({}, 0)).producerId).toBe(1);
    expect((await ask({ producerId: 0, producerEpoch: 0 })).producerId).toBe(2);
  });

  test("refuses as Kafka does", async () => {
    await open();
    for (const [request, code] of [
      [{ producerId: 5 }, "invalid_request"],
      [{ producerEpoch: 0 }, "invalid_request"],
      [{ transactionalId: "" }, "invalid_request"],
      // Its coordinator is asked for that one.
      [{ transactionalId: "x", transactionTimeoutMs: 1000 }, "invalid_request"],
    ] as const) {
      const answer = await ask(request);
      expect(codes([answer])).toEqual([code]);
      expect(answer.producerId).toBe(-1);
    }
  });
});
