// BeginQuorumEpoch, API key 53, versions 0–1.
//
// Serves: a new quorum leader making itself known (KIP-595). Between controllers.
// Kafka: KafkaRaftClient.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, uint16, uuid } from "../schema.ts";

// v1: adds voterId, partitions.voterDirectoryId, leaderEndpoints (request); adds nodeEndpoints
//   (response); flexible.
export const BeginQuorumEpoch = api({
  apiKey: 53,
  name: "BeginQuorumEpoch",
  versions: "0-1",
  flexible: "1+",
  request: {
    clusterId: string({ nullable: true, default: null }),
    voterId: int32({ versions: "1+", default: -1, ignorable: true }),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        voterDirectoryId: uuid({ versions: "1+", ignorable: true }),
        leaderId: int32(),
        leaderEpoch: int32(),
      }),
    }),
    leaderEndpoints: array(
      {
        name: string(),
        host: string(),
        port: uint16(),
      },
      { versions: "1+", ignorable: true },
    ),
  },
  response: {
    errorCode: int16(),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        leaderId: int32(),
        leaderEpoch: int32(),
      }),
    }),
    nodeEndpoints: array(
      {
        nodeId: int32(),
        host: string(),
        port: uint16(),
      },
      { versions: "1+", tag: 0 },
    ),
  },
});
export type BeginQuorumEpochRequest = RequestOf<typeof BeginQuorumEpoch>;
export type BeginQuorumEpochRequestInput = RequestInputOf<typeof BeginQuorumEpoch>;
export type BeginQuorumEpochResponse = ResponseOf<typeof BeginQuorumEpoch>;
export type BeginQuorumEpochResponseInput = ResponseInputOf<typeof BeginQuorumEpoch>;
