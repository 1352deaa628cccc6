// AlterShareGroupOffsets, API key 91, version 0.
//
// Serves: moving the start offsets of an empty share group (KIP-932).
// Kafka: KafkaApis, ALTER_SHARE_GROUP_OFFSETS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string, uuid } from "../schema.ts";

export const AlterShareGroupOffsets = api({
  apiKey: 91,
  name: "AlterShareGroupOffsets",
  versions: "0",
  flexible: "0+",
  request: {
    groupId: string(),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        startOffset: int64(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    responses: array({
      topicName: string(),
      topicId: uuid(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, default: null }),
      }),
    }),
  },
});
export type AlterShareGroupOffsetsRequest = RequestOf<typeof AlterShareGroupOffsets>;
export type AlterShareGroupOffsetsRequestInput = RequestInputOf<typeof AlterShareGroupOffsets>;
export type AlterShareGroupOffsetsResponse = ResponseOf<typeof AlterShareGroupOffsets>;
export type AlterShareGroupOffsetsResponseInput = ResponseInputOf<typeof AlterShareGroupOffsets>;
