// UpdateRaftVoter, API key 82, version 0.
//
// Serves: a voter changing its endpoints and versions (KIP-853).
// Kafka: KafkaRaftClient.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, struct, uint16, uuid } from "../schema.ts";

export const UpdateRaftVoter = api({
  apiKey: 82,
  name: "UpdateRaftVoter",
  versions: "0",
  flexible: "0+",
  request: {
    clusterId: string({ nullable: true }),
    currentLeaderEpoch: int32({ about: "-1 when unknown; a stale one is fenced" }),
    voterId: int32(),
    voterDirectoryId: uuid(),
    listeners: array({
      name: string(),
      host: string(),
      port: uint16(),
    }),
    kRaftVersionFeature: struct({
      minSupportedVersion: int16(),
      maxSupportedVersion: int16(),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    currentLeader: struct(
      {
        leaderId: int32({ default: -1 }),
        leaderEpoch: int32({ default: -1 }),
        host: string(),
        port: int32(),
      },
      { tag: 0 },
    ),
  },
});
export type UpdateRaftVoterRequest = RequestOf<typeof UpdateRaftVoter>;
export type UpdateRaftVoterRequestInput = RequestInputOf<typeof UpdateRaftVoter>;
export type UpdateRaftVoterResponse = ResponseOf<typeof UpdateRaftVoter>;
export type UpdateRaftVoterResponseInput = ResponseInputOf<typeof UpdateRaftVoter>;
