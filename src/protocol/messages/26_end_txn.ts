// EndTxn, API key 26, versions 0–5.
//
// Serves: committing or aborting; from v5 the answer holds the next epoch (KIP-890).
// Kafka: TransactionCoordinator.handleEndTransaction.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bool, int16, int32, int64, string } from "../schema.ts";

// v3: flexible.
// v5: adds producerId, producerEpoch (response).
// Unchanged on the wire: v1, v2, v4.
export const EndTxn = api({
  apiKey: 26,
  name: "EndTxn",
  versions: "0-5",
  flexible: "3+",
  request: {
    transactionalId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    committed: bool(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    producerId: int64({ versions: "5+", default: -1, ignorable: true }),
    producerEpoch: int16({ versions: "5+", default: -1, ignorable: true }),
  },
});
export type EndTxnRequest = RequestOf<typeof EndTxn>;
export type EndTxnRequestInput = RequestInputOf<typeof EndTxn>;
export type EndTxnResponse = ResponseOf<typeof EndTxn>;
export type EndTxnResponseInput = ResponseInputOf<typeof EndTxn>;
