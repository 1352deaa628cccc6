// DescribeShareGroupOffsets, API key 90, versions 0–1.
//
// Serves: start offsets and lag of share groups (KIP-932, KIP-1226).
// Kafka: KafkaApis, DESCRIBE_SHARE_GROUP_OFFSETS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string, uuid } from "../schema.ts";

// v1: adds partitions.lag (response).
export const DescribeShareGroupOffsets = api({
  apiKey: 90,
  name: "DescribeShareGroupOffsets",
  versions: "0-1",
  flexible: "0+",
  request: {
    groups: array({
      groupId: string(),
      topics: array(
        {
          topicName: string(),
          partitions: array(int32()),
        },
        { nullable: true },
      ),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    groups: array({
      groupId: string(),
      topics: array({
        topicName: string(),
        topicId: uuid(),
        partitions: array({
          partitionIndex: int32(),
          startOffset: int64(),
          leaderEpoch: int32(),
          lag: int64({ versions: "1+", default: -1, ignorable: true }),
          errorCode: int16(),
          errorMessage: string({ nullable: true, default: null }),
        }),
      }),
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
    }),
  },
});
export type DescribeShareGroupOffsetsRequest = RequestOf<typeof DescribeShareGroupOffsets>;
export type DescribeShareGroupOffsetsRequestInput = RequestInputOf<
  typeof DescribeShareGroupOffsets
>;
export type DescribeShareGroupOffsetsResponse = ResponseOf<typeof DescribeShareGroupOffsets>;
export type DescribeShareGroupOffsetsResponseInput = ResponseInputOf<
  typeof DescribeShareGroupOffsets
>;
