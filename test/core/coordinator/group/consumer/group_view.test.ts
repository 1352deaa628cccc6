// What the rest of the coordinator sees of a consumer group: who may commit and fetch, what ages, how it is described.

import { describe, expect, test } from "bun:test";
import { ConsumerGroup } from "../../../../../src/core/coordinator/group/consumer/consumer_group.ts";
import type { OffsetCaller } from "../../../../../src/core/coordinator/group/group.ts";
import type { KafkaErrorName } from "../../../../../src/protocol/errors.ts";
import { replayAfterEach } from "../../shard_rig.ts";
import { ClassicClient, stableClassicGroup } from "./classic_client.ts";
import { ConsumerRig, settle, TestMember } from "./consumer_rig.ts";

replayAfterEach();

function caller(overrides: Partial<OffsetCaller> = {}): OffsetCaller {
  return {
    memberId: "m1",
    groupInstanceId: null,
    generationOrEpoch: 2,
    isTransactional: false,
    version: 9,
    ...overrides,
  };
}

/** m1 is in epoch 3 with partition 0, which it has had since epoch 2. */
function rigWithTwo(): { rig: ConsumerRig; members: TestMember[]; topicId: string } {
  const rig = new ConsumerRig();
  const { id: topicId } = rig.topics.create("t", 2);
  const members = ["m1", "m2"].map((memberId) => new TestMember(rig, { memberId }));
  settle(rig, members);
  return { rig, members, topicId };
}

describe("commits", () => {
  test("by whom, in which epoch, with which version", () => {
    const { rig } = rigWithTwo();
    const group = rig.group();
    const cases: readonly (readonly [Partial<OffsetCaller>, KafkaErrorName | null])[] = [
      [{ generationOrEpoch: 3 }, null],
      [{ generationOrEpoch: 4 }, "stale_member_epoch"],
      [{ generationOrEpoch: 4, isTransactional: true }, "illegal_generation"],
      // An older one may be right for some partitions.
      [{ generationOrEpoch: 2 }, null],
      [{ memberId: "nobody" }, "unknown_member_id"],
      [{ memberId: "", generationOrEpoch: -1 }, "unknown_member_id"],
      [{ memberId: "", generationOrEpoch: -1, isTransactional: true }, null],
      [
        { memberId: "", generationOrEpoch: -1, isTransactional: true, groupInstanceId: "i" },
        "unknown_member_id",
      ],
      [{ generationOrEpoch: 3, version: 8 }, "unsupported_version"],
      [{ generationOrEpoch: 3, version: 3, isTransactional: true }, null],
    ];
    for (const [overrides, error] of cases) {
      expect([overrides, group.checkOffsetCommit(caller(overrides))]).toEqual([overrides, error]);
    }
  });

  test("a member that is behind commits what it has had since the epoch that it names", () => {
    const { rig, members, topicId } = rigWithTwo();
    const group = rig.group();
    const [own] = [...members[0]!.owned].map((each) => Number(each.split(" ")[1]));
    const others = own === 0 ? 1 : 0;
    const check = (overrides: Partial<OffsetCaller>, partition: number) =>
      group.checkPartitionCommit(caller(overrides), topicId, partition);
    expect(check({ generationOrEpoch: 3 }, others)).toBeNull();
    expect(check({ generationOrEpoch: 2 }, own!)).toBeNull();
    expect(check({ generationOrEpoch: 1 }, own!)).toBe("stale_member_epoch");
    expect(check({ generationOrEpoch: 2 }, others)).toBe("stale_member_epoch");
    expect(check({ generationOrEpoch: 2, isTransactional: true }, others)).toBe(
      "illegal_generation",
    );
    expect(check({ memberId: "nobody" }, own!)).toBe("unknown_member_id");
    const outside = { memberId: "", generationOrEpoch: -1, isTransactional: true };
    expect(check(outside, others)).toBeNull();
  });

  test("also what it is about to give up", () => {
    const rig = new ConsumerRig();
    const { id: topicId } = rig.topics.create("t", 2);
    const first = new TestMember(rig, { memberId: "m1" });
    first.heartbeat();
    first.isBusy = true;
    new TestMember(rig, { memberId: "m2" }).heartbeat();
    first.heartbeat();
    rig.topics.grow("t", 3);
    for (const partition of [0, 1]) {
      const checked = rig.group().checkPartitionCommit(caller(), topicId, partition);
      expect([partition, checked]).toEqual([partition, null]);
    }
  });

  test("tools commit while nobody is in the group", () => {
    const { rig, members } = rigWithTwo();
    const outside = caller({ memberId: "", generationOrEpoch: -1 });
    expect(rig.group().checkOffsetCommit(outside)).toBe("unknown_member_id");
    for (const member of members) member.leave();
    expect(rig.group().checkOffsetCommit(outside)).toBeNull();
    expect(rig.group().checkPartitionCommit(outside, "t", 0)).toBeNull();
  });

  test("members of the classic protocol have generations", () => {
    const rig = new ConsumerRig();
    rig.topics.create("t", 2);
    const client = new ClassicClient(rig);
    stableClassicGroup(rig, [client]);
    new TestMember(rig, { memberId: "new" }).heartbeat();
    const group = rig.group();
    const { memberId, generation } = client;
    const check = (generationOrEpoch: number) =>
      group.checkOffsetCommit(caller({ memberId, generationOrEpoch, version: 5 }));
    expect(check(generation)).toBeNull();
    expect(check(generation + 1)).toBe("illegal_generation");
    const older = caller({ memberId, generationOrEpoch: generation - 1, version: 5 });
    expect(group.checkPartitionCommit(older, "unknown", 0)).toBe("illegal_generation");
    expect(group.checkOffsetFetch(memberId, generation + 1)).toBe("illegal_generation");
  });
});

describe("fetches, deletions and age", () => {
  test("offsets are fetched by members in their epoch, and by who is none", () => {
    const group = rigWithTwo().rig.group();
    expect(group.checkOffsetFetch(null, -1)).toBeNull();
    expect(group.checkOffsetFetch("m1", 3)).toBeNull();
    expect(group.checkOffsetFetch("m1", 2)).toBe("stale_member_epoch");
    expect(group.checkOffsetFetch("m1", -1)).toBe("stale_member_epoch");
    expect(group.checkOffsetFetch("nobody", 3)).toBe("unknown_member_id");
    expect(group.checkOffsetFetch(null, 3)).toBe("unknown_member_id");
  });

  test("a group is deleted when it is empty, and its topics' offsets age when nobody reads them", () => {
    const { rig, members } = rigWithTwo();
    const group = rig.group();
    expect(group.checkDelete()).toBe("non_empty_group");
    expect(group.checkOffsetDelete()).toBeNull();
    expect([group.isSubscribedTo("t"), group.offsetsAgeFrom("t")]).toEqual([true, null]);
    expect([group.isSubscribedTo("u"), group.offsetsAgeFrom("u")]).toEqual([false, "commit"]);
    for (const member of members) member.leave();
    expect(group.checkDelete()).toBeNull();
    expect(group.offsetsAgeFrom("t")).toBe("commit");
    rig.apply(() => ({ records: group.tombstones(), answers: [] }));
    expect(rig.subject.groups.get("g")).toBeUndefined();
    rig.checkReplay();
  });

  test("the tombstones of a group with members and expressions end all of it", () => {
    const rig = new ConsumerRig();
    rig.topics.create("t", 2);
    rig.join({ memberId: "m1", instanceId: "i1", subscribedTopicRegex: "t" });
    rig.join({ memberId: "m2" });
    rig.advance(0);
    rig.apply(() => ({ records: rig.group().tombstones(), answers: [] }));
    expect(rig.subject.groups.size).toBe(0);
    rig.checkReplay();
  });
});

describe("ConsumerGroupDescribe", () => {
  test("a group in the middle of a rebalance", () => {
    const rig = new ConsumerRig();
    const { id: topicId } = rig.topics.create("t", 2);
    const first = new TestMember(rig, { memberId: "m1", instanceId: "i1" });
    first.heartbeat();
    first.isBusy = true;
    new TestMember(rig, { memberId: "m2" }).heartbeat();
    first.heartbeat();
    const kept = first.owned.size;
    expect(kept).toBe(2);
    const described = rig.subject.consumer.describe("g");
    expect(described).toMatchObject({
      errorCode: 0,
      groupId: "g",
      groupState: "Reconciling",
      groupEpoch: 3,
      assignmentEpoch: 3,
      assignorName: "uniform",
    });
    expect(described.members).toHaveLength(2);
    expect(described.members[0]).toEqual({
      memberId: "m1",
      instanceId: "i1",
      rackId: null,
      memberEpoch: 2,
      clientId: "client",
      clientHost: "/127.0.0.1",
      subscribedTopicNames: ["t"],
      subscribedTopicRegex: "",
      assignment: { topicPartitions: [{ topicId, topicName: "t", partitions: [0, 1] }] },
      targetAssignment: { topicPartitions: [{ topicId, topicName: "t", partitions: [0] }] },
      memberType: 1,
    });
    rig.topics.delete("t");
    expect(rig.subject.consumer.describe("g").members[0]!.assignment.topicPartitions).toEqual([]);
  });

  test("groups that are none", () => {
    const rig = new ConsumerRig();
    expect(rig.subject.consumer.describe("nope")).toMatchObject({ errorCode: 69, groupId: "nope" });
    rig.subject.classic.ensureSimple("simple");
    expect(rig.subject.consumer.describe("simple")).toMatchObject({ errorCode: 69 });
  });
});

describe("records of other brokers", () => {
  test("members before Kafka 4.3 have no epochs for their partitions: their own stands in", () => {
    const group = new ConsumerGroup("g");
    const key = { groupId: "g", memberId: "m1" };
    const value = {
      memberEpoch: 7,
      previousMemberEpoch: 6,
      state: 0,
      assignedPartitions: [{ topicId: "T", partitions: [1, 2], assignmentEpochs: null }],
      partitionsPendingRevocation: [{ topicId: "T", partitions: [3], assignmentEpochs: [1, 2] }],
    };
    group.apply({ kind: "consumer_member_current", key, value });
    const member = group.members.get("m1")!;
    expect([...member.assigned.get("T")!]).toEqual([
      [1, 7],
      [2, 7],
    ]);
    expect([...member.pendingRevocation.get("T")!]).toEqual([[3, 7]]);
    group.apply({ kind: "consumer_member_current", key, value: { ...value, memberEpoch: -2 } });
    expect([...group.members.get("m1")!.assigned.get("T")!.values()]).toEqual([0, 0]);
  });

  test("tombstones of what is not there are passed over", () => {
    const rig = new ConsumerRig();
    rig.topics.create("t", 1);
    rig.apply(() => ({
      records: [...new ConsumerGroup("nope").tombstones()],
      answers: [],
    }));
    expect(rig.subject.groups.size).toBe(0);
    rig.join();
    rig.apply(() => ({
      records: [
        { kind: "consumer_member_current", key: { groupId: "g", memberId: "x" }, value: null },
        { kind: "consumer_member", key: { groupId: "g", memberId: "x" }, value: null },
        { kind: "consumer_regex", key: { groupId: "g", regularExpression: "x" }, value: null },
      ],
      answers: [],
    }));
    expect(rig.group().memberCount).toBe(1);
  });
});
