// Answers about topics and brokers out of the image: Metadata, DescribeTopicPartitions, DescribeCluster.
// Invariant: the addresses told are those of the listener the caller came in by.
// Kafka: KafkaApis.handleTopicMetadataRequest, DescribeTopicPartitionsRequestHandler, AuthHelper.

import { ZERO_UUID } from "../../base/uuid.ts";
import type { Caller } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type { MetadataRequest, MetadataResponse } from "../../protocol/messages/03_metadata.ts";
import type {
  DescribeClusterRequest,
  DescribeClusterResponse,
} from "../../protocol/messages/60_describe_cluster.ts";
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from "../../protocol/messages/75_describe_topic_partitions.ts";
import type { ClusterImage, PartitionImage, TopicImage } from "../cluster/image.ts";
import { isInternalTopic, topicNameFault } from "../cluster/topic_names.ts";
import {
  type ApiContext,
  brokersFor,
  CLUSTER_OPERATIONS,
  controllerIdOf,
  OPERATIONS_NOT_ASKED,
  settled,
  TOPIC_OPERATIONS,
} from "./api_context.ts";

type MetadataTopic = MetadataResponse["topics"][number];
type MetadataPartition = MetadataTopic["partitions"][number];

const NO_NODES: readonly number[] = [];
/** First version in which a topic without a name may be answered with a null name. */
const NULL_NAME_FROM = 12;
const ENDPOINT_BROKERS = 1;
const ENDPOINT_CONTROLLERS = 2;

/** Answers Metadata; topics that are missing, and may be made by being asked for, are made first. */
export async function answerMetadata(
  context: ApiContext,
  caller: Caller,
  request: MetadataRequest,
  version: number,
): Promise<MetadataResponse> {
  const { topics: asked } = request;
  if (asked?.some((topic) => topic.name === null && topic.topicId === ZERO_UUID)) {
    return nothingNamed(asked);
  }
  const isAll = asked === null || (version === 0 && asked.length === 0);
  const failures = isAll ? NO_FAILURES : await makeMissing(context, asked, request);

  const { image } = context.cluster;
  const rows = new PartitionRows(context);
  const operations =
    version >= 8 && request.includeTopicAuthorizedOperations
      ? TOPIC_OPERATIONS
      : OPERATIONS_NOT_ASKED;
  const topics: MetadataTopic[] = [];
  if (isAll) {
    for (const topic of image.topicsByName.values()) topics.push(rows.topic(topic, operations));
  } else {
    const seen = new Set<string>();
    for (const { name, topicId } of asked) {
      const isById = topicId !== ZERO_UUID;
      const key = isById ? topicId : `/${name}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const topic = isById ? image.topicsById.get(topicId) : image.topicsByName.get(name!);
      if (topic !== undefined) {
        topics.push(rows.topic(topic, operations));
        continue;
      }
      const code: KafkaErrorName = isById
        ? "unknown_topic_id"
        : (failures.get(name!) ?? nameFaultCode(name!));
      topics.push({
        errorCode: wireCodeOf(code),
        name: isById ? (version >= NULL_NAME_FROM ? null : "") : name,
        topicId,
        isInternal: !isById && isInternalTopic(name!),
        partitions: [],
        topicAuthorizedOperations: operations,
      });
    }
  }
  return {
    throttleTimeMs: 0,
    brokers: brokersFor(context, caller).map(({ id, host, port, rack }) => ({
      nodeId: id,
      host,
      port,
      rack,
    })),
    clusterId: context.cluster.clusterId,
    controllerId: controllerIdOf(context),
    topics,
    clusterAuthorizedOperations:
      version >= 8 && version <= 10 && request.includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : OPERATIONS_NOT_ASKED,
    errorCode: NONE,
  };
}

const NO_FAILURES: ReadonlyMap<string, KafkaErrorName> = new Map();

function nameFaultCode(name: string): KafkaErrorName {
  return topicNameFault(name) === null ? "unknown_topic_or_partition" : "invalid_topic_exception";
}

/** Makes the topics that are named and missing, where that is allowed. @returns why some were not made */
async function makeMissing(
  context: ApiContext,
  asked: NonNullable<MetadataRequest["topics"]>,
  request: MetadataRequest,
): Promise<ReadonlyMap<string, KafkaErrorName>> {
  if (!request.allowAutoTopicCreation) return NO_FAILURES;
  const { topicsByName } = context.cluster.image;
  const missing = new Set<string>();
  for (const { name, topicId } of asked) {
    if (topicId !== ZERO_UUID || name === null || topicsByName.has(name)) continue;
    // Internal topics are made by the rooms that own them, with settings of their own.
    if (!isInternalTopic(name) && topicNameFault(name) === null) missing.add(name);
  }
  if (missing.size === 0 || !context.settings.boolean("auto.create.topics.enable")) {
    return NO_FAILURES;
  }
  const failures = new Map<string, KafkaErrorName>();
  await Promise.all(
    [...missing].map(async (name) => {
      const request = {
        name,
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [],
        configs: [],
      };
      const decision = await settled(
        context,
        "auto_create_topic",
        context.cluster.createTopic(request),
      );
      if (decision.ok) {
        context.runtime.log.info("topic_auto_created", { topic: name, id: decision.value.id });
        return;
      }
      const { code } = decision.refusal;
      if (code === "topic_already_exists") return;
      // A client asks again for a leader that is not there yet, and gives up on most other codes.
      failures.set(name, code === "request_timed_out" ? "leader_not_available" : code);
    }),
  );
  return failures;
}

/** A topic with neither name nor id: the real broker answers as if all had failed. */
function nothingNamed(asked: NonNullable<MetadataRequest["topics"]>): MetadataResponse {
  const errorCode = wireCodeOf("unknown_server_error");
  return {
    throttleTimeMs: 0,
    brokers: [],
    clusterId: null,
    controllerId: -1,
    topics: asked.map(({ name, topicId }) => ({
      errorCode,
      name: name ?? "",
      topicId,
      isInternal: false,
      partitions: [],
      topicAuthorizedOperations: OPERATIONS_NOT_ASKED,
    })),
    clusterAuthorizedOperations: OPERATIONS_NOT_ASKED,
    errorCode,
  };
}

/** Makes rows of partitions; what is the same in all of them is shared. */
class PartitionRows {
  readonly #image: ClusterImage;
  readonly #nodes: readonly number[];
  readonly #leaderId: number;
  readonly #inSync: readonly number[];
  readonly #offline: readonly number[];
  readonly #errorCode: number;

  constructor(context: ApiContext) {
    const { isOnline } = context.partitions;
    this.#image = context.cluster.image;
    this.#nodes = [context.brokerId];
    this.#leaderId = isOnline ? context.brokerId : -1;
    this.#inSync = isOnline ? this.#nodes : NO_NODES;
    this.#offline = isOnline ? NO_NODES : this.#nodes;
    this.#errorCode = isOnline ? NONE : wireCodeOf("leader_not_available");
  }

  row(topic: TopicImage, partitionIndex: number): MetadataPartition {
    const partition = this.#image.partitions.get(topic.id)?.[partitionIndex];
    if (partition !== undefined) return this.#replicated(partition, partitionIndex);
    return {
      errorCode: this.#errorCode,
      partitionIndex,
      leaderId: this.#leaderId,
      leaderEpoch: topic.leaderEpoch,
      replicaNodes: this.#nodes,
      isrNodes: this.#inSync,
      offlineReplicas: this.#offline,
    };
  }

  /** Eligible leader replicas (KIP-966). */
  elr(topic: TopicImage, partitionIndex: number): readonly number[] {
    return this.#image.partitions.get(topic.id)?.[partitionIndex]?.elr ?? NO_NODES;
  }

  #replicated(partition: PartitionImage, partitionIndex: number): MetadataPartition {
    const { brokers } = this.#image;
    const { leader, leaderEpoch, replicas, isr } = partition;
    // A leader whose registration has gone leads until the controller has seen it: clients are to wait, not to try.
    const isLed = leader >= 0 && brokers.has(leader);
    return {
      errorCode: isLed ? NONE : wireCodeOf("leader_not_available"),
      partitionIndex,
      leaderId: isLed ? leader : -1,
      leaderEpoch,
      replicaNodes: replicas,
      isrNodes: isr,
      offlineReplicas: replicas.filter((id) => !brokers.has(id)),
    };
  }

  topic(topic: TopicImage, topicAuthorizedOperations: number): MetadataTopic {
    const partitions: MetadataPartition[] = [];
    for (let index = 0; index < topic.partitionCount; index++) {
      partitions.push(this.row(topic, index));
    }
    return {
      errorCode: NONE,
      name: topic.name,
      topicId: topic.id,
      isInternal: topic.isInternal,
      partitions,
      topicAuthorizedOperations,
    };
  }
}

/** Answers DescribeTopicPartitions: topics in ascending order, so many partitions a page. */
export function answerTopicPartitions(
  context: ApiContext,
  request: DescribeTopicPartitionsRequest,
): DescribeTopicPartitionsResponse {
  const { topicsByName } = context.cluster.image;
  const { cursor } = request;
  const isAll = request.topics.length === 0;
  const named = isAll ? topicsByName.keys() : request.topics.map((topic) => topic.name);
  let names = [...new Set(named)].sort();
  if (cursor !== null) names = names.filter((name) => name >= cursor.topicName);
  const pageMax = context.settings.number("max.request.partition.size.limit");
  let left = Math.max(1, Math.min(pageMax, request.responsePartitionLimit));

  const rows = new PartitionRows(context);
  const topics: DescribeTopicPartitionsResponse["topics"][number][] = [];
  let nextCursor: DescribeTopicPartitionsResponse["nextCursor"] = null;
  for (const name of names) {
    const topic = topicsByName.get(name);
    const first = cursor !== null && cursor.topicName === name ? cursor.partitionIndex : 0;
    if (topic === undefined || first < 0) {
      const code = topic === undefined ? nameFaultCode(name) : "invalid_request";
      topics.push({
        errorCode: wireCodeOf(code),
        name,
        topicId: ZERO_UUID,
        isInternal: isInternalTopic(name),
        partitions: [],
        topicAuthorizedOperations: TOPIC_OPERATIONS,
      });
      continue;
    }
    if (left === 0) {
      nextCursor = { topicName: name, partitionIndex: 0 };
      break;
    }
    const end = Math.min(topic.partitionCount, first + left);
    const partitions = [];
    for (let index = first; index < end; index++) {
      partitions.push({
        ...rows.row(topic, index),
        eligibleLeaderReplicas: rows.elr(topic, index),
        lastKnownElr: NO_NODES,
      });
    }
    left -= partitions.length;
    topics.push({
      errorCode: NONE,
      name,
      topicId: topic.id,
      isInternal: topic.isInternal,
      partitions,
      topicAuthorizedOperations: TOPIC_OPERATIONS,
    });
    if (end < topic.partitionCount) {
      nextCursor = { topicName: name, partitionIndex: end };
      break;
    }
  }
  return { throttleTimeMs: 0, topics, nextCursor };
}

/** Answers DescribeCluster. Every broker here may be the controller, so only brokers' addresses are told. */
export function answerCluster(
  context: ApiContext,
  caller: Caller,
  request: DescribeClusterRequest,
): DescribeClusterResponse {
  const clusterAuthorizedOperations = request.includeClusterAuthorizedOperations
    ? CLUSTER_OPERATIONS
    : OPERATIONS_NOT_ASKED;
  if (request.endpointType !== ENDPOINT_BROKERS) {
    const isController = request.endpointType === ENDPOINT_CONTROLLERS;
    return {
      throttleTimeMs: 0,
      errorCode: wireCodeOf(
        isController ? "mismatched_endpoint_type" : "unsupported_endpoint_type",
      ),
      errorMessage: isController
        ? "The request came to a broker, and asks for controllers"
        : `There is no endpoint type ${request.endpointType}`,
      endpointType: ENDPOINT_BROKERS,
      clusterId: "",
      controllerId: -1,
      brokers: [],
      clusterAuthorizedOperations: OPERATIONS_NOT_ASKED,
    };
  }
  return {
    throttleTimeMs: 0,
    errorCode: NONE,
    errorMessage: null,
    endpointType: ENDPOINT_BROKERS,
    clusterId: context.cluster.clusterId,
    controllerId: controllerIdOf(context),
    brokers: [
      ...brokersFor(context, caller).map(({ id, host, port, rack }) => ({
        brokerId: id,
        host,
        port,
        rack,
        isFenced: false,
      })),
      ...(request.includeFencedBrokers ? fencedRows(context.cluster.image) : []),
    ],
    clusterAuthorizedOperations,
  };
}

/** Brokers that have registered and do not live: where they were reached is not kept. */
function fencedRows({ brokers, knownBrokers }: ClusterImage) {
  return [...knownBrokers.values()]
    .filter(({ id }) => !brokers.has(id))
    .map(({ id, rack }) => ({ brokerId: id, host: "", port: -1, rack, isFenced: true }));
}
