// OffsetCommit, API key 8, versions 2–10.
//
// Serves: storing offsets of a group, answered once they are committed.
// Limits: offsets up to 2^53−1; one beyond is answered invalid_commit_offset_size, which no log here can reach.
// v2–v4: retention time.   v6: leader epoch.   v7: static members.   v8: flexible.   v9: member epochs.
// v10: topic ids.
// Kafka: KafkaApis.handleOffsetCommitRequest.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import {
  OffsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
} from "../../../src/protocol/messages/08_offset_commit.ts";
import { handlerOf } from "../handler.ts";

export const offsetCommit = handlerOf<typeof OffsetCommit>({
  api: OffsetCommit,
  overlap: "parallel",
  takesBigints: true,
  async handle(context, caller, request, version) {
    const { groups } = context.broker;
    if (hasLargeOffset(request)) return { response: refused(request) };
    const { retentionTimeMs } = request;
    // A retention of more than 2^53 ms is for ever, to the nearest.
    const exact =
      typeof retentionTimeMs === "number"
        ? request
        : { ...request, retentionTimeMs: Number(retentionTimeMs) };
    return { response: await groups.offsetCommit(caller, exact, version) };
  },
});

function hasLargeOffset({ topics }: OffsetCommitRequest): boolean {
  return topics.some(({ partitions }) =>
    partitions.some(({ committedOffset }) => typeof committedOffset !== "number"),
  );
}

/** As Kafka refuses a commit: all of it. */
function refused({ topics }: OffsetCommitRequest): OffsetCommitResponse {
  const errorCode = wireCodeOf("invalid_commit_offset_size");
  return {
    throttleTimeMs: 0,
    topics: topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  };
}
