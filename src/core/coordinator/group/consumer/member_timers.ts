// The timers of members: session, revocation, and for members of the classic protocol join and sync. What they end in is
// always the same: the member is fenced. Invariant: a timer that fires for a member that is not there does nothing.
// Kafka: GroupMetadataManager.schedule*Timeout.

import { type Decision, NO_DECISION, type Now, type ShardTimers } from "../../runtime/shard.ts";
import type { GroupRecord } from "../group_record.ts";
import type { Groups } from "../groups.ts";
import { ConsumerGroup } from "./consumer_group.ts";
import type { ConsumerMember } from "./member.ts";

export type Fence = (
  group: ConsumerGroup,
  member: ConsumerMember,
  reason: string,
  now: Now,
) => Decision<GroupRecord>;

type Kind = "session" | "rebalance" | "join" | "sync";

export class MemberTimers {
  readonly #timers: ShardTimers<GroupRecord>;
  readonly #groups: Groups;
  readonly #fence: Fence;

  constructor(timers: ShardTimers<GroupRecord>, groups: Groups, fence: Fence) {
    this.#timers = timers;
    this.#groups = groups;
    this.#fence = fence;
  }

  /** Starts the member's session, or starts it anew. */
  session(groupId: string, memberId: string, timeoutMs: number): void {
    // What a session ends in is always the same: thousands of members are heard of every second.
    if (this.#timers.putOff(keyOf("session", groupId, memberId), timeoutMs)) return;
    this.#set("session", groupId, memberId, timeoutMs, "its session ended");
  }

  /** The member has that long to give up what it was told to, unless it gets into another epoch before. */
  rebalance(groupId: string, member: ConsumerMember): void {
    const { memberId, memberEpoch, rebalanceTimeoutMs } = member;
    this.#set(
      "rebalance",
      groupId,
      memberId,
      rebalanceTimeoutMs,
      "it did not revoke in time",
      (m) => m.memberEpoch === memberEpoch,
    );
  }

  cancelRebalance(groupId: string, memberId: string): void {
    this.#timers.cancel(keyOf("rebalance", groupId, memberId));
  }

  /** The classic member was told to join again, and has that long since it was told for the first time. */
  joinOnce(groupId: string, member: ConsumerMember): void {
    if (this.#timers.has(keyOf("join", groupId, member.memberId))) return;
    this.#set(
      "join",
      groupId,
      member.memberId,
      member.rebalanceTimeoutMs,
      "it did not join in time",
    );
  }

  cancelJoin(groupId: string, memberId: string): void {
    this.#timers.cancel(keyOf("join", groupId, memberId));
  }

  sync(groupId: string, memberId: string, timeoutMs: number): void {
    this.#set("sync", groupId, memberId, timeoutMs, "it did not sync in time");
  }

  cancelSync(groupId: string, memberId: string): void {
    this.#timers.cancel(keyOf("sync", groupId, memberId));
  }

  cancelAll(groupId: string, memberId: string): void {
    for (const kind of ["session", "rebalance", "join", "sync"] as const) {
      this.#timers.cancel(keyOf(kind, groupId, memberId));
    }
  }

  #set(
    kind: Kind,
    groupId: string,
    memberId: string,
    timeoutMs: number,
    reason: string,
    stillHolds: (member: ConsumerMember) => boolean = () => true,
  ): void {
    this.#timers.set(keyOf(kind, groupId, memberId), timeoutMs, (now) => {
      const group = this.#groups.get(groupId);
      const member = group instanceof ConsumerGroup ? group.members.get(memberId) : undefined;
      if (member === undefined || !stillHolds(member)) return NO_DECISION;
      return this.#fence(group as ConsumerGroup, member, reason, now);
    });
  }
}

/** Ids may hold anything: their length keeps them apart. */
function keyOf(kind: Kind, groupId: string, memberId: string): string {
  return `consumer ${kind} ${groupId.length} ${groupId} ${memberId}`;
}
