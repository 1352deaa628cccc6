// DescribeProducers, API key 61, version 0.
//
// Serves: the producers whose sequences a partition remembers (KIP-664).
// Limits: as core/broker serves them.
// Kafka: KafkaApis.handleDescribeProducersRequest.

import { DescribeProducers } from "../../../src/protocol/messages/61_describe_producers.ts";
import { handlerOf } from "../handler.ts";

export const describeProducers = handlerOf<typeof DescribeProducers>({
  api: DescribeProducers,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.describeProducers(caller, request, version) };
  },
});
