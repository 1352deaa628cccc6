import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../../shard_rig.ts";
import {
  type ClassicRig,
  checkReplay,
  classicRig,
  form,
  heartbeat,
  join,
  joinError,
  leave,
  sync,
  syncError,
} from "./classic_rig.ts";

replayAfterEach();

const stateOf = (rig: ClassicRig) => rig.subject.group().stateName;

describe("the first rebalance of a group", () => {
  test("waits for the initial delay, and longer while members come, up to the rebalance timeout", () => {
    const rig = classicRig({ settings: { initialRebalanceDelayMs: 3_000 } });
    const asked = [join(rig, { version: 3, rebalanceMs: 10_000 })];
    rig.advance(2_999);
    expect(asked[0]!.isDone).toBe(false);
    // One more within each delay: 3, 6, 9, and then only what is left.
    asked.push(join(rig, { version: 3, rebalanceMs: 10_000 }));
    for (const untilMs of [3_001, 3_000]) {
      rig.advance(untilMs - 2);
      asked.push(join(rig, { version: 3, rebalanceMs: 10_000 }));
      expect(asked.every((each) => !each.isDone)).toBe(true);
      rig.advance(2);
    }
    rig.advance(999);
    expect(asked[0]!.isDone).toBe(false);
    rig.advance(1);
    expect(asked.map((each) => each.value.generationId)).toEqual([1, 1, 1, 1]);
  });

  test("ends with the delay when nobody else comes", () => {
    const rig = classicRig({ settings: { initialRebalanceDelayMs: 3_000 } });
    const only = join(rig, { version: 3 });
    rig.advance(2_999);
    expect(only.isDone).toBe(false);
    rig.advance(1);
    expect(only.value.generationId).toBe(1);
  });

  test("is not put off beyond a rebalance timeout that is shorter than the delay", () => {
    const rig = classicRig({ settings: { initialRebalanceDelayMs: 3_000 } });
    const first = join(rig, { version: 3, rebalanceMs: 1_000 });
    rig.advance(1_500);
    join(rig, { version: 3, rebalanceMs: 1_000 });
    rig.advance(1_500);
    expect(first.value.generationId).toBe(1);
  });

  test("a group that became empty waits again", () => {
    const rig = classicRig({ settings: { initialRebalanceDelayMs: 3_000 } });
    const { members } = form(rig, 1);
    leave(rig, [members[0]!]);
    const next = join(rig, { version: 3 });
    rig.advance(2_999);
    expect(next.isDone).toBe(false);
    rig.advance(1);
    expect(next.value.generationId).toBe(3);
  });

  test("all have gone before it ends: the group is empty, and stored so", () => {
    const rig = classicRig({ settings: { initialRebalanceDelayMs: 3_000 } });
    const given = join(rig).value.memberId;
    const only = join(rig, { member: given });
    leave(rig, [given]);
    expect(joinError(only)).toBe("unknown_member_id");
    expect(stateOf(rig)).toBe("PreparingRebalance");
    // Somebody new who comes in between finds a group without members, and is let in.
    rig.advance(3_000);
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", generation: 1 });
    checkReplay(rig);
  });

  test("somebody may come while it has no members", () => {
    const rig = classicRig({ settings: { initialRebalanceDelayMs: 3_000 } });
    const given = join(rig).value.memberId;
    join(rig, { member: given });
    leave(rig, [given]);
    const next = join(rig, { version: 3 });
    rig.advance(6_000);
    expect(next.value).toMatchObject({ errorCode: 0, generationId: 1 });
    expect(next.value.leader).toBe(next.value.memberId);
  });
});

describe("members that do not come again", () => {
  test("the longest rebalance timeout of all members counts; then dynamic ones are out", () => {
    const rig = classicRig();
    const { members } = form(rig, 3, (i) => ({
      rebalanceMs: 10_000 + 5_000 * i,
      sessionMs: 60_000,
    }));
    const first = join(rig, { member: members[0]!, rebalanceMs: 10_000, sessionMs: 60_000 });
    const second = join(rig, { member: members[1]!, rebalanceMs: 15_000, sessionMs: 60_000 });
    rig.advance(19_999);
    expect(first.isDone).toBe(false);
    rig.advance(1);
    expect(first.value.members.map((m) => m.memberId)).toEqual([members[0]!, members[1]!]);
    expect(second.value.generationId).toBe(2);
    expect(heartbeat(rig, members[2]!, 1)).toBe("unknown_member_id");
    expect(rig.events("group_members_late")).toEqual([{ group: "g", count: 1 }]);
  });

  test("static ones stay until their session ends, and the leader among them gives way", () => {
    const rig = classicRig();
    const { members, leader } = form(rig, 2, (i) => ({
      version: 5,
      instance: `i${i}`,
      sessionMs: 60_000,
    }));
    const as = { member: members[1]!, instance: "i1", sessionMs: 60_000, rebalanceMs: 20_000 };
    const waits = join(rig, { ...as, protocols: { range: new Uint8Array([0, 9, 0, 0, 0, 0, 0]) } });
    rig.advance(20_000);
    expect(leader).toBe(members[0]!);
    expect(waits.value.leader).toBe(members[1]!);
    expect(waits.value.members.map((m) => m.groupInstanceId)).toEqual(["i0", "i1"]);
    // It has not joined, and will not sync: that ends with the rebalance timeout, too.
    sync(rig, { member: members[1]!, generation: 2 });
    expect(stateOf(rig)).toBe("Stable");
    rig.advance(20_000);
    expect(stateOf(rig)).toBe("PreparingRebalance");
    expect(rig.subject.group().memberCount).toBe(1);
    checkReplay(rig);
  });

  test("static members alone and nobody joins: the rebalance goes on until they do, or are gone", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, (i) => ({
      version: 5,
      instance: `i${i}`,
      sessionMs: 50_000,
    }));
    leave(rig, [{ instance: "i0" }]);
    rig.advance(20_000);
    expect(rig.events("group_rebalance_without_joins")).toHaveLength(1);
    expect(stateOf(rig)).toBe("PreparingRebalance");
    rig.advance(20_000);
    expect(rig.events("group_rebalance_without_joins")).toHaveLength(2);
    rig.advance(10_000);
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", memberCount: 0 });
    expect(heartbeat(rig, members[1]!, 1)).toBe("unknown_member_id");
    expect(rig.timers.byKey.size).toBe(0);
    checkReplay(rig);
  });

  test("an id that was given out holds the rebalance up for its session timeout", () => {
    const rig = classicRig();
    const { members } = form(rig, 1, () => ({ rebalanceMs: 60_000, sessionMs: 30_000 }));
    const given = join(rig, { sessionMs: 7_000 }).value.memberId;
    expect(stateOf(rig)).toBe("Stable");
    const again = join(rig, { member: members[0]!, rebalanceMs: 60_000, sessionMs: 30_000 });
    rig.advance(6_999);
    expect(again.isDone).toBe(false);
    rig.advance(1);
    expect(again.value.generationId).toBe(2);
    expect(joinError(join(rig, { member: given }))).toBe("unknown_member_id");
  });
});

describe("members that do not sync", () => {
  test("are out when the rebalance timeout has passed, and the others begin anew", () => {
    const rig = classicRig();
    const asked = [0, 1].map(() => join(rig, { version: 3, sessionMs: 60_000 }));
    rig.advance(0);
    const [leader, late] = asked.map((each) => each.value.memberId) as [string, string];
    sync(rig, { member: leader, generation: 1 });
    expect(stateOf(rig)).toBe("Stable");
    rig.advance(19_999);
    expect(stateOf(rig)).toBe("Stable");
    rig.advance(1);
    expect(stateOf(rig)).toBe("PreparingRebalance");
    expect(syncError(sync(rig, { member: late, generation: 1 }))).toBe("unknown_member_id");
    expect(rig.events("group_syncs_late")).toEqual([{ group: "g", count: 1 }]);
    expect(join(rig, { member: leader }).value.generationId).toBe(2);
  });

  test("a leader that does not: whoever waits for it is told to join again", () => {
    const rig = classicRig();
    const asked = [0, 1].map(() => join(rig, { version: 3, sessionMs: 60_000 }));
    rig.advance(0);
    const follower = asked[1]!.value.memberId;
    const waits = sync(rig, { member: follower, generation: 1 });
    rig.advance(20_000);
    expect(syncError(waits)).toBe("rebalance_in_progress");
    expect(join(rig, { member: follower }).value).toMatchObject({
      generationId: 2,
      leader: follower,
    });
  });

  test("nobody does: the group is empty", () => {
    const rig = classicRig();
    join(rig, { version: 3, sessionMs: 60_000 });
    rig.advance(20_000);
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", generation: 2 });
    expect(rig.timers.byKey.size).toBe(0);
    checkReplay(rig);
  });

  test("all did: the timer is gone", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, () => ({ sessionMs: 60_000 }));
    rig.advance(30_000);
    expect(stateOf(rig)).toBe("Stable");
    expect(heartbeat(rig, members[1]!, 1)).toBeNull();
  });
});

describe("sessions", () => {
  test("end without heartbeats, to the millisecond", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    rig.advance(6_000);
    expect(heartbeat(rig, members[0]!, 1)).toBeNull();
    rig.advance(3_999);
    expect(stateOf(rig)).toBe("Stable");
    rig.advance(1);
    expect(stateOf(rig)).toBe("PreparingRebalance");
    expect(rig.events("group_member_expired")).toEqual([{ group: "g", member: members[1]! }]);
    expect(join(rig, { member: members[0]! }).value.generationId).toBe(2);
  });

  test("a heartbeat, a commit, and a sync that was waited for begin them anew; a refused heartbeat does not", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const commit = (member: string, generationOrEpoch: number) =>
      rig.subject.group().checkOffsetCommit(
        {
          memberId: member,
          groupInstanceId: null,
          generationOrEpoch,
          isTransactional: false,
          version: 9,
        },
        rig.now,
      );
    rig.advance(9_000);
    expect(commit(members[0]!, 1)).toBeNull();
    expect(heartbeat(rig, members[1]!, 7)).toBe("illegal_generation");
    rig.advance(1_000);
    expect([...rig.subject.group().members()].map((m) => m.memberId)).toEqual([members[0]!]);
    // Also while it is to join again.
    rig.advance(8_500);
    expect(commit(members[0]!, 1)).toBeNull();
    rig.advance(9_999);
    expect(rig.subject.group().memberCount).toBe(1);
    rig.advance(1);
    expect(rig.subject.group().memberCount).toBe(0);
  });

  test("whoever waits is alive: a join or a sync on the way does not end with the session", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, (i) => ({
      sessionMs: [10_000, 60_000][i]!,
      rebalanceMs: 60_000,
    }));
    const waits = join(rig, { member: members[0]!, rebalanceMs: 60_000 });
    rig.advance(30_000);
    expect(rig.subject.group().memberCount).toBe(2);
    join(rig, { member: members[1]!, sessionMs: 60_000, rebalanceMs: 60_000 });
    expect(waits.value.generationId).toBe(2);
    const follower = sync(rig, { member: members[1]!, generation: 2 });
    rig.advance(9_999);
    expect(follower.isDone).toBe(false);
    rig.advance(1);
    // It was the leader that was not heard of; the follower waited.
    expect(syncError(follower)).toBe("rebalance_in_progress");
    expect(rig.events("group_member_expired").at(-1)).toEqual({ group: "g", member: members[0]! });
  });

  test("a sync that waited: its session begins when it is answered", () => {
    const rig = classicRig();
    const asked = [0, 1].map((i) =>
      join(rig, { version: 3, sessionMs: [60_000, 10_000][i]!, rebalanceMs: 60_000 }),
    );
    rig.advance(0);
    const [leader, follower] = asked.map((each) => each.value.memberId) as [string, string];
    const waits = sync(rig, { member: follower, generation: 1 });
    rig.advance(15_000);
    sync(rig, { member: leader, generation: 1 });
    expect(syncError(waits)).toBeNull();
    rig.advance(9_999);
    expect(stateOf(rig)).toBe("Stable");
    rig.advance(1);
    expect(stateOf(rig)).toBe("PreparingRebalance");
  });

  test("a newcomer whose join waits is asked to come again after five minutes", () => {
    const rig = classicRig();
    form(rig, 1, () => ({ sessionMs: 1_000_000, rebalanceMs: 1_000_000 }));
    const newcomer = join(rig, { version: 3 });
    rig.advance(299_999);
    expect(newcomer.isDone).toBe(false);
    rig.advance(1);
    expect(joinError(newcomer)).toBe("unknown_member_id");
    expect(newcomer.value.memberId).toBe("");
    expect(rig.subject.group().memberCount).toBe(1);
  });

  test("the last one that ends a rebalance by dying", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const waits = join(rig, { member: members[0]! });
    rig.advance(9_999);
    expect(waits.isDone).toBe(false);
    rig.advance(1);
    expect(waits.value).toMatchObject({ generationId: 2, leader: members[0]! });
  });

  test("an id that was given out is forgotten", () => {
    const rig = classicRig();
    const { memberId } = join(rig).value;
    rig.advance(10_000);
    expect(rig.subject.group().pendingJoins.size).toBe(0);
    expect(joinError(join(rig, { member: memberId }))).toBe("unknown_member_id");
    expect(rig.records).toHaveLength(1);
  });

  test("begin anew with a load", () => {
    const rig = classicRig();
    const { members, generation } = form(rig, 2);
    rig.advance(9_000);
    rig.reload();
    rig.advance(9_000);
    expect(heartbeat(rig, members[0]!, generation)).toBeNull();
    rig.advance(1_000);
    expect(stateOf(rig)).toBe("PreparingRebalance");
    expect(rig.subject.group().memberCount).toBe(1);
  });

  test("a load in the middle of a rebalance: the last generation stands, and its members go on", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    join(rig, { version: 3 });
    join(rig, { member: members[0]! });
    rig.reload();
    expect(rig.subject.group()).toMatchObject({ stateName: "Stable", generation: 1 });
    expect(heartbeat(rig, members[0]!, 1)).toBeNull();
    expect(joinError(join(rig, { member: members[1]! }))).toBeNull();
    checkReplay(rig);
  });

  test("an empty group stays empty with a load, and has no timers", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    leave(rig, [members[0]!]);
    rig.reload();
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", generation: 2 });
    expect(rig.timers.byKey.size).toBe(0);
  });
});
