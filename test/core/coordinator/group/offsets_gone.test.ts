// Offsets of topics that went while nobody was there to remove them: what a load makes of them, and what a fetch tells.

import { beforeEach, describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../../src/base/uuid.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

const at = (partition: number, offset: number) => ({ partition, offset });
/** Commits whose record does not say the topic's id. */
const WITHOUT_ID = { version: 3, retentionTimeMs: 1_000_000 };

let rig: OffsetsRig;
beforeEach(() => {
  rig = new OffsetsRig();
  rig.topics.create("t", 4);
  rig.topics.create("stays", 2);
});

const tombstonesIn = (records: OffsetsRig["records"]) =>
  records
    .filter(({ value }) => value === null)
    .map(({ key }) =>
      "topic" in key && "partition" in key ? `${key.topic}/${key.partition}` : "?",
    )
    .sort();

describe("a load", () => {
  test("removes what was committed to a topic that is gone, and nothing else", () => {
    rig.commit({ t: [at(0, 5), at(3, 6)], stays: [at(1, 7)] });
    rig.topics.delete("t");
    rig.reload();
    expect(rig.subject.offsets.table.size).toBe(1);
    expect(rig.offsetsOf()).toEqual({ "stays/1": 7 });
    expect(tombstonesIn(rig.records)).toEqual(["t/0", "t/3"]);
    expect(rig.events("offsets_of_gone_topics_deleted")).toEqual([{ count: 2 }]);
    rig.checkReplay();
    rig.reload();
    expect(rig.events("offsets_of_gone_topics_deleted")).toHaveLength(1);
  });

  test("leaves nothing of the old topic to one that was made under its name", () => {
    rig.commit({ t: [at(0, 5)] });
    rig.topics.delete("t");
    rig.topics.create("t", 4);
    rig.reload();
    expect(rig.offsetsOf()).toEqual({});
    expect(tombstonesIn(rig.records)).toEqual(["t/0"]);
    rig.commit({ t: [at(0, 1)] });
    rig.reload();
    expect(rig.offsetsOf()).toEqual({ "t/0": 1 });
    rig.checkReplay();
  });

  test("goes by the name where the record has no id", () => {
    rig.commit({ t: [at(0, 5)], stays: [at(0, 6)] }, WITHOUT_ID);
    rig.topics.delete("t");
    rig.reload();
    expect(rig.offsetsOf()).toEqual({ "stays/0": 6 });
    // Which topic of that name was meant nobody can tell: it is kept.
    rig.topics.delete("stays");
    rig.topics.create("stays", 2);
    rig.reload();
    expect(rig.offsetsOf()).toEqual({ "stays/0": 6 });
  });

  test("tells them apart within one topic", () => {
    rig.commit({ t: [at(0, 1), at(1, 1), at(2, 1)] });
    rig.commit({ t: [at(1, 2)] }, WITHOUT_ID);
    rig.topics.delete("t");
    rig.topics.create("t", 4);
    rig.commit({ t: [at(2, 3)] });
    rig.reload();
    expect(rig.offsetsOf()).toEqual({ "t/1": 2, "t/2": 3 });
    expect(tombstonesIn(rig.records)).toEqual(["t/0"]);
  });

  test("of many goes a slice at a time: until its turn comes, none is told of, and what is committed anew stays", () => {
    const wide = new OffsetsRig({ checksDecisions: false, sweepStepsMax: 10 });
    wide.topics.create("t", 50);
    const partitions = Array.from({ length: 50 }, (_, partition) => at(partition, 1));
    for (const groupId of ["a", "b"]) wide.commit({ t: partitions }, { groupId });
    wide.topics.delete("t");
    const { id } = wide.topics.create("t", 50);
    wide.reload();
    expect(wide.subject.offsets.table.size).toBe(90);
    for (const groupId of ["a", "b"]) expect(wide.offsetsOf(groupId)).toEqual({});
    wide.commit({ t: [at(3, 2)] }, { groupId: "b" });
    wide.advance(0);
    expect(wide.subject.offsets.table.size).toBe(1);
    expect(wide.offsetsOf("b")).toEqual({ "t/3": 2 });
    expect(wide.subject.offsets.table.get("b", "t", 3)!.topicId).toBe(id);
    expect(wide.events("offsets_of_gone_topics_deleted")).toEqual([{ count: 99 }]);
    wide.checkReplay();
  });
});

describe("a fetch", () => {
  test("by name does not find what was committed to the topic that had the name before", () => {
    rig.commit({ t: [at(0, 5)] });
    rig.topics.delete("t");
    rig.topics.create("t", 4);
    const topics = [{ name: "t", topicId: ZERO_UUID, partitionIndexes: [0] }];
    expect(rig.fetch({ topics }).topics[0]!.partitions[0]!.committedOffset).toBe(-1);
    expect(rig.fetch({}).topics).toEqual([]);
    rig.commit({ t: [at(0, 6)] });
    expect(rig.fetch({ topics }).topics[0]!.partitions[0]!.committedOffset).toBe(6);
  });
});
