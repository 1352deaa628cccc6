// ShareGroupHeartbeat, API key 76, version 1.
//
// Serves: all of membership in a share group (KIP-932).
// Kafka: GroupMetadataManager.shareGroupHeartbeat.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, struct, uuid } from "../schema.ts";

export const ShareGroupHeartbeat = api({
  apiKey: 76,
  name: "ShareGroupHeartbeat",
  versions: "1",
  flexible: "1+",
  request: {
    groupId: string(),
    memberId: string(),
    memberEpoch: int32({
      about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
    }),
    rackId: string({ nullable: true, default: null }),
    subscribedTopicNames: array(string(), { nullable: true, default: null }),
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
export type ShareGroupHeartbeatRequest = RequestOf<typeof ShareGroupHeartbeat>;
export type ShareGroupHeartbeatRequestInput = RequestInputOf<typeof ShareGroupHeartbeat>;
export type ShareGroupHeartbeatResponse = ResponseOf<typeof ShareGroupHeartbeat>;
export type ShareGroupHeartbeatResponseInput = ResponseInputOf<typeof ShareGroupHeartbeat>;
