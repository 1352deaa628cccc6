// Vote, API key 52, versions 0–2.
//
// Serves: voting for a leader of the metadata quorum (KIP-595). Between controllers; we do not
// speak it.
// Kafka: KafkaRaftClient.handleVoteRequest.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string, uint16, uuid } from "../schema.ts";

// v1: adds voterId, partitions.replicaDirectoryId, partitions.voterDirectoryId (request); adds
//   nodeEndpoints (response).
// v2: adds partitions.preVote (request).
export const Vote = api({
  apiKey: 52,
  name: "Vote",
  versions: "0-2",
  flexible: "0+",
  request: {
    clusterId: string({ nullable: true, default: null }),
    voterId: int32({ versions: "1+", default: -1, ignorable: true }),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        replicaEpoch: int32(),
        replicaId: int32(),
        replicaDirectoryId: uuid({ versions: "1+", ignorable: true }),
        voterDirectoryId: uuid({ versions: "1+", ignorable: true }),
        lastOffsetEpoch: int32(),
        lastOffset: int64(),
        preVote: bool({ versions: "2+" }),
      }),
    }),
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
        voteGranted: bool(),
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
export type VoteRequest = RequestOf<typeof Vote>;
export type VoteRequestInput = RequestInputOf<typeof Vote>;
export type VoteResponse = ResponseOf<typeof Vote>;
export type VoteResponseInput = ResponseInputOf<typeof Vote>;
