// Targets while an assignor works on them.

import type { TopicPartitions } from "./assignor.ts";

/** The draft as a target: ascending partitions, no empty topics. Takes the draft over. */
export function sortedTarget(draft: ReadonlyMap<string, number[]>): TopicPartitions {
  const target = new Map<string, readonly number[]>();
  for (const [topicId, partitions] of draft) {
    if (partitions.length === 0) continue;
    partitions.sort((a, b) => a - b);
    target.set(topicId, partitions);
  }
  return target;
}
