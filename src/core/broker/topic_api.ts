// The APIs of topics: making, deleting, growing and describing them, and deleting records.
// Invariant: an answer that says a topic was made, changed or deleted is sent once the image has it, so
// the next request on any connection sees it.
// Kafka: ControllerApis, KafkaApis, ReplicaManager.deleteRecords.

import { ZERO_UUID } from "../../base/uuid.ts";
import type { Caller, TopicApi } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  CreateTopicsRequest,
  CreateTopicsResponse,
} from "../../protocol/messages/19_create_topics.ts";
import type {
  DeleteTopicsRequest,
  DeleteTopicsResponse,
} from "../../protocol/messages/20_delete_topics.ts";
import type {
  DeleteRecordsRequest,
  DeleteRecordsResponse,
} from "../../protocol/messages/21_delete_records.ts";
import type {
  CreatePartitionsRequest,
  CreatePartitionsResponse,
} from "../../protocol/messages/37_create_partitions.ts";
import type { TopicImage } from "../cluster/image.ts";
import {
  type ApiContext,
  NO_REFUSAL,
  repeated,
  settled,
  type WireRefusal,
  wireRefusal,
} from "./api_context.ts";
import { CreatedConfigs } from "./config_answers.ts";
import { answerMetadata, answerTopicPartitions } from "./metadata_answers.ts";

/** First version that answers counts and settings of the topics made. */
const CREATED_CONFIGS_FROM = 5;
/** First version with ids in DeleteTopics. */
const DELETE_BY_ID_FROM = 6;
/** First version with an error of its own for deletion being off. */
const DELETION_DISABLED_FROM = 3;
/** A client that does not wait is still given this long: one broker alone is done in an instant. */
const DELETE_RECORDS_WAIT_MS_MIN = 1000;

type CreatedTopic = CreateTopicsResponse["topics"][number];
type DeletedTopic = DeleteTopicsResponse["responses"][number];

/** The topic half of a broker. Nothing here asks who is calling: that is admission. */
export function createTopicApi(context: ApiContext): TopicApi {
  const configs = new CreatedConfigs(context.settings);
  return {
    metadata: (caller, request, version) => answerMetadata(context, caller, request, version),
    createTopics: (_caller, request, version) => createTopics(context, configs, request, version),
    deleteTopics: (_caller, request, version) => deleteTopics(context, request, version),
    createPartitions: (_caller, request) => createPartitions(context, request),
    deleteRecords: (caller, request) => deleteRecords(context, caller, request),
    describeTopicPartitions: async (_caller, request) => answerTopicPartitions(context, request),
  };
}

async function createTopics(
  context: ApiContext,
  configs: CreatedConfigs,
  request: CreateTopicsRequest,
  version: number,
): Promise<CreateTopicsResponse> {
  const twice = repeated(request.topics.map((topic) => topic.name));
  const once = new Map(request.topics.map((topic) => [topic.name, topic]));
  const topics = await Promise.all(
    [...once.values()].map(async (topic): Promise<CreatedTopic> => {
      if (twice.has(topic.name)) {
        return notCreated(topic.name, wireRefusal("invalid_request", "The topic is named twice"));
      }
      const decision = await settled(
        context,
        "create_topic",
        context.cluster.createTopic(topic, request.validateOnly),
      );
      if (!decision.ok) {
        const { code, message } = decision.refusal;
        return notCreated(topic.name, wireRefusal(code, message));
      }
      if (!request.validateOnly) logTopic(context, "topic_created", decision.value);
      return created(configs, decision.value, version);
    }),
  );
  return { throttleTimeMs: 0, topics };
}

function notCreated(name: string, refusal: WireRefusal): CreatedTopic {
  return {
    name,
    topicId: ZERO_UUID,
    ...refusal,
    topicConfigErrorCode: NONE,
    numPartitions: -1,
    replicationFactor: -1,
    configs: [],
  };
}

function created(configs: CreatedConfigs, topic: TopicImage, version: number): CreatedTopic {
  return {
    name: topic.name,
    topicId: topic.id,
    ...NO_REFUSAL,
    topicConfigErrorCode: NONE,
    numPartitions: topic.partitionCount,
    replicationFactor: topic.replicationFactor,
    configs: version >= CREATED_CONFIGS_FROM ? configs.of(topic) : [],
  };
}

function logTopic(context: ApiContext, event: string, topic: TopicImage): void {
  context.runtime.log.info(event, {
    topic: topic.name,
    id: topic.id,
    partitions: topic.partitionCount,
  });
}

async function deleteTopics(
  context: ApiContext,
  request: DeleteTopicsRequest,
  version: number,
): Promise<DeleteTopicsResponse> {
  const asked: readonly { readonly name: string | null; readonly topicId: string }[] =
    version >= DELETE_BY_ID_FROM
      ? request.topics
      : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
  const keyOf = ({ name, topicId }: (typeof asked)[number]) =>
    name === null ? topicId : `/${name}`;
  const twice = repeated(asked.map(keyOf));
  const once = new Map(asked.map((topic) => [keyOf(topic), topic]));
  const responses = await Promise.all(
    [...once].map(async ([key, { name, topicId }]): Promise<DeletedTopic> => {
      const refuse = (code: KafkaErrorName, message: string | null): DeletedTopic => ({
        name,
        topicId,
        ...wireRefusal(code, message),
      });
      if (name !== null && topicId !== ZERO_UUID) {
        return refuse("invalid_request", "A topic is named or given by its id, not both");
      }
      if (name === null && topicId === ZERO_UUID) {
        return refuse("invalid_request", "A topic is neither named nor given by its id");
      }
      if (twice.has(key)) return refuse("invalid_request", "The topic is given twice");
      const decision = await settled(
        context,
        "delete_topic",
        context.cluster.deleteTopic(name === null ? { id: topicId } : { name }),
      );
      if (!decision.ok) {
        const { code, message } = decision.refusal;
        const isOld = code === "topic_deletion_disabled" && version < DELETION_DISABLED_FROM;
        return refuse(isOld ? "invalid_request" : code, message);
      }
      const topic = decision.value;
      logTopic(context, "topic_deleted", topic);
      return { name: topic.name, topicId: topic.id, ...NO_REFUSAL };
    }),
  );
  return { throttleTimeMs: 0, responses };
}

async function createPartitions(
  context: ApiContext,
  request: CreatePartitionsRequest,
): Promise<CreatePartitionsResponse> {
  const twice = repeated(request.topics.map((topic) => topic.name));
  const once = new Map(request.topics.map((topic) => [topic.name, topic]));
  const results = await Promise.all(
    [...once.values()].map(async (topic) => {
      const { name } = topic;
      if (twice.has(name)) {
        return { name, ...wireRefusal("invalid_request", "The topic is named twice") };
      }
      const decision = await settled(
        context,
        "create_partitions",
        context.cluster.createPartitions(topic, request.validateOnly),
      );
      if (!decision.ok) {
        return { name, ...wireRefusal(decision.refusal.code, decision.refusal.message) };
      }
      if (!request.validateOnly) logTopic(context, "topic_grown", decision.value);
      return { name, ...NO_REFUSAL };
    }),
  );
  return { throttleTimeMs: 0, results };
}

type DeletedRecords = DeleteRecordsResponse["topics"][number]["partitions"][number];

async function deleteRecords(
  context: ApiContext,
  caller: Caller,
  request: DeleteRecordsRequest,
): Promise<DeleteRecordsResponse> {
  const deadline = new Deadline(context, caller, request.timeoutMs);
  try {
    const topics = await Promise.all(
      request.topics.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map(({ partitionIndex, offset }) =>
            deadline.limit(
              deleteRecordsOf(context, name, partitionIndex, offset),
              keptRecords(partitionIndex, "request_timed_out"),
            ),
          ),
        ),
      })),
    );
    return { throttleTimeMs: 0, topics };
  } finally {
    deadline.end();
  }
}

async function deleteRecordsOf(
  context: ApiContext,
  name: string,
  partitionIndex: number,
  offset: number,
): Promise<DeletedRecords> {
  const topic = context.cluster.image.topicsByName.get(name);
  if (topic === undefined || partitionIndex < 0 || partitionIndex >= topic.partitionCount) {
    return keptRecords(partitionIndex, "unknown_topic_or_partition");
  }
  if (topic.isInternal) return keptRecords(partitionIndex, "invalid_topic_exception");
  if (!context.cluster.topicSettings(topic).cleanupDelete) {
    return keptRecords(partitionIndex, "policy_violation");
  }
  if (offset < -1) return keptRecords(partitionIndex, "offset_out_of_range");
  if (context.partitions.status(topic.id, partitionIndex) === null) {
    return keptRecords(
      partitionIndex,
      context.cluster.isShared ? "not_leader_or_follower" : "unknown_topic_or_partition",
    );
  }
  const { cluster, runtime } = context;
  if (cluster.membership?.isHeldAt(runtime.clock.monotonicMs()) === false) {
    return keptRecords(partitionIndex, "not_leader_or_follower");
  }
  const outcome = await context.partitions.deleteRecords(topic.id, partitionIndex, offset);
  if (!outcome.ok) return keptRecords(partitionIndex, outcome.code);
  return { partitionIndex, lowWatermark: outcome.logStartOffset, errorCode: NONE };
}

function keptRecords(partitionIndex: number, code: KafkaErrorName): DeletedRecords {
  return { partitionIndex, lowWatermark: -1, errorCode: wireCodeOf(code) };
}

/** Ends waiting at a time, or when the caller goes. What was begun goes on by itself. */
class Deadline {
  readonly #passed: Promise<void>;
  readonly #end: () => void;

  constructor(context: ApiContext, caller: Caller, timeoutMs: number) {
    let pass = (): void => {};
    this.#passed = new Promise((resolve) => {
      pass = resolve;
    });
    const delayMs = Math.max(timeoutMs, DELETE_RECORDS_WAIT_MS_MIN);
    const timer = context.runtime.scheduler.after(delayMs, "delete_records_timeout", pass);
    caller.signal.addEventListener("abort", pass, { once: true });
    if (caller.signal.aborted) pass();
    this.#end = () => {
      timer.cancel();
      caller.signal.removeEventListener("abort", pass);
    };
  }

  limit<T>(work: Promise<T>, late: T): Promise<T> {
    return Promise.race([work, this.#passed.then(() => late)]);
  }

  end(): void {
    this.#end();
  }
}
