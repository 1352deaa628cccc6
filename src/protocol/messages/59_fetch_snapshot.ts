// FetchSnapshot, API key 59, versions 0–1.
//
// Serves: a snapshot of the metadata log, piece by piece (KIP-630).
// Kafka: KafkaRaftClient.handleFetchSnapshotRequest.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import {
  api,
  array,
  int16,
  int32,
  int64,
  records,
  string,
  struct,
  uint16,
  uuid,
} from "../schema.ts";

// v1: adds partitions.replicaDirectoryId (request); adds nodeEndpoints (response).
export const FetchSnapshot = api({
  apiKey: 59,
  name: "FetchSnapshot",
  versions: "0-1",
  flexible: "0+",
  request: {
    clusterId: string({ nullable: true, tag: 0, default: null }),
    replicaId: int32({ default: -1 }),
    maxBytes: int32({
      default: 2147483647,
      about: "of the whole answer; the first batch comes even when it is larger",
    }),
    topics: array({
      name: string(),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32({ about: "-1 when unknown; a stale one is fenced" }),
        snapshotId: struct({
          endOffset: int64(),
          epoch: int32(),
        }),
        position: int64(),
        replicaDirectoryId: uuid({ versions: "1+", tag: 0, ignorable: true }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
    topics: array({
      name: string(),
      partitions: array({
        index: int32(),
        errorCode: int16(),
        snapshotId: struct({
          endOffset: int64(),
          epoch: int32(),
        }),
        currentLeader: struct(
          {
            leaderId: int32(),
            leaderEpoch: int32(),
          },
          { tag: 0 },
        ),
        size: int64(),
        position: int64(),
        unalignedRecords: records(),
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
export type FetchSnapshotRequest = RequestOf<typeof FetchSnapshot>;
export type FetchSnapshotRequestInput = RequestInputOf<typeof FetchSnapshot>;
export type FetchSnapshotResponse = ResponseOf<typeof FetchSnapshot>;
export type FetchSnapshotResponseInput = ResponseInputOf<typeof FetchSnapshot>;
