// ListTransactions, API key 66, versions 0–2.
//
// Serves: transactions by state and producer id, by age, by name.
// v1: only those that have run for so long.   v2: only those whose id matches an expression.
// Kafka: KafkaApis.handleListTransactionsRequest.

import { ListTransactions } from "../../../src/protocol/messages/66_list_transactions.ts";
import { handlerOf } from "../handler.ts";

export const listTransactions = handlerOf<typeof ListTransactions>({
  api: ListTransactions,
  overlap: "parallel",
  roundsBigints: true,
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.transactions.listTransactions(caller, request, version),
    };
  },
});
