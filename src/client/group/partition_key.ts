// Partitions as keys of maps, and in the nested form that the protocol has.
// Invariant: one partition has one key.

import type { TopicPartition } from "../../contracts/broker.ts";

export type { TopicPartition };

/** "topic-0": what follows the last dash is the number, so that no two partitions share a key. */
export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

/** By topic, then by number. */
export function byPlace(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.partition - b.partition;
}

/** What `from` has and `without` has not. */
export function difference<T extends TopicPartition>(
  from: Iterable<T>,
  without: Iterable<TopicPartition>,
): T[] {
  const keys = new Set<string>();
  for (const each of without) keys.add(keyOf(each));
  return [...from].filter((each) => !keys.has(keyOf(each)));
}

/** Partitions by topic, in the order in which the topics come. */
export function byTopic<T extends TopicPartition, P>(
  partitions: Iterable<T>,
  partOf: (partition: T) => P,
): Map<string, P[]> {
  const topics = new Map<string, P[]>();
  for (const each of partitions) {
    const parts = topics.get(each.topic);
    if (parts === undefined) topics.set(each.topic, [partOf(each)]);
    else parts.push(partOf(each));
  }
  return topics;
}
