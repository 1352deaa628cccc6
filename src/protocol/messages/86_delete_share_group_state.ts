// DeleteShareGroupState, API key 86, version 0.
//
// Serves: forgetting the state of share partitions (KIP-932).
// Kafka: ShareCoordinatorService.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, uuid } from "../schema.ts";

export const DeleteShareGroupState = api({
  apiKey: 86,
  name: "DeleteShareGroupState",
  versions: "0",
  flexible: "0+",
  request: {
    groupId: string(),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partition: int32(),
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
export type DeleteShareGroupStateRequest = RequestOf<typeof DeleteShareGroupState>;
export type DeleteShareGroupStateRequestInput = RequestInputOf<typeof DeleteShareGroupState>;
export type DeleteShareGroupStateResponse = ResponseOf<typeof DeleteShareGroupState>;
export type DeleteShareGroupStateResponseInput = ResponseInputOf<typeof DeleteShareGroupState>;
