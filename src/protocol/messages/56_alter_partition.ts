// AlterPartition, API key 56, versions 2–3.
//
// Serves: leaders proposing a new ISR to the controller (KIP-497).
// Kafka: ReplicationControlManager.alterPartition.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, int64, uuid } from "../schema.ts";

// v3: adds partitions.newIsrWithEpochs (request); drops partitions.newIsr (request).
export const AlterPartition = api({
  apiKey: 56,
  name: "AlterPartition",
  versions: "2-3",
  flexible: "2+",
  request: {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    topics: array({
      topicId: uuid({ ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        leaderEpoch: int32(),
        newIsr: array(int32(), { versions: "2" }),
        newIsrWithEpochs: array(
          {
            brokerId: int32(),
            brokerEpoch: int64({ default: -1 }),
          },
          { versions: "3+" },
        ),
        leaderRecoveryState: int8(),
        partitionEpoch: int32(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    topics: array({
      topicId: uuid({ ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        leaderId: int32(),
        leaderEpoch: int32(),
        isr: array(int32()),
        leaderRecoveryState: int8({ ignorable: true }),
        partitionEpoch: int32(),
      }),
    }),
  },
});
export type AlterPartitionRequest = RequestOf<typeof AlterPartition>;
export type AlterPartitionRequestInput = RequestInputOf<typeof AlterPartition>;
export type AlterPartitionResponse = ResponseOf<typeof AlterPartition>;
export type AlterPartitionResponseInput = ResponseInputOf<typeof AlterPartition>;
