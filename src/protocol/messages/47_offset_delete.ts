// OffsetDelete, API key 47, version 0.
//
// Serves: forgetting committed offsets of a group (KIP-496).
// Kafka: KafkaApis, OFFSET_DELETE.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string } from "../schema.ts";

export const OffsetDelete = api({
  apiKey: 47,
  name: "OffsetDelete",
  versions: "0",
  request: {
    groupId: string(),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
      }),
    }),
  },
  response: {
    errorCode: int16(),
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
      }),
    }),
  },
});
export type OffsetDeleteRequest = RequestOf<typeof OffsetDelete>;
export type OffsetDeleteRequestInput = RequestInputOf<typeof OffsetDelete>;
export type OffsetDeleteResponse = ResponseOf<typeof OffsetDelete>;
export type OffsetDeleteResponseInput = ResponseInputOf<typeof OffsetDelete>;
