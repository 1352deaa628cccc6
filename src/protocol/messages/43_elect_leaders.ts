// ElectLeaders, API key 43, versions 0–2.
//
// Serves: asking for leader elections: preferred (0) or unclean (1) (KIP-183, KIP-460).
// Kafka: ReplicationControlManager.electLeaders.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

// v1: adds electionType (request); adds errorCode (response).
// v2: flexible.
export const ElectLeaders = api({
  apiKey: 43,
  name: "ElectLeaders",
  versions: "0-2",
  flexible: "2+",
  request: {
    electionType: int8({ versions: "1+", about: "0 preferred, 1 unclean" }),
    topicPartitions: array(
      {
        topic: string(),
        partitions: array(int32()),
      },
      { nullable: true },
    ),
    timeoutMs: int32({ default: 60000 }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16({ versions: "1+" }),
    replicaElectionResults: array({
      topic: string(),
      partitionResult: array({
        partitionId: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
      }),
    }),
  },
});
export type ElectLeadersRequest = RequestOf<typeof ElectLeaders>;
export type ElectLeadersRequestInput = RequestInputOf<typeof ElectLeaders>;
export type ElectLeadersResponse = ResponseOf<typeof ElectLeaders>;
export type ElectLeadersResponseInput = ResponseInputOf<typeof ElectLeaders>;
