// ConsumerGroupDescribe, API key 69, versions 0–1.
//
// Serves: state, members and assignments of consumer groups (KIP-848).
// Kafka: KafkaApis, CONSUMER_GROUP_DESCRIBE.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string, struct, uuid } from "../schema.ts";

// v1: adds members.memberType (response).
export const ConsumerGroupDescribe = api({
  apiKey: 69,
  name: "ConsumerGroupDescribe",
  versions: "0-1",
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
      assignorName: string(),
      members: array({
        memberId: string(),
        instanceId: string({
          nullable: true,
          default: null,
          about: "name of a static member; null for a dynamic one",
        }),
        rackId: string({ nullable: true, default: null }),
        memberEpoch: int32({
          about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
        }),
        clientId: string(),
        clientHost: string(),
        subscribedTopicNames: array(string()),
        subscribedTopicRegex: string({ nullable: true, default: null }),
        assignment: struct({
          topicPartitions: array({
            topicId: uuid(),
            topicName: string(),
            partitions: array(int32()),
          }),
        }),
        targetAssignment: struct({
          topicPartitions: array({
            topicId: uuid(),
            topicName: string(),
            partitions: array(int32()),
          }),
        }),
        memberType: int8({ versions: "1+", default: -1, ignorable: true }),
      }),
      authorizedOperations: int32({
        default: -2147483648,
        about: "bit field of allowed ACL operations; -2147483648 when not asked for",
      }),
    }),
  },
});
export type ConsumerGroupDescribeRequest = RequestOf<typeof ConsumerGroupDescribe>;
export type ConsumerGroupDescribeRequestInput = RequestInputOf<typeof ConsumerGroupDescribe>;
export type ConsumerGroupDescribeResponse = ResponseOf<typeof ConsumerGroupDescribe>;
export type ConsumerGroupDescribeResponseInput = ResponseInputOf<typeof ConsumerGroupDescribe>;
