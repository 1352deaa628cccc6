// Fetch, API key 1, versions 4–18.
//
// Serves: reading record batches, for consumers and followers; sessions (KIP-227), topic ids from
// v13.
// Limits: a replica id other than -1 needs cluster_action.
// Kafka: KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages, FetchSession.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, int64, records, string, struct, uuid } from "../schema.ts";

// v5: adds partitions.logStartOffset (request); adds partitions.logStartOffset (response).
// v7: adds sessionId, sessionEpoch, forgottenTopicsData (request); adds errorCode, sessionId
//   (response).
// v9: adds partitions.currentLeaderEpoch (request).
// v11: adds rackId (request); adds partitions.preferredReadReplica (response).
// v12: adds clusterId, partitions.lastFetchedEpoch (request); adds partitions.divergingEpoch,
//   partitions.currentLeader, partitions.snapshotId (response); flexible.
// v13: adds topics.topicId, forgottenTopicsData.topicId (request); drops topics.topic,
//   forgottenTopicsData.topic (request); adds responses.topicId (response); drops responses.topic
//   (response).
// v15: adds replicaState (request); drops replicaId (request).
// v16: adds nodeEndpoints (response).
// v17: adds partitions.replicaDirectoryId (request).
// v18: adds partitions.highWatermark (request).
// Unchanged on the wire: v6, v8, v10, v14.
export const Fetch = api({
  apiKey: 1,
  name: "Fetch",
  versions: "4-18",
  flexible: "12+",
  request: {
    clusterId: string({ versions: "12+", nullable: true, tag: 0, default: null, ignorable: true }),
    replicaId: int32({ versions: "4-14", default: -1, about: "-1 for consumers" }),
    replicaState: struct(
      {
        replicaId: int32({ default: -1, about: "-1 for consumers" }),
        replicaEpoch: int64({ default: -1 }),
      },
      { versions: "15+", tag: 1 },
    ),
    maxWaitMs: int32({ about: "how long to wait for minBytes" }),
    minBytes: int32(),
    maxBytes: int32({
      default: 2147483647,
      ignorable: true,
      about: "of the whole answer; the first batch comes even when it is larger",
    }),
    isolationLevel: int8({ ignorable: true, about: "0 read uncommitted, 1 read committed" }),
    sessionId: int32({ versions: "7+", ignorable: true }),
    sessionEpoch: int32({
      versions: "7+",
      default: -1,
      ignorable: true,
      about: "0 opens a session, -1 is a full fetch that ends it",
    }),
    topics: array({
      topic: string({ versions: "4-12", ignorable: true }),
      topicId: uuid({ versions: "13+", ignorable: true }),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32({
          versions: "9+",
          default: -1,
          ignorable: true,
          about: "-1 when unknown; a stale one is fenced",
        }),
        fetchOffset: int64(),
        lastFetchedEpoch: int32({
          versions: "12+",
          default: -1,
          about: "epoch of the last record fetched; the leader compares it to find divergence",
        }),
        logStartOffset: int64({ versions: "5+", default: -1, ignorable: true }),
        partitionMaxBytes: int32({
          about: "of this partition; its first batch comes even when it is larger",
        }),
        replicaDirectoryId: uuid({ versions: "17+", tag: 0, ignorable: true }),
        highWatermark: int64({
          versions: "18+",
          tag: 1,
          default: 9223372036854775807n,
          ignorable: true,
          about: "end of what the in-sync replicas have, exclusive",
        }),
      }),
    }),
    forgottenTopicsData: array(
      {
        topic: string({ versions: "7-12", ignorable: true }),
        topicId: uuid({ versions: "13+", ignorable: true }),
        partitions: array(int32()),
      },
      { versions: "7+" },
    ),
    rackId: string({ versions: "11+", ignorable: true }),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16({ versions: "7+", ignorable: true }),
    sessionId: int32({ versions: "7+" }),
    responses: array({
      topic: string({ versions: "4-12", ignorable: true }),
      topicId: uuid({ versions: "13+", ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        highWatermark: int64({ about: "end of what the in-sync replicas have, exclusive" }),
        lastStableOffset: int64({
          default: -1,
          ignorable: true,
          about: "end of what no open transaction precedes, exclusive",
        }),
        logStartOffset: int64({ versions: "5+", default: -1, ignorable: true }),
        divergingEpoch: struct(
          {
            epoch: int32({ default: -1 }),
            endOffset: int64({ default: -1 }),
          },
          { versions: "12+", tag: 0 },
        ),
        currentLeader: struct(
          {
            leaderId: int32({ default: -1 }),
            leaderEpoch: int32({ default: -1 }),
          },
          { versions: "12+", tag: 1 },
        ),
        snapshotId: struct(
          {
            endOffset: int64({ default: -1 }),
            epoch: int32({ default: -1 }),
          },
          { versions: "12+", tag: 2 },
        ),
        abortedTransactions: array(
          {
            producerId: int64(),
            firstOffset: int64(),
          },
          { nullable: true, ignorable: true },
        ),
        preferredReadReplica: int32({
          versions: "11+",
          default: -1,
          about: "a nearer replica to read from (KIP-392), or -1",
        }),
        records: records({ nullable: true }),
      }),
    }),
    nodeEndpoints: array(
      {
        nodeId: int32(),
        host: string(),
        port: int32(),
        rack: string({ nullable: true, default: null }),
      },
      { versions: "16+", tag: 0 },
    ),
  },
});
export type FetchRequest = RequestOf<typeof Fetch>;
export type FetchRequestInput = RequestInputOf<typeof Fetch>;
export type FetchResponse = ResponseOf<typeof Fetch>;
export type FetchResponseInput = ResponseInputOf<typeof Fetch>;
