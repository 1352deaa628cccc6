// ReadShareGroupStateSummary, API key 87, versions 0–1.
//
// Serves: start offset and epochs of share partitions, without the batches (KIP-932).
// Kafka: ShareCoordinatorService.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string, uuid } from "../schema.ts";

// v1: adds partitions.deliveryCompleteCount (response).
export const ReadShareGroupStateSummary = api({
  apiKey: 87,
  name: "ReadShareGroupStateSummary",
  versions: "0-1",
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
        leaderEpoch: int32(),
        startOffset: int64(),
        deliveryCompleteCount: int32({ versions: "1+", default: -1, ignorable: true }),
      }),
    }),
  },
});
export type ReadShareGroupStateSummaryRequest = RequestOf<typeof ReadShareGroupStateSummary>;
export type ReadShareGroupStateSummaryRequestInput = RequestInputOf<
  typeof ReadShareGroupStateSummary
>;
export type ReadShareGroupStateSummaryResponse = ResponseOf<typeof ReadShareGroupStateSummary>;
export type ReadShareGroupStateSummaryResponseInput = ResponseInputOf<
  typeof ReadShareGroupStateSummary
>;
