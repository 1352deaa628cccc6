// TxnOffsetCommit, API key 28, versions 0–5.
//
// Serves: storing a group's offsets inside a transaction; v5 without AddOffsetsToTxn (KIP-890).
// Kafka: KafkaApis, TXN_OFFSET_COMMIT.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string } from "../schema.ts";

// v2: adds partitions.committedLeaderEpoch (request).
// v3: adds generationId, memberId, groupInstanceId (request); flexible.
// Unchanged on the wire: v1, v4, v5.
export const TxnOffsetCommit = api({
  apiKey: 28,
  name: "TxnOffsetCommit",
  versions: "0-5",
  flexible: "3+",
  request: {
    transactionalId: string(),
    groupId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    generationId: int32({ versions: "3+", default: -1 }),
    memberId: string({ versions: "3+" }),
    groupInstanceId: string({
      versions: "3+",
      nullable: true,
      default: null,
      about: "name of a static member (KIP-345); null for a dynamic one",
    }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32({ versions: "2+", default: -1, ignorable: true }),
        committedMetadata: string({ nullable: true }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
      }),
    }),
  },
});
export type TxnOffsetCommitRequest = RequestOf<typeof TxnOffsetCommit>;
export type TxnOffsetCommitRequestInput = RequestInputOf<typeof TxnOffsetCommit>;
export type TxnOffsetCommitResponse = ResponseOf<typeof TxnOffsetCommit>;
export type TxnOffsetCommitResponseInput = ResponseInputOf<typeof TxnOffsetCommit>;
