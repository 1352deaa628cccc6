import { describe, expect, test } from "bun:test";
import type { OffsetCaller } from "../../../../../src/core/coordinator/group/group.ts";
import type { JoinGroupResponse } from "../../../../../src/protocol/messages/11_join_group.ts";
import type { Asked } from "../../shard_rig.ts";
import { replayAfterEach } from "../../shard_rig.ts";
import {
  bytes,
  type ClassicRig,
  checkReplay,
  classicRig,
  form,
  heartbeat,
  join,
  joinError,
  leave,
  metadataFor,
  sync,
  syncError,
} from "./classic_rig.ts";

replayAfterEach();

const NOBODY: OffsetCaller = {
  memberId: "",
  groupInstanceId: null,
  generationOrEpoch: -1,
  isTransactional: false,
  version: 9,
};

function commit(rig: ClassicRig, caller: Partial<OffsetCaller> = {}) {
  return rig.subject.group().checkOffsetCommit({ ...NOBODY, ...caller }, rig.now);
}

/** Deletes the group by its tombstones. */
function remove(rig: ClassicRig, groupId = "g") {
  const group = rig.subject.group(groupId);
  rig.apply(() => ({ records: group.tombstones(), answers: [] }));
  return group;
}

describe("who may commit to a classic group", () => {
  test("empty: simple consumers and admins, whoever they say they are; no member of a generation", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    leave(rig, [members[0]!]);
    expect(commit(rig)).toBeNull();
    expect(commit(rig, { memberId: "whoever" })).toBeNull();
    expect(commit(rig, { memberId: members[0]!, generationOrEpoch: 1 })).toBe("unknown_member_id");
    expect(commit(rig, { generationOrEpoch: 2 })).toBe("unknown_member_id");
    expect(commit(rig, { isTransactional: true })).toBeNull();
  });

  test("with members: these alone, of this generation", () => {
    const rig = classicRig();
    const [a, b] = form(rig, 2, (i) => ({ version: 5, instance: `i${i}` })).members as [
      string,
      string,
    ];
    expect(commit(rig)).toBe("unknown_member_id");
    expect(commit(rig, { memberId: a, generationOrEpoch: 1 })).toBeNull();
    expect(commit(rig, { memberId: a, groupInstanceId: "i0", generationOrEpoch: 1 })).toBeNull();
    expect(commit(rig, { memberId: a, generationOrEpoch: 0 })).toBe("illegal_generation");
    expect(commit(rig, { memberId: a })).toBe("illegal_generation");
    expect(commit(rig, { memberId: "x", generationOrEpoch: 1 })).toBe("unknown_member_id");
    expect(commit(rig, { memberId: a, groupInstanceId: "i1", generationOrEpoch: 1 })).toBe(
      "fenced_instance_id",
    );
    expect(commit(rig, { groupInstanceId: "i9" })).toBe("unknown_member_id");
    expect(commit(rig, { groupInstanceId: "i1" })).toBe("fenced_instance_id");
    expect(commit(rig, { memberId: b, generationOrEpoch: 1 })).toBeNull();
  });

  test("in transactions: old clients say nothing, which is enough; what is said must be right", () => {
    const rig = classicRig();
    const [a] = form(rig, 1).members as [string];
    const isTransactional = true;
    expect(commit(rig, { isTransactional })).toBeNull();
    expect(commit(rig, { isTransactional, memberId: a, generationOrEpoch: 1 })).toBeNull();
    expect(commit(rig, { isTransactional, memberId: a, generationOrEpoch: 2 })).toBe(
      "illegal_generation",
    );
    expect(commit(rig, { isTransactional, memberId: "x", generationOrEpoch: 1 })).toBe(
      "unknown_member_id",
    );
  });

  test("while members join: still those of the last generation; while the leader assigns: they sync first", () => {
    const rig = classicRig();
    const [a] = form(rig, 1).members as [string];
    join(rig, { version: 3 });
    expect(commit(rig, { memberId: a, generationOrEpoch: 1 })).toBeNull();
    join(rig, { member: a });
    expect(rig.subject.group().stateName).toBe("CompletingRebalance");
    expect(commit(rig, { memberId: a, generationOrEpoch: 2 })).toBe("rebalance_in_progress");
    expect(commit(rig, { memberId: a, generationOrEpoch: 1 })).toBe("illegal_generation");
    expect(commit(rig, { memberId: a, generationOrEpoch: 2, isTransactional: true })).toBeNull();
  });

  test("deleted: nobody, nor is there anything to fetch or to delete", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    leave(rig, [members[0]!]);
    const group = remove(rig);
    expect(rig.subject.groups.size).toBe(0);
    expect(group.stateName).toBe("Dead");
    expect(group.checkOffsetCommit(NOBODY, rig.now)).toBe("coordinator_not_available");
    expect(group.checkOffsetFetch(null, -1)).toBe("group_id_not_found");
    expect(group.checkOffsetDelete()).toBe("group_id_not_found");
    expect(group.checkDelete()).toBe("group_id_not_found");
    checkReplay(rig);
  });
});

describe("a classic group and its offsets", () => {
  test("offsets are fetched in every state, deleted topic by topic among consumers, else of empty groups", () => {
    const rig = classicRig();
    form(rig, 1);
    const consumers = rig.subject.group();
    expect(consumers.checkOffsetFetch("x", 5)).toBeNull();
    expect(consumers.checkOffsetDelete()).toBeNull();
    expect(consumers.checkDelete()).toBe("non_empty_group");
    const { members } = form(rig, 1, () => ({ group: "connect", type: "connect" }));
    const connect = rig.subject.group("connect");
    expect(connect.checkOffsetDelete()).toBe("non_empty_group");
    leave(rig, [members[0]!], 5, "connect");
    expect(connect.checkOffsetDelete()).toBeNull();
    expect(connect.checkDelete()).toBeNull();
  });

  test("knows what its consumers read, in whatever version they say it", () => {
    const rig = classicRig();
    form(rig, 2, (i) => ({ protocols: { range: metadataFor([`t${i}`, "t"], i * 3) } }));
    const group = rig.subject.group();
    expect(["t", "t0", "t1", "u"].map((t) => group.isSubscribedTo(t))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(["t", "u"].map((t) => group.offsetsAgeFrom(t))).toEqual([null, "commit"]);
    rig.reload();
    expect(rig.subject.group().isSubscribedTo("t1")).toBe(true);
    checkReplay(rig);
  });

  test("does not know what it cannot read: then everything is kept", () => {
    const rig = classicRig();
    form(rig, 1, () => ({ protocols: { range: bytes("gibberish, and long enough") } }));
    const group = rig.subject.group();
    expect(group.isSubscribedTo("t")).toBe(true);
    expect(group.offsetsAgeFrom("t")).toBeNull();
    expect(rig.events("group_subscription_unreadable")).toHaveLength(1);
    form(rig, 1, () => ({ group: "connect", type: "connect" }));
    expect(rig.subject.group("connect").isSubscribedTo("t")).toBe(false);
    expect(rig.subject.group("connect").offsetsAgeFrom("t")).toBeNull();
    checkReplay(rig);
  });

  test("offsets age: each by itself in a simple group, all since it is empty in another, none in a rebalance", () => {
    const rig = classicRig();
    rig.apply(() => {
      rig.subject.classic.ensureSimple("simple");
      return { records: [], answers: [] };
    });
    expect(rig.subject.group("simple").offsetsAgeFrom("t")).toBe("commit");
    const { members } = form(rig, 1);
    join(rig, { version: 3 });
    expect(rig.subject.group().offsetsAgeFrom("other")).toBeNull();
    rig.advance(5_000);
    leave(rig, [members[0]!]);
    rig.advance(300_000);
    const group = rig.subject.group();
    expect(group.isEmpty).toBe(true);
    const sinceMs = group.offsetsAgeFrom("t");
    expect(sinceMs).toBe(Number(group.stored!.currentStateTimestamp));
    rig.wallMs += 1_000_000;
    rig.reload();
    expect(rig.subject.group().offsetsAgeFrom("t")).toBe(sinceMs);
    expect(rig.subject.group().isSubscribedTo("t")).toBe(false);
  });

  test("a record of an old broker: neither the time nor rebalance timeouts are known", () => {
    const rig = classicRig();
    const member = {
      memberId: "m",
      groupInstanceId: null,
      clientId: "c",
      clientHost: "/h",
      rebalanceTimeout: -1,
      sessionTimeout: 12_000,
      subscription: metadataFor(["t"]),
      assignment: bytes("a"),
    };
    const value = {
      protocolType: "consumer",
      generation: 4,
      protocol: "range",
      leader: "m",
      currentStateTimestamp: -1,
    };
    const write = (members: (typeof member)[]) =>
      rig.apply(() => ({
        records: [{ kind: "classic_group", key: { group: "g" }, value: { ...value, members } }],
        answers: [],
      }));
    write([member]);
    expect(rig.subject.group()).toMatchObject({ stateName: "Stable", rebalanceTimeoutMs: 12_000 });
    expect(rig.subject.group().isSubscribedTo("t")).toBe(true);
    write([]);
    expect(rig.subject.group().offsetsAgeFrom("t")).toBe("commit");
    checkReplay(rig);
  });
});

describe("the life of a classic group", () => {
  test("a tombstone ends it, with all its timers", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    leave(rig, [members[0]!]);
    join(rig);
    expect(rig.timers.byKey.size).toBe(1);
    remove(rig);
    expect(rig.timers.byKey.size).toBe(0);
    expect(heartbeat(rig, members[0]!, 1)).toBe("unknown_member_id");
    checkReplay(rig);
    // The next one starts from the beginning.
    expect(form(rig, 1).generation).toBe(1);
  });

  test("an upgrade takes over who is there, and sends those who wait to the new group", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const waits = join(rig, { member: members[0]! });
    const group = rig.subject.group();
    expect(Array.from(group.membersSeen(), (m) => m.memberId)).toEqual([...members]);
    rig.apply(() => ({
      records: group.tombstones(),
      answers: rig.subject.classic.upgraded("g"),
    }));
    expect(joinError(waits)).toBe("rebalance_in_progress");
    expect(rig.timers.byKey.size).toBe(0);
    expect(rig.subject.classic.upgraded("g")).toEqual([]);
    const other = classicRig();
    const asked = [0, 1].map(() => join(other, { version: 3 }));
    other.advance(0);
    const syncing = sync(other, { member: asked[1]!.value.memberId, generation: 1 });
    other.apply(() => ({
      records: other.subject.group().tombstones(),
      answers: other.subject.classic.upgraded("g"),
    }));
    expect(syncError(syncing)).toBe("rebalance_in_progress");
  });

  test("a downgrade: the members of the record have sessions, and a rebalance where one is asked for", () => {
    for (const reason of [null, "the last consumer has left"]) {
      const source = classicRig();
      const { members } = form(source, 2);
      const rig = classicRig();
      rig.apply(() => ({ records: [source.records.at(-1)!], answers: [] }));
      expect(rig.timers.byKey.size).toBe(0);
      rig.apply(() => rig.subject.classic.downgraded("g", reason, rig.now));
      expect(rig.subject.group().stateName).toBe(reason === null ? "Stable" : "PreparingRebalance");
      expect(heartbeat(rig, members[0]!, 1)).toBe(reason === null ? null : "rebalance_in_progress");
      const again: Asked<JoinGroupResponse>[] = members.map((member) => join(rig, { member }));
      expect(again.map(joinError)).toEqual(reason === null ? [null, null] : [null, null]);
      rig.apply(() => rig.subject.classic.downgraded("none", reason, rig.now));
    }
  });
});
