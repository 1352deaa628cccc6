// Share groups (KIP-932) in __consumer_offsets. Kafka: GroupCoordinatorRecordHelpers.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, int8, int32, int64, message, string, uuid } from "../schema.ts";

export const ShareGroupMetadataKey = message({
  name: "ShareGroupMetadataKey",
  versions: "0",
  recordType: 11,
  fields: {
    groupId: string(),
  },
});
export type ShareGroupMetadataKey = MessageOf<typeof ShareGroupMetadataKey>;
export type ShareGroupMetadataKeyInput = MessageInputOf<typeof ShareGroupMetadataKey>;

export const ShareGroupMetadataValue = message({
  name: "ShareGroupMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 11,
  fields: {
    epoch: int32(),
    metadataHash: int64(),
  },
});
export type ShareGroupMetadataValue = MessageOf<typeof ShareGroupMetadataValue>;
export type ShareGroupMetadataValueInput = MessageInputOf<typeof ShareGroupMetadataValue>;

export const ShareGroupMemberMetadataKey = message({
  name: "ShareGroupMemberMetadataKey",
  versions: "0",
  recordType: 10,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type ShareGroupMemberMetadataKey = MessageOf<typeof ShareGroupMemberMetadataKey>;
export type ShareGroupMemberMetadataKeyInput = MessageInputOf<typeof ShareGroupMemberMetadataKey>;

export const ShareGroupMemberMetadataValue = message({
  name: "ShareGroupMemberMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 10,
  fields: {
    rackId: string({ nullable: true }),
    clientId: string(),
    clientHost: string(),
    subscribedTopicNames: array(string()),
  },
});
export type ShareGroupMemberMetadataValue = MessageOf<typeof ShareGroupMemberMetadataValue>;
export type ShareGroupMemberMetadataValueInput = MessageInputOf<
  typeof ShareGroupMemberMetadataValue
>;

export const ShareGroupTargetAssignmentMetadataKey = message({
  name: "ShareGroupTargetAssignmentMetadataKey",
  versions: "0",
  recordType: 12,
  fields: {
    groupId: string(),
  },
});
export type ShareGroupTargetAssignmentMetadataKey = MessageOf<
  typeof ShareGroupTargetAssignmentMetadataKey
>;
export type ShareGroupTargetAssignmentMetadataKeyInput = MessageInputOf<
  typeof ShareGroupTargetAssignmentMetadataKey
>;

export const ShareGroupTargetAssignmentMetadataValue = message({
  name: "ShareGroupTargetAssignmentMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 12,
  fields: {
    assignmentEpoch: int32(),
    assignmentTimestamp: int64({ tag: 0, ignorable: true }),
  },
});
export type ShareGroupTargetAssignmentMetadataValue = MessageOf<
  typeof ShareGroupTargetAssignmentMetadataValue
>;
export type ShareGroupTargetAssignmentMetadataValueInput = MessageInputOf<
  typeof ShareGroupTargetAssignmentMetadataValue
>;

export const ShareGroupTargetAssignmentMemberKey = message({
  name: "ShareGroupTargetAssignmentMemberKey",
  versions: "0",
  recordType: 13,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type ShareGroupTargetAssignmentMemberKey = MessageOf<
  typeof ShareGroupTargetAssignmentMemberKey
>;
export type ShareGroupTargetAssignmentMemberKeyInput = MessageInputOf<
  typeof ShareGroupTargetAssignmentMemberKey
>;

export const ShareGroupTargetAssignmentMemberValue = message({
  name: "ShareGroupTargetAssignmentMemberValue",
  versions: "0",
  flexible: "0+",
  recordType: 13,
  fields: {
    topicPartitions: array({
      topicId: uuid(),
      partitions: array(int32()),
    }),
  },
});
export type ShareGroupTargetAssignmentMemberValue = MessageOf<
  typeof ShareGroupTargetAssignmentMemberValue
>;
export type ShareGroupTargetAssignmentMemberValueInput = MessageInputOf<
  typeof ShareGroupTargetAssignmentMemberValue
>;

export const ShareGroupCurrentMemberAssignmentKey = message({
  name: "ShareGroupCurrentMemberAssignmentKey",
  versions: "0",
  recordType: 14,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type ShareGroupCurrentMemberAssignmentKey = MessageOf<
  typeof ShareGroupCurrentMemberAssignmentKey
>;
export type ShareGroupCurrentMemberAssignmentKeyInput = MessageInputOf<
  typeof ShareGroupCurrentMemberAssignmentKey
>;

export const ShareGroupCurrentMemberAssignmentValue = message({
  name: "ShareGroupCurrentMemberAssignmentValue",
  versions: "0",
  flexible: "0+",
  recordType: 14,
  fields: {
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    previousMemberEpoch: int32(),
    state: int8(),
    assignedPartitions: array({
      topicId: uuid(),
      partitions: array(int32()),
    }),
  },
});
export type ShareGroupCurrentMemberAssignmentValue = MessageOf<
  typeof ShareGroupCurrentMemberAssignmentValue
>;
export type ShareGroupCurrentMemberAssignmentValueInput = MessageInputOf<
  typeof ShareGroupCurrentMemberAssignmentValue
>;

export const ShareGroupStatePartitionMetadataKey = message({
  name: "ShareGroupStatePartitionMetadataKey",
  versions: "0",
  recordType: 15,
  fields: {
    groupId: string(),
  },
});
export type ShareGroupStatePartitionMetadataKey = MessageOf<
  typeof ShareGroupStatePartitionMetadataKey
>;
export type ShareGroupStatePartitionMetadataKeyInput = MessageInputOf<
  typeof ShareGroupStatePartitionMetadataKey
>;

export const ShareGroupStatePartitionMetadataValue = message({
  name: "ShareGroupStatePartitionMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 15,
  fields: {
    initializingTopics: array({
      topicId: uuid(),
      topicName: string(),
      partitions: array(int32()),
    }),
    initializedTopics: array({
      topicId: uuid(),
      topicName: string(),
      partitions: array(int32()),
    }),
    deletingTopics: array({
      topicId: uuid(),
      topicName: string(),
    }),
  },
});
export type ShareGroupStatePartitionMetadataValue = MessageOf<
  typeof ShareGroupStatePartitionMetadataValue
>;
export type ShareGroupStatePartitionMetadataValueInput = MessageInputOf<
  typeof ShareGroupStatePartitionMetadataValue
>;
