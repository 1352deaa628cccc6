// What a topic asks of its producers: how partitions are chosen, and how large a batch may be.
// Kafka: max.request.size, partitioner.class; there the topic has no say.

import { ClientError, isRetriable } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import type { TopicInfo } from "./metadata.ts";
import { type Partitioner, type PartitionerChoice, partitionerFor } from "./partitioner.ts";
import type { PartitionQueue } from "./producer_batch.ts";
import type { ProducerLine } from "./producer_line.ts";

export interface TopicRules {
  partitioner: Partitioner | null;
  /** Why records without a partition cannot be placed. */
  partitionerError: ClientError | null;
  batchBytesMax: number;
}

/** What a producer knows of a topic, and has for it. */
export interface TopicState extends TopicRules {
  readonly name: string;
  readonly queues: PartitionQueue[];
  readonly line: ProducerLine;
  isReady: boolean;
  loading: Promise<void> | null;
  /** Null before anything was learnt, and from brokers that have none. */
  topicId: string | null;
  partitionCount: number;
}

export function newTopic(name: string, line: ProducerLine, batchBytesMax: number): TopicState {
  return {
    name,
    queues: [],
    line,
    isReady: false,
    loading: null,
    topicId: null,
    partitionCount: 0,
    partitioner: null,
    partitionerError: null,
    batchBytesMax,
  };
}

/** Partitions may have been added since. @returns whether it is another topic of that name */
export function learn(topic: TopicState, { topicId, partitions }: TopicInfo): boolean {
  const isSame = topicId !== null && topic.topicId === topicId;
  const isOther = topicId !== null && topic.topicId !== null && !isSame;
  // Of one topic they never become fewer: a broker that says so is behind.
  topic.partitionCount = isSame
    ? Math.max(topic.partitionCount, partitions.length)
    : partitions.length;
  topic.topicId = topicId;
  return isOther;
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
