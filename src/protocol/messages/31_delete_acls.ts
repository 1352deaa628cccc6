// DeleteAcls, API key 31, versions 1–3.
//
// Serves: removing the ACLs that match filters (KIP-140, patterns KIP-290).
// Kafka: AclApis.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v3.
export const DeleteAcls = api({
  apiKey: 31,
  name: "DeleteAcls",
  versions: "1-3",
  flexible: "2+",
  request: {
    filters: array({
      resourceTypeFilter: int8(),
      resourceNameFilter: string({ nullable: true }),
      patternTypeFilter: int8({ default: 3, about: "1 any, 2 match, 3 literal, 4 prefixed" }),
      principalFilter: string({ nullable: true }),
      hostFilter: string({ nullable: true }),
      operation: int8(),
      permissionType: int8({ about: "1 any, 2 deny, 3 allow" }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    filterResults: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      matchingAcls: array({
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
        resourceType: int8({
          about: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
        }),
        resourceName: string(),
        patternType: int8({ default: 3, about: "3 literal, 4 prefixed" }),
        principal: string(),
        host: string(),
        operation: int8(),
        permissionType: int8({ about: "1 any, 2 deny, 3 allow" }),
      }),
    }),
  },
});
export type DeleteAclsRequest = RequestOf<typeof DeleteAcls>;
export type DeleteAclsRequestInput = RequestInputOf<typeof DeleteAcls>;
export type DeleteAclsResponse = ResponseOf<typeof DeleteAcls>;
export type DeleteAclsResponseInput = ResponseInputOf<typeof DeleteAcls>;
