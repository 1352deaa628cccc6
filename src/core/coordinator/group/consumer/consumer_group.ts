// A group of the consumer protocol (KIP-848): its members, what they are to have (target) and what they have (current).
// Invariants: written by apply() alone, from records in log order; a partition has one owner at most, who holds it until
// a record says that it has given it up. Counts and the state follow from the rest.
// Kafka: ConsumerGroup, ModernGroup.

import type { KafkaErrorName } from "../../../../protocol/errors.ts";
import { NO_PARTITIONS, type TopicPartitions } from "../assignors/assignor.ts";
import type { Group, OffsetCaller } from "../group.ts";
import type { ConsumerGroupRecord } from "../group_record.ts";
import {
  type ConsumerMember,
  isReconciledTo,
  LEFT,
  MEMBER_UNRELEASED,
  newMember,
  withCurrent,
  withMetadata,
  withoutCurrent,
} from "./member.ts";
import type { EpochPartitions } from "./partitions.ts";
import { groupTombstones } from "./records.ts";
import { add, type ResolvedRegex, Subscriptions } from "./subscriptions.ts";

export type ConsumerGroupState = "Empty" | "Assigning" | "Reconciling" | "Stable";

export class ConsumerGroup implements Group {
  readonly groupId: string;
  readonly type = "consumer";
  readonly protocolType = "consumer";
  /** Grows whenever the target has to be computed anew. */
  groupEpoch = 1;
  metadataHash = 0n;
  /** The group epoch that the target was computed for; -1 when its record was deleted. */
  assignmentEpoch = 1;
  /** Wall time at which it was; 0 when nobody knows. */
  assignmentTimestampMs = 0;
  /** Kafka up to 4.0 kept the topics in a record of their own, which is to be deleted. */
  hasPartitionsRecord = false;
  readonly members = new Map<string, ConsumerMember>();
  readonly targets = new Map<string, TopicPartitions>();
  readonly regexes = new Map<string, ResolvedRegex>();
  /** Member ids by instance id. */
  readonly statics = new Map<string, string>();
  readonly subscriptions = new Subscriptions();
  /** Members by the assignor that they ask for. */
  readonly assignors = new Map<string, number>();
  /** Members of the classic protocol, and of those by the protocols that they support. */
  classicCount = 0;
  readonly classicProtocols = new Map<string, number>();
  /** Owners by topic id and partition: also those who are about to give it up. */
  readonly #owners = new Map<string, Map<number, string>>();
  #state: ConsumerGroupState | null = null;

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  get state(): ConsumerGroupState {
    this.#state ??= this.#computeState();
    return this.#state;
  }

  get stateName(): string {
    return this.state;
  }

  get isEmpty(): boolean {
    return this.members.size === 0;
  }

  get memberCount(): number {
    return this.members.size;
  }

  get isHomogeneous(): boolean {
    return this.subscriptions.isHomogeneous(this.members.size);
  }

  staticMember(instanceId: string | null): ConsumerMember | undefined {
    if (instanceId === null) return undefined;
    const memberId = this.statics.get(instanceId);
    return memberId === undefined ? undefined : this.members.get(memberId);
  }

  target(memberId: string): TopicPartitions {
    return this.targets.get(memberId) ?? NO_PARTITIONS;
  }

  /** Who has the partition, or undefined when nobody does. */
  ownerOf(topicId: string, partition: number): string | undefined {
    return this.#owners.get(topicId)?.get(partition);
  }

  /** Counts as if `before` had become `after`; either may be null. */
  subscriptionsWith(before: ConsumerMember | null, after: ConsumerMember | null): Subscriptions {
    const counts = this.subscriptions.copy();
    if (before !== null) counts.countMember(before, -1);
    if (after !== null) counts.countMember(after, 1);
    const regex = before?.subscribedTopicRegex ?? "";
    if (regex !== "" && !counts.regexes.has(regex)) this.#uncount(counts, regex);
    return counts;
  }

  /** Counts as if those members had gone. */
  subscriptionsWithout(gone: readonly ConsumerMember[]): Subscriptions {
    const counts = this.subscriptions.copy();
    for (const member of gone) counts.countMember(member, -1);
    for (const regex of this.subscriptions.regexes.keys()) {
      if (!counts.regexes.has(regex)) this.#uncount(counts, regex);
    }
    return counts;
  }

  /** Whether a member waits for a partition that another one still has. */
  isWaiting(member: ConsumerMember): boolean {
    if (member.state !== MEMBER_UNRELEASED) return false;
    for (const [topicId, partitions] of this.target(member.memberId)) {
      const assigned = member.assigned.get(topicId);
      for (const partition of partitions) {
        if (assigned?.has(partition) === true) continue;
        if (this.ownerOf(topicId, partition) !== undefined) return true;
      }
    }
    return false;
  }

  /** Whether some protocol of `names` is one that all classic members support. */
  supportsClassic(protocolType: string, names: readonly string[]): boolean {
    if (protocolType !== this.protocolType) return false;
    if (this.isEmpty) return names.length > 0;
    return names.some((name) => (this.classicProtocols.get(name) ?? 0) === this.classicCount);
  }

  checkOffsetCommit(caller: OffsetCaller): KafkaErrorName | null {
    if (this.#isOutside(caller)) return null;
    const member = this.members.get(caller.memberId);
    if (member === undefined) return "unknown_member_id";
    const isClassic = member.classic !== null;
    if (!caller.isTransactional && !isClassic && caller.version < 9) return "unsupported_version";
    if (caller.generationOrEpoch <= member.memberEpoch) return null;
    return staleness(isClassic || caller.isTransactional);
  }

  checkPartitionCommit(
    caller: OffsetCaller,
    topicId: string,
    partition: number,
  ): KafkaErrorName | null {
    if (this.#isOutside(caller)) return null;
    const member = this.members.get(caller.memberId);
    if (member === undefined) return "unknown_member_id";
    const callerEpoch = caller.generationOrEpoch;
    if (callerEpoch === member.memberEpoch) return null;
    const epoch =
      member.assigned.get(topicId)?.get(partition) ??
      member.pendingRevocation.get(topicId)?.get(partition);
    if (epoch !== undefined && callerEpoch >= epoch && callerEpoch < member.memberEpoch)
      return null;
    return staleness(member.classic !== null || caller.isTransactional);
  }

  checkOffsetFetch(memberId: string | null, memberEpoch: number): KafkaErrorName | null {
    if (memberId === null && memberEpoch < 0) return null;
    const member = memberId === null ? undefined : this.members.get(memberId);
    if (member === undefined) return "unknown_member_id";
    return memberEpoch === member.memberEpoch ? null : staleness(member.classic !== null);
  }

  checkOffsetDelete(): KafkaErrorName | null {
    return null;
  }

  checkDelete(): KafkaErrorName | null {
    return this.isEmpty ? null : "non_empty_group";
  }

  isSubscribedTo(topic: string): boolean {
    return this.subscriptions.topics.has(topic);
  }

  offsetsAgeFrom(topic: string): "commit" | null {
    return this.isSubscribedTo(topic) ? null : "commit";
  }

  tombstones(): ConsumerGroupRecord[] {
    return groupTombstones(this.groupId, [...this.members.keys()], [...this.regexes.keys()]);
  }

  /** Replays a record of this group. @returns whether the group has ended with it */
  apply(record: ConsumerGroupRecord): boolean {
    this.#state = null;
    switch (record.kind) {
      case "consumer_group":
        if (record.value === null) return true;
        this.groupEpoch = record.value.epoch;
        this.metadataHash = BigInt(record.value.metadataHash);
        return false;
      case "consumer_group_partitions":
        this.hasPartitionsRecord = record.value !== null;
        return false;
      case "consumer_member":
        this.#applyMember(record.key.memberId, record.value);
        return false;
      case "consumer_target":
        this.assignmentEpoch = record.value?.assignmentEpoch ?? -1;
        this.assignmentTimestampMs = record.value?.assignmentTimestamp ?? 0;
        return false;
      case "consumer_member_target":
        if (record.value === null) this.targets.delete(record.key.memberId);
        else this.targets.set(record.key.memberId, storedTarget(record.value.topicPartitions));
        return false;
      case "consumer_member_current":
        this.#applyCurrent(record.key.memberId, record.value);
        return false;
      case "consumer_regex":
        this.#applyRegex(record.key.regularExpression, record.value);
        return false;
    }
  }

  #applyMember(
    memberId: string,
    value: (ConsumerGroupRecord & { kind: "consumer_member" })["value"],
  ): void {
    const before = this.members.get(memberId);
    if (value !== null) this.#setMember(withMetadata(before ?? newMember(memberId), value));
    else if (before !== undefined) {
      this.#count(before, -1);
      this.members.delete(memberId);
    }
  }

  #applyCurrent(
    memberId: string,
    value: (ConsumerGroupRecord & { kind: "consumer_member_current" })["value"],
  ): void {
    const before = this.members.get(memberId);
    if (value !== null) this.#setMember(withCurrent(before ?? newMember(memberId), value));
    else if (before !== undefined) this.#setMember(withoutCurrent(before));
  }

  #applyRegex(
    regex: string,
    value: (ConsumerGroupRecord & { kind: "consumer_regex" })["value"],
  ): void {
    const before = this.regexes.get(regex);
    if (before !== undefined) this.subscriptions.countRegex(before.topics, -1);
    this.regexes.delete(regex);
    if (value === null) return;
    const topics = new Set(value.topics);
    const { version, timestamp } = value;
    this.regexes.set(regex, { topics, version, timestampMs: timestamp });
    this.subscriptions.countRegex(topics, 1);
  }

  #setMember(member: ConsumerMember): void {
    const before = this.members.get(member.memberId);
    if (before !== undefined) this.#count(before, -1);
    this.members.set(member.memberId, member);
    this.#count(member, 1);
  }

  /** Takes a member into all that is counted, or out of it. */
  #count(member: ConsumerMember, sign: 1 | -1): void {
    const { memberId, instanceId } = member;
    this.subscriptions.countMember(member, sign);
    if (member.serverAssignor !== null) add(this.assignors, member.serverAssignor, sign);
    if (member.classic !== null) {
      this.classicCount += sign;
      for (const { name } of member.classic.supportedProtocols) {
        add(this.classicProtocols, name, sign);
      }
    }
    if (instanceId !== null) {
      if (sign === 1) this.statics.set(instanceId, memberId);
      else if (this.statics.get(instanceId) === memberId) this.statics.delete(instanceId);
    }
    for (const held of [member.assigned, member.pendingRevocation]) {
      if (sign === 1) this.#own(held, memberId);
      else this.#disown(held, memberId);
    }
  }

  #own(held: EpochPartitions, memberId: string): void {
    for (const [topicId, epochs] of held) {
      let owners = this.#owners.get(topicId);
      if (owners === undefined) {
        owners = new Map();
        this.#owners.set(topicId, owners);
      }
      for (const partition of epochs.keys()) owners.set(partition, memberId);
    }
  }

  #disown(held: EpochPartitions, memberId: string): void {
    for (const [topicId, epochs] of held) {
      const owners = this.#owners.get(topicId);
      if (owners === undefined) continue;
      for (const partition of epochs.keys()) {
        if (owners.get(partition) === memberId) owners.delete(partition);
      }
      if (owners.size === 0) this.#owners.delete(topicId);
    }
  }

  #uncount(counts: Subscriptions, regex: string): void {
    const resolved = this.regexes.get(regex);
    if (resolved !== undefined) counts.countRegex(resolved.topics, -1);
  }

  #computeState(): ConsumerGroupState {
    if (this.isEmpty) return "Empty";
    if (this.groupEpoch > this.assignmentEpoch) return "Assigning";
    for (const member of this.members.values()) {
      if (!isReconciledTo(member, this.assignmentEpoch)) return "Reconciling";
    }
    return "Stable";
  }

  /** Tools that commit for a group without members, and transactions that say nothing of theirs. */
  #isOutside(caller: OffsetCaller): boolean {
    if (caller.generationOrEpoch < 0 && this.isEmpty) return true;
    return (
      caller.isTransactional &&
      caller.generationOrEpoch === LEFT &&
      caller.memberId === "" &&
      caller.groupInstanceId === null
    );
  }
}

function staleness(asGeneration: boolean): KafkaErrorName {
  return asGeneration ? "illegal_generation" : "stale_member_epoch";
}

function storedTarget(
  topics: readonly { readonly topicId: string; readonly partitions: readonly number[] }[],
): TopicPartitions {
  return new Map(
    topics
      .filter(({ partitions }) => partitions.length > 0)
      .map(({ topicId, partitions }) => [topicId, [...partitions].sort((a, b) => a - b)]),
  );
}
