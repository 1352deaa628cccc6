// DeleteShareGroupOffsets, API key 92, version 0.
//
// Serves: forgetting a share group's offsets of topics (KIP-932).
// Kafka: KafkaApis, DELETE_SHARE_GROUP_OFFSETS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, uuid } from "../schema.ts";

export const DeleteShareGroupOffsets = api({
  apiKey: 92,
  name: "DeleteShareGroupOffsets",
  versions: "0",
  flexible: "0+",
  request: {
    groupId: string(),
    topics: array({
      topicName: string(),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    responses: array({
      topicName: string(),
      topicId: uuid(),
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
    }),
  },
});
export type DeleteShareGroupOffsetsRequest = RequestOf<typeof DeleteShareGroupOffsets>;
export type DeleteShareGroupOffsetsRequestInput = RequestInputOf<typeof DeleteShareGroupOffsets>;
export type DeleteShareGroupOffsetsResponse = ResponseOf<typeof DeleteShareGroupOffsets>;
export type DeleteShareGroupOffsetsResponseInput = ResponseInputOf<typeof DeleteShareGroupOffsets>;
