// AddPartitionsToTxn, API key 24, versions 0–5.
//
// Serves: taking partitions into a transaction; from v4 several transactions, for brokers, and questions whether they were taken.
// v2: producer_fenced is known.   v3: flexible.   v4: batched, verifyOnly, an error for all.   v5: transaction_abortable.
// Kafka: KafkaApis.handleAddPartitionsToTxnRequest.

import { AddPartitionsToTxn } from "../../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { handlerOf } from "../handler.ts";

export const addPartitionsToTxn = handlerOf<typeof AddPartitionsToTxn>({
  api: AddPartitionsToTxn,
  overlap: "serial",
  roundsBigints: true,
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.transactions.addPartitionsToTxn(caller, request, version),
    };
  },
});
