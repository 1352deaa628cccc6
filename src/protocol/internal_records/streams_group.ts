// Streams groups (KIP-1071) in __consumer_offsets. Kafka: StreamsCoordinatorRecordHelpers.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, int8, int16, int32, int64, message, string, struct, uint16 } from "../schema.ts";

export const StreamsGroupMetadataKey = message({
  name: "StreamsGroupMetadataKey",
  versions: "0",
  recordType: 17,
  fields: {
    groupId: string(),
  },
});
export type StreamsGroupMetadataKey = MessageOf<typeof StreamsGroupMetadataKey>;
export type StreamsGroupMetadataKeyInput = MessageInputOf<typeof StreamsGroupMetadataKey>;

export const StreamsGroupMetadataValue = message({
  name: "StreamsGroupMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 17,
  fields: {
    epoch: int32(),
    metadataHash: int64(),
    validatedTopologyEpoch: int32({ tag: 0, default: -1 }),
    lastAssignmentConfigs: array(
      {
        key: string(),
        value: string(),
      },
      { nullable: true, tag: 1 },
    ),
  },
});
export type StreamsGroupMetadataValue = MessageOf<typeof StreamsGroupMetadataValue>;
export type StreamsGroupMetadataValueInput = MessageInputOf<typeof StreamsGroupMetadataValue>;

export const StreamsGroupTopologyKey = message({
  name: "StreamsGroupTopologyKey",
  versions: "0",
  recordType: 23,
  fields: {
    groupId: string(),
  },
});
export type StreamsGroupTopologyKey = MessageOf<typeof StreamsGroupTopologyKey>;
export type StreamsGroupTopologyKeyInput = MessageInputOf<typeof StreamsGroupTopologyKey>;

export const StreamsGroupTopologyValue = message({
  name: "StreamsGroupTopologyValue",
  versions: "0",
  flexible: "0+",
  recordType: 23,
  fields: {
    epoch: int32(),
    subtopologies: array({
      subtopologyId: string(),
      sourceTopics: array(string()),
      sourceTopicRegex: array(string()),
      stateChangelogTopics: array({
        name: string(),
        partitions: int32(),
        replicationFactor: int16({ about: "-1 for the broker's default" }),
        topicConfigs: array({
          key: string(),
          value: string(),
        }),
      }),
      repartitionSinkTopics: array(string()),
      repartitionSourceTopics: array({
        name: string(),
        partitions: int32(),
        replicationFactor: int16({ about: "-1 for the broker's default" }),
        topicConfigs: array({
          key: string(),
          value: string(),
        }),
      }),
      copartitionGroups: array({
        sourceTopics: array(int16()),
        sourceTopicRegex: array(int16()),
        repartitionSourceTopics: array(int16()),
      }),
    }),
  },
});
export type StreamsGroupTopologyValue = MessageOf<typeof StreamsGroupTopologyValue>;
export type StreamsGroupTopologyValueInput = MessageInputOf<typeof StreamsGroupTopologyValue>;

export const StreamsGroupMemberMetadataKey = message({
  name: "StreamsGroupMemberMetadataKey",
  versions: "0",
  recordType: 19,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type StreamsGroupMemberMetadataKey = MessageOf<typeof StreamsGroupMemberMetadataKey>;
export type StreamsGroupMemberMetadataKeyInput = MessageInputOf<
  typeof StreamsGroupMemberMetadataKey
>;

export const StreamsGroupMemberMetadataValue = message({
  name: "StreamsGroupMemberMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 19,
  fields: {
    instanceId: string({
      nullable: true,
      about: "name of a static member; null for a dynamic one",
    }),
    rackId: string({ nullable: true }),
    clientId: string(),
    clientHost: string(),
    rebalanceTimeoutMs: int32({ default: -1 }),
    topologyEpoch: int32(),
    processId: string(),
    userEndpoint: struct(
      {
        host: string(),
        port: uint16(),
      },
      { nullable: true, default: null },
    ),
    clientTags: array({
      key: string(),
      value: string(),
    }),
  },
});
export type StreamsGroupMemberMetadataValue = MessageOf<typeof StreamsGroupMemberMetadataValue>;
export type StreamsGroupMemberMetadataValueInput = MessageInputOf<
  typeof StreamsGroupMemberMetadataValue
>;

export const StreamsGroupTargetAssignmentMetadataKey = message({
  name: "StreamsGroupTargetAssignmentMetadataKey",
  versions: "0",
  recordType: 20,
  fields: {
    groupId: string(),
  },
});
export type StreamsGroupTargetAssignmentMetadataKey = MessageOf<
  typeof StreamsGroupTargetAssignmentMetadataKey
>;
export type StreamsGroupTargetAssignmentMetadataKeyInput = MessageInputOf<
  typeof StreamsGroupTargetAssignmentMetadataKey
>;

export const StreamsGroupTargetAssignmentMetadataValue = message({
  name: "StreamsGroupTargetAssignmentMetadataValue",
  versions: "0",
  flexible: "0+",
  recordType: 20,
  fields: {
    assignmentEpoch: int32(),
    assignmentTimestamp: int64({ tag: 0, ignorable: true }),
  },
});
export type StreamsGroupTargetAssignmentMetadataValue = MessageOf<
  typeof StreamsGroupTargetAssignmentMetadataValue
>;
export type StreamsGroupTargetAssignmentMetadataValueInput = MessageInputOf<
  typeof StreamsGroupTargetAssignmentMetadataValue
>;

export const StreamsGroupTargetAssignmentMemberKey = message({
  name: "StreamsGroupTargetAssignmentMemberKey",
  versions: "0",
  recordType: 21,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type StreamsGroupTargetAssignmentMemberKey = MessageOf<
  typeof StreamsGroupTargetAssignmentMemberKey
>;
export type StreamsGroupTargetAssignmentMemberKeyInput = MessageInputOf<
  typeof StreamsGroupTargetAssignmentMemberKey
>;

export const StreamsGroupTargetAssignmentMemberValue = message({
  name: "StreamsGroupTargetAssignmentMemberValue",
  versions: "0",
  flexible: "0+",
  recordType: 21,
  fields: {
    activeTasks: array({
      subtopologyId: string(),
      partitions: array(int32()),
    }),
    standbyTasks: array({
      subtopologyId: string(),
      partitions: array(int32()),
    }),
    warmupTasks: array({
      subtopologyId: string(),
      partitions: array(int32()),
    }),
  },
});
export type StreamsGroupTargetAssignmentMemberValue = MessageOf<
  typeof StreamsGroupTargetAssignmentMemberValue
>;
export type StreamsGroupTargetAssignmentMemberValueInput = MessageInputOf<
  typeof StreamsGroupTargetAssignmentMemberValue
>;

export const StreamsGroupCurrentMemberAssignmentKey = message({
  name: "StreamsGroupCurrentMemberAssignmentKey",
  versions: "0",
  recordType: 22,
  fields: {
    groupId: string(),
    memberId: string(),
  },
});
export type StreamsGroupCurrentMemberAssignmentKey = MessageOf<
  typeof StreamsGroupCurrentMemberAssignmentKey
>;
export type StreamsGroupCurrentMemberAssignmentKeyInput = MessageInputOf<
  typeof StreamsGroupCurrentMemberAssignmentKey
>;

export const StreamsGroupCurrentMemberAssignmentValue = message({
  name: "StreamsGroupCurrentMemberAssignmentValue",
  versions: "0",
  flexible: "0+",
  recordType: 22,
  fields: {
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    previousMemberEpoch: int32(),
    state: int8(),
    activeTasks: array({
      subtopologyId: string(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
    standbyTasks: array({
      subtopologyId: string(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
    warmupTasks: array({
      subtopologyId: string(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
    activeTasksPendingRevocation: array({
      subtopologyId: string(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
    standbyTasksPendingRevocation: array({
      subtopologyId: string(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
    warmupTasksPendingRevocation: array({
      subtopologyId: string(),
      partitions: array(int32()),
      assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
    }),
  },
});
export type StreamsGroupCurrentMemberAssignmentValue = MessageOf<
  typeof StreamsGroupCurrentMemberAssignmentValue
>;
export type StreamsGroupCurrentMemberAssignmentValueInput = MessageInputOf<
  typeof StreamsGroupCurrentMemberAssignmentValue
>;
