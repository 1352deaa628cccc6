// What operators do with groups: list, describe and delete them, read and move their offsets, put members out.
// Invariant: each group is asked for at its own coordinator; methods that take several return an outcome each.
// Kafka: Admin.listGroups, describeConsumerGroups, alterConsumerGroupOffsets, …

import { ok } from "../../base/outcome.ts";
import { errorByName, type KafkaError, type Outcome } from "../../protocol/errors.ts";
import { LeaveGroup } from "../../protocol/messages/13_leave_group.ts";
import { DescribeGroups } from "../../protocol/messages/15_describe_groups.ts";
import { ListGroups } from "../../protocol/messages/16_list_groups.ts";
import { DeleteGroups } from "../../protocol/messages/42_delete_groups.ts";
import { OffsetDelete } from "../../protocol/messages/47_offset_delete.ts";
import { ConsumerGroupDescribe } from "../../protocol/messages/69_consumer_group_describe.ts";
import { ClientError, kafkaErrorOf, refusal, requireNone } from "../client_error.ts";
import { type CallBounds, retrying } from "../waiting.ts";
import { decodeAssignment, decodeSubscription } from "./consumer_protocol.ts";
import { type CoordinatorContext, GroupCoordinator } from "./coordinator.ts";
import { commitOffsets, committedOffsets } from "./group_offsets.ts";
import type { CommittedOffset, OffsetToCommit } from "./group_options.ts";
import { byPlace, byTopic, keyOf, type TopicPartition } from "./partition_key.ts";

/** A group in a list. */
export interface GroupListing {
  readonly groupId: string;
  /** "consumer" for groups of consumers; empty for those that only commit. */
  readonly protocolType: string;
  /** "Stable", "Empty", …; null from brokers that do not say. */
  readonly state: string | null;
  /** "classic" or "consumer"; null from brokers that do not say. */
  readonly type: string | null;
}

/** Which groups to list; all when left out. */
export interface GroupFilter {
  readonly states?: readonly string[];
  readonly types?: readonly string[];
}

/** A member of a group. */
export interface GroupMemberInfo {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly rack: string | null;
  /** Of the next-generation protocol; null else. */
  readonly epoch: number | null;
  /** Of the topics subscribed to by name. */
  readonly topics: readonly string[];
  readonly pattern: string | null;
  readonly assignment: readonly TopicPartition[];
  /** What it is to have; null in the classic protocol. */
  readonly target: readonly TopicPartition[] | null;
}

/** A group with its members. */
export interface GroupDescription {
  readonly groupId: string;
  readonly type: "classic" | "consumer";
  readonly protocolType: string;
  readonly state: string;
  /** The chosen assignor; empty while there is none. */
  readonly assignor: string;
  /** Of the next-generation protocol; null else. */
  readonly epoch: number | null;
  readonly targetEpoch: number | null;
  readonly coordinator: number;
  readonly members: readonly GroupMemberInfo[];
}

/** A member to put out of its group. */
export type MemberToRemove = { readonly memberId: string } | { readonly instanceId: string };

const GROUP_ID_NOT_FOUND = 69;
const UNSUPPORTED_VERSION = 35;
const CONSUMER = "consumer";
const DEAD = "Dead";

/** All groups of all coordinators, by name. */
export async function listGroups(
  context: CoordinatorContext,
  filter: GroupFilter,
  bounds: CallBounds,
): Promise<readonly GroupListing[]> {
  const { runtime, port, metadata, backoff } = context;
  const { states = [], types = [] } = filter;
  const { brokers } = await metadata.cluster(bounds.signal, bounds.timeoutMs);
  const versionMin = types.length > 0 ? 5 : states.length > 0 ? 4 : 0;
  const answers = await Promise.all(
    brokers.map(({ nodeId }) =>
      retrying(runtime, { ...backoff, ...bounds }, async () => {
        const response = await port.send(
          ListGroups,
          (version) => ({
            ...(version >= 4 ? { statesFilter: states } : {}),
            ...(version >= 5 ? { typesFilter: types } : {}),
          }),
          { to: nodeId, versionMin, signal: bounds.signal },
        );
        requireNone(response.errorCode, `Cannot list the groups of broker ${nodeId}`);
        return response.groups;
      }),
    ),
  );
  const groups = answers.flat().map(({ groupId, protocolType, groupState, groupType }) => ({
    groupId,
    protocolType,
    state: groupState === "" ? null : groupState,
    type: groupType === "" ? null : groupType,
  }));
  return groups.sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
}

/** One outcome a group; one that is not there is "group_id_not_found". */
export function describeGroups(
  context: CoordinatorContext,
  groups: readonly string[],
  bounds: CallBounds,
): Promise<readonly Outcome<GroupDescription>[]> {
  return each(groups, (group) => describeGroup(context, group, bounds));
}

async function describeGroup(
  context: CoordinatorContext,
  group: string,
  bounds: CallBounds,
): Promise<GroupDescription> {
  const coordinator = new GroupCoordinator(context, group);
  const nodeId = await coordinator.nodeId(bounds);
  const found = await describeConsumer(coordinator, nodeId, bounds);
  return found ?? describeClassic(coordinator, nodeId, bounds);
}

/** Null when it is not of the next-generation protocol, or the broker is older than that. */
async function describeConsumer(
  coordinator: GroupCoordinator,
  nodeId: number,
  bounds: CallBounds,
): Promise<GroupDescription | null> {
  const { group: groupId } = coordinator;
  try {
    const { groups } = await coordinator.ask(
      ConsumerGroupDescribe,
      { groupIds: [groupId], includeAuthorizedOperations: false },
      (body) => body.groups[0]?.errorCode ?? 0,
      bounds,
    );
    const [group] = groups;
    if (group === undefined) return null;
    if (group.errorCode === GROUP_ID_NOT_FOUND || group.errorCode === UNSUPPORTED_VERSION)
      return null;
    requireNone(group.errorCode, `Cannot describe group "${groupId}"`, group.errorMessage);
    return {
      groupId,
      type: "consumer",
      protocolType: CONSUMER,
      state: group.groupState,
      assignor: group.assignorName,
      epoch: group.groupEpoch,
      targetEpoch: group.assignmentEpoch,
      coordinator: nodeId,
      members: group.members.map((member) => ({
        memberId: member.memberId,
        instanceId: member.instanceId,
        clientId: member.clientId,
        host: member.clientHost,
        rack: member.rackId,
        epoch: member.memberEpoch,
        topics: member.subscribedTopicNames,
        pattern: member.subscribedTopicRegex,
        assignment: flat(member.assignment.topicPartitions),
        target: flat(member.targetAssignment.topicPartitions),
      })),
    };
  } catch (error) {
    if (error instanceof ClientError && error.code === "unsupported_version") return null;
    throw error;
  }
}

async function describeClassic(
  coordinator: GroupCoordinator,
  nodeId: number,
  bounds: CallBounds,
): Promise<GroupDescription> {
  const { group: groupId } = coordinator;
  const { groups } = await coordinator.ask(
    DescribeGroups,
    (version) => ({
      groups: [groupId],
      ...(version >= 3 ? { includeAuthorizedOperations: false } : {}),
    }),
    (body) => body.groups[0]?.errorCode ?? 0,
    bounds,
  );
  const group = groups[0]!;
  const doing = `Cannot describe group "${groupId}"`;
  requireNone(group.errorCode, doing, group.errorMessage);
  // Before version 6 one that is not there is described as dead.
  if (group.groupState === DEAD) throw refusal(kafkaErrorOf(GROUP_ID_NOT_FOUND)!, doing);
  // What other kinds of groups tell one another is theirs alone.
  const isOfConsumers = group.protocolType === CONSUMER;
  return {
    groupId,
    type: "classic",
    protocolType: group.protocolType,
    state: group.groupState,
    assignor: group.protocolData,
    epoch: null,
    targetEpoch: null,
    coordinator: nodeId,
    members: group.members.map((member) => {
      const { memberId, groupInstanceId: instanceId, memberMetadata, memberAssignment } = member;
      const isKnown = isOfConsumers && memberMetadata.length > 0;
      return {
        memberId,
        instanceId,
        clientId: member.clientId,
        host: member.clientHost,
        rack: null,
        epoch: null,
        topics: isKnown ? decodeSubscription(memberId, instanceId, memberMetadata).topics : [],
        pattern: null,
        assignment: isOfConsumers ? [...decodeAssignment(memberAssignment)].sort(byPlace) : [],
        target: null,
      };
    }),
  };
}

/** One outcome a group: "non_empty_group" while it has members, "group_id_not_found". */
export function deleteGroups(
  context: CoordinatorContext,
  groups: readonly string[],
  bounds: CallBounds,
): Promise<readonly Outcome<null>[]> {
  return each(groups, async (group) => {
    const response = await new GroupCoordinator(context, group).ask(
      DeleteGroups,
      { groupsNames: [group] },
      (body) => body.results[0]?.errorCode ?? 0,
      bounds,
    );
    requireNone(response.results[0]?.errorCode ?? -1, `Cannot delete group "${group}"`);
    return null;
  });
}

/** What a group has committed: of `partitions`, in order, or all. */
export function groupOffsets(
  context: CoordinatorContext,
  group: string,
  partitions: readonly TopicPartition[] | null,
  bounds: CallBounds,
): Promise<readonly CommittedOffset[]> {
  return committedOffsets(new GroupCoordinator(context, group), null, partitions, bounds);
}

/** Commits for a group that has no members; one outcome an offset, in order. */
export function alterGroupOffsets(
  context: CoordinatorContext,
  group: string,
  offsets: readonly OffsetToCommit[],
  bounds: CallBounds,
): Promise<readonly Outcome<null>[]> {
  const coordinator = new GroupCoordinator(context, group);
  return commitOffsets(coordinator, context.metadata, null, offsets, bounds);
}

/** Forgets offsets of topics that no member subscribes to; one outcome a partition, in order. */
export async function deleteGroupOffsets(
  context: CoordinatorContext,
  group: string,
  partitions: readonly TopicPartition[],
  bounds: CallBounds,
): Promise<readonly Outcome<null>[]> {
  if (partitions.length === 0) return [];
  const topics = byTopic(partitions, ({ partition }) => ({ partitionIndex: partition }));
  const response = await new GroupCoordinator(context, group).ask(
    OffsetDelete,
    { groupId: group, topics: [...topics].map(([name, own]) => ({ name, partitions: own })) },
    (body) => body.errorCode,
    bounds,
  );
  requireNone(response.errorCode, `Cannot delete offsets of group "${group}"`);
  const codes = new Map<string, number>();
  for (const { name: topic, partitions: answers } of response.topics) {
    for (const { partitionIndex: partition, errorCode } of answers) {
      codes.set(keyOf({ topic, partition }), errorCode);
    }
  }
  return partitions.map((place) => outcomeOf(codes.get(keyOf(place)) ?? -1));
}

/** Puts members out of a classic group, or static ones of any; one outcome a member, in order. */
export async function removeMembers(
  context: CoordinatorContext,
  group: string,
  members: readonly MemberToRemove[],
  bounds: CallBounds,
): Promise<readonly Outcome<null>[]> {
  if (members.length === 0) return [];
  const response = await new GroupCoordinator(context, group).ask(
    LeaveGroup,
    {
      groupId: group,
      members: members.map((member) => ({
        memberId: "memberId" in member ? member.memberId : "",
        groupInstanceId: "instanceId" in member ? member.instanceId : null,
      })),
    },
    (body) => body.errorCode,
    { ...bounds, versionMin: 3 },
  );
  requireNone(response.errorCode, `Cannot remove members of group "${group}"`);
  return members.map((member, at) => {
    const isIt = (each: (typeof response.members)[0]) =>
      "memberId" in member
        ? each.memberId === member.memberId
        : each.groupInstanceId === member.instanceId;
    const found = response.members.find(isIt) ?? response.members[at];
    return outcomeOf(found?.errorCode ?? -1);
  });
}

/** One outcome each: a refusal of one says nothing of the others; an end of the whole call does. */
function each<T>(
  groups: readonly string[],
  ask: (group: string) => Promise<T>,
): Promise<readonly Outcome<T>[]> {
  return Promise.all(
    groups.map(async (group): Promise<Outcome<T>> => {
      try {
        return ok(await ask(group));
      } catch (error) {
        const refused = refusedBy(error);
        if (refused === null) throw error;
        return { ok: false, error: refused };
      }
    }),
  );
}

/** A failure under Kafka's name; null for ends of our own. */
function refusedBy(error: unknown): KafkaError | null {
  if (!(error instanceof ClientError)) return null;
  const known = errorByName(error.code);
  return known === undefined ? null : { ...known, message: error.message };
}

function outcomeOf(wireCode: number): Outcome<null> {
  const error = kafkaErrorOf(wireCode);
  return error === null ? ok(null) : { ok: false, error };
}

function flat(
  topics: readonly { readonly topicName: string; readonly partitions: readonly number[] }[],
): readonly TopicPartition[] {
  const partitions = topics.flatMap(({ topicName: topic, partitions: numbers }) =>
    numbers.map((partition) => ({ topic, partition })),
  );
  return partitions.sort(byPlace);
}
