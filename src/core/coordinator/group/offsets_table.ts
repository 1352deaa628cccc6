// Offsets by group, topic and partition. Invariant: a topic has its partitions in ascending order, and neither a group
// nor a topic is there without any; a value that is there is never changed, only replaced.
// A million of them are held in memory: small sorted lists take a third of what maps of partitions do.
// Kafka: OffsetMetadataManager.Offsets, OffsetAndMetadata.

import type { OffsetCommitValue } from "../../../protocol/internal_records/offset_commit.ts";

export interface CommittedOffset {
  readonly partition: number;
  readonly offset: number;
  /** Epoch of the last record that was consumed; -1 when the client did not say. */
  readonly leaderEpoch: number;
  /** What the client wishes to have kept with it. */
  readonly metadata: string;
  readonly commitTimestampMs: number;
  /** Wall time asked for by OffsetCommit v2 to v4; -1: the broker's retention decides. */
  readonly expireTimestampMs: number;
  /** Of the topic that was committed to; zero where the record does not say. */
  readonly topicId: string;
  /** Where its record lies: a transaction that ends later must not take a newer commit back. */
  readonly recordOffset: number;
}

/** Partitions of a topic, in ascending order. Lists and maps that a table gives change with it. */
export type TopicOffsets = readonly CommittedOffset[];

const NONE: ReadonlyMap<string, TopicOffsets> = new Map();

export class OffsetTable {
  readonly #byGroup = new Map<string, Map<string, CommittedOffset[]>>();
  #size = 0;

  /** Offsets of all groups. */
  get size(): number {
    return this.#size;
  }

  /** Groups that have any. A walk may go on while the table changes. */
  groupIds(): IterableIterator<string> {
    return this.#byGroup.keys();
  }

  /** Empty when the group has none. A walk over the topics may go on while the table changes. */
  of(groupId: string): ReadonlyMap<string, TopicOffsets> {
    return this.#byGroup.get(groupId) ?? NONE;
  }

  has(groupId: string): boolean {
    return this.#byGroup.has(groupId);
  }

  get(groupId: string, topic: string, partition: number): CommittedOffset | null {
    return offsetIn(this.#byGroup.get(groupId)?.get(topic), partition);
  }

  /** Takes what a record says. @param recordOffset Where it lies in the log. */
  put(
    groupId: string,
    topic: string,
    partition: number,
    value: OffsetCommitValue,
    recordOffset: number,
  ): void {
    this.#put(groupId, topic, committedOffset(partition, value, recordOffset));
  }

  /** Takes an offset of another table, unless the one here was written later. */
  putNewer(groupId: string, topic: string, committed: CommittedOffset): void {
    const known = this.get(groupId, topic, committed.partition);
    if (known === null || known.recordOffset < committed.recordOffset) {
      this.#put(groupId, topic, committed);
    }
  }

  #put(groupId: string, topic: string, committed: CommittedOffset): void {
    let topics = this.#byGroup.get(groupId);
    if (topics === undefined) {
      topics = new Map();
      this.#byGroup.set(groupId, topics);
    }
    const list = topics.get(topic);
    if (list === undefined) {
      topics.set(topic, [committed]);
      this.#size++;
      return;
    }
    const { partition } = committed;
    const at = placeIn(list, partition);
    shareText(committed, list[at] ?? list[at - 1]!);
    if (list[at]?.partition === partition) {
      list[at] = committed;
      return;
    }
    // Most come in ascending order.
    if (at === list.length) list.push(committed);
    else list.splice(at, 0, committed);
    this.#size++;
  }

  /** @returns whether it was there */
  remove(groupId: string, topic: string, partition: number): boolean {
    const topics = this.#byGroup.get(groupId);
    const list = topics?.get(topic);
    if (topics === undefined || list === undefined) return false;
    const at = placeIn(list, partition);
    if (list[at]?.partition !== partition) return false;
    list.splice(at, 1);
    this.#size--;
    if (list.length > 0) return true;
    topics.delete(topic);
    if (topics.size === 0) this.#byGroup.delete(groupId);
    return true;
  }
}

/** The offset of a partition among those of its topic; null when there is none. */
export function offsetIn(
  list: TopicOffsets | undefined,
  partition: number,
): CommittedOffset | null {
  if (list === undefined) return null;
  const found = list[placeIn(list, partition)];
  return found?.partition === partition ? found : null;
}

function committedOffset(
  partition: number,
  value: OffsetCommitValue,
  recordOffset: number,
): CommittedOffset {
  return {
    partition,
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    // A log may hold any int64: ages are reckoned with, and a bigint among numbers would throw.
    commitTimestampMs: Number(value.commitTimestamp),
    expireTimestampMs: Number(value.expireTimestamp),
    topicId: value.topicId,
    recordOffset,
  };
}

/** Partitions of a topic share the text of its id. */
function shareText(committed: { topicId: string }, neighbour: CommittedOffset): void {
  if (committed.topicId === neighbour.topicId) committed.topicId = neighbour.topicId;
}

/** Index of the partition, or where it is to be put. */
function placeIn(list: TopicOffsets, partition: number): number {
  // Whole topics are committed from 0 on: a partition mostly stands at its own number.
  if (list[partition]?.partition === partition) return partition;
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]!.partition < partition) low = middle + 1;
    else high = middle;
  }
  return low;
}
