// CreatePartitions, API key 37, versions 0–3.
//
// Serves: adding partitions to topics (KIP-195).
// Kafka: ReplicationControlManager.createPartitions.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v1, v3.
export const CreatePartitions = api({
  apiKey: 37,
  name: "CreatePartitions",
  versions: "0-3",
  flexible: "2+",
  request: {
    topics: array({
      name: string(),
      count: int32(),
      assignments: array(
        {
          brokerIds: array(int32()),
        },
        { nullable: true },
      ),
    }),
    timeoutMs: int32(),
    validateOnly: bool({ about: "check, but do not do it" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    results: array({
      name: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
    }),
  },
});
export type CreatePartitionsRequest = RequestOf<typeof CreatePartitions>;
export type CreatePartitionsRequestInput = RequestInputOf<typeof CreatePartitions>;
export type CreatePartitionsResponse = ResponseOf<typeof CreatePartitions>;
export type CreatePartitionsResponseInput = ResponseInputOf<typeof CreatePartitions>;
