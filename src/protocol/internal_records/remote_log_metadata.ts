// Records of __remote_log_metadata (KIP-405). Kafka: RemoteLogMetadataSerde.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import {
  array,
  bool,
  bytes,
  int8,
  int32,
  int64,
  message,
  string,
  struct,
  uuid,
} from "../schema.ts";

export const RemoteLogSegmentMetadataRecord = message({
  name: "RemoteLogSegmentMetadataRecord",
  versions: "0",
  flexible: "0+",
  recordType: 0,
  fields: {
    remoteLogSegmentId: struct({
      topicIdPartition: struct({
        name: string(),
        id: uuid(),
        partition: int32(),
      }),
      id: uuid(),
    }),
    startOffset: int64(),
    endOffset: int64(),
    brokerId: int32(),
    maxTimestampMs: int64(),
    eventTimestampMs: int64(),
    segmentLeaderEpochs: array({
      leaderEpoch: int32(),
      offset: int64(),
    }),
    segmentSizeInBytes: int32(),
    customMetadata: bytes({ nullable: true, default: null }),
    remoteLogSegmentState: int8(),
    txnIndexEmpty: bool({ tag: 0 }),
  },
});
export type RemoteLogSegmentMetadataRecord = MessageOf<typeof RemoteLogSegmentMetadataRecord>;
export type RemoteLogSegmentMetadataRecordInput = MessageInputOf<
  typeof RemoteLogSegmentMetadataRecord
>;

export const RemoteLogSegmentMetadataUpdateRecord = message({
  name: "RemoteLogSegmentMetadataUpdateRecord",
  versions: "0",
  flexible: "0+",
  recordType: 1,
  fields: {
    remoteLogSegmentId: struct({
      topicIdPartition: struct({
        name: string(),
        id: uuid(),
        partition: int32(),
      }),
      id: uuid(),
    }),
    brokerId: int32(),
    eventTimestampMs: int64(),
    customMetadata: bytes({ nullable: true, default: null }),
    remoteLogSegmentState: int8(),
  },
});
export type RemoteLogSegmentMetadataUpdateRecord = MessageOf<
  typeof RemoteLogSegmentMetadataUpdateRecord
>;
export type RemoteLogSegmentMetadataUpdateRecordInput = MessageInputOf<
  typeof RemoteLogSegmentMetadataUpdateRecord
>;

export const RemotePartitionDeleteMetadataRecord = message({
  name: "RemotePartitionDeleteMetadataRecord",
  versions: "0",
  flexible: "0+",
  recordType: 2,
  fields: {
    topicIdPartition: struct({
      name: string(),
      id: uuid(),
      partition: int32(),
    }),
    brokerId: int32(),
    eventTimestampMs: int64(),
    remotePartitionDeleteState: int8(),
  },
});
export type RemotePartitionDeleteMetadataRecord = MessageOf<
  typeof RemotePartitionDeleteMetadataRecord
>;
export type RemotePartitionDeleteMetadataRecordInput = MessageInputOf<
  typeof RemotePartitionDeleteMetadataRecord
>;

export const RemoteLogSegmentMetadataSnapshotRecord = message({
  name: "RemoteLogSegmentMetadataSnapshotRecord",
  versions: "0",
  flexible: "0+",
  recordType: 3,
  fields: {
    segmentId: uuid(),
    startOffset: int64(),
    endOffset: int64(),
    brokerId: int32(),
    maxTimestampMs: int64(),
    eventTimestampMs: int64(),
    segmentLeaderEpochs: array({
      leaderEpoch: int32(),
      offset: int64(),
    }),
    segmentSizeInBytes: int32(),
    customMetadata: bytes({ nullable: true, default: null }),
    remoteLogSegmentState: int8(),
    txnIndexEmpty: bool({ tag: 0 }),
  },
});
export type RemoteLogSegmentMetadataSnapshotRecord = MessageOf<
  typeof RemoteLogSegmentMetadataSnapshotRecord
>;
export type RemoteLogSegmentMetadataSnapshotRecordInput = MessageInputOf<
  typeof RemoteLogSegmentMetadataSnapshotRecord
>;
