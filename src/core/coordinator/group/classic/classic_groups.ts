// The classic groups of one shard: their requests, their records, and their life beside consumer groups.
// Requests for groups that speak the consumer protocol are not for this part, empty ones apart: a join makes those classic.
// Kafka: GroupMetadataManager.classicGroupJoin, classicGroupSync, classicGroupHeartbeat, classicGroupLeave.

import type { KafkaErrorName } from "../../../../protocol/errors.ts";
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
import type { Answer, Decision, Now, Reply } from "../../runtime/shard.ts";
import type { GroupCall } from "../group.ts";
import type { ClassicGroupRecord, GroupRecord } from "../group_record.ts";
import type { GroupShardOptions } from "../group_shard_options.ts";
import type { Groups } from "../groups.ts";
import { ClassicGroup } from "./classic_group.ts";
import { Joins, refuseJoin } from "./join.ts";
import { Rebalances } from "./rebalance.ts";
import {
  heartbeatAnswer,
  joinRefused,
  type LeavingMember,
  leaveAnswer,
  leaveRefused,
  leavingMembers,
  NO_BYTES,
  synced,
  syncRefused,
} from "./responses.ts";
import { groupOf, newGroupValue, recordValueOf, WrittenGroups } from "./stored_group.ts";
import { Turn } from "./turn.ts";

export class ClassicGroups {
  readonly #options: GroupShardOptions;
  readonly #groups: Groups;
  readonly #written = new WrittenGroups();
  readonly #rebalances: Rebalances;
  readonly #joins: Joins;

  constructor(options: GroupShardOptions, groups: Groups) {
    this.#options = options;
    this.#groups = groups;
    this.#rebalances = new Rebalances(options, groups, this.#written);
    this.#joins = new Joins(options, this.#rebalances, this.#written);
  }

  /** Answered when the rebalance ends that it takes part in. */
  join(
    call: GroupCall,
    request: JoinGroupRequest,
    reply: Reply<JoinGroupResponse>,
  ): Decision<GroupRecord> {
    const turn = new Turn(call.now);
    const { groupId, memberId } = request;
    const refuse = (error: KafkaErrorName, toldMemberId = memberId) => {
      turn.answer(reply, joinRefused(call.version, toldMemberId, error));
      return turn.decision();
    };
    const refusal = refuseJoin(request, this.#options.settings);
    if (refusal !== null) return refuse(refusal);
    const known = this.#groups.get(groupId);
    if (known instanceof ClassicGroup) {
      this.#joins.join({ turn, call, request, reply }, known);
      return turn.decision();
    }
    if (known?.isEmpty === false) return refuse("inconsistent_group_protocol", "");
    // Only newcomers make a group: whoever has a member id believes in one that is gone.
    if (memberId !== "") return refuse("unknown_member_id");
    const group = new ClassicGroup({ groupId, stateSinceMs: call.now.wallMs }, this.#rebalances);
    if (known !== undefined) turn.records.push(...known.tombstones());
    this.#joins.join({ turn, call, request, reply }, group);
    // It is there from now on, whatever the request came to, as in Kafka.
    this.#written.write(turn, group, newGroupValue(call.now.wallMs));
    return turn.decision();
  }

  /** Answered once the leader has assigned. */
  sync(
    call: GroupCall,
    request: SyncGroupRequest,
    reply: Reply<SyncGroupResponse>,
  ): Decision<GroupRecord> {
    const turn = new Turn(call.now);
    const group = this.#groups.get(request.groupId);
    const error = refuseSync(call, request, group);
    if (error !== null || !(group instanceof ClassicGroup)) {
      turn.answer(reply, syncRefused(error ?? "unknown_member_id"));
      return turn.decision();
    }
    const member = group.member(request.memberId)!;
    this.#rebalances.synced(group, member.memberId);
    if (group.stateName === "Stable") {
      turn.answer(reply, synced(member.assignment, group.protocolType, group.protocolName));
      return turn.decision();
    }
    group.parkSync(turn, member, reply);
    if (group.leaderId === member.memberId) this.#assign(turn, group, request);
    return turn.decision();
  }

  /** The leader has assigned: the generation is stored, and all who wait for it have their share. */
  #assign(turn: Turn, group: ClassicGroup, request: SyncGroupRequest): void {
    const { groupId, generation, protocolType, protocolName } = group;
    const assignments = new Map(
      request.assignments.map((each) => [each.memberId, each.assignment]),
    );
    let withoutCount = 0;
    for (const member of group.members()) {
      const assignment = assignments.get(member.memberId);
      if (assignment === undefined) withoutCount++;
      member.assignment = assignment?.slice() ?? NO_BYTES;
    }
    if (withoutCount > 0) {
      this.#options.log.warn("group_members_unassigned", { group: groupId, count: withoutCount });
    }
    this.#written.write(turn, group, recordValueOf(group));
    group.become("Stable", turn.now);
    const shared = new Turn(turn.now);
    for (const member of group.members()) {
      const response = synced(member.assignment, protocolType, protocolName);
      if (group.answerSync(shared, member, response)) this.#rebalances.start(group, member);
    }
    turn.answers.push(...shared.answers);
    turn.tooLarge = (now) => this.#rebalances.refuseSyncs(now, group, shared);
    this.#options.log.info("group_stable", {
      group: groupId,
      generation,
      protocol: protocolName,
      members: group.memberCount,
      staticMembers: group.staticMemberCount,
    });
  }

  heartbeat(
    call: GroupCall,
    request: HeartbeatRequest,
    reply: Reply<HeartbeatResponse>,
  ): Decision<GroupRecord> {
    const turn = new Turn(call.now);
    turn.answer(reply, heartbeatAnswer(this.#heartbeat(request)));
    return turn.decision();
  }

  #heartbeat(request: HeartbeatRequest): KafkaErrorName | null {
    const { groupId, memberId, groupInstanceId, generationId } = request;
    if (groupId === "") return "invalid_group_id";
    const group = this.#groups.get(groupId);
    if (!(group instanceof ClassicGroup)) return "unknown_member_id";
    const error = group.checkMember(memberId, groupInstanceId);
    if (error !== null) return error;
    if (generationId !== group.generation) return "illegal_generation";
    this.#rebalances.start(group, group.member(memberId)!);
    return group.stateName === "PreparingRebalance" ? "rebalance_in_progress" : null;
  }

  leave(
    call: GroupCall,
    request: LeaveGroupRequest,
    reply: Reply<LeaveGroupResponse>,
  ): Decision<GroupRecord> {
    const turn = new Turn(call.now);
    if (request.groupId === "") {
      turn.answer(reply, leaveRefused("invalid_group_id"));
      return turn.decision();
    }
    const known = this.#groups.get(request.groupId);
    const group = known instanceof ClassicGroup ? known : null;
    const members = leavingMembers(call.version, request);
    const errors = members.map((member) =>
      group === null ? ("unknown_member_id" as const) : this.#leave(turn, group, member),
    );
    turn.answer(reply, leaveAnswer(call.version, members, errors));
    if (group === null || !errors.includes(null)) return turn.decision();
    if (group.stateName === "Stable" || group.stateName === "CompletingRebalance") {
      const count = errors.filter((error) => error === null).length;
      this.#rebalances.prepare(turn, group, `${count} members left`);
    } else {
      this.#rebalances.maybeComplete(turn, group);
    }
    return turn.decision();
  }

  /** @returns why it may not leave; null when it has */
  #leave(turn: Turn, group: ClassicGroup, leaving: LeavingMember): KafkaErrorName | null {
    const { groupInstanceId } = leaving;
    let { memberId } = leaving;
    if (memberId === "") {
      // An admin removes a static member, whoever it is at the moment.
      memberId = groupInstanceId === null ? "" : (group.staticMemberId(groupInstanceId) ?? "");
      if (memberId === "") return "unknown_member_id";
    } else if (!group.pendingJoins.has(memberId)) {
      const error = group.checkMember(memberId, groupInstanceId);
      if (error !== null) return error;
    }
    this.#options.log.info("group_member_left", {
      group: group.groupId,
      member: memberId,
      instance: groupInstanceId,
      reason: leaving.reason?.slice(0, 255),
    });
    const member = group.member(memberId);
    if (member !== undefined) {
      this.#rebalances.drop(turn, group, member);
    } else {
      group.remove(memberId);
      this.#rebalances.end(group.groupId, memberId);
    }
    return null;
  }

  // The log

  replay(record: ClassicGroupRecord): void {
    const { value } = record;
    const groupId = record.key.group;
    const known = this.#groups.get(groupId);
    if (value === null) {
      if (!(known instanceof ClassicGroup)) return;
      this.#rebalances.endAll(known);
      known.die();
      this.#groups.delete(groupId);
      return;
    }
    const living = this.#written.take(groupId, value);
    if (living !== null) {
      living.stored = value;
      if (known !== living) this.#groups.set(living);
      return;
    }
    if (known instanceof ClassicGroup) this.#rebalances.endAll(known);
    this.#groups.set(groupOf(groupId, value, this.#rebalances, this.#options.log));
  }

  /** Everybody's session starts anew: the members know nothing of the load. */
  loaded(now: Now): Decision<GroupRecord> {
    const turn = new Turn(now);
    const { sizeMax } = this.#options.settings;
    for (const group of this.#groups.values()) {
      if (!(group instanceof ClassicGroup)) continue;
      for (const member of group.members()) this.#rebalances.start(group, member);
      if (group.memberCount <= sizeMax) continue;
      // group.max.size was lowered. Members may commit before some of them are out.
      this.#rebalances.prepare(turn, group, `${group.memberCount} members are too many`);
    }
    return turn.decision();
  }

  /**
   * A group that only has offsets: there as soon as one is committed, with no record of its own. Part of the replay of
   * offsets. Nothing when there is a group of that id already.
   */
  ensureSimple(groupId: string): void {
    if (this.#groups.get(groupId) !== undefined) return;
    this.#groups.set(new ClassicGroup({ groupId }, this.#rebalances));
  }

  // Between the protocols (KIP-848)

  /**
   * The group is about to become a consumer group: all who wait are to join that one. Its sessions end with the tombstone.
   */
  upgraded(groupId: string): readonly Answer[] {
    const group = this.#groups.get(groupId);
    if (!(group instanceof ClassicGroup)) return [];
    const turn = new Turn({ wallMs: 0, monotonicMs: 0 });
    for (const member of group.members()) {
      group.refuseJoin(turn, member, "rebalance_in_progress");
      group.refuseSync(turn, member, "rebalance_in_progress");
    }
    return turn.answers;
  }

  /**
   * A consumer group has become this classic one, by its record: the members' sessions start.
   *
   * @param rebalanceReason Null when the assignment stands.
   */
  downgraded(groupId: string, rebalanceReason: string | null, now: Now): Decision<GroupRecord> {
    const turn = new Turn(now);
    const group = this.#groups.get(groupId);
    if (!(group instanceof ClassicGroup)) return turn.decision();
    for (const member of group.members()) this.#rebalances.start(group, member);
    if (rebalanceReason !== null && group.mayRebalance) {
      this.#rebalances.prepare(turn, group, rebalanceReason);
    }
    return turn.decision();
  }
}

/** Why there is nothing to be had; null: the member may wait, or has its share already. */
function refuseSync(
  { version }: GroupCall,
  request: SyncGroupRequest,
  group: ReturnType<Groups["get"]>,
): KafkaErrorName | null {
  const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName } = request;
  if (version >= 5 && (protocolType === null || protocolName === null)) {
    return "inconsistent_group_protocol";
  }
  if (groupId === "") return "invalid_group_id";
  if (!(group instanceof ClassicGroup) || group.isEmpty) return "unknown_member_id";
  const error = group.checkMember(memberId, groupInstanceId);
  if (error !== null) return error;
  if (generationId !== group.generation) return "illegal_generation";
  const isSame =
    (protocolType ?? group.protocolType) === group.protocolType &&
    (protocolName ?? group.protocolName) === group.protocolName;
  if (!isSame) return "inconsistent_group_protocol";
  return group.stateName === "PreparingRebalance" ? "rebalance_in_progress" : null;
}
