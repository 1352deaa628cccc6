// ConsumerGroupHeartbeat, API key 68, versions 0–1.
//
// Serves: all of membership in a consumer group (KIP-848).
// v1: the member makes its own id, and may subscribe to a regular expression.
// Kafka: KafkaApis.handleConsumerGroupHeartbeat.

import { ConsumerGroupHeartbeat } from "../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { handlerOf } from "../handler.ts";

export const consumerGroupHeartbeat = handlerOf<typeof ConsumerGroupHeartbeat>({
  api: ConsumerGroupHeartbeat,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.groups.consumerGroupHeartbeat(caller, request, version),
    };
  },
});
