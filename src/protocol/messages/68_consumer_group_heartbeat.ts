// ConsumerGroupHeartbeat, API key 68, versions 0–1.
//
// Serves: all of membership in a consumer group (KIP-848). Epoch 0 joins, -1 leaves, -2 leaves as a
// static member.
// Kafka: GroupMetadataManager.consumerGroupHeartbeat.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, struct, uuid } from "../schema.ts";

// v1: adds subscribedTopicRegex (request).
export const ConsumerGroupHeartbeat = api({
  apiKey: 68,
  name: "ConsumerGroupHeartbeat",
  versions: "0-1",
  flexible: "0+",
  request: {
    groupId: string(),
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
    rebalanceTimeoutMs: int32({ default: -1 }),
    subscribedTopicNames: array(string(), { nullable: true, default: null }),
    subscribedTopicRegex: string({ versions: "1+", nullable: true, default: null }),
    serverAssignor: string({ nullable: true, default: null }),
    topicPartitions: array(
      {
        topicId: uuid(),
        partitions: array(int32()),
      },
      { nullable: true, default: null },
    ),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    memberId: string({ nullable: true, default: null }),
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    heartbeatIntervalMs: int32(),
    assignment: struct(
      {
        topicPartitions: array({
          topicId: uuid(),
          partitions: array(int32()),
        }),
      },
      { nullable: true, default: null },
    ),
  },
});
export type ConsumerGroupHeartbeatRequest = RequestOf<typeof ConsumerGroupHeartbeat>;
export type ConsumerGroupHeartbeatRequestInput = RequestInputOf<typeof ConsumerGroupHeartbeat>;
export type ConsumerGroupHeartbeatResponse = ResponseOf<typeof ConsumerGroupHeartbeat>;
export type ConsumerGroupHeartbeatResponseInput = ResponseInputOf<typeof ConsumerGroupHeartbeat>;
