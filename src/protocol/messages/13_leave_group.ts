// LeaveGroup, API key 13, versions 0–5.
//
// Serves: leaving a classic group, for several members from v3 (KIP-345).
// Kafka: GroupMetadataManager.classicGroupLeave.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string } from "../schema.ts";

// v1: adds throttleTimeMs (response).
// v3: adds members (request); drops memberId (request); adds members (response).
// v4: flexible.
// v5: adds members.reason (request).
// Unchanged on the wire: v2.
export const LeaveGroup = api({
  apiKey: 13,
  name: "LeaveGroup",
  versions: "0-5",
  flexible: "4+",
  request: {
    groupId: string(),
    memberId: string({ versions: "0-2" }),
    members: array(
      {
        memberId: string(),
        groupInstanceId: string({
          nullable: true,
          default: null,
          about: "name of a static member (KIP-345); null for a dynamic one",
        }),
        reason: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
      },
      { versions: "3+" },
    ),
  },
  response: {
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
    members: array(
      {
        memberId: string(),
        groupInstanceId: string({
          nullable: true,
          about: "name of a static member (KIP-345); null for a dynamic one",
        }),
        errorCode: int16(),
      },
      { versions: "3+" },
    ),
  },
});
export type LeaveGroupRequest = RequestOf<typeof LeaveGroup>;
export type LeaveGroupRequestInput = RequestInputOf<typeof LeaveGroup>;
export type LeaveGroupResponse = ResponseOf<typeof LeaveGroup>;
export type LeaveGroupResponseInput = ResponseInputOf<typeof LeaveGroup>;
