// OffsetForLeaderEpoch, API key 23, versions 2–4.
//
// Serves: the end offset of a leader epoch, for clients and followers detecting truncation
// (KIP-101, KIP-320).
// Limits: replica ids other than -1 need cluster_action.
// Kafka: KafkaApis.handleOffsetForLeaderEpochRequest, Partition.lastOffsetForLeaderEpoch.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string } from "../schema.ts";

// v3: adds replicaId (request).
// v4: flexible.
export const OffsetForLeaderEpoch = api({
  apiKey: 23,
  name: "OffsetForLeaderEpoch",
  versions: "2-4",
  flexible: "4+",
  request: {
    replicaId: int32({
      versions: "3+",
      default: -2,
      ignorable: true,
      about: "-1 for consumers, -2 for a debugging consumer",
    }),
    topics: array({
      topic: string(),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32({
          default: -1,
          ignorable: true,
          about: "-1 when unknown; a stale one is fenced",
        }),
        leaderEpoch: int32(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array({
      topic: string(),
      partitions: array({
        errorCode: int16(),
        partition: int32(),
        leaderEpoch: int32({ default: -1, ignorable: true }),
        endOffset: int64({ default: -1 }),
      }),
    }),
  },
});
export type OffsetForLeaderEpochRequest = RequestOf<typeof OffsetForLeaderEpoch>;
export type OffsetForLeaderEpochRequestInput = RequestInputOf<typeof OffsetForLeaderEpoch>;
export type OffsetForLeaderEpochResponse = ResponseOf<typeof OffsetForLeaderEpoch>;
export type OffsetForLeaderEpochResponseInput = ResponseInputOf<typeof OffsetForLeaderEpoch>;
