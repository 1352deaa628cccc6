// RemoveRaftVoter, API key 81, version 0.
//
// Serves: removing a voter from the metadata quorum (KIP-853).
// Kafka: KafkaRaftClient.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, int16, int32, string, uuid } from "../schema.ts";

export const RemoveRaftVoter = api({
  apiKey: 81,
  name: "RemoveRaftVoter",
  versions: "0",
  flexible: "0+",
  request: {
    clusterId: string({ nullable: true }),
    voterId: int32(),
    voterDirectoryId: uuid(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, ignorable: true }),
  },
});
export type RemoveRaftVoterRequest = RequestOf<typeof RemoveRaftVoter>;
export type RemoveRaftVoterRequestInput = RequestInputOf<typeof RemoveRaftVoter>;
export type RemoveRaftVoterResponse = ResponseOf<typeof RemoveRaftVoter>;
export type RemoveRaftVoterResponseInput = ResponseInputOf<typeof RemoveRaftVoter>;
