// Three whole brokers in three racks: a consumer is sent to the replica of its rack, and reads there what is committed (KIP-392);
// who asks the wrong broker is told which one leads (KIP-951).

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { FetchOutcome, FetchRequest } from "../../src/contracts/broker.ts";
import { RACK_AWARE_SELECTOR } from "../../src/core/broker/replicated_reads.ts";
import { ClusterRig } from "../support/cluster_rig.ts";
import { recordsIn } from "../support/log_rig.ts";
import { until } from "../support/waiting.ts";

const rig = new ClusterRig({ "replica.selector.class": RACK_AWARE_SELECTOR });
let leader: number;
let others: number[];

beforeAll(async () => {
  for (const id of [1, 2, 3]) await rig.start([id], { "broker.rack": `rack-${id}` });
  await rig.topic("users", 1, 3, { "min.insync.replicas": "2" });
  await rig.untilPartitions("users", "all are in sync", ([only]) => only!.isrNodes.length === 3);
  await rig.produced("users", 0, ["a", "b", "c"]);
  const [partition] = await rig.partitions("users");
  leader = partition!.leaderId;
  others = partition!.replicaNodes.filter((id) => id !== leader);
});
afterAll(() => rig.close());

async function fetch(
  id: number,
  more: Partial<FetchRequest> = {},
  fetchOffset = 0,
): Promise<{ outcome: FetchOutcome; values: string[] }> {
  const response = await rig.get(id).broker.log.fetch(rig.caller, {
    isolation: "read_committed",
    waitMsMax: 0,
    bytesMin: 1,
    bytesMax: 1 << 20,
    partitions: [{ topic: "users", partition: 0, fetchOffset, bytesMax: 1 << 20, leaderEpoch: -1 }],
    ...more,
  });
  const [outcome] = response.partitions;
  const batches = outcome!.ok ? outcome!.value.batches : [];
  const values = batches.flatMap((bytes) => recordsIn(bytes).map(({ value }) => value));
  response.release();
  return { outcome: outcome!, values };
}

const preferredOf = ({ outcome }: { outcome: FetchOutcome }) =>
  outcome.ok ? outcome.value.preferredReplica : outcome.error.code;

test("the leader sends a consumer to the replica of its rack, and that one serves it", async () => {
  for (const id of others) {
    const rack = `rack-${id}`;
    await until(async () => preferredOf(await fetch(leader, { rack })) === id, `sent to ${id}`);
    expect((await fetch(leader, { rack })).values).toEqual([]);
    // The follower learns of what is committed with its next fetch.
    await until(async () => (await fetch(id, { rack })).values.join("") === "abc", `read at ${id}`);
    expect(preferredOf(await fetch(id, { rack }))).toBe(undefined);
  }
});

test("who is in the leader's rack, in none, or before such fetches is served by the leader alone", async () => {
  for (const more of [{ rack: `rack-${leader}` }, { rack: "" }, { rack: "rack-9" }, {}]) {
    const fetched = await fetch(leader, more);
    expect([preferredOf(fetched), fetched.values]).toEqual([undefined, ["a", "b", "c"]]);
  }
  expect(preferredOf(await fetch(others[0]!))).toBe("not_leader_or_follower");
});

test("a fetch that waits at a follower is answered when more is committed", async () => {
  const [id] = others;
  const rack = `rack-${id}`;
  await until(async () => (await fetch(id!, { rack })).values.length === 3, "the follower has it");
  const waiting = fetch(id!, { rack, waitMsMax: 20_000 }, 3);
  await rig.produced("users", 0, ["d"]);
  expect((await waiting).values).toEqual(["d"]);
});

test("beyond its end a follower sends the consumer back to the leader", async () => {
  const [id] = others;
  expect(preferredOf(await fetch(id!, { rack: `rack-${id}` }, 1_000))).toBe("offset_out_of_range");
});

test("a follower says who leads, and refuses what only a leader answers", async () => {
  const { log, admin, topics } = rig.get(others[0]!).broker;
  const hint = log.currentLeader!(rig.caller, "users", 0);
  const { endpoints } = rig.get(leader).broker;
  const { advertisedHost: host, advertisedPort: port } = endpoints[0]!;
  expect(hint).toMatchObject({
    leaderId: leader,
    endpoint: { host, port, rack: `rack-${leader}` },
  });
  const query = { topic: "users", partition: 0, leaderEpoch: -1 };
  const isolation = "read_uncommitted" as const;
  const [offset] = await log.offsetFor(rig.caller, [{ ...query, at: "latest", isolation }]);
  expect(offset).toMatchObject({ ok: false, error: { code: "not_leader_or_follower" } });
  const deleted = await topics.deleteRecords(
    rig.caller,
    {
      topics: [{ name: "users", partitions: [{ partitionIndex: 0, offset: 1 }] }],
      timeoutMs: 1000,
    },
    2,
  );
  expect(deleted.topics[0]!.partitions[0]!.errorCode).toBe(6);
  // Producers may be asked for at any replica.
  const described = await admin.describeProducers(
    rig.caller,
    { topics: [{ name: "users", partitionIndexes: [0, 1] }] },
    0,
  );
  expect(described.topics[0]!.partitions.map(({ errorCode }) => errorCode)).toEqual([0, 3]);
});
