// AssignReplicasToDirs, API key 73, version 0.
//
// Serves: a broker telling the controller which directory holds which replica (KIP-858).
// Kafka: ReplicationControlManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, uuid } from "../schema.ts";

export const AssignReplicasToDirs = api({
  apiKey: 73,
  name: "AssignReplicasToDirs",
  versions: "0",
  flexible: "0+",
  request: {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    directories: array({
      id: uuid(),
      topics: array({
        topicId: uuid(),
        partitions: array({
          partitionIndex: int32(),
        }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    directories: array({
      id: uuid(),
      topics: array({
        topicId: uuid(),
        partitions: array({
          partitionIndex: int32(),
          errorCode: int16(),
        }),
      }),
    }),
  },
});
export type AssignReplicasToDirsRequest = RequestOf<typeof AssignReplicasToDirs>;
export type AssignReplicasToDirsRequestInput = RequestInputOf<typeof AssignReplicasToDirs>;
export type AssignReplicasToDirsResponse = ResponseOf<typeof AssignReplicasToDirs>;
export type AssignReplicasToDirsResponseInput = ResponseInputOf<typeof AssignReplicasToDirs>;
