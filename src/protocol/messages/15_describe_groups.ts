// DescribeGroups, API key 15, versions 0–6.
//
// Serves: state and members of classic groups. An unknown group is Dead until v5, error 69 from v6
// (KIP-1043).
// Kafka: KafkaApis, DESCRIBE_GROUPS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, bytes, int16, int32, string } from "../schema.ts";

// v1: adds throttleTimeMs (response).
// v3: adds includeAuthorizedOperations (request); adds groups.authorizedOperations (response).
// v4: adds members.groupInstanceId (response).
// v5: flexible.
// v6: adds groups.errorMessage (response).
// Unchanged on the wire: v2.
export const DescribeGroups = api({
  apiKey: 15,
  name: "DescribeGroups",
  versions: "0-6",
  flexible: "5+",
  request: {
    groups: array(string()),
    includeAuthorizedOperations: bool({ versions: "3+" }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    groups: array({
      errorCode: int16(),
      errorMessage: string({ versions: "6+", nullable: true, default: null }),
      groupId: string(),
      groupState: string(),
      protocolType: string(),
      protocolData: string(),
      members: array({
        memberId: string(),
        groupInstanceId: string({
          versions: "4+",
          nullable: true,
          default: null,
          ignorable: true,
          about: "name of a static member (KIP-345); null for a dynamic one",
        }),
        clientId: string(),
        clientHost: string(),
        memberMetadata: bytes(),
        memberAssignment: bytes(),
      }),
      authorizedOperations: int32({
        versions: "3+",
        default: -2147483648,
        about: "bit field of allowed ACL operations; -2147483648 when not asked for",
      }),
    }),
  },
});
export type DescribeGroupsRequest = RequestOf<typeof DescribeGroups>;
export type DescribeGroupsRequestInput = RequestInputOf<typeof DescribeGroups>;
export type DescribeGroupsResponse = ResponseOf<typeof DescribeGroups>;
export type DescribeGroupsResponseInput = ResponseInputOf<typeof DescribeGroups>;
