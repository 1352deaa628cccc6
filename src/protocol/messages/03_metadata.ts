// Metadata, API key 3, versions 0–13.
//
// Serves: brokers, topics and who leads what; creates topics where allowed. v0: no topics means
// all; v1+: null does.
// Kafka: KafkaApis.handleTopicMetadataRequest, KRaftMetadataCache.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string, uuid } from "../schema.ts";

// v1: allows null in topics (request); adds brokers.rack, controllerId, topics.isInternal
//   (response).
// v2: adds clusterId (response).
// v3: adds throttleTimeMs (response).
// v4: adds allowAutoTopicCreation (request).
// v5: adds partitions.offlineReplicas (response).
// v7: adds partitions.leaderEpoch (response).
// v8: adds includeClusterAuthorizedOperations, includeTopicAuthorizedOperations (request); adds
//   topics.topicAuthorizedOperations, clusterAuthorizedOperations (response).
// v9: flexible.
// v10: adds topics.topicId (request); allows null in topics.name (request); adds topics.topicId
//   (response).
// v11: drops includeClusterAuthorizedOperations (request); drops clusterAuthorizedOperations
//   (response).
// v12: allows null in topics.name (response).
// v13: adds errorCode (response).
// Unchanged on the wire: v6.
export const Metadata = api({
  apiKey: 3,
  name: "Metadata",
  versions: "0-13",
  flexible: "9+",
  request: {
    topics: array(
      {
        topicId: uuid({ versions: "10+", ignorable: true }),
        name: string({ nullable: "10+" }),
      },
      { nullable: "1+" },
    ),
    allowAutoTopicCreation: bool({ versions: "4+", default: true }),
    includeClusterAuthorizedOperations: bool({ versions: "8-10" }),
    includeTopicAuthorizedOperations: bool({ versions: "8+" }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "3+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    brokers: array({
      nodeId: int32(),
      host: string(),
      port: int32(),
      rack: string({ versions: "1+", nullable: true, default: null, ignorable: true }),
    }),
    clusterId: string({ versions: "2+", nullable: true, default: null, ignorable: true }),
    controllerId: int32({ versions: "1+", default: -1, ignorable: true }),
    topics: array({
      errorCode: int16(),
      name: string({ nullable: "12+" }),
      topicId: uuid({ versions: "10+", ignorable: true }),
      isInternal: bool({ versions: "1+", ignorable: true }),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32({ versions: "7+", default: -1, ignorable: true }),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        offlineReplicas: array(int32(), { versions: "5+", ignorable: true }),
      }),
      topicAuthorizedOperations: int32({
        versions: "8+",
        default: -2147483648,
        about: "bit field of allowed ACL operations; -2147483648 when not asked for",
      }),
    }),
    clusterAuthorizedOperations: int32({
      versions: "8-10",
      default: -2147483648,
      about: "bit field of allowed ACL operations; -2147483648 when not asked for",
    }),
    errorCode: int16({ versions: "13+", ignorable: true }),
  },
});
export type MetadataRequest = RequestOf<typeof Metadata>;
export type MetadataRequestInput = RequestInputOf<typeof Metadata>;
export type MetadataResponse = ResponseOf<typeof Metadata>;
export type MetadataResponseInput = ResponseInputOf<typeof Metadata>;
