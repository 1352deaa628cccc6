// A cluster of three whole brokers: what is acknowledged survives as many losses as min.insync.replicas says, those who return come
// into sync, leaders spread again; and what settings of replication do, seen on the wire between brokers.

import { afterEach, describe, expect, test } from "bun:test";
import { withDefaults } from "../../src/protocol/defaults.ts";
import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { ClusterRig, type RigBroker, type RigPartition } from "../support/cluster_rig.ts";
import { GroupCalls } from "../support/group_calls.ts";
import { until } from "../support/waiting.ts";

const GROUP = 0;
const TRANSACTION = 1;
let rig: ClusterRig;
afterEach(() => rig.close());

const inSync = (count: number) => (partitions: readonly RigPartition[]) =>
  partitions.every(({ leaderId, isrNodes }) => leaderId >= 0 && isrNodes.length === count);

/** How many partitions each of the brokers leads. */
function led(partitions: readonly RigPartition[]): number[] {
  return [1, 2, 3].map((id) => partitions.filter(({ leaderId }) => leaderId === id).length);
}

/** The broker that coordinates a group or a transactional id; null while nobody says. */
async function coordinatorOf(key: string, keyType: number): Promise<RigBroker | null> {
  const request = withDefaults(FindCoordinator.request, { keyType, coordinatorKeys: [key] });
  const api = keyType === GROUP ? "groups" : "transactions";
  const { coordinators } = await rig.any().broker[api].findCoordinator(rig.caller, request, 4);
  return rig.brokers.get(coordinators[0]!.nodeId) ?? null;
}

/** Asks the coordinator, as clients do, until it answers. */
async function asked<T>(
  key: string,
  keyType: number,
  ask: (broker: RigBroker) => Promise<T | null>,
): Promise<T> {
  let answer: T | null = null;
  await until(
    async () => {
      const coordinator = await coordinatorOf(key, keyType);
      answer = coordinator === null ? null : await ask(coordinator);
      return answer !== null;
    },
    `the coordinator of ${key} answers`,
    20_000,
  );
  return answer!;
}

async function commit(group: string, offset: number): Promise<void> {
  await asked(group, GROUP, async ({ broker }) => {
    const code = await new GroupCalls(broker, rig.caller).commitOne(group, "orders", 0, offset);
    return code === 0 ? true : null;
  });
}

async function committed(group: string): Promise<number> {
  return await asked(group, GROUP, async ({ broker }) => {
    const { groups } = await new GroupCalls(broker, rig.caller).fetch({
      groups: [{ groupId: group, topics: [{ name: "orders", partitionIndexes: [0] }] }],
    });
    const [found] = groups;
    return found!.errorCode === 0 ? found!.topics[0]!.partitions[0]!.committedOffset : null;
  });
}

async function producer(transactionalId: string) {
  return await asked(transactionalId, TRANSACTION, async ({ broker }) => {
    const request = withDefaults(InitProducerId.request, {
      transactionalId,
      transactionTimeoutMs: 10_000,
    });
    const { errorCode, ...identity } = await broker.transactions.initProducerId(
      rig.caller,
      request,
      5,
    );
    return errorCode === 0 ? identity : null;
  });
}

describe("three brokers", () => {
  test("one is killed: others lead, nothing acknowledged is lost; it returns, is in sync, and leads its share", async () => {
    rig = new ClusterRig({ "min.insync.replicas": 2 });
    await rig.start([1, 2, 3]);
    await rig.topic("users", 6, 3);
    const first = await rig.untilPartitions("users", "all are in sync", inSync(3));
    expect(led(first)).toEqual([2, 2, 2]);
    for (let p = 0; p < 6; p++) expect(await rig.produced("users", p, [`a${p}`, `b${p}`])).toBe(0);
    await rig.kill(2);
    for (let p = 0; p < 6; p++) expect(await rig.produced("users", p, [`c${p}`])).toBe(2);
    const without = await rig.untilPartitions("users", "two are in sync", inSync(2));
    expect(led(without)[1]).toBe(0);
    await rig.start([2]);
    await rig.untilPartitions("users", "all are in sync again", inSync(3));
    const last = await rig.untilPartitions(
      "users",
      "leaders are spread again",
      (partitions) => led(partitions).join() === "2,2,2",
    );
    expect(last.map(({ leaderId }) => leaderId)).toEqual(first.map(({ leaderId }) => leaderId));
    for (let p = 0; p < 6; p++) {
      expect(await rig.values("users", p)).toEqual([`a${p}`, `b${p}`, `c${p}`]);
      expect(await rig.produced("users", p, [`d${p}`])).toBe(3);
    }
  });

  test("two are killed: with min.insync.replicas 1 the last goes on, with 2 it refuses acks=all, and takes it when one is back", async () => {
    rig = new ClusterRig();
    await rig.start([1, 2, 3]);
    await rig.topic("one", 3, 3, { "min.insync.replicas": "1" });
    await rig.topic("two", 3, 3, { "min.insync.replicas": "2" });
    for (const name of ["one", "two"]) {
      await rig.untilPartitions(name, "all are in sync", inSync(3));
      for (let p = 0; p < 3; p++) await rig.produced(name, p, [`a${p}`]);
    }
    await rig.kill(1);
    await rig.untilPartitions("two", "two are in sync", inSync(2));
    for (let p = 0; p < 3; p++) expect(await rig.produced("two", p, [`b${p}`])).toBe(1);
    await rig.kill(3);
    await rig.untilPartitions("two", "one is in sync", inSync(1));
    await rig.untilPartitions("one", "one is in sync", inSync(1));
    for (let p = 0; p < 3; p++) {
      expect(await rig.produced("one", p, [`b${p}`])).toBe(1);
      expect(await rig.produce("two", p, ["refused"])).toBe("not_enough_replicas");
    }
    await rig.start([1, 3]);
    for (const name of ["one", "two"]) {
      await rig.untilPartitions(name, "all are in sync again", inSync(3));
      for (let p = 0; p < 3; p++) expect(await rig.produced(name, p, [`c${p}`])).toBe(2);
      await rig.untilPartitions(
        name,
        "leaders are spread again",
        (partitions) => led(partitions).join() === "1,1,1",
      );
      for (let p = 0; p < 3; p++) {
        expect(await rig.values(name, p)).toEqual([`a${p}`, `b${p}`, `c${p}`]);
      }
    }
  });
});

describe("topics of coordinators", () => {
  test("have three replicas, transaction.state.log.min.isr of them in sync, and answer when one broker is killed", async () => {
    rig = new ClusterRig({ "transaction.state.log.min.isr": 1 });
    await rig.start([1, 2, 3]);
    await rig.topic("orders", 1, 3);
    const before = await producer("payments");
    await commit("group-a", 7);
    for (const name of ["__consumer_offsets", "__transaction_state"]) {
      const all = await rig.untilPartitions(name, "all are in sync", inSync(3));
      expect(all.map(({ replicaNodes }) => [...replicaNodes].sort())).toEqual(
        all.map(() => [1, 2, 3]),
      );
    }
    const described = await rig.any().broker.admin.describeConfigs(
      rig.caller,
      {
        resources: [
          {
            resourceType: 2,
            resourceName: "__transaction_state",
            configurationKeys: ["min.insync.replicas"],
          },
        ],
        includeSynonyms: false,
        includeDocumentation: false,
      },
      4,
    );
    expect(described.results[0]!.configs.map(({ value }) => value)).toEqual(["1"]);
    for (const [key, keyType] of [
      ["group-a", GROUP],
      ["payments", TRANSACTION],
    ] as const) {
      const { id } = (await coordinatorOf(key, keyType))!;
      await rig.kill(id);
      expect(await committed("group-a")).toBe(7);
      await rig.start([id]);
    }
    // The same id in a later epoch: what one coordinator had, the other has.
    const after = await producer("payments");
    expect(after.producerId).toBe(before.producerId);
    expect(after.producerEpoch).toBeGreaterThan(before.producerEpoch);
  }, 60_000);

  test("made by one broker alone get their replicas as others join", async () => {
    rig = new ClusterRig();
    await rig.start([1]);
    await rig.topic("orders", 1, 1);
    await commit("group-a", 5);
    const alone = await rig.partitions("__consumer_offsets");
    expect(alone.map(({ replicaNodes }) => replicaNodes)).toEqual([[1], [1], [1]]);
    await rig.start([2, 3]);
    await rig.untilPartitions("__consumer_offsets", "three are in sync", inSync(3));
    await rig.kill(1);
    expect(await committed("group-a")).toBe(5);
  }, 60_000);
});

/** What followers asked of the leader of a topic's one partition, with what that was set to. */
async function fetchesOf(settings: Record<string, number>): Promise<RigBroker> {
  rig = new ClusterRig(settings);
  await rig.start([1, 2]);
  await rig.topic("t", 1, 2);
  const [partition] = await rig.untilPartitions("t", "both are in sync", inSync(2));
  await rig.produced("t", 0, ["a"]);
  return rig.get(partition!.leaderId);
}

/**
 * A topic of one partition, at that leader, that is surely copied. A follower that asks before the leader knows the topic is refused,
 * and with a long backoff it does not come back: then another one is made.
 */
async function copied(prefix: string, leader: number | null): Promise<[string, number]> {
  for (let tries = 0; tries < 20; tries++) {
    const name = `${prefix}-${tries}`;
    await rig.topic(name, 1, 2);
    const [partition] = await rig.untilPartitions(name, "both are in sync", inSync(2));
    if (leader !== null && partition!.leaderId !== leader) continue;
    if (typeof (await rig.produce(name, 0, ["a"])) === "number") return [name, partition!.leaderId];
  }
  throw new Error(`No topic is copied from broker ${leader}`);
}

describe("settings of replication", () => {
  test("replica.fetch.wait.max.ms, .min.bytes, .max.bytes and .response.max.bytes are what a follower asks for", async () => {
    const leader = await fetchesOf({
      "replica.fetch.wait.max.ms": 70,
      "replica.fetch.min.bytes": 3,
      "replica.fetch.max.bytes": 7777,
      "replica.fetch.response.max.bytes": 88_888,
    });
    const asked = leader.replicaFetches.filter(({ partitions }) => partitions.length > 0);
    expect(asked.length).toBeGreaterThan(0);
    for (const { bytesMin, bytesMax, waitMsMax, partitions } of asked) {
      expect([bytesMin, bytesMax]).toEqual([3, 88_888]);
      // While its own sync is under way it does not wait.
      expect([0, 70]).toContain(waitMsMax);
      for (const each of partitions) expect(each.bytesMax).toBe(7777);
    }
    expect(asked.some(({ waitMsMax }) => waitMsMax === 70)).toBe(true);
  });

  test("replica.lag.time.max.ms: who has not caught up for so long is no longer in sync, though it is registered", async () => {
    rig = new ClusterRig({
      "replica.lag.time.max.ms": 300,
      "broker.session.timeout.ms": 600_000,
      "controlled.shutdown.enable": false,
    });
    await rig.start([1, 2]);
    await rig.topic("t", 2, 2);
    await rig.untilPartitions("t", "both are in sync", inSync(2));
    await rig.kill(2);
    await rig.untilPartitions("t", "the follower has left", (partitions) =>
      partitions.some(({ leaderId, isrNodes }) => leaderId === 1 && isrNodes.join() === "1"),
    );
    // Nobody leads what it led: by the store it is still there.
    const partitions = await rig.partitions("t");
    expect(partitions.map(({ leaderId }) => leaderId).sort()).toEqual([1, 2]);
  }, 60_000);

  test("replica.fetch.backoff.ms: what was refused is not asked for before, and the rest goes on", async () => {
    for (const [backoffMs, isAskedAgain] of [
      [3_600_000, false],
      [10, true],
    ] as const) {
      rig = new ClusterRig({ "replica.fetch.backoff.ms": backoffMs });
      await rig.start([1, 2]);
      const [other, leaderId] = await copied("other", null);
      const [topic] = await copied("refused", leaderId);
      const leader = rig.get(leaderId);
      let refusals = 0;
      rig.refusal = (name) => {
        if (name !== topic || refusals > 0) return null;
        refusals++;
        return "kafka_storage_error";
      };
      await until(() => refusals > 0, "it was refused", 20_000);
      const from = leader.replicaFetches.length;
      const asks = (name: string) =>
        leader.replicaFetches
          .slice(from)
          .filter(({ partitions }) => partitions.some((each) => each.topic === name)).length;
      if (isAskedAgain) await until(() => asks(topic) > 2, "it is asked for again", 20_000);
      else {
        for (const value of ["b", "c"]) await rig.produced(other, 0, [value]);
        expect(asks(other)).toBeGreaterThan(0);
        expect(asks(topic)).toBe(0);
      }
      await rig.close();
    }
  }, 60_000);

  test("controlled.shutdown.enable: a broker that stops says so and hands over; without it, it is just gone", async () => {
    for (const isControlled of [true, false]) {
      rig = new ClusterRig({ "controlled.shutdown.enable": isControlled });
      await rig.start([1, 2]);
      await rig.topic("t", 2, 2);
      await rig.untilPartitions("t", "both are in sync", inSync(2));
      const from = rig.commits.length;
      await rig.stop(2);
      const keys = rig.commits
        .slice(from)
        .filter(({ brokerId }) => brokerId === 2)
        .flatMap((each) => each.keys);
      expect(keys.includes("brokers/2")).toBe(isControlled);
      expect(keys.some((key) => key.startsWith("partitions/"))).toBe(isControlled);
      await rig.untilPartitions("t", "the other leads", (partitions) =>
        partitions.every(({ leaderId }) => leaderId === 1),
      );
      await rig.close();
    }
  }, 60_000);
});
