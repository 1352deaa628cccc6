// WriteShareGroupState, API key 85, versions 0–1.
//
// Serves: storing the state of share partitions (KIP-932).
// Kafka: ShareCoordinatorService.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, int64, string, uuid } from "../schema.ts";

// v1: adds partitions.deliveryCompleteCount (request).
export const WriteShareGroupState = api({
  apiKey: 85,
  name: "WriteShareGroupState",
  versions: "0-1",
  flexible: "0+",
  request: {
    groupId: string(),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partition: int32(),
        stateEpoch: int32(),
        leaderEpoch: int32(),
        startOffset: int64(),
        deliveryCompleteCount: int32({ versions: "1+", default: -1, ignorable: true }),
        stateBatches: array({
          firstOffset: int64(),
          lastOffset: int64(),
          deliveryState: int8({ about: "0 available, 1 acquired, 2 acknowledged, 4 archived" }),
          deliveryCount: int16(),
        }),
      }),
    }),
  },
  response: {
    results: array({
      topicId: uuid(),
      partitions: array({
        partition: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, default: null }),
      }),
    }),
  },
});
export type WriteShareGroupStateRequest = RequestOf<typeof WriteShareGroupState>;
export type WriteShareGroupStateRequestInput = RequestInputOf<typeof WriteShareGroupState>;
export type WriteShareGroupStateResponse = ResponseOf<typeof WriteShareGroupState>;
export type WriteShareGroupStateResponseInput = ResponseInputOf<typeof WriteShareGroupState>;
