// What the rest of the coordinator asks of a group, whatever protocol its members speak.
// Kafka: Group, ClassicGroup, ConsumerGroup.

import type { KafkaErrorName } from "../../../protocol/errors.ts";
import type { Now } from "../runtime/shard.ts";
import type { GroupRecord } from "./group_record.ts";

/** Who calls, and of which version: one object a request. */
export interface GroupCall {
  readonly now: Now;
  readonly version: number;
  readonly clientId: string;
  /** As Kafka shows it: "/127.0.0.1". */
  readonly clientHost: string;
}

/** Who commits or fetches offsets, as the request says. */
export interface OffsetCaller {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** Generation of a classic group, member epoch of a consumer group; -1 outside of both. */
  readonly generationOrEpoch: number;
  /** TxnOffsetCommit. */
  readonly isTransactional: boolean;
  readonly version: number;
}

export interface Group {
  readonly groupId: string;
  readonly type: "classic" | "consumer";
  /** As Kafka spells it: "Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling". */
  readonly stateName: string;
  /** "consumer", or what connectors and others call theirs; "" for a simple group. */
  readonly protocolType: string;
  readonly isEmpty: boolean;
  readonly memberCount: number;
  /** Why the caller may not commit; null when it may. Refreshes the session of a classic member that may. */
  checkOffsetCommit(caller: OffsetCaller, now: Now): KafkaErrorName | null;
  /**
   * Why a caller whom checkOffsetCommit let in may not commit this partition; null when it may. The whole request fails
   * with it. A member of a consumer group that is behind may commit what it has had since the epoch that it names
   * (KIP-1251). Absent: no group but that one tells partitions apart.
   */
  checkPartitionCommit?(
    caller: OffsetCaller,
    topicId: string,
    partition: number,
  ): KafkaErrorName | null;
  /** Why the caller may not fetch offsets; null when it may. A null member id or a negative epoch is not checked. */
  checkOffsetFetch(memberId: string | null, memberEpoch: number): KafkaErrorName | null;
  /** Why offsets may not be deleted at all; null when they may (of topics that isSubscribedTo denies). */
  checkOffsetDelete(): KafkaErrorName | null;
  /** Why the group may not be deleted; null when it may. */
  checkDelete(): KafkaErrorName | null;
  /** Whether a member reads the topic, as far as the coordinator knows. Its offsets are kept then. */
  isSubscribedTo(topic: string): boolean;
  /**
   * When offsets begin to age: the wall time since which the group is empty, each offset's own commit time ("commit") for
   * simple groups and topics nobody reads any more, or null while nothing may expire. Kafka: OffsetExpirationCondition.
   */
  offsetsAgeFrom(topic: string): number | "commit" | null;
  /** Tombstones for all that the group has in the log, offsets apart. */
  tombstones(): readonly GroupRecord[];
}
