import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import { topicRequest } from "./cluster_bench.ts";
import { type BenchBroker, SharedBench, settle } from "./shared_bench.ts";

let bench: SharedBench;
beforeEach(() => {
  bench = new SharedBench();
});
afterEach(() => bench.close());

function partitionsOf({ cluster }: BenchBroker, name: string): readonly PartitionImage[] {
  return cluster.image.partitions.get(cluster.image.topicsByName.get(name)!.id)!;
}

async function make(broker: BenchBroker, name: string, partitions: number, factor: number) {
  const made = await broker.cluster.createTopic(
    topicRequest(name, { numPartitions: partitions, replicationFactor: factor }),
  );
  if (!made.ok) throw new Error(made.refusal.code);
  await settle();
  return made.value;
}

describe("a shared cluster", () => {
  test("brokers register, see each other, and one takes the seat", async () => {
    const [a, b, c] = await bench.startAll(3);
    for (const broker of [a!, b!, c!]) {
      expect(broker.cluster.brokerIds).toEqual([1, 2, 3]);
      expect(broker.cluster.image.controller).toMatchObject({ brokerId: 1, epoch: 1 });
      expect(broker.membership.isHeldAt(bench.clock.nowMs)).toBe(true);
      expect(broker.cluster.image.brokers.get(broker.id)!.epoch).toBe(
        broker.membership.brokerEpoch,
      );
    }
    expect(a!.cluster.image.brokers.get(3)!.features.get("millrace.version")).toEqual({
      min: 1,
      max: 1,
    });
    expect(a!.cluster.shared!.secret).toEqual(c!.cluster.shared!.secret);
    expect(a!.cluster.shared!.secret.length).toBe(32);
    expect(a!.heard.at(-1)).toBe("brokers 1,2,3");
  });

  test("topics come with their partitions, grow, and go with them", async () => {
    const [a, b] = await bench.startAll(3);
    await make(a!, "t", 250, 3);
    const partitions = partitionsOf(b!, "t");
    expect(partitions.length).toBe(250);
    for (const { leader, replicas, isr } of partitions) {
      expect(leader).toBe(replicas[0]!);
      expect([...replicas].sort()).toEqual([1, 2, 3]);
      expect(isr).toEqual(replicas);
    }
    const led = [1, 2, 3].map((id) => partitions.filter(({ leader }) => leader === id).length);
    expect(Math.max(...led) - Math.min(...led)).toBeLessThan(2);
    const all = Array.from({ length: 250 }, (_, i) => i).join(",");
    expect(b!.heard.slice(-2)).toEqual(["topic t", `t ${all}`]);
    await b!.cluster.createPartitions({ name: "t", count: 301, assignments: null });
    await settle();
    expect(partitionsOf(a!, "t").length).toBe(301);
    expect(a!.cluster.image.blockRevisions.values().next().value!.length).toBe(4);
    await a!.cluster.deleteTopic({ name: "t" });
    await settle();
    expect(b!.cluster.image.partitions.size).toBe(0);
    const { entries } = await a!.metadata.read("partitions/");
    expect(entries).toEqual([]);
    expect(b!.heard.at(-1)).toBe("gone t");
  });

  test("more replicas than brokers are refused", async () => {
    const [a] = await bench.startAll(2);
    const made = await a!.cluster.createTopic(topicRequest("t", { replicationFactor: 3 }));
    expect(made.ok ? "" : made.refusal.code).toBe("invalid_replication_factor");
  });

  test("a broker that is stuck is fenced by the clock, and others lead within its session", async () => {
    const [a, b, c] = await bench.startAll(3);
    await make(a!, "t", 30, 3);
    bench.clock.stuck.add(1);
    await bench.clock.turn(2001);
    expect(a!.membership.isHeldAt(bench.clock.nowMs)).toBe(false);
    await bench.clock.turn(600);
    expect(b!.cluster.brokerIds).toEqual([2, 3]);
    expect([2, 3]).toContain(c!.cluster.image.controller!.brokerId);
    expect(c!.cluster.image.controller!.epoch).toBe(2);
    for (const { leader, isr, leaderEpoch, replicas } of partitionsOf(b!, "t")) {
      expect(leader).not.toBe(1);
      expect(isr).not.toContain(1);
      expect(leaderEpoch).toBe(replicas[0] === 1 ? 1 : 0);
    }
    // Back, it registers anew; its leaders take it in; leadership goes back.
    bench.clock.stuck.clear();
    await bench.clock.turn(1000);
    expect(a!.membership.isHeldAt(bench.clock.nowMs)).toBe(true);
    const topicId = b!.cluster.image.topicsByName.get("t")!.id;
    const outcomes = await Promise.all(
      partitionsOf(b!, "t").map((partition, index) => {
        const leader = bench.brokers[partition.leader - 1]!;
        return leader.cluster.shared!.alterIsr(topicId, index, {
          isr: [...partition.isr, 1],
          leaderEpoch: partition.leaderEpoch,
          partitionEpoch: partition.partitionEpoch,
          expandedEpochs: new Map([[1, a!.membership.brokerEpoch]]),
        });
      }),
    );
    expect(outcomes.every(({ ok }) => ok)).toBe(true);
    await bench.clock.turn(6000);
    for (const { leader, replicas, isr } of partitionsOf(a!, "t")) {
      expect(leader).toBe(replicas[0]!);
      expect(isr.length).toBe(3);
    }
  });

  test("the last in sync is waited for, and leads in a new epoch when it is back", async () => {
    const [a, b] = await bench.startAll(2);
    const topic = await make(a!, "t", 1, 1);
    const owner = partitionsOf(a!, "t")[0]!.leader;
    const other = owner === 1 ? b! : a!;
    await bench.brokers[owner - 1]!.close();
    await bench.clock.turn(300);
    expect(other.cluster.partition(topic.id, 0)).toMatchObject({ leader: -1, isr: [owner] });
    bench.brokers.splice(owner - 1, 1);
    await bench.start(owner);
    await bench.clock.turn(300);
    expect(other.cluster.partition(topic.id, 0)).toMatchObject({
      leader: owner,
      isr: [owner],
      leaderEpoch: 2,
    });
  });

  test("all are killed at once and return: leaders have new epochs", async () => {
    const [a] = await bench.startAll(2);
    const topic = await make(a!, "t", 4, 2);
    const before = partitionsOf(a!, "t").map(({ leaderEpoch }) => leaderEpoch);
    // Their timers stand still for ever, and their registrations run out by those that come after them.
    const old = bench.brokers.splice(0);
    for (const { id } of old) bench.clock.stuck.add(id);
    await bench.clock.turn(1000);
    bench.clock.stuck.clear();
    for (const broker of old) await broker.close();
    await bench.startAll(2);
    await bench.clock.turn(500);
    const after = bench.brokers[0]!.cluster.image.partitions.get(topic.id)!;
    for (let i = 0; i < 4; i++) {
      expect(after[i]!.leader).toBeGreaterThan(0);
      expect(after[i]!.leaderEpoch).toBeGreaterThan(before[i]!);
    }
  });

  test("a controlled shutdown hands over before the session ends", async () => {
    const [a, b] = await bench.startAll(3);
    await make(a!, "t", 30, 3);
    await make(a!, "single", 3, 1);
    await a!.membership.stop();
    await settle();
    for (const { leader, isr } of partitionsOf(b!, "t")) {
      expect(leader).not.toBe(1);
      expect(isr.length).toBe(2);
    }
    const single = partitionsOf(b!, "single").find(({ replicas }) => replicas[0] === 1)!;
    expect(single).toMatchObject({ leader: -1, isr: [1] });
    expect(b!.cluster.brokerIds).toEqual([2, 3]);
    expect(a!.membership.isHeldAt(bench.clock.nowMs)).toBe(false);
  });

  test("proposals of stale leaders, epochs and registrations are refused", async () => {
    const [a] = await bench.startAll(3);
    const topic = await make(a!, "t", 1, 3);
    const now = partitionsOf(a!, "t")[0]!;
    const leader = bench.brokers[now.leader - 1]!.cluster.shared!;
    const other = bench.brokers[now.leader % 3]!.cluster.shared!;
    const { leaderEpoch, partitionEpoch } = now;
    const base = { leaderEpoch, partitionEpoch, expandedEpochs: new Map<number, number>() };
    const code = async (of: typeof leader, change: Parameters<typeof leader.alterIsr>[2]) => {
      const outcome = await of.alterIsr(topic.id, 0, change);
      return outcome.ok ? "ok" : outcome.code;
    };
    expect(await code(other, { ...base, isr: now.isr })).toBe("invalid_request");
    expect(await code(leader, { ...base, isr: now.isr, leaderEpoch: 7 })).toBe("not_controller");
    expect(await code(leader, { ...base, isr: [now.replicas[1]!] })).toBe("invalid_request");
    expect(await code(leader, { ...base, isr: [now.leader] })).toBe("ok");
    expect(await code(leader, { ...base, isr: now.isr })).toBe("invalid_update_version");
    const back = { ...base, partitionEpoch: partitionEpoch + 1, isr: now.replicas };
    const stale = new Map([[now.replicas[1]!, 1]]);
    expect(await code(leader, { ...back, expandedEpochs: stale })).toBe("ineligible_replica");
    expect(await code(leader, back)).toBe("ok");
  });

  test("a partition is moved: added, in sync, and then the old ones go", async () => {
    const [a] = await bench.startAll(4);
    const made = await a!.cluster.createTopic(
      topicRequest("t", { assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }] }),
    );
    const { id } = made.ok ? made.value : { id: "" };
    const move = await a!.cluster.shared!.alterReassignment({
      topic: "t",
      index: 0,
      replicas: [3, 4],
    });
    expect(move.ok && move.value).toMatchObject({
      leader: 1,
      replicas: [3, 4, 1, 2],
      adding: [3, 4],
      removing: [1, 2],
    });
    expect([...a!.cluster.shared!.reassignments()].length).toBe(1);
    const join = async (isr: number[]) => {
      const { leaderEpoch, partitionEpoch } = a!.cluster.partition(id, 0)!;
      const expandedEpochs = new Map<number, number>();
      return a!.cluster.shared!.alterIsr(id, 0, {
        isr,
        leaderEpoch,
        partitionEpoch,
        expandedEpochs,
      });
    };
    await join([1, 2, 3]);
    expect(a!.cluster.partition(id, 0)!.removing).toEqual([1, 2]);
    await join([1, 2, 3, 4]);
    expect(a!.cluster.partition(id, 0)).toMatchObject({
      leader: 3,
      leaderEpoch: 1,
      replicas: [3, 4],
      isr: [3, 4],
      adding: [],
      removing: [],
    });
    const none = await a!.cluster.shared!.alterReassignment({
      topic: "t",
      index: 0,
      replicas: null,
    });
    expect(none.ok ? "" : none.refusal.code).toBe("no_reassignment_in_progress");
  });

  test("internal topics get replicas as brokers join", async () => {
    const a = await bench.start(1);
    await make(a, "__consumer_offsets", 5, 1);
    expect(partitionsOf(a, "__consumer_offsets")[0]!.replicas).toEqual([1]);
    await bench.start(2);
    await bench.clock.turn(100);
    for (const { replicas, adding } of partitionsOf(a, "__consumer_offsets")) {
      expect([replicas, adding]).toEqual([[1, 2], [2]]);
    }
  });

  test("leaders are elected by hand, and brokers forgotten", async () => {
    const [a, b] = await bench.startAll(2);
    await make(a!, "t", 1, 2);
    const same = await a!.cluster.shared!.electLeader("t", 0, "preferred");
    expect(same.ok ? "" : same.refusal.code).toBe("election_not_needed");
    const running = await a!.cluster.shared!.unregister(2);
    expect(running.ok ? "" : running.refusal.code).toBe("invalid_request");
    await b!.membership.stop();
    await settle();
    expect((await a!.cluster.shared!.unregister(2)).ok).toBe(true);
    expect(a!.cluster.image.knownBrokers.has(2)).toBe(false);
    const again = await a!.cluster.shared!.unregister(2);
    expect(again.ok ? "" : again.refusal.code).toBe("broker_id_not_registered");
  });
});
