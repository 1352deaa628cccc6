// ReadShareGroupState, API key 84, version 0.
//
// Serves: the state of share partitions (KIP-932). From the share leader to the share coordinator.
// Kafka: ShareCoordinatorService.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, int64, string, uuid } from "../schema.ts";

export const ReadShareGroupState = api({
  apiKey: 84,
  name: "ReadShareGroupState",
  versions: "0",
  flexible: "0+",
  request: {
    groupId: string(),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partition: int32(),
        leaderEpoch: int32(),
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
        stateEpoch: int32(),
        startOffset: int64(),
        stateBatches: array({
          firstOffset: int64(),
          lastOffset: int64(),
          deliveryState: int8({ about: "0 available, 1 acquired, 2 acknowledged, 4 archived" }),
          deliveryCount: int16(),
        }),
      }),
    }),
  },
});
export type ReadShareGroupStateRequest = RequestOf<typeof ReadShareGroupState>;
export type ReadShareGroupStateRequestInput = RequestInputOf<typeof ReadShareGroupState>;
export type ReadShareGroupStateResponse = ResponseOf<typeof ReadShareGroupState>;
export type ReadShareGroupStateResponseInput = ResponseInputOf<typeof ReadShareGroupState>;
