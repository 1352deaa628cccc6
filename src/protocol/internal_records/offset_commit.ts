// Committed offsets in __consumer_offsets. Key 0 is the form of old brokers, with the same meaning
// as 1. Kafka: GroupCoordinatorRecordHelpers.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { int32, int64, message, string, uuid } from "../schema.ts";

export const LegacyOffsetCommitKey = message({
  name: "LegacyOffsetCommitKey",
  versions: "0",
  recordType: 0,
  fields: {
    group: string(),
    topic: string(),
    partition: int32(),
  },
});
export type LegacyOffsetCommitKey = MessageOf<typeof LegacyOffsetCommitKey>;
export type LegacyOffsetCommitKeyInput = MessageInputOf<typeof LegacyOffsetCommitKey>;

export const LegacyOffsetCommitValue = message({
  name: "LegacyOffsetCommitValue",
  versions: "0",
  recordType: 0,
  fields: {
    offset: int64(),
    metadata: string(),
    commitTimestamp: int64(),
  },
});
export type LegacyOffsetCommitValue = MessageOf<typeof LegacyOffsetCommitValue>;
export type LegacyOffsetCommitValueInput = MessageInputOf<typeof LegacyOffsetCommitValue>;

export const OffsetCommitKey = message({
  name: "OffsetCommitKey",
  versions: "0",
  recordType: 1,
  fields: {
    group: string(),
    topic: string(),
    partition: int32(),
  },
});
export type OffsetCommitKey = MessageOf<typeof OffsetCommitKey>;
export type OffsetCommitKeyInput = MessageInputOf<typeof OffsetCommitKey>;

// v1: adds expireTimestamp.
// v2: drops expireTimestamp.
// v3: adds leaderEpoch.
// v4: adds topicId; flexible.
export const OffsetCommitValue = message({
  name: "OffsetCommitValue",
  versions: "0-4",
  flexible: "4+",
  recordType: 1,
  fields: {
    offset: int64(),
    leaderEpoch: int32({ versions: "3+", default: -1, ignorable: true }),
    metadata: string(),
    commitTimestamp: int64(),
    expireTimestamp: int64({ versions: "1", default: -1, ignorable: true }),
    topicId: uuid({ versions: "4+", tag: 0, ignorable: true }),
  },
});
export type OffsetCommitValue = MessageOf<typeof OffsetCommitValue>;
export type OffsetCommitValueInput = MessageInputOf<typeof OffsetCommitValue>;
