// Partitions with the epoch in which their member got them, by topic id: what a member has, or has to give up.
// Values never change: every operation gives a new map, or the one it got. Kafka: Map<Uuid, Map<Integer, Integer>>.

/** Assignment epochs by partition, by topic id. No topic is empty. */
export type EpochPartitions = ReadonlyMap<string, ReadonlyMap<number, number>>;

export const NOTHING: EpochPartitions = new Map();

/** A topic and its partitions, as requests and responses list them. */
export interface TopicPartitionList {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

export function hasPartition(
  partitions: EpochPartitions,
  topicId: string,
  partition: number,
): boolean {
  return partitions.get(topicId)?.has(partition) ?? false;
}

export function samePartitions(a: EpochPartitions, b: EpochPartitions): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [topicId, epochs] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.size !== epochs.size) return false;
    for (const [partition, epoch] of epochs) if (others.get(partition) !== epoch) return false;
  }
  return true;
}

/** All of both. Where both have a partition, the epoch of `b`. */
export function union(a: EpochPartitions, b: EpochPartitions): EpochPartitions {
  if (a.size === 0) return b;
  if (b.size === 0) return a;
  const all = new Map(a);
  for (const [topicId, epochs] of b) {
    all.set(topicId, new Map([...(all.get(topicId) ?? []), ...epochs]));
  }
  return all;
}

/** The same partitions, all of one epoch. */
export function withEpoch(partitions: EpochPartitions, epoch: number): EpochPartitions {
  const result = new Map<string, ReadonlyMap<number, number>>();
  for (const [topicId, epochs] of partitions) {
    result.set(topicId, new Map([...epochs.keys()].map((partition) => [partition, epoch])));
  }
  return result;
}

/** Ascending. */
export function sortedPartitions(epochs: ReadonlyMap<number, number>): number[] {
  return [...epochs.keys()].sort((a, b) => a - b);
}

export function listOf(partitions: EpochPartitions): { topicId: string; partitions: number[] }[] {
  return [...partitions].map(([topicId, epochs]) => ({
    topicId,
    partitions: sortedPartitions(epochs),
  }));
}

/** Whether a member that lists what it owns has nothing but what is in `allowed`. Null: it did not say. */
export function isWithin(
  owned: readonly TopicPartitionList[] | null,
  allowed: EpochPartitions,
): boolean {
  if (owned === null) return false;
  return owned.every(({ topicId, partitions }) => {
    const epochs = allowed.get(topicId);
    return epochs !== undefined && partitions.every((partition) => epochs.has(partition));
  });
}

/** Whether a member still has some of `partitions`. One that does not say what it owns may have all. */
export function ownsAnyOf(
  owned: readonly TopicPartitionList[] | null,
  partitions: EpochPartitions,
): boolean {
  if (owned === null) return true;
  return owned.some((topic) =>
    topic.partitions.some((partition) => hasPartition(partitions, topic.topicId, partition)),
  );
}
