// Produce, API key 0, versions 3–13.
//
// Serves: appending record batches; names until v12, topic ids from v13 (KIP-516).
// Limits: v0–2 are listed in ApiVersions, as old librdkafka looks for them, and refused (decision
// 16).
// Kafka: KafkaApis.handleProduceRequest, ReplicaManager.appendRecords.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, records, string, struct, uuid } from "../schema.ts";

// v5: adds partitionResponses.logStartOffset (response).
// v8: adds partitionResponses.recordErrors, partitionResponses.errorMessage (response).
// v9: flexible.
// v10: adds partitionResponses.currentLeader, nodeEndpoints (response).
// v13: adds topicData.topicId (request); drops topicData.name (request); adds responses.topicId
//   (response); drops responses.name (response).
// Unchanged on the wire: v4, v6, v7, v11, v12.
export const Produce = api({
  apiKey: 0,
  name: "Produce",
  versions: "3-13",
  flexible: "9+",
  advertisedLowest: 0,
  request: {
    transactionalId: string({
      nullable: true,
      default: null,
      about: "null when the producer is not transactional",
    }),
    acks: int16({ about: "-1 all in-sync replicas, 0 none and no answer, 1 the leader" }),
    timeoutMs: int32({ about: "how long to wait for the in-sync replicas" }),
    topicData: array({
      name: string({ versions: "3-12", ignorable: true }),
      topicId: uuid({ versions: "13+", ignorable: true }),
      partitionData: array({
        index: int32(),
        records: records({ nullable: true }),
      }),
    }),
  },
  response: {
    responses: array({
      name: string({ versions: "3-12", ignorable: true }),
      topicId: uuid({ versions: "13+", ignorable: true }),
      partitionResponses: array({
        index: int32(),
        errorCode: int16(),
        baseOffset: int64(),
        logAppendTimeMs: int64({
          default: -1,
          ignorable: true,
          about: "-1 unless the topic stamps on append",
        }),
        logStartOffset: int64({ versions: "5+", default: -1, ignorable: true }),
        recordErrors: array(
          {
            batchIndex: int32({ about: "index of the bad record within its batch" }),
            batchIndexErrorMessage: string({ nullable: true, default: null }),
          },
          { versions: "8+", ignorable: true },
        ),
        errorMessage: string({ versions: "8+", nullable: true, default: null, ignorable: true }),
        currentLeader: struct(
          {
            leaderId: int32({ default: -1 }),
            leaderEpoch: int32({ default: -1 }),
          },
          { versions: "10+", tag: 0 },
        ),
      }),
    }),
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    nodeEndpoints: array(
      {
        nodeId: int32(),
        host: string(),
        port: int32(),
        rack: string({ nullable: true, default: null }),
      },
      { versions: "10+", tag: 0 },
    ),
  },
});
export type ProduceRequest = RequestOf<typeof Produce>;
export type ProduceRequestInput = RequestInputOf<typeof Produce>;
export type ProduceResponse = ResponseOf<typeof Produce>;
export type ProduceResponseInput = ResponseInputOf<typeof Produce>;
