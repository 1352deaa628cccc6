// StreamsGroupHeartbeat, API key 88, version 0.
//
// Serves: all of membership in a streams group, the topology included (KIP-1071).
// Kafka: GroupMetadataManager.streamsGroupHeartbeat.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, int64, string, struct, uint16 } from "../schema.ts";

export const StreamsGroupHeartbeat = api({
  apiKey: 88,
  name: "StreamsGroupHeartbeat",
  versions: "0",
  flexible: "0+",
  request: {
    groupId: string(),
    memberId: string(),
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    endpointInformationEpoch: int32(),
    instanceId: string({
      nullable: true,
      default: null,
      about: "name of a static member; null for a dynamic one",
    }),
    rackId: string({ nullable: true, default: null }),
    rebalanceTimeoutMs: int32({ default: -1 }),
    topology: struct(
      {
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
      { nullable: true, default: null },
    ),
    activeTasks: array(
      {
        subtopologyId: string(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
    standbyTasks: array(
      {
        subtopologyId: string(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
    warmupTasks: array(
      {
        subtopologyId: string(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
    processId: string({ nullable: true, default: null }),
    userEndpoint: struct(
      {
        host: string(),
        port: uint16(),
      },
      { nullable: true, default: null },
    ),
    clientTags: array(
      {
        key: string(),
        value: string(),
      },
      { nullable: true, default: null },
    ),
    taskOffsets: array(
      {
        subtopologyId: string(),
        partition: int32(),
        offset: int64(),
      },
      { nullable: true, default: null },
    ),
    taskEndOffsets: array(
      {
        subtopologyId: string(),
        partition: int32(),
        offset: int64(),
      },
      { nullable: true, default: null },
    ),
    shutdownApplication: bool(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    memberId: string(),
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    heartbeatIntervalMs: int32(),
    acceptableRecoveryLag: int32(),
    taskOffsetIntervalMs: int32(),
    status: array(
      {
        statusCode: int8(),
        statusDetail: string(),
      },
      { nullable: true },
    ),
    activeTasks: array(
      {
        subtopologyId: string(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
    standbyTasks: array(
      {
        subtopologyId: string(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
    warmupTasks: array(
      {
        subtopologyId: string(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
    endpointInformationEpoch: int32(),
    partitionsByUserEndpoint: array(
      {
        userEndpoint: struct({
          host: string(),
          port: uint16(),
        }),
        activePartitions: array({
          topic: string(),
          partitions: array(int32()),
        }),
        standbyPartitions: array({
          topic: string(),
          partitions: array(int32()),
        }),
      },
      { nullable: true, default: null },
    ),
  },
});
export type StreamsGroupHeartbeatRequest = RequestOf<typeof StreamsGroupHeartbeat>;
export type StreamsGroupHeartbeatRequestInput = RequestInputOf<typeof StreamsGroupHeartbeat>;
export type StreamsGroupHeartbeatResponse = ResponseOf<typeof StreamsGroupHeartbeat>;
export type StreamsGroupHeartbeatResponseInput = ResponseInputOf<typeof StreamsGroupHeartbeat>;
