// A live group changes its protocol: to the consumer protocol with the first member that speaks it, and back when the
// last one has gone. Members go on with what they have, and learn of the change by their next request.
// What this needs of the classic side stands in classic_side.ts.
// Kafka: validateOnlineUpgrade, convertToConsumerGroup, validateOnlineDowngrade…, convertToClassicGroup.

import { DecodeError } from "../../../../base/byte_reader.ts";
import { NO_DECISION, type Now } from "../../runtime/shard.ts";
import type { ConsumerGroupRecord, GroupRecord } from "../group_record.ts";
import type { ClassicGroupSeen, ClassicMemberSeen } from "./classic_side.ts";
import { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, topicsOf } from "./context.ts";
import {
  readAssignment,
  readSubscription,
  withTopicIds,
  writeAssignment,
} from "./embedded_protocol.ts";
import { type ConsumerMember, MEMBER_STABLE, newMember, topicNames } from "./member.ts";
import type { EpochPartitions } from "./partitions.ts";
import {
  currentRecord,
  epochRecord,
  groupTombstones,
  memberRecord,
  targetEpochRecord,
  targetRecord,
} from "./records.ts";
import { Refused } from "./refused.ts";

/**
 * The consumer group that a classic group with members becomes: a copy, which the records make real.
 *
 * @param records What it takes is added
 * @throws {Refused} group_id_not_found when it cannot be
 */
export function upgrade(
  context: ConsumerContext,
  classic: ClassicGroupSeen,
  records: GroupRecord[],
): ConsumerGroup {
  const { settings } = context.options;
  if (!settings.mayUpgrade) throw cannotUpgrade(classic, "upgrades are switched off");
  if (classic.protocolType !== "consumer") {
    throw cannotUpgrade(classic, "its members are not consumers");
  }
  if (classic.memberCount > settings.consumerSizeMax) {
    throw cannotUpgrade(classic, "it is larger than a consumer group may be");
  }
  records.push(...classic.tombstones());
  const group = new ConsumerGroup(classic.groupId);
  const made = upgradeRecords(context, classic);
  for (const record of made) group.apply(record);
  records.push(...made);
  return group;
}

function upgradeRecords(
  context: ConsumerContext,
  classic: ClassicGroupSeen,
): ConsumerGroupRecord[] {
  const { groupId, generation } = classic;
  const topics = topicsOf(context);
  let members: ConsumerMember[];
  try {
    members = [...classic.membersSeen()].map((member) => upgraded(context, classic, member));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw cannotUpgrade(classic, "what its members say of themselves cannot be read");
  }
  members = withoutDoubles(members);
  const names = new Set(members.flatMap((member) => member.subscribedTopicNames));
  const hash = context.hashes.groupHash(names, topics);
  return [
    ...members.map((member) => memberRecord(groupId, member)),
    epochRecord(groupId, generation, hash),
    ...members.map((member) => targetRecord(groupId, member.memberId, targetOf(member))),
    targetEpochRecord(groupId, generation, 0),
    ...members.map((member) => currentRecord(groupId, member)),
  ];
}

/** @throws {DecodeError} */
function upgraded(
  context: ConsumerContext,
  classic: ClassicGroupSeen,
  member: ClassicMemberSeen,
): ConsumerMember {
  const chosen =
    member.protocols.find(({ name }) => name === classic.protocolName) ?? member.protocols[0];
  if (chosen === undefined) throw new DecodeError("A member without protocols");
  const subscription = readSubscription(chosen.metadata);
  return {
    ...newMember(member.memberId),
    memberEpoch: classic.generation,
    previousMemberEpoch: classic.generation,
    state: MEMBER_STABLE,
    instanceId: member.groupInstanceId,
    rackId: subscription.rackId === "" ? null : subscription.rackId,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: topicNames(subscription.topics),
    assigned: assignedOf(context, classic, member),
    classic: {
      sessionTimeoutMs: member.sessionTimeoutMs,
      supportedProtocols: member.protocols.map(({ name, metadata }) => ({ name, metadata })),
    },
  };
}

/** @throws {DecodeError} */
function assignedOf(
  context: ConsumerContext,
  classic: ClassicGroupSeen,
  member: ClassicMemberSeen,
): EpochPartitions {
  // One that has joined and not synced yet has nothing.
  if (member.assignment.length === 0) return new Map();
  const assignment = readAssignment(member.assignment);
  if (assignment.userData !== null && assignment.userData.length > 0) {
    throw cannotUpgrade(classic, "its assignor gives members data of its own, which would be lost");
  }
  const assigned = new Map<string, ReadonlyMap<number, number>>();
  const listed = withTopicIds(assignment.assignedPartitions, topicsOf(context));
  for (const { topicId, partitions } of listed) {
    if (partitions.length === 0) continue;
    assigned.set(topicId, new Map(partitions.map((partition) => [partition, classic.generation])));
  }
  return assigned;
}

/** Assignors of clients may err: a partition stays with the first that has it. */
function withoutDoubles(members: readonly ConsumerMember[]): ConsumerMember[] {
  const taken = new Set<string>();
  return members.map((member) => {
    const assigned = new Map<string, ReadonlyMap<number, number>>();
    for (const [topicId, epochs] of member.assigned) {
      const own = [...epochs].filter(([partition]) => !taken.has(`${topicId} ${partition}`));
      for (const [partition] of own) taken.add(`${topicId} ${partition}`);
      if (own.length > 0) assigned.set(topicId, new Map(own));
    }
    return { ...member, assigned };
  });
}

function targetOf(member: ConsumerMember): ReadonlyMap<string, readonly number[]> {
  return new Map(
    [...member.assigned].map(([topicId, epochs]) => [
      topicId,
      [...epochs.keys()].sort((a, b) => a - b),
    ]),
  );
}

function cannotUpgrade(classic: ClassicGroupSeen, reason: string): Refused {
  return new Refused(
    "group_id_not_found",
    `Classic group ${classic.groupId} cannot become a consumer group: ${reason}`,
  );
}

/** Who is in the group once those have gone, where it is to be a classic one then; null where it stays. */
export function downgradedMembers(
  context: ConsumerContext,
  group: ConsumerGroup,
  gone: readonly ConsumerMember[],
): readonly ConsumerMember[] | null {
  const { settings } = context.options;
  const goneIds = new Set(gone.map(({ memberId }) => memberId));
  const rest = [...group.members.values()].filter(({ memberId }) => !goneIds.has(memberId));
  if (rest.length === 0 || rest.some(({ classic }) => classic === null)) return null;
  if (!settings.mayDowngrade || rest.length > settings.sizeMax) return null;
  return rest;
}

export interface Downgrade {
  readonly group: ConsumerGroup;
  /** Of the classic group, all of the classic protocol. */
  readonly members: readonly ConsumerMember[];
  /** One of the members that has just taken the place of a static one, whose target it gets. */
  readonly replaced: { readonly by: ConsumerMember; readonly memberId: string } | null;
  /** Why the classic group is to rebalance; null when it need not. */
  readonly rebalanceReason: string | null;
}

/**
 * The records that make a classic group of a consumer group. Timers of the classic group start in a decision that follows
 * at once, as its members do not exist before these are replayed. Null: what members say of themselves cannot be read.
 */
export function downgrade(
  context: ConsumerContext,
  { group, members, replaced, rebalanceReason }: Downgrade,
  now: Now,
): readonly GroupRecord[] | null {
  const { groupId } = group;
  const value = classicValue(context, group, members, replaced, now);
  if (value === null) return null;
  // By then the records have emptied the group: whose timers end is known only now.
  const timed = [...group.members.keys()];
  context.options.timers.set(`consumer downgraded ${groupId}`, 0, (later) => {
    if (context.groups.get(groupId)?.type !== "classic") return NO_DECISION;
    for (const memberId of timed) context.timers.cancelAll(groupId, memberId);
    return context.classic.downgraded(groupId, rebalanceReason, later);
  });
  const memberIds = [...group.members.keys()].map((memberId) =>
    memberId === replaced?.memberId ? replaced.by.memberId : memberId,
  );
  return [...groupTombstones(groupId, memberIds, [...group.regexes.keys()]), value];
}

function classicValue(
  context: ConsumerContext,
  group: ConsumerGroup,
  members: readonly ConsumerMember[],
  replaced: Downgrade["replaced"],
  now: Now,
): GroupRecord | null {
  const protocol = votedProtocol(members);
  if (protocol === null) return null;
  const topics = topicsOf(context);
  try {
    return {
      kind: "classic_group",
      key: { group: group.groupId },
      value: {
        protocolType: "consumer",
        generation: group.groupEpoch,
        protocol,
        leader: members[0]!.memberId,
        currentStateTimestamp: now.wallMs,
        members: members.map((member) => {
          const metadata = metadataOf(member, protocol);
          const targetId = member === replaced?.by ? replaced.memberId : member.memberId;
          return {
            memberId: member.memberId,
            groupInstanceId: member.instanceId,
            clientId: member.clientId,
            clientHost: member.clientHost,
            rebalanceTimeout: member.rebalanceTimeoutMs,
            sessionTimeout: member.classic!.sessionTimeoutMs,
            subscription: metadata,
            assignment: writeAssignment(group.target(targetId), topics, metadata),
          };
        }),
      },
    };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    context.options.log.warn("group_not_downgraded", { groupId: group.groupId });
    return null;
  }
}

/** What most members prefer of what all support; null when they have nothing in common. */
function votedProtocol(members: readonly ConsumerMember[]): string | null {
  const supporters = new Map<string, number>();
  for (const { classic } of members) {
    for (const { name } of classic!.supportedProtocols) {
      supporters.set(name, (supporters.get(name) ?? 0) + 1);
    }
  }
  const votes = new Map<string, number>();
  for (const { classic } of members) {
    const vote = classic!.supportedProtocols.find(
      ({ name }) => supporters.get(name) === members.length,
    );
    if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
  }
  let winner: string | null = null;
  for (const [name, count] of votes) {
    if (winner === null || count > votes.get(winner)!) winner = name;
  }
  return winner;
}

function metadataOf(member: ConsumerMember, protocol: string): Uint8Array {
  return member.classic!.supportedProtocols.find(({ name }) => name === protocol)!.metadata;
}
