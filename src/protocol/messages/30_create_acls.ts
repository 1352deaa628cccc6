// CreateAcls, API key 30, versions 1–3.
//
// Serves: adding ACLs (KIP-140, patterns KIP-290).
// Kafka: AclApis.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v3.
export const CreateAcls = api({
  apiKey: 30,
  name: "CreateAcls",
  versions: "1-3",
  flexible: "2+",
  request: {
    creations: array({
      resourceType: int8({
        about: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
      }),
      resourceName: string(),
      resourcePatternType: int8({ default: 3 }),
      principal: string(),
      host: string(),
      operation: int8(),
      permissionType: int8({ about: "1 any, 2 deny, 3 allow" }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    results: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
    }),
  },
});
export type CreateAclsRequest = RequestOf<typeof CreateAcls>;
export type CreateAclsRequestInput = RequestInputOf<typeof CreateAcls>;
export type CreateAclsResponse = ResponseOf<typeof CreateAcls>;
export type CreateAclsResponseInput = ResponseInputOf<typeof CreateAcls>;
