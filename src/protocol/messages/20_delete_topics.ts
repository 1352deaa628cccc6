// DeleteTopics, API key 20, versions 1–6.
//
// Serves: deleting topics, by name or from v6 by id (KIP-516).
// Kafka: ReplicationControlManager.deleteTopics.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string, uuid } from "../schema.ts";

// v4: flexible.
// v5: adds responses.errorMessage (response).
// v6: adds topics (request); drops topicNames (request); adds responses.topicId (response); allows
//   null in responses.name (response).
// Unchanged on the wire: v2, v3.
export const DeleteTopics = api({
  apiKey: 20,
  name: "DeleteTopics",
  versions: "1-6",
  flexible: "4+",
  request: {
    topics: array(
      {
        name: string({ nullable: true, default: null }),
        topicId: uuid(),
      },
      { versions: "6+" },
    ),
    topicNames: array(string(), { versions: "1-5", ignorable: true }),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    responses: array({
      name: string({ nullable: "6+" }),
      topicId: uuid({ versions: "6+", ignorable: true }),
      errorCode: int16(),
      errorMessage: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    }),
  },
});
export type DeleteTopicsRequest = RequestOf<typeof DeleteTopics>;
export type DeleteTopicsRequestInput = RequestInputOf<typeof DeleteTopics>;
export type DeleteTopicsResponse = ResponseOf<typeof DeleteTopics>;
export type DeleteTopicsResponseInput = ResponseInputOf<typeof DeleteTopics>;
