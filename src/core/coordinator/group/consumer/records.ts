// The records of a consumer group, as a broker of Kafka 4.3 writes them. Order matters where several go together: see
// memberTombstones and groupTombstones. Kafka: GroupCoordinatorRecordHelpers.

import type { TopicPartitions } from "../assignors/assignor.ts";
import type { ConsumerGroupRecord } from "../group_record.ts";
import type { ConsumerMember } from "./member.ts";
import { type EpochPartitions, sortedPartitions } from "./partitions.ts";
import type { ResolvedRegex } from "./subscriptions.ts";

export function memberRecord(groupId: string, member: ConsumerMember): ConsumerGroupRecord {
  return {
    kind: "consumer_member",
    key: { groupId, memberId: member.memberId },
    value: {
      instanceId: member.instanceId,
      rackId: member.rackId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: [...member.subscribedTopicNames],
      subscribedTopicRegex: member.subscribedTopicRegex,
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      serverAssignor: member.serverAssignor,
      classicMemberMetadata:
        member.classic === null
          ? null
          : {
              sessionTimeoutMs: member.classic.sessionTimeoutMs,
              supportedProtocols: [...member.classic.supportedProtocols],
            },
    },
  };
}

export function epochRecord(groupId: string, epoch: number, hash: bigint): ConsumerGroupRecord {
  return {
    kind: "consumer_group",
    key: { groupId },
    value: { epoch, metadataHash: int64(hash) },
  };
}

export function targetRecord(
  groupId: string,
  memberId: string,
  target: TopicPartitions,
): ConsumerGroupRecord {
  const topicPartitions = [...target].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions],
  }));
  return {
    kind: "consumer_member_target",
    key: { groupId, memberId },
    value: { topicPartitions },
  };
}

export function targetEpochRecord(
  groupId: string,
  assignmentEpoch: number,
  timestampMs: number,
): ConsumerGroupRecord {
  return {
    kind: "consumer_target",
    key: { groupId },
    value: { assignmentEpoch, assignmentTimestamp: timestampMs },
  };
}

export function currentRecord(groupId: string, member: ConsumerMember): ConsumerGroupRecord {
  return {
    kind: "consumer_member_current",
    key: { groupId, memberId: member.memberId },
    value: {
      memberEpoch: member.memberEpoch,
      previousMemberEpoch: member.previousMemberEpoch,
      state: member.state,
      assignedPartitions: stored(member.assigned),
      partitionsPendingRevocation: stored(member.pendingRevocation),
    },
  };
}

export function regexRecord(
  groupId: string,
  regularExpression: string,
  resolved: ResolvedRegex,
): ConsumerGroupRecord {
  return {
    kind: "consumer_regex",
    key: { groupId, regularExpression },
    value: {
      topics: [...resolved.topics].sort(),
      version: resolved.version,
      timestamp: resolved.timestampMs,
    },
  };
}

export function regexTombstone(groupId: string, regularExpression: string): ConsumerGroupRecord {
  return { kind: "consumer_regex", key: { groupId, regularExpression }, value: null };
}

/** What Kafka up to 4.0 kept of topics. */
export function partitionsTombstone(groupId: string): ConsumerGroupRecord {
  return { kind: "consumer_group_partitions", key: { groupId }, value: null };
}

/** All that a member has: what it owns first, so that no one sees partitions without an owner's record. */
export function memberTombstones(groupId: string, memberId: string): ConsumerGroupRecord[] {
  const key = { groupId, memberId };
  return [
    { kind: "consumer_member_current", key, value: null },
    { kind: "consumer_member_target", key, value: null },
    { kind: "consumer_member", key, value: null },
  ];
}

/** All that a group has. The group's own record comes last: its tombstone ends the group. */
export function groupTombstones(
  groupId: string,
  memberIds: readonly string[],
  regexes: readonly string[],
): ConsumerGroupRecord[] {
  const keys = memberIds.map((memberId) => ({ groupId, memberId }));
  return [
    ...keys.map((key) => ({ kind: "consumer_member_current", key, value: null }) as const),
    ...keys.map((key) => ({ kind: "consumer_member_target", key, value: null }) as const),
    { kind: "consumer_target", key: { groupId }, value: null },
    ...keys.map((key) => ({ kind: "consumer_member", key, value: null }) as const),
    ...regexes.map((regex) => regexTombstone(groupId, regex)),
    partitionsTombstone(groupId),
    { kind: "consumer_group", key: { groupId }, value: null },
  ];
}

function stored(partitions: EpochPartitions) {
  return [...partitions].map(([topicId, epochs]) => {
    const sorted = sortedPartitions(epochs);
    return {
      topicId,
      partitions: sorted,
      assignmentEpochs: sorted.map((partition) => epochs.get(partition)!),
    };
  });
}

/** Messages take bigints where a number would lose digits; the type of what they decode to is number (ADR 4). */
function int64(value: bigint): number {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : (value as unknown as number);
}
