// State of share partitions in __share_group_state: snapshots, and updates to them. Kafka:
// ShareCoordinatorRecordHelpers.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, int8, int16, int32, int64, message, string, uuid } from "../schema.ts";

export const ShareSnapshotKey = message({
  name: "ShareSnapshotKey",
  versions: "0",
  recordType: 0,
  fields: {
    groupId: string(),
    topicId: uuid(),
    partition: int32(),
  },
});
export type ShareSnapshotKey = MessageOf<typeof ShareSnapshotKey>;
export type ShareSnapshotKeyInput = MessageInputOf<typeof ShareSnapshotKey>;

export const ShareSnapshotValue = message({
  name: "ShareSnapshotValue",
  versions: "0",
  flexible: "0+",
  recordType: 0,
  fields: {
    snapshotEpoch: int32(),
    stateEpoch: int32(),
    leaderEpoch: int32(),
    startOffset: int64(),
    deliveryCompleteCount: int32({ tag: 0, default: -1 }),
    createTimestamp: int64(),
    writeTimestamp: int64(),
    stateBatches: array({
      firstOffset: int64(),
      lastOffset: int64(),
      deliveryState: int8({ about: "0 available, 1 acquired, 2 acknowledged, 4 archived" }),
      deliveryCount: int16(),
    }),
  },
});
export type ShareSnapshotValue = MessageOf<typeof ShareSnapshotValue>;
export type ShareSnapshotValueInput = MessageInputOf<typeof ShareSnapshotValue>;

export const ShareUpdateKey = message({
  name: "ShareUpdateKey",
  versions: "0",
  recordType: 1,
  fields: {
    groupId: string(),
    topicId: uuid(),
    partition: int32(),
  },
});
export type ShareUpdateKey = MessageOf<typeof ShareUpdateKey>;
export type ShareUpdateKeyInput = MessageInputOf<typeof ShareUpdateKey>;

export const ShareUpdateValue = message({
  name: "ShareUpdateValue",
  versions: "0",
  flexible: "0+",
  recordType: 1,
  fields: {
    snapshotEpoch: int32(),
    leaderEpoch: int32(),
    startOffset: int64(),
    deliveryCompleteCount: int32({ tag: 0, default: -1 }),
    stateBatches: array({
      firstOffset: int64(),
      lastOffset: int64(),
      deliveryState: int8({ about: "0 available, 1 acquired, 2 acknowledged, 4 archived" }),
      deliveryCount: int16(),
    }),
  },
});
export type ShareUpdateValue = MessageOf<typeof ShareUpdateValue>;
export type ShareUpdateValueInput = MessageInputOf<typeof ShareUpdateValue>;
