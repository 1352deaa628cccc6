// AddRaftVoter, API key 80, versions 0–1.
//
// Serves: adding a voter to the metadata quorum (KIP-853).
// Kafka: KafkaRaftClient.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string, uint16, uuid } from "../schema.ts";

// v1: adds ackWhenCommitted (request).
export const AddRaftVoter = api({
  apiKey: 80,
  name: "AddRaftVoter",
  versions: "0-1",
  flexible: "0+",
  request: {
    clusterId: string({ nullable: true }),
    timeoutMs: int32(),
    voterId: int32(),
    voterDirectoryId: uuid(),
    listeners: array({
      name: string(),
      host: string(),
      port: uint16(),
    }),
    ackWhenCommitted: bool({ versions: "1+", default: true }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, ignorable: true }),
  },
});
export type AddRaftVoterRequest = RequestOf<typeof AddRaftVoter>;
export type AddRaftVoterRequestInput = RequestInputOf<typeof AddRaftVoter>;
export type AddRaftVoterResponse = ResponseOf<typeof AddRaftVoter>;
export type AddRaftVoterResponseInput = ResponseInputOf<typeof AddRaftVoter>;
