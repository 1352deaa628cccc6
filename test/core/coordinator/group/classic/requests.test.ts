import { describe, expect, test } from "bun:test";
import type { SyncGroupResponse } from "../../../../../src/protocol/messages/14_sync_group.ts";
import { replayAfterEach } from "../../shard_rig.ts";
import {
  checkReplay,
  classicRig,
  errorOf,
  form,
  heartbeat,
  join,
  joinError,
  leave,
  sync,
  syncError,
  text,
} from "./classic_rig.ts";

replayAfterEach();

/** Two members that have joined, and nobody has synced. */
function joinedTwo() {
  const rig = classicRig();
  const asked = [join(rig, { version: 3 }), join(rig, { version: 3 })];
  rig.advance(0);
  const [leader, follower] = asked.map((each) => each.value.memberId) as [string, string];
  return { rig, leader, follower };
}

describe("syncing", () => {
  test("a follower waits for the leader; whom the leader left out gets nothing", () => {
    const { rig, leader, follower } = joinedTwo();
    const waits = sync(rig, { member: follower, generation: 1 });
    expect(waits.isDone).toBe(false);
    const first = sync(rig, { member: leader, generation: 1, assigns: { [leader]: "all" } });
    expect(first.value).toMatchObject({
      errorCode: 0,
      protocolType: "consumer",
      protocolName: "range",
    });
    expect(text(first.value.assignment)).toBe("all");
    expect(text(waits.value.assignment)).toBe("");
    expect(rig.events("group_members_unassigned")).toHaveLength(1);
    expect(rig.records.at(-1)).toMatchObject({
      kind: "classic_group",
      value: { generation: 1, protocolType: "consumer", protocol: "range", leader },
    });
    checkReplay(rig);
  });

  test("in a stable group everybody gets its share again, also after a load", () => {
    const rig = classicRig();
    const { members, generation } = form(rig, 3);
    for (const [i, member] of members.entries()) {
      const share = sync(rig, { member, generation });
      expect(text(share.value.assignment)).toBe(`1.${i}`);
    }
    rig.reload();
    for (const [i, member] of members.entries()) {
      const share = sync(rig, { member, generation });
      expect(text(share.value.assignment)).toBe(`1.${i}`);
    }
    // A leader that assigns again is not listened to: the generation has its assignment.
    const again = sync(rig, { member: members[0]!, generation, assigns: { [members[0]!]: "x" } });
    expect(text(again.value.assignment)).toBe("1.0");
  });

  test("refusals", () => {
    const { rig, leader, follower } = joinedTwo();
    const refuse = (as: Partial<Parameters<typeof sync>[1]>) =>
      syncError(sync(rig, { member: leader, generation: 1, ...as }));
    expect(refuse({ group: "" })).toBe("invalid_group_id");
    expect(refuse({ group: "none" })).toBe("unknown_member_id");
    expect(refuse({ member: "nobody" })).toBe("unknown_member_id");
    expect(refuse({ instance: "i" })).toBe("unknown_member_id");
    expect(refuse({ generation: 0 })).toBe("illegal_generation");
    expect(refuse({ generation: 2 })).toBe("illegal_generation");
    expect(refuse({ type: "connect" })).toBe("inconsistent_group_protocol");
    expect(refuse({ protocol: "sticky" })).toBe("inconsistent_group_protocol");
    // Both must be said from v5 on, before anything else is looked at.
    expect(refuse({ type: null, group: "none" })).toBe("inconsistent_group_protocol");
    expect(refuse({ protocol: null })).toBe("inconsistent_group_protocol");
    const old = sync(rig, {
      member: leader,
      generation: 1,
      version: 4,
      type: null,
      protocol: null,
      assigns: { [follower]: "f" },
    });
    expect(syncError(old)).toBeNull();
  });

  test("during a rebalance, and in a group without members", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    join(rig, { version: 3 });
    expect(syncError(sync(rig, { member: members[0]!, generation: 1 }))).toBe(
      "rebalance_in_progress",
    );
    const empty = classicRig();
    const { memberId } = join(empty).value;
    expect(syncError(sync(empty, { member: memberId, generation: 0 }))).toBe("unknown_member_id");
  });

  test("static: a foreign instance id is fenced", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, (i) => ({ version: 5, instance: `i${i}` }));
    const fenced = sync(rig, { member: members[0]!, instance: "i1", generation: 1 });
    expect(syncError(fenced)).toBe("fenced_instance_id");
    expect(syncError(sync(rig, { member: members[0]!, instance: "i0", generation: 1 }))).toBeNull();
  });

  test("an assignment that is too large to store: all are refused, and join again", () => {
    const rig = classicRig({ batchBytesMax: 2_000 });
    const asked = [join(rig, { version: 3 }), join(rig, { version: 3 })];
    rig.advance(0);
    const [leader, follower] = asked.map((each) => each.value.memberId) as [string, string];
    const waits = sync(rig, { member: follower, generation: 1 });
    const large = sync(rig, {
      member: leader,
      generation: 1,
      assigns: { [follower]: "x".repeat(3_000) },
    });
    expect(syncError(waits)).toBe("unknown_server_error");
    expect(syncError(large)).toBe("unknown_server_error");
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    expect([...rig.subject.group().members()].map((m) => m.assignment.length)).toEqual([0, 0]);
    const again = [join(rig, { member: leader }), join(rig, { member: follower })];
    expect(again.map((each) => each.value.generationId)).toEqual([2, 2]);
    const small = sync(rig, { member: leader, generation: 2, assigns: { [leader]: "s" } });
    expect(text(small.value.assignment)).toBe("s");
    checkReplay(rig);
  });

  test("what the leader sent is kept, not lent", () => {
    const { rig, leader } = joinedTwo();
    const assignment = new TextEncoder().encode("mine");
    rig.ask<SyncGroupResponse>((subject, reply) =>
      subject.classic.sync(
        rig.call({ version: 4 }),
        {
          groupId: "g",
          memberId: leader,
          generationId: 1,
          groupInstanceId: null,
          protocolType: null,
          protocolName: null,
          assignments: [{ memberId: leader, assignment }],
        },
        reply,
      ),
    );
    assignment.fill(0);
    expect(text(rig.subject.group().member(leader)!.assignment)).toBe("mine");
  });
});

describe("heartbeats", () => {
  test("in each state", () => {
    const { rig, leader, follower } = joinedTwo();
    // Clients begin as soon as they have joined.
    expect(heartbeat(rig, leader, 1)).toBeNull();
    sync(rig, { member: leader, generation: 1 });
    sync(rig, { member: follower, generation: 1 });
    expect(heartbeat(rig, leader, 1)).toBeNull();
    join(rig, { version: 3 });
    expect(heartbeat(rig, leader, 1)).toBe("rebalance_in_progress");
    expect(heartbeat(rig, follower, 1)).toBe("rebalance_in_progress");
  });

  test("refusals", () => {
    const { rig, leader } = joinedTwo();
    expect(heartbeat(rig, leader, 1, null, "")).toBe("invalid_group_id");
    expect(heartbeat(rig, leader, 1, null, "none")).toBe("unknown_member_id");
    expect(heartbeat(rig, "nobody", 1)).toBe("unknown_member_id");
    expect(heartbeat(rig, leader, 1, "i")).toBe("unknown_member_id");
    expect(heartbeat(rig, leader, 0)).toBe("illegal_generation");
    expect(heartbeat(rig, leader, 6)).toBe("illegal_generation");
    const empty = classicRig();
    const { memberId } = join(empty).value;
    expect(heartbeat(empty, memberId, 0)).toBe("unknown_member_id");
  });

  test("static: the instance id is looked at before the generation", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, (i) => ({ version: 5, instance: `i${i}` }));
    expect(heartbeat(rig, members[0]!, 7, "i1")).toBe("fenced_instance_id");
    expect(heartbeat(rig, members[0]!, 7, "i0")).toBe("illegal_generation");
    expect(heartbeat(rig, members[0]!, 1, "i0")).toBeNull();
  });
});

describe("leaving", () => {
  test("several at once: each its own error, and one rebalance for the rest", () => {
    const rig = classicRig();
    const { members } = form(rig, 3);
    const response = leave(rig, [members[1]!, "nobody", members[2]!]);
    expect(response.errorCode).toBe(0);
    expect(
      response.members.map(({ memberId, errorCode }) => [memberId, errorOf(errorCode)]),
    ).toEqual([
      [members[1]!, null],
      ["nobody", "unknown_member_id"],
      [members[2]!, null],
    ]);
    expect(rig.events("group_member_left").map((fields) => fields["reason"])).toEqual([
      "bye",
      "bye",
    ]);
    expect(rig.events("group_rebalance_started")).toHaveLength(2);
    const rest = join(rig, { member: members[0]! });
    expect(rest.value).toMatchObject({ generationId: 2, leader: members[0]! });
  });

  test("before v3: one member, and its error is the answer's", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    expect(leave(rig, ["nobody"], 2)).toEqual({
      throttleTimeMs: 0,
      errorCode: 25,
      members: [],
    });
    expect(leave(rig, [members[1]!], 1)).toEqual({ throttleTimeMs: 0, errorCode: 0, members: [] });
    expect(rig.subject.group().memberCount).toBe(1);
  });

  test("a group that nobody knows, and no group at all", () => {
    const rig = classicRig();
    const none = leave(rig, ["a", { instance: "i" }], 5, "none");
    expect(none.errorCode).toBe(0);
    expect(none.members.map(({ errorCode }) => errorOf(errorCode))).toEqual([
      "unknown_member_id",
      "unknown_member_id",
    ]);
    expect(errorOf(leave(rig, ["a"], 2, "none").errorCode)).toBe("unknown_member_id");
    expect(leave(rig, ["a"], 5, "")).toMatchObject({ members: [] });
    expect(errorOf(leave(rig, ["a"], 5, "").errorCode)).toBe("invalid_group_id");
    expect(leave(rig, [], 5, "none").members).toEqual([]);
  });

  test("the last one: the group is empty, of the next generation, and stored", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    rig.advance(1_000);
    leave(rig, [members[0]!]);
    expect(rig.records.at(-1)!.value).toEqual({
      protocolType: "consumer",
      generation: 2,
      protocol: null,
      leader: null,
      currentStateTimestamp: rig.wallMs,
      members: [],
    });
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", isEmpty: true });
    checkReplay(rig);
  });

  test("the leader: another one leads, in the same breath", () => {
    const rig = classicRig();
    const { members } = form(rig, 3);
    leave(rig, [members[0]!]);
    const again = [join(rig, { member: members[2]! }), join(rig, { member: members[1]! })];
    expect(again.map((each) => each.value.leader)).toEqual([members[1]!, members[1]!]);
  });

  test("while joining: whoever is waited for no longer ends the rebalance", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const third = join(rig, { version: 3 });
    join(rig, { member: members[0]! });
    expect(third.isDone).toBe(false);
    leave(rig, [members[1]!]);
    expect(third.value.generationId).toBe(2);
  });

  test("with a join of its own on the way: that is told to come as somebody new", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const waits = join(rig, { member: members[0]! });
    leave(rig, [members[0]!]);
    expect(joinError(waits)).toBe("unknown_member_id");
    expect(waits.value.memberId).toBe("");
  });

  test("with a sync of its own on the way", () => {
    const { rig, follower } = joinedTwo();
    const waits = sync(rig, { member: follower, generation: 1 });
    leave(rig, [follower]);
    expect(syncError(waits)).toBe("unknown_member_id");
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
  });

  test("an id that was given out", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    const { memberId } = join(rig).value;
    expect(errorOf(leave(rig, [memberId]).members[0]!.errorCode)).toBeNull();
    // As with Kafka, this is a leaving like another: the group rebalances.
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    expect(join(rig, { member: members[0]! }).value.generationId).toBe(2);
    expect(joinError(join(rig, { member: memberId }))).toBe("unknown_member_id");
  });

  test("static members by instance id alone, with their id, and with a foreign one", () => {
    const rig = classicRig();
    const { members } = form(rig, 3, (i) => ({ version: 5, instance: `i${i}` }));
    const response = leave(rig, [
      { instance: "i0" },
      { instance: "i9" },
      { instance: "i1", member: members[2]! },
      { instance: "i1", member: members[1]! },
      { instance: "i9", member: members[2]! },
      "",
    ]);
    expect(response.members.map(({ errorCode }) => errorOf(errorCode))).toEqual([
      null,
      "unknown_member_id",
      "fenced_instance_id",
      null,
      "unknown_member_id",
      "unknown_member_id",
    ]);
    expect(response.members.map(({ groupInstanceId }) => groupInstanceId)).toEqual([
      "i0",
      "i9",
      "i1",
      "i1",
      "i9",
      null,
    ]);
    expect([...rig.subject.group().members()].map((m) => m.memberId)).toEqual([members[2]!]);
  });

  test("nobody who could: nothing happens", () => {
    const rig = classicRig();
    form(rig, 1);
    leave(rig, ["nobody"]);
    expect(rig.subject.group().stateName).toBe("Stable");
  });
});
