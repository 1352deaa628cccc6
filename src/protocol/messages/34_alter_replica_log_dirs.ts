// AlterReplicaLogDirs, API key 34, versions 1–2.
//
// Serves: moving replicas between the log directories of one broker (KIP-113).
// Kafka: KafkaApis, ALTER_REPLICA_LOG_DIRS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string } from "../schema.ts";

// v2: flexible.
export const AlterReplicaLogDirs = api({
  apiKey: 34,
  name: "AlterReplicaLogDirs",
  versions: "1-2",
  flexible: "2+",
  request: {
    dirs: array({
      path: string(),
      topics: array({
        name: string(),
        partitions: array(int32()),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    results: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
      }),
    }),
  },
});
export type AlterReplicaLogDirsRequest = RequestOf<typeof AlterReplicaLogDirs>;
export type AlterReplicaLogDirsRequestInput = RequestInputOf<typeof AlterReplicaLogDirs>;
export type AlterReplicaLogDirsResponse = ResponseOf<typeof AlterReplicaLogDirs>;
export type AlterReplicaLogDirsResponseInput = ResponseInputOf<typeof AlterReplicaLogDirs>;
