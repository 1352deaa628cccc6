// ListOffsets, API key 2, versions 1–11.
//
// Serves: offsets by timestamp; -1 latest, -2 earliest, -3 max timestamp (v7), -4 earliest local
// (v8), -5 tiered (v9).
// Kafka: KafkaApis.handleListOffsetRequest, UnifiedLog.fetchOffsetByTimestamp.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, int64, string } from "../schema.ts";

// v2: adds isolationLevel (request); adds throttleTimeMs (response).
// v4: adds partitions.currentLeaderEpoch (request); adds partitions.leaderEpoch (response).
// v6: flexible.
// v10: adds timeoutMs (request).
// Unchanged on the wire: v3, v5, v7, v8, v9, v11.
export const ListOffsets = api({
  apiKey: 2,
  name: "ListOffsets",
  versions: "1-11",
  flexible: "6+",
  request: {
    replicaId: int32({ about: "-1 for consumers" }),
    isolationLevel: int8({ versions: "2+", about: "0 read uncommitted, 1 read committed" }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        currentLeaderEpoch: int32({
          versions: "4+",
          default: -1,
          ignorable: true,
          about: "-1 when unknown; a stale one is fenced",
        }),
        timestamp: int64({ about: "milliseconds, or a negative special value" }),
      }),
    }),
    timeoutMs: int32({
      versions: "10+",
      ignorable: true,
      about: "for offsets that must be looked up in a tier",
    }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "2+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        timestamp: int64({ default: -1 }),
        offset: int64({ default: -1 }),
        leaderEpoch: int32({ versions: "4+", default: -1 }),
      }),
    }),
  },
});
export type ListOffsetsRequest = RequestOf<typeof ListOffsets>;
export type ListOffsetsRequestInput = RequestInputOf<typeof ListOffsets>;
export type ListOffsetsResponse = ResponseOf<typeof ListOffsets>;
export type ListOffsetsResponseInput = ResponseInputOf<typeof ListOffsets>;
