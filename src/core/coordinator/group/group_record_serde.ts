// Group records as bytes and back, in the versions that a broker of Kafka 4.3 writes.
// Invariant: what was encoded decodes to the same record; what Kafka wrote is read whatever its version.
// Record types that we do not know (share and streams groups) are skipped, a version that we do not know is damage:
// skipping it would lose offsets in silence. Kafka: GroupCoordinatorRecordSerde, GroupCoordinatorRecordHelpers.

import {
  GroupMetadataKey,
  GroupMetadataValue,
} from "../../../protocol/internal_records/classic_group.ts";
import {
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
import {
  LegacyOffsetCommitKey,
  OffsetCommitKey,
  OffsetCommitValue,
} from "../../../protocol/internal_records/offset_commit.ts";
import type { Message } from "../../../protocol/schema.ts";
import {
  decodeStoredKey,
  decodeStoredValue,
  encodeStoredKey,
  encodeStoredValue,
  storedRecordType,
} from "../../../protocol/stored.ts";
import type { RecordSerde } from "../runtime/shard.ts";
import type { GroupRecord } from "./group_record.ts";
import { readOffsetCommit } from "./offset_record_reader.ts";

type Kind = GroupRecord["kind"];

interface Form {
  readonly kind: Kind;
  readonly key: Message;
  readonly value: Message;
  /** Version that values are written in. */
  readonly version: number;
}

/** Kafka writes the highest version without flexible fields of a classic group, for the sake of older readers. */
const CLASSIC_GROUP_VERSION = 3;
const OFFSET_COMMIT_VERSION = 4;
/** The only version that carries when an offset expires: asked for by OffsetCommit v2 to v4 alone. */
const EXPIRING_OFFSET_COMMIT_VERSION = 1;

const FORMS: readonly Form[] = [
  {
    kind: "offset_commit",
    key: OffsetCommitKey,
    value: OffsetCommitValue,
    version: OFFSET_COMMIT_VERSION,
  },
  {
    kind: "classic_group",
    key: GroupMetadataKey,
    value: GroupMetadataValue,
    version: CLASSIC_GROUP_VERSION,
  },
  {
    kind: "consumer_group",
    key: ConsumerGroupMetadataKey,
    value: ConsumerGroupMetadataValue,
    version: 0,
  },
  {
    kind: "consumer_group_partitions",
    key: ConsumerGroupPartitionMetadataKey,
    value: ConsumerGroupPartitionMetadataValue,
    version: 0,
  },
  {
    kind: "consumer_member",
    key: ConsumerGroupMemberMetadataKey,
    value: ConsumerGroupMemberMetadataValue,
    version: 0,
  },
  {
    kind: "consumer_target",
    key: ConsumerGroupTargetAssignmentMetadataKey,
    value: ConsumerGroupTargetAssignmentMetadataValue,
    version: 0,
  },
  {
    kind: "consumer_member_target",
    key: ConsumerGroupTargetAssignmentMemberKey,
    value: ConsumerGroupTargetAssignmentMemberValue,
    version: 0,
  },
  {
    kind: "consumer_member_current",
    key: ConsumerGroupCurrentMemberAssignmentKey,
    value: ConsumerGroupCurrentMemberAssignmentValue,
    version: 0,
  },
  {
    kind: "consumer_regex",
    key: ConsumerGroupRegularExpressionKey,
    value: ConsumerGroupRegularExpressionValue,
    version: 0,
  },
];

const byKind = {} as Record<Kind, Form>;
const byRecordType = new Map<number, Form>();
for (const form of FORMS) {
  byKind[form.kind] = form;
  byRecordType.set(form.key.recordType!, form);
}
// The key of old brokers; its values have the versions of the newer one's.
byRecordType.set(LegacyOffsetCommitKey.recordType!, {
  ...byKind.offset_commit,
  key: LegacyOffsetCommitKey,
});

/** Records of __consumer_offsets. */
export const groupRecordSerde: RecordSerde<GroupRecord> = {
  encode(record) {
    const { key, value, version } = byKind[record.kind];
    return {
      key: encodeStoredKey(key, record.key as never),
      value:
        record.value === null
          ? null
          : encodeStoredValue(value, versionOf(record, version), record.value as never),
    };
  },

  decode(key, value) {
    const offset = value === null ? null : readOffsetCommit(key, value);
    if (offset !== null) return offset;
    const form = byRecordType.get(storedRecordType(key));
    if (form === undefined) return null;
    return {
      kind: form.kind,
      key: decodeStoredKey(form.key, key),
      // Decoded bytes are views, and what is read from the log is lent: state must own what it keeps.
      value: value === null ? null : decodeStoredValue(form.value, value.slice()),
    } as unknown as GroupRecord;
  },
};

function versionOf(record: GroupRecord, usual: number): number {
  if (record.kind !== "offset_commit" || record.value === null) return usual;
  return record.value.expireTimestamp === -1 ? usual : EXPIRING_OFFSET_COMMIT_VERSION;
}
