// Which offsets and groups have had their time: what the sweeps of a shard walk over.
// Invariant: an offset goes by its own time if it has one, else when it is as old as the broker keeps them, and neither
// while its group still reads the topic. A group goes when nobody is in it and nothing is committed for it.
// Kafka: OffsetMetadataManager.cleanupExpiredOffsets, onTopicsDeleted, GroupMetadataManager.maybeDeleteGroup.

import type { GroupRecord } from "./group_record.ts";
import type { Groups } from "./groups.ts";
import { tombstone } from "./offsets_delete.ts";
import type { PendingOffsets } from "./offsets_pending.ts";
import { KEEP } from "./offsets_sweep.ts";
import type { CommittedOffset, OffsetTable } from "./offsets_table.ts";
import type { TopicView } from "./topic_view.ts";

export interface WalkOptions {
  readonly groups: Groups;
  readonly table: OffsetTable;
  readonly pending: PendingOffsets;
}

/** Of older records: the offset itself does not say when it expires. */
const NO_EXPIRY = -1;

/**
 * Everything that has expired: first offsets, then the groups that have none any more.
 *
 * @param nowMs Wall time at which the walk begins: what is committed while it goes on is younger.
 */
export function* walkExpired(
  { groups, table, pending }: WalkOptions,
  nowMs: number,
  retentionMs: number,
): Generator<readonly GroupRecord[] | "pause", void> {
  for (const groupId of table.groupIds()) {
    for (const [topic, list] of table.of(groupId)) {
      // Downwards: what is removed on the way moves nothing that is still to come.
      for (let i = list.length - 1; i >= 0; i--) {
        const committed = list[i];
        if (committed === undefined) continue;
        const { partition } = committed;
        // Asked anew for each: a member may have come since the last slice.
        const ageFrom = groups.get(groupId)?.offsetsAgeFrom(topic) ?? null;
        const expires =
          ageFrom !== null &&
          hasExpired(committed, ageFrom, nowMs, retentionMs) &&
          !pending.has(groupId, topic, partition);
        yield expires ? [tombstone(groupId, topic, partition)] : KEEP;
      }
    }
  }
  yield "pause";
  for (const group of groups.values()) {
    const { groupId } = group;
    const isOver = group.isEmpty && !table.has(groupId) && !pending.hasAny(groupId);
    yield isOver ? group.tombstones() : KEEP;
  }
}

function hasExpired(
  committed: CommittedOffset,
  ageFrom: number | "commit",
  nowMs: number,
  retentionMs: number,
): boolean {
  const { expireTimestampMs, commitTimestampMs } = committed;
  if (expireTimestampMs !== NO_EXPIRY) return nowMs >= expireTimestampMs;
  return nowMs - (ageFrom === "commit" ? commitTimestampMs : ageFrom) >= retentionMs;
}

/**
 * All offsets of topics that were deleted, whoever reads them.
 *
 * @param names What the topics were called. Offsets of one that has the name now are kept; those that do not say to
 *   which of the two they belong go, as in Kafka.
 */
export function* walkTopics(
  { groups, table, pending }: WalkOptions,
  names: readonly string[],
  topics: () => TopicView,
): Generator<readonly GroupRecord[] | "pause", void> {
  const deleted = new Set(names);
  for (const { groupId } of groups.values()) {
    for (const topic of deleted) {
      const list = table.of(groupId).get(topic) ?? [];
      for (let i = list.length - 1; i >= 0; i--) {
        const committed = list[i];
        if (committed === undefined) continue;
        const { topicId, partition } = committed;
        // Nor has anybody the zero id.
        const isGone = topics().withId(topicId) === null;
        yield isGone ? [tombstone(groupId, topic, partition)] : KEEP;
      }
    }
    const left = [...pending.of(groupId)].filter(
      ({ topic, partition }) => deleted.has(topic) && table.get(groupId, topic, partition) === null,
    );
    yield left.map(({ topic, partition }) => tombstone(groupId, topic, partition));
  }
}
