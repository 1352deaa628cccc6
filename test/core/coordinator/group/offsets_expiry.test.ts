// When offsets and groups expire. Times are those of Kafka's cleanupExpiredOffsets.

import { beforeEach, describe, expect, test } from "bun:test";
import { groupRecordSerde } from "../../../../src/core/coordinator/group/group_record_serde.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

const CHECK_MS = 600_000;
const RETENTION_MS = 10 * CHECK_MS;
const ONE = { t: [{ partition: 0, offset: 5 }] };

let rig: OffsetsRig;

beforeEach(() => {
  rig = new OffsetsRig({
    settings: { offsetsRetentionCheckMs: CHECK_MS, offsetsRetentionMs: RETENTION_MS },
  });
  rig.topics.create("t", 4);
  rig.topics.create("u", 2);
});

describe("an offset", () => {
  test("of a simple group expires a retention after its commit, and the group with it", () => {
    rig.advance(1);
    rig.commit(ONE);
    // Each check comes a millisecond before the offset is a multiple of its interval old.
    expect(rig.advance(RETENTION_MS)).toEqual([]);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    expect(rig.advance(CHECK_MS)).toEqual([
      { kind: "offset_commit", key: { group: "g", topic: "t", partition: 0 }, value: null },
      { kind: "classic_group", key: { group: "g" }, value: null },
    ]);
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.subject.groups.get("g")).toBeUndefined();
    expect(rig.events("offsets_expired")).toEqual([{ count: 2 }]);
    rig.checkReplay();
  });

  test("expires when it is exactly as old as offsets are kept", () => {
    rig.commit(ONE);
    rig.advance(RETENTION_MS - 1);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.advance(1);
    expect(rig.offsetsOf()).toEqual({});
  });

  test("that is committed again begins anew, each by itself", () => {
    rig.commit({ t: [0, 1].map((partition) => ({ partition, offset: 5 })) });
    rig.advance(RETENTION_MS - CHECK_MS);
    rig.commit({ t: [{ partition: 1, offset: 6 }] });
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({ "t/1": 6 });
    expect(rig.subject.groups.get("g")).toBeDefined();
    rig.advance(RETENTION_MS);
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.subject.groups.get("g")).toBeUndefined();
    rig.checkReplay();
  });

  test("of a group that is empty expires a retention after the last member left", () => {
    rig.commit(ONE);
    const group = rig.group("g");
    group.protocolType = "consumer";
    group.ageFrom = rig.wallMs + CHECK_MS;
    rig.advance(RETENTION_MS);
    // What is committed to an empty group does not make it younger, as in Kafka.
    rig.commit({ t: [{ partition: 1, offset: 1 }] });
    expect(rig.offsetsOf()).toEqual({ "t/0": 5, "t/1": 1 });
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.subject.groups.get("g")).toBeUndefined();
    rig.checkReplay();
  });

  test("of an empty group does not go before it has been empty for a retention", () => {
    rig.commit(ONE);
    const group = rig.group("g");
    group.ageFrom = null;
    rig.advance(5 * RETENTION_MS);
    group.ageFrom = rig.wallMs;
    rig.advance(RETENTION_MS - CHECK_MS);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.subject.groups.get("g")).toBeUndefined();
  });

  test("stays while nothing of its group may expire, whatever its own time", () => {
    rig.commit(ONE, { version: 2, retentionTimeMs: 1 });
    rig.commit({ u: [{ partition: 0, offset: 1 }] });
    const group = rig.group("g");
    group.ageFrom = null;
    rig.advance(3 * RETENTION_MS);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5, "u/0": 1 });
  });

  test("of a topic that members read stays, those of others age by their commits", () => {
    rig.commit({ ...ONE, u: [{ partition: 0, offset: 1 }] });
    const group = rig.group("g");
    group.isEmpty = false;
    group.subscribed.add("t");
    rig.advance(RETENTION_MS);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    group.subscribed.clear();
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({});
    // Members are in it.
    expect(rig.subject.groups.get("g")).toBeDefined();
    group.isEmpty = true;
    rig.advance(CHECK_MS);
    expect(rig.subject.groups.get("g")).toBeUndefined();
  });

  test("with a time of its own goes then, before the broker's retention or after it", () => {
    const own = (partition: number, retentionTimeMs: number) =>
      rig.commit({ t: [{ partition, offset: 1 }] }, { version: 4, retentionTimeMs });
    own(0, CHECK_MS);
    own(1, CHECK_MS + 1);
    own(2, 2 * RETENTION_MS);
    own(3, -5);
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({ "t/1": 1, "t/2": 1 });
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({ "t/2": 1 });
    rig.advance(2 * RETENTION_MS - 3 * CHECK_MS);
    expect(rig.offsetsOf()).toEqual({ "t/2": 1 });
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({});
    rig.checkReplay();
  });

  test("that an open transaction would change stays, and its group too", () => {
    rig.commit(ONE);
    rig.subject.pending.open("g", "t", 0);
    rig.advance(2 * RETENTION_MS);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.subject.pending.remove("g", "t", 0);
    rig.subject.pending.open("g", "t", 1);
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.subject.groups.get("g")).toBeDefined();
    rig.subject.pending.remove("g", "t", 1);
    rig.advance(CHECK_MS);
    expect(rig.subject.groups.get("g")).toBeUndefined();
  });

  test("whose record holds times beyond all numbers harms nobody", () => {
    const key = { group: "odd", topic: "t", partition: 0 };
    const far = 9_223_372_036_854_775_807n as unknown as number;
    const stored = {
      offset: 1,
      leaderEpoch: -1,
      metadata: "",
      commitTimestamp: far,
      expireTimestamp: -1,
      topicId: rig.topics.named("t")!.id,
    };
    rig.apply(() => ({
      records: [{ kind: "offset_commit", key, value: stored }],
      answers: [],
    }));
    rig.commit(ONE);
    rig.advance(2 * RETENTION_MS);
    expect(rig.offsetsOf()).toEqual({});
    expect(rig.offsetsOf("odd")).toEqual({ "t/0": 1 });
  });
});

describe("a group without offsets", () => {
  test("goes at the next check if it is empty", () => {
    rig.group("empty");
    rig.group("full").isEmpty = false;
    expect(rig.advance(CHECK_MS)).toEqual([
      { kind: "classic_group", key: { group: "empty" }, value: null },
    ]);
    expect([...rig.subject.groups.values()].map((group) => group.groupId)).toEqual(["full"]);
  });
});

describe("the check", () => {
  test("comes as often as the setting says, also when that changes, and after a restart", () => {
    rig.settings.offsetsRetentionMs = 1;
    rig.commit(ONE);
    rig.settings.offsetsRetentionCheckMs = 100;
    // The check that is under way was set before.
    rig.advance(CHECK_MS - 1);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.advance(1);
    expect(rig.offsetsOf()).toEqual({});
    rig.commit(ONE);
    rig.advance(100);
    expect(rig.offsetsOf()).toEqual({});
    rig.commit(ONE);
    rig.reload();
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.advance(99);
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.advance(1);
    expect(rig.offsetsOf()).toEqual({});
    rig.checkReplay();
  });

  test("after a load keeps the age of what was committed before it", () => {
    rig.commit(ONE);
    rig.advance(RETENTION_MS - CHECK_MS);
    rig.reload();
    rig.advance(CHECK_MS);
    expect(rig.offsetsOf()).toEqual({});
  });

  test("of many goes a slice at a time, and judges each when its turn comes", () => {
    const wide = new OffsetsRig({
      checksDecisions: false,
      settings: { offsetsRetentionCheckMs: CHECK_MS, offsetsRetentionMs: 1 },
    });
    wide.topics.create("t", 2500);
    const partitions = Array.from({ length: 2500 }, (_, partition) => ({ partition, offset: 1 }));
    wide.commit({ t: partitions }, { groupId: "a" });
    wide.commit({ t: partitions }, { groupId: "b" });
    const before = wide.records.length;
    // The first slice, by hand.
    wide.monotonicMs += CHECK_MS;
    wide.wallMs += CHECK_MS;
    const first = wide.timers.next(wide.monotonicMs)!;
    wide.timers.byKey.delete(first.key);
    wide.apply(() => first.decide(wide.now));
    expect(wide.records.length - before).toBe(1000);
    // Before the next one, a partition is committed anew, and a member comes that reads the other group's.
    wide.commit({ t: [{ partition: 3, offset: 2 }] }, { groupId: "a" });
    wide.group("b").subscribed.add("t");
    wide.group("b").isEmpty = false;
    wide.advance(0);
    expect(wide.offsetsOf("a")).toEqual({ "t/3": 2 });
    expect(Object.keys(wide.offsetsOf("b"))).toHaveLength(2500);
    wide.checkReplay();
    wide.advance(CHECK_MS);
    expect(wide.subject.groups.get("a")).toBeUndefined();
  });

  test("of ten thousand groups removes them all", () => {
    const wide = new OffsetsRig({
      checksDecisions: false,
      settings: { offsetsRetentionCheckMs: CHECK_MS, offsetsRetentionMs: 1 },
    });
    wide.topics.create("t", 1);
    for (let i = 0; i < 10_000; i++) wide.commit(ONE, { groupId: `group ${i}` });
    wide.advance(CHECK_MS);
    expect(wide.subject.offsets.table.size).toBe(0);
    expect(wide.subject.groups.size).toBe(0);
    expect(wide.events("offsets_expired")).toEqual([{ count: 20_000 }]);
  });
});

describe("records", () => {
  test("of every version of Kafka are replayed", () => {
    const value = {
      offset: 5,
      leaderEpoch: -1,
      metadata: "m",
      commitTimestamp: 1_000,
      expireTimestamp: -1,
      topicId: "AAAAAAAAAAAAAAAAAAAAAA",
    };
    const replays = [
      // Version 0: offset, metadata, commit timestamp.
      "0000" + "0000000000000005" + "0001" + "6d" + "00000000000003e8",
      // Version 1: and when it expires.
      "0001" + "0000000000000005" + "0001" + "6d" + "00000000000003e8" + "00000000000007d0",
      // Version 2: as 0.
      "0002" + "0000000000000005" + "0001" + "6d" + "00000000000003e8",
      // Version 3: with the leader epoch.
      "0003" + "0000000000000005" + "00000007" + "0001" + "6d" + "00000000000003e8",
      // Version 4: flexible, with the topic's id as a tag.
      "0004" +
        "0000000000000005" +
        "00000007" +
        "02" +
        "6d" +
        "00000000000003e8" +
        "01" +
        "00" +
        "10" +
        "11111111222233334444555555555555",
    ];
    const expected = [
      value,
      { ...value, expireTimestamp: 2_000 },
      value,
      { ...value, leaderEpoch: 7 },
      { ...value, leaderEpoch: 7, topicId: "ERERESIiMzNERFVVVVVVVQ" },
    ];
    rig.topics.create("t", 4, [], expected[4]!.topicId);
    for (const [version, hex] of replays.entries()) {
      for (const type of ["0000", "0001"]) {
        const key = bytesOf(`${type}${"0001" + "67"}${"0001" + "74"}${"00000002"}`);
        const record = groupRecordSerde.decode(key, bytesOf(hex))!;
        expect(record).toEqual({
          kind: "offset_commit",
          key: { group: "g", topic: "t", partition: 2 },
          value: expected[version]!,
        });
        rig.apply(() => ({ records: [record], answers: [] }));
        expect(rig.offsetsOf()).toEqual({ "t/2": 5 });
        const removed = groupRecordSerde.decode(key, null)!;
        rig.apply(() => ({ records: [removed], answers: [] }));
        expect(rig.offsetsOf()).toEqual({});
      }
    }
    rig.checkReplay();
  });

  test("of an offset that is not there may be tombstones", () => {
    const key = { group: "g", topic: "t", partition: 1 };
    rig.apply(() => ({ records: [{ kind: "offset_commit", key, value: null }], answers: [] }));
    expect(rig.subject.groups.get("g")).toBeUndefined();
    rig.commit(ONE);
    rig.apply(() => ({ records: [{ kind: "offset_commit", key, value: null }], answers: [] }));
    expect(rig.offsetsOf()).toEqual({ "t/0": 5 });
    rig.checkReplay();
  });
});

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16));
}
