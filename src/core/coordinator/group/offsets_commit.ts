// OffsetCommit and TxnOffsetCommit: who may commit, what may be committed, and the records of it.
// Invariant: a request that its group refuses writes nothing; otherwise each partition stands or falls alone.
// Kafka: KafkaApis.handleOffsetCommitRequest, OffsetMetadataManager.commitOffset, commitTransactionalOffset.

import { ZERO_UUID } from "../../../base/uuid.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../../protocol/errors.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../../protocol/messages/08_offset_commit.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
} from "../../../protocol/messages/28_txn_offset_commit.ts";
import type { Now } from "../runtime/shard.ts";
import type { Group, GroupCall, OffsetCaller } from "./group.ts";
import type { OffsetCommitRecord } from "./group_record.ts";
import type { TopicSeen, TopicView } from "./topic_view.ts";

/** First version that names topics by id. */
const TOPIC_IDS_FROM = 10;
/** First version that tells a group that is not there from an old generation. */
const GROUP_NOT_FOUND_FROM = 9;
/** Of request and record: as long as the broker keeps it. */
const NO_RETENTION = -1;

type Topic = OffsetCommitRequest["topics"][number];
type Partition = Topic["partitions"][number];
type Rows = OffsetCommitResponse["topics"];

export interface CommitOptions {
  /** The group that is committed for; undefined when there is none. */
  readonly group: Group | undefined;
  readonly topics: TopicView;
  /** offset.metadata.max.bytes, which Kafka holds against UTF-16 units. */
  readonly metadataLengthMax: number;
  /** The records are for a transaction. */
  readonly isTransactional?: true;
}

export interface Commit<Response> {
  readonly records: readonly OffsetCommitRecord[];
  readonly response: Response;
}

/** A partition of the request, and what becomes of it. */
interface Item {
  readonly partition: Partition;
  readonly topic: TopicSeen | null;
  error: KafkaErrorName | null;
}

/** Names topics, in every version, and says nothing of how long offsets are kept. */
export function decideTransactionalCommit(
  call: GroupCall,
  request: TxnOffsetCommitRequest,
  options: CommitOptions,
): Commit<TxnOffsetCommitResponse> {
  const { groupId, generationId, memberId, groupInstanceId } = request;
  const plain: OffsetCommitRequest = {
    groupId,
    generationIdOrMemberEpoch: generationId,
    memberId,
    groupInstanceId,
    retentionTimeMs: NO_RETENTION,
    topics: request.topics.map((topic) => ({ ...topic, topicId: ZERO_UUID })),
  };
  return decideCommit(call, plain, { ...options, isTransactional: true });
}

export function decideCommit(
  call: GroupCall,
  request: OffsetCommitRequest,
  options: CommitOptions,
): Commit<OffsetCommitResponse> {
  const rows = request.topics.map((topic) => {
    const seen = topicOf(call, topic, options.topics);
    return topic.partitions.map((partition): Item => {
      return { partition, topic: seen, error: absence(call, seen, partition.partitionIndex) };
    });
  });
  const open = rows.flat().filter((item) => item.error === null);
  // Kafka asks the group only about what is there.
  const refusal = open.length === 0 ? null : check(call, request, open, options);
  if (refusal !== null) for (const item of open) item.error = refusal;
  const records = open
    .filter((item) => item.error === null)
    .map((item) => recordOf(request, item, call.now, options));
  return { records, response: { throttleTimeMs: 0, topics: answerRows(request, rows) } };
}

function topicOf({ version }: GroupCall, topic: Topic, topics: TopicView): TopicSeen | null {
  return version >= TOPIC_IDS_FROM ? topics.withId(topic.topicId) : topics.named(topic.name);
}

/** Why there is no such partition; null when there is. */
function absence(
  { version }: GroupCall,
  topic: TopicSeen | null,
  partition: number,
): KafkaErrorName | null {
  if (topic === null) {
    return version >= TOPIC_IDS_FROM ? "unknown_topic_id" : "unknown_topic_or_partition";
  }
  const isThere = partition >= 0 && partition < topic.partitionCount;
  return isThere ? null : "unknown_topic_or_partition";
}

/** Why the whole request is refused; null when it is not. What is wrong with single items is written on them. */
function check(
  call: GroupCall,
  request: OffsetCommitRequest,
  open: readonly Item[],
  { group, metadataLengthMax, isTransactional }: CommitOptions,
): KafkaErrorName | null {
  const caller: OffsetCaller = {
    memberId: request.memberId,
    groupInstanceId: request.groupInstanceId,
    generationOrEpoch: request.generationIdOrMemberEpoch,
    isTransactional: isTransactional ?? false,
    version: call.version,
  };
  const refusal = checkGroup(caller, group, call.now);
  if (refusal !== null) return refusal;
  for (const item of open) {
    const { partitionIndex, committedOffset, committedMetadata } = item.partition;
    if ((committedMetadata?.length ?? 0) > metadataLengthMax) {
      item.error = "offset_metadata_too_large";
    } else if (!Number.isSafeInteger(committedOffset)) {
      item.error = "invalid_commit_offset_size";
    } else {
      const { id } = item.topic!;
      const partitionRefusal = group?.checkPartitionCommit?.(caller, id, partitionIndex) ?? null;
      if (partitionRefusal !== null) return partitionRefusal;
    }
  }
  return null;
}

function checkGroup(
  caller: OffsetCaller,
  group: Group | undefined,
  now: Now,
): KafkaErrorName | null {
  if (group !== undefined) return group.checkOffsetCommit(caller, now);
  // Admins and consumers without a membership: a group of nobody is there with its first offset.
  if (caller.generationOrEpoch < 0) return null;
  return caller.version >= GROUP_NOT_FOUND_FROM ? "group_id_not_found" : "illegal_generation";
}

function recordOf(
  request: OffsetCommitRequest,
  item: Item,
  now: Now,
  { isTransactional }: CommitOptions,
): OffsetCommitRecord {
  const { partition } = item;
  const topic = item.topic!;
  const expires = request.retentionTimeMs !== NO_RETENTION;
  return {
    kind: "offset_commit",
    key: { group: request.groupId, topic: topic.name, partition: partition.partitionIndex },
    value: {
      offset: partition.committedOffset,
      metadata: partition.committedMetadata ?? "",
      commitTimestamp: now.wallMs,
      // The form of record that can say when it expires has no place for the other two.
      expireTimestamp: expires ? expiry(request.retentionTimeMs, now) : NO_RETENTION,
      leaderEpoch: expires ? -1 : partition.committedLeaderEpoch,
      // Kafka leaves it out of transactions' records.
      topicId: expires || isTransactional ? ZERO_UUID : topic.id,
    },
  };
}

/** A retention of all the ages there are comes as a bigint: as far as numbers go. */
function expiry(retentionTimeMs: number | bigint, now: Now): number {
  const atMs = now.wallMs + Number(retentionTimeMs);
  return Math.max(Math.min(atMs, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER);
}

function answerRows(request: OffsetCommitRequest, rows: readonly (readonly Item[])[]): Rows {
  return request.topics.map(({ name, topicId }, i) => ({
    name,
    topicId,
    partitions: rows[i]!.map(({ partition, error }) => ({
      partitionIndex: partition.partitionIndex,
      errorCode: error === null ? NONE : wireCodeOf(error),
    })),
  }));
}
