// Transactions in __transaction_state. Kafka: TransactionLog.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, int8, int16, int32, int64, message, string } from "../schema.ts";

export const TransactionLogKey = message({
  name: "TransactionLogKey",
  versions: "0",
  recordType: 0,
  fields: {
    transactionalId: string(),
  },
});
export type TransactionLogKey = MessageOf<typeof TransactionLogKey>;
export type TransactionLogKeyInput = MessageInputOf<typeof TransactionLogKey>;

// v1: adds previousProducerId, nextProducerId, nextProducerEpoch, clientTransactionVersion;
// flexible.
export const TransactionLogValue = message({
  name: "TransactionLogValue",
  versions: "0-1",
  flexible: "1+",
  recordType: 0,
  fields: {
    producerId: int64(),
    previousProducerId: int64({ versions: "1+", tag: 0, default: -1 }),
    nextProducerId: int64({ versions: "1+", tag: 1, default: -1 }),
    producerEpoch: int16(),
    nextProducerEpoch: int16({ versions: "1+", tag: 3, default: -1 }),
    transactionTimeoutMs: int32(),
    transactionStatus: int8(),
    transactionPartitions: array(
      {
        topic: string(),
        partitionIds: array(int32()),
      },
      { nullable: true },
    ),
    transactionLastUpdateTimestampMs: int64(),
    transactionStartTimestampMs: int64(),
    clientTransactionVersion: int16({ versions: "1+", tag: 2 }),
  },
});
export type TransactionLogValue = MessageOf<typeof TransactionLogValue>;
export type TransactionLogValueInput = MessageInputOf<typeof TransactionLogValue>;
