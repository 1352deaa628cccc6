// ConsumerGroupHeartbeat: members of the consumer protocol join, tell what they have, are told what to have, and leave.
// Kafka: GroupMetadataManager.consumerGroupHeartbeat, consumerGroupLeave.

import { randomUuid } from "../../../../base/uuid.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../../../protocol/errors.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../../../../protocol/messages/68_consumer_group_heartbeat.ts";
import { answer, type Decision, type Reply } from "../../runtime/shard.ts";
import type { GroupRecord } from "../group_record.ts";
import type { HeartbeatCall } from "../group_requests.ts";
import type { ClassicGroupSeen } from "./classic_side.ts";
import { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, softStateOf } from "./context.ts";
import { fence, leaveForAWhile } from "./fencing.ts";
import { heartbeatIntervalMs } from "./heartbeat_interval.ts";
import { type ConsumerMember, LEFT, LEFT_FOR_A_WHILE, topicNames } from "./member.ts";
import { checkSize, Membership, memberOf, staticMemberOf } from "./membership.ts";
import { upgrade } from "./migration.ts";
import { listOf, samePartitions } from "./partitions.ts";
import { Refused } from "./refused.ts";
import { isResolving, refreshRegexes } from "./regexes.ts";
import { checkRequest } from "./request_checks.ts";

export function heartbeat(
  context: ConsumerContext,
  call: HeartbeatCall,
  request: ConsumerGroupHeartbeatRequest,
  reply: Reply<ConsumerGroupHeartbeatResponse>,
): Decision<GroupRecord> {
  try {
    const { settings } = context.options;
    if (!settings.servesConsumerProtocol) {
      throw new Refused("unsupported_version", "The consumer protocol is switched off");
    }
    checkRequest(request, call.version, settings.consumerAssignors);
    const { memberEpoch } = request;
    return memberEpoch === LEFT || memberEpoch === LEFT_FOR_A_WHILE
      ? leave(context, call, request, reply)
      : stay(context, call, request, reply);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { records: [], answers: [answer(reply, refusal(error.error, error.message))] };
  }
}

/** An answer of that error. */
export function refusal(error: KafkaErrorName, message: string): ConsumerGroupHeartbeatResponse {
  return {
    throttleTimeMs: 0,
    errorCode: wireCodeOf(error),
    errorMessage: message,
    memberId: null,
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
    assignment: null,
  };
}

function stay(
  context: ConsumerContext,
  call: HeartbeatCall,
  request: ConsumerGroupHeartbeatRequest,
  reply: Reply<ConsumerGroupHeartbeatResponse>,
): Decision<GroupRecord> {
  const { groupId, instanceId, topicPartitions: owned } = request;
  const { settings, random } = context.options;
  const joins = request.memberEpoch === 0;
  const records: GroupRecord[] = [];
  const group = groupToJoin(context, groupId, joins, records);
  const isNewType = context.groups.get(groupId)?.type === "classic";
  checkSize(group, request.memberId, instanceId, settings.consumerSizeMax);
  const memberId = request.memberId === "" ? randomUuid(random) : request.memberId;
  const identity = { memberId, instanceId, memberEpoch: request.memberEpoch, owned, joins };
  const membership = new Membership(context, group, identity, records, call.now);

  membership.update(updatedMember(membership.before, call, request));
  membership.updateEpoch();
  membership.updateTarget();
  membership.reconcile(owned, membership.hasSubscriptionChanged);
  // Nothing is refused from here on.
  const { before, member } = membership;
  refreshRegexes(context, call, group, before, member);
  membership.done();
  const upgraded = isNewType ? context.classic.upgraded(groupId) : [];
  if (isNewType) startClassicSessions(context, group);
  context.timers.session(groupId, member.memberId, settings.consumerSessionTimeoutMs(groupId));

  const isFull =
    request.rebalanceTimeoutMs !== -1 &&
    (request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null) &&
    owned !== null;
  const tellsAssignment = joins || isFull || !samePartitions(before.assigned, member.assigned);
  const soft = softStateOf(context, groupId);
  const answers = [
    ...upgraded,
    answer(reply, {
      throttleTimeMs: 0,
      errorCode: NONE,
      errorMessage: null,
      memberId: member.memberId,
      memberEpoch: member.memberEpoch,
      heartbeatIntervalMs: heartbeatIntervalMs(
        group,
        settings.consumerHeartbeatIntervalMs(groupId),
        records.length > 0 || isResolving(context, groupId),
        call.now.monotonicMs - soft.changedAtMs,
      ),
      assignment: tellsAssignment ? { topicPartitions: listOf(member.assigned) } : null,
    }),
  ];
  return {
    records,
    answers,
    // What was noted in `done` did not come about.
    tooLarge: () => {
      context.softStates.delete(groupId);
      const message = "The change of the group is too large for one batch";
      const refused = answer(reply, refusal("unknown_server_error", message));
      return { records: [], answers: [...upgraded, refused] };
    },
  };
}

function leave(
  context: ConsumerContext,
  call: HeartbeatCall,
  request: ConsumerGroupHeartbeatRequest,
  reply: Reply<ConsumerGroupHeartbeatResponse>,
): Decision<GroupRecord> {
  const { groupId, memberId, instanceId, memberEpoch } = request;
  const group = consumerGroup(context, groupId);
  const member =
    instanceId === null ? memberOf(group, memberId) : staticMemberOf(group, instanceId, memberId);
  const answers = [
    answer(reply, {
      throttleTimeMs: 0,
      errorCode: NONE,
      errorMessage: null,
      memberId,
      memberEpoch,
      heartbeatIntervalMs: 0,
      assignment: null,
    }),
  ];
  return instanceId !== null && memberEpoch === LEFT_FOR_A_WHILE
    ? { records: leaveForAWhile(group, member), answers }
    : fence(context, group, [member], call.now, answers);
}

function updatedMember(
  member: ConsumerMember,
  call: HeartbeatCall,
  request: ConsumerGroupHeartbeatRequest,
): ConsumerMember {
  const { rebalanceTimeoutMs, subscribedTopicNames: names } = request;
  return {
    ...member,
    instanceId: request.instanceId ?? member.instanceId,
    rackId: request.rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: request.serverAssignor ?? member.serverAssignor,
    subscribedTopicNames: names === null ? member.subscribedTopicNames : topicNames(names),
    subscribedTopicRegex: request.subscribedTopicRegex ?? member.subscribedTopicRegex,
    clientId: call.clientId,
    clientHost: call.clientHost,
    classic: null,
  };
}

/** The group, one that is made, or one that a classic group becomes; the last two are copies until their records are. */
function groupToJoin(
  context: ConsumerContext,
  groupId: string,
  joins: boolean,
  records: GroupRecord[],
): ConsumerGroup {
  const group = context.groups.get(groupId);
  if (group instanceof ConsumerGroup) return group;
  if (!joins) {
    throw new Refused(
      "group_id_not_found",
      group === undefined
        ? `Consumer group ${groupId} not found`
        : `Group ${groupId} is not a consumer group`,
    );
  }
  if (group === undefined) return new ConsumerGroup(groupId);
  if (!group.isEmpty) return upgrade(context, group as ClassicGroupSeen, records);
  records.push(...group.tombstones());
  return new ConsumerGroup(groupId);
}

/** @throws {Refused} group_id_not_found */
function consumerGroup(context: ConsumerContext, groupId: string): ConsumerGroup {
  const group = context.groups.get(groupId);
  if (group instanceof ConsumerGroup) return group;
  throw new Refused(
    "group_id_not_found",
    group === undefined ? `Group ${groupId} not found` : `Group ${groupId} is not a consumer group`,
  );
}

function startClassicSessions(context: ConsumerContext, group: ConsumerGroup): void {
  for (const { memberId, classic } of group.members.values()) {
    if (classic !== null) context.timers.session(group.groupId, memberId, classic.sessionTimeoutMs);
  }
}
