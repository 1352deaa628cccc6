// auth-token behind Kafka's wire, on real sockets: what is not allowed is refused, operation by operation, in the
// words Kafka has for it; and our own client with its token right, wrong and missing.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { authToken } from "../../plugins/auth-token/mod.ts";
import { servedApis } from "../../plugins/transport-kafka/dispatch.ts";
import { ZERO_UUID } from "../../src/base/uuid.ts";
import { type Client, ClientError, createClient } from "../../src/client/mod.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../src/protocol/messages/02_list_offsets.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { DescribeGroups } from "../../src/protocol/messages/15_describe_groups.ts";
import { ListGroups } from "../../src/protocol/messages/16_list_groups.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { DeleteTopics } from "../../src/protocol/messages/20_delete_topics.ts";
import { DeleteRecords } from "../../src/protocol/messages/21_delete_records.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { OffsetForLeaderEpoch } from "../../src/protocol/messages/23_offset_for_leader_epoch.ts";
import { DescribeConfigs } from "../../src/protocol/messages/32_describe_configs.ts";
import { AlterConfigs } from "../../src/protocol/messages/33_alter_configs.ts";
import { DescribeLogDirs } from "../../src/protocol/messages/35_describe_log_dirs.ts";
import { CreatePartitions } from "../../src/protocol/messages/37_create_partitions.ts";
import { IncrementalAlterConfigs } from "../../src/protocol/messages/44_incremental_alter_configs.ts";
import { DescribeCluster } from "../../src/protocol/messages/60_describe_cluster.ts";
import { DescribeProducers } from "../../src/protocol/messages/61_describe_producers.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { DescribeTopicPartitions } from "../../src/protocol/messages/75_describe_topic_partitions.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";
import { CLUSTER_CASES } from "./auth_cluster_cases.ts";
import { commit, consumerHeartbeat, fetchOffsets, GROUP_CASES } from "./auth_group_cases.ts";
import {
  asking,
  batch,
  type Case,
  CLUSTER,
  config,
  GROUP,
  loggedIn,
  NOT_ALLOWED,
  nameOf,
  one,
  TOPIC,
  TRANSACTION,
  tokensOf,
  topic,
} from "./auth_rig.ts";
import {
  beginTransactions,
  listedTransactions,
  TRANSACTION_CASES,
} from "./auth_transaction_cases.ts";
import { Live, type WireClient } from "./live.ts";

const producing = asking(
  Produce,
  8,
  () => ({
    transactionalId: null,
    acks: -1,
    timeoutMs: 5000,
    topicData: [{ name: "there", partitionData: [{ index: 0, records: batch() }] }],
  }),
  ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
);

const creating = asking(
  CreateTopics,
  7,
  () => ({ topics: [topic("new")], validateOnly: true }),
  ({ topics }) => topics[0]!.errorCode,
);

const describingConfigs = (type: number, name: string) =>
  asking(
    DescribeConfigs,
    4,
    () => ({
      resources: [{ ...config(type, name), configurationKeys: null }],
      includeSynonyms: false,
    }),
    ({ results: [result] }) => {
      if (NOT_ALLOWED.includes(nameOf(result!.errorCode))) expect(result!.configs).toEqual([]);
      return result!.errorCode;
    },
  );

const alteringConfigs = (
  api: typeof AlterConfigs | typeof IncrementalAlterConfigs,
  type: number,
  name: string,
) =>
  asking(
    api,
    api.apiKey === AlterConfigs.apiKey ? 2 : 1,
    () => ({ resources: [{ ...config(type, name), configs: [] }], validateOnly: true }),
    ({ responses }) => responses[0]!.errorCode,
  );

const producerIdFor = (transactionalId: string | null) =>
  asking(
    InitProducerId,
    4,
    () => ({ transactionalId, transactionTimeoutMs: 1000 }),
    ({ errorCode, producerId }) => {
      if (errorCode !== 0) expect(producerId).toBe(-1);
      return errorCode;
    },
  );

const reading = asking(
  Fetch,
  4,
  () => ({
    maxWaitMs: 0,
    minBytes: 0,
    topics: [
      { topic: "there", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] },
    ],
  }),
  ({ responses }) => {
    const { errorCode, records } = responses[0]!.partitions[0]!;
    if (errorCode !== 0) expect(records?.length ?? 0).toBe(0);
    return errorCode;
  },
);

const listingOffsets = asking(
  ListOffsets,
  7,
  () => ({
    replicaId: -1,
    topics: [{ name: "there", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  }),
  ({ topics }) => topics[0]!.partitions[0]!.errorCode,
);

const listingEpochs = asking(
  OffsetForLeaderEpoch,
  4,
  () => ({ topics: [{ topic: "there", partitions: [{ partition: 0, leaderEpoch: 0 }] }] }),
  ({ topics }) => topics[0]!.partitions[0]!.errorCode,
);

const describingTopic = asking(
  Metadata,
  12,
  () => ({ topics: [{ topicId: ZERO_UUID, name: "there" }] }),
  ({ topics: [found] }) => {
    if (found!.errorCode !== 0) expect(found!.partitions).toEqual([]);
    return found!.errorCode;
  },
);

const describingPartitions = asking(
  DescribeTopicPartitions,
  0,
  () => ({ topics: [{ name: "there" }] }),
  ({ topics: [found] }) => {
    if (found!.errorCode !== 0) expect(found!.topicId).toBe(ZERO_UUID);
    return found!.errorCode;
  },
);

const describingProducers = asking(
  DescribeProducers,
  0,
  () => ({ topics: [{ name: "there", partitionIndexes: [0] }] }),
  ({ topics }) => topics[0]!.partitions[0]!.errorCode,
);

const creatingByMetadata = asking(
  Metadata,
  12,
  () => ({
    topics: [{ topicId: ZERO_UUID, name: "made-by-metadata" }],
    allowAutoTopicCreation: true,
  }),
  ({ topics }) => topics[0]!.errorCode,
);

const deletingRecords = asking(
  DeleteRecords,
  2,
  () => ({
    topics: [{ name: "there", partitions: [{ partitionIndex: 0, offset: 0 }] }],
    timeoutMs: 5000,
  }),
  ({ topics }) => topics[0]!.partitions[0]!.errorCode,
);

const deletingTopic = asking(
  DeleteTopics,
  6,
  () => ({ topics: [{ name: "doomed", topicId: ZERO_UUID }], timeoutMs: 5000 }),
  ({ responses }) => responses[0]!.errorCode,
);

const addingPartitions = asking(
  CreatePartitions,
  3,
  () => ({
    topics: [{ name: "there", count: 4, assignments: null }],
    timeoutMs: 5000,
    validateOnly: true,
  }),
  ({ results }) => results[0]!.errorCode,
);

const describingLogDirs = asking(
  DescribeLogDirs,
  4,
  () => ({ topics: null }),
  ({ errorCode, results }) => {
    if (errorCode !== 0) expect(results).toEqual([]);
    return errorCode;
  },
);

type Row = readonly [
  operation: string,
  refused: string,
  rule: Case["rule"],
  asked: Pick<Case, "api" | "ask">,
];

const ROWS: readonly Row[] = [
  ["write to a topic", TOPIC, one("write", "topics"), producing],
  ["read a topic", TOPIC, one("read", "topics"), reading],
  ["describe a topic: offsets", TOPIC, one("describe", "topics"), listingOffsets],
  ["describe a topic: epochs", TOPIC, one("describe", "topics"), listingEpochs],
  ["describe a topic: metadata", TOPIC, one("describe", "topics"), describingTopic],
  ["describe a topic: partitions", TOPIC, one("describe", "topics"), describingPartitions],
  ["read a topic: producers", TOPIC, one("read", "topics"), describingProducers],
  ["create a topic", TOPIC, one("create", "topics"), creating],
  ["create on the cluster", TOPIC, one("create", "cluster"), creating],
  [
    "create a topic by asking for it",
    TOPIC,
    { allow: ["describe", "create"], topics: ["made"] },
    creatingByMetadata,
  ],
  ["delete records", TOPIC, one("delete", "topics"), deletingRecords],
  ["delete a topic", TOPIC, { allow: ["delete"], topics: ["doomed"] }, deletingTopic],
  ["alter a topic", TOPIC, one("alter", "topics"), addingPartitions],
  [
    "describe_configs of a topic",
    TOPIC,
    one("describe_configs", "topics"),
    describingConfigs(2, "there"),
  ],
  [
    "describe_configs of the cluster",
    CLUSTER,
    one("describe_configs", "cluster"),
    describingConfigs(4, "1"),
  ],
  [
    "describe_configs of a group",
    GROUP,
    one("describe_configs", "groups"),
    describingConfigs(32, "g"),
  ],
  [
    "alter_configs of a topic",
    TOPIC,
    one("alter_configs", "topics"),
    alteringConfigs(IncrementalAlterConfigs, 2, "there"),
  ],
  [
    "alter_configs of the cluster",
    CLUSTER,
    one("alter_configs", "cluster"),
    alteringConfigs(IncrementalAlterConfigs, 4, "1"),
  ],
  [
    "alter_configs of a topic, the old way",
    TOPIC,
    one("alter_configs", "topics"),
    alteringConfigs(AlterConfigs, 2, "there"),
  ],
  ["describe the cluster", CLUSTER, one("describe", "cluster"), describingLogDirs],
  ["idempotent_write", CLUSTER, one("idempotent_write", "cluster"), producerIdFor(null)],
  [
    "idempotent_write, by writing to some topic",
    CLUSTER,
    one("write", "topics"),
    producerIdFor(null),
  ],
  [
    "a producer id for a transactional id",
    TRANSACTION,
    one("write", "transactionalIds"),
    producerIdFor("x"),
  ],
  [
    "alter_configs of a group",
    GROUP,
    one("alter_configs", "groups"),
    alteringConfigs(IncrementalAlterConfigs, 32, "g"),
  ],
];

const CASES = [
  ...ROWS.map(
    ([operation, refused, rule, asked]): Case => ({ operation, refused, rule, ...asked }),
  ),
  ...GROUP_CASES,
  ...TRANSACTION_CASES,
  ...CLUSTER_CASES,
];

describe("refused is refused, operation by operation", () => {
  let live: Live;
  let nobody: WireClient;
  const names = CASES.map((_, i) => `user${i}`);

  beforeAll(async () => {
    live = await Live.start({
      auth: [
        authToken({
          tokens: tokensOf("admin", "nobody", ...names),
          rules: CASES.map(({ rule }, i) => ({ ...rule, principal: `User:${names[i]}` })),
          superUsers: ["User:admin"],
        }),
      ],
    });
    const admin = await loggedIn(live, "admin");
    const made = await admin.ask(CreateTopics, 7, {
      topics: [topic("there"), topic("doomed")],
      validateOnly: false,
    });
    expect(made.topics.map(({ errorCode }) => errorCode)).toEqual([0, 0]);
    nobody = await loggedIn(live, "nobody");
  });
  afterAll(() => live.stop());

  for (const [i, { operation, api, refused, ask }] of CASES.entries()) {
    test(`${operation} (${api.name}): ${refused}, until a rule allows it`, async () => {
      expect(nameOf(await ask(nobody))).toBe(refused);
      const allowed = await loggedIn(live, names[i]!);
      expect(NOT_ALLOWED).not.toContain(nameOf(await ask(allowed)));
      allowed.close();
    });
  }

  test("every API that is served is among them, or open to whoever has logged in", () => {
    const keys = new Set(CASES.map(({ api }) => api.apiKey));
    const left = servedApis().filter(({ apiKey }) => !keys.has(apiKey));
    // ListGroups and ListTransactions (what may be seen is tested below), SaslHandshake, ApiVersions, SaslAuthenticate,
    // DescribeCluster.
    expect(left.map(({ apiKey }) => apiKey)).toEqual([16, 17, 18, 36, 60, 66]);
  });

  test("a consumer needs its group and its topics, each by itself", async () => {
    const userOf = (operation: string) =>
      names[CASES.findIndex((each) => each.operation === operation)]!;
    const readsTopic = await loggedIn(live, userOf("read a topic"));
    const readsGroup = await loggedIn(live, userOf("read a group: join"));
    const readsBoth = await loggedIn(live, userOf("read a group and a topic: commit"));
    // To read the topics is not to be in any group.
    expect(nameOf(await commit(readsTopic))).toBe(GROUP);
    expect(nameOf(await consumerHeartbeat(readsTopic, "h2", ["there"]))).toBe(GROUP);
    expect(nameOf(await commit(readsGroup))).toBe(TOPIC);
    expect(nameOf(await consumerHeartbeat(readsGroup, "h2", ["there"]))).toBe(TOPIC);
    expect(nameOf(await commit(readsBoth))).toBe("none");
    const [both] = (await fetchOffsets(readsBoth)).topics;
    expect(both!.partitions[0]).toMatchObject({ committedOffset: 5, errorCode: 0 });
    const [one] = (await fetchOffsets(readsGroup)).topics;
    expect([one!.partitions[0]!.committedOffset, nameOf(one!.partitions[0]!.errorCode)]).toEqual([
      -1,
      TOPIC,
    ]);
    const idsOf = async (client: WireClient) =>
      (await client.ask(ListGroups, 5, { statesFilter: [], typesFilter: [] })).groups.map(
        ({ groupId }) => groupId,
      );
    expect(await idsOf(readsGroup)).toContain("g");
    expect([await idsOf(nobody), await idsOf(readsTopic)]).toEqual([[], []]);
    const describesCluster = await loggedIn(live, userOf("describe the cluster"));
    expect(await idsOf(describesCluster)).toContain("g");
    const { groups } = await readsGroup.ask(DescribeGroups, 5, {
      groups: ["g"],
      includeAuthorizedOperations: true,
    });
    expect(groups[0]!.authorizedOperations).toBe((1 << 3) | (1 << 8));
    for (const each of [readsTopic, readsGroup, readsBoth, describesCluster]) each.close();
  });

  test("transactions are listed for those who may describe them", async () => {
    const admin = await loggedIn(live, "admin");
    for (const id of ["x", "secret"]) expect(await beginTransactions(admin, id)).toBe(0);
    expect([...(await listedTransactions(admin))].sort()).toEqual(["secret", "x"]);
    const index = CASES.findIndex(({ operation }) => operation === "describe a transactional id");
    const describer = await loggedIn(live, names[index]!);
    expect(await listedTransactions(describer)).toEqual(["x"]);
    expect(await listedTransactions(nobody)).toEqual([]);
    describer.close();
    admin.close();
  });

  test("an expression comes to topics that may be described, and to no others", async () => {
    const admin = await loggedIn(live, "admin");
    await admin.ask(CreateTopics, 7, { topics: [topic("they")], validateOnly: false });
    const regexIndex = CASES.findIndex(
      (each) => each.operation === "read a group and a topic: commit",
    );
    const client = await loggedIn(live, names[regexIndex]!);
    const beat = (memberEpoch: number) =>
      client.ask(ConsumerGroupHeartbeat, 1, {
        groupId: "g-regex",
        memberId: "m",
        memberEpoch,
        ...(memberEpoch === 0
          ? { rebalanceTimeoutMs: 10_000, subscribedTopicRegex: "the.*", topicPartitions: [] }
          : {}),
      });
    let answer = await beat(0);
    const seen = new Set<string>();
    for (let round = 0; round < 20 && seen.size === 0; round++) {
      expect(nameOf(answer.errorCode)).toBe("none");
      for (const { topicId } of answer.assignment?.topicPartitions ?? []) seen.add(topicId);
      answer = await beat(answer.memberEpoch);
    }
    const listed = await admin.ask(Metadata, 12, {
      topics: [{ topicId: ZERO_UUID, name: "there" }],
    });
    expect([...seen]).toEqual([listed.topics[0]!.topicId]);
    client.close();
    admin.close();
  });

  test("lists show what may be described, with the operations that are allowed", async () => {
    const list = async (client: WireClient) =>
      (
        await client.ask(Metadata, 12, { topics: null, includeTopicAuthorizedOperations: true })
      ).topics.map(({ name, topicAuthorizedOperations }) => [name, topicAuthorizedOperations]);
    expect(await list(nobody)).toEqual([]);
    const reader = await loggedIn(
      live,
      names[CASES.findIndex(({ operation }) => operation === "read a topic")]!,
    );
    // READ and DESCRIBE, as bits of Kafka's AclOperation codes.
    expect(await list(reader)).toEqual([["there", (1 << 3) | (1 << 8)]]);
    const admin = await loggedIn(live, "admin");
    const all = [3, 4, 5, 6, 7, 8, 10, 11].reduce((sum, bit) => sum | (1 << bit), 0);
    for (const [, operations] of await list(admin)) expect(operations).toBe(all);
    for (const [client, bits] of [
      [nobody, 0],
      [admin, [5, 7, 8, 9, 10, 11, 12].reduce((sum, bit) => sum | (1 << bit), 0)],
    ] as const) {
      const cluster = await client.ask(DescribeCluster, 1, {
        includeClusterAuthorizedOperations: true,
      });
      expect(cluster.clusterAuthorizedOperations).toBe(bits);
    }
    const { topics } = await nobody.ask(DescribeTopicPartitions, 0, { topics: [] });
    expect(topics).toEqual([]);
    reader.close();
    admin.close();
  });
});

describe("our client", () => {
  let host: HostRuntime;
  let live: Live;
  const clients: Client[] = [];

  async function start(settings: Record<string, string | number>): Promise<void> {
    host = hostRuntime({
      log: { level: "off" },
    });
    live = await Live.start({
      settings,
      auth: [
        authToken({
          tokens: tokensOf("alice"),
          rules: [{ principal: "User:alice", allow: ["all"], topics: ["t"] }],
        }),
      ],
    });
  }
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    await live.stop();
    await host.stop(1000);
  });

  function client(username?: string, password = ""): Client {
    const made = createClient(host.runtime, {
      bootstrap: `127.0.0.1:${live.port}`,
      timeoutMs: 10_000,
      ...(username === undefined ? {} : { sasl: { mechanism: "PLAIN", username, password } }),
    });
    clients.push(made);
    return made;
  }
  const failures = () => live.logLines.join("").split("authentication_failed").length - 1;

  test("with the right token produces and fetches what is allowed", async () => {
    await start({});
    const alice = client("alice", "alice-token");
    await alice.admin.createTopic({ name: "t", partitions: 1 });
    const producer = alice.producer();
    expect((await producer.send({ topic: "t", value: "hello" })).offset).toBe(0);
    expect((await alice.admin.listTopics()).map(({ name }) => name)).toEqual(["t"]);
    const refused = await alice.admin.createTopic({ name: "u" }).catch((error) => error);
    expect((refused as ClientError).code).toBe("topic_authorization_failed");
  });

  test("with a wrong token or name fails once, and is not tried again", async () => {
    await start({ "connection.failed.authentication.delay.ms": 1 });
    for (const [name, token] of [
      ["alice", "wrong-token"],
      ["bob", "alice-token"],
    ] as const) {
      const before = failures();
      const error = await client(name, token)
        .admin.listTopics()
        .catch((error) => error);
      expect(error).toBeInstanceOf(ClientError);
      expect((error as ClientError).code).toBe("sasl_authentication_failed");
      expect((error as ClientError).retriable).toBe(false);
      expect((error as ClientError).message).not.toContain(token);
      expect(failures()).toBe(before + 1);
    }
  });

  test("without a token is not served; with one where none is wanted it says so", async () => {
    await start({});
    const error = await client()
      .connect()
      .catch((error) => error);
    expect((error as ClientError).code).toBe("network_exception");
    expect(live.logLines.join("")).toContain("request_before_login");
    await live.stop();
    live = await Live.start();
    const open = await client("alice", "alice-token")
      .connect()
      .catch((error) => error);
    expect((open as ClientError).code).toBe("illegal_sasl_state");
  });

  test("refuses options that cannot be a login", async () => {
    await start({});
    for (const sasl of [
      { mechanism: "PLAIN", username: "", password: "x" },
      { mechanism: "PLAIN", username: "a\0b", password: "x" },
      { mechanism: "PLAIN", username: "a", password: "" },
      { mechanism: "SCRAM-SHA-256", username: "a", password: "x" },
    ]) {
      expect(() => createClient(host.runtime, { sasl: sasl as never })).toThrow(TypeError);
    }
  });

  test("logs in again before its login ends, under load", async () => {
    await start({ "connections.max.reauth.ms": 1300 });
    const alice = client("alice", "alice-token");
    await alice.admin.createTopic({ name: "t", partitions: 1 });
    const producer = alice.producer();
    const endMs = Date.now() + 3500;
    let count = 0;
    while (Date.now() < endMs) {
      const sends = Array.from({ length: 20 }, () => producer.send({ topic: "t", value: "x" }));
      const offsets = (await Promise.all(sends)).map(({ offset }) => offset);
      expect(offsets).toEqual(Array.from({ length: 20 }, () => count++));
    }
    const log = live.logLines.join("");
    expect(log.split("kafka_logged_in").length - 1).toBeGreaterThanOrEqual(3);
    expect(log).not.toContain("login_expired");
    expect(log).not.toContain("connection_ended");
  });
});
