// OffsetFetch, API key 9, versions 1–10.
//
// Serves: the committed offsets of a group, of several from v8 (KIP-709).
// Kafka: GroupCoordinator.fetchOffsets.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string, uuid } from "../schema.ts";

// v2: allows null in topics (request); adds errorCode (response).
// v3: adds throttleTimeMs (response).
// v5: adds partitions.committedLeaderEpoch (response).
// v6: flexible.
// v7: adds requireStable (request).
// v8: adds groups (request); drops groupId, topics (request); adds groups (response); drops topics,
//   errorCode (response).
// v9: adds groups.memberId, groups.memberEpoch (request).
// v10: adds topics.topicId (request); drops topics.name (request); adds topics.topicId (response);
//   drops topics.name (response).
// Unchanged on the wire: v4.
export const OffsetFetch = api({
  apiKey: 9,
  name: "OffsetFetch",
  versions: "1-10",
  flexible: "6+",
  request: {
    groupId: string({ versions: "1-7" }),
    topics: array(
      {
        name: string(),
        partitionIndexes: array(int32()),
      },
      { versions: "1-7", nullable: "2-7" },
    ),
    groups: array(
      {
        groupId: string(),
        memberId: string({ versions: "9+", nullable: true, default: null, ignorable: true }),
        memberEpoch: int32({
          versions: "9+",
          default: -1,
          ignorable: true,
          about: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
        }),
        topics: array(
          {
            name: string({ versions: "8-9", ignorable: true }),
            topicId: uuid({ versions: "10+", ignorable: true }),
            partitionIndexes: array(int32()),
          },
          { nullable: true },
        ),
      },
      { versions: "8+" },
    ),
    requireStable: bool({ versions: "7+", about: "wait out offsets of open transactions" }),
  },
  response: {
    throttleTimeMs: int32({
      versions: "3+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    topics: array(
      {
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          committedOffset: int64(),
          committedLeaderEpoch: int32({ versions: "5-7", default: -1, ignorable: true }),
          metadata: string({ nullable: true }),
          errorCode: int16(),
        }),
      },
      { versions: "1-7" },
    ),
    errorCode: int16({ versions: "2-7", ignorable: true }),
    groups: array(
      {
        groupId: string(),
        topics: array({
          name: string({ versions: "8-9", ignorable: true }),
          topicId: uuid({ versions: "10+", ignorable: true }),
          partitions: array({
            partitionIndex: int32(),
            committedOffset: int64(),
            committedLeaderEpoch: int32({ default: -1, ignorable: true }),
            metadata: string({ nullable: true }),
            errorCode: int16(),
          }),
        }),
        errorCode: int16(),
      },
      { versions: "8+" },
    ),
  },
});
export type OffsetFetchRequest = RequestOf<typeof OffsetFetch>;
export type OffsetFetchRequestInput = RequestInputOf<typeof OffsetFetch>;
export type OffsetFetchResponse = ResponseOf<typeof OffsetFetch>;
export type OffsetFetchResponseInput = ResponseInputOf<typeof OffsetFetch>;
