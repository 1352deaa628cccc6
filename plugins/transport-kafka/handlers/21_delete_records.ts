// DeleteRecords, API key 21, versions 0–2.
//
// Serves: moving the log start offset up; -1 stands for the high watermark.
// Limits: waits for earlier requests of its connection, and later ones wait for it.
// v2: flexible.
// Kafka: KafkaApis.handleDeleteRecordsRequest, ReplicaManager.deleteRecords.

import { DeleteRecords } from "../../../src/protocol/messages/21_delete_records.ts";
import { handlerOf } from "../handler.ts";

export const deleteRecords = handlerOf<typeof DeleteRecords>({
  api: DeleteRecords,
  overlap: "exclusive",
  takesBigints: true,
  async handle(context, caller, request, version) {
    const topics = request.topics.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((each) => ({ ...each, offset: withinRange(each.offset) })),
    }));
    const narrowed = { ...request, topics };
    return { response: await context.broker.topics.deleteRecords(caller, narrowed, version) };
  },
});

/** No log reaches 2^53: an offset beyond is as far out of range as one at the bound. */
function withinRange(offset: number): number {
  if (typeof offset === "number") return offset;
  return offset < 0 ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
}
