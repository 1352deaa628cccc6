// Metadata, API key 3, versions 0–13.
//
// Serves: brokers, the controller, topics and their partitions; creates missing topics where that is on.
// Limits: the addresses are those advertised on the listener the request came in by.
// v0: an empty list means all topics.   v1: null means all.   v4: auto creation may be declined.
// v9: flexible.   v10: topic ids.   v12: a topic by id alone.   v13: a top-level error code.
// Kafka: KafkaApis.handleTopicMetadataRequest.

import { Metadata } from "../../../src/protocol/messages/03_metadata.ts";
import { handlerOf } from "../handler.ts";

export const metadata = handlerOf<typeof Metadata>({
  api: Metadata,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return { response: await context.broker.topics.metadata(caller, request, version) };
  },
});
