// AddOffsetsToTxn, API key 25, versions 0–4.
//
// Serves: taking a group's offsets into a transaction (KIP-98).
// Kafka: KafkaApis, ADD_OFFSETS_TO_TXN.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, int16, int32, int64, string } from "../schema.ts";

// v3: flexible.
// Unchanged on the wire: v1, v2, v4.
export const AddOffsetsToTxn = api({
  apiKey: 25,
  name: "AddOffsetsToTxn",
  versions: "0-4",
  flexible: "3+",
  request: {
    transactionalId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    groupId: string(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
  },
});
export type AddOffsetsToTxnRequest = RequestOf<typeof AddOffsetsToTxn>;
export type AddOffsetsToTxnRequestInput = RequestInputOf<typeof AddOffsetsToTxn>;
export type AddOffsetsToTxnResponse = ResponseOf<typeof AddOffsetsToTxn>;
export type AddOffsetsToTxnResponseInput = ResponseInputOf<typeof AddOffsetsToTxn>;
