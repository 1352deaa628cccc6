// What a topic may be called. Invariant: a name that passes is safe in paths, metrics and keys.
// Kafka: org.apache.kafka.common.internals.Topic.

export const TOPIC_NAME_CHARACTERS_MAX = 249;

const ALLOWED = /^[a-zA-Z0-9._-]+$/;
/** Where groups and their offsets lie. */
export const GROUP_TOPIC = "__consumer_offsets";
/** Where transactional ids lie. */
export const TRANSACTION_TOPIC = "__transaction_state";
const INTERNAL: ReadonlySet<string> = new Set([
  GROUP_TOPIC,
  TRANSACTION_TOPIC,
  "__share_group_state",
]);

/** Kafka's own log of metadata: nobody may make a topic of that name. */
export const CLUSTER_METADATA_TOPIC = "__cluster_metadata";

/** Why `name` cannot be a topic's; null when it can. */
export function topicNameFault(name: string): string | null {
  if (name === "") return "Topic name is invalid: the empty string is not allowed";
  if (name === "." || name === "..") return `Topic name is invalid: "${name}" is not allowed`;
  if (name.length > TOPIC_NAME_CHARACTERS_MAX) {
    return `Topic name is invalid: it has ${name.length} characters, and may have ${TOPIC_NAME_CHARACTERS_MAX}`;
  }
  if (!ALLOWED.test(name)) {
    return `Topic name is invalid: "${name}" has characters other than ASCII letters, digits, ".", "_" and "-"`;
  }
  return null;
}

/** Two topics must not have one collision key: metrics names do not tell "." from "_". Null: the name cannot collide. */
export function collisionKey(name: string): string | null {
  if (!name.includes(".") && !name.includes("_")) return null;
  return name.replaceAll(".", "_");
}

/** Whether the broker itself makes and owns topics of this name. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL.has(name);
}
