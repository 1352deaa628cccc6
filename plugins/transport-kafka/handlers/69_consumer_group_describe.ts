// ConsumerGroupDescribe, API key 69, versions 0–1.
//
// Serves: state, members and assignments of consumer groups.
// v1: member types.
// Kafka: KafkaApis.handleConsumerGroupDescribe.

import { ConsumerGroupDescribe } from "../../../src/protocol/messages/69_consumer_group_describe.ts";
import { handlerOf } from "../handler.ts";

export const consumerGroupDescribe = handlerOf<typeof ConsumerGroupDescribe>({
  api: ConsumerGroupDescribe,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.groups.consumerGroupDescribe(caller, request, version),
    };
  },
});
