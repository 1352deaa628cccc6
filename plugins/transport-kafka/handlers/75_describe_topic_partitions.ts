// DescribeTopicPartitions, API key 75, version 0.
//
// Serves: topics page by page, with a cursor (KIP-966); the Java admin client describes topics by it.
// Limits: as core/broker serves them.
// Kafka: DescribeTopicPartitionsRequestHandler.

import { DescribeTopicPartitions } from "../../../src/protocol/messages/75_describe_topic_partitions.ts";
import { handlerOf } from "../handler.ts";

export const describeTopicPartitions = handlerOf<typeof DescribeTopicPartitions>({
  api: DescribeTopicPartitions,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.topics.describeTopicPartitions(caller, request, version),
    };
  },
});
