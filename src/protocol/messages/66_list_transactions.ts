// ListTransactions, API key 66, versions 0–2.
//
// Serves: transactions by state, producer id, age (KIP-994) and name pattern (KIP-1152).
// Kafka: TransactionCoordinator.handleListTransactions.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string } from "../schema.ts";

// v1: adds durationFilter (request).
// v2: adds transactionalIdPattern (request).
export const ListTransactions = api({
  apiKey: 66,
  name: "ListTransactions",
  versions: "0-2",
  flexible: "0+",
  request: {
    stateFilters: array(string()),
    producerIdFilters: array(int64()),
    durationFilter: int64({ versions: "1+", default: -1 }),
    transactionalIdPattern: string({ versions: "2+", nullable: true, default: null }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    unknownStateFilters: array(string()),
    transactionStates: array({
      transactionalId: string(),
      producerId: int64(),
      transactionState: string(),
    }),
  },
});
export type ListTransactionsRequest = RequestOf<typeof ListTransactions>;
export type ListTransactionsRequestInput = RequestInputOf<typeof ListTransactions>;
export type ListTransactionsResponse = ResponseOf<typeof ListTransactions>;
export type ListTransactionsResponseInput = ResponseInputOf<typeof ListTransactions>;
