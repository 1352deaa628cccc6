// The APIs of transactions in a whole broker, over the log and the groups: both protocols from end to end, refusals in the words
// of each version, time, deletion, and what is left after a restart.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type KafkaErrorName, wireCodeOf } from "../../../src/protocol/errors.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { caller } from "../../support/log_rig.ts";
import { codeName, TransactionCalls } from "../../support/transaction_calls.ts";

interface Plugins {
  readonly storage: StoragePlugin;
  readonly metadata: MetadataStorePlugin;
}

let plugins: Plugins;
let host: HostRuntime;
let broker: RunningBroker;
let calls: TransactionCalls;
let isRunning = false;

async function start(settings: Readonly<Record<string, string | number>> = {}): Promise<void> {
  host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  broker = await createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    ...plugins,
    transports: [],
    settings: {
      "offsets.topic.num.partitions": 3,
      "transaction.state.log.num.partitions": 4,
      ...settings,
    },
  });
  await broker.start();
  calls = new TransactionCalls(broker, caller);
  isRunning = true;
}

async function stop(): Promise<void> {
  if (!isRunning) return;
  isRunning = false;
  await broker.stop(0);
  await host.stop(1000);
}

async function topic(name: string, partitions = 2): Promise<void> {
  const made = await createTopic(broker, caller, { name, partitions });
  if (!made.ok) throw new Error(made.error.message);
}

async function setLevel(level: number): Promise<void> {
  const answer = await broker.admin.updateFeatures(
    caller,
    {
      timeoutMs: 1000,
      validateOnly: false,
      featureUpdates: [
        {
          feature: "transaction.version",
          maxVersionLevel: level,
          allowDowngrade: true,
          upgradeType: 2,
        },
      ],
    },
    1,
  );
  expect([answer.errorCode, ...answer.results.map((each) => each.errorCode)]).toEqual([0, 0]);
}

const code = (name: KafkaErrorName) => wireCodeOf(name);

beforeEach(async () => {
  plugins = { storage: storageMemory(), metadata: metadataMemory() };
  await start();
  await topic("a");
  await topic("b");
});
afterEach(stop);

async function internalTopic() {
  const request = {
    topics: null,
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  };
  const { topics } = await broker.topics.metadata(caller, request, 12);
  return topics.find(({ name }) => name === "__transaction_state");
}

describe("the internal topic", () => {
  test("is not made by those who only look", async () => {
    expect((await calls.list()).transactionStates).toEqual([]);
    expect((await calls.describe("t"))[0]!.errorCode).toBe(code("not_coordinator"));
    expect(await calls.add({ producerId: 1, producerEpoch: 0 }, { a: [0] })).toEqual({
      "a/0": "not_coordinator",
    });
    expect((await calls.end({ producerId: 1, producerEpoch: 0 })).errorCode).toBe(
      code("not_coordinator"),
    );
    expect(await calls.produce({ producerId: 1, producerEpoch: 0 }, ["x"])).toBe(
      "not_enough_replicas",
    );
    expect(await internalTopic()).toBeUndefined();
  });

  test("is made once by whoever asks first for a coordinator, as Kafka makes it", async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => calls.find([`t${i}`])));
    for (const { coordinators } of answers) {
      expect(coordinators).toEqual([
        {
          key: coordinators[0]!.key,
          nodeId: 1,
          host: "localhost",
          port: 0,
          errorCode: 0,
          errorMessage: "",
        },
      ]);
    }
    const made = await internalTopic();
    expect([made!.isInternal, made!.partitions.length]).toEqual([true, 4]);
    const { results } = await broker.admin.describeConfigs(
      caller,
      {
        resources: [
          { resourceType: 2, resourceName: "__transaction_state", configurationKeys: null },
        ],
        includeSynonyms: false,
        includeDocumentation: false,
      },
      4,
    );
    const own = results[0]!.configs.filter(({ configSource }) => configSource === 1);
    expect(own.map(({ name, value }) => `${name}=${value}`).sort()).toEqual([
      "cleanup.policy=compact",
      "compression.type=uncompressed",
      "min.insync.replicas=2",
      "segment.bytes=104857600",
      "unclean.leader.election.enable=false",
    ]);
  });

  test("is made by a producer that does not look for its coordinator", async () => {
    expect((await calls.init()).errorCode).toBe(0);
    expect(await internalTopic()).toBeDefined();
  });

  test("answers of versions below 4 have one coordinator, others a list", async () => {
    const old = await calls.find(["t"], 1);
    expect([old.nodeId, old.errorCode, old.errorMessage, old.coordinators]).toEqual([
      1,
      0,
      "NONE",
      [],
    ]);
    const several = await calls.find(["t", "u"], 4);
    expect(several.coordinators.map(({ key }) => key)).toEqual(["t", "u"]);
  });
});

describe("InitProducerId", () => {
  const refused = async (given: Parameters<TransactionCalls["init"]>[0], version = 5) =>
    codeName((await calls.init(given, version)).errorCode);

  test("gives an id, then epoch after epoch", async () => {
    const first = await calls.init();
    expect(first).toMatchObject({ errorCode: 0, producerEpoch: 0, ongoingTxnProducerId: -1 });
    expect(await calls.init()).toMatchObject({ producerId: first.producerId, producerEpoch: 1 });
    const other = await calls.init({ transactionalId: "u" });
    expect(other.producerId).not.toBe(first.producerId);
    expect(other.producerEpoch).toBe(0);
  });

  test("refuses what Kafka refuses, in its words", async () => {
    expect(await refused({ transactionTimeoutMs: 0 })).toBe("invalid_transaction_timeout");
    expect(await refused({ transactionTimeoutMs: -1 })).toBe("invalid_transaction_timeout");
    expect(await refused({ transactionTimeoutMs: 900_001 })).toBe("invalid_transaction_timeout");
    expect(await refused({ transactionTimeoutMs: 900_000 })).toBe("none");
    expect(await refused({ transactionalId: "" })).toBe("invalid_request");
    expect(await refused({ producerId: 4 })).toBe("invalid_request");
    expect(await refused({ producerEpoch: 4 })).toBe("invalid_request");
    expect(await refused({ enable2Pc: true }, 6)).toBe("transactional_id_authorization_failed");
    expect(await refused({ keepPreparedTxn: true }, 6)).toBe("unsupported_version");
    expect(await calls.init({ producerId: 999_999, producerEpoch: 0 })).toMatchObject({
      errorCode: code("producer_fenced"),
      producerId: -1,
      producerEpoch: -1,
    });
    expect(await refused({ producerId: 999_999, producerEpoch: 0 }, 4)).toBe("producer_fenced");
    expect(await refused({ producerId: 999_999, producerEpoch: 0 }, 3)).toBe(
      "invalid_producer_epoch",
    );
  });

  test("takes two-phase commits where they are switched on: no timeout is held against them", async () => {
    await stop();
    await start({ "transaction.two.phase.commit.enable": "true" });
    expect(await refused({ enable2Pc: true, transactionTimeoutMs: -1 }, 6)).toBe("none");
    expect((await calls.describe("t"))[0]!.transactionTimeoutMs).toBe(2_147_483_647);
  });

  test("over an open transaction aborts it, and the producer that had it is fenced", async () => {
    const producer = await calls.init();
    expect(await calls.produce(producer, ["lost"])).toBe("ok");
    expect(await refused({})).toBe("concurrent_transactions");
    const next = await calls.init();
    expect(next).toMatchObject({ errorCode: 0, producerEpoch: 2 });
    expect(await calls.read()).toEqual([]);
    expect(await calls.read("read_uncommitted")).toEqual(["lost"]);
    expect(await calls.produce(producer, ["zombie"], { sequence: 1 })).toBe(
      "invalid_producer_epoch",
    );
    expect((await calls.end(producer)).errorCode).toBe(code("producer_fenced"));
  });
});

describe("the newer protocol", () => {
  test("batches take their partitions along, and every end bumps the epoch", async () => {
    const producer = await calls.init();
    expect(await calls.produce(producer, ["a0"])).toBe("ok");
    expect(await calls.produce(producer, ["a1"], { sequence: 1 })).toBe("ok");
    expect(await calls.produce(producer, ["b0"], { topic: "b", partition: 1 })).toBe("ok");
    expect((await calls.describe("t"))[0]).toMatchObject({
      errorCode: 0,
      transactionState: "Ongoing",
      transactionTimeoutMs: 60_000,
      producerEpoch: 0,
      topics: [
        { topic: "a", partitions: [0] },
        { topic: "b", partitions: [1] },
      ],
    });
    expect(await calls.read()).toEqual([]);
    const ended = await calls.end(producer);
    expect(ended).toMatchObject({
      errorCode: 0,
      producerId: producer.producerId,
      producerEpoch: 1,
    });
    // All of it, as soon as it is answered.
    expect(await calls.read()).toEqual(["a0", "a1"]);
    expect(await calls.read("read_committed", "b", 1)).toEqual(["b0"]);
    expect((await calls.describe("t"))[0]).toMatchObject({
      transactionState: "CompleteCommit",
      topics: [],
    });
    expect(await calls.end(producer)).toMatchObject({ errorCode: 0, producerEpoch: 1 });
    expect(await calls.produce(ended, ["a2"])).toBe("ok");
    expect(await calls.end(ended, false)).toMatchObject({ errorCode: 0, producerEpoch: 2 });
    expect(await calls.read()).toEqual(["a0", "a1"]);
    // Nothing was begun: allowed, and bumped.
    const third = { producerId: producer.producerId, producerEpoch: 2 };
    expect(await calls.end(third, true)).toMatchObject({
      errorCode: code("invalid_txn_state"),
      producerId: -1,
      producerEpoch: -1,
    });
    expect(await calls.end(third, false)).toMatchObject({ errorCode: 0, producerEpoch: 3 });
  });

  test("a batch of an id that nobody has, or of another producer, is refused", async () => {
    const producer = await calls.init();
    expect(await calls.produce(producer, ["x"], { transactionalId: "u" })).toBe(
      "invalid_producer_id_mapping",
    );
    const other = { producerId: producer.producerId + 500, producerEpoch: 0 };
    expect(await calls.produce(other, ["x"])).toBe("invalid_producer_id_mapping");
    expect(await calls.produce({ ...producer, producerEpoch: 3 }, ["x"])).toBe(
      "invalid_producer_epoch",
    );
  });
});

describe("the older protocol", () => {
  for (const level of [0, 1, 2]) {
    test(`partitions are added first, the epoch stays, level ${level}`, async () => {
      if (level < 2) await setLevel(level);
      const producer = await calls.init({}, 1);
      const batch = { adds: false };
      expect(await calls.produce(producer, ["early"], batch)).toBe("transaction_abortable");
      expect(await calls.add(producer, { a: [0, 1], b: [0] }, 0)).toEqual({
        "a/0": "none",
        "a/1": "none",
        "b/0": "none",
      });
      expect(await calls.produce(producer, ["one"], batch)).toBe("ok");
      expect(await calls.end(producer, true, 3)).toMatchObject({ errorCode: 0, producerId: -1 });
      expect(await calls.read()).toEqual(["one"]);
      // Asked again.
      expect((await calls.end(producer, true, 3)).errorCode).toBe(0);
      expect((await calls.end(producer, false, 3)).errorCode).toBe(code("invalid_txn_state"));
      expect(await calls.add(producer, { a: [0] }, 3)).toEqual({ "a/0": "none" });
      expect(await calls.produce(producer, ["two"], { adds: false, sequence: 1 })).toBe("ok");
      expect((await calls.end(producer, false, 4)).errorCode).toBe(0);
      expect(await calls.read()).toEqual(["one"]);
    });
  }

  test("one partition that may not be added refuses all, those that may not come first", async () => {
    const producer = await calls.init();
    await calls.addOffsets(producer);
    await calls.end(producer, true, 3);
    const answered = await calls.add(producer, {
      a: [0, 9],
      nope: [0],
      __consumer_offsets: [0],
      b: [-1],
    });
    expect(Object.entries(answered)).toEqual([
      ["__consumer_offsets/0", "topic_authorization_failed"],
      ["a/9", "unknown_topic_or_partition"],
      ["a/0", "operation_not_attempted"],
      ["nope/0", "unknown_topic_or_partition"],
      ["b/-1", "unknown_topic_or_partition"],
    ]);
    expect((await calls.describe("t"))[0]!.topics).toEqual([]);
  });

  test("a fenced producer is told in the words of its version", async () => {
    const producer = await calls.init();
    await calls.init();
    expect(await calls.add(producer, { a: [0] }, 1)).toEqual({ "a/0": "invalid_producer_epoch" });
    expect(await calls.add(producer, { a: [0] }, 2)).toEqual({ "a/0": "producer_fenced" });
    expect(await calls.addOffsets(producer, "g", 1)).toBe("invalid_producer_epoch");
    expect(await calls.addOffsets(producer, "g", 2)).toBe("producer_fenced");
    expect((await calls.end(producer, true, 1)).errorCode).toBe(code("invalid_producer_epoch"));
    expect((await calls.end(producer, true, 2)).errorCode).toBe(code("producer_fenced"));
  });

  test("an empty transactional id is no id", async () => {
    const producer = { producerId: 1, producerEpoch: 0 };
    expect(await calls.add(producer, { a: [0] }, 3, "")).toEqual({ "a/0": "invalid_request" });
    expect(await calls.addBatched(producer, { a: [0] }, true, "")).toEqual({
      "a/0": "invalid_request",
    });
    expect(await calls.addOffsets(producer, "g", 4, "")).toBe("invalid_request");
    expect((await calls.end(producer, true, 3, "")).errorCode).toBe(code("invalid_request"));
    expect((await calls.describe(""))[0]!.errorCode).toBe(code("invalid_request"));
  });

  test("brokers add and verify for several at once", async () => {
    const producer = await calls.init();
    expect(await calls.addBatched(producer, { a: [0, 1] })).toEqual({
      "a/0": "none",
      "a/1": "none",
    });
    expect(await calls.addBatched(producer, { a: [0], b: [0] }, true)).toEqual({
      "a/0": "none",
      "b/0": "transaction_abortable",
    });
    expect(await calls.addBatched(producer, { a: [0] }, false, "u")).toEqual({
      "a/0": "invalid_producer_id_mapping",
    });
  });

  test("verification may be switched off", async () => {
    await stop();
    await start({ "transaction.partition.verification.enable": "false" });
    const producer = await calls.init();
    expect(await calls.produce(producer, ["x"], { adds: false })).toBe("ok");
  });
});

describe("offsets", () => {
  test("the group's partition joins, and gets a marker", async () => {
    const producer = await calls.init();
    expect(await calls.addOffsets(producer, "g")).toBe("none");
    const [described] = await calls.describe("t");
    expect(described!.topics.map((each) => each.topic)).toEqual(["__consumer_offsets"]);
    expect((await calls.end(producer, true, 3)).errorCode).toBe(0);
    expect((await calls.describe("t"))[0]!.transactionState).toBe("CompleteCommit");
  });

  test("of a producer that is not the one are refused", async () => {
    const producer = await calls.init();
    const other = { ...producer, producerId: producer.producerId + 1 };
    expect(await calls.addOffsets(other)).toBe("invalid_producer_id_mapping");
  });
});

describe("ListTransactions", () => {
  test("filters by state, producer, age and name", async () => {
    const open = await calls.init({ transactionalId: "app-open" });
    await calls.produce(open, ["x"], { transactionalId: "app-open" });
    const idle = await calls.init({ transactionalId: "idle" });
    const names = async (given: Parameters<TransactionCalls["list"]>[0]) =>
      (await calls.list(given)).transactionStates.map((each) => each.transactionalId).sort();
    expect(await names({})).toEqual(["app-open", "idle"]);
    expect(await names({ stateFilters: ["Ongoing"] })).toEqual(["app-open"]);
    expect(await names({ producerIdFilters: [idle.producerId] })).toEqual(["idle"]);
    expect(await names({ durationFilter: 60_000 })).toEqual(["idle"]);
    expect(await names({ transactionalIdPattern: "app-.*" })).toEqual(["app-open"]);
    expect(await names({ transactionalIdPattern: "app" })).toEqual([]);
    expect(await names({ transactionalIdPattern: "" })).toEqual(["app-open", "idle"]);
    const unknown = await calls.list({ stateFilters: ["Ongoing", "Odd", "Dead"] });
    expect(unknown.unknownStateFilters).toEqual(["Odd"]);
    expect(unknown.transactionStates).toEqual([
      { transactionalId: "app-open", producerId: open.producerId, transactionState: "Ongoing" },
    ]);
    expect(await calls.list({ stateFilters: ["Odd"] })).toMatchObject({ transactionStates: [] });
    const invalid = await calls.list({ transactionalIdPattern: "(" });
    expect([invalid.errorCode, invalid.transactionStates]).toEqual([
      code("invalid_regular_expression"),
      [],
    ]);
  });
});

describe("WriteTxnMarkers", () => {
  test("ends by hand what hangs, and says of each partition what became of it", async () => {
    const producer = await calls.init();
    await calls.produce(producer, ["x"]);
    const answer = await calls.writeMarkers(
      {
        markers: [
          {
            ...producer,
            transactionResult: false,
            topics: [
              { name: "a", partitionIndexes: [0, 1, 7] },
              { name: "nope", partitionIndexes: [0] },
            ],
            coordinatorEpoch: 0,
          },
        ],
      },
      1,
    );
    expect(answer.markers).toEqual([
      {
        producerId: producer.producerId,
        topics: [
          {
            name: "a",
            partitions: [
              { partitionIndex: 0, errorCode: 0 },
              { partitionIndex: 1, errorCode: 0 },
              { partitionIndex: 7, errorCode: code("unknown_topic_or_partition") },
            ],
          },
          {
            name: "nope",
            partitions: [{ partitionIndex: 0, errorCode: code("unknown_topic_or_partition") }],
          },
        ],
      },
    ]);
    expect(await calls.read()).toEqual([]);
  });

  test("of an older epoch are refused, and several of one producer told together", async () => {
    const producer = await calls.init();
    await calls.produce(producer, ["x"]);
    await calls.end(producer);
    const marker = (name: string, producerEpoch: number) => ({
      producerId: producer.producerId,
      producerEpoch,
      transactionResult: true,
      topics: [{ name, partitionIndexes: [0] }],
      coordinatorEpoch: 0,
      transactionVersion: 2,
    });
    const answer = await calls.writeMarkers({ markers: [marker("a", 0), marker("b", 5)] });
    expect(answer.markers).toHaveLength(1);
    const codes = answer.markers[0]!.topics.map(({ name, partitions }) => [
      name,
      codeName(partitions[0]!.errorCode),
    ]);
    expect(codes).toEqual([
      ["a", "invalid_producer_epoch"],
      ["b", "none"],
    ]);
    expect((await calls.writeMarkers({ markers: [] })).markers).toEqual([]);
  });
});

test("markers of producers that there cannot be are not written", async () => {
  for (const producer of [
    { producerId: -1, producerEpoch: 0 },
    { producerId: 1, producerEpoch: -1 },
    { producerId: (2n ** 60n) as unknown as number, producerEpoch: 0 },
  ]) {
    const topics = [{ name: "a", partitionIndexes: [0] }];
    const answer = await calls.writeMarkers({
      markers: [{ ...producer, transactionResult: true, topics, coordinatorEpoch: 0 }],
    });
    expect(codeName(answer.markers[0]!.topics[0]!.partitions[0]!.errorCode)).toBe(
      "unknown_server_error",
    );
  }
  expect(await calls.read("read_uncommitted")).toEqual([]);
});

describe("what happens meanwhile", () => {
  test("a topic that was deleted counts as written", async () => {
    const producer = await calls.init();
    await calls.produce(producer, ["x"]);
    await calls.produce(producer, ["y"], { topic: "b" });
    const deleted = await broker.topics.deleteTopics(
      caller,
      { topics: [{ name: "a", topicId: null as never }], topicNames: ["a"], timeoutMs: 1000 },
      1,
    );
    expect(deleted.responses[0]!.errorCode).toBe(0);
    expect(await calls.end(producer)).toMatchObject({ errorCode: 0, producerEpoch: 1 });
    expect((await calls.describe("t"))[0]!.transactionState).toBe("CompleteCommit");
    expect(await calls.read("read_committed", "b")).toEqual(["y"]);
  });

  test("a producer that is too slow finds its transaction aborted", async () => {
    await stop();
    await start({ "transaction.abort.timed.out.transaction.cleanup.interval.ms": 5 });
    const producer = await calls.init({ transactionTimeoutMs: 10 });
    await calls.produce(producer, ["slow"]);
    for (;;) {
      const [described] = await calls.describe("t");
      if (described!.transactionState === "CompleteAbort") break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await calls.read()).toEqual([]);
    expect(await calls.end(producer)).toMatchObject({ errorCode: code("invalid_txn_state") });
    expect(await calls.end(producer, false)).toMatchObject({ errorCode: 0, producerEpoch: 1 });
  });
});

describe("after a restart", () => {
  test("a producer goes on in its open transaction", async () => {
    const producer = await calls.init();
    await calls.produce(producer, ["before"]);
    await stop();
    await start();
    expect(await calls.read()).toEqual([]);
    expect(await calls.produce(producer, ["after"], { sequence: 1 })).toBe("ok");
    expect(await calls.produce(producer, ["b"], { topic: "b" })).toBe("ok");
    expect(await calls.end(producer)).toMatchObject({ errorCode: 0, producerEpoch: 1 });
    expect(await calls.read()).toEqual(["before", "after"]);
  });

  test("an end that was answered stands", async () => {
    const producer = await calls.init();
    await calls.produce(producer, ["x"]);
    const ended = await calls.end(producer);
    await stop();
    await start();
    expect(await calls.read()).toEqual(["x"]);
    expect((await calls.describe("t"))[0]!.transactionState).toBe("CompleteCommit");
    expect(await calls.end(producer)).toMatchObject({ errorCode: 0, producerEpoch: 1 });
    expect(await calls.produce(ended, ["y"])).toBe("ok");
    expect(await calls.init()).toMatchObject({ errorCode: code("concurrent_transactions") });
    expect(await calls.init()).toMatchObject({ errorCode: 0, producerEpoch: 3 });
  });

  test("an open transaction runs out of time though nobody asks for it", async () => {
    const producer = await calls.init({ transactionTimeoutMs: 10 });
    await calls.produce(producer, ["x"]);
    await stop();
    await start({ "transaction.abort.timed.out.transaction.cleanup.interval.ms": 5 });
    // Nothing but reading.
    const stable = async () => {
      const response = await broker.log.fetch(caller, {
        isolation: "read_committed",
        waitMsMax: 0,
        bytesMin: 0,
        bytesMax: 1,
        partitions: [{ topic: "a", partition: 0, fetchOffset: 0, bytesMax: 1, leaderEpoch: -1 }],
      });
      response.release();
      const [outcome] = response.partitions;
      return outcome!.ok ? outcome!.value.lastStableOffset : -1;
    };
    expect(await stable()).toBe(0);
    while ((await stable()) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await stable()).toBe(2);
    expect(await calls.read()).toEqual([]);
  });
});
