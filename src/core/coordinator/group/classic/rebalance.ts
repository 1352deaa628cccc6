// The phases of a classic group's rebalance, and the timers that end them when members do not: whoever is to join again
// has the longest rebalance timeout of the members for it, whoever has joined the same again to sync; a member that is
// not heard of for its session timeout is gone, unless it waits for the others. A new group waits for more members.
// Kafka: GroupMetadataManager.prepareRebalance, completeClassicGroupJoin, expireClassicGroupMemberHeartbeat, …

import type { Decision, Now } from "../../runtime/shard.ts";
import type { GroupRecord } from "../group_record.ts";
import type { GroupShardOptions } from "../group_shard_options.ts";
import type { Groups } from "../groups.ts";
import { ClassicGroup, type Sessions } from "./classic_group.ts";
import type { ClassicMember } from "./member.ts";
import { NO_BYTES, syncRefused } from "./responses.ts";
import { learnSubscription, recordValueOf, type WrittenGroups } from "./stored_group.ts";
import { Turn } from "./turn.ts";

/**
 * A new member sends no heartbeats, and whether its client has gone cannot be seen while its join waits: it is told to
 * come again after this long.
 */
const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60_000;

export class Rebalances implements Sessions {
  readonly #options: GroupShardOptions;
  readonly #groups: Groups;
  readonly #written: WrittenGroups;

  constructor(options: GroupShardOptions, groups: Groups, written: WrittenGroups) {
    this.#options = options;
    this.#groups = groups;
    this.#written = written;
  }

  /** Begins a rebalance where one may begin; where one is going on, ends it if nobody is waited for. */
  prepareOrComplete(turn: Turn, group: ClassicGroup, reason: string): void {
    if (group.mayRebalance) this.prepare(turn, group, reason);
    else this.maybeComplete(turn, group);
  }

  /** @param reason For the log: why members have to join again. */
  prepare(turn: Turn, group: ClassicGroup, reason: string): void {
    if (group.stateName === "CompletingRebalance") {
      for (const member of group.members()) {
        member.assignment = NO_BYTES;
        if (group.refuseSync(turn, member, "rebalance_in_progress")) this.start(group, member);
      }
    }
    this.#endPendingSyncs(group);
    const isInitial = group.isEmpty;
    group.become("PreparingRebalance", turn.now);
    this.#options.log.info("group_rebalance_started", {
      group: group.groupId,
      generation: group.generation,
      reason,
    });
    if (isInitial) this.#delayInitial(group);
    else if (group.haveAllJoined) this.complete(turn, group);
    else this.#completeAfter(group, group.rebalanceTimeoutMs);
  }

  /** Ends the join phase if nobody is waited for. The first one of a group takes its time. */
  maybeComplete(turn: Turn, group: ClassicGroup): void {
    const isGoing = group.stateName === "PreparingRebalance" && group.previousStateName !== "Empty";
    if (isGoing && group.haveAllJoined) this.complete(turn, group);
  }

  /** Ends the join phase: whoever has not joined is out, static members apart, and the next generation begins. */
  complete(turn: Turn, group: ClassicGroup): void {
    const { timers, log } = this.#options;
    const { groupId } = group;
    timers.cancel(joinKey(groupId));
    const late = [...group.members()].filter(
      (member) => member.join === null && member.groupInstanceId === null,
    );
    for (const { memberId } of late) {
      group.remove(memberId);
      this.end(groupId, memberId);
    }
    if (late.length > 0) {
      log.info("group_members_late", { group: groupId, count: late.length });
    }
    if (!group.electLeader() && group.memberCount > 0) {
      // Static members only, and none has joined. Their sessions end, or they come.
      log.warn("group_rebalance_without_joins", { group: groupId });
      this.#completeAfter(group, group.rebalanceTimeoutMs);
      return;
    }
    group.startGeneration(turn.now);
    learnSubscription(group, log);
    const { generation, protocolName } = group;
    if (group.isEmpty) {
      log.info("group_emptied", { group: groupId, generation });
      this.#written.write(turn, group, recordValueOf(group));
      return;
    }
    log.info("group_joined", {
      group: groupId,
      generation,
      protocol: protocolName,
      members: group.memberCount,
    });
    const { protocolType, leaderId } = group;
    for (const member of group.members()) {
      group.answerJoin(turn, member, {
        generationId: generation,
        protocolType,
        protocolName: protocolName!,
        leader: leaderId!,
        members: member.memberId === leaderId ? group.joinMembers() : [],
      });
      this.start(group, member);
      member.isNew = false;
      group.pendingSyncs.add(member.memberId);
    }
    timers.set(syncKey(groupId), group.rebalanceTimeoutMs, (now) =>
      this.#expireSyncs(now, groupId),
    );
  }

  /** A member has synced: once all have, nobody is late any more. */
  synced(group: ClassicGroup, memberId: string): void {
    group.pendingSyncs.delete(memberId);
    if (group.pendingSyncs.size === 0) this.#options.timers.cancel(syncKey(group.groupId));
  }

  /** The record of the leader's assignment is too large: nobody gets one, and all are to join again. */
  refuseSyncs(now: Now, group: ClassicGroup, synced: Turn): Decision<GroupRecord> {
    const turn = new Turn(now);
    this.#written.forget(group.groupId);
    for (const { reply } of synced.answers) turn.answer(reply, syncRefused("unknown_server_error"));
    group.takeSyncBack();
    for (const member of group.members()) member.assignment = NO_BYTES;
    this.prepareOrComplete(turn, group, "the assignment is too large to store");
    return turn.decision();
  }

  // Sessions

  start(group: ClassicGroup, member: ClassicMember): void {
    this.#startFor(group, member.memberId, member.sessionTimeoutMs);
  }

  startNew(group: ClassicGroup, member: ClassicMember): void {
    member.isNew = true;
    this.#startFor(group, member.memberId, NEW_MEMBER_JOIN_TIMEOUT_MS);
  }

  /** Of an id that was given out, and is to be joined with by then. */
  startPending(group: ClassicGroup, memberId: string, timeoutMs: number): void {
    group.pendingJoins.add(memberId);
    this.#startFor(group, memberId, timeoutMs);
  }

  end(groupId: string, memberId: string): void {
    this.#options.timers.cancel(sessionKey(groupId, memberId));
  }

  /** The group is gone, or is no classic one any more: none of its timers fires. */
  endAll(group: ClassicGroup): void {
    const { groupId } = group;
    this.#options.timers.cancel(joinKey(groupId));
    this.#options.timers.cancel(syncKey(groupId));
    for (const { memberId } of group.members()) this.end(groupId, memberId);
    for (const memberId of group.pendingJoins) this.end(groupId, memberId);
  }

  #startFor({ groupId }: ClassicGroup, memberId: string, timeoutMs: number): void {
    const { timers } = this.#options;
    const key = sessionKey(groupId, memberId);
    if (timers.putOff(key, timeoutMs)) return;
    timers.set(key, timeoutMs, (now) => this.#expireSession(now, groupId, memberId));
  }

  #expireSession(now: Now, groupId: string, memberId: string): Decision<GroupRecord> {
    const turn = new Turn(now);
    const group = this.#group(groupId);
    if (group === null) return turn.decision();
    const { log } = this.#options;
    if (group.pendingJoins.has(memberId)) {
      log.info("group_pending_member_expired", { group: groupId, member: memberId });
      group.remove(memberId);
      if (group.stateName === "PreparingRebalance" && group.haveAllJoined) {
        this.complete(turn, group);
      }
      return turn.decision();
    }
    const member = group.member(memberId);
    if (member === undefined || member.isExcusedFromHeartbeats) return turn.decision();
    log.info("group_member_expired", { group: groupId, member: memberId });
    this.drop(turn, group, member);
    if (group.stateName === "Stable" || group.stateName === "CompletingRebalance") {
      this.prepare(turn, group, `session of member ${memberId} ended`);
    } else if (group.stateName === "PreparingRebalance" && group.haveAllJoined) {
      this.complete(turn, group);
    }
    return turn.decision();
  }

  /** The member is out. A join of its own that waits is told so: its client comes again if it lives. */
  drop(turn: Turn, group: ClassicGroup, member: ClassicMember): void {
    group.refuseJoin(turn, member, "unknown_member_id", "");
    group.refuseSync(turn, member, "unknown_member_id");
    group.remove(member.memberId);
    this.end(group.groupId, member.memberId);
  }

  // Timers of the phases

  /** A new group: members tend to come together, and one rebalance is to do for them all. */
  #delayInitial(group: ClassicGroup): void {
    const delayMs = this.#options.settings.initialRebalanceDelayMs;
    group.hasNewMember = false;
    this.#extendInitial(group, delayMs, Math.max(group.rebalanceTimeoutMs - delayMs, 0));
  }

  /** @param leftMs How much longer it may be put off after this delay. */
  #extendInitial({ groupId }: ClassicGroup, delayMs: number, leftMs: number): void {
    this.#options.timers.set(joinKey(groupId), delayMs, (now) => {
      const turn = new Turn(now);
      const group = this.#group(groupId);
      if (group === null) return turn.decision();
      if (group.hasNewMember && leftMs > 0) {
        group.hasNewMember = false;
        const nextMs = Math.min(this.#options.settings.initialRebalanceDelayMs, leftMs);
        this.#extendInitial(group, nextMs, Math.max(leftMs - nextMs, 0));
      } else {
        this.complete(turn, group);
      }
      return turn.decision();
    });
  }

  #completeAfter({ groupId }: ClassicGroup, delayMs: number): void {
    this.#options.timers.set(joinKey(groupId), delayMs, (now) => {
      const turn = new Turn(now);
      const group = this.#group(groupId);
      if (group?.stateName === "PreparingRebalance") this.complete(turn, group);
      return turn.decision();
    });
  }

  #endPendingSyncs(group: ClassicGroup): void {
    group.pendingSyncs.clear();
    this.#options.timers.cancel(syncKey(group.groupId));
  }

  /** Members that have joined and did not sync in time are out. */
  #expireSyncs(now: Now, groupId: string): Decision<GroupRecord> {
    const turn = new Turn(now);
    const group = this.#group(groupId);
    if (group === null || group.pendingSyncs.size === 0) return turn.decision();
    const late = [...group.pendingSyncs];
    for (const memberId of late) {
      group.remove(memberId);
      this.end(groupId, memberId);
    }
    this.#options.log.info("group_syncs_late", { group: groupId, count: late.length });
    this.prepare(turn, group, `${late.length} members did not sync in time`);
    return turn.decision();
  }

  #group(groupId: string): ClassicGroup | null {
    const group = this.#groups.get(groupId);
    return group instanceof ClassicGroup ? group : null;
  }
}

// Lengths keep the ids apart: any character may be in them.

function sessionKey(groupId: string, memberId: string): string {
  return `classic session ${groupId.length} ${groupId} ${memberId}`;
}

function joinKey(groupId: string): string {
  return `classic join ${groupId}`;
}

function syncKey(groupId: string): string {
  return `classic sync ${groupId}`;
}
