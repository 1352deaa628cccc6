// InitializeShareGroupState, API key 83, version 0.
//
// Serves: starting the state of share partitions (KIP-932). From the group to the share
// coordinator.
// Kafka: ShareCoordinatorService.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string, uuid } from "../schema.ts";

export const InitializeShareGroupState = api({
  apiKey: 83,
  name: "InitializeShareGroupState",
  versions: "0",
  flexible: "0+",
  request: {
    groupId: string(),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partition: int32(),
        stateEpoch: int32(),
        startOffset: int64(),
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
export type InitializeShareGroupStateRequest = RequestOf<typeof InitializeShareGroupState>;
export type InitializeShareGroupStateRequestInput = RequestInputOf<
  typeof InitializeShareGroupState
>;
export type InitializeShareGroupStateResponse = ResponseOf<typeof InitializeShareGroupState>;
export type InitializeShareGroupStateResponseInput = ResponseInputOf<
  typeof InitializeShareGroupState
>;
