// What the topic of groups must be set to, whoever makes or changes it. Invariant: no image has it with settings by which
// offsets go that nobody deleted; what older releases let in is read as if it were right.
// Kafka: GroupCoordinatorService.groupMetadataTopicConfigs, which holds for the topic that the broker makes itself.

import type { TopicImage } from "./image.ts";
import { GROUP_TOPIC } from "./topic_names.ts";

const POLICY = "cleanup.policy";
const COMPACT = "compact";
const BATCH_BYTES = "max.message.bytes";
/** A group with its members is one record, a commit one batch: with less, groups of a few dozen members cannot be written. */
const BATCH_BYTES_MIN = 65_536;

/** Settings that the topic has also where whoever makes it or replaces its settings does not name them. */
export const GROUP_TOPIC_CONFIGS: ReadonlyMap<string, string> = new Map([[POLICY, COMPACT]]);

/** Why a topic of this name may not be set so; null when it may. */
export function groupTopicFault(name: string, configs: ReadonlyMap<string, string>): string | null {
  if (name !== GROUP_TOPIC) return null;
  const policy = configs.get(POLICY);
  if (policy !== COMPACT) {
    const found = policy === undefined ? "unset" : `"${policy}"`;
    return `${POLICY} of ${name} must be ${COMPACT}, not ${found}: committed offsets would be deleted by their age or size`;
  }
  const batchBytes = configs.get(BATCH_BYTES);
  if (batchBytes !== undefined && Number(batchBytes) < BATCH_BYTES_MIN) {
    return `${BATCH_BYTES} of ${name} must be at least ${BATCH_BYTES_MIN}, not ${batchBytes}: a group is one record in it`;
  }
  return null;
}

/** A topic as it is held: that of groups without what may not be set on it. */
export function heldTopic(topic: TopicImage): TopicImage {
  if (groupTopicFault(topic.name, topic.configs) === null) return topic;
  const configs = new Map(topic.configs);
  for (const [name, text] of GROUP_TOPIC_CONFIGS) configs.set(name, text);
  if (groupTopicFault(topic.name, configs) !== null) configs.delete(BATCH_BYTES);
  return { ...topic, configs };
}
