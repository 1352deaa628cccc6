// ListGroups, API key 16, versions 0–5.
//
// Serves: the groups of one coordinator, by state (KIP-518) and by type (KIP-848).
// Kafka: KafkaApis, LIST_GROUPS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string } from "../schema.ts";

// v1: adds throttleTimeMs (response).
// v3: flexible.
// v4: adds statesFilter (request); adds groups.groupState (response).
// v5: adds typesFilter (request); adds groups.groupType (response).
// Unchanged on the wire: v2.
export const ListGroups = api({
  apiKey: 16,
  name: "ListGroups",
  versions: "0-5",
  flexible: "3+",
  request: {
    statesFilter: array(string(), { versions: "4+" }),
    typesFilter: array(string(), { versions: "5+" }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
    groups: array({
      groupId: string(),
      protocolType: string(),
      groupState: string({ versions: "4+", ignorable: true }),
      groupType: string({ versions: "5+", ignorable: true }),
    }),
  },
});
export type ListGroupsRequest = RequestOf<typeof ListGroups>;
export type ListGroupsRequestInput = RequestInputOf<typeof ListGroups>;
export type ListGroupsResponse = ResponseOf<typeof ListGroups>;
export type ListGroupsResponseInput = ResponseInputOf<typeof ListGroups>;
