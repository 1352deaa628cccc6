// EndQuorumEpoch, API key 54, versions 0–1.
//
// Serves: a quorum leader resigning (KIP-595). Between controllers.
// Kafka: KafkaRaftClient.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, uint16, uuid } from "../schema.ts";

// v1: adds partitions.preferredCandidates, leaderEndpoints (request); drops
//   partitions.preferredSuccessors (request); adds nodeEndpoints (response); flexible.
export const EndQuorumEpoch = api({
  apiKey: 54,
  name: "EndQuorumEpoch",
  versions: "0-1",
  flexible: "1+",
  request: {
    clusterId: string({ nullable: true, default: null }),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32(),
        preferredSuccessors: array(int32(), { versions: "0", ignorable: true }),
        preferredCandidates: array(
          {
            candidateId: int32(),
            candidateDirectoryId: uuid(),
          },
          { versions: "1+", ignorable: true },
        ),
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
export type EndQuorumEpochRequest = RequestOf<typeof EndQuorumEpoch>;
export type EndQuorumEpochRequestInput = RequestInputOf<typeof EndQuorumEpoch>;
export type EndQuorumEpochResponse = ResponseOf<typeof EndQuorumEpoch>;
export type EndQuorumEpochResponseInput = ResponseInputOf<typeof EndQuorumEpoch>;
