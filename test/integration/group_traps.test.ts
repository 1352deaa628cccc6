// The traps of the protocol notes (clients.md, by number) that concern groups, each over a socket with a whole broker behind
// it: what clients of many years send, and what they must be told so that they go on.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { DescribeGroups } from "../../src/protocol/messages/15_describe_groups.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { Live, type WireClient } from "./live.ts";

const UNKNOWN_ID = "EREREREiIjMzREREVVVVVQ";
const metadata = new Uint8Array([0, 0, 0, 0, 0, 1, 0, 1, 116, 255, 255, 255, 255]);

let live: Live;
let client: WireClient;
let topicId: string;
beforeEach(async () => {
  live = await Live.start();
  client = await live.connect();
  const made = await client.ask(CreateTopics, 7, {
    topics: [{ name: "t", numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
    validateOnly: false,
  });
  topicId = made.topics[0]!.topicId;
});
afterEach(async () => {
  client.close();
  await live.stop();
});

function joinOf(memberId: string, protocol = "range", sessionTimeoutMs = 10_000) {
  return {
    groupId: "g",
    sessionTimeoutMs,
    memberId,
    protocolType: "consumer",
    protocols: [{ name: protocol, metadata }],
  };
}

describe("trap 3: low versions stay in use", () => {
  test("kafka-go's consumer: FindCoordinator 0, JoinGroup 1 and 2, SyncGroup 0, Heartbeat 0, OffsetFetch 1, OffsetCommit 2, LeaveGroup 0", async () => {
    for (const joinVersion of [1, 2]) {
      const groupId = `go-${joinVersion}`;
      const found = await client.ask(FindCoordinator, 0, { key: groupId });
      expect([found.errorCode, found.nodeId, found.port]).toEqual([0, 1, live.port]);
      const joined = await client.ask(JoinGroup, joinVersion, {
        ...joinOf(""),
        groupId,
        rebalanceTimeoutMs: 10_000,
      });
      // Admitted at once: those versions know nothing of MEMBER_ID_REQUIRED.
      expect([joined.errorCode, joined.generationId, joined.leader]).toEqual([
        0,
        1,
        joined.memberId,
      ]);
      expect(joined.members.map((each) => [...each.metadata])).toEqual([[...metadata]]);
      const { generationId, memberId } = joined;
      const assignment = new Uint8Array([9, 8, 7]);
      const synced = await client.ask(SyncGroup, 0, {
        groupId,
        generationId,
        memberId,
        assignments: [{ memberId, assignment }],
      });
      expect([synced.errorCode, [...synced.assignment]]).toEqual([0, [9, 8, 7]]);
      const committed = await client.ask(OffsetCommit, 2, {
        groupId,
        generationIdOrMemberEpoch: generationId,
        memberId,
        topics: [
          {
            name: "t",
            partitions: [{ partitionIndex: 1, committedOffset: 5, committedMetadata: null }],
          },
        ],
      });
      expect(committed.topics[0]!.partitions[0]!.errorCode).toBe(0);
      const fetched = await client.ask(OffsetFetch, 1, {
        groupId,
        topics: [{ name: "t", partitionIndexes: [0, 1] }],
      });
      expect(fetched.topics[0]!.partitions).toMatchObject([
        { committedOffset: -1, metadata: "", errorCode: 0 },
        { committedOffset: 5, metadata: "", errorCode: 0 },
      ]);
      const beat = { groupId, generationId, memberId };
      expect((await client.ask(Heartbeat, 0, beat)).errorCode).toBe(0);
      expect((await client.ask(LeaveGroup, 0, { groupId, memberId })).errorCode).toBe(0);
      expect((await client.ask(Heartbeat, 0, beat)).errorCode).toBe(25);
    }
  });
});

describe("trap 5: pending members", () => {
  test("the next rebalance waits for an id that was handed out, and goes on when it is gone", async () => {
    const first = await client.ask(JoinGroup, 3, { ...joinOf(""), rebalanceTimeoutMs: 60_000 });
    expect(first.errorCode).toBe(0);
    const given = await (await live.connect()).ask(JoinGroup, 5, {
      ...joinOf(""),
      rebalanceTimeoutMs: 60_000,
    });
    expect(given.errorCode).toBe(79);
    // It has something new to say: the group rebalances.
    const protocols = [{ name: "range", metadata: new Uint8Array([...metadata, 1]) }];
    const rejoin = { ...joinOf(first.memberId), rebalanceTimeoutMs: 60_000, protocols };
    const answer = (await client.begin(JoinGroup, 5, rejoin))();
    const other = await live.connect();
    const stateOf = async () =>
      (await other.ask(DescribeGroups, 5, { groups: ["g"] })).groups[0]!.groupState;
    while ((await stateOf()) !== "PreparingRebalance");
    const isAnswered = await Promise.race([answer.then(() => true), stateOf().then(() => false)]);
    expect(isAnswered).toBe(false);
    const left = await other.ask(LeaveGroup, 5, {
      groupId: "g",
      members: [{ memberId: given.memberId }],
    });
    expect(left.members[0]!.errorCode).toBe(0);
    expect((await answer).generationId).toBe(2);
    other.close();
  });
});

describe("what members say of themselves", () => {
  test("comes to the leader, and assignments to members, byte for byte, also where it is large", async () => {
    for (const sizeBytes of [0, 1, 20_000, 400_000]) {
      const said = new Uint8Array(sizeBytes).map((_, i) => i ^ (i >> 8));
      const groupId = `of ${sizeBytes}`;
      const joined = await client.ask(JoinGroup, 3, {
        ...joinOf(""),
        groupId,
        rebalanceTimeoutMs: 9000,
        protocols: [{ name: "range", metadata: said }],
      });
      expect(joined.members[0]!.metadata).toEqual(said);
      const { generationId, memberId } = joined;
      const synced = await client.ask(SyncGroup, 3, {
        groupId,
        generationId,
        memberId,
        assignments: [{ memberId, assignment: said }],
      });
      expect([synced.errorCode, synced.assignment]).toEqual([0, said]);
    }
  });
});

describe("trap 9: first calls", () => {
  test("are answered in full, although the topic of groups is made for them", async () => {
    const found = await client.ask(FindCoordinator, 6, { keyType: 0, coordinatorKeys: ["a", "b"] });
    expect(
      found.coordinators.map(({ key, errorCode, nodeId }) => [key, errorCode, nodeId]),
    ).toEqual([
      ["a", 0, 1],
      ["b", 0, 1],
    ]);
  });

  test("also without anybody having asked for a coordinator, and many at once", async () => {
    const others = await Promise.all(Array.from({ length: 8 }, () => live.connect()));
    const joins = await Promise.all(
      others.map((each, i) =>
        each.ask(JoinGroup, 3, {
          ...joinOf(""),
          groupId: `at-once-${i}`,
          rebalanceTimeoutMs: 9000,
        }),
      ),
    );
    expect(joins.map(({ errorCode }) => errorCode)).toEqual(new Array(8).fill(0));
    for (const each of others) each.close();
  });

  test("a transactional producer has its coordinator and its producer id at once", async () => {
    const found = await client.ask(FindCoordinator, 6, { keyType: 1, coordinatorKeys: ["tx"] });
    expect([found.coordinators[0]!.errorCode, found.coordinators[0]!.port]).toEqual([0, live.port]);
    const { errorCode, producerEpoch } = await client.ask(InitProducerId, 4, {
      transactionalId: "tx",
      transactionTimeoutMs: 1000,
    });
    expect([errorCode, producerEpoch]).toEqual([0, 0]);
  });
});

describe("trap 12: topic ids", () => {
  test("OffsetCommit and OffsetFetch v10 speak of ids alone; one that nobody knows is 100", async () => {
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: "m" }];
    const committed = await client.ask(OffsetCommit, 10, {
      groupId: "g",
      memberId: "",
      topics: [
        { topicId: UNKNOWN_ID, partitions },
        { topicId, partitions },
      ],
    });
    expect(committed.topics.map((each) => [each.topicId, each.partitions[0]!.errorCode])).toEqual([
      [UNKNOWN_ID, 100],
      [topicId, 0],
    ]);
    const fetched = await client.ask(OffsetFetch, 10, {
      groups: [
        {
          groupId: "g",
          topics: [UNKNOWN_ID, topicId].map((id) => ({ topicId: id, partitionIndexes: [0] })),
        },
      ],
      requireStable: true,
    });
    expect(
      fetched.groups[0]!.topics.map(({ topicId: id, partitions: [row] }) => [
        id,
        row!.committedOffset,
        row!.errorCode,
      ]),
    ).toEqual([
      [UNKNOWN_ID, -1, 100],
      [topicId, 7, 0],
    ]);
  });
});

describe("trap 20: assignors differ", () => {
  test("kafkajs's RoundRobinAssigner cannot share a group with range, and is told so", async () => {
    const first = await client.ask(JoinGroup, 3, { ...joinOf(""), rebalanceTimeoutMs: 9000 });
    expect(first.errorCode).toBe(0);
    const second = await client.ask(JoinGroup, 3, {
      ...joinOf("", "RoundRobinAssigner"),
      rebalanceTimeoutMs: 9000,
    });
    expect([second.errorCode, second.memberId]).toEqual([23, ""]);
    // The group has not noticed.
    const { groups } = await client.ask(DescribeGroups, 5, { groups: ["g"] });
    expect([groups[0]!.groupState, groups[0]!.members.length]).toEqual(["CompletingRebalance", 1]);
  });

  test("SyncGroup v5 has to say type and name of the protocol", async () => {
    const { generationId, memberId } = await client.ask(JoinGroup, 3, {
      ...joinOf(""),
      rebalanceTimeoutMs: 9000,
    });
    const sync = { groupId: "g", generationId, memberId, assignments: [] };
    for (const said of [
      {},
      { protocolType: "consumer" },
      { protocolName: "range" },
      { protocolType: "connect", protocolName: "range" },
    ]) {
      expect((await client.ask(SyncGroup, 5, { ...sync, ...said })).errorCode).toBe(23);
    }
    const right = { protocolType: "consumer", protocolName: "range" };
    expect((await client.ask(SyncGroup, 5, { ...sync, ...right })).errorCode).toBe(0);
  });
});

describe("trap 21: unknown groups", () => {
  test("have offsets of -1 without an error, and are Dead, with error 69 from v6 on", async () => {
    for (let version = 1; version <= 7; version++) {
      const { topics, errorCode } = await client.ask(OffsetFetch, version, {
        groupId: "nobody",
        topics: [{ name: "t", partitionIndexes: [0] }],
      });
      expect([errorCode, topics[0]!.partitions[0]!.committedOffset]).toEqual([0, -1]);
      expect(topics[0]!.partitions[0]!.errorCode).toBe(0);
    }
    for (let version = 0; version <= 6; version++) {
      const { groups } = await client.ask(DescribeGroups, version, { groups: ["nobody"] });
      expect([groups[0]!.groupState, groups[0]!.errorCode]).toEqual(["Dead", version < 6 ? 0 : 69]);
    }
  });
});

describe("consumers of KIP-848", () => {
  test("their ids are opaque: base64 with + and =, dashed, whatever; an empty expression is none", async () => {
    const ids = ["TPpVQZ2xRmC1+vVbUJXO0w", "W2x6qb0ZTs+1/Vq0k2wzLw==", "3f8c-41aa", "ü".repeat(40)];
    for (const memberId of ids) {
      const answer = await client.ask(ConsumerGroupHeartbeat, 1, {
        groupId: `of ${memberId}`,
        memberId,
        memberEpoch: 0,
        rebalanceTimeoutMs: 9000,
        subscribedTopicNames: ["t"],
        subscribedTopicRegex: "",
        serverAssignor: "uniform",
        topicPartitions: [],
      });
      expect([answer.errorCode, answer.memberId]).toEqual([0, memberId]);
      expect(answer.assignment?.topicPartitions).toEqual([{ topicId, partitions: [0, 1] }]);
      // franz-go and platformatic repeat all of it in every heartbeat.
      const again = await client.ask(ConsumerGroupHeartbeat, 1, {
        groupId: `of ${memberId}`,
        memberId,
        memberEpoch: answer.memberEpoch,
        rebalanceTimeoutMs: 9000,
        subscribedTopicNames: ["t"],
        subscribedTopicRegex: "",
        serverAssignor: "uniform",
        topicPartitions: [{ topicId, partitions: [0, 1] }],
      });
      expect([again.errorCode, again.memberEpoch]).toEqual([0, answer.memberEpoch]);
    }
  });
});
