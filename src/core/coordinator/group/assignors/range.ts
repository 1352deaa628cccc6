// Every topic cut into runs of neighbouring partitions, one for each of its readers in the order of their ids (static
// members first, by their names). Sticky only as far as the order of members is. Kafka: RangeAssignor.

import type { AssignedMember, Assignor, AssignorInput, TopicPartitions } from "./assignor.ts";

interface Cut {
  readonly partitionCount: number;
  readonly quota: number;
  /** Readers that still get one more than the quota. */
  extraCount: number;
  next: number;
}

export const rangeAssignor: Assignor = {
  name: "range",

  assign(input) {
    const members = [...input.members].sort(byName);
    const cuts = cutsOf(input);
    const targets = new Map<string, TopicPartitions>();
    for (const member of members) {
      const target = new Map<string, readonly number[]>();
      for (const topicId of member.topicIds) {
        const partitions = takeFrom(cuts.get(topicId)!);
        if (partitions.length > 0) target.set(topicId, partitions);
      }
      targets.set(member.memberId, target);
    }
    return targets;
  },
};

function cutsOf(input: AssignorInput): Map<string, Cut> {
  const readerCounts = new Map<string, number>();
  for (const member of input.members) {
    for (const topicId of member.topicIds) {
      readerCounts.set(topicId, (readerCounts.get(topicId) ?? 0) + 1);
    }
  }
  const cuts = new Map<string, Cut>();
  for (const [topicId, readerCount] of readerCounts) {
    const partitionCount = input.partitionCount(topicId);
    cuts.set(topicId, {
      partitionCount,
      quota: Math.floor(partitionCount / readerCount),
      extraCount: partitionCount % readerCount,
      next: 0,
    });
  }
  return cuts;
}

function takeFrom(cut: Cut): number[] {
  const start = cut.next;
  let size = cut.quota;
  if (cut.extraCount > 0) {
    size++;
    cut.extraCount--;
  }
  cut.next = Math.min(start + size, cut.partitionCount);
  return Array.from({ length: cut.next - start }, (_, index) => start + index);
}

function byName(a: AssignedMember, b: AssignedMember): number {
  if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId);
  if (a.instanceId !== null) return -1;
  if (b.instanceId !== null) return 1;
  return compare(a.memberId, b.memberId);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
