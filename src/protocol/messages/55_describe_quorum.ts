// DescribeQuorum, API key 55, versions 0–2.
//
// Serves: the state of the metadata quorum (KIP-595, KIP-836).
// Kafka: KafkaRaftClient.handleDescribeQuorumRequest.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string, uint16, uuid } from "../schema.ts";

// v1: adds currentVoters.lastFetchTimestamp, currentVoters.lastCaughtUpTimestamp,
//   observers.lastFetchTimestamp, observers.lastCaughtUpTimestamp (response).
// v2: adds errorMessage, partitions.errorMessage, currentVoters.replicaDirectoryId,
//   observers.replicaDirectoryId, nodes (response).
export const DescribeQuorum = api({
  apiKey: 55,
  name: "DescribeQuorum",
  versions: "0-2",
  flexible: "0+",
  request: {
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
      }),
    }),
  },
  response: {
    errorCode: int16(),
    errorMessage: string({ versions: "2+", nullable: true, ignorable: true }),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ versions: "2+", nullable: true, ignorable: true }),
        leaderId: int32(),
        leaderEpoch: int32(),
        highWatermark: int64({ about: "end of what the in-sync replicas have, exclusive" }),
        currentVoters: array({
          replicaId: int32(),
          replicaDirectoryId: uuid({ versions: "2+" }),
          logEndOffset: int64(),
          lastFetchTimestamp: int64({ versions: "1+", default: -1, ignorable: true }),
          lastCaughtUpTimestamp: int64({ versions: "1+", default: -1, ignorable: true }),
        }),
        observers: array({
          replicaId: int32(),
          replicaDirectoryId: uuid({ versions: "2+" }),
          logEndOffset: int64(),
          lastFetchTimestamp: int64({ versions: "1+", default: -1, ignorable: true }),
          lastCaughtUpTimestamp: int64({ versions: "1+", default: -1, ignorable: true }),
        }),
      }),
    }),
    nodes: array(
      {
        nodeId: int32(),
        listeners: array({
          name: string(),
          host: string(),
          port: uint16(),
        }),
      },
      { versions: "2+" },
    ),
  },
});
export type DescribeQuorumRequest = RequestOf<typeof DescribeQuorum>;
export type DescribeQuorumRequestInput = RequestInputOf<typeof DescribeQuorum>;
export type DescribeQuorumResponse = ResponseOf<typeof DescribeQuorum>;
export type DescribeQuorumResponseInput = ResponseInputOf<typeof DescribeQuorum>;
