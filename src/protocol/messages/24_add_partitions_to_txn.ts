// AddPartitionsToTxn, API key 24, versions 0–5.
//
// Serves: taking partitions into a transaction; from v4 brokers only, batched and with verifyOnly
// (KIP-890).
// Kafka: KafkaApis, ADD_PARTITIONS_TO_TXN.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string } from "../schema.ts";

// v3: flexible.
// v4: adds transactions (request); drops v3AndBelowTransactionalId, v3AndBelowProducerId,
//   v3AndBelowProducerEpoch, v3AndBelowTopics (request); adds errorCode, resultsByTransaction
//   (response); drops resultsByTopicV3AndBelow (response).
// Unchanged on the wire: v1, v2, v5.
export const AddPartitionsToTxn = api({
  apiKey: 24,
  name: "AddPartitionsToTxn",
  versions: "0-5",
  flexible: "3+",
  request: {
    transactions: array(
      {
        transactionalId: string(),
        producerId: int64(),
        producerEpoch: int16(),
        verifyOnly: bool({ about: "only ask whether the partitions are in the transaction" }),
        topics: array({
          name: string(),
          partitions: array(int32()),
        }),
      },
      { versions: "4+" },
    ),
    v3AndBelowTransactionalId: string({ versions: "0-3" }),
    v3AndBelowProducerId: int64({ versions: "0-3" }),
    v3AndBelowProducerEpoch: int16({ versions: "0-3" }),
    v3AndBelowTopics: array(
      {
        name: string(),
        partitions: array(int32()),
      },
      { versions: "0-3" },
    ),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16({ versions: "4+", ignorable: true }),
    resultsByTransaction: array(
      {
        transactionalId: string(),
        topicResults: array({
          name: string(),
          resultsByPartition: array({
            partitionIndex: int32(),
            partitionErrorCode: int16(),
          }),
        }),
      },
      { versions: "4+" },
    ),
    resultsByTopicV3AndBelow: array(
      {
        name: string(),
        resultsByPartition: array({
          partitionIndex: int32(),
          partitionErrorCode: int16(),
        }),
      },
      { versions: "0-3" },
    ),
  },
});
export type AddPartitionsToTxnRequest = RequestOf<typeof AddPartitionsToTxn>;
export type AddPartitionsToTxnRequestInput = RequestInputOf<typeof AddPartitionsToTxn>;
export type AddPartitionsToTxnResponse = ResponseOf<typeof AddPartitionsToTxn>;
export type AddPartitionsToTxnResponseInput = ResponseInputOf<typeof AddPartitionsToTxn>;
