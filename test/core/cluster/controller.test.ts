import { afterEach, describe, expect, test } from "bun:test";
import { openCluster } from "../../../src/core/cluster/cluster.ts";
import { ConfigResource } from "../../../src/core/cluster/config_controller.ts";
import type { Decision } from "../../../src/core/cluster/decision.ts";
import { type ClusterBench, clusterBench, topicRequest } from "./cluster_bench.ts";

let bench: ClusterBench | null = null;
afterEach(async () => {
  await bench?.close();
  bench = null;
});
async function open(settings: Readonly<Record<string, string>> = {}): Promise<ClusterBench> {
  bench = await clusterBench({ settings });
  return bench;
}
const code = (decision: Decision<unknown>): string => (decision.ok ? "ok" : decision.refusal.code);

describe("creating topics", () => {
  test("takes the defaults of the broker for -1, and keeps what was set", async () => {
    const { cluster } = await open({ "num.partitions": "3" });
    const made = await cluster.createTopic(
      topicRequest("orders", { configs: { "retention.ms": " 100000 " } }),
    );
    expect(code(made)).toBe("ok");
    const topic = cluster.image.topicsByName.get("orders")!;
    expect(topic).toMatchObject({
      partitionCount: 3,
      replicationFactor: 1,
      leaderEpoch: 0,
      isInternal: false,
    });
    expect([...topic.configs]).toEqual([["retention.ms", "100000"]]);
    expect(topic.id.length).toBe(22);
    expect(cluster.image.topicsById.get(topic.id)).toBe(topic);
    expect(cluster.topicSettings(topic).retentionMs).toBe(100_000);
  });

  test("refuses names as Kafka does", async () => {
    const { cluster } = await open();
    for (const name of ["", ".", "..", "a/b", "a b", "é", "x".repeat(250)]) {
      expect(code(await cluster.createTopic(topicRequest(name)))).toBe("invalid_topic_exception");
    }
    expect(code(await cluster.createTopic(topicRequest("x".repeat(249))))).toBe("ok");
    expect(code(await cluster.createTopic(topicRequest("__cluster_metadata")))).toBe(
      "topic_authorization_failed",
    );
  });

  test("refuses what exists, and what differs by . and _ only, until it is gone", async () => {
    const { cluster } = await open();
    expect(code(await cluster.createTopic(topicRequest("a.b_c")))).toBe("ok");
    expect(code(await cluster.createTopic(topicRequest("a.b_c")))).toBe("topic_already_exists");
    const collides = await cluster.createTopic(topicRequest("a_b.c"));
    expect(code(collides)).toBe("invalid_topic_exception");
    expect(collides.ok ? "" : collides.refusal.message).toContain('"a.b_c"');
    expect(code(await cluster.createTopic(topicRequest("a-b-c")))).toBe("ok");
    await cluster.deleteTopic({ name: "a.b_c" });
    expect(code(await cluster.createTopic(topicRequest("a_b.c")))).toBe("ok");
  });

  test("of colliding topics asked for at once, one is made", async () => {
    const { cluster } = await open();
    const all = await Promise.all(
      ["n.x", "n_x", "n.x", "other"].map((name) => cluster.createTopic(topicRequest(name))),
    );
    expect(all.map(code)).toEqual(["ok", "invalid_topic_exception", "topic_already_exists", "ok"]);
    expect([...cluster.image.topicsByName.keys()].sort()).toEqual(["n.x", "other"]);
  });

  test("checks counts, replication and assignments", async () => {
    const { cluster } = await open();
    const of = async (more: Parameters<typeof topicRequest>[1]) =>
      code(await cluster.createTopic(topicRequest("t", more)));
    expect(await of({ numPartitions: 0 })).toBe("invalid_partitions");
    expect(await of({ numPartitions: -2 })).toBe("invalid_partitions");
    expect(await of({ numPartitions: 2_000_000 })).toBe("policy_violation");
    expect(await of({ replicationFactor: 0 })).toBe("invalid_replication_factor");
    expect(await of({ replicationFactor: 5 })).toBe("invalid_replication_factor");
    const on = (partitionIndex: number, ...brokerIds: number[]) => ({ partitionIndex, brokerIds });
    expect(await of({ numPartitions: 1, replicationFactor: 1, assignments: [on(0, 1)] })).toBe(
      "invalid_request",
    );
    expect(await of({ numPartitions: 1, assignments: [on(0, 1)] })).toBe("invalid_request");
    expect(await of({ assignments: [on(0, 9)] })).toBe("invalid_replica_assignment");
    expect(await of({ assignments: [on(1, 1)] })).toBe("invalid_replica_assignment");
    expect(await of({ assignments: [on(0, 1), on(0, 1)] })).toBe("invalid_replica_assignment");
    expect(await of({ assignments: [on(0)] })).toBe("invalid_replica_assignment");
    expect(await of({ assignments: [on(0, 1, 1)] })).toBe("invalid_replica_assignment");
    expect(await of({ assignments: [on(1, 1), on(0, 1)] })).toBe("ok");
    expect(cluster.image.topicsByName.get("t")?.partitionCount).toBe(2);
  });

  test("checks settings, and commits nothing when told to validate only", async () => {
    const { cluster } = await open();
    const of = async (configs: Readonly<Record<string, string | null>>) =>
      code(await cluster.createTopic(topicRequest("t", { configs })));
    expect(await of({ nope: "1" })).toBe("invalid_config");
    expect(await of({ "retention.ms": "abc" })).toBe("invalid_config");
    expect(await of({ "retention.ms": null })).toBe("invalid_config");
    expect(await of({ "remote.storage.enable": "true" })).toBe("invalid_config");
    expect(await of({ "min.compaction.lag.ms": "5", "max.compaction.lag.ms": "4" })).toBe(
      "invalid_config",
    );
    const { revision } = cluster.image;
    const dry = await cluster.createTopic(topicRequest("t"), true);
    expect(dry.ok && dry.value.partitionCount).toBe(1);
    expect(cluster.image.revision).toBe(revision);
    expect(cluster.image.topicsByName.size).toBe(0);
  });

  test("keeps the partitioner that was the default at creation", async () => {
    const { cluster } = await open({ partitioner: "murmur2" });
    await cluster.createTopic(topicRequest("t"));
    const topic = cluster.image.topicsByName.get("t")!;
    expect(topic.configs.get("partitioner")).toBe("murmur2");
    expect(cluster.topicSettings(topic).partitioner).toBe("murmur2");
  });
});

describe("deleting and growing topics", () => {
  test("by name and by id; a topic made again has another id", async () => {
    const { cluster } = await open();
    await cluster.createTopic(topicRequest("t"));
    const { id } = cluster.image.topicsByName.get("t")!;
    expect(code(await cluster.deleteTopic({ id: "AAAAAAAAAAAAAAAAAAAAAA" }))).toBe(
      "unknown_topic_id",
    );
    expect(code(await cluster.deleteTopic({ id }))).toBe("ok");
    expect(code(await cluster.deleteTopic({ name: "t" }))).toBe("unknown_topic_or_partition");
    await cluster.createTopic(topicRequest("t"));
    expect(cluster.image.topicsByName.get("t")!.id).not.toBe(id);
    expect(cluster.image.topicsById.has(id)).toBe(false);
  });

  test("is refused where delete.topic.enable is false", async () => {
    const { cluster } = await open({ "delete.topic.enable": "false" });
    await cluster.createTopic(topicRequest("t"));
    expect(code(await cluster.deleteTopic({ name: "t" }))).toBe("topic_deletion_disabled");
  });

  test("grows, and never shrinks", async () => {
    const { cluster } = await open();
    await cluster.createTopic(topicRequest("t", { numPartitions: 2 }));
    const of = async (count: number, assignments: { brokerIds: number[] }[] | null = null) =>
      code(await cluster.createPartitions({ name: "t", count, assignments }));
    expect(await of(1)).toBe("invalid_partitions");
    expect(await of(2)).toBe("invalid_partitions");
    expect(await of(3, [])).toBe("invalid_replica_assignment");
    expect(await of(3, [{ brokerIds: [7] }])).toBe("invalid_replica_assignment");
    expect(await of(3, [{ brokerIds: [1] }])).toBe("ok");
    expect(await of(100_000)).toBe("ok");
    expect(cluster.image.topicsByName.get("t")?.partitionCount).toBe(100_000);
    expect(
      code(await cluster.createPartitions({ name: "nope", count: 2, assignments: null })),
    ).toBe("unknown_topic_or_partition");
  });

  test("a topic of the broker's own keeps its partitions: names belong to them by their number", async () => {
    const { cluster } = await open();
    await cluster.createTopic(topicRequest("__consumer_offsets", { numPartitions: 2 }));
    const grown = { name: "__consumer_offsets", count: 3, assignments: null };
    expect(code(await cluster.createPartitions(grown))).toBe("policy_violation");
    expect(cluster.image.topicsByName.get("__consumer_offsets")?.partitionCount).toBe(2);
  });
});

describe("changing settings", () => {
  const SET = 0;
  const DELETE = 1;
  const APPEND = 2;
  const SUBTRACT = 3;
  async function withTopic(): Promise<
    (name: string, operation: number, value: string | null) => Promise<string>
  > {
    const { cluster } = await open();
    await cluster.createTopic(topicRequest("t"));
    return async (name, configOperation, value) =>
      code(
        await cluster.alterConfigs({
          resourceType: ConfigResource.topic,
          resourceName: "t",
          mode: "incremental",
          operations: [{ name, configOperation, value }],
        }),
      );
  }
  const configs = () => Object.fromEntries(bench!.cluster.image.topicsByName.get("t")!.configs);

  test("sets, deletes, appends and subtracts on a topic", async () => {
    const alter = await withTopic();
    expect(await alter("retention.ms", SET, "5000")).toBe("ok");
    expect(await alter("cleanup.policy", APPEND, "compact")).toBe("ok");
    expect(configs()).toEqual({ "retention.ms": "5000", "cleanup.policy": "delete,compact" });
    expect(await alter("cleanup.policy", APPEND, "compact")).toBe("ok");
    expect(await alter("cleanup.policy", SUBTRACT, "delete")).toBe("ok");
    expect(await alter("retention.ms", DELETE, null)).toBe("ok");
    expect(configs()).toEqual({ "cleanup.policy": "compact" });
    const { revision } = bench!.cluster.image;
    expect(await alter("cleanup.policy", SET, "compact")).toBe("ok");
    expect(bench!.cluster.image.revision).toBe(revision);
  });

  test("refuses with Kafka's codes", async () => {
    const alter = await withTopic();
    expect(await alter("retention.ms", APPEND, "1")).toBe("invalid_config");
    expect(await alter("retention.ms", 9, "1")).toBe("unknown_server_error");
    expect(await alter("nope", SET, "1")).toBe("invalid_config");
    expect(await alter("nope", DELETE, null)).toBe("invalid_config");
    expect(await alter("retention.ms", SET, "x")).toBe("invalid_config");
    expect(await alter("retention.ms", SET, null)).toBe("invalid_request");
    expect(await alter("partitioner", SET, "murmur2")).toBe("invalid_config");
    expect(await alter("partitioner", SET, "xxhash")).toBe("ok");
    const { cluster } = bench!;
    const both = {
      resourceType: ConfigResource.topic,
      mode: "incremental" as const,
      operations: [
        { name: "retention.ms", configOperation: SET, value: "1" },
        { name: "retention.ms", configOperation: DELETE, value: null },
      ],
    };
    expect(code(await cluster.alterConfigs({ ...both, resourceName: "t" }))).toBe(
      "invalid_request",
    );
    const one = { ...both, operations: [both.operations[0]!] };
    expect(code(await cluster.alterConfigs({ ...one, resourceName: "nope" }))).toBe(
      "unknown_topic_or_partition",
    );
    expect(code(await cluster.alterConfigs({ ...one, resourceName: "" }))).toBe("invalid_request");
    expect(
      code(
        await cluster.alterConfigs({
          ...one,
          resourceType: ConfigResource.brokerLogger,
          resourceName: "1",
        }),
      ),
    ).toBe("invalid_request");
  });

  test("replacing takes away what is not named, but not what is fixed", async () => {
    const { cluster } = await open();
    await cluster.createTopic(
      topicRequest("t", { configs: { partitioner: "murmur2", "retention.ms": "1" } }),
    );
    const decision = await cluster.alterConfigs({
      resourceType: ConfigResource.topic,
      resourceName: "t",
      mode: "replace",
      operations: [{ name: "max.message.bytes", configOperation: SET, value: "2000" }],
    });
    expect(code(decision)).toBe("ok");
    expect(configs()).toEqual({ partitioner: "murmur2", "max.message.bytes": "2000" });
  });

  test("brokers: dynamic ones only, for one or for all, and the settings follow at once", async () => {
    const { cluster, settings } = await open({ "log.retention.ms": "9" });
    await cluster.createTopic(topicRequest("t"));
    const told: number[] = [];
    cluster.follow({
      topicChanged: (_topic, now) => told.push(now.retentionMs),
      topicDeleted: () => {},
    });
    const alter = async (broker: string, name: string, value: string) =>
      code(
        await cluster.alterConfigs({
          resourceType: ConfigResource.broker,
          resourceName: broker,
          mode: "incremental",
          operations: [{ name, configOperation: SET, value }],
        }),
      );
    expect(await alter("", "log.retention.ms", "50")).toBe("ok");
    expect(settings.text("log.retention.ms")).toBe("50");
    expect(await alter("1", "log.retention.ms", "60")).toBe("ok");
    expect(settings.text("log.retention.ms")).toBe("60");
    expect(await alter("", "message.max.bytes", "70")).toBe("ok");
    expect(told).toEqual([9, 50, 60, 60]);
    expect(await alter("", "num.partitions", "2")).toBe("invalid_request");
    expect(await alter("", "ssl.keystore.location", "x")).toBe("invalid_request");
    expect(await alter("1", "ssl.keystore.location", "x")).toBe("ok");
    expect(await alter("77", "log.retention.ms", "1")).toBe("invalid_request");
    expect(await alter("1", "log.cleaner.threads", "x")).toBe("invalid_config");
    expect(await alter("1", "nope", "x")).toBe("invalid_config");
    const cleared = await cluster.alterConfigs({
      resourceType: ConfigResource.broker,
      resourceName: "1",
      mode: "replace",
      operations: [],
    });
    expect(code(cleared)).toBe("ok");
    expect(settings.text("log.retention.ms")).toBe("50");
    expect(cluster.image.brokerConfigs.has("1")).toBe(false);
  });

  test("groups: within the broker's bounds, also of a group that is not there, and kept over a restart", async () => {
    const { cluster, metadata, settings, runtime } = await open({
      "group.consumer.max.session.timeout.ms": "90000",
    });
    const alter = async (groupId: string, ...pairs: [name: string, value: string | null][]) =>
      code(
        await cluster.alterConfigs({
          resourceType: ConfigResource.group,
          resourceName: groupId,
          mode: "incremental",
          operations: pairs.map(([name, value]) => ({
            name,
            configOperation: value === null ? DELETE : SET,
            value,
          })),
        }),
      );
    const of = (groupId: string) =>
      Object.fromEntries(cluster.image.groupConfigs.get(groupId)?.configs ?? []);
    expect(await alter("g", ["consumer.session.timeout.ms", "90000"])).toBe("ok");
    expect(await alter("g", ["consumer.session.timeout.ms", "90001"])).toBe("invalid_config");
    expect(await alter("g", ["consumer.session.timeout.ms", "44999"])).toBe("invalid_config");
    expect(await alter("g", ["consumer.session.timeout.ms", "soon"])).toBe("invalid_config");
    expect(await alter("g", ["consumer.heartbeat.interval.ms", "4999"])).toBe("invalid_config");
    expect(await alter("g", ["consumer.assignment.interval.ms", "15001"])).toBe("invalid_config");
    expect(await alter("g", ["consumer.nope", "1"])).toBe("invalid_config");
    expect(await alter("", ["consumer.session.timeout.ms", "50000"])).toBe("invalid_request");
    // Known, and without effect: share groups are not here yet.
    expect(await alter("ü/1", ["share.session.timeout.ms", "50000"])).toBe("ok");
    expect(of("g")).toEqual({ "consumer.session.timeout.ms": "90000" });
    expect(of("ü/1")).toEqual({ "share.session.timeout.ms": "50000" });

    const again = await openCluster({ metadata, runtime, settings, brokerId: 1 });
    expect([...again.image.groupConfigs.keys()].sort()).toEqual(["g", "ü/1"]);
    again.close();

    expect(await alter("g", ["consumer.session.timeout.ms", null])).toBe("ok");
    expect(cluster.image.groupConfigs.has("g")).toBe(false);
    expect(settings.groupText(new Map(), "consumer.session.timeout.ms")).toBe("45000");
  });

  test("groups: a session must outlast a heartbeat, whoever of group and broker set which", async () => {
    const { cluster } = await open({
      "group.consumer.min.session.timeout.ms": "1",
      "group.consumer.heartbeat.interval.ms": "8000",
    });
    const alter = async (name: string, value: string) =>
      code(
        await cluster.alterConfigs({
          resourceType: ConfigResource.group,
          resourceName: "g",
          mode: "incremental",
          operations: [{ name, configOperation: SET, value }],
        }),
      );
    expect(await alter("consumer.session.timeout.ms", "8000")).toBe("invalid_config");
    expect(await alter("consumer.session.timeout.ms", "8001")).toBe("ok");
    expect(await alter("consumer.heartbeat.interval.ms", "9000")).toBe("invalid_config");
    expect(await alter("consumer.heartbeat.interval.ms", "8000")).toBe("ok");
  });
});
