// StreamsGroupDescribe, API key 89, version 0.
//
// Serves: state, topology, members and tasks of streams groups (KIP-1071).
// Kafka: KafkaApis, STREAMS_GROUP_DESCRIBE.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string, struct, uint16 } from "../schema.ts";

export const StreamsGroupDescribe = api({
  apiKey: 89,
  name: "StreamsGroupDescribe",
  versions: "0",
  flexible: "0+",
  request: {
    groupIds: array(string()),
    includeAuthorizedOperations: bool(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    groups: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
      groupId: string(),
      groupState: string(),
      groupEpoch: int32(),
      assignmentEpoch: int32(),
      topology: struct(
        {
          epoch: int32(),
          subtopologies: array(
            {
              subtopologyId: string(),
              sourceTopics: array(string()),
              repartitionSinkTopics: array(string()),
              stateChangelogTopics: array({
                name: string(),
                partitions: int32(),
                replicationFactor: int16({ about: "-1 for the broker's default" }),
                topicConfigs: array({
                  key: string(),
                  value: string(),
                }),
              }),
              repartitionSourceTopics: array({
                name: string(),
                partitions: int32(),
                replicationFactor: int16({ about: "-1 for the broker's default" }),
                topicConfigs: array({
                  key: string(),
                  value: string(),
                }),
              }),
            },
            { nullable: true, default: null },
          ),
        },
        { nullable: true, default: null },
      ),
      members: array({
        memberId: string(),
        memberEpoch: int32({
          about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
        }),
        instanceId: string({
          nullable: true,
          default: null,
          about: "name of a static member; null for a dynamic one",
        }),
        rackId: string({ nullable: true, default: null }),
        clientId: string(),
        clientHost: string(),
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
        taskOffsets: array({
          subtopologyId: string(),
          partition: int32(),
          offset: int64(),
        }),
        taskEndOffsets: array({
          subtopologyId: string(),
          partition: int32(),
          offset: int64(),
        }),
        assignment: struct({
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
        }),
        targetAssignment: struct({
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
        }),
        isClassic: bool(),
      }),
      authorizedOperations: int32({
        default: -2147483648,
        about: "bit field of allowed ACL operations; -2147483648 when not asked for",
      }),
    }),
  },
});
export type StreamsGroupDescribeRequest = RequestOf<typeof StreamsGroupDescribe>;
export type StreamsGroupDescribeRequestInput = RequestInputOf<typeof StreamsGroupDescribe>;
export type StreamsGroupDescribeResponse = ResponseOf<typeof StreamsGroupDescribe>;
export type StreamsGroupDescribeResponseInput = ResponseInputOf<typeof StreamsGroupDescribe>;
