// OffsetForLeaderEpoch, API key 23, versions 2–4.
//
// Serves: the end offset of a leader epoch, for clients that look for truncation (KIP-320).
// Limits: every replica id is answered alike: what is told is no more than any reader may know.
// v3: adds the replica id.   v4: flexible.
// Kafka: KafkaApis.handleOffsetForLeaderEpochRequest, Partition.lastOffsetForLeaderEpoch.

import type { EpochQuery } from "../../../src/contracts/broker.ts";
import { OffsetForLeaderEpoch } from "../../../src/protocol/messages/23_offset_for_leader_epoch.ts";
import { handlerOf } from "../handler.ts";

export const offsetForLeaderEpoch = handlerOf<typeof OffsetForLeaderEpoch>({
  api: OffsetForLeaderEpoch,
  overlap: "parallel",
  async handle(context, caller, request) {
    const queries: EpochQuery[] = [];
    for (const { topic, partitions } of request.topics) {
      for (const { partition, leaderEpoch, currentLeaderEpoch } of partitions) {
        queries.push({ topic, partition, leaderEpoch, currentLeaderEpoch });
      }
    }
    const outcomes = context.broker.log.endOffsetForEpoch(caller, queries);
    let next = 0;
    const topics = request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => {
        const outcome = outcomes[next++]!;
        if (!outcome.ok) return { errorCode: outcome.error.wireCode, partition, endOffset: -1 };
        const { leaderEpoch, endOffset } = outcome.value;
        return { errorCode: 0, partition, leaderEpoch, endOffset };
      }),
    }));
    return { response: { throttleTimeMs: 0, topics } };
  },
});
