// ListOffsets, API key 2, versions 1–11.
//
// Serves: the offset for a timestamp, and the special timestamps below zero.
// Limits: nothing is tiered, so the latest tiered and earliest pending offsets are -1. Replica ids of followers are
//   refused. A partition asked for twice is answered once, with invalid_request, as Kafka does.
// v2: isolation level.   v4: leader epochs.   v6: flexible.   v7, v8, v9, v11: -3, -4, -5, -6 (older: error 35).
// Kafka: KafkaApis.handleListOffsetRequest, ListOffsetsRequest.

import type { OffsetQuery } from "../../../src/contracts/broker.ts";
import { wireCodeOf } from "../../../src/protocol/errors.ts";
import {
  ListOffsets,
  type ListOffsetsResponseInput,
} from "../../../src/protocol/messages/02_list_offsets.ts";
import { handlerOf } from "../handler.ts";

type TopicResponse = ListOffsetsResponseInput["topics"][number];
type PartitionResponse = TopicResponse["partitions"][number];

/** First version in which a special timestamp may be asked for, by minus the timestamp. */
const SPECIAL_SINCE = [0, 1, 1, 7, 8, 9, 11];
const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
/** Debugging consumers call themselves -2. */
const REPLICA_ID_MIN = -2;

export const listOffsets = handlerOf<typeof ListOffsets>({
  api: ListOffsets,
  overlap: "parallel",
  takesBigints: true,
  async handle(context, caller, request, version) {
    const isolation = request.isolationLevel === 1 ? "read_committed" : "read_uncommitted";
    const isReplica = request.replicaId >= 0 || request.replicaId < REPLICA_ID_MIN;
    const queries: OffsetQuery[] = [];
    const waiting: { list: PartitionResponse[]; at: number; partition: number }[] = [];
    const topics: TopicResponse[] = [];
    for (const { name, partitions } of request.topics) {
      const list: PartitionResponse[] = [];
      const places = new Map<number, number>();
      for (const { partitionIndex, timestamp, currentLeaderEpoch } of partitions) {
        const known = places.get(partitionIndex);
        if (known !== undefined) {
          list[known] = failed(partitionIndex, wireCodeOf("invalid_request"));
          continue;
        }
        places.set(partitionIndex, list.length);
        if (isReplica) {
          list.push(failed(partitionIndex, wireCodeOf("invalid_request")));
          continue;
        }
        const at = timeOf(timestamp, version);
        if (at === "unsupported") {
          list.push(failed(partitionIndex, wireCodeOf("unsupported_version")));
        } else if (at === "nothing") {
          list.push(failed(partitionIndex, 0));
        } else {
          waiting.push({ list, at: list.length, partition: partitionIndex });
          list.push(failed(partitionIndex, 0));
          const leaderEpoch = currentLeaderEpoch;
          queries.push({ topic: name, partition: partitionIndex, at, isolation, leaderEpoch });
        }
      }
      topics.push({ name, partitions: list });
    }
    const outcomes =
      queries.length === 0 ? [] : await context.broker.log.offsetFor(caller, queries);
    for (const [index, { list, at, partition }] of waiting.entries()) {
      // Found to be a duplicate after it was asked for.
      if (list[at]!.errorCode !== 0) continue;
      const outcome = outcomes[index]!;
      if (!outcome.ok) {
        // Before v5 there was no word for a leader that does not know yet.
        const isTooEarly = outcome.error.code === "offset_not_available" && version < 5;
        const { wireCode } = outcome.error;
        list[at] = failed(partition, isTooEarly ? wireCodeOf("leader_not_available") : wireCode);
        continue;
      }
      const { offset, timestampMs, leaderEpoch } = outcome.value;
      const base = { partitionIndex: partition, errorCode: 0, timestamp: timestampMs, offset };
      list[at] = version >= 4 ? { ...base, leaderEpoch } : base;
    }
    return { response: { throttleTimeMs: 0, topics } };
  },
});

/** What a timestamp asks for in this version; "nothing" where the answer is known to be "none". */
function timeOf(timestamp: number, version: number): OffsetQuery["at"] | "unsupported" | "nothing" {
  // Beyond 2^53: later than every record, or without meaning.
  if (typeof timestamp !== "number") return timestamp < 0 ? "unsupported" : "nothing";
  if (timestamp >= 0) return { timestampMs: timestamp };
  const since = SPECIAL_SINCE[-timestamp];
  if (since === undefined || version < since) return "unsupported";
  if (timestamp === LATEST) return "latest";
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) return "earliest";
  return timestamp === MAX_TIMESTAMP ? "max_timestamp" : "nothing";
}

function failed(partitionIndex: number, errorCode: number): PartitionResponse {
  return { partitionIndex, errorCode, timestamp: -1, offset: -1 };
}
