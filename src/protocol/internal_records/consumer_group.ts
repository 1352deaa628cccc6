// Consumer groups (KIP-848) in __consumer_offsets. Kafka: GroupCoordinatorRecordHelpers.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, bytes, int8, int32, int64, message, string, struct, uuid } from "../schema.ts";

export const ConsumerGroupMetadataKey = message({
  name: "ConsumerGroupMetadataKey",
  versions: "0",
  recordType: 3,
  fields: {
    groupId: string(),
  },
});
export type ConsumerGroupMetadataKey = MessageOf<typeof ConsumerGroupMetadataKey>;
export type ConsumerGroupMetadataKeyInput = MessageInputOf<typeof ConsumerGroupMetadataKey>;

export const ConsumerGroupMetadataValue = message({
  name: "ConsumerGroupMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 3,
  fields: {
    epoch: int32(),
    metadataHash: int64({ tag: 0 }),
  },
});
export type ConsumerGroupMetadataValue = MessageOf<typeof ConsumerGroupMetadataValue>;
export type ConsumerGroupMetadataValueInput = MessageInputOf<typeof ConsumerGroupMetadataValue>;

export const ConsumerGroupPartitionMetadataKey = message({
  name: "ConsumerGroupPartitionMetadataKey",
  versions: "0",
  recordType: 4,
  fields: {
    groupId: string(),
  },
});
export type ConsumerGroupPartitionMetadataKey = MessageOf<typeof ConsumerGroupPartitionMetadataKey>;
export type ConsumerGroupPartitionMetadataKeyInput = MessageInputOf<
  typeof ConsumerGroupPartitionMetadataKey
>;

export const ConsumerGroupPartitionMetadataValue = message({
  name: "ConsumerGroupPartitionMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 4,
  fields: {
    topics: array({
      topicId: uuid(),
      topicName: string(),
      numPartitions: int32({ about: "-1 for the broker's default" }),
      partitionMetadata: array({
        partition: int32(),
        racks: array(string()),
      }),
    }),
  },
});
export type ConsumerGroupPartitionMetadataValue = MessageOf<
  typeof ConsumerGroupPartitionMetadataValue
>;
export type ConsumerGroupPartitionMetadataValueInput = MessageInputOf<
  typeof ConsumerGroupPartitionMetadataValue
>;

export const ConsumerGroupMemberMetadataKey = message({
  name: "ConsumerGroupMemberMetadataKey",
  versions: "0",
  recordType: 5,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type ConsumerGroupMemberMetadataKey = MessageOf<typeof ConsumerGroupMemberMetadataKey>;
export type ConsumerGroupMemberMetadataKeyInput = MessageInputOf<
  typeof ConsumerGroupMemberMetadataKey
>;

export const ConsumerGroupMemberMetadataValue = message({
  name: "ConsumerGroupMemberMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 5,
  fields: {
    instanceId: string({
      nullable: true,
      about: "name of a static member; null for a dynamic one",
    }),
    rackId: string({ nullable: true }),
    clientId: string(),
    clientHost: string(),
    subscribedTopicNames: array(string()),
    subscribedTopicRegex: string({ nullable: true }),
    rebalanceTimeoutMs: int32({ default: -1 }),
    serverAssignor: string({ nullable: true }),
    classicMemberMetadata: struct(
      {
        sessionTimeoutMs: int32(),
        supportedProtocols: array({
          name: string(),
          metadata: bytes(),
        }),
      },
      { nullable: true, tag: 0 },
    ),
  },
});
export type ConsumerGroupMemberMetadataValue = MessageOf<typeof ConsumerGroupMemberMetadataValue>;
export type ConsumerGroupMemberMetadataValueInput = MessageInputOf<
  typeof ConsumerGroupMemberMetadataValue
>;

export const ConsumerGroupTargetAssignmentMetadataKey = message({
  name: "ConsumerGroupTargetAssignmentMetadataKey",
  versions: "0",
  recordType: 6,
  fields: {
    groupId: string(),
  },
});
export type ConsumerGroupTargetAssignmentMetadataKey = MessageOf<
  typeof ConsumerGroupTargetAssignmentMetadataKey
>;
export type ConsumerGroupTargetAssignmentMetadataKeyInput = MessageInputOf<
  typeof ConsumerGroupTargetAssignmentMetadataKey
>;

export const ConsumerGroupTargetAssignmentMetadataValue = message({
  name: "ConsumerGroupTargetAssignmentMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 6,
  fields: {
    assignmentEpoch: int32(),
    assignmentTimestamp: int64({ tag: 0, ignorable: true }),
  },
});
export type ConsumerGroupTargetAssignmentMetadataValue = MessageOf<
  typeof ConsumerGroupTargetAssignmentMetadataValue
>;
export type ConsumerGroupTargetAssignmentMetadataValueInput = MessageInputOf<
  typeof ConsumerGroupTargetAssignmentMetadataValue
>;

export const ConsumerGroupTargetAssignmentMemberKey = message({
  name: "ConsumerGroupTargetAssignmentMemberKey",
  versions: "0",
  recordType: 7,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type ConsumerGroupTargetAssignmentMemberKey = MessageOf<
  typeof ConsumerGroupTargetAssignmentMemberKey
>;
export type ConsumerGroupTargetAssignmentMemberKeyInput = MessageInputOf<
  typeof ConsumerGroupTargetAssignmentMemberKey
>;

export const ConsumerGroupTargetAssignmentMemberValue = message({
  name: "ConsumerGroupTargetAssignmentMemberValue",
  versions: "0",
  flexible: "0+",
  recordType: 7,
  fields: {
    topicPartitions: array({
      topicId: uuid(),
      partitions: array(int32()),
    }),
  },
});
export type ConsumerGroupTargetAssignmentMemberValue = MessageOf<
  typeof ConsumerGroupTargetAssignmentMemberValue
>;
export type ConsumerGroupTargetAssignmentMemberValueInput = MessageInputOf<
  typeof ConsumerGroupTargetAssignmentMemberValue
>;

export const ConsumerGroupCurrentMemberAssignmentKey = message({
  name: "ConsumerGroupCurrentMemberAssignmentKey",
  versions: "0",
  recordType: 8,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type ConsumerGroupCurrentMemberAssignmentKey = MessageOf<
  typeof ConsumerGroupCurrentMemberAssignmentKey
>;
export type ConsumerGroupCurrentMemberAssignmentKeyInput = MessageInputOf<
  typeof ConsumerGroupCurrentMemberAssignmentKey
>;

export const ConsumerGroupCurrentMemberAssignmentValue = message({
  name: "ConsumerGroupCurrentMemberAssignmentValue",
  versions: "0",
  flexible: "0+",
  recordType: 8,
  fields: {
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    previousMemberEpoch: int32(),
    state: int8(),
    assignedPartitions: array({
      topicId: uuid(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
    partitionsPendingRevocation: array({
      topicId: uuid(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
  },
});
export type ConsumerGroupCurrentMemberAssignmentValue = MessageOf<
  typeof ConsumerGroupCurrentMemberAssignmentValue
>;
export type ConsumerGroupCurrentMemberAssignmentValueInput = MessageInputOf<
  typeof ConsumerGroupCurrentMemberAssignmentValue
>;

export const ConsumerGroupRegularExpressionKey = message({
  name: "ConsumerGroupRegularExpressionKey",
  versions: "0",
  recordType: 16,
  fields: {
    groupId: string(),
    regularExpression: string(),
  },
});
export type ConsumerGroupRegularExpressionKey = MessageOf<typeof ConsumerGroupRegularExpressionKey>;
export type ConsumerGroupRegularExpressionKeyInput = MessageInputOf<
  typeof ConsumerGroupRegularExpressionKey
>;

export const ConsumerGroupRegularExpressionValue = message({
  name: "ConsumerGroupRegularExpressionValue",
  versions: "0",
  flexible: "0+",
  recordType: 16,
  fields: {
    topics: array(string()),
    version: int64(),
    timestamp: int64(),
  },
});
export type ConsumerGroupRegularExpressionValue = MessageOf<
  typeof ConsumerGroupRegularExpressionValue
>;
export type ConsumerGroupRegularExpressionValueInput = MessageInputOf<
  typeof ConsumerGroupRegularExpressionValue
>;
