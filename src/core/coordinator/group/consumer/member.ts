// A member of a consumer group, of either protocol. Values never change: what changes is a new member.
// Kafka: ConsumerGroupMember.

import type {
  ConsumerGroupCurrentMemberAssignmentValue,
  ConsumerGroupMemberMetadataValue,
} from "../../../../protocol/internal_records/consumer_group.ts";
import { type EpochPartitions, NOTHING, samePartitions } from "./partitions.ts";

/** As stored. */
export const MEMBER_STABLE = 0;
/** Has to give up partitions before it may go on to the next epoch. */
export const MEMBER_UNREVOKED = 1;
/** Is in the newest epoch and waits for partitions that others have not given up yet. */
export const MEMBER_UNRELEASED = 2;
/** Stored by a version that we do not know. */
export const MEMBER_UNKNOWN = 127;
export type MemberState = 0 | 1 | 2 | 127;

/** A member epoch that says so: it has left. */
export const LEFT = -1;
/** A static member that has left for a while: it keeps its partitions until its session ends. */
export const LEFT_FOR_A_WHILE = -2;

export interface ClassicMetadata {
  readonly sessionTimeoutMs: number;
  /** In order of preference. */
  readonly supportedProtocols: readonly { readonly name: string; readonly metadata: Uint8Array }[];
}

export interface ConsumerMember {
  readonly memberId: string;
  readonly memberEpoch: number;
  /** The one before: a member whose last answer was lost comes with it. */
  readonly previousMemberEpoch: number;
  readonly state: MemberState;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly clientId: string;
  readonly clientHost: string;
  /** Sorted, each once. */
  readonly subscribedTopicNames: readonly string[];
  /** "" for none. */
  readonly subscribedTopicRegex: string;
  readonly serverAssignor: string | null;
  readonly assigned: EpochPartitions;
  readonly pendingRevocation: EpochPartitions;
  /** Null unless it speaks the classic protocol. */
  readonly classic: ClassicMetadata | null;
}

export function newMember(memberId: string): ConsumerMember {
  return {
    memberId,
    memberEpoch: 0,
    previousMemberEpoch: -1,
    state: MEMBER_STABLE,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: -1,
    clientId: "",
    clientHost: "",
    subscribedTopicNames: [],
    subscribedTopicRegex: "",
    serverAssignor: null,
    assigned: NOTHING,
    pendingRevocation: NOTHING,
    classic: null,
  };
}

export function withMetadata(
  member: ConsumerMember,
  value: ConsumerGroupMemberMetadataValue,
): ConsumerMember {
  return {
    ...member,
    instanceId: value.instanceId,
    rackId: value.rackId,
    clientId: value.clientId,
    clientHost: value.clientHost,
    subscribedTopicNames: topicNames(value.subscribedTopicNames),
    subscribedTopicRegex: value.subscribedTopicRegex ?? "",
    rebalanceTimeoutMs: value.rebalanceTimeoutMs,
    serverAssignor: value.serverAssignor,
    classic: value.classicMemberMetadata,
  };
}

export function withCurrent(
  member: ConsumerMember,
  value: ConsumerGroupCurrentMemberAssignmentValue,
): ConsumerMember {
  return {
    ...member,
    memberEpoch: value.memberEpoch,
    previousMemberEpoch: value.previousMemberEpoch,
    state: memberState(value.state),
    assigned: fromStored(value.assignedPartitions, value.memberEpoch),
    pendingRevocation: fromStored(value.partitionsPendingRevocation, value.memberEpoch),
  };
}

/** The member once its current assignment is deleted. */
export function withoutCurrent(member: ConsumerMember): ConsumerMember {
  return {
    ...member,
    memberEpoch: LEFT,
    previousMemberEpoch: LEFT,
    assigned: NOTHING,
    pendingRevocation: NOTHING,
  };
}

/** Moves on to an epoch, and remembers the one it was in. */
export function inEpoch(member: ConsumerMember, memberEpoch: number): ConsumerMember {
  return { ...member, memberEpoch, previousMemberEpoch: member.memberEpoch };
}

export function isReconciledTo(member: ConsumerMember, epoch: number): boolean {
  return member.state === MEMBER_STABLE && member.memberEpoch === epoch;
}

/** Sorted, each once. */
export function topicNames(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}

/** Whether what consumer_member holds is the same. */
export function sameMetadata(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.memberId === b.memberId &&
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.subscribedTopicRegex === b.subscribedTopicRegex &&
    a.serverAssignor === b.serverAssignor &&
    sameNames(a.subscribedTopicNames, b.subscribedTopicNames) &&
    sameClassic(a.classic, b.classic)
  );
}

/** Whether what consumer_member_current holds is the same. */
export function sameCurrent(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.memberEpoch === b.memberEpoch &&
    a.previousMemberEpoch === b.previousMemberEpoch &&
    a.state === b.state &&
    samePartitions(a.assigned, b.assigned) &&
    samePartitions(a.pendingRevocation, b.pendingRevocation)
  );
}

export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((name, index) => name === b[index]));
}

function sameClassic(a: ClassicMetadata | null, b: ClassicMetadata | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.sessionTimeoutMs === b.sessionTimeoutMs &&
    a.supportedProtocols.length === b.supportedProtocols.length &&
    a.supportedProtocols.every(({ name, metadata }, index) => {
      const other = b.supportedProtocols[index]!;
      return name === other.name && sameBytes(metadata, other.metadata);
    })
  );
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function memberState(stored: number): MemberState {
  return stored === MEMBER_STABLE || stored === MEMBER_UNREVOKED || stored === MEMBER_UNRELEASED
    ? stored
    : MEMBER_UNKNOWN;
}

/** Records before Kafka 4.3 have no epochs of their own: the member's stands in, as there. */
function fromStored(
  topics: ConsumerGroupCurrentMemberAssignmentValue["assignedPartitions"],
  memberEpoch: number,
): EpochPartitions {
  const result = new Map<string, ReadonlyMap<number, number>>();
  for (const { topicId, partitions, assignmentEpochs } of topics) {
    const epochs = assignmentEpochs?.length === partitions.length ? assignmentEpochs : null;
    result.set(
      topicId,
      new Map(
        partitions.map((partition, index) => [
          partition,
          epochs === null ? Math.max(memberEpoch, 0) : epochs[index]!,
        ]),
      ),
    );
  }
  return result;
}
