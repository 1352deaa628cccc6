// DescribeCluster, API key 60, versions 0–2.
//
// Serves: the cluster id, its controller and its brokers (KIP-700).
// Limits: controller endpoints are answered with mismatched_endpoint_type.
// v1: the endpoint type.   v2: fenced brokers.
// Kafka: KafkaApis.handleDescribeCluster.

import { DescribeCluster } from "../../../src/protocol/messages/60_describe_cluster.ts";
import { handlerOf } from "../handler.ts";

export const describeCluster = handlerOf<typeof DescribeCluster>({
  api: DescribeCluster,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.describeCluster(caller, request, version) };
  },
});
