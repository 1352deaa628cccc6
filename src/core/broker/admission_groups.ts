// Admission of the group APIs: operation and resource as Kafka asks them, API by API.
// Invariant: a group or topic that is not allowed never reaches a shard; rows come back in the order of the request,
// and a call is handed on before the first await, so that a connection's commits keep their order.
// Kafka: KafkaApis.handleOffsetCommitRequest and its neighbours.

import type { Broker, Caller, GroupApi } from "../../contracts/broker.ts";
import { type KafkaErrorName, kafkaError, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../protocol/messages/08_offset_commit.ts";
import type {
  FindCoordinatorRequest,
  FindCoordinatorResponse,
} from "../../protocol/messages/10_find_coordinator.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
} from "../../protocol/messages/28_txn_offset_commit.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../../protocol/messages/47_offset_delete.ts";
import type { ConsumerGroupDescribeResponse } from "../../protocol/messages/69_consumer_group_describe.ts";
import type { Gate } from "./admission_gate.ts";
import { fetchAdmittedOffsets } from "./admission_offset_fetch.ts";
import { OPERATIONS_NOT_ASKED } from "./api_context.ts";
import {
  refusedConsumerDescribe,
  refusedConsumerHeartbeat,
  refusedDescribe,
  refusedJoin,
  refusedSync,
  saysProtocol,
} from "./group_answers.ts";

const DENIED: KafkaErrorName = "group_authorization_failed";
const DENIED_CODE = wireCodeOf(DENIED);
const TOPIC_DENIED_CODE = wireCodeOf("topic_authorization_failed");
/** First version that commits by topic id. */
const COMMIT_IDS_FROM = 10;
/** First version with several keys in one FindCoordinator. */
const KEYS_FROM = 4;
const KeyType = { group: 0, transaction: 1, share: 2 } as const;

/** The group half of a broker, admitted. */
export function admitGroups(broker: Broker, gate: Gate): GroupApi {
  const { groups } = broker;
  return {
    offsetCommit: (caller, request, version) => commit(broker, gate, caller, request, version),
    offsetFetch: (caller, request, version) =>
      fetchAdmittedOffsets(broker, gate, caller, request, version),
    txnOffsetCommit: (caller, request, version) =>
      commitInTransaction(groups, gate, caller, request, version),
    findCoordinator: (caller, request, version) =>
      findAdmittedCoordinator(groups, gate, caller, request, version),
    async joinGroup(caller, request, version) {
      if (gate.allowsGroup(caller, "read", request.groupId)) {
        return groups.joinGroup(caller, request, version);
      }
      return refusedJoin(request, version, DENIED);
    },
    async heartbeat(caller, request, version) {
      if (gate.allowsGroup(caller, "read", request.groupId)) {
        return groups.heartbeat(caller, request, version);
      }
      return { throttleTimeMs: 0, errorCode: DENIED_CODE };
    },
    async leaveGroup(caller, request, version) {
      if (gate.allowsGroup(caller, "read", request.groupId)) {
        return groups.leaveGroup(caller, request, version);
      }
      return { throttleTimeMs: 0, errorCode: DENIED_CODE, members: [] };
    },
    async syncGroup(caller, request, version) {
      // As in Kafka, before it is asked who may: every caller learns of a request that makes no sense.
      if (!saysProtocol(request, version)) return refusedSync("inconsistent_group_protocol");
      if (gate.allowsGroup(caller, "read", request.groupId)) {
        return groups.syncGroup(caller, request, version);
      }
      return refusedSync(DENIED);
    },
    async describeGroups(caller, request, version) {
      const rows = await byGroup(
        gate.allowed(caller, "describe", "group", request.groups),
        request.groups,
        async (open) =>
          (await groups.describeGroups(caller, { ...request, groups: open }, version)).groups,
        (groupId) => refusedDescribe(groupId, version, DENIED),
      );
      return {
        throttleTimeMs: 0,
        groups: rows.map((row) => withOperations(gate, caller, row)),
      };
    },
    async listGroups(caller, request, version) {
      const response = await groups.listGroups(caller, request, version);
      if (gate.allowsCluster(caller, "describe")) return response;
      const names = response.groups.map(({ groupId }) => groupId);
      const visible = gate.allowed(caller, "describe", "group", names);
      return { ...response, groups: response.groups.filter(({ groupId }) => visible.has(groupId)) };
    },
    async deleteGroups(caller, request, version) {
      const names = [...new Set(request.groupsNames)];
      const results = await byGroup(
        gate.allowed(caller, "delete", "group", names),
        names,
        async (groupsNames) =>
          (await groups.deleteGroups(caller, { ...request, groupsNames }, version)).results,
        (groupId) => ({ groupId, errorCode: DENIED_CODE }),
      );
      return { throttleTimeMs: 0, results };
    },
    offsetDelete: (caller, request, version) =>
      deleteOffsets(groups, gate, caller, request, version),
    async consumerGroupHeartbeat(caller, request, version) {
      if (!gate.allowsGroup(caller, "read", request.groupId)) {
        return refusedConsumerHeartbeat(kafkaError(DENIED));
      }
      const names = new Set(request.subscribedTopicNames ?? []);
      // Clients do not learn by a subscription which topics there are.
      if (names.size > 0 && gate.allowed(caller, "describe", "topic", names).size < names.size) {
        return refusedConsumerHeartbeat(kafkaError("topic_authorization_failed"));
      }
      return groups.consumerGroupHeartbeat(caller, request, version);
    },
    async consumerGroupDescribe(caller, request, version) {
      const { groupIds } = request;
      const rows = await byGroup(
        gate.allowed(caller, "describe", "group", groupIds),
        groupIds,
        async (open) =>
          (await groups.consumerGroupDescribe(caller, { ...request, groupIds: open }, version))
            .groups,
        (groupId) => refusedConsumerDescribe(groupId, DENIED),
      );
      const shown = describable(gate, caller, rows);
      return {
        throttleTimeMs: 0,
        groups: shown.map((row) => withOperations(gate, caller, row)),
      };
    },
  };
}

/** Hands on the groups that are allowed, and puts the rows back in the order of all. */
async function byGroup<Row>(
  allowed: ReadonlySet<string>,
  groupIds: readonly string[],
  handOn: (open: readonly string[]) => Promise<readonly Row[]>,
  denied: (groupId: string) => Row,
): Promise<Row[]> {
  const open = groupIds.filter((groupId) => allowed.has(groupId));
  const rows = open.length === 0 ? [] : await handOn(open);
  let next = 0;
  return groupIds.map((groupId) => (allowed.has(groupId) ? rows[next++]! : denied(groupId)));
}

function withOperations<
  Row extends { readonly groupId: string; readonly authorizedOperations: number },
>(gate: Gate, caller: Caller, row: Row): Row {
  if (row.authorizedOperations === OPERATIONS_NOT_ASKED) return row;
  return { ...row, authorizedOperations: gate.groupOperations(caller, row.groupId) };
}

type ConsumerRow = ConsumerGroupDescribeResponse["groups"][number];

/** Groups that read a topic which the caller may not describe are refused whole, as Kafka does. */
function describable(gate: Gate, caller: Caller, rows: readonly ConsumerRow[]): ConsumerRow[] {
  const topics = rows.map(topicsOf);
  const visible = gate.allowed(
    caller,
    "describe",
    "topic",
    topics.flatMap((names) => [...names]),
  );
  return rows.map((row, i) => {
    const isOpen = [...topics[i]!].every((name) => visible.has(name));
    return isOpen ? row : refusedConsumerDescribe(row.groupId, "topic_authorization_failed");
  });
}

/** Names of the topics that a described group has assigned, or means to. */
function topicsOf({ members }: ConsumerRow): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { assignment, targetAssignment } of members) {
    for (const { topicName } of assignment.topicPartitions) names.add(topicName);
    for (const { topicName } of targetAssignment.topicPartitions) names.add(topicName);
  }
  return names;
}

async function commit(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  request: OffsetCommitRequest,
  version: number,
): Promise<OffsetCommitResponse> {
  const refused = (
    { name, topicId, partitions }: OffsetCommitRequest["topics"][number],
    errorCode: number,
  ) => ({
    name,
    topicId,
    partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
  });
  if (!gate.allowsGroup(caller, "read", request.groupId)) {
    return { throttleTimeMs: 0, topics: request.topics.map((each) => refused(each, DENIED_CODE)) };
  }
  const names = request.topics.map(({ name, topicId }) =>
    version >= COMMIT_IDS_FROM ? broker.log.topicNameOf(topicId) : name,
  );
  const known = names.filter((name) => name !== null);
  const allowed = gate.allowed(caller, "read", "topic", known);
  // An id that nobody knows has nothing to hide.
  const isOpen = names.map((name) => name === null || allowed.has(name));
  if (isOpen.every(Boolean)) return broker.groups.offsetCommit(caller, request, version);
  const open = request.topics.filter((_, i) => isOpen[i]);
  // One that names nothing at all would be a question about membership.
  const answered =
    open.length === 0
      ? []
      : (await broker.groups.offsetCommit(caller, { ...request, topics: open }, version)).topics;
  let next = 0;
  const topics = request.topics.map((each, i) =>
    isOpen[i] ? answered[next++]! : refused(each, TOPIC_DENIED_CODE),
  );
  return { throttleTimeMs: 0, topics };
}

async function commitInTransaction(
  groups: GroupApi,
  gate: Gate,
  caller: Caller,
  request: TxnOffsetCommitRequest,
  version: number,
): Promise<TxnOffsetCommitResponse> {
  const refused = (
    { name, partitions }: TxnOffsetCommitRequest["topics"][number],
    errorCode: number,
  ) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
  });
  const refusedWhole = (code: KafkaErrorName) => ({
    throttleTimeMs: 0,
    topics: request.topics.map((each) => refused(each, wireCodeOf(code))),
  });
  if (!gate.allowsTransactionalId(caller, "write", request.transactionalId)) {
    return refusedWhole("transactional_id_authorization_failed");
  }
  if (!gate.allowsGroup(caller, "read", request.groupId)) return refusedWhole(DENIED);
  const names = request.topics.map(({ name }) => name);
  const allowed = gate.allowed(caller, "read", "topic", names);
  if (allowed.size === new Set(names).size) {
    return groups.txnOffsetCommit(caller, request, version);
  }
  const open = request.topics.filter(({ name }) => allowed.has(name));
  // With nothing left the coordinator is not asked, as in Kafka.
  const answered =
    open.length === 0
      ? []
      : (await groups.txnOffsetCommit(caller, { ...request, topics: open }, version)).topics;
  let next = 0;
  const topics = request.topics.map((each) =>
    allowed.has(each.name) ? answered[next++]! : refused(each, TOPIC_DENIED_CODE),
  );
  return { throttleTimeMs: 0, topics };
}

async function deleteOffsets(
  groups: GroupApi,
  gate: Gate,
  caller: Caller,
  request: OffsetDeleteRequest,
  version: number,
): Promise<OffsetDeleteResponse> {
  if (!gate.allowsGroup(caller, "delete", request.groupId)) {
    return { throttleTimeMs: 0, errorCode: DENIED_CODE, topics: [] };
  }
  const names = request.topics.map(({ name }) => name);
  const allowed = gate.allowed(caller, "read", "topic", names);
  const open = request.topics.filter(({ name }) => allowed.has(name));
  // Also when nothing is left: whether there is such a group is told all the same.
  const response = await groups.offsetDelete(caller, { ...request, topics: open }, version);
  if (response.errorCode !== NONE || open.length === request.topics.length) return response;
  const denied = request.topics
    .filter(({ name }) => !allowed.has(name))
    .map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: TOPIC_DENIED_CODE,
      })),
    }));
  return { ...response, topics: [...response.topics, ...denied] };
}

type Coordinator = FindCoordinatorResponse["coordinators"][number];

/** Of groups and of transactions: `finder` has keys of one kind alone. */
export async function findAdmittedCoordinator(
  finder: Pick<GroupApi, "findCoordinator">,
  gate: Gate,
  caller: Caller,
  request: FindCoordinatorRequest,
  version: number,
): Promise<FindCoordinatorResponse> {
  const { keyType } = request;
  const keys = version >= KEYS_FROM ? request.coordinatorKeys : [request.key];
  const refusals = keys.map((key) => coordinatorRefusal(gate, caller, keyType, key));
  if (refusals.every((code) => code === null)) {
    return finder.findCoordinator(caller, request, version);
  }
  const denied = (key: string, code: KafkaErrorName): Coordinator => ({
    key,
    nodeId: -1,
    host: "",
    port: -1,
    errorCode: wireCodeOf(code),
    errorMessage: kafkaError(code).message,
  });
  if (version < KEYS_FROM) {
    const { key: _, ...row } = denied(keys[0]!, refusals[0]!);
    return { throttleTimeMs: 0, ...row, coordinators: [] };
  }
  const open = keys.filter((_, i) => refusals[i] === null);
  const answered =
    open.length === 0
      ? []
      : (await finder.findCoordinator(caller, { ...request, coordinatorKeys: open }, version))
          .coordinators;
  let next = 0;
  const coordinators = keys.map((key, i) => {
    const code = refusals[i]!;
    return code === null ? answered[next++]! : denied(key, code);
  });
  return {
    throttleTimeMs: 0,
    errorCode: NONE,
    errorMessage: null,
    nodeId: 0,
    host: "",
    port: 0,
    coordinators,
  };
}

function coordinatorRefusal(
  gate: Gate,
  caller: Caller,
  keyType: number,
  key: string,
): KafkaErrorName | null {
  switch (keyType) {
    case KeyType.group:
      return gate.allowsGroup(caller, "describe", key) ? null : DENIED;
    case KeyType.transaction:
      return gate.allowsTransactionalId(caller, "describe", key)
        ? null
        : "transactional_id_authorization_failed";
    case KeyType.share:
      return gate.allowsCluster(caller, "cluster_action") ? null : "cluster_authorization_failed";
    default:
      return null;
  }
}
