// DescribeTopicPartitions, API key 75, version 0.
//
// Serves: partitions of topics page by page, with eligible leaders (KIP-966).
// Kafka: DescribeTopicPartitionsRequestHandler.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string, struct, uuid } from "../schema.ts";

export const DescribeTopicPartitions = api({
  apiKey: 75,
  name: "DescribeTopicPartitions",
  versions: "0",
  flexible: "0+",
  request: {
    topics: array({
      name: string(),
    }),
    responsePartitionLimit: int32({ default: 2000 }),
    cursor: struct(
      {
        topicName: string(),
        partitionIndex: int32(),
      },
      { nullable: true, default: null },
    ),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array({
      errorCode: int16(),
      name: string({ nullable: true }),
      topicId: uuid({ ignorable: true }),
      isInternal: bool({ ignorable: true }),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32({ default: -1, ignorable: true }),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        eligibleLeaderReplicas: array(int32(), { nullable: true, default: null }),
        lastKnownElr: array(int32(), { nullable: true, default: null }),
        offlineReplicas: array(int32(), { ignorable: true }),
      }),
      topicAuthorizedOperations: int32({
        default: -2147483648,
        about: "bit field of allowed ACL operations; -2147483648 when not asked for",
      }),
    }),
    nextCursor: struct(
      {
        topicName: string(),
        partitionIndex: int32(),
      },
      { nullable: true, default: null },
    ),
  },
});
export type DescribeTopicPartitionsRequest = RequestOf<typeof DescribeTopicPartitions>;
export type DescribeTopicPartitionsRequestInput = RequestInputOf<typeof DescribeTopicPartitions>;
export type DescribeTopicPartitionsResponse = ResponseOf<typeof DescribeTopicPartitions>;
export type DescribeTopicPartitionsResponseInput = ResponseInputOf<typeof DescribeTopicPartitions>;
