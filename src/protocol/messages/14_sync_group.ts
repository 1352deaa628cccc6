// SyncGroup, API key 14, versions 0–5.
//
// Serves: handing out the assignment that the leader of a classic group made.
// Kafka: GroupMetadataManager.classicGroupSync.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bytes, int16, int32, string } from "../schema.ts";

// v1: adds throttleTimeMs (response).
// v3: adds groupInstanceId (request).
// v4: flexible.
// v5: adds protocolType, protocolName (request); adds protocolType, protocolName (response).
// Unchanged on the wire: v2.
export const SyncGroup = api({
  apiKey: 14,
  name: "SyncGroup",
  versions: "0-5",
  flexible: "4+",
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string({
      versions: "3+",
      nullable: true,
      default: null,
      about: "name of a static member (KIP-345); null for a dynamic one",
    }),
    protocolType: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    protocolName: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    assignments: array({
      memberId: string(),
      assignment: bytes(),
    }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
    protocolType: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    protocolName: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    assignment: bytes(),
  },
});
export type SyncGroupRequest = RequestOf<typeof SyncGroup>;
export type SyncGroupRequestInput = RequestInputOf<typeof SyncGroup>;
export type SyncGroupResponse = ResponseOf<typeof SyncGroup>;
export type SyncGroupResponseInput = ResponseInputOf<typeof SyncGroup>;
