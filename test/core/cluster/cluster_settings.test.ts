// The settings of a cluster that the controller reads, each shown to do what docs/settings.md says of it.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ConfigResource } from "../../../src/core/cluster/config_controller.ts";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import { topicRequest } from "./cluster_bench.ts";
import { type BenchBroker, SharedBench, settle } from "./shared_bench.ts";

let bench: SharedBench;
beforeEach(() => {
  bench = new SharedBench();
});
afterEach(() => bench.close());

async function start(settings: Record<string, string>): Promise<BenchBroker[]> {
  for (const id of [1, 2, 3]) await bench.start(id, { settings });
  return bench.brokers;
}

function partitionsOf({ cluster }: BenchBroker, name: string): readonly PartitionImage[] {
  return cluster.image.partitions.get(cluster.image.topicsByName.get(name)!.id)!;
}

async function make(
  broker: BenchBroker,
  name: string,
  brokerIds: readonly number[],
  configs: Record<string, string> = {},
): Promise<string> {
  const made = await broker.cluster.createTopic(
    topicRequest(name, {
      assignments: [{ partitionIndex: 0, brokerIds }],
      configs,
    }),
  );
  if (!made.ok) throw new Error(made.refusal.code);
  await settle();
  return made.value.id;
}

/** The leader says who is in sync. */
async function setIsr(id: string, isr: readonly number[]): Promise<void> {
  const { leader, leaderEpoch, partitionEpoch } = bench.brokers[0]!.cluster.partition(id, 0)!;
  const outcome = await bench.brokers[leader - 1]!.cluster.shared!.alterIsr(id, 0, {
    isr,
    leaderEpoch,
    partitionEpoch,
    expandedEpochs: new Map(),
  });
  expect(outcome.ok).toBe(true);
  await settle();
}

/** Its first replica has led nothing for a while, and is in sync again. */
async function ledByOther(id: string): Promise<void> {
  expect(bench.brokers[0]!.cluster.partition(id, 0)!.leader).toBe(3);
  bench.clock.stuck.add(3);
  await bench.clock.turn(3000);
  bench.clock.stuck.clear();
  await bench.clock.turn(500);
  await setIsr(id, [3, 1]);
  expect(bench.brokers[0]!.cluster.partition(id, 0)).toMatchObject({ leader: 1, isr: [3, 1] });
}

describe("settings of a cluster", () => {
  test("leader.imbalance.check.interval.seconds is how often leadership goes back", async () => {
    await start({ "leader.imbalance.check.interval.seconds": "60" });
    const id = await make(bench.brokers[0]!, "t", [3, 1]);
    await ledByOther(id);
    await bench.clock.turn(50_000);
    expect(bench.brokers[0]!.cluster.partition(id, 0)!.leader).toBe(1);
    await bench.clock.turn(10_000);
    expect(bench.brokers[0]!.cluster.partition(id, 0)!.leader).toBe(3);
  });

  test("auto.leader.rebalance.enable=false leaves it where it is", async () => {
    await start({ "auto.leader.rebalance.enable": "false" });
    const id = await make(bench.brokers[0]!, "t", [3, 1]);
    await ledByOther(id);
    await bench.clock.turn(100_000);
    expect(bench.brokers[0]!.cluster.partition(id, 0)!.leader).toBe(1);
    const asked = await bench.brokers[1]!.cluster.shared!.electLeader("t", 0, "preferred");
    expect(asked.ok && asked.value.leader).toBe(3);
  });

  test("min.insync.replicas says who is eligible: of the topic, else of the brokers", async () => {
    await start({ "min.insync.replicas": "2" });
    const byBroker = await make(bench.brokers[0]!, "by-broker", [3, 1, 2]);
    const own = await make(bench.brokers[0]!, "own", [3, 1, 2], { "min.insync.replicas": "1" });
    for (const id of [byBroker, own]) {
      await setIsr(id, [3, 1]);
      await setIsr(id, [3]);
    }
    expect(bench.brokers[0]!.cluster.partition(byBroker, 0)!.elr).toEqual([1]);
    expect(bench.brokers[0]!.cluster.partition(own, 0)!.elr).toEqual([]);
  });

  test("unclean.leader.election.enable, set while nobody leads, elects at once: on the topic, or on all brokers", async () => {
    await start({});
    const first = await make(bench.brokers[0]!, "first", [3, 1]);
    const second = await make(bench.brokers[0]!, "second", [3, 2]);
    for (const id of [first, second]) await setIsr(id, [3]);
    bench.clock.stuck.add(3);
    await bench.clock.turn(3000);
    const leaders = () =>
      [first, second].map((id) => bench.brokers[0]!.cluster.partition(id, 0)!.leader);
    expect(leaders()).toEqual([-1, -1]);
    const set = async (resourceType: number, resourceName: string) => {
      const done = await bench.brokers[0]!.cluster.alterConfigs({
        resourceType,
        resourceName,
        mode: "incremental",
        operations: [{ name: "unclean.leader.election.enable", configOperation: 0, value: "true" }],
      });
      expect(done.ok).toBe(true);
      await bench.clock.turn(100);
    };
    await set(ConfigResource.topic, "first");
    expect(leaders()).toEqual([1, -1]);
    await set(ConfigResource.broker, "");
    expect(leaders()).toEqual([1, 2]);
    bench.clock.stuck.clear();
    await bench.clock.turn(1000);
  });

  test("offsets.topic.replication.factor and transaction.state.log.replication.factor bound what joining brokers add", async () => {
    const settings = {
      "offsets.topic.replication.factor": "2",
      "transaction.state.log.replication.factor": "3",
    };
    await start(settings);
    await make(bench.brokers[0]!, "__consumer_offsets", [1]);
    await make(bench.brokers[0]!, "__transaction_state", [1]);
    await bench.clock.turn(100);
    const replicas = (name: string) => partitionsOf(bench.brokers[0]!, name)[0]!.replicas.length;
    expect([replicas("__consumer_offsets"), replicas("__transaction_state")]).toEqual([2, 3]);
  });

  test("default.replication.factor is what a topic made with -1 gets", async () => {
    await start({ "default.replication.factor": "3", "num.partitions": "2" });
    const made = await bench.brokers[1]!.cluster.createTopic(
      topicRequest("t", { numPartitions: -1, replicationFactor: -1 }),
    );
    expect(made.ok && made.value).toMatchObject({ partitionCount: 2, replicationFactor: 3 });
    await settle();
    for (const { replicas } of partitionsOf(bench.brokers[0]!, "t")) {
      expect([...replicas].sort()).toEqual([1, 2, 3]);
    }
  });
});
