// Both kinds of groups of a shard under the rig, and members that behave as Kafka's consumer does: they report what they
// own, give up what they are told to, and come back without anything when they are fenced.

import { expect } from "bun:test";
import { ClassicGroup } from "../../../../../src/core/coordinator/group/classic/classic_group.ts";
import { ClassicGroups } from "../../../../../src/core/coordinator/group/classic/classic_groups.ts";
import { ConsumerGroup } from "../../../../../src/core/coordinator/group/consumer/consumer_group.ts";
import { ConsumerGroups } from "../../../../../src/core/coordinator/group/consumer/consumer_groups.ts";
import type { GroupRecord } from "../../../../../src/core/coordinator/group/group_record.ts";
import type { HeartbeatCall } from "../../../../../src/core/coordinator/group/group_requests.ts";
import type { GroupShardOptions } from "../../../../../src/core/coordinator/group/group_shard_options.ts";
import { Groups } from "../../../../../src/core/coordinator/group/groups.ts";
import type { Decision, Now } from "../../../../../src/core/coordinator/runtime/shard.ts";
import { type KafkaErrorName, wireCodeOf } from "../../../../../src/protocol/errors.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../../../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { type RigOptions, type RigSubject, ShardRig } from "../../shard_rig.ts";

export class ConsumerSubject implements RigSubject {
  readonly groups = new Groups();
  readonly classic: ClassicGroups;
  readonly consumer: ConsumerGroups;

  constructor(options: GroupShardOptions) {
    this.classic = new ClassicGroups(options, this.groups);
    this.consumer = new ConsumerGroups(options, this.groups, this.classic);
  }

  replay(record: GroupRecord): void {
    if (record.kind === "classic_group") this.classic.replay(record);
    else if (record.kind !== "offset_commit") this.consumer.replay(record);
  }

  loaded(now: Now): Decision<GroupRecord> {
    const classic = this.classic.loaded(now);
    const consumer = this.consumer.loaded(now);
    return {
      records: [...classic.records, ...consumer.records],
      answers: [...classic.answers, ...consumer.answers],
    };
  }

  snapshot(): unknown {
    const all = new Map<string, unknown>();
    for (const group of this.groups.values()) {
      if (group instanceof ConsumerGroup) all.set(group.groupId, hardState(group));
      else if (group instanceof ClassicGroup && group.stored !== null) {
        all.set(group.groupId, group.stored);
      }
    }
    return all;
  }
}

export function hardState(group: ConsumerGroup): unknown {
  const owners = new Map<string, string | undefined>();
  for (const member of group.members.values()) {
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topicId, epochs] of held) {
        for (const partition of epochs.keys()) {
          owners.set(`${topicId} ${partition}`, group.ownerOf(topicId, partition));
        }
      }
    }
  }
  return {
    groupEpoch: group.groupEpoch,
    metadataHash: group.metadataHash,
    assignmentEpoch: group.assignmentEpoch,
    assignmentTimestampMs: group.assignmentTimestampMs,
    hasPartitionsRecord: group.hasPartitionsRecord,
    members: group.members,
    targets: group.targets,
    regexes: group.regexes,
    statics: group.statics,
    topics: group.subscriptions.topics,
    regexCounts: group.subscriptions.regexes,
    assignors: group.assignors,
    classicCount: group.classicCount,
    classicProtocols: group.classicProtocols,
    owners,
  };
}

export class ConsumerRig extends ShardRig<ConsumerSubject> {
  constructor(options: RigOptions = {}) {
    super((shardOptions) => new ConsumerSubject(shardOptions), options);
  }

  heartbeat(
    request: Partial<ConsumerGroupHeartbeatRequest>,
    call: Partial<HeartbeatCall> = {},
  ): ConsumerGroupHeartbeatResponse {
    const full = {
      groupId: "g",
      memberId: "m1",
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...request,
    };
    const heartbeatCall = { ...this.call({ version: 1 }), mayDescribe: () => true, ...call };
    return this.ask<ConsumerGroupHeartbeatResponse>((subject, reply) =>
      subject.consumer.heartbeat(heartbeatCall, full, reply),
    ).value;
  }

  /** A first heartbeat. */
  join(
    request: Partial<ConsumerGroupHeartbeatRequest> = {},
    call: Partial<HeartbeatCall> = {},
  ): ConsumerGroupHeartbeatResponse {
    return this.heartbeat(
      {
        rebalanceTimeoutMs: 60_000,
        subscribedTopicNames: ["t"],
        topicPartitions: [],
        ...request,
      },
      call,
    );
  }

  group(groupId = "g"): ConsumerGroup {
    const group = this.subject.groups.get(groupId);
    if (!(group instanceof ConsumerGroup)) throw new Error(`${groupId} is no consumer group`);
    return group;
  }

  /** No partition has two owners, neither by what members have nor by what the group says. */
  checkOwners(groupId = "g"): void {
    const group = this.subject.groups.get(groupId);
    if (!(group instanceof ConsumerGroup)) return;
    const owners = new Map<string, string>();
    for (const member of group.members.values()) {
      for (const held of [member.assigned, member.pendingRevocation]) {
        for (const [topicId, epochs] of held) {
          for (const partition of epochs.keys()) {
            const key = `${topicId} ${partition}`;
            const { memberId } = member;
            // Asked a million times by the seeded runs: an expect each would take longer than all else.
            if (owners.has(key)) throw new Error(`${key}: ${memberId} and ${owners.get(key)}`);
            owners.set(key, memberId);
            const owner = group.ownerOf(topicId, partition);
            if (owner !== memberId) throw new Error(`${key}: ${memberId}, said to be ${owner}'s`);
          }
        }
      }
    }
  }
}

export function expectError(
  response: { readonly errorCode: number },
  error: KafkaErrorName | "none",
): void {
  expect(response.errorCode).toBe(error === "none" ? 0 : wireCodeOf(error));
}

/** What a response assigns, as "topicId partition". */
export function assignedOf(response: ConsumerGroupHeartbeatResponse): string[] | null {
  if (response.assignment === null) return null;
  return response.assignment.topicPartitions
    .flatMap(({ topicId, partitions }) => partitions.map((partition) => `${topicId} ${partition}`))
    .sort();
}

export interface TestMemberOptions {
  readonly memberId: string;
  readonly groupId?: string;
  readonly instanceId?: string | null;
  readonly topics?: readonly string[];
  readonly regex?: string | null;
  readonly assignor?: string | null;
}

/** A consumer: whoever drives it says when it heartbeats. */
export class TestMember {
  readonly rig: ConsumerRig;
  readonly groupId: string;
  readonly instanceId: string | null;
  memberId: string;
  topics: readonly string[] | null;
  regex: string | null;
  assignor: string | null;
  epoch = 0;
  /** As "topicId partition". */
  readonly owned = new Set<string>();
  /** Keeps what it is told to give up, as one that is busy with its records. */
  isBusy = false;
  #target: ReadonlySet<string> | null = null;
  #reported: string | null = null;
  #saysSubscription = true;
  #saysAll = false;

  constructor(rig: ConsumerRig, options: TestMemberOptions) {
    this.rig = rig;
    this.memberId = options.memberId;
    this.groupId = options.groupId ?? "g";
    this.instanceId = options.instanceId ?? null;
    this.regex = options.regex ?? null;
    this.topics = options.topics ?? (this.regex === null ? ["t"] : null);
    this.assignor = options.assignor ?? null;
  }

  /** Reads other topics from the next heartbeat on. */
  subscribe(topics: readonly string[] | null, regex: string | null = null): void {
    // What is not said stays: the other kind of subscription has to be taken back.
    this.topics = topics ?? [];
    this.regex = regex ?? (this.regex === null ? null : "");
    this.#saysSubscription = true;
  }

  /** A heartbeat whose answer never comes: the next one says everything anew. */
  heartbeatInVain(): void {
    this.#send();
    this.#reported = null;
    this.#saysSubscription = true;
    this.#saysAll = true;
  }

  /** One heartbeat, and what follows from its answer. @returns the answer, for those who want to see it */
  heartbeat(): ConsumerGroupHeartbeatResponse {
    const owned = [...this.owned].sort().join();
    const reports = this.epoch === 0 || owned !== this.#reported;
    const response = this.#send();
    if (response.errorCode !== 0) {
      this.fenced();
      return response;
    }
    this.#saysSubscription = false;
    this.#saysAll = false;
    this.#reported = reports ? owned : this.#reported;
    this.memberId = response.memberId!;
    this.epoch = response.memberEpoch;
    const assigned = assignedOf(response);
    if (assigned !== null) this.#target = new Set(assigned);
    this.#followTarget();
    return response;
  }

  #send(): ConsumerGroupHeartbeatResponse {
    const joins = this.epoch === 0;
    const saysAll = joins || this.#saysAll;
    const owned = [...this.owned].sort().join();
    const reports = joins || owned !== this.#reported;
    return this.rig.heartbeat({
      groupId: this.groupId,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId: this.instanceId,
      rebalanceTimeoutMs: saysAll ? 60_000 : -1,
      subscribedTopicNames:
        joins || this.#saysSubscription ? (this.topics === null ? null : [...this.topics]) : null,
      subscribedTopicRegex: joins || this.#saysSubscription ? this.regex : null,
      serverAssignor: joins ? this.assignor : null,
      topicPartitions: reports ? this.#ownedList() : null,
    });
  }

  leave(forAWhile = false): ConsumerGroupHeartbeatResponse {
    const response = this.rig.heartbeat({
      groupId: this.groupId,
      memberId: this.memberId,
      memberEpoch: forAWhile ? -2 : -1,
      instanceId: this.instanceId,
    });
    this.fenced();
    return response;
  }

  /** It has nothing any more, and joins with its next heartbeat. */
  fenced(): void {
    this.owned.clear();
    this.epoch = 0;
    this.#target = null;
    this.#reported = null;
    this.#saysSubscription = true;
  }

  /** Its records are done: it gives up what it kept. */
  finish(): void {
    this.isBusy = false;
    this.#followTarget();
  }

  #followTarget(): void {
    if (this.#target === null) return;
    const gives = [...this.owned].filter((partition) => !this.#target!.has(partition));
    // As Kafka's consumer: nothing new before the old is given up.
    if (gives.length > 0 && this.isBusy) return;
    for (const partition of gives) this.owned.delete(partition);
    for (const partition of this.#target) this.owned.add(partition);
  }

  #ownedList(): { topicId: string; partitions: number[] }[] {
    const topics = new Map<string, number[]>();
    for (const each of this.owned) {
      const [topicId, partition] = each.split(" ") as [string, string];
      topics.set(topicId, [...(topics.get(topicId) ?? []), Number(partition)]);
    }
    return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
  }
}

/** Heartbeats of all, again and again, until the group is stable. */
export function settle(rig: ConsumerRig, members: readonly TestMember[], roundsMax = 20): number {
  for (let round = 1; round <= roundsMax; round++) {
    for (const member of members) {
      member.heartbeat();
      rig.checkOwners(member.groupId);
    }
    rig.advance(500);
    const groupIds = new Set(members.map(({ groupId }) => groupId));
    const isStable = [...groupIds].every((groupId) => rig.group(groupId).state === "Stable");
    const isTold = members.every((member) => isTrue(rig, member));
    if (isStable && isTold) return round;
  }
  throw new Error("The group does not settle");
}

/** Whether a member has what the group says it has. */
function isTrue(rig: ConsumerRig, member: TestMember): boolean {
  const known = rig.group(member.groupId).members.get(member.memberId);
  if (known === undefined || known.memberEpoch !== member.epoch) return false;
  const assigned = [...known.assigned].flatMap(([topicId, epochs]) =>
    [...epochs.keys()].map((partition) => `${topicId} ${partition}`),
  );
  return assigned.length === member.owned.size && assigned.every((each) => member.owned.has(each));
}
