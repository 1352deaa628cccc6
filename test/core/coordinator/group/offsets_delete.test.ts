// OffsetDelete, the deletion of all offsets of a group, and of those of deleted topics. Codes are Kafka 4.3.1's.

import { beforeEach, describe, expect, test } from "bun:test";
import { wireCodeOf } from "../../../../src/protocol/errors.ts";
import type { OffsetDeleteResponse } from "../../../../src/protocol/messages/47_offset_delete.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { errorsOf, OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

let rig: OffsetsRig;

beforeEach(() => {
  rig = new OffsetsRig();
  rig.topics.create("t", 4);
  rig.topics.create("u", 2);
  for (const groupId of ["g", "h"]) {
    rig.commit(
      {
        t: [0, 1, 2].map((partition) => ({ partition, offset: partition })),
        u: [{ partition: 1, offset: 5 }],
      },
      { groupId },
    );
  }
});

const UNKNOWN = wireCodeOf("unknown_topic_or_partition");

describe("OffsetDelete", () => {
  test("forgets what is committed; what is not is no error and no record", () => {
    const before = rig.records.length;
    expect(errorsOf(rig.delete({ t: [1, 3], u: [1] }).topics)).toEqual({
      "t/1": "none",
      "t/3": "none",
      "u/1": "none",
    });
    expect(rig.records.slice(before)).toEqual([
      { kind: "offset_commit", key: { group: "g", topic: "t", partition: 1 }, value: null },
      { kind: "offset_commit", key: { group: "g", topic: "u", partition: 1 }, value: null },
    ]);
    expect(rig.offsetsOf()).toEqual({ "t/0": 0, "t/2": 2 });
    expect(rig.offsetsOf("h")).toEqual({ "t/0": 0, "t/1": 1, "t/2": 2, "u/1": 5 });
    rig.checkReplay();
    rig.commit({ t: [{ partition: 1, offset: 8 }] });
    expect(rig.offsetsOf()).toEqual({ "t/0": 0, "t/1": 8, "t/2": 2 });
    rig.checkReplay();
  });

  test("of a group that is not there is refused as a whole", () => {
    expect(rig.delete({ t: [0], nope: [0] }, "no")).toEqual({
      errorCode: wireCodeOf("group_id_not_found"),
      throttleTimeMs: 0,
      topics: [],
    });
  });

  test("that the group refuses is refused as a whole", () => {
    for (const refusal of ["non_empty_group", "group_id_not_found"] as const) {
      rig.group("g").deleteRefusal = refusal;
      expect(rig.delete({ t: [0], nope: [0] })).toEqual({
        errorCode: wireCodeOf(refusal),
        throttleTimeMs: 0,
        topics: [],
      });
    }
    expect(Object.keys(rig.offsetsOf())).toHaveLength(4);
  });

  test("of a topic that members read is refused by partition", () => {
    rig.group("g").subscribed.add("t");
    expect(errorsOf(rig.delete({ t: [0, 3, 9], u: [1] }).topics)).toEqual({
      "t/9": "unknown_topic_or_partition",
      "t/0": "group_subscribed_to_topic",
      "t/3": "group_subscribed_to_topic",
      "u/1": "none",
    });
    expect(rig.offsetsOf()).toEqual({ "t/0": 0, "t/1": 1, "t/2": 2 });
  });

  test("answers what is not there first, and everything once, as Kafka does", () => {
    const request = {
      groupId: "g",
      topics: [
        { name: "u", partitions: [{ partitionIndex: 1 }, { partitionIndex: 1 }] },
        { name: "nope", partitions: [{ partitionIndex: 0 }] },
        {
          name: "t",
          partitions: [{ partitionIndex: 0 }, { partitionIndex: -1 }, { partitionIndex: 4 }],
        },
        { name: "u", partitions: [{ partitionIndex: 1 }, { partitionIndex: 0 }] },
      ],
    };
    const before = rig.records.length;
    const { value } = rig.ask<OffsetDeleteResponse>((subject, reply) =>
      subject.offsets.delete(request, reply),
    );
    expect(value).toEqual({
      errorCode: 0,
      throttleTimeMs: 0,
      topics: [
        { name: "nope", partitions: [{ partitionIndex: 0, errorCode: UNKNOWN }] },
        {
          name: "t",
          partitions: [
            { partitionIndex: -1, errorCode: UNKNOWN },
            { partitionIndex: 4, errorCode: UNKNOWN },
            { partitionIndex: 0, errorCode: 0 },
          ],
        },
        {
          name: "u",
          partitions: [
            { partitionIndex: 1, errorCode: 0 },
            { partitionIndex: 0, errorCode: 0 },
          ],
        },
      ],
    });
    expect(rig.records).toHaveLength(before + 2);
  });

  test("takes what an open transaction has committed with it", () => {
    rig.subject.pending.open("g", "t", 3);
    rig.subject.pending.open("g", "t", 0);
    rig.delete({ t: [3] });
    expect(rig.subject.pending.has("g", "t", 3)).toBe(false);
    expect(rig.subject.pending.has("g", "t", 0)).toBe(true);
    expect(rig.records.at(-1)).toEqual({
      kind: "offset_commit",
      key: { group: "g", topic: "t", partition: 3 },
      value: null,
    });
  });

  test("of more than a batch holds goes in several", () => {
    const small = new OffsetsRig({ batchBytesMax: 300 });
    small.topics.create("t", 50);
    const partitions = Array.from({ length: 50 }, (_, partition) => partition);
    for (const partition of partitions) small.commit({ t: [{ partition, offset: 1 }] });
    small.delete({ t: partitions });
    expect(small.offsetsOf()).toEqual({});
    small.checkReplay();
  });
});

describe("the end of a group", () => {
  test("comes with tombstones for all its offsets, those of open transactions too", () => {
    rig.subject.pending.open("g", "u", 0);
    rig.subject.pending.open("g", "t", 0);
    const decide = () => ({ records: rig.subject.offsets.tombstonesOf("g"), answers: [] });
    const records = rig.apply(decide);
    expect(records.map(({ key, value }) => [key, value])).toEqual(
      [
        { group: "g", topic: "t", partition: 0 },
        { group: "g", topic: "t", partition: 1 },
        { group: "g", topic: "t", partition: 2 },
        { group: "g", topic: "u", partition: 1 },
        { group: "g", topic: "u", partition: 0 },
      ].map((key) => [key, null]),
    );
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.subject.pending.hasAny("g")).toBe(false);
    expect(Object.keys(rig.offsetsOf("h"))).toHaveLength(4);
    expect(rig.subject.offsets.tombstonesOf("g")).toEqual([]);
    expect(rig.subject.offsets.tombstonesOf("no")).toEqual([]);
    rig.checkReplay();
  });
});

describe("the end of a topic", () => {
  test("takes its offsets in all groups, also where members read it", () => {
    rig.group("g").subscribed.add("t");
    rig.topics.delete("t");
    expect(rig.topicsDeleted("t").value).toBe(6);
    expect(rig.offsetsOf("g")).toEqual({ "u/1": 5 });
    expect(rig.offsetsOf("h")).toEqual({ "u/1": 5 });
    expect(rig.events("offsets_of_topics_deleted")).toEqual([{ topics: 1, count: 6 }]);
    rig.checkReplay();
  });

  test("leaves what is committed for a topic that has its name now", () => {
    rig.topics.delete("t");
    rig.topics.create("t", 4);
    rig.commit({ t: [{ partition: 1, offset: 77 }] });
    // It does not say for which of the two it is.
    rig.commit({ t: [{ partition: 3, offset: 1 }] }, { version: 2, retentionTimeMs: 1_000_000 });
    expect(rig.topicsDeleted("t", "never there").value).toBe(6);
    expect(rig.offsetsOf("g")).toEqual({ "t/1": 77, "u/1": 5 });
    expect(rig.offsetsOf("h")).toEqual({ "u/1": 5 });
    rig.checkReplay();
  });

  test("takes what open transactions have committed for it", () => {
    rig.subject.pending.open("h", "t", 3);
    rig.subject.pending.open("h", "t", 2);
    rig.subject.pending.open("h", "u", 0);
    rig.topics.delete("t");
    expect(rig.topicsDeleted("t").value).toBe(7);
    expect([...rig.subject.pending.of("h")]).toEqual([{ topic: "u", partition: 0 }]);
  });

  test("of nothing committed writes nothing", () => {
    expect(rig.topicsDeleted("v").value).toBe(0);
    expect(rig.events("offsets_of_topics_deleted")).toEqual([]);
  });

  test("goes a slice at a time, and is answered at the end", () => {
    const wide = new OffsetsRig({ checksDecisions: false });
    wide.topics.create("t", 2500);
    const partitions = Array.from({ length: 2500 }, (_, partition) => ({ partition, offset: 1 }));
    wide.commit({ t: partitions });
    wide.topics.delete("t");
    wide.topics.create("t", 2500);
    const asked = wide.topicsDeleted("t");
    expect(asked.isDone).toBe(false);
    expect(wide.records).toHaveLength(3500);
    // Between two slices one of those that were to go is committed for the new topic, and stays.
    wide.commit({ t: [{ partition: 7, offset: 70 }] });
    wide.advance(0);
    expect(asked.value).toBe(2499);
    expect(wide.offsetsOf()).toEqual({ "t/7": 70 });
    wide.checkReplay();
  });

  test("two at once do not disturb one another", () => {
    const wide = new OffsetsRig({ checksDecisions: false });
    for (const name of ["t", "u"]) {
      wide.topics.create(name, 1500);
      wide.commit({
        [name]: Array.from({ length: 1500 }, (_, partition) => ({ partition, offset: 1 })),
      });
      wide.topics.delete(name);
    }
    const first = wide.topicsDeleted("t");
    const second = wide.topicsDeleted("u");
    const third = wide.topicsDeleted("t");
    wide.advance(0);
    expect(first.value + third.value).toBe(1500);
    expect(second.value).toBe(1500);
    expect(wide.offsetsOf()).toEqual({});
    wide.checkReplay();
  });
});
