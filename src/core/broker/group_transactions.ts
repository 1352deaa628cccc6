// TxnOffsetCommit: offsets of a group that stand once a producer's transaction is committed.
// Invariant: whoever keeps the transaction is asked about it only when there is something to commit. What is not there is said
// of each partition by itself, and first. Kafka: KafkaApis.handleTxnOffsetCommitRequest, CoordinatorPartitionWriter.

import type { Caller } from "../../contracts/broker.ts";
import { type KafkaErrorName, wireCodeOf } from "../../protocol/errors.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
} from "../../protocol/messages/28_txn_offset_commit.ts";
import { callOf, type GroupContext } from "./group_dispatch.ts";

/** First version whose clients know coordinator_load_in_progress. */
const KNOWS_LOADING_FROM = 2;
/** First version whose clients know transaction_abortable. */
const KNOWS_ABORTABLE_FROM = 4;
/** First version that takes the group's partition into the transaction (KIP-890). */
const ADDS_FROM = 5;

/** The shard holds each topic and partition against the topics there are, once more. */
export async function commitOffsetsInTransaction(
  context: GroupContext,
  caller: Caller,
  request: TxnOffsetCommitRequest,
  version: number,
): Promise<TxnOffsetCommitResponse> {
  if (!isAnythingThere(context, request)) {
    return refused(context, request, "unknown_topic_or_partition");
  }
  const { groupId, transactionalId, producerId, producerEpoch } = request;
  if (groupId === "") return refused(context, request, "invalid_group_id");
  // Nobody's, whatever the transactional id: without this it would depend on the gate that no batch is written for them.
  if (producerId < 0) return refused(context, request, "invalid_producer_id_mapping");
  if (producerEpoch < 0) return refused(context, request, "invalid_producer_epoch");
  const outcome = await context.groups.runInTransaction<TxnOffsetCommitResponse>(
    groupId,
    { transactionalId, producerId, producerEpoch, adds: version >= ADDS_FROM },
    (shard, now, reply) =>
      shard.commitOffsetsInTransaction(callOf(caller, version, now), request, reply),
    caller.signal,
  );
  if (outcome.ok) return outcome.value;
  return refused(context, request, toldAs(outcome.error.code, version));
}

/** What clients of the version can make something of. Kafka: CoordinatorOperationExceptionHelper, TransactionSupportedOperation. */
function toldAs(code: KafkaErrorName, version: number): KafkaErrorName {
  switch (code) {
    case "network_exception":
    case "coordinator_load_in_progress":
      return version >= KNOWS_LOADING_FROM
        ? "coordinator_load_in_progress"
        : "coordinator_not_available";
    case "not_enough_replicas":
    case "unknown_topic_or_partition":
    case "request_timed_out":
      return "coordinator_not_available";
    case "not_leader_or_follower":
    case "kafka_storage_error":
      return "not_coordinator";
    case "producer_fenced":
      return "invalid_producer_epoch";
    case "transaction_abortable":
      return version >= KNOWS_ABORTABLE_FROM ? code : "invalid_txn_state";
    default:
      return code;
  }
}

function isThere({ api }: GroupContext, topic: string, partition: number): boolean {
  const known = api.cluster.image.topicsByName.get(topic);
  return known !== undefined && partition >= 0 && partition < known.partitionCount;
}

function isAnythingThere(context: GroupContext, { topics }: TxnOffsetCommitRequest): boolean {
  return topics.some(({ name, partitions }) =>
    partitions.some(({ partitionIndex }) => isThere(context, name, partitionIndex)),
  );
}

function refused(
  context: GroupContext,
  { topics }: TxnOffsetCommitRequest,
  code: KafkaErrorName,
): TxnOffsetCommitResponse {
  const rows = topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: wireCodeOf(
        isThere(context, name, partitionIndex) ? code : "unknown_topic_or_partition",
      ),
    })),
  }));
  return { throttleTimeMs: 0, topics: rows };
}
