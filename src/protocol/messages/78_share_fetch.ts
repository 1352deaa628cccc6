// ShareFetch, API key 78, versions 1–2.
//
// Serves: acquiring records of share partitions, with acknowledgements on the way (KIP-932).
// Kafka: SharePartitionManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import {
  api,
  array,
  bool,
  int8,
  int16,
  int32,
  int64,
  records,
  string,
  struct,
  uuid,
} from "../schema.ts";

// v2: adds shareAcquireMode, isRenewAck (request).
export const ShareFetch = api({
  apiKey: 78,
  name: "ShareFetch",
  versions: "1-2",
  flexible: "1+",
  request: {
    groupId: string({ nullable: true, default: null }),
    memberId: string({ nullable: true }),
    shareSessionEpoch: int32({ about: "0 opens a session, -1 ends it" }),
    maxWaitMs: int32({ about: "how long to wait for minBytes" }),
    minBytes: int32(),
    maxBytes: int32({
      default: 2147483647,
      about: "of the whole answer; the first batch comes even when it is larger",
    }),
    maxRecords: int32(),
    batchSize: int32(),
    shareAcquireMode: int8({ versions: "2+", ignorable: true }),
    isRenewAck: bool({ versions: "2+" }),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partitionIndex: int32(),
        acknowledgementBatches: array({
          firstOffset: int64(),
          lastOffset: int64(),
          acknowledgeTypes: array(int8(), {
            about: "0 gap, 1 accept, 2 release, 3 reject, 4 renew",
          }),
        }),
      }),
    }),
    forgottenTopicsData: array({
      topicId: uuid(),
      partitions: array(int32()),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    acquisitionLockTimeoutMs: int32(),
    responses: array({
      topicId: uuid(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, default: null }),
        acknowledgeErrorCode: int16(),
        acknowledgeErrorMessage: string({ nullable: true, default: null }),
        currentLeader: struct({
          leaderId: int32(),
          leaderEpoch: int32(),
        }),
        records: records(),
        acquiredRecords: array({
          firstOffset: int64(),
          lastOffset: int64(),
          deliveryCount: int16(),
        }),
      }),
    }),
    nodeEndpoints: array({
      nodeId: int32(),
      host: string(),
      port: int32(),
      rack: string({ nullable: true, default: null }),
    }),
  },
});
export type ShareFetchRequest = RequestOf<typeof ShareFetch>;
export type ShareFetchRequestInput = RequestInputOf<typeof ShareFetch>;
export type ShareFetchResponse = ResponseOf<typeof ShareFetch>;
export type ShareFetchResponseInput = ResponseInputOf<typeof ShareFetch>;
