// Kafka's quorum-state file. Kafka: FileQuorumStateStore.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, int32, int64, message, string, uuid } from "../schema.ts";

// v1: adds votedDirectoryId; drops clusterId, appliedOffset, currentVoters.
export const QuorumStateData = message({
  name: "QuorumStateData",
  versions: "0-1",
  flexible: "0+",
  fields: {
    clusterId: string({ versions: "0" }),
    leaderId: int32({ default: -1 }),
    leaderEpoch: int32({ default: -1 }),
    votedId: int32({ default: -1 }),
    votedDirectoryId: uuid({ versions: "1+" }),
    appliedOffset: int64({ versions: "0" }),
    currentVoters: array(
      {
        voterId: int32(),
      },
      { versions: "0", nullable: true },
    ),
  },
});
export type QuorumStateData = MessageOf<typeof QuorumStateData>;
export type QuorumStateDataInput = MessageInputOf<typeof QuorumStateData>;
