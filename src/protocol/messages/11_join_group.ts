// JoinGroup, API key 11, versions 0–9.
//
// Serves: entering a classic group and its next generation; static members from v5 (KIP-345).
// Kafka: GroupMetadataManager.classicGroupJoin.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, bytes, int16, int32, string } from "../schema.ts";

// v1: adds rebalanceTimeoutMs (request).
// v2: adds throttleTimeMs (response).
// v5: adds groupInstanceId (request); adds members.groupInstanceId (response).
// v6: flexible.
// v7: adds protocolType (response); allows null in protocolName (response).
// v8: adds reason (request).
// v9: adds skipAssignment (response).
// Unchanged on the wire: v3, v4.
export const JoinGroup = api({
  apiKey: 11,
  name: "JoinGroup",
  versions: "0-9",
  flexible: "6+",
  request: {
    groupId: string(),
    sessionTimeoutMs: int32(),
    rebalanceTimeoutMs: int32({ versions: "1+", default: -1, ignorable: true }),
    memberId: string(),
    groupInstanceId: string({
      versions: "5+",
      nullable: true,
      default: null,
      about: "name of a static member (KIP-345); null for a dynamic one",
    }),
    protocolType: string(),
    protocols: array({
      name: string(),
      metadata: bytes(),
    }),
    reason: string({ versions: "8+", nullable: true, default: null, ignorable: true }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "2+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
    generationId: int32({ default: -1 }),
    protocolType: string({ versions: "7+", nullable: true, default: null, ignorable: true }),
    protocolName: string({ nullable: "7+" }),
    leader: string(),
    skipAssignment: bool({ versions: "9+", about: "the leader need not assign (KIP-814)" }),
    memberId: string(),
    members: array({
      memberId: string(),
      groupInstanceId: string({
        versions: "5+",
        nullable: true,
        default: null,
        ignorable: true,
        about: "name of a static member (KIP-345); null for a dynamic one",
      }),
      metadata: bytes(),
    }),
  },
});
export type JoinGroupRequest = RequestOf<typeof JoinGroup>;
export type JoinGroupRequestInput = RequestInputOf<typeof JoinGroup>;
export type JoinGroupResponse = ResponseOf<typeof JoinGroup>;
export type JoinGroupResponseInput = ResponseInputOf<typeof JoinGroup>;
