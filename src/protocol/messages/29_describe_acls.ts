// DescribeAcls, API key 29, versions 1–3.
//
// Serves: the ACLs that match a filter (KIP-140, patterns KIP-290).
// Kafka: AclApis.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v3.
export const DescribeAcls = api({
  apiKey: 29,
  name: "DescribeAcls",
  versions: "1-3",
  flexible: "2+",
  request: {
    resourceTypeFilter: int8(),
    resourceNameFilter: string({ nullable: true }),
    patternTypeFilter: int8({ default: 3, about: "1 any, 2 match, 3 literal, 4 prefixed" }),
    principalFilter: string({ nullable: true }),
    hostFilter: string({ nullable: true }),
    operation: int8(),
    permissionType: int8({ about: "1 any, 2 deny, 3 allow" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    resources: array({
      resourceType: int8({
        about: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
      }),
      resourceName: string(),
      patternType: int8({ default: 3, about: "3 literal, 4 prefixed" }),
      acls: array({
        principal: string(),
        host: string(),
        operation: int8(),
        permissionType: int8({ about: "1 any, 2 deny, 3 allow" }),
      }),
    }),
  },
});
export type DescribeAclsRequest = RequestOf<typeof DescribeAcls>;
export type DescribeAclsRequestInput = RequestInputOf<typeof DescribeAcls>;
export type DescribeAclsResponse = ResponseOf<typeof DescribeAcls>;
export type DescribeAclsResponseInput = ResponseInputOf<typeof DescribeAcls>;
