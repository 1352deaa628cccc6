// Topics in a few plain words: made, deleted, listed and described, one at a time.
// Kafka: KafkaAdminClient, over CreateTopics v7, DeleteTopics v6, Metadata v12, DescribeConfigs v4.

import { ok } from "../base/outcome.ts";
import { ZERO_UUID } from "../base/uuid.ts";
import type { Broker, Caller } from "../contracts/broker.ts";
import { errorByCode, type Outcome } from "../protocol/errors.ts";
import type { MetadataRequest, MetadataResponse } from "../protocol/messages/03_metadata.ts";

export const METADATA_VERSION = 12;
const CREATE_VERSION = 7;
const DELETE_VERSION = 6;
const CONFIGS_VERSION = 4;
/** Resource type of DescribeConfigs. */
const TOPIC = 2;
/** Source of a setting: the topic itself. */
const OF_TOPIC = 1;
const TIMEOUT_MS = 30_000;

/** A topic as a list shows it. */
export interface TopicSummary {
  readonly name: string;
  /** base64url, 22 characters. */
  readonly id: string;
  readonly partitions: number;
  readonly isInternal: boolean;
}

/** A topic with what was set for itself, by Kafka's names; null where the caller may not see settings. */
export interface TopicDescription extends TopicSummary {
  readonly config: Readonly<Record<string, string | null>> | null;
}

/** A topic to be made. */
export interface TopicInput {
  readonly name: string;
  /** `num.partitions` of the broker when left out. */
  readonly partitions?: number;
  /** Settings of its own, by Kafka's names. */
  readonly config?: Readonly<Record<string, string>>;
}

/** Makes a topic. Answered once everyone who asks here sees it. */
export async function createTopic(
  broker: Broker,
  caller: Caller,
  topic: TopicInput,
): Promise<Outcome<TopicDescription>> {
  const { name, partitions = -1, config = {} } = topic;
  const response = await broker.topics.createTopics(
    caller,
    {
      topics: [
        {
          name,
          numPartitions: partitions,
          replicationFactor: -1,
          assignments: [],
          configs: Object.entries(config).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: TIMEOUT_MS,
      validateOnly: false,
    },
    CREATE_VERSION,
  );
  const made = response.topics[0]!;
  const refusal = refusalOf(made.errorCode, made.errorMessage);
  if (refusal !== null) return refusal;
  const isShown = made.topicConfigErrorCode === 0;
  return ok({
    name,
    id: made.topicId,
    // Who may not see settings is not told the count either; Metadata tells them.
    partitions: isShown ? made.numPartitions : await countOrUnknown(broker, caller, name),
    isInternal: false,
    config: isShown ? ownConfig(made.configs ?? []) : null,
  });
}

/** Deletes a topic with all of its records. */
export async function deleteTopic(
  broker: Broker,
  caller: Caller,
  name: string,
): Promise<Outcome<{ readonly name: string; readonly id: string }>> {
  const response = await broker.topics.deleteTopics(
    caller,
    { topics: [{ name, topicId: ZERO_UUID }], topicNames: [], timeoutMs: TIMEOUT_MS },
    DELETE_VERSION,
  );
  const deleted = response.responses[0]!;
  const refusal = refusalOf(deleted.errorCode, deleted.errorMessage);
  return refusal ?? ok({ name, id: deleted.topicId });
}

/** All topics that the caller may see, by name in ascending order. */
export async function listTopics(broker: Broker, caller: Caller): Promise<readonly TopicSummary[]> {
  const response = await broker.topics.metadata(
    caller,
    metadataRequest(null, false),
    METADATA_VERSION,
  );
  const topics = response.topics.filter(({ errorCode }) => errorCode === 0).map(summaryOf);
  return topics.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One topic with its own settings. */
export async function describeTopic(
  broker: Broker,
  caller: Caller,
  name: string,
): Promise<Outcome<TopicDescription>> {
  const found = await find(broker, caller, name);
  const refusal = refusalOf(found.errorCode, null);
  if (refusal !== null) return refusal;
  const response = await broker.admin.describeConfigs(
    caller,
    {
      resources: [{ resourceType: TOPIC, resourceName: name, configurationKeys: null }],
      includeSynonyms: false,
      includeDocumentation: false,
    },
    CONFIGS_VERSION,
  );
  const described = response.results[0]!;
  const config = described.errorCode === 0 ? ownConfig(described.configs) : null;
  return ok({ ...summaryOf(found), config });
}

/** How many partitions a topic has. */
export async function partitionCountOf(
  broker: Broker,
  caller: Caller,
  name: string,
): Promise<Outcome<number>> {
  const { errorCode, partitions } = await find(broker, caller, name);
  return refusalOf(errorCode, null) ?? ok(partitions.length);
}

/** Metadata of the topics named, or of all. */
export function metadataRequest(
  names: readonly string[] | null,
  allowAutoTopicCreation: boolean,
): MetadataRequest {
  return {
    topics: names?.map((name) => ({ name, topicId: ZERO_UUID })) ?? null,
    allowAutoTopicCreation,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  };
}

type MetadataTopic = MetadataResponse["topics"][number];

async function find(broker: Broker, caller: Caller, name: string): Promise<MetadataTopic> {
  const request = metadataRequest([name], false);
  const response = await broker.topics.metadata(caller, request, METADATA_VERSION);
  return response.topics[0]!;
}

async function countOrUnknown(broker: Broker, caller: Caller, name: string): Promise<number> {
  const count = await partitionCountOf(broker, caller, name);
  return count.ok ? count.value : -1;
}

function summaryOf(topic: MetadataTopic): TopicSummary {
  const { topicId: id, partitions, isInternal } = topic;
  return { name: topic.name!, id, partitions: partitions.length, isInternal };
}

/** The settings that stand at the topic itself. */
function ownConfig(
  rows: readonly {
    readonly name: string;
    readonly value: string | null;
    readonly configSource: number;
  }[],
): Readonly<Record<string, string | null>> {
  const own = rows.filter(({ configSource }) => configSource === OF_TOPIC);
  return Object.fromEntries(own.map(({ name, value }) => [name, value]));
}

function refusalOf(
  errorCode: number,
  message: string | null,
): (Outcome<never> & { readonly ok: false }) | null {
  const error = errorByCode(errorCode);
  if (error === null) return null;
  return { ok: false, error: message === null || message === "" ? error : { ...error, message } };
}
