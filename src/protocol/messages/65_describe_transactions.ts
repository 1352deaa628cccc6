// DescribeTransactions, API key 65, version 0.
//
// Serves: the state of transactional ids (KIP-664).
// Kafka: TransactionCoordinator.handleDescribeTransactions.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string } from "../schema.ts";

export const DescribeTransactions = api({
  apiKey: 65,
  name: "DescribeTransactions",
  versions: "0",
  flexible: "0+",
  request: {
    transactionalIds: array(string()),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    transactionStates: array({
      errorCode: int16(),
      transactionalId: string(),
      transactionState: string(),
      transactionTimeoutMs: int32(),
      transactionStartTimeMs: int64(),
      producerId: int64(),
      producerEpoch: int16(),
      topics: array({
        topic: string(),
        partitions: array(int32()),
      }),
    }),
  },
});
export type DescribeTransactionsRequest = RequestOf<typeof DescribeTransactions>;
export type DescribeTransactionsRequestInput = RequestInputOf<typeof DescribeTransactions>;
export type DescribeTransactionsResponse = ResponseOf<typeof DescribeTransactions>;
export type DescribeTransactionsResponseInput = ResponseInputOf<typeof DescribeTransactions>;
