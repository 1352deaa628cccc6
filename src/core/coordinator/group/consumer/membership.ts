// What a member's request does to its group, of either protocol: who the member is, what it now says of itself, whether
// the group gets a new epoch and a target, and one step of the member towards it. Collects records in Kafka's order.
// Reads the group as it was before the request; replay() brings in what is collected.
// Kafka: GroupMetadataManager.consumerGroupHeartbeat, classicGroupJoinToConsumerGroup and what they share.

import type { Now } from "../../runtime/shard.ts";
import type { TopicPartitions } from "../assignors/assignor.ts";
import { NO_PARTITIONS } from "../assignors/assignor.ts";
import type { GroupRecord } from "../group_record.ts";
import type { TopicView } from "../topic_view.ts";
import type { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, softStateOf, topicsOf } from "./context.ts";
import {
  type ConsumerMember,
  isReconciledTo,
  LEFT_FOR_A_WHILE,
  MEMBER_UNREVOKED,
  newMember,
  sameCurrent,
  sameMetadata,
  sameNames,
} from "./member.ts";
import { isWithin, type TopicPartitionList } from "./partitions.ts";
import { reconcile } from "./reconcile.ts";
import {
  currentRecord,
  epochRecord,
  memberRecord,
  memberTombstones,
  partitionsTombstone,
  regexTombstone,
  targetRecord,
} from "./records.ts";
import { Refused } from "./refused.ts";
import { checkRegex } from "./regexes.ts";
import { computeTarget, preferredAssignor } from "./target.ts";

export interface Identity {
  readonly memberId: string;
  readonly instanceId: string | null;
  /** Null: of the classic protocol, whose generations are checked elsewhere. */
  readonly memberEpoch: number | null;
  readonly owned: readonly TopicPartitionList[] | null;
  /** Whether it may be a new member, or a static one that comes back. */
  readonly joins: boolean;
}

export class Membership {
  readonly records: GroupRecord[];
  readonly group: ConsumerGroup;
  /** As the request found it. */
  readonly before: ConsumerMember;
  /** As it is about to be. */
  member: ConsumerMember;
  /** The subscription differs from what it was. */
  hasSubscriptionChanged = false;
  groupEpoch: number;
  #bumpsEpoch = false;
  #checkedRevision: number | null = null;
  /** Null: as the group was. */
  #isHomogeneous: boolean | null = null;
  #targetEpoch: number;
  #target: TopicPartitions | null = null;
  readonly #context: ConsumerContext;
  readonly #topics: TopicView;
  readonly #now: Now;

  /**
   * @param records What the group itself took to come about
   * @throws {Refused} when the member is not who it says, or too old
   */
  constructor(
    context: ConsumerContext,
    group: ConsumerGroup,
    identity: Identity,
    records: GroupRecord[],
    now: Now,
  ) {
    this.#context = context;
    this.#topics = topicsOf(context);
    this.#now = now;
    this.group = group;
    this.records = records;
    this.groupEpoch = group.groupEpoch;
    this.#targetEpoch = group.assignmentEpoch;
    this.before =
      identity.instanceId === null
        ? dynamicMember(group, identity)
        : staticMember(group, identity, records);
    this.member = this.before;
  }

  /** Takes in what the member says of itself. @throws {Refused} invalid_regular_expression */
  update(member: ConsumerMember): void {
    const { group, before, records } = this;
    this.member = member;
    let hasNewNames = false;
    if (!sameMetadata(before, member)) {
      records.push(memberRecord(group.groupId, member));
      hasNewNames = !sameNames(before.subscribedTopicNames, member.subscribedTopicNames);
    }
    const regex = this.#updateRegex();
    this.hasSubscriptionChanged = hasNewNames || regex !== "same";
    // An expression that is still to be resolved brings a new epoch of its own when it is.
    this.#bumpsEpoch = hasNewNames || regex === "known";
  }

  /** Members of the classic protocol have no expressions: leaving one behind changes what they read. */
  bumpIfSubscriptionChanged(): void {
    this.#bumpsEpoch = this.hasSubscriptionChanged;
  }

  /** Gives the group a new epoch when subscriptions or topics have changed. */
  updateEpoch(): void {
    const { group, member } = this;
    const soft = softStateOf(this.#context, group.groupId);
    if (!this.#bumpsEpoch && soft.revision === this.#topics.revision) return;
    this.#checkedRevision = this.#topics.revision;
    const counts = group.subscriptionsWith(this.before, member);
    const hash = this.#context.hashes.groupHash(counts.topics.keys(), this.#topics);
    const isNew =
      !group.members.has(member.memberId) && group.staticMember(member.instanceId) === undefined;
    this.#isHomogeneous = counts.isHomogeneous(group.memberCount + (isNew ? 1 : 0));
    if (this.#bumpsEpoch || hash !== group.metadataHash) {
      this.groupEpoch = group.groupEpoch + 1;
      this.records.push(epochRecord(group.groupId, this.groupEpoch, hash));
    }
    if (group.hasPartitionsRecord) this.records.push(partitionsTombstone(group.groupId));
  }

  /** Computes a target for the newest epoch, unless that is done, or the last one is too young. */
  updateTarget(): void {
    const { group, member } = this;
    if (group.assignmentEpoch >= this.groupEpoch || !this.#mayAssign()) return;
    const { settings } = this.#context.options;
    const { records, partitions } = computeTarget({
      group,
      topics: this.#topics,
      groupEpoch: this.groupEpoch,
      isHomogeneous: this.#isHomogeneous ?? group.isHomogeneous,
      member,
      assignorName:
        preferredAssignor(group, this.before, member) ?? settings.consumerAssignors[0] ?? "uniform",
      wallMs: this.#now.wallMs,
    });
    this.records.push(...records);
    this.#targetEpoch = this.groupEpoch;
    this.#target = partitions;
  }

  /** One step towards the target. @param forced The member's subscription has changed */
  reconcile(owned: readonly TopicPartitionList[] | null, forced: boolean): void {
    const { group, member } = this;
    if (!forced && isReconciledTo(member, this.#targetEpoch)) return;
    const after = reconcile({
      group,
      topics: this.#topics,
      member,
      targetEpoch: this.#targetEpoch,
      target: this.#target ?? lastTarget(group, member),
      hasSubscriptionChanged: forced,
      owned,
    });
    if (sameCurrent(member, after)) return;
    this.member = after;
    this.records.push(currentRecord(group.groupId, after));
    // Members of the classic protocol have their join and sync to be in time for.
    if (after.classic !== null) return;
    const { timers } = this.#context;
    if (after.state === MEMBER_UNREVOKED) timers.rebalance(group.groupId, after);
    else timers.cancelRebalance(group.groupId, after.memberId);
  }

  /** Nothing was refused: notes what is not in the records. */
  done(): void {
    const soft = softStateOf(this.#context, this.group.groupId);
    if (this.#checkedRevision !== null) soft.revision = this.#checkedRevision;
    if (this.records.length > 0) soft.changedAtMs = this.#now.monotonicMs;
  }

  /** "known": what the member now reads is known, so that a target can be computed. */
  #updateRegex(): "same" | "unresolved" | "known" {
    const { group, records } = this;
    const before = this.before.subscribedTopicRegex;
    const after = this.member.subscribedTopicRegex;
    if (before === after) return "same";
    if (before !== "" && group.subscriptions.regexes.get(before) === 1) {
      records.push(regexTombstone(group.groupId, before));
    }
    if (after === "") return "known";
    if (group.subscriptions.regexes.has(after)) {
      return group.regexes.has(after) ? "known" : "unresolved";
    }
    checkRegex(after);
    return "unresolved";
  }

  #mayAssign(): boolean {
    const { group } = this;
    const intervalMs = this.#context.options.settings.consumerAssignmentIntervalMs(group.groupId);
    const sinceMs = this.#now.wallMs - group.assignmentTimestampMs;
    // A clock that was set back is no reason to wait.
    return group.assignmentTimestampMs === 0 || sinceMs >= intervalMs || sinceMs < 0;
  }
}

/** @throws {Refused} group_max_size_reached */
export function checkSize(
  group: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
  sizeMax: number,
): void {
  // A static member that is known takes its own place.
  if (instanceId !== null && group.statics.has(instanceId)) return;
  if (group.memberCount >= sizeMax && !group.members.has(memberId)) {
    throw new Refused("group_max_size_reached", `The group has its ${sizeMax} members already`);
  }
}

/** @throws {Refused} unknown_member_id */
export function memberOf(group: ConsumerGroup, memberId: string): ConsumerMember {
  const member = group.members.get(memberId);
  if (member === undefined) {
    throw new Refused(
      "unknown_member_id",
      `Member ${memberId} is not a member of group ${group.groupId}`,
    );
  }
  return member;
}

/** @throws {Refused} unknown_member_id, fenced_instance_id */
export function staticMemberOf(
  group: ConsumerGroup,
  instanceId: string,
  memberId: string,
): ConsumerMember {
  const member = group.staticMember(instanceId);
  if (member === undefined) {
    throw new Refused("unknown_member_id", `Instance id ${instanceId} is unknown`);
  }
  if (member.memberId !== memberId) {
    throw new Refused(
      "fenced_instance_id",
      `Static member ${memberId} with instance id ${instanceId} was fenced by ${member.memberId}`,
    );
  }
  return member;
}

function dynamicMember(group: ConsumerGroup, identity: Identity): ConsumerMember {
  const member = group.members.get(identity.memberId);
  if (member === undefined && identity.joins) return newMember(identity.memberId);
  const known = memberOf(group, identity.memberId);
  checkEpoch(known, identity);
  return known;
}

function staticMember(
  group: ConsumerGroup,
  identity: Identity,
  records: GroupRecord[],
): ConsumerMember {
  const { memberId, memberEpoch } = identity;
  const instanceId = identity.instanceId!;
  if (!identity.joins) {
    const known = staticMemberOf(group, instanceId, memberId);
    checkEpoch(known, identity);
    return known;
  }
  const existing = group.staticMember(instanceId);
  if (existing === undefined) return group.members.get(memberId) ?? newMember(memberId);
  // Whoever changes the protocol takes over at once; otherwise the one before must have said that it goes.
  const isSameProtocol = memberEpoch !== null && existing.classic === null;
  if (isSameProtocol && existing.memberEpoch !== LEFT_FOR_A_WHILE) {
    throw new Refused(
      "unreleased_instance_id",
      `Instance id ${instanceId} is owned by member ${existing.memberId}: ${memberId} cannot join with it`,
    );
  }
  const member = { ...existing, memberId, memberEpoch: 0, previousMemberEpoch: 0 };
  records.push(
    ...memberTombstones(group.groupId, existing.memberId),
    memberRecord(group.groupId, member),
    targetRecord(group.groupId, memberId, group.target(existing.memberId)),
    currentRecord(group.groupId, member),
  );
  return member;
}

/** @throws {Refused} fenced_member_epoch */
function checkEpoch(member: ConsumerMember, { memberEpoch, owned }: Identity): void {
  // With 0 a member comes back after it was fenced.
  if (memberEpoch === null || memberEpoch === 0 || memberEpoch === member.memberEpoch) return;
  // The answer with the newer epoch may have been lost: fine, as long as it owns nothing that it may not.
  const mayBeLost =
    memberEpoch < member.memberEpoch &&
    memberEpoch === member.previousMemberEpoch &&
    isWithin(owned, member.assigned);
  if (mayBeLost) return;
  throw new Refused(
    "fenced_member_epoch",
    `Member epoch ${memberEpoch} is not the known one, ${member.memberEpoch}: the member has to give up all partitions and join again`,
  );
}

function lastTarget(group: ConsumerGroup, member: ConsumerMember): TopicPartitions {
  if (member.instanceId === null) return group.target(member.memberId);
  const memberId = group.statics.get(member.instanceId);
  return memberId === undefined ? NO_PARTITIONS : group.target(memberId);
}
