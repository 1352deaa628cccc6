// EndTxn, API key 26, versions 0–5.
//
// Serves: committing and aborting, answered once it is sure to happen.
// v2: producer_fenced is known.   v3: flexible.   v4: transaction_abortable.   v5: the answer has the next epoch (KIP-890).
// Kafka: KafkaApis.handleEndTxnRequest.

import { EndTxn } from "../../../src/protocol/messages/26_end_txn.ts";
import { handlerOf } from "../handler.ts";

export const endTxn = handlerOf<typeof EndTxn>({
  api: EndTxn,
  overlap: "serial",
  roundsBigints: true,
  async handle(context, caller, request, version) {
    return { response: await context.broker.transactions.endTxn(caller, request, version) };
  },
});
