// Members go: they leave, die, or are put out. The group gets a new epoch, or becomes a classic one when no member of
// the consumer protocol is left in it. Kafka: consumerGroupFenceMembers, consumerGroupStaticMemberGroupLeave.

import type { Answer, Decision, Now } from "../../runtime/shard.ts";
import type { GroupRecord } from "../group_record.ts";
import type { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, softStateOf, topicsOf } from "./context.ts";
import { type ConsumerMember, LEFT_FOR_A_WHILE } from "./member.ts";
import { downgrade, downgradedMembers } from "./migration.ts";
import { NOTHING, withEpoch } from "./partitions.ts";
import { currentRecord, epochRecord, memberTombstones, regexTombstone } from "./records.ts";

/** Takes those members out of the group. @param answers What their callers are told */
export function fence(
  context: ConsumerContext,
  group: ConsumerGroup,
  gone: readonly ConsumerMember[],
  now: Now,
  answers: readonly Answer[],
): Decision<GroupRecord> {
  return {
    records: fenceRecords(context, group, gone, now, true),
    answers,
    // A classic group is one record, which may not fit: the group stays what it is.
    tooLarge: (later) => ({
      records: fenceRecords(context, group, gone, later, false),
      answers,
    }),
  };
}

function fenceRecords(
  context: ConsumerContext,
  group: ConsumerGroup,
  gone: readonly ConsumerMember[],
  now: Now,
  mayDowngrade: boolean,
): readonly GroupRecord[] {
  if (gone.length === 0) return [];
  const { groupId } = group;
  const members = mayDowngrade ? downgradedMembers(context, group, gone) : null;
  if (members !== null) {
    const rebalanceReason = "the last member of the consumer protocol has left";
    const records = downgrade(context, { group, members, replaced: null, rebalanceReason }, now);
    if (records !== null) return records;
  }
  const records: GroupRecord[] = gone.flatMap(({ memberId }) =>
    memberTombstones(groupId, memberId),
  );
  const counts = group.subscriptionsWithout(gone);
  for (const regex of group.subscriptions.regexes.keys()) {
    if (!counts.regexes.has(regex)) records.push(regexTombstone(groupId, regex));
  }
  const hash = context.hashes.groupHash(counts.topics.keys(), topicsOf(context));
  records.push(epochRecord(groupId, group.groupEpoch + 1, hash));
  for (const { memberId } of gone) context.timers.cancelAll(groupId, memberId);
  softStateOf(context, groupId).changedAtMs = now.monotonicMs;
  return records;
}

/** A timer has put the member out. */
export function fenceOne(
  context: ConsumerContext,
  group: ConsumerGroup,
  member: ConsumerMember,
  reason: string,
  now: Now,
): Decision<GroupRecord> {
  context.options.log.info("group_member_fenced", {
    groupId: group.groupId,
    memberId: member.memberId,
    reason,
  });
  return fence(context, group, [member], now, []);
}

/** A static member goes for a while: it keeps its partitions until its session ends, for whoever comes with its name. */
export function leaveForAWhile(
  group: ConsumerGroup,
  member: ConsumerMember,
): readonly GroupRecord[] {
  return [
    currentRecord(group.groupId, {
      ...member,
      memberEpoch: LEFT_FOR_A_WHILE,
      pendingRevocation: NOTHING,
      assigned: withEpoch(member.assigned, 0),
    }),
  ];
}
