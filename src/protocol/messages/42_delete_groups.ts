// DeleteGroups, API key 42, versions 0–2.
//
// Serves: deleting empty groups (KIP-229).
// Kafka: KafkaApis, DELETE_GROUPS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v1.
export const DeleteGroups = api({
  apiKey: 42,
  name: "DeleteGroups",
  versions: "0-2",
  flexible: "2+",
  request: {
    groupsNames: array(string()),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    results: array({
      groupId: string(),
      errorCode: int16(),
    }),
  },
});
export type DeleteGroupsRequest = RequestOf<typeof DeleteGroups>;
export type DeleteGroupsRequestInput = RequestInputOf<typeof DeleteGroups>;
export type DeleteGroupsResponse = ResponseOf<typeof DeleteGroups>;
export type DeleteGroupsResponseInput = ResponseInputOf<typeof DeleteGroups>;
