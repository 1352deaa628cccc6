// OffsetFetch, for one group: what is committed, -1 for what is not, or why the caller may not know.
// Invariant: a group that is not there has no offsets, which is no error. Rows come in the order of the request.
// Kafka: OffsetMetadataManager.fetchOffsets, fetchAllOffsets.

import { ZERO_UUID } from "../../../base/uuid.ts";
import { NONE, wireCodeOf } from "../../../protocol/errors.ts";
import type { Group } from "./group.ts";
import type { FetchedGroup, FetchGroup } from "./group_requests.ts";
import { isGone, withoutGone } from "./offsets_gone.ts";
import type { PendingOffsets } from "./offsets_pending.ts";
import {
  type CommittedOffset,
  type OffsetTable,
  offsetIn,
  type TopicOffsets,
} from "./offsets_table.ts";
import type { TopicView } from "./topic_view.ts";

const NO_OFFSET = -1;

export interface FetchOptions {
  readonly group: Group | undefined;
  readonly table: OffsetTable;
  readonly pending: PendingOffsets;
  readonly topics: TopicView;
  /** Offsets that an open transaction may still change are refused. */
  readonly requireStable: boolean;
}

type FetchTopic = NonNullable<FetchGroup["topics"]>[number];
type FetchedTopic = FetchedGroup["topics"][number];
type FetchedPartition = FetchedTopic["partitions"][number];

/** @param asked With the names of topics, in versions that have ids, too. */
export function fetchOffsetsOf(asked: FetchGroup, options: FetchOptions): FetchedGroup {
  const { group, table } = options;
  const { groupId, memberId, memberEpoch } = asked;
  const refusal =
    group === undefined ? "group_id_not_found" : group.checkOffsetFetch(memberId, memberEpoch);
  if (refusal !== null && refusal !== "group_id_not_found") {
    return { groupId, topics: [], errorCode: wireCodeOf(refusal) };
  }
  const isThere = refusal === null;
  if (asked.topics === null) {
    const topics = isThere ? [...table.of(groupId)] : [];
    return {
      groupId,
      topics: topics
        .map(([name, list]) => [name, withoutGone(list, name, options.topics)] as const)
        .filter(([, list]) => list.length > 0)
        .map(([name, list]) => allOf(groupId, name, list, options)),
      errorCode: NONE,
    };
  }
  const known = isThere ? table.of(groupId) : null;
  return {
    groupId,
    topics: asked.topics.map((topic) => someOf(groupId, topic, known?.get(topic.name), options)),
    errorCode: NONE,
  };
}

function allOf(
  groupId: string,
  name: string,
  list: TopicOffsets,
  options: FetchOptions,
): FetchedTopic {
  return {
    name,
    topicId: ZERO_UUID,
    partitions: list.map((committed) =>
      isUnstable(groupId, name, committed.partition, options)
        ? unstable(committed.partition)
        : found(committed),
    ),
  };
}

function someOf(
  groupId: string,
  { name, topicId, partitionIndexes }: FetchTopic,
  list: TopicOffsets | undefined,
  options: FetchOptions,
): FetchedTopic {
  return {
    name,
    topicId,
    partitions: partitionIndexes.map((partition) => {
      if (isUnstable(groupId, name, partition, options)) return unstable(partition);
      const committed = offsetIn(list, partition);
      return committed !== null &&
        isOfTopic(committed, topicId) &&
        !isGone(committed, name, options.topics)
        ? found(committed)
        : absent(partition);
    }),
  };
}

function isUnstable(
  groupId: string,
  topic: string,
  partition: number,
  { requireStable, pending }: FetchOptions,
): boolean {
  return requireStable && pending.has(groupId, topic, partition);
}

/** A topic that was made anew under its name has none of the offsets of the one before. Without an id one cannot tell. */
function isOfTopic(committed: CommittedOffset, topicId: string): boolean {
  return committed.topicId === topicId || committed.topicId === ZERO_UUID || topicId === ZERO_UUID;
}

function found({ partition, offset, leaderEpoch, metadata }: CommittedOffset): FetchedPartition {
  return {
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
    errorCode: NONE,
  };
}

function absent(partitionIndex: number, errorCode: number = NONE): FetchedPartition {
  return {
    partitionIndex,
    committedOffset: NO_OFFSET,
    committedLeaderEpoch: -1,
    metadata: "",
    errorCode,
  };
}

function unstable(partitionIndex: number): FetchedPartition {
  return absent(partitionIndex, wireCodeOf("unstable_offset_commit"));
}
