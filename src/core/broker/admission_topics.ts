// Admission of the topic APIs: operation and resource as Kafka asks them, API by API.
// Invariant: a topic that a caller may not describe is told apart from a missing one by nothing but the
// refusal; what is listed without being named is left out in silence.
// Kafka: KafkaApis.handleTopicMetadataRequest, handleDeleteRecordsRequest; ControllerApis.

import { ZERO_UUID } from "../../base/uuid.ts";
import type { Broker, Caller, TopicApi } from "../../contracts/broker.ts";
import { NONE, wireCodeOf } from "../../protocol/errors.ts";
import type { MetadataRequest, MetadataResponse } from "../../protocol/messages/03_metadata.ts";
import type {
  CreateTopicsRequest,
  CreateTopicsResponse,
} from "../../protocol/messages/19_create_topics.ts";
import type {
  DeleteTopicsRequest,
  DeleteTopicsResponse,
} from "../../protocol/messages/20_delete_topics.ts";
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from "../../protocol/messages/75_describe_topic_partitions.ts";
import { isInternalTopic } from "../cluster/topic_names.ts";
import type { Gate } from "./admission_gate.ts";
import { OPERATIONS_NOT_ASKED } from "./api_context.ts";

const DENIED = wireCodeOf("topic_authorization_failed");
const DENIED_TEXT = "Not allowed on this topic";
/** First version in which a null name may be answered. */
const NULL_NAME_FROM = 12;

/** The topic half of a broker, admitted. */
export function admitTopics(
  broker: Broker,
  gate: Gate,
  topicNames: () => Iterable<string>,
): TopicApi {
  const { topics } = broker;
  return {
    metadata: (caller, request, version) => metadata(broker, gate, caller, request, version),
    createTopics: (caller, request, version) =>
      createTopics(topics, gate, caller, request, version),
    deleteTopics: (caller, request, version) =>
      deleteTopics(broker, gate, caller, request, version),
    async createPartitions(caller, request, version) {
      const names = request.topics.map((topic) => topic.name);
      const allowed = gate.allowed(caller, "alter", "topic", names);
      const open = request.topics.filter((topic) => allowed.has(topic.name));
      const denied = names
        .filter((name) => !allowed.has(name))
        .map((name) => ({ name, errorCode: DENIED, errorMessage: DENIED_TEXT }));
      if (open.length === 0) return { throttleTimeMs: 0, results: denied };
      const response = await topics.createPartitions(caller, { ...request, topics: open }, version);
      return { ...response, results: [...response.results, ...denied] };
    },
    async deleteRecords(caller, request, version) {
      const names = request.topics.map((topic) => topic.name);
      const allowed = gate.allowed(caller, "delete", "topic", names);
      const open = request.topics.filter((topic) => allowed.has(topic.name));
      const denied = request.topics
        .filter((topic) => !allowed.has(topic.name))
        .map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({
            partitionIndex,
            lowWatermark: -1,
            errorCode: DENIED,
          })),
        }));
      if (open.length === 0) return { throttleTimeMs: 0, topics: denied };
      const response = await topics.deleteRecords(caller, { ...request, topics: open }, version);
      return { ...response, topics: [...response.topics, ...denied] };
    },
    describeTopicPartitions: (caller, request, version) =>
      describeTopicPartitions(topics, gate, topicNames, caller, request, version),
  };
}

type MetadataTopic = MetadataResponse["topics"][number];

async function metadata(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  request: MetadataRequest,
  version: number,
): Promise<MetadataResponse> {
  const asked = request.topics;
  const denied: MetadataTopic[] = [];
  let handedOn = request;
  let handedVersion = version;
  if (asked !== null && !(version === 0 && asked.length === 0)) {
    const open = admittedTopics(broker, gate, caller, request, asked, version, denied);
    handedOn = { ...request, topics: open };
    // In version 0 an empty list means all topics: what is left of a list may be empty, and means none.
    if (version === 0) handedVersion = 1;
  }
  const response = await broker.topics.metadata(caller, handedOn, handedVersion);
  const listed =
    handedOn === request
      ? describable(gate, caller, response.topics, (topic) => topic.name)
      : response.topics;
  return {
    ...response,
    topics: [...listed.map((topic) => withOperations(gate, caller, topic)), ...denied],
    clusterAuthorizedOperations:
      response.clusterAuthorizedOperations === OPERATIONS_NOT_ASKED
        ? OPERATIONS_NOT_ASKED
        : gate.clusterOperations(caller),
  };
}

/** Those of the topics asked for that may be described, and made where they are missing; the rest goes to `denied`. */
function admittedTopics(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  request: MetadataRequest,
  asked: NonNullable<MetadataRequest["topics"]>,
  version: number,
  denied: MetadataTopic[],
): NonNullable<MetadataRequest["topics"]> {
  const isById = (topic: { readonly topicId: string }) => topic.topicId !== ZERO_UUID;
  const nameOf = (topic: (typeof asked)[number]) =>
    isById(topic) ? broker.log.topicNameOf(topic.topicId) : topic.name;
  const names = asked.map(nameOf);
  const known = names.filter((name) => name !== null);
  const visible = gate.allowed(caller, "describe", "topic", known);

  const mayMake =
    request.allowAutoTopicCreation && broker.setting("auto.create.topics.enable") === "true";
  const missing = mayMake
    ? known.filter((name) => visible.has(name) && broker.log.topicIdOf(name) === null)
    : [];
  const makable =
    missing.length === 0 || gate.allowsCluster(caller, "create")
      ? new Set(missing)
      : gate.allowed(caller, "create", "topic", missing);
  const isMissing = new Set(missing);

  return asked.filter((topic, i) => {
    const name = names[i]!;
    // A topic of neither name nor id, or of an unknown id, has nothing to hide.
    if (name === null) return true;
    if (visible.has(name) && (!isMissing.has(name) || makable.has(name))) return true;
    const byId = isById(topic);
    denied.push({
      errorCode: DENIED,
      name: byId ? (version >= NULL_NAME_FROM ? null : "") : name,
      topicId: topic.topicId,
      isInternal: !byId && isInternalTopic(name),
      partitions: [],
      topicAuthorizedOperations: OPERATIONS_NOT_ASKED,
    });
    return false;
  });
}

function describable<T>(
  gate: Gate,
  caller: Caller,
  rows: readonly T[],
  nameOf: (row: T) => string | null,
): readonly T[] {
  const names = rows.map(nameOf).filter((name) => name !== null);
  const visible = gate.allowed(caller, "describe", "topic", names);
  return rows.filter((row) => {
    const name = nameOf(row);
    return name !== null && visible.has(name);
  });
}

function withOperations<
  T extends { readonly name: string | null; readonly topicAuthorizedOperations: number },
>(gate: Gate, caller: Caller, row: T): T {
  if (row.topicAuthorizedOperations === OPERATIONS_NOT_ASKED || row.name === null) return row;
  return { ...row, topicAuthorizedOperations: gate.topicOperations(caller, row.name) };
}

async function createTopics(
  topics: TopicApi,
  gate: Gate,
  caller: Caller,
  request: CreateTopicsRequest,
  version: number,
): Promise<CreateTopicsResponse> {
  const names = request.topics.map((topic) => topic.name);
  const allowed = gate.allowsCluster(caller, "create")
    ? new Set(names)
    : gate.allowed(caller, "create", "topic", names);
  const open = request.topics.filter((topic) => allowed.has(topic.name));
  const denied = names
    .filter((name) => !allowed.has(name))
    .map((name) => ({
      name,
      topicId: ZERO_UUID,
      errorCode: DENIED,
      errorMessage: DENIED_TEXT,
      topicConfigErrorCode: NONE,
      numPartitions: -1,
      replicationFactor: -1,
      configs: [],
    }));
  if (open.length === 0) return { throttleTimeMs: 0, topics: denied };
  const response = await topics.createTopics(caller, { ...request, topics: open }, version);
  const shown = gate.allowed(caller, "describe_configs", "topic", allowed);
  const made = response.topics.map((topic) =>
    topic.errorCode !== NONE || shown.has(topic.name)
      ? topic
      : {
          ...topic,
          topicConfigErrorCode: DENIED,
          numPartitions: -1,
          replicationFactor: -1,
          configs: [],
        },
  );
  return { ...response, topics: [...made, ...denied] };
}

async function deleteTopics(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  request: DeleteTopicsRequest,
  version: number,
): Promise<DeleteTopicsResponse> {
  const byId = request.topics.map(({ name, topicId }) => name ?? broker.log.topicNameOf(topicId));
  const names = [...request.topicNames, ...byId.filter((name) => name !== null)];
  const visible = gate.allowed(caller, "describe", "topic", names);
  const deletable = gate.allowed(caller, "delete", "topic", names);
  const mayDelete = (name: string) => visible.has(name) && deletable.has(name);
  const denied: DeleteTopicsResponse["responses"][number][] = [];
  const deny = (name: string | null, topicId: string) =>
    denied.push({ name, topicId, errorCode: DENIED, errorMessage: DENIED_TEXT });
  const topics = request.topics.filter(({ name: given, topicId }, i) => {
    const name = byId[i]!;
    if (name === null || mayDelete(name)) return true;
    // Who may not even describe a topic does not learn its name from its id.
    deny(visible.has(name) ? name : given, topicId);
    return false;
  });
  const topicNames = request.topicNames.filter((name) => {
    if (mayDelete(name)) return true;
    deny(name, ZERO_UUID);
    return false;
  });
  if (topics.length + topicNames.length === 0) return { throttleTimeMs: 0, responses: denied };
  const response = await broker.topics.deleteTopics(
    caller,
    { ...request, topics, topicNames },
    version,
  );
  return { ...response, responses: [...response.responses, ...denied] };
}

async function describeTopicPartitions(
  topics: TopicApi,
  gate: Gate,
  topicNames: () => Iterable<string>,
  caller: Caller,
  request: DescribeTopicPartitionsRequest,
  version: number,
): Promise<DescribeTopicPartitionsResponse> {
  const isAll = request.topics.length === 0;
  // Filtered before it is asked: the name at which the next page begins must be one the caller may see.
  const names = isAll ? [...topicNames()] : request.topics.map((topic) => topic.name);
  const visible = gate.allowed(caller, "describe", "topic", names);
  // Refusals are told on the first page only; what is listed without being named is left out.
  const denied =
    isAll || request.cursor !== null
      ? []
      : names
          .filter((name) => !visible.has(name))
          .map((name) => ({
            errorCode: DENIED,
            name,
            topicId: ZERO_UUID,
            isInternal: isInternalTopic(name),
            partitions: [],
            topicAuthorizedOperations: OPERATIONS_NOT_ASKED,
          }));
  // An empty list would mean all topics.
  if (visible.size === 0) return { throttleTimeMs: 0, topics: denied, nextCursor: null };
  const open = [...visible].map((name) => ({ name }));
  const response = await topics.describeTopicPartitions(
    caller,
    { ...request, topics: open },
    version,
  );
  return {
    ...response,
    topics: [...response.topics.map((topic) => withOperations(gate, caller, topic)), ...denied],
  };
}
