import { describe, expect, test } from "bun:test";
import {
  deleteGroups,
  describeGroups,
  listGroups,
} from "../../../../src/core/coordinator/group/describe.ts";
import type { Group } from "../../../../src/core/coordinator/group/group.ts";
import type { GroupRecord } from "../../../../src/core/coordinator/group/group_record.ts";
import type {
  DeletedGroup,
  DescribedGroup,
  ListedGroup,
} from "../../../../src/core/coordinator/group/group_requests.ts";
import { replayAfterEach } from "../shard_rig.ts";
import {
  bytes,
  type ClassicRig,
  checkReplay,
  classicRig,
  errorOf,
  form,
  join,
  leave,
  metadataFor,
} from "./classic/classic_rig.ts";

replayAfterEach();

/** As much of a consumer group as these APIs look at. */
function otherGroup(groupId: string, stateName: string): Group {
  return {
    groupId,
    type: "consumer",
    stateName,
    protocolType: "consumer",
    isEmpty: stateName === "Empty",
    memberCount: 0,
    checkOffsetCommit: () => null,
    checkOffsetFetch: () => null,
    checkOffsetDelete: () => null,
    checkDelete: () => (stateName === "Empty" ? null : "non_empty_group"),
    isSubscribedTo: () => false,
    offsetsAgeFrom: () => null,
    tombstones: () => [],
  };
}

function described(rig: ClassicRig, groupIds: readonly string[], version = 6) {
  return rig.ask<readonly DescribedGroup[]>((subject, reply) =>
    describeGroups(subject.groups, rig.call({ version }), groupIds, reply),
  ).value;
}

function listed(rig: ClassicRig, statesFilter: string[] = [], typesFilter: string[] = []) {
  return rig
    .ask<readonly ListedGroup[]>((subject, reply) =>
      listGroups(subject.groups, { statesFilter, typesFilter }, reply),
    )
    .value.map((row) => row.groupId)
    .sort();
}

function offsetTombstone(group: string): GroupRecord {
  return { kind: "offset_commit", key: { group, topic: "t", partition: 0 }, value: null };
}

function deleted(rig: ClassicRig, groupIds: readonly string[]) {
  const rows = rig.ask<readonly DeletedGroup[]>((subject, reply) =>
    deleteGroups(subject.groups, groupIds, (groupId) => [offsetTombstone(groupId)], reply),
  ).value;
  return rows.map(({ groupId, errorCode }) => [groupId, errorOf(errorCode)]);
}

describe("DescribeGroups", () => {
  test("a stable group: its members, with what they say and what they have", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, (i) => ({ version: 5, instance: `i${i}`, client: `c${i}` }));
    expect(described(rig, ["g"])).toEqual([
      {
        errorCode: 0,
        errorMessage: null,
        groupId: "g",
        groupState: "Stable",
        protocolType: "consumer",
        protocolData: "range",
        members: [0, 1].map((i) => ({
          memberId: members[i]!,
          groupInstanceId: `i${i}`,
          clientId: `c${i}`,
          clientHost: "/127.0.0.1",
          memberMetadata: metadataFor(["t"]),
          memberAssignment: bytes(`1.${i}`),
        })),
        authorizedOperations: -2147483648,
      },
    ]);
  });

  test("in a rebalance: members without what they say; empty: without protocol", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    const newcomer = join(rig, { version: 3 });
    const [joining] = described(rig, ["g"]);
    expect(joining).toMatchObject({ groupState: "PreparingRebalance", protocolData: "" });
    expect(joining!.members.map((m) => m.memberMetadata.length)).toEqual([0, 0]);
    join(rig, { member: members[0]! });
    expect(described(rig, ["g"])[0]!.groupState).toBe("CompletingRebalance");
    leave(rig, [members[0]!, newcomer.value.memberId]);
    expect(described(rig, ["g"])[0]).toMatchObject({
      groupState: "Empty",
      protocolType: "consumer",
      protocolData: "",
      members: [],
    });
  });

  test("an unknown group is dead; an error since v6; and so is one of the other protocol", () => {
    const rig = classicRig();
    rig.subject.groups.set(otherGroup("other", "Stable"));
    const dead = {
      groupState: "Dead",
      protocolType: "",
      protocolData: "",
      members: [],
      authorizedOperations: -2147483648,
    };
    expect(described(rig, ["none", "other"], 6)).toEqual([
      { ...dead, groupId: "none", errorCode: 69, errorMessage: "Group none not found." },
      {
        ...dead,
        groupId: "other",
        errorCode: 69,
        errorMessage: "Group other is not a classic group.",
      },
    ]);
    expect(described(rig, ["none", "other"], 5)).toEqual([
      { ...dead, groupId: "none", errorCode: 0, errorMessage: null },
      { ...dead, groupId: "other", errorCode: 0, errorMessage: null },
    ]);
  });
});

describe("ListGroups", () => {
  test("by state and by type, whatever the case", () => {
    const rig = classicRig();
    form(rig, 1, () => ({ group: "stable" }));
    join(rig, { group: "empty" });
    rig.subject.groups.set(otherGroup("new", "Stable"));
    rig.subject.groups.set(otherGroup("assigning", "Assigning"));
    expect(listed(rig)).toEqual(["assigning", "empty", "new", "stable"]);
    expect(listed(rig, ["Stable"])).toEqual(["new", "stable"]);
    expect(listed(rig, [" sTaBlE ", "empty"])).toEqual(["empty", "new", "stable"]);
    expect(listed(rig, ["assigning"])).toEqual(["assigning"]);
    expect(listed(rig, ["nonsense"])).toEqual([]);
    expect(listed(rig, [], ["CLASSIC"])).toEqual(["empty", "stable"]);
    expect(listed(rig, [], ["consumer"])).toEqual(["assigning", "new"]);
    expect(listed(rig, [], ["share"])).toEqual([]);
    expect(listed(rig, [], [" classic"])).toEqual([]);
    expect(listed(rig, ["stable"], ["classic", "consumer"])).toEqual(["new", "stable"]);
    const rows = rig.ask<readonly ListedGroup[]>((subject, reply) =>
      listGroups(subject.groups, { statesFilter: ["empty"], typesFilter: [] }, reply),
    ).value;
    expect(rows).toEqual([
      { groupId: "empty", protocolType: "", groupState: "Empty", groupType: "classic" },
    ]);
  });
});

describe("DeleteGroups", () => {
  test("empty ones, with their offsets; others say why not", () => {
    const rig = classicRig();
    form(rig, 1, () => ({ group: "stable" }));
    join(rig, { group: "empty" });
    rig.apply(() => {
      rig.subject.classic.ensureSimple("simple");
      return { records: [], answers: [] };
    });
    rig.subject.groups.set(otherGroup("new", "Stable"));
    const before = rig.records.length;
    expect(deleted(rig, ["stable", "none", "empty", "simple", "new", "empty"])).toEqual([
      ["stable", "non_empty_group"],
      ["none", "group_id_not_found"],
      ["empty", null],
      ["simple", null],
      ["new", "non_empty_group"],
      ["empty", null],
    ]);
    expect(rig.records.slice(before)).toEqual([
      offsetTombstone("empty"),
      { kind: "classic_group", key: { group: "empty" }, value: null },
      offsetTombstone("simple"),
      { kind: "classic_group", key: { group: "simple" }, value: null },
    ]);
    expect(listed(rig)).toEqual(["new", "stable"]);
    expect(deleted(rig, ["empty"])).toEqual([["empty", "group_id_not_found"]]);
    rig.subject.groups.delete("new");
    checkReplay(rig);
  });

  test("with members that are about to come: their ids go with it", () => {
    const rig = classicRig();
    const { memberId } = join(rig).value;
    expect(deleted(rig, ["g"])).toEqual([["g", null]]);
    expect(rig.timers.byKey.size).toBe(0);
    const late = join(rig, { member: memberId });
    expect(errorOf(late.value.errorCode)).toBe("unknown_member_id");
    expect(rig.subject.groups.size).toBe(0);
  });
});
