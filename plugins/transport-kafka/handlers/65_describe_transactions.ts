// DescribeTransactions, API key 65, version 0.
//
// Serves: the state of transactional ids (KIP-664).
// Kafka: KafkaApis.handleDescribeTransactionsRequest.

import { DescribeTransactions } from "../../../src/protocol/messages/65_describe_transactions.ts";
import { handlerOf } from "../handler.ts";

export const describeTransactions = handlerOf<typeof DescribeTransactions>({
  api: DescribeTransactions,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.transactions.describeTransactions(caller, request, version),
    };
  },
});
