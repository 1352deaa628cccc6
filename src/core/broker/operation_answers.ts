// The APIs by which people operate a cluster: elections, reassignments, brokers that are gone. Any broker answers, as any decides.
// Invariant: rows come in the order of the request; what was answered is in the image. A broker that has the store for itself answers
// as a cluster of one. Kafka: ReplicationControlManager, ControllerApis.

import { type KafkaErrorName, kafkaError, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  ElectLeadersRequest,
  ElectLeadersResponse,
} from "../../protocol/messages/43_elect_leaders.ts";
import type {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
} from "../../protocol/messages/45_alter_partition_reassignments.ts";
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
} from "../../protocol/messages/46_list_partition_reassignments.ts";
import type {
  UnregisterBrokerRequest,
  UnregisterBrokerResponse,
} from "../../protocol/messages/64_unregister_broker.ts";
import type { ElectionRequest } from "../cluster/broker_decisions.ts";
import { type Decision, type Refusal, refused, type Verdict } from "../cluster/decision.ts";
import { assignmentFault, isReassigned, type Reassignment } from "../cluster/reassignment.ts";
import {
  type ApiContext,
  NO_REFUSAL,
  settled,
  type WireRefusal,
  wireRefusal,
} from "./api_context.ts";

const ELECTION_TYPES = ["preferred", "unclean"] as const;

/** Answers ElectLeaders. Where all partitions are asked for, those that need no election are left out, as in Kafka. */
export async function electLeaders(
  context: ApiContext,
  { electionType, topicPartitions }: ElectLeadersRequest,
): Promise<ElectLeadersResponse> {
  const isAll = topicPartitions === null;
  const asked = topicPartitions ?? everyPartition(context);
  const type = ELECTION_TYPES[electionType];
  if (type === undefined) {
    const error = kafkaError("invalid_request", `There is no election of type ${electionType}`);
    const errorMessage = error.message;
    return {
      throttleTimeMs: 0,
      errorCode: error.wireCode,
      replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
        topic,
        partitionResult: partitions.map((partitionId) => {
          return { partitionId, errorCode: error.wireCode, errorMessage };
        }),
      })),
    };
  }
  const rows = asked.flatMap(({ topic, partitions }) =>
    partitions.map((index): ElectionRequest => ({ topic, index, type })),
  );
  const verdicts = await eachOf(
    context,
    "elect_leaders",
    rows,
    (some) => context.cluster.shared?.electLeaders(some) ?? null,
    ({ topic, index }) =>
      refused(isThere(context, topic, index) ? "election_not_needed" : UNKNOWN, null),
  );
  let next = 0;
  const replicaElectionResults = asked.map(({ topic, partitions }) => {
    const partitionResult = [];
    for (const partitionId of partitions) {
      const verdict = verdicts[next++]!;
      if (isAll && !verdict.ok && verdict.refusal.code === "election_not_needed") continue;
      partitionResult.push({ partitionId, ...rowOf(verdict) });
    }
    return { topic, partitionResult };
  });
  return { throttleTimeMs: 0, errorCode: NONE, replicaElectionResults };
}

/** Answers AlterPartitionReassignments. */
export async function alterReassignments(
  context: ApiContext,
  { topics, allowReplicationFactorChange }: AlterPartitionReassignmentsRequest,
): Promise<AlterPartitionReassignmentsResponse> {
  const rows = topics.flatMap(({ name, partitions }) =>
    partitions.map(
      ({ partitionIndex, replicas }): Reassignment => ({
        topic: name,
        index: partitionIndex,
        replicas,
      }),
    ),
  );
  const verdicts = await eachOf(
    context,
    "alter_reassignments",
    rows,
    (some) =>
      context.cluster.shared?.alterReassignments(some, allowReplicationFactorChange) ?? null,
    (row) => {
      if (!isThere(context, row.topic, row.index)) return refused(UNKNOWN, null);
      if (row.replicas === null) return refused("no_reassignment_in_progress", null);
      const fault = assignmentFault(row.replicas, (id) => id === context.brokerId);
      return fault === null
        ? { ok: true, value: null }
        : refused("invalid_replica_assignment", fault);
    },
  );
  let next = 0;
  const responses = topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => {
      const verdict = verdicts[next++]!;
      if (verdict.ok) return { partitionIndex, ...NO_REFUSAL };
      return { partitionIndex, ...wireRefusal(verdict.refusal.code, verdict.refusal.message) };
    }),
  }));
  return { throttleTimeMs: 0, allowReplicationFactorChange, ...NO_REFUSAL, responses };
}

/** Answers ListPartitionReassignments. */
export function listReassignments(
  { cluster }: ApiContext,
  { topics: asked }: ListPartitionReassignmentsRequest,
): ListPartitionReassignmentsResponse {
  const { topicsByName, topicsById, partitions: ofTopics } = cluster.image;
  const topics: ListPartitionReassignmentsResponse["topics"][number][] = [];
  const tell = (name: string, topicId: string, indexes: Iterable<number>) => {
    const partitions = [];
    for (const partitionIndex of indexes) {
      const partition = ofTopics.get(topicId)?.[partitionIndex];
      if (partition === undefined || !isReassigned(partition)) continue;
      const { replicas, adding: addingReplicas, removing: removingReplicas } = partition;
      partitions.push({ partitionIndex, replicas, addingReplicas, removingReplicas });
    }
    if (partitions.length > 0) topics.push({ name, partitions });
  };
  if (asked === null) {
    for (const [topicId, { length }] of ofTopics) {
      const topic = topicsById.get(topicId);
      if (topic !== undefined) tell(topic.name, topicId, Array(length).keys());
    }
  } else {
    for (const { name, partitionIndexes } of asked) {
      const topic = topicsByName.get(name);
      if (topic !== undefined) tell(name, topic.id, partitionIndexes);
    }
  }
  return { throttleTimeMs: 0, ...NO_REFUSAL, topics };
}

/** Answers UnregisterBroker. */
export async function unregisterBroker(
  context: ApiContext,
  { brokerId }: UnregisterBrokerRequest,
): Promise<UnregisterBrokerResponse> {
  const { shared } = context.cluster;
  const decision =
    shared === null
      ? unregisterAlone(context, brokerId)
      : await settled(context, "unregister_broker", shared.unregister(brokerId));
  if (!decision.ok) {
    return { throttleTimeMs: 0, ...wireRefusal(decision.refusal.code, decision.refusal.message) };
  }
  context.runtime.log.info("broker_unregistered", { brokerId });
  return { throttleTimeMs: 0, ...NO_REFUSAL };
}

function unregisterAlone(context: ApiContext, brokerId: number): Verdict<number> {
  return brokerId === context.brokerId
    ? refused("invalid_request", `Broker ${brokerId} is running: stop it first`)
    : refused("broker_id_not_registered", `Broker ${brokerId} is not registered`);
}

const UNKNOWN: KafkaErrorName = "unknown_topic_or_partition";

/** A verdict on every row: by as many commits as they need, or without one where there is one broker. */
async function eachOf<Row>(
  context: ApiContext,
  what: string,
  rows: readonly Row[],
  some: (rows: readonly Row[]) => Promise<Decision<readonly Verdict<unknown>[]>> | null,
  alone: (row: Row) => Verdict<unknown>,
): Promise<readonly Verdict<unknown>[]> {
  if (!context.cluster.isShared) return rows.map(alone);
  const verdicts: Verdict<unknown>[] = [];
  while (verdicts.length < rows.length) {
    const decided = some(rows.slice(verdicts.length));
    const decision = await settled(context, what, decided!);
    if (decision.ok) {
      for (const verdict of decision.value) verdicts.push(verdict);
      continue;
    }
    // The store took none of these; those before them stand.
    while (verdicts.length < rows.length) verdicts.push(decision);
  }
  return verdicts;
}

function rowOf(verdict: Verdict<unknown>): WireRefusal {
  if (verdict.ok) return NO_REFUSAL;
  const { code, message }: Refusal = verdict.refusal;
  return {
    errorCode: wireCodeOf(code),
    errorMessage: kafkaError(code, message ?? undefined).message,
  };
}

function isThere({ cluster }: ApiContext, name: string, index: number): boolean {
  const topic = cluster.image.topicsByName.get(name);
  return topic !== undefined && index >= 0 && index < topic.partitionCount;
}

function everyPartition({ cluster }: ApiContext) {
  return Array.from(cluster.image.topicsByName.values(), ({ name, partitionCount }) => ({
    topic: name,
    partitions: Array.from({ length: partitionCount }, (_, index) => index),
  }));
}
