// The records of groups in __consumer_offsets, as Kafka stores them: one kind for each pair of key and value.
// Kafka: GroupCoordinatorRecordHelpers.

import type {
  GroupMetadataKey,
  GroupMetadataValue,
} from "../../../protocol/internal_records/classic_group.ts";
import type {
  ConsumerGroupCurrentMemberAssignmentKey,
  ConsumerGroupCurrentMemberAssignmentValue,
  ConsumerGroupMemberMetadataKey,
  ConsumerGroupMemberMetadataValue,
  ConsumerGroupMetadataKey,
  ConsumerGroupMetadataValue,
  ConsumerGroupPartitionMetadataKey,
  ConsumerGroupPartitionMetadataValue,
  ConsumerGroupRegularExpressionKey,
  ConsumerGroupRegularExpressionValue,
  ConsumerGroupTargetAssignmentMemberKey,
  ConsumerGroupTargetAssignmentMemberValue,
  ConsumerGroupTargetAssignmentMetadataKey,
  ConsumerGroupTargetAssignmentMetadataValue,
} from "../../../protocol/internal_records/consumer_group.ts";
import type {
  OffsetCommitKey,
  OffsetCommitValue,
} from "../../../protocol/internal_records/offset_commit.ts";

interface Of<Kind extends string, Key, Value> {
  readonly kind: Kind;
  readonly key: Key;
  /** Null: a tombstone. */
  readonly value: Value | null;
}

/** A key of type 0 or 1 is read as `offset_commit`; written is 1. */
export type OffsetCommitRecord = Of<"offset_commit", OffsetCommitKey, OffsetCommitValue>;
export type ClassicGroupRecord = Of<"classic_group", GroupMetadataKey, GroupMetadataValue>;
export type ConsumerGroupRecord =
  | Of<"consumer_group", ConsumerGroupMetadataKey, ConsumerGroupMetadataValue>
  | Of<
      "consumer_group_partitions",
      ConsumerGroupPartitionMetadataKey,
      ConsumerGroupPartitionMetadataValue
    >
  | Of<"consumer_member", ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue>
  | Of<
      "consumer_target",
      ConsumerGroupTargetAssignmentMetadataKey,
      ConsumerGroupTargetAssignmentMetadataValue
    >
  | Of<
      "consumer_member_target",
      ConsumerGroupTargetAssignmentMemberKey,
      ConsumerGroupTargetAssignmentMemberValue
    >
  | Of<
      "consumer_member_current",
      ConsumerGroupCurrentMemberAssignmentKey,
      ConsumerGroupCurrentMemberAssignmentValue
    >
  | Of<"consumer_regex", ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue>;

export type GroupRecord = OffsetCommitRecord | ClassicGroupRecord | ConsumerGroupRecord;
