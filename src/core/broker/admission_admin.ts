// Admission of the administrative APIs: operation and resource as Kafka asks them, API by API.
// Invariant: rows come back in the order of the request, refused or not.
// Kafka: KafkaApis, ConfigHelper, ControllerApis.

import type { Operation } from "../../contracts/auth.ts";
import type { AdminApi, Caller } from "../../contracts/broker.ts";
import { type KafkaErrorName, wireCodeOf } from "../../protocol/errors.ts";
import type { InitProducerIdResponse } from "../../protocol/messages/22_init_producer_id.ts";
import { ConfigResource } from "../cluster/config_controller.ts";
import type { Gate } from "./admission_gate.ts";
import { OPERATIONS_NOT_ASKED, wireRefusal } from "./api_context.ts";

interface ConfigResourceRow {
  readonly resourceType: number;
  readonly resourceName: string;
}

/** The administrative half of a broker, admitted. */
export function admitAdmin(
  admin: AdminApi,
  gate: Gate,
  topicNames: () => Iterable<string>,
): AdminApi {
  return {
    async describeConfigs(caller, request, version) {
      const results = await byResource(
        request.resources,
        (resource) => configRefusal(gate, caller, "describe_configs", resource),
        async (resources) =>
          (await admin.describeConfigs(caller, { ...request, resources }, version)).results,
        (code, { resourceType, resourceName }) => ({
          ...wireRefusal(code, "Not allowed on this resource"),
          resourceType,
          resourceName,
          configs: [],
        }),
      );
      return { throttleTimeMs: 0, results };
    },
    async alterConfigs(caller, request, version) {
      const responses = await byResource(
        request.resources,
        (resource) => configRefusal(gate, caller, "alter_configs", resource),
        async (resources) =>
          (await admin.alterConfigs(caller, { ...request, resources }, version)).responses,
        deniedAlter,
      );
      return { throttleTimeMs: 0, responses };
    },
    async incrementalAlterConfigs(caller, request, version) {
      const responses = await byResource(
        request.resources,
        (resource) => configRefusal(gate, caller, "alter_configs", resource),
        async (resources) =>
          (await admin.incrementalAlterConfigs(caller, { ...request, resources }, version))
            .responses,
        deniedAlter,
      );
      return { throttleTimeMs: 0, responses };
    },
    // As in Kafka anybody who is let in may ask who the brokers are: metadata says it too.
    async describeCluster(caller, request, version) {
      const response = await admin.describeCluster(caller, request, version);
      if (response.clusterAuthorizedOperations === OPERATIONS_NOT_ASKED) return response;
      return { ...response, clusterAuthorizedOperations: gate.clusterOperations(caller) };
    },
    async describeLogDirs(caller, request, version) {
      if (gate.allowsCluster(caller, "describe")) {
        return admin.describeLogDirs(caller, request, version);
      }
      const errorCode = wireCodeOf("cluster_authorization_failed");
      return { throttleTimeMs: 0, errorCode, results: [] };
    },
    async describeProducers(caller, request, version) {
      const names = request.topics.map((topic) => topic.name);
      const allowed = gate.allowed(caller, "read", "topic", names);
      const open = request.topics.filter((topic) => allowed.has(topic.name));
      const rows =
        open.length === 0
          ? []
          : (await admin.describeProducers(caller, { ...request, topics: open }, version)).topics;
      let next = 0;
      const topics = request.topics.map(({ name, partitionIndexes }) => {
        if (allowed.has(name)) return rows[next++]!;
        const refusal = wireRefusal("topic_authorization_failed", "Not allowed on this topic");
        return {
          name,
          partitions: partitionIndexes.map((partitionIndex) => ({
            partitionIndex,
            ...refusal,
            activeProducers: [],
          })),
        };
      });
      return { throttleTimeMs: 0, topics };
    },
    async initProducerId(caller, request, version) {
      const code = producerIdRefusal(gate, caller, request.transactionalId, topicNames);
      if (code === null) return admin.initProducerId(caller, request, version);
      return refusedProducerId(code);
    },
    async updateFeatures(caller, request, version) {
      if (gate.allowsCluster(caller, "alter"))
        return admin.updateFeatures(caller, request, version);
      const refusal = wireRefusal("cluster_authorization_failed", "Not allowed on this cluster");
      return { throttleTimeMs: 0, ...refusal, results: [] };
    },
    ...admitOperations(admin, gate),
  };
}

type Operations = Pick<
  AdminApi,
  | "electLeaders"
  | "alterPartitionReassignments"
  | "listPartitionReassignments"
  | "unregisterBroker"
  | "alterReplicaLogDirs"
>;

/** Who operates the cluster may alter it; the refusal stands in every row, as in Kafka. */
function admitOperations(admin: AdminApi, gate: Gate): Operations {
  const refusal = wireRefusal("cluster_authorization_failed", "Not allowed on this cluster");
  const { errorCode } = refusal;
  return {
    async electLeaders(caller, request, version) {
      if (gate.allowsCluster(caller, "alter")) return admin.electLeaders(caller, request, version);
      const replicaElectionResults = (request.topicPartitions ?? []).map(
        ({ topic, partitions }) => ({
          topic,
          partitionResult: partitions.map((partitionId) => ({ partitionId, ...refusal })),
        }),
      );
      return { throttleTimeMs: 0, errorCode, replicaElectionResults };
    },
    async alterPartitionReassignments(caller, request, version) {
      if (gate.allowsCluster(caller, "alter")) {
        return admin.alterPartitionReassignments(caller, request, version);
      }
      const { allowReplicationFactorChange } = request;
      const responses = request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, ...refusal })),
      }));
      return { throttleTimeMs: 0, allowReplicationFactorChange, ...refusal, responses };
    },
    async listPartitionReassignments(caller, request, version) {
      if (gate.allowsCluster(caller, "describe")) {
        return admin.listPartitionReassignments(caller, request, version);
      }
      return { throttleTimeMs: 0, ...refusal, topics: [] };
    },
    async unregisterBroker(caller, request, version) {
      if (gate.allowsCluster(caller, "alter")) {
        return admin.unregisterBroker(caller, request, version);
      }
      return { throttleTimeMs: 0, ...refusal };
    },
    async alterReplicaLogDirs(caller, request, version) {
      if (gate.allowsCluster(caller, "alter")) {
        return admin.alterReplicaLogDirs(caller, request, version);
      }
      const results = request.dirs.flatMap(({ topics }) =>
        topics.map(({ name, partitions }) => ({
          topicName: name,
          partitions: partitions.map((partitionIndex) => ({ partitionIndex, errorCode })),
        })),
      );
      return { throttleTimeMs: 0, results };
    },
  };
}

export function refusedProducerId(code: KafkaErrorName): InitProducerIdResponse {
  return {
    throttleTimeMs: 0,
    errorCode: wireCodeOf(code),
    producerId: -1,
    producerEpoch: -1,
    ongoingTxnProducerId: -1,
    ongoingTxnProducerEpoch: -1,
  };
}

function deniedAlter(code: KafkaErrorName, row: ConfigResourceRow) {
  const { resourceType, resourceName } = row;
  return { ...wireRefusal(code, "Not allowed on this resource"), resourceType, resourceName };
}

/** Hands on what is not refused, and puts the rows back in the order of all. */
async function byResource<Resource extends ConfigResourceRow, Row>(
  resources: readonly Resource[],
  refusalOf: (resource: Resource) => KafkaErrorName | null,
  handOn: (open: readonly Resource[]) => Promise<readonly Row[]>,
  denied: (code: KafkaErrorName, resource: Resource) => Row,
): Promise<Row[]> {
  const refusals = resources.map(refusalOf);
  const open = resources.filter((_, i) => refusals[i] === null);
  const rows = open.length === 0 ? [] : await handOn(open);
  let next = 0;
  return resources.map((resource, i) => {
    const code = refusals[i]!;
    return code === null ? rows[next++]! : denied(code, resource);
  });
}

function configRefusal(
  gate: Gate,
  caller: Caller,
  operation: Operation,
  resource: ConfigResourceRow,
): KafkaErrorName | null {
  const { resourceType, resourceName } = resource;
  switch (resourceType) {
    case ConfigResource.topic:
      return gate.allowsTopic(caller, operation, resourceName)
        ? null
        : "topic_authorization_failed";
    case ConfigResource.group:
      return gate.allowed(caller, operation, "group", [resourceName]).has(resourceName)
        ? null
        : "group_authorization_failed";
    default:
      return gate.allowsCluster(caller, operation) ? null : "cluster_authorization_failed";
  }
}

function producerIdRefusal(
  gate: Gate,
  caller: Caller,
  transactionalId: string | null,
  topicNames: () => Iterable<string>,
): KafkaErrorName | null {
  if (transactionalId !== null) {
    return gate.allowsTransactionalId(caller, "write", transactionalId)
      ? null
      : "transactional_id_authorization_failed";
  }
  // Since KIP-679 whoever may write to some topic may do so idempotently.
  if (gate.allowsCluster(caller, "idempotent_write")) return null;
  return gate.allowed(caller, "write", "topic", topicNames()).size > 0
    ? null
    : "cluster_authorization_failed";
}
