// Members of the classic protocol in a consumer group: join, sync, heartbeat and leave, as they know them from a classic
// group, over the epochs of this one. A join is answered at once, the sync behind it gives what is assigned so far, and
// a heartbeat that finds more tells the member to join again.
// Kafka: classicGroupJoinToConsumerGroup, classicGroupSyncToConsumerGroup, classicGroupHeartbeatToConsumerGroup, …Leave….

import { DecodeError } from "../../../../base/byte_reader.ts";
import { randomUuid } from "../../../../base/uuid.ts";
import type { KafkaErrorName } from "../../../../protocol/errors.ts";
import type { ConsumerProtocolSubscription } from "../../../../protocol/internal_records/consumer_protocol.ts";
import type {
  JoinGroupRequest,
  JoinGroupResponse,
} from "../../../../protocol/messages/11_join_group.ts";
import type {
  HeartbeatRequest,
  HeartbeatResponse,
} from "../../../../protocol/messages/12_heartbeat.ts";
import type {
  LeaveGroupRequest,
  LeaveGroupResponse,
} from "../../../../protocol/messages/13_leave_group.ts";
import type {
  SyncGroupRequest,
  SyncGroupResponse,
} from "../../../../protocol/messages/14_sync_group.ts";
import { answer, type Decision, type Reply } from "../../runtime/shard.ts";
import {
  heartbeatAnswer,
  joined,
  joinRefused,
  leaveAnswer,
  leavingMembers,
  synced,
  syncRefused,
} from "../classic/responses.ts";
import type { GroupCall } from "../group.ts";
import type { GroupRecord } from "../group_record.ts";
import type { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, softStateOf, topicsOf } from "./context.ts";
import { readSubscription, withTopicIds, writeAssignment } from "./embedded_protocol.ts";
import { fence } from "./fencing.ts";
import { type ConsumerMember, MEMBER_UNRELEASED, MEMBER_UNREVOKED, topicNames } from "./member.ts";
import { checkSize, Membership, memberOf, staticMemberOf } from "./membership.ts";
import { downgrade } from "./migration.ts";
import { sortedPartitions } from "./partitions.ts";
import { Refused } from "./refused.ts";

export function classicJoin(
  context: ConsumerContext,
  group: ConsumerGroup,
  call: GroupCall,
  request: JoinGroupRequest,
  reply: Reply<JoinGroupResponse>,
): Decision<GroupRecord> {
  try {
    return join(context, group, call, request, reply);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { records: [], answers: [answer(reply, joinRefused(call.version, "", error.error))] };
  }
}

function join(
  context: ConsumerContext,
  group: ConsumerGroup,
  call: GroupCall,
  request: JoinGroupRequest,
  reply: Reply<JoinGroupResponse>,
): Decision<GroupRecord> {
  const { groupId } = group;
  const { settings, random } = context.options;
  const { groupInstanceId: instanceId, sessionTimeoutMs } = request;
  const isNewcomer = request.memberId === "";
  if (
    sessionTimeoutMs < settings.sessionTimeoutMsMin ||
    sessionTimeoutMs > settings.sessionTimeoutMsMax
  ) {
    const response = joinRefused(call.version, request.memberId, "invalid_session_timeout");
    return { records: [], answers: [answer(reply, response)] };
  }
  if (!settings.mayUpgrade && !settings.mayDowngrade) {
    throw new Refused("inconsistent_group_protocol", "Migration of groups is switched off");
  }
  const memberId = isNewcomer ? randomUuid(random) : request.memberId;
  checkSize(group, memberId, instanceId, settings.consumerSizeMax);
  const names = request.protocols.map(({ name }) => name);
  if (!group.supportsClassic(request.protocolType, names)) {
    throw new Refused("inconsistent_group_protocol", `The group supports none of ${names.join()}`);
  }
  if (instanceId === null && isNewcomer && call.version >= 4) {
    const response = joinRefused(call.version, memberId, "member_id_required");
    return { records: [], answers: [answer(reply, response)] };
  }

  const subscription = subscriptionOf(request);
  const owned = withTopicIds(subscription.ownedPartitions, topicsOf(context));
  const records: GroupRecord[] = [];
  const replaced = group.staticMember(instanceId);
  const identity = {
    memberId,
    instanceId,
    memberEpoch: null,
    owned: [],
    // Whoever brings a member id and an instance id is one that is known.
    joins: instanceId === null || isNewcomer,
  };
  const membership = new Membership(context, group, identity, records, call.now);
  membership.update(updatedMember(membership.before, call, request, subscription));
  membership.bumpIfSubscriptionChanged();
  membership.updateEpoch();
  const downgraded =
    replaced !== undefined && becomesClassic(context, group, replaced)
      ? downgradeBy(context, membership, replaced, owned, call)
      : null;
  if (downgraded !== null) records.push(...downgraded);
  else {
    membership.updateTarget();
    membership.reconcile(owned, membership.hasSubscriptionChanged);
  }
  membership.done();
  const { member } = membership;
  context.timers.cancelJoin(groupId, member.memberId);
  if (downgraded === null) {
    context.timers.session(groupId, member.memberId, sessionTimeoutMs);
    context.timers.sync(groupId, member.memberId, member.rebalanceTimeoutMs);
  }
  const response = joined(call.version, {
    memberId: member.memberId,
    generationId: member.memberEpoch,
    protocolType: group.protocolType,
    protocolName: member.classic!.supportedProtocols[0]!.name,
  });
  return {
    records,
    answers: [answer(reply, response)],
    // What was noted in `done` did not come about.
    tooLarge: () => {
      context.softStates.delete(groupId);
      const refused = joinRefused(call.version, "", "unknown_server_error");
      return { records: [], answers: [answer(reply, refused)] };
    },
  };
}

export function classicSync(
  context: ConsumerContext,
  group: ConsumerGroup,
  request: SyncGroupRequest,
  reply: Reply<SyncGroupResponse>,
): Decision<GroupRecord> {
  const { protocolType, protocolName } = request;
  try {
    const member = classicMember(group, request.memberId, request.groupInstanceId);
    checkGeneration(member, request.generationId);
    const classic = member.classic!;
    const chosen = classic.supportedProtocols[0]!;
    const isOther =
      (protocolType !== null && protocolType !== group.protocolType) ||
      (protocolName !== null && protocolName !== chosen.name);
    if (isOther) throw new Refused("inconsistent_group_protocol", "Not the protocol of the join");
    // One that still has to give up partitions has joined already: it finishes that first.
    if (group.assignmentEpoch > member.memberEpoch && member.state !== MEMBER_UNREVOKED) {
      context.timers.joinOnce(group.groupId, member);
      throw new Refused("rebalance_in_progress", "The group has a newer target: join again");
    }
    const assignment = writeAssignment(
      [...member.assigned].map(([topicId, epochs]) => [topicId, sortedPartitions(epochs)] as const),
      topicsOf(context),
      chosen.metadata,
    );
    context.timers.cancelSync(group.groupId, member.memberId);
    context.timers.session(group.groupId, member.memberId, classic.sessionTimeoutMs);
    const response = synced(assignment, protocolType, protocolName);
    return { records: [], answers: [answer(reply, response)] };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { records: [], answers: [answer(reply, syncRefused(error.error))] };
  }
}

export function classicHeartbeat(
  context: ConsumerContext,
  group: ConsumerGroup,
  request: HeartbeatRequest,
  reply: Reply<HeartbeatResponse>,
): Decision<GroupRecord> {
  let error: KafkaErrorName | null = null;
  try {
    const member = classicMember(group, request.memberId, request.groupInstanceId);
    checkGeneration(member, request.generationId);
    context.timers.session(group.groupId, member.memberId, member.classic!.sessionTimeoutMs);
    // There is a newer target, something to give up, or what it waits for has become free.
    const mustJoin =
      member.memberEpoch < group.assignmentEpoch ||
      member.state === MEMBER_UNREVOKED ||
      (member.state === MEMBER_UNRELEASED && !group.isWaiting(member)) ||
      isUnattended(context, group);
    if (mustJoin) {
      error = "rebalance_in_progress";
      context.timers.joinOnce(group.groupId, member);
    }
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    error = refused.error;
  }
  return { records: [], answers: [answer(reply, heartbeatAnswer(error))] };
}

/** Also for members of the consumer protocol: an admin may remove anybody. */
export function classicLeave(
  context: ConsumerContext,
  group: ConsumerGroup,
  call: GroupCall,
  request: LeaveGroupRequest,
  reply: Reply<LeaveGroupResponse>,
): Decision<GroupRecord> {
  const leaving = leavingMembers(call.version, request);
  const gone = new Set<ConsumerMember>();
  const errors = leaving.map(({ memberId, groupInstanceId }) => {
    try {
      const isById = groupInstanceId !== null && memberId === "";
      const known = isById ? group.staticMember(groupInstanceId) : undefined;
      gone.add(known ?? namedMember(group, memberId, groupInstanceId));
      return null;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return error.error;
    }
  });
  const answers = [answer(reply, leaveAnswer(call.version, leaving, errors))];
  return fence(context, group, [...gone], call.now, answers);
}

/**
 * Targets are computed when members of the consumer protocol heartbeat, or any of the classic one joins. With downgrades
 * switched off there may be none of the former: somebody has to join. Kafka lets such a group wait.
 */
function isUnattended(context: ConsumerContext, group: ConsumerGroup): boolean {
  if (group.classicCount < group.memberCount) return false;
  return (
    group.groupEpoch > group.assignmentEpoch ||
    softStateOf(context, group.groupId).revision !== topicsOf(context).revision
  );
}

/** Whether the group is a classic one once `replaced` speaks the classic protocol. */
function becomesClassic(
  context: ConsumerContext,
  group: ConsumerGroup,
  replaced: ConsumerMember,
): boolean {
  const { settings } = context.options;
  const isLast = replaced.classic === null && group.classicCount === group.memberCount - 1;
  return isLast && settings.mayDowngrade && group.memberCount <= settings.sizeMax;
}

function downgradeBy(
  context: ConsumerContext,
  membership: Membership,
  replaced: ConsumerMember,
  owned: ReturnType<typeof withTopicIds>,
  call: GroupCall,
): readonly GroupRecord[] | null {
  const { group } = membership;
  const rebalances = group.assignmentEpoch < membership.groupEpoch;
  if (!rebalances) membership.reconcile(owned, membership.hasSubscriptionChanged);
  const { member } = membership;
  const members = [...group.members.values()].filter(
    ({ memberId }) => memberId !== replaced.memberId,
  );
  return downgrade(
    context,
    {
      group,
      members: [...members, member],
      replaced: { by: member, memberId: replaced.memberId },
      rebalanceReason: rebalances ? "the group became classic with a stale assignment" : null,
    },
    call.now,
  );
}

function updatedMember(
  member: ConsumerMember,
  call: GroupCall,
  request: JoinGroupRequest,
  subscription: ConsumerProtocolSubscription,
): ConsumerMember {
  const { rebalanceTimeoutMs } = request;
  const { rackId } = subscription;
  return {
    ...member,
    instanceId: request.groupInstanceId ?? member.instanceId,
    rackId: rackId === null || rackId === "" ? member.rackId : rackId,
    // Version 0 has none of its own.
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? request.sessionTimeoutMs : rebalanceTimeoutMs,
    subscribedTopicNames: topicNames(subscription.topics),
    subscribedTopicRegex: "",
    clientId: call.clientId,
    clientHost: call.clientHost,
    classic: {
      sessionTimeoutMs: request.sessionTimeoutMs,
      // The request's bytes are lent.
      supportedProtocols: request.protocols.map(({ name, metadata }) => ({
        name,
        metadata: metadata.slice(),
      })),
    },
  };
}

/** All protocols of a consumer say the same. @throws {Refused} inconsistent_group_protocol */
function subscriptionOf(request: JoinGroupRequest): ConsumerProtocolSubscription {
  try {
    return readSubscription(request.protocols[0]!.metadata);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new Refused("inconsistent_group_protocol", "The member's metadata is not a consumer's");
  }
}

/** @throws {Refused} unknown_member_id, fenced_instance_id */
function namedMember(
  group: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
): ConsumerMember {
  return instanceId === null
    ? memberOf(group, memberId)
    : staticMemberOf(group, instanceId, memberId);
}

/** @throws {Refused} unknown_member_id, fenced_instance_id */
function classicMember(
  group: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
): ConsumerMember {
  const member = namedMember(group, memberId, instanceId);
  if (member.classic === null) {
    throw new Refused(
      "unknown_member_id",
      `Member ${memberId} does not speak the classic protocol`,
    );
  }
  return member;
}

/** @throws {Refused} illegal_generation */
function checkGeneration(member: ConsumerMember, generationId: number): void {
  if (member.memberEpoch === generationId) return;
  throw new Refused(
    "illegal_generation",
    `Generation ${generationId} is not the member's, ${member.memberEpoch}`,
  );
}
