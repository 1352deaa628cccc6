import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import type { Authorizer, Question } from "../../../src/contracts/auth.ts";
import type {
  Broker,
  FetchResponse,
  GroupApi,
  LogApi,
  TransactionApi,
} from "../../../src/contracts/broker.ts";
import { admit } from "../../../src/core/broker/admission.ts";
import { errorByCode, type Outcome } from "../../../src/protocol/errors.ts";
import { topicRequest } from "../cluster/cluster_bench.ts";
import { type ApiBench, apiBench, call, callerOf } from "./api_bench.ts";
import { apisByKey } from "./api_table.ts";

let bench: ApiBench;
/** Methods of the inner broker that were reached. */
let reached: string[];
let questions: Question[];

beforeEach(async () => {
  bench = await apiBench();
  reached = [];
  questions = [];
  await bench.cluster.createTopic(topicRequest("mine"));
  await bench.cluster.createTopic(topicRequest("theirs"));
});
afterEach(() => bench.close());

function spied<T extends object>(half: T): T {
  return Object.fromEntries(
    Object.entries(half).map(([name, method]) => [
      name,
      (...args: unknown[]) => {
        reached.push(name);
        return (method as (...args: unknown[]) => unknown)(...args);
      },
    ]),
  ) as T;
}

function innerBroker(): Broker {
  const outcomes = (items: readonly { readonly topic: string }[]) =>
    items.map((item): Outcome<never> => ({ ok: true, value: item.topic as never }));
  const { topicsByName, topicsById } = bench.cluster.image;
  const log: LogApi = {
    append: async (_caller, request) => outcomes(request.partitions),
    fetch: async (_caller, request): Promise<FetchResponse> => ({
      partitions: outcomes(request.partitions),
      release: () => void reached.push(`released ${request.waitMsMax}`),
    }),
    partitionFor: () => ({ ok: true, value: 0 }),
    offsetFor: async (_caller, queries) => outcomes(queries),
    endOffsetForEpoch: (_caller, queries) => outcomes(queries),
    topicNameOf: (id) => topicsById.get(id)?.name ?? null,
    topicIdOf: (name) => topicsByName.get(name)?.id ?? null,
  };
  return {
    brokerId: 1,
    clusterId: bench.cluster.clusterId,
    log: { ...spied(log), topicNameOf: log.topicNameOf, topicIdOf: log.topicIdOf },
    topics: spied(bench.topics),
    admin: spied(bench.admin),
    // Those have a test of their own: admission_groups.test.ts.
    groups: {} as GroupApi,
    // And so have those: admission_transactions.test.ts.
    transactions: {} as TransactionApi,
    features: [],
    featuresEpoch: 0,
    setting: (name) => bench.settings.text(name),
    isOnline: () => bench.partitions.isOnline,
  };
}

function admitted(allows: (question: Question) => boolean): Broker {
  const authorizer: Authorizer = {
    authorize(principal, _peer, asked) {
      expect(principal.name).toBe("alice");
      questions.push(...asked);
      return asked.map(allows);
    },
  };
  const { topicsByName } = bench.cluster.image;
  return admit(
    innerBroker(),
    authorizer,
    () => topicsByName.keys(),
    (topic) => topicsByName.get(topic)?.partitionCount ?? 0,
  );
}

const alice = callerOf("alice");
const partition = (topic: string) => ({ topic, partition: 0 });
const appendRequest = (...topics: string[]) => ({
  acks: -1 as const,
  timeoutMs: 1,
  transactionalId: null,
  partitions: topics.map((topic) => ({ ...partition(topic), batches: new Uint8Array(0) })),
});
/** As much of a batch as admission looks at: its length, magic, and that it belongs to a transaction. */
function transactionalBatch(): Uint8Array {
  const bytes = new Uint8Array(61);
  bytes[16] = 2;
  bytes[22] = 0x10;
  return bytes;
}
const fetchRequest = (...topics: string[]) => ({
  isolation: "read_uncommitted" as const,
  waitMsMax: 500,
  bytesMin: 1,
  bytesMax: 1000,
  partitions: topics.map((topic) => ({
    ...partition(topic),
    fetchOffset: 0,
    bytesMax: 1000,
    leaderEpoch: -1,
  })),
});
const offsetQuery = (topic: string) => ({
  ...partition(topic),
  at: "latest" as const,
  isolation: "read_uncommitted" as const,
  leaderEpoch: -1,
});
const epochQuery = (topic: string) => ({
  ...partition(topic),
  leaderEpoch: 0,
  currentLeaderEpoch: -1,
});
const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? "ok" : outcome.error.code);
const wire = (row: { readonly errorCode: number }): string =>
  errorByCode(row.errorCode)?.code ?? "ok";

/** Requests that name "mine" and "theirs", by API key. */
const REQUESTS: ReadonlyMap<number, readonly [version: number, request: Record<string, unknown>]> =
  new Map([
    [
      3,
      [
        12,
        {
          topics: [
            { name: "mine", topicId: ZERO_UUID },
            { name: "theirs", topicId: ZERO_UUID },
            { name: "new", topicId: ZERO_UUID },
          ],
          includeTopicAuthorizedOperations: true,
        },
      ],
    ],
    [19, [7, { topics: ["new", "other"].map((name) => topicRequest(name)), validateOnly: false }]],
    [20, [5, { topicNames: ["mine", "theirs"], timeoutMs: 1 }]],
    [
      21,
      [
        2,
        {
          topics: ["mine", "theirs"].map((name) => ({
            name,
            partitions: [{ partitionIndex: 0, offset: 1 }],
          })),
          timeoutMs: 1,
        },
      ],
    ],
    [22, [5, { transactionalId: null, transactionTimeoutMs: 1 }]],
    [
      32,
      [
        4,
        {
          resources: [
            [2, "mine"],
            [4, "1"],
            [32, "g"],
            [2, "theirs"],
          ].map(([resourceType, resourceName]) => ({
            resourceType,
            resourceName,
            configurationKeys: null,
          })),
          includeSynonyms: false,
        },
      ],
    ],
    [
      33,
      [
        2,
        {
          resources: [
            [2, "mine"],
            [4, "1"],
            [2, "theirs"],
          ].map(([resourceType, resourceName]) => ({ resourceType, resourceName, configs: [] })),
          validateOnly: true,
        },
      ],
    ],
    [35, [5, { topics: null }]],
    [
      37,
      [
        3,
        {
          topics: ["mine", "theirs"].map((name) => ({ name, count: 3, assignments: null })),
          timeoutMs: 1,
          validateOnly: true,
        },
      ],
    ],
    [
      44,
      [
        1,
        {
          resources: [
            [2, "mine"],
            [4, "1"],
            [2, "theirs"],
          ].map(([resourceType, resourceName]) => ({ resourceType, resourceName, configs: [] })),
          validateOnly: true,
        },
      ],
    ],
    [34, [2, { dirs: [{ path: "/data", topics: [{ name: "mine", partitions: [0] }] }] }]],
    [43, [2, { electionType: 0, topicPartitions: [{ topic: "mine", partitions: [0] }] }]],
    [45, [1, { topics: [{ name: "mine", partitions: [{ partitionIndex: 0, replicas: null }] }] }]],
    [46, [0, { topics: null }]],
    [64, [0, { brokerId: 7 }]],
    [60, [2, { includeClusterAuthorizedOperations: true }]],
    [
      57,
      [
        2,
        {
          featureUpdates: [{ feature: "group.version", maxVersionLevel: 0, upgradeType: 2 }],
          timeoutMs: 1,
          validateOnly: false,
        },
      ],
    ],
    [61, [0, { topics: ["mine", "theirs"].map((name) => ({ name, partitionIndexes: [0] })) }]],
    [75, [0, { topics: ["mine", "theirs"].map((name) => ({ name })), responsePartitionLimit: 10 }]],
  ]);

function ask(broker: Broker, apiKey: number) {
  const [version, request] = REQUESTS.get(apiKey)!;
  return call(
    { topics: broker.topics, admin: broker.admin, caller: alice },
    apiKey,
    version,
    request,
  );
}

describe("admit() with nothing allowed", () => {
  test("covers every method of a Broker", () => {
    const broker = admitted(() => false);
    expect(Object.keys(broker.topics).sort()).toEqual(Object.keys(bench.topics).sort());
    expect(Object.keys(broker.admin).sort()).toEqual(Object.keys(bench.admin).sort());
    const methods = [...Object.keys(bench.topics), ...Object.keys(bench.admin)].sort();
    expect([...REQUESTS.keys()].map((key) => apisByKey.get(key)!.method).sort()).toEqual(methods);
    expect(Object.keys(broker.log).sort()).toEqual([
      "append",
      "currentLeader",
      "endOffsetForEpoch",
      "fetch",
      "offsetFor",
      "partitionFor",
      "topicIdOf",
      "topicNameOf",
    ]);
  });

  test("the data plane refuses every partition and reaches nothing", async () => {
    const { log } = admitted(() => false);
    const denied = ["topic_authorization_failed", "topic_authorization_failed"];
    expect((await log.append(alice, appendRequest("mine", "theirs"))).map(codeOf)).toEqual(denied);
    const fetched = await log.fetch(alice, fetchRequest("mine", "theirs"));
    fetched.release();
    expect(fetched.partitions.map(codeOf)).toEqual(denied);
    const offsets = await log.offsetFor(alice, [offsetQuery("mine"), offsetQuery("theirs")]);
    expect(offsets.map(codeOf)).toEqual(denied);
    const ends = log.endOffsetForEpoch(alice, [epochQuery("mine"), epochQuery("theirs")]);
    expect(ends.map(codeOf)).toEqual(denied);
    expect(codeOf(log.partitionFor(alice, "mine", null))).toBe("topic_authorization_failed");
    const idDenied = "transactional_id_authorization_failed";
    for (const transactionalId of ["tx", null]) {
      const { partitions, ...rest } = { ...appendRequest("mine", "theirs"), transactionalId };
      const mixed = [{ ...partitions[0]!, batches: transactionalBatch() }, partitions[1]!];
      const outcomes = await log.append(alice, { ...rest, partitions: mixed });
      expect(outcomes.map(codeOf)).toEqual([idDenied, idDenied]);
    }
    // Who appends nothing in a transaction is not asked for the id.
    const plain = { ...appendRequest("mine", "theirs"), transactionalId: "tx" };
    expect((await log.append(alice, plain)).map(codeOf)).toEqual(denied);
    expect(reached).toEqual([]);
  });

  test("every API answers refusals, and changes and shows nothing", async () => {
    const broker = admitted(() => false);
    const { revision } = bench.cluster.image;
    const topicDenied = "topic_authorization_failed";
    const clusterDenied = "cluster_authorization_failed";
    const seen: Record<string, unknown> = {};
    for (const apiKey of REQUESTS.keys()) {
      const answer = await ask(broker, apiKey);
      const { method } = apisByKey.get(apiKey)!;
      const rows = answer.topics ?? answer.responses ?? answer.results;
      seen[method] =
        apiKey === 21 || apiKey === 61 || apiKey === 34
          ? rows.flatMap((row: { partitions: { errorCode: number }[] }) => row.partitions.map(wire))
          : rows === undefined || [35, 45, 46, 57].includes(apiKey)
            ? wire(answer)
            : rows.map(wire);
      expect(JSON.stringify(answer)).not.toContain("retention");
    }
    expect(seen).toEqual({
      metadata: [topicDenied, topicDenied, topicDenied],
      createTopics: [topicDenied, topicDenied],
      deleteTopics: [topicDenied, topicDenied],
      deleteRecords: [topicDenied, topicDenied],
      initProducerId: clusterDenied,
      describeConfigs: [topicDenied, clusterDenied, "group_authorization_failed", topicDenied],
      alterConfigs: [topicDenied, clusterDenied, topicDenied],
      describeLogDirs: clusterDenied,
      alterReplicaLogDirs: [clusterDenied],
      electLeaders: clusterDenied,
      alterPartitionReassignments: clusterDenied,
      listPartitionReassignments: clusterDenied,
      unregisterBroker: clusterDenied,
      createPartitions: [topicDenied, topicDenied],
      incrementalAlterConfigs: [topicDenied, clusterDenied, topicDenied],
      updateFeatures: clusterDenied,
      describeCluster: "ok",
      describeProducers: [topicDenied, topicDenied],
      describeTopicPartitions: [topicDenied, topicDenied],
    });
    // Who the brokers are is told to everybody who is let in, as in Kafka; no topic is.
    expect([...new Set(reached)].sort()).toEqual(["describeCluster", "metadata"]);
    expect(bench.cluster.image.revision).toBe(revision);
    expect((await ask(broker, 60)).clusterAuthorizedOperations).toBe(0);
  });

  test("lists of everything are empty", async () => {
    const broker = admitted(() => false);
    const half = { topics: broker.topics, admin: broker.admin, caller: alice };
    for (const version of [1, 12]) {
      expect((await call(half, 3, version, { topics: null })).topics).toEqual([]);
    }
    expect((await call(half, 3, 0, { topics: [] })).topics).toEqual([]);
    const some = await call(half, 3, 0, { topics: [{ name: "mine" }] });
    expect(some.topics.map(wire)).toEqual(["topic_authorization_failed"]);
    const page = await call(half, 75, 0, { topics: [], responsePartitionLimit: 1 });
    expect([page.topics, page.nextCursor]).toEqual([[], null]);
  });
});

describe("admit() with something allowed", () => {
  const ofMine =
    (...operations: string[]) =>
    ({ operation, resource }: Question) =>
      resource.type === "topic" && resource.name === "mine" && operations.includes(operation);

  test("merges outcomes in the order of the request, and does not make a refusal wait", async () => {
    const { log } = admitted(ofMine("write", "read", "describe"));
    const appended = await log.append(alice, appendRequest("theirs", "mine", "theirs", "mine"));
    const order = ["topic_authorization_failed", "ok", "topic_authorization_failed", "ok"];
    expect(appended.map(codeOf)).toEqual(order);
    const fetched = await log.fetch(alice, fetchRequest("theirs", "mine", "theirs", "mine"));
    expect(fetched.partitions.map(codeOf)).toEqual(order);
    fetched.release();
    expect(reached).toEqual(["append", "fetch", "released 0"]);
    const offsets = await log.offsetFor(alice, [offsetQuery("theirs"), offsetQuery("mine")]);
    expect(offsets.map(codeOf)).toEqual(order.slice(0, 2));
  });

  test("hands an append on before its first await", () => {
    const { log } = admitted(ofMine("write"));
    void log.append(alice, appendRequest("mine"));
    void log.append(alice, appendRequest("theirs", "mine"));
    expect(reached).toEqual(["append", "append"]);
  });

  test("asks the operation that Kafka asks, of the resource that Kafka asks", async () => {
    const broker = admitted(() => true);
    const asked: Record<string, string[]> = {};
    for (const apiKey of REQUESTS.keys()) {
      questions = [];
      await ask(broker, apiKey);
      asked[apisByKey.get(apiKey)!.method] = [
        ...new Set(questions.map(({ operation, resource }) => `${operation} ${resource.type}`)),
      ].slice(0, 3);
    }
    expect(asked).toEqual({
      metadata: ["describe topic", "create cluster", "read topic"],
      createTopics: ["create cluster", "describe_configs topic"],
      deleteTopics: ["describe topic", "delete topic"],
      deleteRecords: ["delete topic"],
      initProducerId: ["idempotent_write cluster"],
      describeConfigs: [
        "describe_configs topic",
        "describe_configs cluster",
        "describe_configs group",
      ],
      alterConfigs: ["alter_configs topic", "alter_configs cluster"],
      describeLogDirs: ["describe cluster"],
      alterReplicaLogDirs: ["alter cluster"],
      electLeaders: ["alter cluster"],
      alterPartitionReassignments: ["alter cluster"],
      listPartitionReassignments: ["describe cluster"],
      unregisterBroker: ["alter cluster"],
      createPartitions: ["alter topic"],
      incrementalAlterConfigs: ["alter_configs topic", "alter_configs cluster"],
      updateFeatures: ["alter cluster"],
      describeCluster: ["describe cluster", "create cluster", "alter cluster"],
      describeProducers: ["read topic"],
      describeTopicPartitions: ["describe topic", "read topic", "write topic"],
    });
  });

  test("shows, of all topics, those that may be described, with what may be done to them", async () => {
    const broker = admitted(ofMine("describe", "read"));
    const half = { topics: broker.topics, admin: broker.admin, caller: alice };
    const listed = await call(half, 3, 12, {
      topics: null,
      includeTopicAuthorizedOperations: true,
    });
    expect(listed.topics.map((topic: { name: string }) => topic.name)).toEqual(["mine"]);
    expect(listed.topics[0].topicAuthorizedOperations).toBe((1 << 3) | (1 << 8));
    const page = await call(half, 75, 0, { topics: [], responsePartitionLimit: 10 });
    expect(page.topics.map((topic: { name: string }) => topic.name)).toEqual(["mine"]);
    expect(page.topics[0].topicAuthorizedOperations).toBe((1 << 3) | (1 << 8));
  });

  test("by id, does not tell the name of a topic that may not be described", async () => {
    const broker = admitted(ofMine("describe", "delete"));
    const half = { topics: broker.topics, admin: broker.admin, caller: alice };
    const id = bench.cluster.image.topicsByName.get("theirs")!.id;
    const answer = await call(half, 3, 12, { topics: [{ name: null, topicId: id }] });
    expect(answer.topics[0]).toMatchObject({ errorCode: 29, name: null, topicId: id });
    const deleted = await call(half, 20, 6, {
      topics: [{ name: null, topicId: id }],
      timeoutMs: 1,
    });
    expect(deleted.responses).toMatchObject([{ errorCode: 29, name: null, topicId: id }]);
  });

  test("makes a missing topic only for who may create it", async () => {
    const can = admitted(
      ({ operation, resource }) =>
        operation === "describe" || (operation === "create" && resource.name === "new"),
    );
    const half = { topics: can.topics, admin: can.admin, caller: alice };
    const named = ["new", "newer"].map((name) => ({ name, topicId: ZERO_UUID }));
    const answer = await call(half, 3, 12, { topics: named });
    expect(
      answer.topics.map((topic: { name: string; errorCode: number }) => [topic.name, wire(topic)]),
    ).toEqual([
      ["new", "ok"],
      ["newer", "topic_authorization_failed"],
    ]);
    expect(bench.cluster.image.topicsByName.has("newer")).toBe(false);
  });

  test("keeps back settings of a topic made by one who may not describe them", async () => {
    const broker = admitted(({ operation }) => operation === "create");
    const answer = await ask(broker, 19);
    expect(answer.topics[0]).toMatchObject({
      errorCode: 0,
      topicConfigErrorCode: 29,
      numPartitions: -1,
      replicationFactor: -1,
      configs: [],
    });
    expect(bench.cluster.image.topicsByName.has("new")).toBe(true);
  });

  test("gives a producer id to whoever may write to some topic", async () => {
    expect(wire(await ask(admitted(ofMine("write")), 22))).toBe("ok");
    expect(wire(await ask(admitted(ofMine("read")), 22))).toBe("cluster_authorization_failed");
  });

  test("without an authorizer hands the broker back as it is", () => {
    const broker = innerBroker();
    expect(
      admit(
        broker,
        null,
        () => [],
        () => 0,
      ),
    ).toBe(broker);
  });
});
