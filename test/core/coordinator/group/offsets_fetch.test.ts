// What is read of committed offsets. Versions differ in the form of the answer alone, which is the broker's part:
// test/core/broker. Codes are Kafka 4.3.1's.

import { beforeEach, describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../../src/base/uuid.ts";
import type { KafkaErrorName } from "../../../../src/protocol/errors.ts";
import { wireCodeOf } from "../../../../src/protocol/errors.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

let rig: OffsetsRig;
let topicId: string;

beforeEach(() => {
  rig = new OffsetsRig();
  topicId = rig.topics.create("t", 4).id;
  rig.topics.create("u", 2);
  rig.commit({
    t: [
      { partition: 2, offset: 12, leaderEpoch: 7, metadata: "m" },
      { partition: 0, offset: 10 },
    ],
    u: [{ partition: 1, offset: 21 }],
  });
});

const asked = (name: string, partitionIndexes: number[], id = ZERO_UUID) => ({
  name,
  topicId: id,
  partitionIndexes,
});

const absent = (partitionIndex: number, errorCode = 0) => ({
  partitionIndex,
  committedOffset: -1,
  committedLeaderEpoch: -1,
  metadata: "",
  errorCode,
});

const UNSTABLE = wireCodeOf("unstable_offset_commit");

describe("a fetch of partitions", () => {
  test("finds what is committed, and -1 for the rest, in the order of the request", () => {
    const topics = [
      asked("u", [1]),
      asked("t", [2, 1, 0, 9, -1]),
      asked("nope", [0]),
      asked("t", []),
    ];
    expect(rig.fetch({ topics })).toEqual({
      groupId: "g",
      errorCode: 0,
      topics: [
        {
          name: "u",
          topicId: ZERO_UUID,
          partitions: [
            {
              partitionIndex: 1,
              committedOffset: 21,
              committedLeaderEpoch: -1,
              metadata: "",
              errorCode: 0,
            },
          ],
        },
        {
          name: "t",
          topicId: ZERO_UUID,
          partitions: [
            {
              partitionIndex: 2,
              committedOffset: 12,
              committedLeaderEpoch: 7,
              metadata: "m",
              errorCode: 0,
            },
            absent(1),
            {
              partitionIndex: 0,
              committedOffset: 10,
              committedLeaderEpoch: -1,
              metadata: "",
              errorCode: 0,
            },
            absent(9),
            absent(-1),
          ],
        },
        { name: "nope", topicId: ZERO_UUID, partitions: [absent(0)] },
        { name: "t", topicId: ZERO_UUID, partitions: [] },
      ],
    });
    expect(rig.fetch({ topics: [] })).toEqual({ groupId: "g", topics: [], errorCode: 0 });
  });

  test("of a group that is not there, or is dead, finds nothing, without an error", () => {
    const nothing = {
      groupId: "no",
      topics: [{ name: "t", topicId: ZERO_UUID, partitions: [absent(0)] }],
      errorCode: 0,
    };
    const topics = [asked("t", [0])];
    expect(rig.fetch({ groupId: "no", topics })).toEqual(nothing);
    expect(rig.fetch({ groupId: "no", topics, memberId: "m", memberEpoch: 3 })).toEqual(nothing);
    rig.group("g").fetchRefusal = "group_id_not_found";
    expect(rig.fetch({ topics, memberId: "m", memberEpoch: 3 })).toEqual({
      ...nothing,
      groupId: "g",
    });
  });

  test("by an id finds what was committed to that topic, and not to another of its name", () => {
    const offsetsBy = (id: string) =>
      rig
        .fetch({ topics: [asked("t", [0, 2], id)] })
        .topics[0]!.partitions.map((each) => each.committedOffset);
    expect(offsetsBy(topicId)).toEqual([10, 12]);
    rig.topics.delete("t");
    const newId = rig.topics.create("t", 4).id;
    expect(offsetsBy(newId)).toEqual([-1, -1]);
    expect(rig.fetch({ topics: [asked("t", [0], newId)] }).topics[0]!.topicId).toBe(newId);
    rig.commit({ t: [{ partition: 2, offset: 1 }] });
    expect(offsetsBy(newId)).toEqual([-1, 1]);
    // What is left of the old topic is told to nobody: it is about to be removed.
    expect(offsetsBy(topicId)).toEqual([-1, -1]);
    expect(offsetsBy(ZERO_UUID)).toEqual([-1, 1]);
    // The record of this one does not say to which topic it belongs.
    rig.commit({ t: [{ partition: 0, offset: 2 }] }, { version: 3, retentionTimeMs: 1 });
    expect(offsetsBy(newId)).toEqual([2, 1]);
  });
});

describe("a fetch of all topics", () => {
  test("finds everything of its group, partitions in order", () => {
    rig.commit({ t: [{ partition: 1, offset: 99 }] }, { groupId: "other" });
    expect(rig.fetch({ topics: null })).toEqual({
      groupId: "g",
      errorCode: 0,
      topics: [
        {
          name: "t",
          topicId: ZERO_UUID,
          partitions: [
            {
              partitionIndex: 0,
              committedOffset: 10,
              committedLeaderEpoch: -1,
              metadata: "",
              errorCode: 0,
            },
            {
              partitionIndex: 2,
              committedOffset: 12,
              committedLeaderEpoch: 7,
              metadata: "m",
              errorCode: 0,
            },
          ],
        },
        {
          name: "u",
          topicId: ZERO_UUID,
          partitions: [
            {
              partitionIndex: 1,
              committedOffset: 21,
              committedLeaderEpoch: -1,
              metadata: "",
              errorCode: 0,
            },
          ],
        },
      ],
    });
  });

  test("finds no topics in a group that is not there, or is dead, or has no offsets", () => {
    expect(rig.fetch({ groupId: "no" })).toEqual({ groupId: "no", topics: [], errorCode: 0 });
    rig.group("empty");
    expect(rig.fetch({ groupId: "empty" })).toEqual({ groupId: "empty", topics: [], errorCode: 0 });
    rig.group("g").fetchRefusal = "group_id_not_found";
    const dead = rig.fetch({ memberId: "m", memberEpoch: 1 });
    expect(dead).toEqual({ groupId: "g", topics: [], errorCode: 0 });
  });
});

describe("a fetch of several groups", () => {
  test("has a row for each, also for one that is asked for twice", () => {
    rig.commit({ u: [{ partition: 0, offset: 3 }] }, { groupId: "h" });
    rig.group("h").fetchRefusal = "stale_member_epoch";
    const rows = rig.fetchAll([
      { groupId: "h", memberId: "m", memberEpoch: 9 },
      { groupId: "no" },
      { groupId: "h", topics: [asked("u", [0])] },
      { groupId: "g", topics: [asked("t", [0])] },
    ]);
    expect(rows.map((row) => [row.groupId, row.errorCode, row.topics.length])).toEqual([
      ["h", wireCodeOf("stale_member_epoch"), 0],
      ["no", 0, 0],
      ["h", 0, 1],
      ["g", 0, 1],
    ]);
    expect(rows[2]!.topics[0]!.partitions[0]!.committedOffset).toBe(3);
  });

  test("of none has none", () => {
    expect(rig.fetchAll([])).toEqual([]);
  });
});

describe("a fetch by a member", () => {
  const refusals: readonly KafkaErrorName[] = [
    "unknown_member_id",
    "stale_member_epoch",
    "illegal_generation",
  ];
  for (const refusal of refusals) {
    test(`that the group refuses has ${refusal} for all of it`, () => {
      rig.group("g").fetchRefusal = refusal;
      for (const topics of [null, [asked("t", [0])]]) {
        expect(rig.fetch({ memberId: "m", memberEpoch: 7, topics })).toEqual({
          groupId: "g",
          topics: [],
          errorCode: wireCodeOf(refusal),
        });
        // Nobody in particular is not checked.
        expect(rig.fetch({ topics }).errorCode).toBe(0);
      }
    });
  }
});

describe("offsets of open transactions", () => {
  test("are refused to whoever needs stable ones, and not seen by others", () => {
    rig.subject.pending.open("g", "t", 0);
    rig.subject.pending.open("g", "t", 3);
    const topics = [asked("t", [0, 1, 2, 3])];
    const stable = rig.fetch({ topics }, true).topics[0]!.partitions;
    expect(stable).toEqual([
      absent(0, UNSTABLE),
      absent(1),
      {
        partitionIndex: 2,
        committedOffset: 12,
        committedLeaderEpoch: 7,
        metadata: "m",
        errorCode: 0,
      },
      absent(3, UNSTABLE),
    ]);
    const any = rig.fetch({ topics }, false).topics[0]!.partitions;
    expect(any.map((each) => each.committedOffset)).toEqual([10, -1, 12, -1]);
    expect(any.map((each) => each.errorCode)).toEqual([0, 0, 0, 0]);
    // Of everything, those that were never committed are not listed.
    const all = rig.fetch({ topics: null }, true).topics[0]!.partitions;
    expect(all.map((each) => [each.partitionIndex, each.errorCode])).toEqual([
      [0, UNSTABLE],
      [2, 0],
    ]);
    expect(rig.fetch({ groupId: "no", topics }, true).topics[0]!.partitions[0]).toEqual(absent(0));
  });
});
