// What operators do with a cluster: elect leaders, move replicas, see what is being moved, forget brokers.
// Invariant: several things are answered in the order they were asked for. Any broker is asked: those of Kafka hand it on.
// Kafka: Admin.electLeaders, alterPartitionReassignments, listPartitionReassignments, unregisterBroker.

import type { KafkaError, Outcome } from "../protocol/errors.ts";
import { ElectLeaders } from "../protocol/messages/43_elect_leaders.ts";
import { AlterPartitionReassignments } from "../protocol/messages/45_alter_partition_reassignments.ts";
import { ListPartitionReassignments } from "../protocol/messages/46_list_partition_reassignments.ts";
import { UnregisterBroker } from "../protocol/messages/64_unregister_broker.ts";
import { kafkaErrorOf, requireNone } from "./client_error.ts";
import type { CoordinatorContext } from "./coordinator.ts";
import { keyOf, type TopicPartition } from "./group/partition_key.ts";
import { outcomeOf } from "./row_outcome.ts";
import { type CallBounds, retrying } from "./waiting.ts";

/** "preferred": the first of the replicas shall lead; "unclean": anybody who is there, where nobody leads, whatever is lost. */
export type ElectionType = "preferred" | "unclean";

/** What came of an election. Without an error the partition has its leader. */
export interface ElectedPartition extends TopicPartition {
  readonly error: KafkaError | null;
}

/** Where a partition's replicas shall be, in order of preference; null cancels the move under way. */
export interface ReplicaMove extends TopicPartition {
  readonly replicas: readonly number[] | null;
}

/** A partition on its way to other brokers. */
export interface PartitionReassignment extends TopicPartition {
  /** All that it has now, those that come and those that go too. */
  readonly replicas: readonly number[];
  readonly adding: readonly number[];
  readonly removing: readonly number[];
}

const TYPES: Readonly<Record<ElectionType, number>> = { preferred: 0, unclean: 1 };
/** Version that knows the type. */
const TYPE_FROM = 1;
/** Version that may keep the factor. */
const FACTOR_FROM = 1;

/** Of null: every partition that needed an election. */
export async function electLeaders(
  context: CoordinatorContext,
  type: ElectionType,
  partitions: readonly TopicPartition[] | null,
  bounds: CallBounds,
): Promise<readonly ElectedPartition[]> {
  const topicPartitions =
    partitions === null
      ? null
      : byTopic(partitions, ({ partition }) => partition).map(([topic, rows]) => ({
          topic,
          partitions: rows,
        }));
  const { timeoutMs } = bounds;
  const versionMin = type === "preferred" ? 0 : TYPE_FROM;
  const response = await retried(context, bounds, () =>
    context.port.send(
      ElectLeaders,
      (version) => {
        const asked = { topicPartitions, timeoutMs: wireMs(timeoutMs) };
        return version >= TYPE_FROM ? { ...asked, electionType: TYPES[type] } : asked;
      },
      { versionMin, signal: bounds.signal },
    ),
  );
  const rows = response.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
    partitionResult.map(({ partitionId, errorCode, errorMessage }): ElectedPartition => {
      const error = kafkaErrorOf(errorCode, errorMessage);
      return { topic, partition: partitionId, error };
    }),
  );
  // What is refused as a whole says so in every row, where there are rows.
  if (rows.length === 0) requireNone(response.errorCode, "Cannot elect leaders");
  if (partitions === null) return rows;
  const found = new Map(rows.map((row) => [keyOf(row), row]));
  return partitions.map(({ topic, partition }) => {
    const missing = kafkaErrorOf(-1, "The broker's answer leaves it out");
    return found.get(keyOf({ topic, partition })) ?? { topic, partition, error: missing };
  });
}

/** Begins moves, or cancels them; one outcome each. That they have ended is not waited for. */
export async function moveReplicas(
  context: CoordinatorContext,
  moves: readonly ReplicaMove[],
  mayChangeFactor: boolean,
  bounds: CallBounds,
): Promise<readonly Outcome<null>[]> {
  const topics = byTopic(moves, ({ partition, replicas }) => ({
    partitionIndex: partition,
    replicas,
  })).map(([name, partitions]) => ({ name, partitions }));
  const response = await retried(context, bounds, () =>
    context.port.send(
      AlterPartitionReassignments,
      (version) => {
        const asked = { timeoutMs: wireMs(bounds.timeoutMs), topics };
        if (version < FACTOR_FROM) return asked;
        return { ...asked, allowReplicationFactorChange: mayChangeFactor };
      },
      { versionMin: mayChangeFactor ? 0 : FACTOR_FROM, signal: bounds.signal },
    ),
  );
  requireNone(response.errorCode, "Cannot move replicas", response.errorMessage);
  const rows = response.responses.flatMap(({ name, partitions }) =>
    partitions.map((row) => [keyOf({ topic: name, partition: row.partitionIndex }), row] as const),
  );
  const found = new Map(rows);
  return moves.map(({ topic, partition }) =>
    outcomeOf(found.get(keyOf({ topic, partition })), () => null),
  );
}

/** What is being moved: of some partitions, or of all. */
export async function listReassignments(
  context: CoordinatorContext,
  partitions: readonly TopicPartition[] | null,
  bounds: CallBounds,
): Promise<readonly PartitionReassignment[]> {
  const topics =
    partitions === null
      ? null
      : byTopic(partitions, ({ partition }) => partition).map(([name, partitionIndexes]) => ({
          name,
          partitionIndexes,
        }));
  const request = { timeoutMs: wireMs(bounds.timeoutMs), topics };
  const response = await retried(context, bounds, () =>
    context.port.send(ListPartitionReassignments, request, { signal: bounds.signal }),
  );
  requireNone(response.errorCode, "Cannot list what is being moved", response.errorMessage);
  return response.topics.flatMap(({ name: topic, partitions: rows }) =>
    rows.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
      topic,
      partition: partitionIndex,
      replicas,
      adding: addingReplicas,
      removing: removingReplicas,
    })),
  );
}

/** Forgets a broker that is gone for good. @throws {ClientError} "broker_id_not_registered"; "invalid_request": it is running */
export async function unregisterBroker(
  context: CoordinatorContext,
  brokerId: number,
  bounds: CallBounds,
): Promise<void> {
  const response = await retried(context, bounds, () =>
    context.port.send(UnregisterBroker, { brokerId }, { signal: bounds.signal }),
  );
  const doing = `Cannot unregister broker ${brokerId}`;
  requireNone(response.errorCode, doing, response.errorMessage);
}

function retried<T>(
  { runtime, backoff }: CoordinatorContext,
  bounds: CallBounds,
  attempt: () => Promise<T>,
): Promise<T> {
  return retrying(runtime, { ...backoff, ...bounds }, attempt);
}

function byTopic<Row extends { readonly topic: string }, T>(
  rows: readonly Row[],
  of: (row: Row) => T,
): [topic: string, rows: T[]][] {
  const topics = new Map<string, T[]>();
  for (const row of rows) {
    const list = topics.get(row.topic);
    if (list === undefined) topics.set(row.topic, [of(row)]);
    else list.push(of(row));
  }
  return [...topics];
}

/** The protocol's bound on what a broker is told to take. */
function wireMs(timeoutMs: number): number {
  return Math.min(timeoutMs, 0x7fffffff);
}
