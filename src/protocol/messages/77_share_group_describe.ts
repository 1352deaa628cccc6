// ShareGroupDescribe, API key 77, version 1.
//
// Serves: state, members and assignments of share groups (KIP-932).
// Kafka: KafkaApis, SHARE_GROUP_DESCRIBE.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string, struct, uuid } from "../schema.ts";

export const ShareGroupDescribe = api({
  apiKey: 77,
  name: "ShareGroupDescribe",
  versions: "1",
  flexible: "1+",
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
      assignorName: string(),
      members: array({
        memberId: string(),
        rackId: string({ nullable: true, default: null }),
        memberEpoch: int32({
          about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
        }),
        clientId: string(),
        clientHost: string(),
        subscribedTopicNames: array(string()),
        assignment: struct({
          topicPartitions: array({
            topicId: uuid(),
            topicName: string(),
            partitions: array(int32()),
          }),
        }),
      }),
      authorizedOperations: int32({
        default: -2147483648,
        about: "bit field of allowed ACL operations; -2147483648 when not asked for",
      }),
    }),
  },
});
export type ShareGroupDescribeRequest = RequestOf<typeof ShareGroupDescribe>;
export type ShareGroupDescribeRequestInput = RequestInputOf<typeof ShareGroupDescribe>;
export type ShareGroupDescribeResponse = ResponseOf<typeof ShareGroupDescribe>;
export type ShareGroupDescribeResponseInput = ResponseInputOf<typeof ShareGroupDescribe>;
