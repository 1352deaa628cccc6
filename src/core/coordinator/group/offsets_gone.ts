// Offsets whose topic is gone while their records are still there: the broker ended between the topic's deletion and
// the tombstones, or was not running when it was deleted. Invariant: an offset belongs to the topic whose id its record
// names, and never to one that was made under the name later; a record without an id belongs to whoever has the name.
// Kafka keeps such offsets until they expire, and hides them only from requests that name the topic by id.

import { ZERO_UUID } from "../../../base/uuid.ts";
import type { GroupRecord } from "./group_record.ts";
import { tombstone } from "./offsets_delete.ts";
import { KEEP } from "./offsets_sweep.ts";
import type { CommittedOffset, OffsetTable, TopicOffsets } from "./offsets_table.ts";
import type { TransactionOffsets } from "./offsets_transactions.ts";
import type { TopicView } from "./topic_view.ts";

/** Whether the topic that was committed to is no more. @param name What it was called */
export function isGone(committed: CommittedOffset, name: string, topics: TopicView): boolean {
  const { topicId } = committed;
  return topicId === ZERO_UUID ? topics.named(name) === null : topics.withId(topicId) === null;
}

/** Those that are not gone; the list itself where that is all of them. Ids are looked up once for each run of equal ones. */
export function withoutGone(list: TopicOffsets, name: string, topics: TopicView): TopicOffsets {
  return hasGone(list, name, topics)
    ? list.filter((committed) => !isGone(committed, name, topics))
    : list;
}

function hasGone(list: TopicOffsets, name: string, topics: TopicView): boolean {
  let known: string | null = null;
  for (const committed of list) {
    if (committed.topicId === known) continue;
    if (isGone(committed, name, topics)) return true;
    known = committed.topicId;
  }
  return false;
}

/**
 * All offsets whose topic is gone, whoever reads them, committed or pending. A step is a topic of a group, or an offset where some
 * are gone.
 */
export function* walkGone(
  table: OffsetTable,
  pending: TransactionOffsets,
  topics: () => TopicView,
): Generator<readonly GroupRecord[], void> {
  yield* walkGoneCommitted(table, topics);
  for (const ofProducer of pending.tables().values()) {
    for (const groupId of ofProducer.groupIds()) {
      for (const [topic, list] of ofProducer.of(groupId)) {
        for (let i = list.length - 1; i >= 0; i--) {
          const offset = list[i];
          if (offset === undefined) continue;
          const { partition } = offset;
          // A tombstone takes all that is there under its key: what somebody has for a topic made later must not go with it.
          const committed = table.get(groupId, topic, partition);
          const all = [...pending.at(groupId, topic, partition)];
          if (committed !== null) all.push(committed);
          const areGone = all.every((each) => isGone(each, topic, topics()));
          yield areGone ? [tombstone(groupId, topic, partition)] : KEEP;
        }
      }
    }
  }
}

function* walkGoneCommitted(
  table: OffsetTable,
  topics: () => TopicView,
): Generator<readonly GroupRecord[], void> {
  for (const groupId of table.groupIds()) {
    for (const [topic, list] of table.of(groupId)) {
      if (!hasGone(list, topic, topics())) {
        yield KEEP;
        continue;
      }
      // Downwards: what is removed on the way moves nothing that is still to come.
      for (let i = list.length - 1; i >= 0; i--) {
        const committed = list[i];
        if (committed === undefined) continue;
        yield isGone(committed, topic, topics())
          ? [tombstone(groupId, topic, committed.partition)]
          : KEEP;
      }
    }
  }
}
