// Every way a commit may go, by version. Codes are Kafka 4.3.1's.

import { beforeEach, describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../../src/base/uuid.ts";
import { groupRecordSerde } from "../../../../src/core/coordinator/group/group_record_serde.ts";
import type { KafkaErrorName } from "../../../../src/protocol/errors.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

const VERSIONS = [2, 3, 4, 5, 6, 7, 8, 9, 10];
const UNKNOWN_ID = "EREREREREREREREREREREQ";

let rig: OffsetsRig;
let topicId: string;

beforeEach(() => {
  rig = new OffsetsRig();
  topicId = rig.topics.create("t", 4).id;
  rig.topics.create("u", 2);
});

/** The value of the last record. */
function lastValue() {
  const record = rig.records.at(-1)!;
  if (record.kind !== "offset_commit") throw new Error(`It is a ${record.kind}`);
  return record.value!;
}

describe("a commit", () => {
  for (const version of VERSIONS) {
    test(`is one record for each partition, v${version}`, () => {
      const errors = rig.commit(
        {
          t: [
            { partition: 1, offset: 10, leaderEpoch: 3, metadata: "m" },
            { partition: 0, offset: 20, metadata: null },
          ],
          u: [{ partition: 1, offset: 30 }],
        },
        { version },
      );
      expect(errors).toEqual({ "t/1": "none", "t/0": "none", "u/1": "none" });
      expect(rig.records.map(({ key }) => key)).toEqual([
        { group: "g", topic: "t", partition: 1 },
        { group: "g", topic: "t", partition: 0 },
        { group: "g", topic: "u", partition: 1 },
      ]);
      expect(rig.records[0]!.value).toEqual({
        offset: 10,
        leaderEpoch: 3,
        metadata: "m",
        commitTimestamp: rig.wallMs,
        expireTimestamp: -1,
        topicId,
      });
      expect(rig.records[1]!.value).toMatchObject({ offset: 20, leaderEpoch: -1, metadata: "" });
      expect(rig.offsetsOf()).toEqual({ "t/0": 20, "t/1": 10, "u/1": 30 });
      rig.checkReplay();
    });

    test(`of what is not there is refused by itself, v${version}`, () => {
      const unknownTopic = version >= 10 ? "unknown_topic_id" : "unknown_topic_or_partition";
      const topics = {
        t: [
          { partition: 4, offset: 1 },
          { partition: 3, offset: 2 },
          { partition: -1, offset: 3 },
        ],
        [UNKNOWN_ID]: [{ partition: 0, offset: 4 }],
      };
      const group = rig.group("g");
      expect(rig.commit(topics, { version })).toEqual({
        "t/4": "unknown_topic_or_partition",
        "t/3": "none",
        "t/-1": "unknown_topic_or_partition",
        [`${UNKNOWN_ID}/0`]: unknownTopic,
      });
      expect(rig.offsetsOf()).toEqual({ "t/3": 2 });
      // The rest of a request that the group refuses is refused by what is wrong with it.
      group.commitRefusal = "illegal_generation";
      expect(rig.commit(topics, { version })).toEqual({
        "t/4": "unknown_topic_or_partition",
        "t/3": "illegal_generation",
        "t/-1": "unknown_topic_or_partition",
        [`${UNKNOWN_ID}/0`]: unknownTopic,
      });
      expect(rig.records).toHaveLength(1);
    });

    test(`into a group that is not there makes one of nobody, or is refused, v${version}`, () => {
      const one = { t: [{ partition: 0, offset: 5 }] };
      const refusal = version >= 9 ? "group_id_not_found" : "illegal_generation";
      for (const generationOrEpoch of [0, 1, 77]) {
        const fields = { version, groupId: "no", memberId: "m", generationOrEpoch };
        expect(rig.commit(one, fields)).toEqual({ "t/0": refusal });
      }
      expect(rig.subject.groups.get("no")).toBeUndefined();
      expect(rig.records).toEqual([]);
      expect(rig.commit(one, { version, groupId: "no" })).toEqual({ "t/0": "none" });
      expect(rig.subject.groups.get("no")).toBeDefined();
      expect(rig.commit(one, { version, groupId: "who", memberId: "m" })).toEqual({
        "t/0": "none",
      });
      // As some clients do.
      expect(rig.commit(one, { version, groupId: "" })).toEqual({ "t/0": "none" });
      expect(rig.offsetsOf("")).toEqual({ "t/0": 5 });
      rig.checkReplay();
    });

    test(`that the group refuses writes nothing, v${version}`, () => {
      const refusals: readonly KafkaErrorName[] = [
        "coordinator_not_available",
        "unknown_member_id",
        "illegal_generation",
        "fenced_instance_id",
        "rebalance_in_progress",
        "stale_member_epoch",
        "unsupported_version",
      ];
      const group = rig.group("g");
      for (const refusal of refusals) {
        group.commitRefusal = refusal;
        const topics = {
          t: [
            { partition: 0, offset: 1 },
            { partition: 1, offset: 1, metadata: "x".repeat(5000) },
          ],
          u: [{ partition: 0, offset: 1 }],
        };
        expect(rig.commit(topics, { version })).toEqual({
          "t/0": refusal,
          "t/1": refusal,
          "u/0": refusal,
        });
      }
      expect(rig.records).toEqual([]);
    });
  }

  test("says who it is to the group, once", () => {
    const group = rig.group("g");
    rig.commit(
      { t: [{ partition: 0, offset: 1 }], u: [{ partition: 0, offset: 1 }] },
      { version: 8, memberId: "m", groupInstanceId: "i", generationOrEpoch: 4 },
    );
    expect(group.callers).toEqual([
      {
        memberId: "m",
        groupInstanceId: "i",
        generationOrEpoch: 4,
        isTransactional: false,
        version: 8,
      },
    ]);
  });

  test("of nothing that is there does not ask the group", () => {
    const group = rig.group("g");
    expect(rig.commit({ nope: [{ partition: 0, offset: 1 }] })).toEqual({
      "nope/0": "unknown_topic_or_partition",
    });
    expect(rig.commit({})).toEqual({});
    expect(group.callers).toEqual([]);
    expect(rig.commit({ nope: [{ partition: 0, offset: 1 }] }, { groupId: "no" })).toEqual({
      "nope/0": "unknown_topic_or_partition",
    });
    expect(rig.subject.groups.get("no")).toBeUndefined();
  });

  test("answers topics as they were named, in their order", () => {
    const byName = rig.askCommit({ u: [{ partition: 0, offset: 1 }], t: [] }, { version: 9 }).value;
    expect(byName).toEqual({
      throttleTimeMs: 0,
      topics: [
        { name: "u", topicId: ZERO_UUID, partitions: [{ partitionIndex: 0, errorCode: 0 }] },
        { name: "t", topicId: ZERO_UUID, partitions: [] },
      ],
    });
    const byId = rig.askCommit({ t: [{ partition: 0, offset: 1 }] }, { version: 10 }).value;
    expect(byId.topics).toEqual([
      { name: "", topicId, partitions: [{ partitionIndex: 0, errorCode: 0 }] },
    ]);
  });

  test("of one partition twice ends with the later", () => {
    const twice = [
      { partition: 0, offset: 9 },
      { partition: 0, offset: 7 },
    ];
    expect(rig.askCommit({ t: twice }).value.topics[0]!.partitions).toHaveLength(2);
    expect(rig.offsetsOf()).toEqual({ "t/0": 7 });
    rig.checkReplay();
  });

  test("may go back, and below zero: what an offset means is the client's", () => {
    for (const offset of [100, 50, 0, -5, Number.MAX_SAFE_INTEGER]) {
      expect(rig.commit({ t: [{ partition: 0, offset }] })).toEqual({ "t/0": "none" });
      expect(rig.offsetsOf()).toEqual({ "t/0": offset });
    }
    rig.checkReplay();
  });

  test("of an offset that is no number is refused", () => {
    const offset = 9_223_372_036_854_775_807n as unknown as number;
    const errors = rig.commit({
      t: [
        { partition: 0, offset },
        { partition: 1, offset: 1 },
      ],
    });
    expect(errors).toEqual({ "t/0": "invalid_commit_offset_size", "t/1": "none" });
    expect(rig.offsetsOf()).toEqual({ "t/1": 1 });
  });

  test("with too much metadata is refused by partition, by UTF-16 units", () => {
    rig.settings.offsetMetadataBytesMax = 8;
    const errors = rig.commit({
      t: [
        { partition: 0, offset: 1, metadata: "12345678" },
        { partition: 1, offset: 1, metadata: "123456789" },
        { partition: 2, offset: 1, metadata: "éééééééé" },
        { partition: 3, offset: 1, metadata: "😀😀😀😀😀" },
      ],
    });
    expect(errors).toEqual({
      "t/0": "none",
      "t/1": "offset_metadata_too_large",
      "t/2": "none",
      "t/3": "offset_metadata_too_large",
    });
    expect(Object.keys(rig.offsetsOf())).toEqual(["t/0", "t/2"]);
    rig.checkReplay();
  });

  test("of a partition that the member has not is refused as a whole", () => {
    const group = rig.group("g");
    group.partitionRefusals.set(2, "stale_member_epoch");
    const topics = {
      t: [
        { partition: 0, offset: 1 },
        { partition: 1, offset: 1, metadata: "x".repeat(5000) },
        { partition: 2, offset: 1 },
        { partition: 3, offset: 1 },
        { partition: 4, offset: 1 },
      ],
    };
    expect(rig.commit(topics)).toEqual({
      "t/0": "stale_member_epoch",
      "t/1": "stale_member_epoch",
      "t/2": "stale_member_epoch",
      "t/3": "stale_member_epoch",
      "t/4": "unknown_topic_or_partition",
    });
    // By the topic's id in every version; neither what is too large nor what is not there.
    expect(group.partitionsAsked).toEqual([`${topicId}/0`, `${topicId}/2`]);
    expect(rig.records).toEqual([]);
  });

  test("larger than a batch is written in no part", () => {
    const small = new OffsetsRig({ batchBytesMax: 200 });
    small.topics.create("t", 10);
    const partitions = Array.from({ length: 10 }, (_, partition) => ({ partition, offset: 1 }));
    const asked = small.askCommit({ t: partitions });
    expect(() => asked.value).toThrow("lost");
    expect(small.records).toEqual([]);
    expect(small.offsetsOf()).toEqual({});
  });
});

describe("a retention of its own", () => {
  for (const version of [2, 3, 4]) {
    test(`is when the offset expires, v${version}`, () => {
      rig.commit({ t: [{ partition: 0, offset: 1 }] }, { version, retentionTimeMs: 60_000 });
      expect(lastValue()).toEqual({
        offset: 1,
        leaderEpoch: -1,
        metadata: "",
        commitTimestamp: rig.wallMs,
        expireTimestamp: rig.wallMs + 60_000,
        topicId: ZERO_UUID,
      });
      const { value } = groupRecordSerde.encode(rig.records.at(-1)!);
      expect([...value!.subarray(0, 2)]).toEqual([0, 1]);
      rig.checkReplay();
    });
  }

  test("of -1 is the broker's", () => {
    rig.commit({ t: [{ partition: 0, offset: 1 }] }, { version: 2, retentionTimeMs: -1 });
    expect(lastValue()).toMatchObject({ expireTimestamp: -1, topicId });
    expect([...groupRecordSerde.encode(rig.records.at(-1)!).value!.subarray(0, 2)]).toEqual([0, 4]);
  });

  test("of ages goes as far as numbers do", () => {
    const max = 9_223_372_036_854_775_807n as unknown as number;
    const min = -9_223_372_036_854_775_808n as unknown as number;
    rig.commit({ t: [{ partition: 0, offset: 1 }] }, { version: 2, retentionTimeMs: max });
    expect(lastValue().expireTimestamp).toBe(Number.MAX_SAFE_INTEGER);
    rig.commit({ t: [{ partition: 0, offset: 1 }] }, { version: 2, retentionTimeMs: min });
    expect(lastValue().expireTimestamp).toBe(Number.MIN_SAFE_INTEGER);
    rig.checkReplay();
  });
});
