// What a topic asks of its producers: how partitions are chosen, and how large a batch may be.
// Kafka: max.request.size, partitioner.class; there the topic has no say.

import { ClientError, isRetriable } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import { type Partitioner, type PartitionerChoice, partitionerFor } from "./partitioner.ts";

export interface TopicRules {
  partitioner: Partitioner | null;
  /** Why records without a partition cannot be placed. */
  partitionerError: ClientError | null;
  batchBytesMax: number;
}

/** Asks for them, where the producer leaves them to the topic. @throws {ClientError} what may pass */
export async function topicRules(
  { admin, runtime }: ClientContext,
  topic: string,
  options: { readonly partitioner: PartitionerChoice; readonly batchBytesMax: number },
): Promise<Partial<TopicRules>> {
  const rules: Partial<TopicRules> = {};
  let choice = options.partitioner;
  try {
    const names = ["max.message.bytes", "partitioner"];
    const configs = await admin.describeConfigs({ type: "topic", name: topic }, names);
    const settingOf = (name: string) => configs.find((each) => each.name === name)?.value ?? null;
    const messageBytesMax = Number(settingOf("max.message.bytes") ?? Number.POSITIVE_INFINITY);
    rules.batchBytesMax = Math.min(options.batchBytesMax, messageBytesMax);
    rules.partitionerError = null;
    // A broker that has no such setting is not ours: there Java's choice is everybody's.
    if (choice === "topic") choice = settingOf("partitioner") === "xxhash" ? "xxhash" : "murmur2";
  } catch (error) {
    if (!(error instanceof ClientError) || isRetriable(error)) throw error;
    if (choice === "topic" && error.code !== "unsupported_version") {
      return { partitionerError: error };
    }
    if (choice === "topic") choice = "murmur2";
  }
  rules.partitioner = partitionerFor(choice, topic, runtime.random);
  return rules;
}
