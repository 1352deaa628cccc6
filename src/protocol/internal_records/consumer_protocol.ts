// What members of a classic consumer group tell each other, behind an int16 version, inside
// JoinGroup and SyncGroup. Kafka: ConsumerProtocol.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, bytes, int32, message, string } from "../schema.ts";

// v1: adds ownedPartitions.
// v2: adds generationId.
// v3: adds rackId.
export const ConsumerProtocolSubscription = message({
  name: "ConsumerProtocolSubscription",
  versions: "0-3",
  fields: {
    topics: array(string()),
    userData: bytes({ nullable: true, default: null }),
    ownedPartitions: array(
      {
        topic: string(),
        partitions: array(int32()),
      },
      { versions: "1+", ignorable: true },
    ),
    generationId: int32({ versions: "2+", default: -1, ignorable: true }),
    rackId: string({ versions: "3+", nullable: true, default: null, ignorable: true }),
  },
});
export type ConsumerProtocolSubscription = MessageOf<typeof ConsumerProtocolSubscription>;
export type ConsumerProtocolSubscriptionInput = MessageInputOf<typeof ConsumerProtocolSubscription>;

// Unchanged on the wire: v1, v2, v3.
export const ConsumerProtocolAssignment = message({
  name: "ConsumerProtocolAssignment",
  versions: "0-3",
  fields: {
    assignedPartitions: array({
      topic: string(),
      partitions: array(int32()),
    }),
    userData: bytes({ nullable: true, default: null }),
  },
});
export type ConsumerProtocolAssignment = MessageOf<typeof ConsumerProtocolAssignment>;
export type ConsumerProtocolAssignmentInput = MessageInputOf<typeof ConsumerProtocolAssignment>;
