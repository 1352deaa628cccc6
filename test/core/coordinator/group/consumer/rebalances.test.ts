// What members of a group make of each other's coming and going: partitions move, in order and in time, and static
// members find theirs again.

import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../../shard_rig.ts";
import { assignedOf, ConsumerRig, expectError, settle, TestMember } from "./consumer_rig.ts";

replayAfterEach();

function rigWithTopic(partitionCount = 4): ConsumerRig {
  const rig = new ConsumerRig();
  rig.topics.create("t", partitionCount);
  return rig;
}

describe("rebalances", () => {
  test("a second member gets its half once the first has given it up", () => {
    const rig = rigWithTopic(4);
    const first = new TestMember(rig, { memberId: "m1" });
    const second = new TestMember(rig, { memberId: "m2" });
    first.heartbeat();
    first.isBusy = true;
    expect(assignedOf(second.heartbeat())).toEqual([]);
    expect(rig.group().state).toBe("Reconciling");
    first.heartbeat();
    second.heartbeat();
    // The first one is still at work on what it is to give up.
    expect([first.owned.size, second.owned.size]).toEqual([4, 0]);
    rig.checkOwners();
    first.finish();
    first.heartbeat();
    second.heartbeat();
    expect([first.owned.size, second.owned.size]).toEqual([2, 2]);
    expect(rig.group().state).toBe("Stable");
    rig.checkReplay();
  });

  // With Kafka's default for the time between two targets; the second comes at once, and after a while.
  for (const rounds of [0, 1, 10]) {
    test(`a second join is done within two seconds, ${rounds} beats after the first`, () => {
      const rig = new ConsumerRig({ settings: { consumerAssignmentIntervalMs: () => 1_000 } });
      rig.topics.create("t", 4);
      const first = new TestMember(rig, { memberId: "m1" });
      let firstDueMs = first.heartbeat().heartbeatIntervalMs;
      for (let round = 0; round < rounds; round++) {
        rig.advance(firstDueMs);
        firstDueMs = first.heartbeat().heartbeatIntervalMs;
      }
      const second = new TestMember(rig, { memberId: "m2" });
      let secondDueMs = second.heartbeat().heartbeatIntervalMs;
      let elapsedMs = 0;
      while (second.owned.size < 2) {
        const stepMs = Math.min(firstDueMs, secondDueMs);
        rig.advance(stepMs);
        elapsedMs += stepMs;
        firstDueMs -= stepMs;
        secondDueMs -= stepMs;
        if (firstDueMs === 0) {
          firstDueMs = first.heartbeat().heartbeatIntervalMs;
          // What it owns has changed: it says so at once.
          first.heartbeat();
        }
        if (secondDueMs === 0) secondDueMs = second.heartbeat().heartbeatIntervalMs;
      }
      expect(elapsedMs).toBeLessThanOrEqual(2_000);
    });
  }

  test("twelve members on six partitions leave six idle", () => {
    const rig = rigWithTopic(6);
    const members = Array.from(
      { length: 12 },
      (_, index) => new TestMember(rig, { memberId: `m${index}` }),
    );
    settle(rig, members);
    expect(members.map(({ owned }) => owned.size).sort()).toEqual([
      0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1,
    ]);
    rig.checkReplay();
  });

  test("who leaves hands over at once", () => {
    const rig = rigWithTopic(4);
    const members = ["m1", "m2"].map((memberId) => new TestMember(rig, { memberId }));
    settle(rig, members);
    const response = members[0]!.leave();
    expect(response).toMatchObject({ errorCode: 0, memberId: "m1", memberEpoch: -1 });
    expect(rig.records.slice(-4)).toMatchObject([
      { kind: "consumer_member_current", value: null },
      { kind: "consumer_member_target", value: null },
      { kind: "consumer_member", value: null },
      { kind: "consumer_group" },
    ]);
    members[1]!.heartbeat();
    expect(members[1]!.owned.size).toBe(4);
    rig.checkReplay();
    members[1]!.leave();
    expect(rig.group().state).toBe("Empty");
    rig.checkReplay();
  });

  test("a member that changes its topics gives up what it no longer reads at once", () => {
    const rig = rigWithTopic(2);
    rig.topics.create("u", 2);
    const member = new TestMember(rig, { memberId: "m1", topics: ["t", "u"] });
    settle(rig, [member]);
    member.subscribe(["u"]);
    const response = member.heartbeat();
    const other = rig.topics.named("u")!.id;
    expect(assignedOf(response)).toEqual([`${other} 0`, `${other} 1`]);
    settle(rig, [member]);
    expect(member.owned.size).toBe(2);
    rig.checkReplay();
  });

  test("a topic that grows, goes and comes back under another id", () => {
    const rig = rigWithTopic(2);
    const members = ["m1", "m2"].map((memberId) => new TestMember(rig, { memberId }));
    settle(rig, members);
    rig.topics.grow("t", 5);
    members[0]!.heartbeat();
    settle(rig, members);
    expect(members[0]!.owned.size + members[1]!.owned.size).toBe(5);
    rig.topics.delete("t");
    members[0]!.heartbeat();
    settle(rig, members);
    expect(members[0]!.owned.size + members[1]!.owned.size).toBe(0);
    const { id } = rig.topics.create("t", 3);
    members[0]!.heartbeat();
    settle(rig, members);
    expect([...members[0]!.owned, ...members[1]!.owned].sort()).toEqual(
      [0, 1, 2].map((partition) => `${id} ${partition}`),
    );
    rig.checkReplay();
  });

  test("targets are computed no more often than is set", () => {
    const rig = new ConsumerRig({ settings: { consumerAssignmentIntervalMs: () => 10_000 } });
    rig.topics.create("t", 4);
    const first = new TestMember(rig, { memberId: "m1" });
    const second = new TestMember(rig, { memberId: "m2" });
    first.heartbeat();
    rig.advance(1_000);
    second.heartbeat();
    first.heartbeat();
    expect(rig.group().state).toBe("Assigning");
    expect(second.owned.size).toBe(0);
    rig.advance(9_000);
    settle(rig, [first, second]);
    expect(second.owned.size).toBe(2);
  });

  test("the assignor that most members ask for assigns", () => {
    const rig = rigWithTopic(4);
    rig.topics.create("u", 1);
    const members = ["m1", "m2", "m3"].map(
      (memberId, index) =>
        new TestMember(rig, { memberId, assignor: index < 2 ? "range" : "uniform" }),
    );
    settle(rig, members);
    expect(rig.subject.consumer.describe("g").assignorName).toBe("range");
    const id = rig.topics.named("t")!.id;
    expect([...members[0]!.owned].sort()).toEqual([`${id} 0`, `${id} 1`]);
    expect([...members[2]!.owned]).toEqual([`${id} 3`]);
  });
});

describe("time", () => {
  test("a member that is not heard of is put out when its session ends", () => {
    const rig = rigWithTopic(4);
    const members = ["m1", "m2"].map((memberId) => new TestMember(rig, { memberId }));
    settle(rig, members);
    rig.advance(30_000);
    members[1]!.heartbeat();
    rig.advance(20_000);
    expect([...rig.group().members.keys()]).toEqual(["m2"]);
    expect(rig.events("group_member_fenced")).toHaveLength(1);
    members[1]!.heartbeat();
    expect(members[1]!.owned.size).toBe(4);
    rig.checkReplay();
  });

  test("a member that does not give up in time is put out, though it is heard of", () => {
    const rig = rigWithTopic(4);
    const first = new TestMember(rig, { memberId: "m1" });
    first.heartbeat();
    first.isBusy = true;
    const second = new TestMember(rig, { memberId: "m2" });
    second.heartbeat();
    first.heartbeat();
    for (let seconds = 0; seconds < 59; seconds++) {
      rig.advance(1_000);
      first.heartbeat();
      second.heartbeat();
    }
    expect(rig.group().memberCount).toBe(2);
    rig.advance(2_000);
    expect([...rig.group().members.keys()]).toEqual(["m2"]);
    expectError(first.heartbeat(), "unknown_member_id");
    second.heartbeat();
    expect(second.owned.size).toBe(4);
    rig.checkReplay();
  });

  test("whoever revokes in time is left alone afterwards", () => {
    const rig = rigWithTopic(4);
    const members = ["m1", "m2"].map((memberId) => new TestMember(rig, { memberId }));
    settle(rig, members);
    for (let seconds = 0; seconds < 120; seconds += 30) {
      rig.advance(30_000);
      for (const member of members) expectError(member.heartbeat(), "none");
    }
    expect(rig.group().memberCount).toBe(2);
  });

  test("after a load every session starts anew, and revocations too", () => {
    const rig = rigWithTopic(4);
    const first = new TestMember(rig, { memberId: "m1" });
    const second = new TestMember(rig, { memberId: "m2" });
    first.heartbeat();
    first.isBusy = true;
    second.heartbeat();
    first.heartbeat();
    rig.advance(40_000);
    rig.reload();
    rig.advance(40_000);
    expect(rig.group().memberCount).toBe(2);
    first.heartbeat();
    second.heartbeat();
    rig.advance(21_000);
    expect([...rig.group().members.keys()]).toEqual(["m2"]);
  });
});

describe("static members", () => {
  test("one that goes for a while finds its partitions under another id", () => {
    const rig = rigWithTopic(4);
    const first = new TestMember(rig, { memberId: "m1", instanceId: "i1" });
    const second = new TestMember(rig, { memberId: "m2", instanceId: "i2" });
    settle(rig, [first, second]);
    const owned = [...first.owned].sort();
    const epoch = rig.group().groupEpoch;
    const response = first.leave(true);
    expect(response).toMatchObject({ errorCode: 0, memberId: "m1", memberEpoch: -2 });
    second.heartbeat();
    expect(second.owned.size).toBe(2);
    const back = new TestMember(rig, { memberId: "m3", instanceId: "i1" });
    expect(assignedOf(back.heartbeat())).toEqual(owned);
    expect(rig.group().groupEpoch).toBe(epoch);
    expect([...rig.group().members.keys()].sort()).toEqual(["m2", "m3"]);
    expectError(
      rig.heartbeat({ memberId: "m1", instanceId: "i1", memberEpoch: epoch }),
      "fenced_instance_id",
    );
    rig.checkReplay();
  });

  test("one that does not come back loses its place with its session", () => {
    const rig = rigWithTopic(4);
    const member = new TestMember(rig, { memberId: "m1", instanceId: "i1" });
    settle(rig, [member]);
    member.leave(true);
    rig.advance(46_000);
    expect(rig.group().isEmpty).toBe(true);
    rig.checkReplay();
  });

  test("one comes back under the same id", () => {
    const rig = rigWithTopic(4);
    const member = new TestMember(rig, { memberId: "m1", instanceId: "i1" });
    settle(rig, [member]);
    member.leave(true);
    expect(assignedOf(member.heartbeat())!.length).toBe(4);
    settle(rig, [member]);
    rig.checkReplay();
  });

  test("a name is not given away while somebody has it", () => {
    const rig = rigWithTopic(4);
    rig.join({ memberId: "m1", instanceId: "i1" });
    expectError(rig.join({ memberId: "m2", instanceId: "i1" }), "unreleased_instance_id");
    rig.heartbeat({ memberId: "m1", instanceId: "i1", memberEpoch: -1 });
    expectError(rig.join({ memberId: "m2", instanceId: "i1" }), "none");
  });

  test("who comes with a name that it does not have", () => {
    const rig = rigWithTopic(4);
    const { memberEpoch } = rig.join({ memberId: "m1", instanceId: "i1" });
    const of = (memberId: string, instanceId: string, epoch: number) =>
      rig.heartbeat({ memberId, instanceId, memberEpoch: epoch });
    expectError(of("m1", "i2", memberEpoch), "unknown_member_id");
    expectError(of("m2", "i1", memberEpoch), "fenced_instance_id");
    expectError(of("m2", "i1", -1), "fenced_instance_id");
    expectError(of("m2", "i1", -2), "fenced_instance_id");
    expectError(of("m1", "i2", -2), "unknown_member_id");
    expectError(of("m1", "i1", memberEpoch + 5), "fenced_member_epoch");
    expectError(of("m1", "i1", memberEpoch), "none");
  });
});
