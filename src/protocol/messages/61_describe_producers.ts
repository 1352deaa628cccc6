// DescribeProducers, API key 61, version 0.
//
// Serves: the producer state of partitions, to find hanging transactions (KIP-664).
// Kafka: ReplicaManager.activeProducerState.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string } from "../schema.ts";

export const DescribeProducers = api({
  apiKey: 61,
  name: "DescribeProducers",
  versions: "0",
  flexible: "0+",
  request: {
    topics: array({
      name: string(),
      partitionIndexes: array(int32()),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, default: null }),
        activeProducers: array({
          producerId: int64(),
          producerEpoch: int32(),
          lastSequence: int32({ default: -1 }),
          lastTimestamp: int64({ default: -1 }),
          coordinatorEpoch: int32(),
          currentTxnStartOffset: int64({ default: -1 }),
        }),
      }),
    }),
  },
});
export type DescribeProducersRequest = RequestOf<typeof DescribeProducers>;
export type DescribeProducersRequestInput = RequestInputOf<typeof DescribeProducers>;
export type DescribeProducersResponse = ResponseOf<typeof DescribeProducers>;
export type DescribeProducersResponseInput = ResponseInputOf<typeof DescribeProducers>;
