// What seldom happens in a cluster: a store that one broker had for itself, more than one commit holds, several who change one block,
// moves taken back, leaders elected whatever is lost, brokers named that are gone.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { openCluster } from "../../../src/core/cluster/cluster.ts";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import { BLOCKS_MAX } from "../../../src/core/cluster/partition_edits.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { topicRequest } from "./cluster_bench.ts";
import { type BenchBroker, SharedBench, settle } from "./shared_bench.ts";

let bench: SharedBench;
beforeEach(() => {
  bench = new SharedBench();
});
afterEach(() => bench.close());

const by = (id: number): BenchBroker => bench.brokers.find((each) => each.id === id)!;

function partitionsOf({ cluster }: BenchBroker, name: string): readonly PartitionImage[] {
  return cluster.image.partitions.get(cluster.image.topicsByName.get(name)!.id)!;
}

/** By the numbers of brokers, a list for each partition. @returns the topic's id, or the refusal's code */
async function assigned(name: string, replicas: readonly (readonly number[])[]): Promise<string> {
  const made = await bench.brokers[0]!.cluster.createTopic(
    topicRequest(name, {
      assignments: replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
    }),
  );
  await settle();
  return made.ok ? made.value.id : made.refusal.code;
}

/** The leader's wish, from the image as the first broker has it. */
function propose(id: string, index: number, isr: readonly number[]) {
  const { leader, leaderEpoch, partitionEpoch } = bench.brokers[0]!.cluster.partition(id, index)!;
  return by(leader).cluster.shared!.alterIsr(id, index, {
    isr,
    leaderEpoch,
    partitionEpoch,
    expandedEpochs: new Map(),
  });
}

/** Stands still until its session is over. */
async function fence(id: number): Promise<void> {
  bench.clock.stuck.add(id);
  await bench.clock.turn(3000);
}

async function unfence(): Promise<void> {
  bench.clock.stuck.clear();
  await bench.clock.turn(1000);
}

/** Topics made while `brokerId` has the store for itself, and its mark that it has logs. */
async function aloneBefore(brokerId: number, topics: Record<string, number>): Promise<void> {
  const runtime = bench.runtime(brokerId);
  const metadata = await bench.plugin.open({ runtime, brokerId });
  const cluster = await openCluster({ metadata, runtime, settings: new Settings(), brokerId });
  for (const [name, numPartitions] of Object.entries(topics)) {
    const made = await cluster.createTopic(
      topicRequest(name, { numPartitions, replicationFactor: 1 }),
    );
    expect(made.ok).toBe(true);
  }
  const mark = { key: `logs/broker/${brokerId}`, value: new TextEncoder().encode("{}") };
  await metadata.commit({ conditions: [], writes: [mark] });
  cluster.close();
  await metadata.close();
  await runtime.settled();
}

describe("a store that one broker had for itself", () => {
  test("its topics are on that broker, in an epoch of their own, and wait for it", async () => {
    await aloneBefore(2, { t: 3 });
    await bench.start(1);
    await bench.clock.turn(100);
    const waiting = { leader: -1, leaderEpoch: 1, replicas: [2], isr: [2] };
    expect(partitionsOf(by(1), "t")).toEqual(
      [0, 1, 2].map(() => expect.objectContaining(waiting)) as never,
    );
    await bench.start(2);
    await bench.clock.turn(100);
    for (const { leader, leaderEpoch } of partitionsOf(by(1), "t")) {
      expect([leader, leaderEpoch]).toEqual([2, 2]);
    }
    const grown = await by(1).cluster.createPartitions({ name: "t", count: 4, assignments: null });
    expect(grown.ok).toBe(true);
  });

  test("more partitions than one commit holds are taken over, and the broker's own topics are copied", async () => {
    const many = (BLOCKS_MAX + 7) * 100 + 1;
    await aloneBefore(1, { many, other: 150, __consumer_offsets: 3 });
    await bench.startAll(2);
    await bench.clock.turn(200);
    expect(partitionsOf(by(2), "many").length).toBe(many);
    expect(partitionsOf(by(2), "many").every(({ leader }) => leader === 1)).toBe(true);
    expect(partitionsOf(by(2), "other").length).toBe(150);
    for (const { replicas } of partitionsOf(by(2), "__consumer_offsets")) {
      expect(replicas).toEqual([1, 2]);
    }
  });
});

describe("more than one commit holds", () => {
  const COUNT = 2 * BLOCKS_MAX + 30;

  async function manyTopics(): Promise<string[]> {
    await bench.startAll(3);
    const ids: string[] = [];
    for (let i = 0; i < COUNT; i++) ids.push(await assigned(`t${i}`, [[2, 3, 1]]));
    return ids;
  }
  const states = (ids: readonly string[]) =>
    new Set(
      ids.map((id) => {
        const { leader, isr } = by(1).cluster.partition(id, 0)!;
        return `${leader}:${isr.join()}`;
      }),
    );

  test("a broker dies that led a partition in each of so many blocks: all have another leader", async () => {
    const ids = await manyTopics();
    await fence(2);
    expect(states(ids)).toEqual(new Set(["3:3,1"]));
    await unfence();
  });

  test("a broker that stops hands over all of them before it goes", async () => {
    const ids = await manyTopics();
    await by(2).membership.stop();
    await settle();
    expect(states(ids)).toEqual(new Set(["3:3,1"]));
  });

  test("so many in-sync sets change at once", async () => {
    const ids = await manyTopics();
    const outcomes = await Promise.all(ids.map((id) => propose(id, 0, [2, 1])));
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    expect(states(ids)).toEqual(new Set(["2:2,1"]));
  });
});

describe("several brokers that change one block", () => {
  test("all get what they asked for, whoever is first", async () => {
    const count = 8;
    await bench.startAll(count);
    const ring = Array.from({ length: count }, (_, i) => [
      i + 1,
      ((i + 1) % count) + 1,
      ((i + 2) % count) + 1,
    ]);
    const id = await assigned("t", [...ring, ...ring]);
    for (const size of [1, 3, 2, 3]) {
      const wanted = [...ring, ...ring].map((replicas) => replicas.slice(0, size));
      const outcomes = await Promise.all(wanted.map((isr, index) => propose(id, index, isr)));
      expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
      await settle();
      for (const broker of bench.brokers) {
        expect(partitionsOf(broker, "t").map(({ isr }) => isr)).toEqual(wanted);
      }
    }
    // Nothing was done twice either.
    expect(partitionsOf(by(1), "t").map(({ partitionEpoch }) => partitionEpoch)).toEqual(
      [...ring, ...ring].map(() => 4),
    );
  });
});

describe("a reassignment that is taken back", () => {
  const move = (replicas: readonly number[] | null) =>
    bench.brokers[0]!.cluster.shared!.alterReassignment({ topic: "t", index: 0, replicas });

  test("leaves the partition where it was, without those that had come into sync", async () => {
    await bench.startAll(4);
    const id = await assigned("t", [[1, 2]]);
    await move([3, 4]);
    expect((await propose(id, 0, [1, 2, 3])).ok).toBe(true);
    const back = await move(null);
    expect(back.ok && back.value).toMatchObject({
      leader: 1,
      leaderEpoch: 0,
      replicas: [1, 2],
      isr: [1, 2],
      adding: [],
      removing: [],
    });
    await settle();
    expect([...by(2).cluster.shared!.reassignments()]).toEqual([]);
  });

  test("goes back to who was there where one that was added leads by now, and not where nobody else is in sync", async () => {
    await bench.startAll(4);
    const id = await assigned("t", [[1, 2]]);
    await move([3, 4]);
    await propose(id, 0, [1, 2, 3]);
    await fence(1);
    await fence(2);
    expect(by(3).cluster.partition(id, 0)).toMatchObject({ leader: 3, isr: [3] });
    bench.brokers.push(...bench.brokers.splice(0, 2));
    const refused = await move(null);
    expect(refused.ok ? "" : refused.refusal.code).toBe("invalid_replica_assignment");
    await unfence();
    await propose(id, 0, [3, 2]);
    const back = await move(null);
    expect(back.ok && back.value).toMatchObject({ leader: 2, replicas: [1, 2], isr: [2] });
  });

  test("is another one where new replicas are asked for instead", async () => {
    await bench.startAll(4);
    const id = await assigned("t", [[1, 2]]);
    await move([3, 4]);
    await propose(id, 0, [1, 2, 3]);
    const other = await move([1, 4]);
    expect(other.ok && other.value).toMatchObject({ adding: [4], leader: 1 });
    await propose(id, 0, [...by(1).cluster.partition(id, 0)!.isr, 4]);
    expect(by(1).cluster.partition(id, 0)).toMatchObject({
      replicas: [1, 4],
      isr: [1, 4],
      adding: [],
      removing: [],
    });
  });
});

describe("an unclean election by hand", () => {
  const elect = () => bench.brokers[0]!.cluster.shared!.electLeader("t", 0, "unclean");
  const code = async () => {
    const decision = await elect();
    return decision.ok ? "ok" : decision.refusal.code;
  };

  test("is only made where nobody leads, of who is there; who had more is not in sync when it returns", async () => {
    await bench.startAll(3);
    const id = await assigned("t", [[3, 2]]);
    await propose(id, 0, [3]);
    expect(await code()).toBe("election_not_needed");
    await fence(3);
    expect(by(1).cluster.partition(id, 0)).toMatchObject({ leader: -1, isr: [3] });
    const done = await elect();
    expect(done.ok && done.value).toMatchObject({ leader: 2, isr: [2] });
    await unfence();
    await bench.clock.turn(10_000);
    expect(by(1).cluster.partition(id, 0)).toMatchObject({ leader: 2, isr: [2] });
    expect(await code()).toBe("election_not_needed");
  });

  test("says so where no replica is there", async () => {
    await bench.startAll(2);
    await assigned("t", [[2]]);
    await fence(2);
    expect(await code()).toBe("eligible_leaders_not_available");
    await unfence();
  });
});

describe("brokers named by hand that are not there", () => {
  test("are taken while somebody beside them is, are not in sync, and are refused where they were never here", async () => {
    await bench.startAll(3);
    await fence(3);
    const id = await assigned("t", [
      [3, 1],
      [2, 3],
    ]);
    expect(by(1).cluster.partition(id, 0)).toMatchObject({
      leader: 1,
      replicas: [3, 1],
      isr: [1],
    });
    expect(by(1).cluster.partition(id, 1)).toMatchObject({ leader: 2, isr: [2] });
    expect(await assigned("nobody", [[1], [3]])).toBe("invalid_replica_assignment");
    expect(await assigned("stranger", [[1, 9]])).toBe("invalid_replica_assignment");
    const grow = async (brokerIds: readonly number[]) => {
      const grown = await by(1).cluster.createPartitions({
        name: "t",
        count: 3,
        assignments: [{ brokerIds }],
      });
      return grown.ok ? "ok" : grown.refusal.code;
    };
    expect(await grow([9, 1])).toBe("invalid_replica_assignment");
    expect(await grow([3, 2])).toBe("ok");
    const move = await by(1).cluster.shared!.alterReassignment({
      topic: "t",
      index: 1,
      replicas: [1, 3],
    });
    expect(move.ok && move.value).toMatchObject({ adding: [1], removing: [2] });
    const stranger = await by(1).cluster.shared!.alterReassignment({
      topic: "t",
      index: 0,
      replicas: [1, 9],
    });
    expect(stranger.ok ? "" : stranger.refusal.code).toBe("invalid_replica_assignment");
    await unfence();
  });
});
