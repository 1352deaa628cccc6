// Decides on creating, deleting and growing topics: pure functions from the image and the request to what
// is committed and answered. Invariant: a topic's id, once used, belongs to that topic for ever.
// Kafka: ReplicationControlManager (createTopics, deleteTopics, createPartitions), ControllerApis.

import { topicSetting } from "../settings/definitions.ts";
import { checkTopicSetting, checkTopicTogether } from "../settings/setting_checks.ts";
import { coordinatorTopicFault, keptTopicConfigs } from "./coordinator_topics.ts";
import { type Change, type Decision, refused, type TopicDecision } from "./decision.ts";
import { encodeTopic, topicKey } from "./entries.ts";
import type { ClusterImage, TopicImage } from "./image.ts";
import type { TopicBlocks } from "./topic_blocks.ts";
import {
  CLUSTER_METADATA_TOPIC,
  collisionKey,
  isInternalTopic,
  topicNameFault,
} from "./topic_names.ts";

/** Most partitions of one topic: a bound against slips, far above what one broker serves. */
export const TOPIC_PARTITIONS_MAX = 1_000_000;

/** What the controller has to know beside the image. */
export interface ControllerContext {
  /** Ids of the brokers that are there. */
  readonly brokerIds: readonly number[];
  /** Whether a broker may be given replicas by hand: it was here, and was not unregistered. */
  isRegistered(brokerId: number): boolean;
  /** `num.partitions`. */
  readonly partitionCountDefault: number;
  /** `default.replication.factor`. */
  readonly replicationFactorDefault: number;
  /** `partitioner` for topics made without one; kept in the topic where it is not the table's default. */
  readonly partitionerDefault: string;
  /** `delete.topic.enable`. */
  readonly mayDeleteTopics: boolean;
  /** What makes and removes partitions where several brokers share the store; null where there is one broker. */
  readonly blocks: TopicBlocks | null;
  /** A fresh id, never used before. */
  newTopicId(): string;
  /** The value in force of a setting that a topic has none of its own for. */
  topicDefault(name: string): string | null;
}

export interface CreateTopicRequest {
  readonly name: string;
  /** -1: the default. */
  readonly numPartitions: number;
  /** -1: the default. */
  readonly replicationFactor: number;
  readonly assignments: readonly {
    readonly partitionIndex: number;
    readonly brokerIds: readonly number[];
  }[];
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
}

/** Decides on making a topic. With `validateOnly`, the topic as it would be, and nothing to commit. */
export function decideCreateTopic(
  image: ClusterImage,
  request: CreateTopicRequest,
  context: ControllerContext,
  validateOnly = false,
): TopicDecision {
  const { name } = request;
  const fault = topicNameFault(name);
  if (fault !== null) return refused("invalid_topic_exception", fault);
  if (name === CLUSTER_METADATA_TOPIC) {
    return refused("topic_authorization_failed", `Nobody may make the topic "${name}"`);
  }
  if (image.topicsByName.has(name)) {
    return refused("topic_already_exists", `Topic "${name}" already exists`);
  }
  const collision = collisionKey(name);
  const other = collision === null ? undefined : image.topicsByCollisionKey.get(collision);
  if (other !== undefined) {
    return refused(
      "invalid_topic_exception",
      `Topic "${name}" collides with the existing topic "${other}": "." and "_" are one in metrics`,
    );
  }
  const configs = readTopicConfigs(name, request.configs, context);
  if (!configs.ok) return configs;
  const shape = shapeOf(request, context);
  if (!shape.ok) return shape;

  const topic: TopicImage = {
    name,
    id: context.newTopicId(),
    ...shape.value,
    configs: configs.value,
    leaderEpoch: 0,
    isInternal: isInternalTopic(name),
    revision: 0,
  };
  if (validateOnly) return { ok: true, value: topic, change: null };
  const key = topicKey(name);
  const change: Change = {
    conditions: [{ key, revision: 0 }],
    writes: [{ key, value: encodeTopic(topic) }],
    locks: collision === null ? [] : [collision],
  };
  if (context.blocks === null) return { ok: true, value: topic, change };
  const assignments = [...request.assignments]
    .sort((a, b) => a.partitionIndex - b.partitionIndex)
    .map(({ brokerIds }) => brokerIds);
  return context.blocks.grow(image, topic, 0, assignments.length > 0 ? assignments : null, change);
}

function readTopicConfigs(
  topic: string,
  given: CreateTopicRequest["configs"],
  context: ControllerContext,
): Decision<ReadonlyMap<string, string>> {
  const configs = new Map<string, string>(keptTopicConfigs(topic));
  for (const { name, value } of given) {
    if (value === null) {
      return refused("invalid_config", `Null value not supported for topic configs: ${name}`);
    }
    const checked = checkTopicSetting(name, value);
    if (!checked.ok) return refused("invalid_config", checked.message);
    configs.set(name, checked.text);
  }
  const fault =
    checkTopicTogether(configs, context.topicDefault) ?? coordinatorTopicFault(topic, configs);
  if (fault !== null) return refused("invalid_config", fault);
  const { partitionerDefault } = context;
  if (
    !configs.has("partitioner") &&
    partitionerDefault !== topicSetting("partitioner")?.defaultText
  ) {
    configs.set("partitioner", partitionerDefault);
  }
  return { ok: true, value: configs, change: null };
}

interface Shape {
  readonly partitionCount: number;
  readonly replicationFactor: number;
}

function shapeOf(request: CreateTopicRequest, context: ControllerContext): Decision<Shape> {
  const { numPartitions, replicationFactor, assignments } = request;
  if (assignments.length > 0) {
    if (replicationFactor !== -1) {
      return refused(
        "invalid_request",
        "Replicas were assigned by hand, so the replication factor must be -1",
      );
    }
    if (numPartitions !== -1) {
      return refused(
        "invalid_request",
        "Replicas were assigned by hand, so the number of partitions must be -1",
      );
    }
    return assignedShape(assignments, context);
  }
  if (replicationFactor < -1 || replicationFactor === 0) {
    return refused(
      "invalid_replication_factor",
      `The replication factor must be larger than 0, or -1 for the default: it is ${replicationFactor}`,
    );
  }
  if (numPartitions < -1 || numPartitions === 0) {
    return refused(
      "invalid_partitions",
      `The number of partitions must be larger than 0, or -1 for the default: it is ${numPartitions}`,
    );
  }
  const partitionCount = numPartitions === -1 ? context.partitionCountDefault : numPartitions;
  const factor = replicationFactor === -1 ? context.replicationFactorDefault : replicationFactor;
  if (partitionCount > TOPIC_PARTITIONS_MAX) return tooManyPartitions(partitionCount);
  const brokerCount = context.brokerIds.length;
  if (factor > brokerCount) {
    return refused(
      "invalid_replication_factor",
      `Cannot place ${factor} replicas of each partition as ${brokerCount} broker(s) are registered`,
    );
  }
  return { ok: true, value: { partitionCount, replicationFactor: factor }, change: null };
}

function assignedShape(
  assignments: CreateTopicRequest["assignments"],
  context: ControllerContext,
): Decision<Shape> {
  const indexes = new Set<number>();
  const replicationFactor = assignments[0]!.brokerIds.length;
  for (const { partitionIndex, brokerIds } of assignments) {
    if (indexes.has(partitionIndex)) {
      return refused(
        "invalid_replica_assignment",
        `Replicas of partition ${partitionIndex} were assigned more than once`,
      );
    }
    indexes.add(partitionIndex);
    const fault = replicasFault(brokerIds, replicationFactor, context);
    if (fault !== null) return refused("invalid_replica_assignment", fault);
  }
  for (let index = 0; index < assignments.length; index++) {
    if (!indexes.has(index)) {
      return refused(
        "invalid_replica_assignment",
        `Partitions must be numbered from 0 without holes: ${index} is missing`,
      );
    }
  }
  if (assignments.length > TOPIC_PARTITIONS_MAX) return tooManyPartitions(assignments.length);
  return {
    ok: true,
    value: { partitionCount: assignments.length, replicationFactor },
    change: null,
  };
}

/** What is wrong with the replicas assigned to one partition; null when nothing is. */
function replicasFault(
  brokerIds: readonly number[],
  replicationFactor: number,
  context: ControllerContext,
): string | null {
  if (brokerIds.length === 0) return "The assignment has an empty list of replicas";
  const seen = new Set<number>();
  for (const id of brokerIds) {
    if (!context.isRegistered(id)) {
      return `The assignment names broker ${id}, which is not registered`;
    }
    if (seen.has(id)) return `The assignment names broker ${id} more than once for one partition`;
    seen.add(id);
  }
  if (brokerIds.length !== replicationFactor) {
    return `The assignment gives one partition ${brokerIds.length} replica(s) and another ${replicationFactor}`;
  }
  return null;
}

function tooManyPartitions(count: number): {
  readonly ok: false;
  readonly refusal: { readonly code: "policy_violation"; readonly message: string };
} {
  return {
    ok: false,
    refusal: {
      code: "policy_violation",
      message: `A topic may have ${TOPIC_PARTITIONS_MAX} partitions: ${count} were asked for`,
    },
  };
}

/** Decides on deleting a topic. The value is the topic as it was. */
export function decideDeleteTopic(
  image: ClusterImage,
  by: { readonly name: string } | { readonly id: string },
  context: ControllerContext,
): TopicDecision {
  if (!context.mayDeleteTopics) {
    return refused(
      "topic_deletion_disabled",
      "Topics cannot be deleted as delete.topic.enable is false",
    );
  }
  const topic = "name" in by ? image.topicsByName.get(by.name) : image.topicsById.get(by.id);
  if (topic === undefined) {
    return "name" in by
      ? refused("unknown_topic_or_partition", "There is no such topic")
      : refused("unknown_topic_id", "There is no topic of this id");
  }
  const key = topicKey(topic.name);
  const change: Change = {
    conditions: [{ key, revision: topic.revision }],
    writes: [{ key, value: null }],
    locks: [],
  };
  return {
    ok: true,
    value: topic,
    change: context.blocks === null ? change : context.blocks.delete(image, topic, change),
  };
}

export interface CreatePartitionsOfTopic {
  readonly name: string;
  /** The number wanted in all. */
  readonly count: number;
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null;
}

/** Decides on growing a topic. The value is the topic as it will be. */
export function decideCreatePartitions(
  image: ClusterImage,
  request: CreatePartitionsOfTopic,
  context: ControllerContext,
  validateOnly = false,
): TopicDecision {
  const topic = image.topicsByName.get(request.name);
  if (topic === undefined) return refused("unknown_topic_or_partition", null);
  // Kafka lets it happen: what belongs to a name is then looked for in another partition, and groups have lost their offsets.
  if (topic.isInternal) {
    return refused(
      "policy_violation",
      `Topic "${topic.name}" is the broker's own: it keeps the partitions that it was made with`,
    );
  }
  const { count } = request;
  const have = topic.partitionCount;
  if (count === have) {
    return refused("invalid_partitions", `Topic "${topic.name}" already has ${have} partition(s)`);
  }
  if (count < have) {
    return refused(
      "invalid_partitions",
      `Topic "${topic.name}" has ${have} partition(s): ${count} would not be an increase`,
    );
  }
  if (count > TOPIC_PARTITIONS_MAX) return tooManyPartitions(count);
  if (request.assignments !== null) {
    if (request.assignments.length !== count - have) {
      return refused(
        "invalid_replica_assignment",
        `The assignment is for ${request.assignments.length} partition(s), and ${count - have} would be added`,
      );
    }
    for (const { brokerIds } of request.assignments) {
      const fault = replicasFault(brokerIds, topic.replicationFactor, context);
      if (fault !== null) return refused("invalid_replica_assignment", fault);
    }
  }
  const grown: TopicImage = { ...topic, partitionCount: count };
  const change = validateOnly ? null : replaceTopic(topic, grown);
  if (context.blocks === null || change === null) return { ok: true, value: grown, change };
  const assignments = request.assignments?.map(({ brokerIds }) => brokerIds) ?? null;
  return context.blocks.grow(image, grown, have, assignments, change);
}

/** The change that puts `after` in the place of `before`. */
export function replaceTopic(before: TopicImage, after: TopicImage): Change {
  const key = topicKey(before.name);
  return {
    conditions: [{ key, revision: before.revision }],
    writes: [{ key, value: encodeTopic(after) }],
    locks: [],
  };
}
