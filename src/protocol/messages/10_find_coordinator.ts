// FindCoordinator, API key 10, versions 0–6.
//
// Serves: which broker coordinates a group (0), a transactional id (1) or a share partition (2);
// several from v4 (KIP-699).
// Kafka: KafkaApis, FIND_COORDINATOR.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

// v1: adds keyType (request); adds throttleTimeMs, errorMessage (response).
// v3: flexible.
// v4: adds coordinatorKeys (request); drops key (request); adds coordinators (response); drops
//   errorCode, errorMessage, nodeId, host, port (response).
// Unchanged on the wire: v2, v5, v6.
export const FindCoordinator = api({
  apiKey: 10,
  name: "FindCoordinator",
  versions: "0-6",
  flexible: "3+",
  request: {
    key: string({ versions: "0-3" }),
    keyType: int8({ versions: "1+", about: "0 group, 1 transactional id, 2 share partition" }),
    coordinatorKeys: array(string(), { versions: "4+" }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    errorCode: int16({ versions: "0-3" }),
    errorMessage: string({ versions: "1-3", nullable: true, ignorable: true }),
    nodeId: int32({ versions: "0-3" }),
    host: string({ versions: "0-3" }),
    port: int32({ versions: "0-3" }),
    coordinators: array(
      {
        key: string(),
        nodeId: int32(),
        host: string(),
        port: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, ignorable: true }),
      },
      { versions: "4+" },
    ),
  },
});
export type FindCoordinatorRequest = RequestOf<typeof FindCoordinator>;
export type FindCoordinatorRequestInput = RequestInputOf<typeof FindCoordinator>;
export type FindCoordinatorResponse = ResponseOf<typeof FindCoordinator>;
export type FindCoordinatorResponseInput = ResponseInputOf<typeof FindCoordinator>;
