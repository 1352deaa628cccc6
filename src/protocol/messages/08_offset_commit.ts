// OffsetCommit, API key 8, versions 2–10.
//
// Serves: storing the offsets of a group; topic ids from v10 (KIP-848).
// Kafka: GroupCoordinator.commitOffsets.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string, uuid } from "../schema.ts";

// v3: adds throttleTimeMs (response).
// v5: drops retentionTimeMs (request).
// v6: adds partitions.committedLeaderEpoch (request).
// v7: adds groupInstanceId (request).
// v8: flexible.
// v10: adds topics.topicId (request); drops topics.name (request); adds topics.topicId (response);
//   drops topics.name (response).
// Unchanged on the wire: v4, v9.
export const OffsetCommit = api({
  apiKey: 8,
  name: "OffsetCommit",
  versions: "2-10",
  flexible: "8+",
  request: {
    groupId: string(),
    generationIdOrMemberEpoch: int32({
      default: -1,
      ignorable: true,
      about: "generation of a classic group, epoch of a consumer group, -1 outside of either",
    }),
    memberId: string({ ignorable: true }),
    groupInstanceId: string({
      versions: "7+",
      nullable: true,
      default: null,
      about: "name of a static member (KIP-345); null for a dynamic one",
    }),
    retentionTimeMs: int64({ versions: "2-4", default: -1, ignorable: true }),
    topics: array({
      name: string({ versions: "2-9", ignorable: true }),
      topicId: uuid({ versions: "10+", ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32({ versions: "6+", default: -1, ignorable: true }),
        committedMetadata: string({ nullable: true }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "3+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array({
      name: string({ versions: "2-9", ignorable: true }),
      topicId: uuid({ versions: "10+", ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
      }),
    }),
  },
});
export type OffsetCommitRequest = RequestOf<typeof OffsetCommit>;
export type OffsetCommitRequestInput = RequestInputOf<typeof OffsetCommit>;
export type OffsetCommitResponse = ResponseOf<typeof OffsetCommit>;
export type OffsetCommitResponseInput = ResponseInputOf<typeof OffsetCommit>;
