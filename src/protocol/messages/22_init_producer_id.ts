// InitProducerId, API key 22, versions 0–6.
//
// Serves: a producer id and epoch, for idempotence and transactions (KIP-98, KIP-360).
// Limits: v6 (two-phase commit, KIP-939) is unstable in 4.3 and not offered.
// Kafka: TransactionCoordinator.handleInitProducerId.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bool, int16, int32, int64, string } from "../schema.ts";

// v2: flexible.
// v3: adds producerId, producerEpoch (request).
// v6: adds enable2Pc, keepPreparedTxn (request); adds ongoingTxnProducerId, ongoingTxnProducerEpoch
//   (response).
// Unchanged on the wire: v1, v4, v5.
export const InitProducerId = api({
  apiKey: 22,
  name: "InitProducerId",
  versions: "0-6",
  flexible: "2+",
  latestVersionUnstable: true,
  request: {
    transactionalId: string({ nullable: true }),
    transactionTimeoutMs: int32(),
    producerId: int64({ versions: "3+", default: -1 }),
    producerEpoch: int16({ versions: "3+", default: -1 }),
    enable2Pc: bool({ versions: "6+" }),
    keepPreparedTxn: bool({ versions: "6+" }),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
    producerId: int64({ default: -1 }),
    producerEpoch: int16(),
    ongoingTxnProducerId: int64({ versions: "6+", default: -1 }),
    ongoingTxnProducerEpoch: int16({ versions: "6+", default: -1 }),
  },
});
export type InitProducerIdRequest = RequestOf<typeof InitProducerId>;
export type InitProducerIdRequestInput = RequestInputOf<typeof InitProducerId>;
export type InitProducerIdResponse = ResponseOf<typeof InitProducerId>;
export type InitProducerIdResponseInput = ResponseInputOf<typeof InitProducerId>;
