// The target of a group: what each member is to have, computed by its assignor for the group's newest epoch.
// Only what differs from the stored targets is written. Kafka: TargetAssignmentBuilder.

import { type AssignedMember, NO_PARTITIONS, type TopicPartitions } from "../assignors/assignor.ts";
import { assignorNamed, uniformAssignor } from "../assignors/assignors.ts";
import type { ConsumerGroupRecord } from "../group_record.ts";
import type { TopicView } from "../topic_view.ts";
import type { ConsumerGroup } from "./consumer_group.ts";
import type { ConsumerMember } from "./member.ts";
import { subscribedTopicIds } from "./reconcile.ts";
import { targetEpochRecord, targetRecord } from "./records.ts";
import { add } from "./subscriptions.ts";

export interface TargetInput {
  readonly group: ConsumerGroup;
  readonly topics: TopicView;
  readonly groupEpoch: number;
  readonly isHomogeneous: boolean;
  /** As it is about to be: the others are as the group has them. */
  readonly member: ConsumerMember;
  readonly assignorName: string;
  readonly wallMs: number;
}

export interface Target {
  readonly records: readonly ConsumerGroupRecord[];
  /** Of the member that it was computed for. */
  readonly partitions: TopicPartitions;
}

export function computeTarget(input: TargetInput): Target {
  const { group, topics, member } = input;
  const members = new Map(group.members);
  // A static member that comes back under another id takes the place of the one it was, with all it had.
  const replacedId = member.instanceId === null ? undefined : group.statics.get(member.instanceId);
  if (replacedId !== undefined && replacedId !== member.memberId) members.delete(replacedId);
  members.set(member.memberId, member);
  const targetOf = (memberId: string): TopicPartitions =>
    memberId === member.memberId && replacedId !== undefined
      ? group.target(replacedId)
      : group.target(memberId);

  const assigned = assignedMembers(input, members, targetOf);
  // In an order that a reload does not change.
  assigned.sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const assignor = assignorNamed(input.assignorName) ?? uniformAssignor;
  const targets = assignor.assign({
    members: assigned,
    isHomogeneous: input.isHomogeneous,
    partitionCount: (topicId) => topics.withId(topicId)?.partitionCount ?? 0,
  });

  const records: ConsumerGroupRecord[] = [];
  for (const { memberId } of assigned) {
    const before = group.targets.get(memberId);
    const after = targets.get(memberId) ?? NO_PARTITIONS;
    if (before === undefined || !sameTarget(before, after)) {
      records.push(targetRecord(group.groupId, memberId, after));
    }
  }
  records.push(targetEpochRecord(group.groupId, input.groupEpoch, input.wallMs));
  return { records, partitions: targets.get(member.memberId) ?? NO_PARTITIONS };
}

/** Most members of a group read the same: what that is, is looked up once. */
function assignedMembers(
  { group, topics }: TargetInput,
  members: ReadonlyMap<string, ConsumerMember>,
  targetOf: (memberId: string) => TopicPartitions,
): AssignedMember[] {
  const known = new Map<string, ReadonlySet<string>>();
  return [...members.values()].map((member) => {
    const subscription = [member.subscribedTopicRegex, ...member.subscribedTopicNames].join("\n");
    let topicIds = known.get(subscription);
    if (topicIds === undefined) {
      topicIds = subscribedTopicIds(group, topics, member);
      known.set(subscription, topicIds);
    }
    const { memberId, instanceId } = member;
    return { memberId, instanceId, topicIds, target: targetOf(memberId) };
  });
}

/** The assignor that most members ask for, as if `before` had become `after`; null when nobody asks for one. */
export function preferredAssignor(
  group: ConsumerGroup,
  before: ConsumerMember | null,
  after: ConsumerMember | null,
): string | null {
  const counts = new Map(group.assignors);
  if (before !== null && before.serverAssignor !== null) add(counts, before.serverAssignor, -1);
  if (after !== null && after.serverAssignor !== null) add(counts, after.serverAssignor, 1);
  let preferred: string | null = null;
  let most = 0;
  for (const [name, count] of counts) {
    if (count > most || (count === most && preferred !== null && name < preferred)) {
      preferred = name;
      most = count;
    }
  }
  return preferred;
}

function sameTarget(a: TopicPartitions, b: TopicPartitions): boolean {
  if (a.size !== b.size) return false;
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.length !== partitions.length) return false;
    if (!partitions.every((partition, index) => partition === others[index])) return false;
  }
  return true;
}
