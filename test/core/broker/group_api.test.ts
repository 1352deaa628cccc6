// The APIs of groups in a whole broker: both protocols and offsets from end to end, requests for many groups, refusals in
// the shape of each version, and what is left after a restart.

import { afterEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type KafkaErrorName, wireCodeOf } from "../../../src/protocol/errors.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { GroupCalls } from "../../support/group_calls.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { caller } from "../../support/log_rig.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";

interface Live {
  readonly broker: RunningBroker;
  readonly host: HostRuntime;
  readonly calls: GroupCalls;
  stop(): Promise<void>;
}

const running = new Set<Live>();
afterEach(async () => {
  for (const live of running) await live.stop();
});

interface Plugins {
  readonly storage: StoragePlugin;
  readonly metadata: MetadataStorePlugin;
}

/** A broker over plugins that outlive it. */
async function start(
  plugins: Plugins = { storage: storageMemory(), metadata: metadataMemory() },
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Live> {
  const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const broker = await createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    ...plugins,
    transports: [],
    settings: {
      "offsets.topic.num.partitions": 5,
      "group.initial.rebalance.delay.ms": 0,
      ...settings,
    },
  });
  await broker.start();
  const live: Live = {
    broker,
    host,
    calls: new GroupCalls(broker, caller),
    async stop() {
      if (!running.delete(live)) return;
      await broker.stop(0);
      await host.stop(1000);
    },
  };
  running.add(live);
  return live;
}

async function withTopic(live: Live, name = "t", partitions = 6): Promise<string> {
  const made = await createTopic(live.broker, caller, { name, partitions });
  if (!made.ok) throw new Error(made.error.message);
  return live.broker.log.topicIdOf(name)!;
}

const code = (name: KafkaErrorName) => wireCodeOf(name);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (content: string) => new TextEncoder().encode(content);

describe("a classic group", () => {
  test("two members join, are assigned, beat, commit and leave", async () => {
    const { calls, broker } = await start();
    await withTopic(await [...running][0]!);
    const asked = await calls.join({});
    expect(asked.errorCode).toBe(code("member_id_required"));
    const first = await calls.join({ memberId: asked.memberId });
    expect([first.errorCode, first.leader]).toEqual([0, asked.memberId]);
    const alone = await calls.sync({
      memberId: first.memberId,
      generationId: first.generationId,
      assignments: [{ memberId: first.memberId, assignment: bytes("all") }],
    });
    expect(text(alone.assignment)).toBe("all");

    const other = await calls.join({});
    const otherJoin = calls.join({ memberId: other.memberId });
    const beat = { memberId: first.memberId, generationId: first.generationId };
    expect((await calls.heartbeat(beat)).errorCode).toBe(code("rebalance_in_progress"));
    const again = await calls.join({ memberId: first.memberId });
    const second = await otherJoin;
    expect([again.generationId, second.generationId]).toEqual([2, 2]);
    expect(again.members).toHaveLength(2);
    const follower = calls.sync({ memberId: second.memberId, generationId: 2 });
    const leader = await calls.sync({
      memberId: first.memberId,
      generationId: 2,
      assignments: [
        { memberId: first.memberId, assignment: bytes("left") },
        { memberId: second.memberId, assignment: bytes("right") },
      ],
    });
    expect([text(leader.assignment), text((await follower).assignment)]).toEqual(["left", "right"]);

    const partitions = [{ partitionIndex: 3, committedOffset: 42, committedMetadata: "m" }];
    const committed = await calls.commit({
      memberId: first.memberId,
      generationIdOrMemberEpoch: 2,
      topics: [{ name: "t", partitions }],
    });
    expect(committed.topics[0]!.partitions).toEqual([{ partitionIndex: 3, errorCode: 0 }]);
    expect(await calls.offsetsOf("g")).toEqual(["t/3=42"]);
    const described = await broker.groups.describeGroups(
      caller,
      { groups: ["g", "none"], includeAuthorizedOperations: true },
      6,
    );
    expect(
      described.groups.map((each) => [
        each.groupId,
        each.groupState,
        each.members.length,
        each.authorizedOperations,
      ]),
    ).toEqual([
      ["g", "Stable", 2, 3400],
      ["none", "Dead", 0, -2147483648],
    ]);
    const left = await calls.leave({
      members: [{ memberId: first.memberId }, { memberId: second.memberId }],
    });
    expect(left.members.map((each) => each.errorCode)).toEqual([0, 0]);
    const listed = await broker.groups.listGroups(caller, { statesFilter: [], typesFilter: [] }, 5);
    expect(listed.groups).toEqual([
      { groupId: "g", protocolType: "consumer", groupState: "Empty", groupType: "classic" },
    ]);
  });

  test("a join that waits ends with its caller, and does not hold up the stop", async () => {
    const live = await start();
    const asked = await live.calls.join({});
    const first = await live.calls.join({ memberId: asked.memberId });
    await live.calls.sync({
      memberId: first.memberId,
      generationId: 1,
      assignments: [{ memberId: first.memberId, assignment: bytes("all") }],
    });
    const gone = new AbortController();
    const leaving = { ...caller, signal: gone.signal };
    const other = await live.calls.join({}, 9, leaving);
    const waits = live.calls.join({ memberId: other.memberId }, 9, leaving);
    gone.abort();
    expect((await waits).errorCode).toBe(code("not_coordinator"));
    const late = await live.calls.join({});
    const stopped = live.calls.join({ memberId: late.memberId });
    await live.stop();
    expect((await stopped).errorCode).toBe(code("not_coordinator"));
  });
});

describe("a consumer group", () => {
  test("is assigned by the broker, and described", async () => {
    const live = await start();
    const topicId = await withTopic(live);
    const joined = await live.calls.consumerHeartbeat({
      memberId: "m1",
      subscribedTopicNames: ["t"],
      rebalanceTimeoutMs: 10_000,
      topicPartitions: [],
    });
    expect([joined.errorCode, joined.memberEpoch > 0]).toEqual([0, true]);
    expect(joined.assignment!.topicPartitions).toEqual([
      { topicId, partitions: [0, 1, 2, 3, 4, 5] },
    ]);
    const { groups } = await live.broker.groups.consumerGroupDescribe(
      caller,
      { groupIds: ["none", "", "g"], includeAuthorizedOperations: false },
      1,
    );
    expect(groups.map((each) => [each.groupId, each.errorCode, each.groupState])).toEqual([
      ["none", code("group_id_not_found"), ""],
      ["", code("invalid_group_id"), ""],
      ["g", 0, "Stable"],
    ]);
    const committed = await live.calls.commit(
      {
        memberId: "m1",
        generationIdOrMemberEpoch: joined.memberEpoch,
        topics: [
          {
            topicId,
            partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }],
          },
        ],
      },
      10,
    );
    expect(committed.topics[0]).toMatchObject({ topicId, partitions: [{ errorCode: 0 }] });
    const left = await live.calls.consumerHeartbeat({ memberId: "m1", memberEpoch: -1 });
    expect(left.errorCode).toBe(0);
  });

  test("an expression finds the topics it means", async () => {
    const live = await start(undefined, { "group.consumer.assignment.interval.ms": 0 });
    const logs = await withTopic(live, "logs-a", 1);
    await withTopic(live, "other", 1);
    const joined = await live.calls.consumerHeartbeat({
      memberId: "m1",
      subscribedTopicRegex: "logs-.*",
      rebalanceTimeoutMs: 10_000,
      topicPartitions: [],
    });
    expect(joined.errorCode).toBe(0);
    let epoch = joined.memberEpoch;
    const assigned = new Map<string, readonly number[]>();
    const beat = async () => {
      const response = await live.calls.consumerHeartbeat({ memberId: "m1", memberEpoch: epoch });
      expect(response.errorCode).toBe(0);
      epoch = response.memberEpoch;
      for (const each of response.assignment?.topicPartitions ?? []) {
        assigned.set(each.topicId, each.partitions);
      }
    };
    for (const each of joined.assignment?.topicPartitions ?? []) {
      assigned.set(each.topicId, each.partitions);
    }
    // Expressions are resolved in a timer of their own.
    const untilAssigned = async (topicId: string) => {
      const deadlineMs = performance.now() + 3000;
      while (!assigned.has(topicId) && performance.now() < deadlineMs) {
        await live.host.runtime.scheduler.yieldNow();
        await beat();
      }
    };
    await untilAssigned(logs);
    expect([...assigned.keys()]).toEqual([logs]);
  });
});

describe("offsets", () => {
  test("are there after a restart, of many groups, and after a second one", async () => {
    const plugins = { storage: storageMemory(), metadata: metadataMemory() };
    let live = await start(plugins);
    await withTopic(live);
    for (let i = 0; i < 30; i++) {
      expect(await live.calls.commitOne(`g${i % 10}`, "t", i % 6, i)).toBe(0);
    }
    for (let restart = 0; restart < 2; restart++) {
      await live.stop();
      live = await start(plugins);
      expect(await live.calls.offsetsOf("g3")).toEqual(["t/1=13", "t/3=3", "t/5=23"].sort());
      const listed = await live.broker.groups.listGroups(
        caller,
        { statesFilter: ["Empty"], typesFilter: ["classic"] },
        5,
      );
      expect(listed.groups).toHaveLength(10);
    }
  });

  test("many groups in one request, in its order, deleted and unknown ones too", async () => {
    const live = await start();
    await withTopic(live);
    const ids = Array.from({ length: 12 }, (_, i) => `g${i}`);
    for (const [i, id] of ids.entries()) await live.calls.commitOne(id, "t", 0, i);
    const asked = [...ids, "none"].reverse();
    const { groups } = await live.calls.fetch({
      groups: asked.map((groupId) => ({ groupId, topics: [{ name: "t", partitionIndexes: [0] }] })),
    });
    expect(groups.map((each) => each.groupId)).toEqual(asked);
    expect(groups.map((each) => each.topics[0]!.partitions[0]!.committedOffset)).toEqual([
      -1, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    ]);
    const deleted = await live.broker.groups.deleteGroups(
      caller,
      { groupsNames: ["g1", "none", "g2", "g1"] },
      2,
    );
    expect(deleted.results).toEqual([
      { groupId: "g1", errorCode: 0 },
      { groupId: "none", errorCode: code("group_id_not_found") },
      { groupId: "g2", errorCode: 0 },
    ]);
    expect(await live.calls.offsetsOf("g1")).toEqual([]);
    expect(await live.calls.offsetsOf("g3")).toEqual(["t/0=3"]);
  });

  test("topics by id, in the versions that have ids", async () => {
    const live = await start();
    const topicId = await withTopic(live);
    await live.calls.commitOne("g", "t", 2, 5);
    const unknown = `${"u".repeat(21)}A`;
    const some = await live.calls.fetch(
      {
        groups: [
          {
            groupId: "g",
            topics: [
              { topicId: unknown, partitionIndexes: [0] },
              { topicId, partitionIndexes: [2, 3] },
            ],
          },
        ],
      },
      10,
    );
    expect(
      some.groups[0]!.topics.map((topic) => [
        topic.topicId,
        topic.partitions.map((each) => [each.committedOffset, each.errorCode]),
      ]),
    ).toEqual([
      [unknown, [[-1, code("unknown_topic_id")]]],
      [
        topicId,
        [
          [5, 0],
          [-1, 0],
        ],
      ],
    ]);
    const all = await live.calls.fetch({ groups: [{ groupId: "g", topics: null }] }, 10);
    expect(all.groups[0]!.topics.map((topic) => topic.topicId)).toEqual([topicId]);
    const byUnknown = await live.calls.commit(
      {
        topics: [
          {
            topicId: unknown,
            partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "" }],
          },
        ],
      },
      10,
    );
    expect(byUnknown.topics[0]!.partitions[0]!.errorCode).toBe(code("unknown_topic_id"));
  });

  test("a topic that is deleted takes its offsets along; one made anew begins without", async () => {
    const live = await start();
    await withTopic(live);
    await withTopic(live, "stays");
    await live.calls.commitOne("g", "t", 0, 5);
    await live.calls.commitOne("g", "stays", 0, 6);
    await live.broker.topics.deleteTopics(
      caller,
      { topics: [{ name: "t", topicId: ZERO_UUID }], topicNames: [], timeoutMs: 1000 },
      6,
    );
    expect(await live.calls.offsetsOf("g")).toEqual(["stays/0=6"]);
    await withTopic(live);
    expect(await live.calls.offsetsOf("g")).toEqual(["stays/0=6"]);
    expect(await live.calls.commitOne("g", "t", 0, 1)).toBe(0);
    expect(await live.calls.offsetsOf("g")).toEqual(["stays/0=6", "t/0=1"]);
  });

  test("a topic deleted while shards load for longer than anybody waits takes its offsets along, too", async () => {
    let reads: Promise<void> | undefined;
    const storage = hookedStorage(storageMemory(), (call) => (call === "read" ? reads : undefined));
    const plugins = { storage, metadata: metadataMemory() };
    const first = await start(plugins);
    await withTopic(first);
    await withTopic(first, "stays");
    await first.calls.commitOne("g", "t", 0, 5);
    await first.calls.commitOne("g", "stays", 0, 6);
    await first.stop();
    const live = await start(plugins);
    let goOn: () => void = () => {};
    reads = new Promise((resolve) => {
      goOn = resolve;
    });
    const asked = { groups: [{ groupId: "g", topics: null }] };
    const { groups } = await live.calls.fetch(asked);
    expect(groups[0]!.errorCode).toBe(code("coordinator_load_in_progress"));
    await live.broker.topics.deleteTopics(
      caller,
      { topics: [{ name: "t", topicId: ZERO_UUID }], topicNames: [], timeoutMs: 1000 },
      6,
    );
    await withTopic(live);
    reads = undefined;
    goOn();
    const offsets = async () => {
      const [group] = (await live.calls.fetch(asked)).groups;
      return group!.topics.map(({ name }) => name).sort();
    };
    const deadlineMs = performance.now() + 3000;
    while ((await offsets()).join() !== "stays" && performance.now() < deadlineMs) await settle();
    expect(await offsets()).toEqual(["stays"]);
  });

  test("a topic deleted while no broker ran takes its offsets along; one made anew while none ran begins without", async () => {
    const store = metadataMemory();
    const plugins = { storage: storageMemory(), metadata: store };
    const first = await start(plugins);
    for (const name of ["gone", "anew", "stays"]) {
      await withTopic(first, name);
      await first.calls.commitOne("g", name, 0, 5);
    }
    await first.stop();
    const test = new TestRuntime();
    const metadata = await store.open({ runtime: test.runtime, brokerId: 1 });
    const { entries } = await metadata.read("topics/anew");
    const anew = JSON.parse(text(entries[0]!.value));
    const value = bytes(JSON.stringify({ ...anew, id: "AAAAAAAAAAAAAAAAAAAAAQ" }));
    const writes = [
      { key: "topics/gone", value: null },
      { key: "topics/anew", value },
    ];
    expect((await metadata.commit({ conditions: [], writes })).ok).toBe(true);
    await metadata.close();

    const live = await start(plugins);
    expect(live.broker.log.topicIdOf("anew")).toBe("AAAAAAAAAAAAAAAAAAAAAQ");
    expect(await live.calls.offsetsOf("g")).toEqual(["stays/0=5"]);
    expect(await live.calls.commitOne("g", "anew", 0, 1)).toBe(0);
    await live.stop();
    const again = await start(plugins);
    expect(await again.calls.offsetsOf("g")).toEqual(["anew/0=1", "stays/0=5"]);
  });

  test("the topic of groups itself deleted: everybody begins anew", async () => {
    const live = await start();
    await withTopic(live);
    await live.calls.commitOne("g", "t", 0, 5);
    await live.broker.topics.deleteTopics(
      caller,
      {
        topics: [{ name: "__consumer_offsets", topicId: ZERO_UUID }],
        topicNames: [],
        timeoutMs: 1000,
      },
      6,
    );
    expect(await live.calls.offsetsOf("g")).toEqual([]);
    expect(await live.calls.commitOne("g", "t", 0, 6)).toBe(0);
    expect(await live.calls.offsetsOf("g")).toEqual(["t/0=6"]);
  });
});

describe("after a start", () => {
  test("groups are loaded in the background a second later; a broker without any loads nothing", async () => {
    const plugins = { storage: storageMemory(), metadata: metadataMemory() };
    const opened: { readonly test: TestRuntime; readonly broker: RunningBroker }[] = [];
    const open = async () => {
      const test = new TestRuntime();
      const broker = await createBroker({
        broker: { id: 1 },
        runtime: test.runtime,
        ...plugins,
        transports: [],
        settings: { "offsets.topic.num.partitions": 3 },
      });
      await broker.start();
      opened.push({ test, broker });
      return { test, broker };
    };
    const first = await open();
    await first.test.advance(2000);
    expect(first.broker.log.topicIdOf("__consumer_offsets")).toBeNull();
    const made = await createTopic(first.broker, caller, { name: "t", partitions: 1 });
    expect(made.ok).toBe(true);
    const calls = new GroupCalls(first.broker, caller);
    for (let i = 0; i < 9; i++) expect(await calls.commitOne(`g${i}`, "t", 0, i)).toBe(0);
    await first.broker.stop(0);

    const second = await open();
    await second.test.advance(999);
    expect(second.test.events("coordinator_loaded")).toEqual([]);
    await second.test.advance(1);
    for (let i = 0; i < 20 && second.test.events("coordinator_loaded").length < 3; i++) {
      await settle();
    }
    const loaded = second.test.events("coordinator_loaded").map(({ fields }) => fields["records"]);
    expect(loaded.reduce((sum: number, count) => sum + Number(count), 0)).toBe(9);
    await second.broker.stop(0);
    expect(opened.flatMap(({ test }) => test.failures)).toEqual([]);
  });
});

describe("refusals", () => {
  test("before a shard is asked", async () => {
    const { calls, broker } = await start();
    const refused = code("invalid_group_id");
    const named = await calls.join({ groupId: "", memberId: "m" });
    expect(named).toEqual({
      throttleTimeMs: 0,
      errorCode: refused,
      generationId: -1,
      protocolType: null,
      protocolName: null,
      leader: "",
      skipAssignment: false,
      memberId: "m",
      members: [],
    });
    expect((await calls.join({ groupId: "" }, 6)).protocolName).toBe("");
    for (const sessionTimeoutMs of [5_999, 1_800_001]) {
      expect((await calls.join({ sessionTimeoutMs })).errorCode).toBe(
        code("invalid_session_timeout"),
      );
    }
    expect((await calls.sync({ groupId: "" })).errorCode).toBe(refused);
    expect((await calls.heartbeat({ groupId: "" })).errorCode).toBe(refused);
    expect((await calls.leave({ groupId: "" })).errorCode).toBe(refused);
    const deleted = await broker.groups.offsetDelete(caller, { groupId: "", topics: [] }, 0);
    expect(deleted.errorCode).toBe(refused);
  });

  test("a sync that does not say its protocol, in versions that have to, whatever its group", async () => {
    const live = await start();
    const { calls } = live;
    await withTopic(live);
    await calls.consumerHeartbeat({
      memberId: "new",
      rebalanceTimeoutMs: 10_000,
      subscribedTopicNames: ["t"],
      topicPartitions: [],
    });
    // Of a consumer that reads nothing.
    const protocols = [{ name: "range", metadata: new Uint8Array(10) }];
    const joined = await calls.join({ memberId: "old", protocols });
    expect(joined.errorCode).toBe(0);
    const sync = { memberId: "old", generationId: joined.generationId };
    const inconsistent = code("inconsistent_group_protocol");
    for (const unsaid of [{ protocolType: null }, { protocolName: null }]) {
      expect((await calls.sync({ ...sync, ...unsaid })).errorCode).toBe(inconsistent);
      expect((await calls.sync({ groupId: "", ...unsaid })).errorCode).toBe(inconsistent);
      expect((await calls.sync({ groupId: "nobody", ...unsaid })).errorCode).toBe(inconsistent);
      expect((await calls.sync({ ...sync, ...unsaid }, 4)).errorCode).toBe(0);
    }
    expect((await calls.sync(sync)).errorCode).toBe(0);
  });

  test("where the version has a place for them", async () => {
    const live = await start();
    await withTopic(live);
    await live.calls.commitOne("g", "t", 0, 5);
    await live.broker.stop(0);
    const gone = code("not_coordinator");
    const asks = { groupId: "g", topics: [{ name: "t", partitionIndexes: [0, 1] }] };
    const v1 = await live.calls.fetch(asks, 1);
    expect(v1.topics[0]!.partitions.map((each) => [each.committedOffset, each.errorCode])).toEqual([
      [-1, gone],
      [-1, gone],
    ]);
    const v7 = await live.calls.fetch(asks, 7);
    expect([v7.errorCode, v7.topics]).toEqual([gone, []]);
    const v8 = await live.calls.fetch({ groups: [{ groupId: "g", topics: null }] }, 8);
    expect(v8.groups).toEqual([{ groupId: "g", topics: [], errorCode: gone }]);
    expect(await live.calls.commitOne("g", "t", 0, 5)).toBe(gone);
    const described = await live.broker.groups.describeGroups(
      caller,
      { groups: ["g"], includeAuthorizedOperations: false },
      6,
    );
    expect(described.groups[0]!.errorCode).toBe(gone);
    expect((await live.calls.consumerHeartbeat({ memberId: "m" })).errorCode).toBe(gone);
    expect((await live.calls.heartbeat({ memberId: "m", generationId: 1 })).errorCode).toBe(gone);
  });

  test("records that no batch takes: the commit is refused, and nothing of it stays", async () => {
    const live = await start(undefined, { "message.max.bytes": 2000 });
    await withTopic(live, "t", 100);
    const partitions = Array.from({ length: 100 }, (_, partitionIndex) => ({
      partitionIndex,
      committedOffset: 1,
      committedMetadata: "",
    }));
    const { topics } = await live.calls.commit({ topics: [{ name: "t", partitions }] });
    expect(new Set(topics[0]!.partitions.map((each) => each.errorCode))).toEqual(
      new Set([code("unknown_server_error")]),
    );
    expect(await live.calls.offsetsOf("g")).toEqual([]);
    expect(await live.calls.commitOne("g", "t", 0, 6)).toBe(0);
  });
});
