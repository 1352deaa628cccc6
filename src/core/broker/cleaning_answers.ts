// What the cleaner can say of a topic, as DescribeConfigs tells it to whoever asks for it by name: one read-only row of JSON.
// Kafka's protocol has no request for it (there it is in JMX), and clients that know nothing of ours are not shown it.
// Invariant: the row is there only where it was named, so that lists of settings are Kafka's.

import type { DescribeConfigsRequest } from "../../protocol/messages/32_describe_configs.ts";
import { ConfigResource } from "../cluster/config_controller.ts";
import type { ApiContext } from "./api_context.ts";

/** The name to ask for, of a topic. */
export const CLEANING = "millrace.cleaning";

/** By topic name: for every resource of the request that asks for it, and is a compacted topic. */
export async function cleaningAsked(
  { cluster, partitions }: ApiContext,
  { resources }: DescribeConfigsRequest,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { resourceType, resourceName, configurationKeys } of resources) {
    if (resourceType !== ConfigResource.topic) continue;
    if (configurationKeys?.includes(CLEANING) !== true || found.has(resourceName)) continue;
    const topic = cluster.image.topicsByName.get(resourceName);
    if (topic === undefined || !cluster.topicSettings(topic).cleanupCompact) continue;
    found.set(resourceName, JSON.stringify(await partitions.cleaning(topic.id)));
  }
  return found;
}
