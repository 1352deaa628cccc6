// Group records against the golden bytes of Kafka's own library: what Kafka stored is read, and what is written in
// the versions of a 4.3 broker is Kafka's, byte for byte.

import { describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../src/core/coordinator/group/group_record_serde.ts";
import {
  OffsetCommitKey,
  OffsetCommitValue,
} from "../../../src/protocol/internal_records/offset_commit.ts";
import {
  decodeStoredKey,
  decodeStoredValue,
  encodeStoredKey,
  encodeStoredValue,
} from "../../../src/protocol/stored.ts";
import { bytesOfHex, hexOfBytes, loadOtherVectors } from "../../vectors/load.ts";

/** Names of the messages of each kind, and the version a 4.3 broker writes; 1 too, for offsets that say when they expire. */
const KINDS: readonly [kind: GroupRecord["kind"], name: string, written: readonly number[]][] = [
  ["offset_commit", "OffsetCommit", [1, 4]],
  ["classic_group", "GroupMetadata", [3]],
  ["consumer_group", "ConsumerGroupMetadata", [0]],
  ["consumer_group_partitions", "ConsumerGroupPartitionMetadata", [0]],
  ["consumer_member", "ConsumerGroupMemberMetadata", [0]],
  ["consumer_target", "ConsumerGroupTargetAssignmentMetadata", [0]],
  ["consumer_member_target", "ConsumerGroupTargetAssignmentMember", [0]],
  ["consumer_member_current", "ConsumerGroupCurrentMemberAssignment", [0]],
  ["consumer_regex", "ConsumerGroupRegularExpression", [0]],
];

const vectors = loadOtherVectors();
const vectorsOf = (name: string) => vectors.get(name)!;

describe("records that Kafka stored", () => {
  test.each(KINDS.map((each) => [...each] as const))("%s", (kind, name, written) => {
    const keys = vectorsOf(`${name}Key`);
    const values = vectorsOf(`${name}Value`);
    const counted = new Set<number>();
    for (const key of keys) {
      const keyBytes = bytesOfHex(key.stored!);
      const tombstone = groupRecordSerde.decode(keyBytes, null)!;
      expect(tombstone.kind).toBe(kind);
      expect(tombstone.value).toBeNull();
      expect(hexOfBytes(groupRecordSerde.encode(tombstone).key)).toBe(key.stored!);
      expect(groupRecordSerde.encode(tombstone).value).toBeNull();
    }
    for (const value of values) {
      const record = groupRecordSerde.decode(
        bytesOfHex(keys[0]!.stored!),
        bytesOfHex(value.stored!),
      )!;
      expect(record.kind).toBe(kind);
      if (!written.includes(value.v)) continue;
      const isExpiring = record.kind === "offset_commit" && record.value?.expireTimestamp !== -1;
      if (isExpiring !== (kind === "offset_commit" && value.v === 1)) continue;
      counted.add(value.v);
      expect(hexOfBytes(groupRecordSerde.encode(record).value!)).toBe(value.stored!);
    }
    expect([...counted].sort()).toEqual([...written]);
  });
});

describe("offsets, which have a reader of their own", () => {
  const key = encodeStoredKey(OffsetCommitKey, { group: "g", topic: "a-topic", partition: 3 });

  test.each([0, 1, 2, 3, 4])("version %i is read as the general decoder reads it", (version) => {
    const texts = ["", "metadata", "grüße", "x".repeat(300)];
    const ids = [ZERO_UUID, `${"Q".repeat(21)}A`];
    for (const metadata of texts) {
      for (const topicId of ids) {
        for (const offset of [0, -1, 5, Number.MAX_SAFE_INTEGER]) {
          const value = encodeStoredValue(OffsetCommitValue, version, {
            offset,
            leaderEpoch: 9,
            metadata,
            commitTimestamp: 1_700_000_000_000,
            expireTimestamp: 1_800_000_000_000,
            topicId,
          });
          expect(groupRecordSerde.decode(key, value)).toEqual({
            kind: "offset_commit",
            key: decodeStoredKey(OffsetCommitKey, key),
            value: decodeStoredValue(OffsetCommitValue, value),
          });
        }
      }
    }
  });

  test("unknown tags are kept, and damage is named", () => {
    const commit = { offset: 1, metadata: "", commitTimestamp: 1, topicId: ZERO_UUID };
    const plain = encodeStoredValue(OffsetCommitValue, 4, commit);
    expect(plain.at(-1)).toBe(0);
    const tagged = new Uint8Array([...plain.subarray(0, -1), 1, 7, 2, 0xaa, 0xbb]);
    const record = groupRecordSerde.decode(key, tagged)!;
    expect(groupRecordSerde.encode(record).value!).toEqual(tagged);
    for (let size = 0; size < plain.length; size++) {
      expect(() => groupRecordSerde.decode(key, plain.subarray(0, size))).toThrow();
    }
  });
});

describe("what is special", () => {
  const commit: GroupRecord = {
    kind: "offset_commit",
    key: { group: "g", topic: "t", partition: 3 },
    value: {
      offset: 7,
      leaderEpoch: 2,
      metadata: "m",
      commitTimestamp: 1_000,
      expireTimestamp: -1,
      topicId: ZERO_UUID,
    },
  };

  test("the key of old brokers is a commit, and is written in the new form", () => {
    const stored = groupRecordSerde.encode(commit);
    const legacy = stored.key.slice();
    legacy[1] = 0;
    const record = groupRecordSerde.decode(legacy, stored.value)!;
    expect(record).toEqual(commit);
    expect(groupRecordSerde.encode(record).key).toEqual(stored.key);
  });

  test("an offset that says when it expires is written in version 1", () => {
    const value = { ...commit.value, expireTimestamp: 2_000, leaderEpoch: -1 };
    const record = { ...commit, value } as GroupRecord;
    const stored = groupRecordSerde.encode(record);
    expect([...stored.value!.subarray(0, 2)]).toEqual([0, 1]);
    expect(groupRecordSerde.decode(stored.key, stored.value)).toEqual(record);
  });

  test("share and streams groups are skipped", () => {
    for (const name of ["ShareGroupMetadata", "StreamsGroupMetadata", "StreamsGroupTopology"]) {
      const key = bytesOfHex(vectorsOf(`${name}Key`)[0]!.stored!);
      const value = bytesOfHex(vectorsOf(`${name}Value`)[0]!.stored!);
      expect(groupRecordSerde.decode(key, value)).toBeNull();
      expect(groupRecordSerde.decode(key, null)).toBeNull();
    }
  });

  test("a version that is not known, and bytes cut short, are damage", () => {
    const { key, value } = groupRecordSerde.encode(commit);
    const newer = value!.slice();
    newer[1] = 5;
    expect(() => groupRecordSerde.decode(key, newer)).toThrow("has no version 5");
    expect(() => groupRecordSerde.decode(key, value!.subarray(0, 9))).toThrow();
    expect(() => groupRecordSerde.decode(key.subarray(0, 5), value)).toThrow();
    expect(() => groupRecordSerde.decode(key.subarray(0, 1), value)).toThrow();
  });

  test("what was decoded does not change with the bytes it was read from", () => {
    const group: GroupRecord = {
      kind: "classic_group",
      key: { group: "g" },
      value: {
        protocolType: "consumer",
        generation: 1,
        protocol: "range",
        leader: "m",
        currentStateTimestamp: 5,
        members: [
          {
            memberId: "m",
            groupInstanceId: null,
            clientId: "c",
            clientHost: "/127.0.0.1",
            rebalanceTimeout: 1,
            sessionTimeout: 2,
            subscription: new Uint8Array([1, 2, 3]),
            assignment: new Uint8Array([4]),
          },
        ],
      },
    };
    const { key, value } = groupRecordSerde.encode(group);
    const record = groupRecordSerde.decode(key, value);
    value!.fill(0);
    expect(record).toEqual(group);
  });
});

describe("a group as a 4.3.1 broker wrote it", () => {
  const member = "0016547a492b43494f7651356d612b785157455a72334c77";
  /** librdkafka in a consumer group of its own; that it never spoke the classic protocol is a null in a tag. */
  const STORED: readonly [key: string, value: string][] = [
    [`000500026731${member}`, "0000000002610b2f3132372e302e302e310203747401000493e00001000100"],
    ["000300026731", "0000000000020100080f96f7c5c9d3e0c5"],
    [`000700026731${member}`, "0000024404333938ba4ad1a06910cd1384037a02000000000000"],
    ["000600026731", "000000000002010008000001a207998f2a"],
    [
      `000800026731${member}`,
      "0000000000020000000000024404333938ba4ad1a06910cd1384037a020000000001000502000000020100",
    ],
    [
      "0001000267310002747400000000",
      "0004000000000000000a0000000001000001a2079991470100104404333938ba4ad1a06910cd1384037a",
    ],
    ["000300026731", "00000000000300"],
  ];

  test.each(STORED)("%s", (key, value) => {
    const record = groupRecordSerde.decode(bytesOfHex(key), bytesOfHex(value))!;
    const again = groupRecordSerde.encode(record);
    expect([hexOfBytes(again.key), hexOfBytes(again.value!)]).toEqual([key, value]);
  });
});
