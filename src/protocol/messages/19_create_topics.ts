// CreateTopics, API key 19, versions 2–7.
//
// Serves: creating topics; with their settings in the answer from v5 (KIP-525).
// Kafka: ReplicationControlManager.createTopics.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string, uuid } from "../schema.ts";

// v5: adds topics.topicConfigErrorCode, topics.numPartitions, topics.replicationFactor,
//   topics.configs (response); flexible.
// v7: adds topics.topicId (response).
// Unchanged on the wire: v3, v4, v6.
export const CreateTopics = api({
  apiKey: 19,
  name: "CreateTopics",
  versions: "2-7",
  flexible: "5+",
  request: {
    topics: array({
      name: string(),
      numPartitions: int32({ about: "-1 for the broker's default" }),
      replicationFactor: int16({ about: "-1 for the broker's default" }),
      assignments: array({
        partitionIndex: int32(),
        brokerIds: array(int32()),
      }),
      configs: array({
        name: string(),
        value: string({ nullable: true }),
      }),
    }),
    timeoutMs: int32({ default: 60000 }),
    validateOnly: bool({ about: "check, but do not do it" }),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array({
      name: string(),
      topicId: uuid({ versions: "7+", ignorable: true }),
      errorCode: int16(),
      errorMessage: string({ nullable: true, ignorable: true }),
      topicConfigErrorCode: int16({ versions: "5+", tag: 0, ignorable: true }),
      numPartitions: int32({
        versions: "5+",
        default: -1,
        ignorable: true,
        about: "-1 for the broker's default",
      }),
      replicationFactor: int16({
        versions: "5+",
        default: -1,
        ignorable: true,
        about: "-1 for the broker's default",
      }),
      configs: array(
        {
          name: string(),
          value: string({ nullable: true }),
          readOnly: bool(),
          configSource: int8({
            default: -1,
            ignorable: true,
            about:
              "1 topic, 2 broker, 3 cluster default, 4 static, 5 default, 6 logger, 7 client metrics, 8 group",
          }),
          isSensitive: bool(),
        },
        { versions: "5+", nullable: true, ignorable: true },
      ),
    }),
  },
});
export type CreateTopicsRequest = RequestOf<typeof CreateTopics>;
export type CreateTopicsRequestInput = RequestInputOf<typeof CreateTopics>;
export type CreateTopicsResponse = ResponseOf<typeof CreateTopics>;
export type CreateTopicsResponseInput = ResponseInputOf<typeof CreateTopics>;
