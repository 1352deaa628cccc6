// Heartbeat, API key 12, versions 0–4.
//
// Serves: staying a member of a classic group.
// Kafka: GroupMetadataManager.classicGroupHeartbeat.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, int16, int32, string } from "../schema.ts";

// v1: adds throttleTimeMs (response).
// v3: adds groupInstanceId (request).
// v4: flexible.
// Unchanged on the wire: v2.
export const Heartbeat = api({
  apiKey: 12,
  name: "Heartbeat",
  versions: "0-4",
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
  },
  response: {
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16(),
  },
});
export type HeartbeatRequest = RequestOf<typeof Heartbeat>;
export type HeartbeatRequestInput = RequestInputOf<typeof Heartbeat>;
export type HeartbeatResponse = ResponseOf<typeof Heartbeat>;
export type HeartbeatResponseInput = ResponseInputOf<typeof Heartbeat>;
