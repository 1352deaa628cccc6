// A classic group with its members in __consumer_offsets. Kafka:
// GroupCoordinatorRecordHelpers.newGroupMetadataRecord.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, bytes, int32, int64, message, string } from "../schema.ts";

export const GroupMetadataKey = message({
  name: "GroupMetadataKey",
  versions: "0",
  recordType: 2,
  fields: {
    group: string(),
  },
});
export type GroupMetadataKey = MessageOf<typeof GroupMetadataKey>;
export type GroupMetadataKeyInput = MessageInputOf<typeof GroupMetadataKey>;

// v1: adds members.rebalanceTimeout.
// v2: adds currentStateTimestamp.
// v3: adds members.groupInstanceId.
// v4: flexible.
export const GroupMetadataValue = message({
  name: "GroupMetadataValue",
  versions: "0-4",
  flexible: "4+",
  recordType: 2,
  fields: {
    protocolType: string(),
    generation: int32(),
    protocol: string({ nullable: true }),
    leader: string({ nullable: true }),
    currentStateTimestamp: int64({ versions: "2+", default: -1, ignorable: true }),
    members: array({
      memberId: string(),
      groupInstanceId: string({
        versions: "3+",
        nullable: true,
        default: null,
        ignorable: true,
        about: "name of a static member (KIP-345); null for a dynamic one",
      }),
      clientId: string(),
      clientHost: string(),
      rebalanceTimeout: int32({ versions: "1+", default: -1, ignorable: true }),
      sessionTimeout: int32(),
      subscription: bytes(),
      assignment: bytes(),
    }),
  },
});
export type GroupMetadataValue = MessageOf<typeof GroupMetadataValue>;
export type GroupMetadataValueInput = MessageInputOf<typeof GroupMetadataValue>;
