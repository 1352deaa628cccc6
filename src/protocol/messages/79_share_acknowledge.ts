// ShareAcknowledge, API key 79, versions 1–2.
//
// Serves: acknowledging acquired records: accept, release, reject, renew (KIP-932).
// Kafka: SharePartitionManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, int64, string, struct, uuid } from "../schema.ts";

// v2: adds isRenewAck (request); adds acquisitionLockTimeoutMs (response).
export const ShareAcknowledge = api({
  apiKey: 79,
  name: "ShareAcknowledge",
  versions: "1-2",
  flexible: "1+",
  request: {
    groupId: string({ nullable: true, default: null }),
    memberId: string({ nullable: true }),
    shareSessionEpoch: int32({ about: "0 opens a session, -1 ends it" }),
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
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    acquisitionLockTimeoutMs: int32({ versions: "2+", ignorable: true }),
    responses: array({
      topicId: uuid(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, default: null }),
        currentLeader: struct({
          leaderId: int32(),
          leaderEpoch: int32(),
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
export type ShareAcknowledgeRequest = RequestOf<typeof ShareAcknowledge>;
export type ShareAcknowledgeRequestInput = RequestInputOf<typeof ShareAcknowledge>;
export type ShareAcknowledgeResponse = ResponseOf<typeof ShareAcknowledge>;
export type ShareAcknowledgeResponseInput = ResponseInputOf<typeof ShareAcknowledge>;
