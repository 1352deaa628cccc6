// AddOffsetsToTxn, API key 25, versions 0–4.
//
// Serves: taking a group's offsets into a transaction.
// v2: producer_fenced is known.   v3: flexible.   v4: transaction_abortable.
// Kafka: KafkaApis.handleAddOffsetsToTxnRequest.

import { AddOffsetsToTxn } from "../../../src/protocol/messages/25_add_offsets_to_txn.ts";
import { handlerOf } from "../handler.ts";

export const addOffsetsToTxn = handlerOf<typeof AddOffsetsToTxn>({
  api: AddOffsetsToTxn,
  overlap: "serial",
  roundsBigints: true,
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.transactions.addOffsetsToTxn(caller, request, version),
    };
  },
});
