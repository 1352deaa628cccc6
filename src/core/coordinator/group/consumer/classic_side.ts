// What the consumer side asks of the classic one when a live group changes its protocol. ClassicGroup and ClassicGroups
// (in ../classic) offer these; migration.ts is the only one to use them.
//
// Upgrade (the first ConsumerGroupHeartbeat with epoch 0 to a classic group that has members): one decision writes the
// tombstone of the classic group, the records of the consumer group with all classic members in it, and what the
// heartbeat itself leads to. Before its records are replayed it calls `upgraded`. The tombstone's replay must forget the
// ClassicGroup; a tombstone for a group that is a consumer group must be ignored by the classic side.
// Downgrade (the last member of the consumer protocol is gone): one decision writes the tombstones of the consumer group
// and a classic_group record of a stable group, whose replay makes the ClassicGroup. A timer that is due at once then
// calls `downgraded`, in a decision of its own.

import type { GroupMetadataValue } from "../../../../protocol/internal_records/classic_group.ts";
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
   * The group becomes a consumer group: everybody who waits for a join or a sync is refused with rebalance_in_progress,
   * and its timers are cancelled.
   */
  upgraded(groupId: string): readonly Answer[];
  /** The group has just become a classic one: sessions start, and a rebalance does where there is a reason for one. */
  downgraded(groupId: string, rebalanceReason: string | null, now: Now): Decision<GroupRecord>;
}

/** A classic group that its own record is about to make. */
export type ClassicGroupValue = GroupMetadataValue;
