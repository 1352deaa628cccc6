// Uniform where all members read the same topics: everybody has the same number of partitions, or one more, and keeps as
// many of its own as that allows. One pass over the members, one over what nobody has.
// Kafka: UniformHomogeneousAssignmentBuilder.

import type { AssignorInput, TopicPartitions } from "./assignor.ts";
import { sortedTarget } from "./draft.ts";

interface Unfilled {
  readonly draft: Map<string, number[]>;
  readonly roomLeft: number;
}

export function assignHomogeneous(input: AssignorInput): ReadonlyMap<string, TopicPartitions> {
  const first = input.members[0];
  if (first === undefined || first.topicIds.size === 0) return new Map();
  const topicIds = first.topicIds;
  const free = freePartitions(input, topicIds);
  let totalCount = 0;
  for (const topicId of topicIds) totalCount += input.partitionCount(topicId);
  const memberCount = input.members.length;
  const quota = Math.floor(totalCount / memberCount);
  let extraCount = totalCount % memberCount;

  const drafts = new Map<string, Map<string, number[]>>();
  const unfilled: Unfilled[] = [];
  for (const [index, member] of input.members.entries()) {
    const mayTakeExtra = extraCount > 0;
    let room = quota + (mayTakeExtra ? 1 : 0);
    const draft = new Map<string, number[]>();
    for (const [topicId, partitions] of member.target) {
      if (!topicIds.has(topicId)) continue;
      const kept = partitions.slice(0, room);
      if (kept.length > 0) draft.set(topicId, kept);
      room -= kept.length;
      for (const partition of partitions.slice(kept.length)) free.push([topicId, partition]);
    }
    let takesExtra = mayTakeExtra;
    // Whoever has a partition too few leaves the extra one to others, while there are enough of them to take it.
    if (room > 0 && mayTakeExtra && memberCount - index > extraCount) {
      room--;
      takesExtra = false;
    }
    if (room > 0) unfilled.push({ draft, roomLeft: room });
    if (takesExtra) extraCount--;
    drafts.set(member.memberId, draft);
  }

  let next = 0;
  for (const { draft, roomLeft } of unfilled) {
    for (let left = roomLeft; left > 0 && next < free.length; left--) {
      const [topicId, partition] = free[next++]!;
      const partitions = draft.get(topicId);
      if (partitions === undefined) draft.set(topicId, [partition]);
      else partitions.push(partition);
    }
  }
  const targets = new Map<string, TopicPartitions>();
  for (const [memberId, draft] of drafts) targets.set(memberId, sortedTarget(draft));
  return targets;
}

/** What is in nobody's target. */
function freePartitions(
  input: AssignorInput,
  topicIds: ReadonlySet<string>,
): [topicId: string, partition: number][] {
  const taken = new Map<string, Set<number>>();
  for (const member of input.members) {
    for (const [topicId, partitions] of member.target) {
      const owned = taken.get(topicId);
      if (owned === undefined) taken.set(topicId, new Set(partitions));
      else for (const partition of partitions) owned.add(partition);
    }
  }
  const free: [string, number][] = [];
  for (const topicId of topicIds) {
    const owned = taken.get(topicId);
    const count = input.partitionCount(topicId);
    for (let partition = 0; partition < count; partition++) {
      if (owned === undefined || !owned.has(partition)) free.push([topicId, partition]);
    }
  }
  return free;
}
