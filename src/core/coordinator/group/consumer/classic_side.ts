// What the consumer side asks of the classic one when a live group changes its protocol, there or back: ClassicGroup and
// ClassicGroups (in ../classic) offer it, migration.ts and heartbeats.ts use it.
// Invariant: the classic side forgets a group with its tombstone, and ignores a tombstone for a group that is not classic.

import type { Answer, Decision, Now } from "../../runtime/shard.ts";
import type { Group } from "../group.ts";
import type { GroupRecord } from "../group_record.ts";

/** A member of a classic group, as an upgrade takes it over. */
export interface ClassicMemberSeen {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** In the member's order of preference; one at least. */
  readonly protocols: readonly { readonly name: string; readonly metadata: Uint8Array }[];
  /** What the last sync gave it; empty before. */
  readonly assignment: Uint8Array;
}

/** A live classic group. Kafka: ConsumerGroup.fromClassicGroup. */
export interface ClassicGroupSeen extends Group {
  readonly type: "classic";
  readonly generation: number;
  /** What the members voted for; null before the first vote. */
  readonly protocolName: string | null;
  /** All that have joined, in no order that matters; those who only hold a member id do not count. */
  membersSeen(): Iterable<ClassicMemberSeen>;
}

export interface ClassicSide {
  /**
   * A heartbeat of the consumer protocol makes the group a consumer group, by a tombstone and records that are about to be
   * replayed: everybody who waits for a join or a sync is refused with rebalance_in_progress,
   * and its timers are cancelled.
   */
  upgraded(groupId: string): readonly Answer[];
  /**
   * The last member of the consumer protocol has gone, and the group's record has just made a classic group of it: sessions
   * start, and a rebalance does where there is a reason for one. Called by a timer that is due at once.
   */
  downgraded(groupId: string, rebalanceReason: string | null, now: Now): Decision<GroupRecord>;
}
