// The APIs of administration: settings, the cluster, producers, and producer ids; the others have files of their own.
// Invariant: settings that were changed are in force when the answer is sent.
// Kafka: KafkaApis, ConfigAdminManager, TransactionCoordinator.

import type { AdminApi } from "../../contracts/broker.ts";
import { MetadataStoreError } from "../../contracts/errors.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  InitProducerIdRequest,
  InitProducerIdResponse,
} from "../../protocol/messages/22_init_producer_id.ts";
import type { IncrementalAlterConfigsResponse } from "../../protocol/messages/44_incremental_alter_configs.ts";
import type {
  DescribeProducersRequest,
  DescribeProducersResponse,
} from "../../protocol/messages/61_describe_producers.ts";
import type { AlterRequest } from "../cluster/config_controller.ts";
import { topicNameFault } from "../cluster/topic_names.ts";
import { type ApiContext, NO_REFUSAL, repeated, settled, wireRefusal } from "./api_context.ts";
import { cleaningAsked } from "./cleaning_answers.ts";
import { answerConfigs } from "./config_answers.ts";
import { updateFeatures } from "./feature_answers.ts";
import { alterReplicaLogDirs, describeLogDirs } from "./log_dir_answers.ts";
import { answerCluster } from "./metadata_answers.ts";

const SET = 0;

/** The administrative half of a broker. Nothing here asks who is calling: that is admission. */
export function createAdminApi(context: ApiContext): AdminApi {
  return {
    describeConfigs: async (_caller, request) =>
      answerConfigs(context, request, await cleaningAsked(context, request)),
    alterConfigs: async (_caller, request) => ({
      throttleTimeMs: 0,
      responses: await alterConfigs(
        context,
        request.resources.map((resource) => ({
          ...resource,
          mode: "replace",
          operations: resource.configs.map((config) => ({ ...config, configOperation: SET })),
        })),
        request.validateOnly,
      ),
    }),
    incrementalAlterConfigs: async (_caller, request) => ({
      throttleTimeMs: 0,
      responses: await alterConfigs(
        context,
        request.resources.map((resource) => ({
          ...resource,
          mode: "incremental",
          operations: resource.configs,
        })),
        request.validateOnly,
      ),
    }),
    describeCluster: async (caller, request) => answerCluster(context, caller, request),
    describeLogDirs: (_caller, request) => describeLogDirs(context, request),
    describeProducers: async (_caller, request) => describeProducers(context, request),
    initProducerId: (_caller, request) => initProducerId(context, request),
    updateFeatures: (_caller, request, version) => updateFeatures(context, request, version),
    electLeaders: async (_caller, request) => (await operations()).electLeaders(context, request),
    alterPartitionReassignments: async (_caller, request) =>
      (await operations()).alterReassignments(context, request),
    listPartitionReassignments: async (_caller, request) =>
      (await operations()).listReassignments(context, request),
    unregisterBroker: async (_caller, request) =>
      (await operations()).unregisterBroker(context, request),
    alterReplicaLogDirs: async (_caller, request) => alterReplicaLogDirs(context, request),
  };
}

/** Hardly ever asked for, and least where there is one broker: loaded by the first who asks. */
const operations = () => import("./operation_answers.ts");

type AlterRow = IncrementalAlterConfigsResponse["responses"][number];

function alterConfigs(
  context: ApiContext,
  requests: readonly AlterRequest[],
  validateOnly: boolean,
): Promise<AlterRow[]> {
  const keyOf = (request: AlterRequest) => `${request.resourceType}/${request.resourceName}`;
  const twice = repeated(requests.map(keyOf));
  return Promise.all(
    requests.map(async (request): Promise<AlterRow> => {
      const { resourceType, resourceName } = request;
      if (twice.has(keyOf(request))) {
        const refusal = wireRefusal("invalid_request", "The resource is named twice");
        return { ...refusal, resourceType, resourceName };
      }
      const decision = await settled(
        context,
        "alter_configs",
        context.cluster.alterConfigs(request, validateOnly),
      );
      if (!decision.ok) {
        const { code, message } = decision.refusal;
        return { ...wireRefusal(code, message), resourceType, resourceName };
      }
      if (!validateOnly) {
        context.runtime.log.info("configs_altered", { resourceType, resourceName });
      }
      return { ...NO_REFUSAL, resourceType, resourceName };
    }),
  );
}

function describeProducers(
  context: ApiContext,
  request: DescribeProducersRequest,
): DescribeProducersResponse {
  const { topicsByName } = context.cluster.image;
  const topics = request.topics.map(({ name, partitionIndexes }) => {
    const topic = topicsByName.get(name);
    const partitions = partitionIndexes.map((partitionIndex) => {
      // Any replica answers, as it is asked what that one knows.
      const replicas = context.cluster.partition(topic?.id ?? "", partitionIndex)?.replicas;
      if (replicas?.includes(context.brokerId) === false) {
        const refusal = wireRefusal("not_leader_or_follower", null);
        return { partitionIndex, ...refusal, activeProducers: [] };
      }
      const producers =
        topic === undefined ? null : context.partitions.activeProducers(topic.id, partitionIndex);
      if (producers === null) {
        const isName = topicNameFault(name) === null;
        const code = isName ? "unknown_topic_or_partition" : "invalid_topic_exception";
        const refusal = wireRefusal(code, null);
        return { partitionIndex, ...refusal, activeProducers: [] };
      }
      const activeProducers = producers.map((producer) => ({
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        lastSequence: producer.lastSequence,
        lastTimestamp: producer.lastTimestampMs,
        coordinatorEpoch: producer.coordinatorEpoch,
        currentTxnStartOffset: producer.currentTransactionStartOffset,
      }));
      return { partitionIndex, ...NO_REFUSAL, activeProducers };
    });
    return { name, partitions };
  });
  return { throttleTimeMs: 0, topics };
}

async function initProducerId(
  context: ApiContext,
  request: InitProducerIdRequest,
): Promise<InitProducerIdResponse> {
  const { transactionalId, producerId, producerEpoch } = request;
  // With a transactional id it is the coordinator's to give: TransactionApi.
  if (transactionalId !== null || (producerId === -1) !== (producerEpoch === -1)) {
    return noProducerId("invalid_request");
  }
  try {
    return producerIdAnswer(NONE, await context.cluster.producerIds.next(), 0);
  } catch (error) {
    if (!(error instanceof MetadataStoreError)) throw error;
    context.runtime.log.error("producer_ids_failed", { code: error.code, error: error.message });
    // What Kafka answers while it waits for a block: clients ask again.
    return noProducerId("coordinator_load_in_progress");
  }
}

function noProducerId(code: KafkaErrorName): InitProducerIdResponse {
  return producerIdAnswer(wireCodeOf(code), -1, -1);
}

function producerIdAnswer(
  errorCode: number,
  producerId: number,
  producerEpoch: number,
): InitProducerIdResponse {
  return {
    throttleTimeMs: 0,
    errorCode,
    producerId,
    producerEpoch,
    ongoingTxnProducerId: -1,
    ongoingTxnProducerEpoch: -1,
  };
}
