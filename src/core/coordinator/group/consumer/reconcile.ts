// One step of a member towards its target: first give up, then move on to the newest epoch, then get what is free.
// Invariant: what a member gets has no owner, or is its own and about to be given up. Kafka: CurrentAssignmentBuilder.

import type { TopicPartitions } from "../assignors/assignor.ts";
import type { TopicView } from "../topic_view.ts";
import type { ConsumerGroup } from "./consumer_group.ts";
import {
  type ConsumerMember,
  inEpoch,
  MEMBER_STABLE,
  MEMBER_UNKNOWN,
  MEMBER_UNRELEASED,
  MEMBER_UNREVOKED,
} from "./member.ts";
import { hasPartition, NOTHING, ownsAnyOf, type TopicPartitionList, union } from "./partitions.ts";
import { Refused } from "./refused.ts";

export interface Step {
  readonly group: ConsumerGroup;
  readonly topics: TopicView;
  readonly member: ConsumerMember;
  readonly targetEpoch: number;
  readonly target: TopicPartitions;
  /** Now, and not in an earlier request. */
  readonly hasSubscriptionChanged: boolean;
  /** What the member says that it has; null when it does not say. */
  readonly owned: readonly TopicPartitionList[] | null;
}

/** The member after the step, or itself when there is none to make. @throws {Refused} fenced_member_epoch */
export function reconcile(step: Step): ConsumerMember {
  const { member, targetEpoch, hasSubscriptionChanged } = step;
  switch (member.state) {
    case MEMBER_STABLE:
      if (member.memberEpoch !== targetEpoch) return next(step, member.memberEpoch);
      return hasSubscriptionChanged ? drop(step) : member;
    case MEMBER_UNREVOKED:
      if (!ownsAnyOf(step.owned, member.pendingRevocation)) return next(step, member.memberEpoch);
      return hasSubscriptionChanged ? drop(step) : member;
    case MEMBER_UNRELEASED:
      return next(step, member.memberEpoch);
    case MEMBER_UNKNOWN:
      // What it may own is not known either: it has to come back without anything.
      if (step.owned === null || step.owned.length > 0) {
        throw new Refused(
          "fenced_member_epoch",
          "The state of the member is unknown: it has to give up all partitions and join again",
        );
      }
      return next(step, targetEpoch);
  }
}

/** Takes away what the member no longer reads, in the epoch that it is in. */
function drop({ group, topics, member, owned }: Step): ConsumerMember {
  const read = subscribedTopicIds(group, topics, member);
  const kept = new Map<string, ReadonlyMap<number, number>>();
  const dropped = new Map<string, ReadonlyMap<number, number>>();
  for (const [topicId, epochs] of member.assigned) {
    (read.has(topicId) ? kept : dropped).set(topicId, epochs);
  }
  if (dropped.size === 0) return member;
  const pending = union(member.pendingRevocation, dropped);
  const moved = inEpoch(member, member.memberEpoch);
  // What it does not own any more is taken away without waiting for it.
  if (!ownsAnyOf(owned, pending)) return { ...moved, assigned: kept };
  return { ...moved, state: MEMBER_UNREVOKED, assigned: kept, pendingRevocation: pending };
}

function next(step: Step, memberEpoch: number): ConsumerMember {
  const { group, topics, member, targetEpoch, owned } = step;
  const read = subscribedTopicIds(group, topics, member);
  const kept = new Map<string, Map<number, number>>();
  const revoked = new Map<string, Map<number, number>>();
  const granted: (readonly [topicId: string, partition: number])[] = [];
  let isWaiting = false;
  for (const [topicId, epochs] of member.assigned) {
    const target = new Set(read.has(topicId) ? step.target.get(topicId) : undefined);
    for (const [partition, epoch] of epochs) {
      put(target.has(partition) ? kept : revoked, topicId, partition, epoch);
    }
  }
  for (const [topicId, partitions] of step.target) {
    if (!read.has(topicId)) continue;
    for (const partition of partitions) {
      if (hasPartition(kept, topicId, partition)) continue;
      const isFree =
        group.ownerOf(topicId, partition) === undefined ||
        hasPartition(member.pendingRevocation, topicId, partition);
      if (isFree) granted.push([topicId, partition]);
      else isWaiting = true;
    }
  }
  if (revoked.size > 0 && ownsAnyOf(owned, revoked)) {
    const moved = inEpoch(member, memberEpoch);
    return { ...moved, state: MEMBER_UNREVOKED, assigned: kept, pendingRevocation: revoked };
  }
  for (const [topicId, partition] of granted) put(kept, topicId, partition, targetEpoch);
  return {
    ...inEpoch(member, targetEpoch),
    state: isWaiting ? MEMBER_UNRELEASED : MEMBER_STABLE,
    assigned: kept,
    pendingRevocation: NOTHING,
  };
}

/** Ids of the topics that a member reads and that exist. An expression that is not resolved yet matches nothing. */
export function subscribedTopicIds(
  group: ConsumerGroup,
  topics: TopicView,
  member: ConsumerMember,
): Set<string> {
  const ids = new Set<string>();
  const addId = (name: string) => {
    const topic = topics.named(name);
    if (topic !== null) ids.add(topic.id);
  };
  for (const name of member.subscribedTopicNames) addId(name);
  if (member.subscribedTopicRegex !== "") {
    for (const name of group.regexes.get(member.subscribedTopicRegex)?.topics ?? []) addId(name);
  }
  return ids;
}

function put(
  into: Map<string, Map<number, number>>,
  topicId: string,
  partition: number,
  epoch: number,
): void {
  const epochs = into.get(topicId);
  if (epochs === undefined) into.set(topicId, new Map([[partition, epoch]]));
  else epochs.set(partition, epoch);
}
