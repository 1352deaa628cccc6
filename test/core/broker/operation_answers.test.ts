// The APIs by which a cluster is operated: of one broker, and of several ends of one shared store.

import { afterEach, describe, expect, test } from "bun:test";
import type { TopicApi } from "../../../src/contracts/broker.ts";
import { createAdminApi } from "../../../src/core/broker/admin_api.ts";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { errorByCode } from "../../../src/protocol/errors.ts";
import { topicRequest } from "../cluster/cluster_bench.ts";
import { type BenchBroker, SharedBench, settle } from "../cluster/shared_bench.ts";
import { apiBench, call, callerOf, NumberPartitions } from "./api_bench.ts";

const ALTER_REPLICA_LOG_DIRS = 34;
const DESCRIBE_LOG_DIRS = 35;
const ELECT_LEADERS = 43;
const ALTER_REASSIGNMENTS = 45;
const LIST_REASSIGNMENTS = 46;
const UNREGISTER_BROKER = 64;
const PREFERRED = 0;
const UNCLEAN = 1;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const wire = ({ errorCode }: { errorCode: number }) => errorByCode(errorCode)?.code ?? "ok";
const named = (indexes: readonly number[], topic = "t") => [{ topic, partitions: indexes }];

interface Operator {
  elect(type: number, topicPartitions: object[] | null, version?: number): Promise<string[]>;
  move(
    moves: readonly (readonly [index: number, to: number[] | null])[],
    mayGrow?: boolean,
  ): Promise<string[]>;
  // biome-ignore lint/suspicious/noExplicitAny: rows of an answer, looked at as they are.
  list(topics?: object[] | null): Promise<any>;
  unregister(brokerId: number): Promise<string>;
  moveFolder(path: string, name: string, indexes: readonly number[]): Promise<string[]>;
}

type Half = Parameters<typeof call>[0];

function operator(half: Half): Operator {
  return {
    async elect(electionType, topicPartitions, version = 2) {
      const asked = { electionType, topicPartitions, timeoutMs: 1 };
      const { replicaElectionResults } = await call(half, ELECT_LEADERS, version, asked);
      return replicaElectionResults.flatMap(
        ({ partitionResult }: { partitionResult: { errorCode: number }[] }) =>
          partitionResult.map(wire),
      );
    },
    async move(moves, allowReplicationFactorChange = true) {
      const partitions = moves.map(([partitionIndex, replicas]) => ({ partitionIndex, replicas }));
      const topics = [{ name: "t", partitions }];
      const asked = { timeoutMs: 1, allowReplicationFactorChange, topics };
      const answer = await call(half, ALTER_REASSIGNMENTS, 1, asked);
      expect([wire(answer), answer.allowReplicationFactorChange]).toEqual([
        "ok",
        allowReplicationFactorChange,
      ]);
      return answer.responses.flatMap(
        ({ partitions: rows }: { partitions: { errorCode: number }[] }) => rows.map(wire),
      );
    },
    async list(topics = null) {
      const answer = await call(half, LIST_REASSIGNMENTS, 0, { timeoutMs: 1, topics });
      expect(wire(answer)).toBe("ok");
      return answer.topics;
    },
    unregister: async (brokerId) => wire(await call(half, UNREGISTER_BROKER, 0, { brokerId })),
    async moveFolder(path, name, partitions) {
      const dirs = [{ path, topics: [{ name, partitions }] }];
      const { results } = await call(half, ALTER_REPLICA_LOG_DIRS, 2, { dirs });
      return results.flatMap(({ partitions: rows }: { partitions: { errorCode: number }[] }) =>
        rows.map(wire),
      );
    },
  };
}

describe("of one broker that has the store for itself", () => {
  async function alone(): Promise<Operator> {
    const bench = await apiBench();
    ends.push(() => bench.close());
    await bench.cluster.createTopic(topicRequest("t", { numPartitions: 2 }));
    return operator(bench);
  }

  test("it leads what there is: no election is needed", async () => {
    const { elect } = await alone();
    expect(await elect(PREFERRED, named([0, 2, 1, -1]))).toEqual([
      "election_not_needed",
      "unknown_topic_or_partition",
      "election_not_needed",
      "unknown_topic_or_partition",
    ]);
    expect(await elect(UNCLEAN, named([0], "none"))).toEqual(["unknown_topic_or_partition"]);
    expect(await elect(PREFERRED, named([1]), 0)).toEqual(["election_not_needed"]);
    // Of all of them those that needed none are left out.
    expect(await elect(UNCLEAN, null)).toEqual([]);
    expect(await elect(2, named([0]))).toEqual(["invalid_request"]);
  });

  test("replicas are where they are, or nowhere", async () => {
    const { move, list } = await alone();
    const wrong = "invalid_replica_assignment";
    expect(
      await move([
        [0, [1]],
        [1, [7]],
        [0, []],
        [1, [1, 1]],
        [0, null],
        [2, [1]],
      ]),
    ).toEqual([
      "ok",
      wrong,
      wrong,
      wrong,
      "no_reassignment_in_progress",
      "unknown_topic_or_partition",
    ]);
    expect(await list()).toEqual([]);
    expect(await list([{ name: "t", partitionIndexes: [0] }])).toEqual([]);
  });

  test("it is not forgotten while it runs, and knows no other", async () => {
    const { unregister } = await alone();
    expect([await unregister(1), await unregister(7)]).toEqual([
      "invalid_request",
      "broker_id_not_registered",
    ]);
  });

  test("its folder is the only one", async () => {
    const { moveFolder } = await alone();
    expect(await moveFolder("/data", "t", [0, 1, 2])).toEqual([
      "ok",
      "ok",
      "unknown_topic_or_partition",
    ]);
    expect(await moveFolder("/elsewhere", "t", [0])).toEqual(["log_dir_not_found"]);
    // 213 characters, a digit, and 41 beside them are 255.
    expect(await moveFolder("/elsewhere", "n".repeat(213), [0])).toEqual(["log_dir_not_found"]);
    expect(await moveFolder("/elsewhere", "n".repeat(214), [0])).toEqual([
      "invalid_topic_exception",
    ]);
  });

  test("a folder that is offline takes no replica", async () => {
    const bench = await apiBench();
    ends.push(() => bench.close());
    await bench.cluster.createTopic(topicRequest("t"));
    bench.partitions.isOnline = false;
    expect(await operator(bench).moveFolder("/data", "t", [0])).toEqual(["kafka_storage_error"]);
  });
});

describe("of several brokers", () => {
  let bench: SharedBench;
  let brokers: BenchBroker[];

  async function several(count: number): Promise<Operator> {
    bench = new SharedBench();
    ends.push(() => bench.close());
    brokers = await bench.startAll(count);
    return operatorAt(brokers[0]!);
  }

  function operatorAt({ id: brokerId, cluster }: BenchBroker): Operator {
    const admin = createAdminApi({
      brokerId,
      cluster,
      partitions: new NumberPartitions(),
      settings: new Settings(new Map()),
      runtime: bench.runtime(brokerId),
      endpointOf: () => ({ host: "b", port: 9092 }),
      logDirectory: { path: "/data", volume: async () => ({ totalBytes: 1, usableBytes: 1 }) },
    });
    return operator({ admin, topics: {} as TopicApi, caller: callerOf() });
  }

  const partitionsOf = (): readonly PartitionImage[] => {
    const { image } = brokers[0]!.cluster;
    return image.partitions.get(image.topicsByName.get("t")!.id)!;
  };

  async function topic(...assignments: number[][]): Promise<void> {
    const rows = assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }));
    const made = await brokers[0]!.cluster.createTopic(topicRequest("t", { assignments: rows }));
    expect(made.ok).toBe(true);
    await settle();
  }

  async function setIsr(index: number, isr: readonly number[]): Promise<void> {
    const { leader, leaderEpoch, partitionEpoch } = partitionsOf()[index]!;
    const { cluster } = brokers.find(({ id }) => id === leader)!;
    const { id } = cluster.image.topicsByName.get("t")!;
    const change = { isr, leaderEpoch, partitionEpoch, expandedEpochs: new Map<number, number>() };
    expect((await cluster.shared!.alterIsr(id, index, change)).ok).toBe(true);
    await settle();
  }

  test("the preferred replica of each is elected, all in one commit, by whichever broker is asked", async () => {
    await several(3);
    const { elect, move } = operatorAt(brokers[2]!);
    const count = 250;
    await topic(...Array.from({ length: count }, () => [1, 2]));
    const order = Array.from({ length: count }, (_, i) => [i, i === 7 ? [1, 2] : [2, 1]] as const);
    expect(new Set(await move(order.map(([i, to]) => [i, [...to]])))).toEqual(new Set(["ok"]));
    await settle();
    expect(partitionsOf().every(({ leader }) => leader === 1)).toBe(true);
    const before = brokers[0]!.cluster.image.revision;
    expect((await elect(PREFERRED, null)).length).toBe(count - 1);
    await settle();
    expect(partitionsOf().filter(({ leader }) => leader === 2).length).toBe(count - 1);
    expect(brokers[0]!.cluster.image.revision).toBe(before + 1);
    expect(await elect(PREFERRED, named([7, 8, 250]))).toEqual([
      "election_not_needed",
      "election_not_needed",
      "unknown_topic_or_partition",
    ]);
  });

  test("a preferred replica that is out of sync is not available; unclean elects where nobody leads", async () => {
    const { elect, move } = await several(3);
    await topic([2, 3], [1, 3]);
    await setIsr(0, [2]);
    expect(await move([[0, [3, 2]]])).toEqual(["ok"]);
    expect(await elect(PREFERRED, named([0]))).toEqual(["preferred_leader_not_available"]);
    expect(await elect(UNCLEAN, named([0, 1]))).toEqual([
      "election_not_needed",
      "election_not_needed",
    ]);
    await brokers[1]!.membership.stop();
    await settle();
    expect(partitionsOf()[0]).toMatchObject({ leader: -1, isr: [2] });
    expect(await elect(UNCLEAN, null)).toEqual(["ok"]);
    await settle();
    expect(partitionsOf()[0]).toMatchObject({ leader: 3, isr: [3] });
    await brokers[2]!.membership.stop();
    await settle();
    expect(await elect(UNCLEAN, named([0]))).toEqual(["eligible_leaders_not_available"]);
  });

  test("moves are begun, listed, cancelled, and refused one by one", async () => {
    const { move, list } = await several(4);
    await topic([1, 2], [1, 2], [1, 2]);
    expect(
      await move([
        [0, [3, 4]],
        [1, [9]],
        [1, [2, 3]],
        [2, null],
        [5, [1]],
        [2, [1, 2]],
      ]),
    ).toEqual([
      "ok",
      "invalid_replica_assignment",
      "ok",
      "no_reassignment_in_progress",
      "unknown_topic_or_partition",
      "ok",
    ]);
    await settle();
    const first = {
      partitionIndex: 0,
      replicas: [3, 4, 1, 2],
      addingReplicas: [3, 4],
      removingReplicas: [1, 2],
    };
    const second = {
      partitionIndex: 1,
      replicas: [2, 3, 1],
      addingReplicas: [3],
      removingReplicas: [1],
    };
    expect(await list()).toEqual([{ name: "t", partitions: [first, second] }]);
    const asked = [
      { name: "t", partitionIndexes: [2, 1, 9] },
      { name: "none", partitionIndexes: [0] },
    ];
    expect(await list(asked)).toEqual([{ name: "t", partitions: [second] }]);
    expect(await list([])).toEqual([]);
    expect(
      await move([
        [0, null],
        [1, null],
      ]),
    ).toEqual(["ok", "ok"]);
    await settle();
    expect(await list()).toEqual([]);
    expect(partitionsOf().map(({ replicas }) => [...replicas].sort())).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
  });

  test("a move that changes how many replicas there are is refused where it may not", async () => {
    const { move } = await several(3);
    await topic([1, 2], [1, 2]);
    expect(
      await move(
        [
          [0, [1]],
          [1, [3, 1]],
        ],
        false,
      ),
    ).toEqual(["invalid_replication_factor", "ok"]);
    expect(await move([[0, [1, 2, 3]]])).toEqual(["ok"]);
  });

  test("a broker that is away for now may be moved to; one that was forgotten may not", async () => {
    const { move, unregister } = await several(3);
    await topic([1]);
    expect(await unregister(3)).toBe("invalid_request");
    await brokers[2]!.membership.stop();
    await settle();
    expect(await move([[0, [1, 3]]])).toEqual(["ok"]);
    expect(await move([[0, null]])).toEqual(["ok"]);
    expect(await unregister(3)).toBe("ok");
    expect(await move([[0, [1, 3]]])).toEqual(["invalid_replica_assignment"]);
    expect(await unregister(3)).toBe("broker_id_not_registered");
  });

  test("a replica that lies elsewhere is not in this broker's folder", async () => {
    const { moveFolder } = await several(2);
    await topic([2]);
    expect(await moveFolder("/data", "t", [0])).toEqual(["replica_not_available"]);
  });
});

test("DescribeLogDirs tells how far a replica is behind what it knows to be committed", async () => {
  const bench = await apiBench();
  ends.push(() => bench.close());
  await bench.cluster.createTopic(topicRequest("t"));
  const status = bench.partitions.status.bind(bench.partitions);
  bench.partitions.status = (topicId, partition) => {
    const found = status(topicId, partition);
    return found === null ? null : { ...found, highWatermark: 9 };
  };
  const { results } = await call(bench, DESCRIBE_LOG_DIRS, 5, { topics: null });
  expect(results[0].topics[0].partitions[0]).toMatchObject({ offsetLag: 4, partitionSize: 100 });
});
