// What the topics of coordinators must be set to, whoever makes or changes them. Invariant: no image has one with settings by
// which records go that nobody deleted; what older releases let in is read as if it were right.
// Kafka: GroupCoordinatorService.groupMetadataTopicConfigs and TransactionStateManager.transactionTopicConfigs, which hold for
// the topics that the broker makes itself.

import type { TopicImage } from "./image.ts";
import { GROUP_TOPIC, TRANSACTION_TOPIC } from "./topic_names.ts";

/** What such a topic keeps, for who is refused. */
const KEPT: ReadonlyMap<string, { readonly lost: string; readonly unit: string }> = new Map([
  [GROUP_TOPIC, { lost: "committed offsets", unit: "a group" }],
  [TRANSACTION_TOPIC, { lost: "transactional ids", unit: "a transaction" }],
]);

const POLICY = "cleanup.policy";
const COMPACT = "compact";
const BATCH_BYTES = "max.message.bytes";
/**
 * A group with its members is one record, a transaction with its partitions, a commit one batch: with less, groups of a few dozen
 * members cannot be written.
 */
const BATCH_BYTES_MIN = 65_536;

const CONFIGS: ReadonlyMap<string, string> = new Map([[POLICY, COMPACT]]);
const NO_CONFIGS: ReadonlyMap<string, string> = new Map();

/** Settings that the topic has also where whoever makes it or replaces its settings does not name them. */
export function keptTopicConfigs(name: string): ReadonlyMap<string, string> {
  return KEPT.has(name) ? CONFIGS : NO_CONFIGS;
}

/** Names of the topics that coordinators keep their state in. */
export function coordinatorTopics(): Iterable<string> {
  return KEPT.keys();
}

/** Why a topic of this name may not be set so; null when it may. */
export function coordinatorTopicFault(
  name: string,
  configs: ReadonlyMap<string, string>,
): string | null {
  const kept = KEPT.get(name);
  if (kept === undefined) return null;
  const policy = configs.get(POLICY);
  if (policy !== COMPACT) {
    const found = policy === undefined ? "unset" : `"${policy}"`;
    return `${POLICY} of ${name} must be ${COMPACT}, not ${found}: ${kept.lost} would be deleted by their age or size`;
  }
  const batchBytes = configs.get(BATCH_BYTES);
  if (batchBytes !== undefined && Number(batchBytes) < BATCH_BYTES_MIN) {
    return `${BATCH_BYTES} of ${name} must be at least ${BATCH_BYTES_MIN}, not ${batchBytes}: ${kept.unit} is one record in it`;
  }
  return null;
}

/** A topic as it is held: that of a coordinator without what may not be set on it. */
export function heldTopic(topic: TopicImage): TopicImage {
  if (coordinatorTopicFault(topic.name, topic.configs) === null) return topic;
  const configs = new Map(topic.configs);
  for (const [name, text] of CONFIGS) configs.set(name, text);
  if (coordinatorTopicFault(topic.name, configs) !== null) configs.delete(BATCH_BYTES);
  return { ...topic, configs };
}
