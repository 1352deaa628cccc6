// What scripted brokers are told to answer, in more than one file.

import type { ProduceRequest } from "../../src/protocol/messages/00_produce.ts";

/** A Produce answer that refuses every partition of the request. */
export function refuseAll(errorCode: number) {
  return ({ request }: { request: ProduceRequest }) => ({
    throttleTimeMs: 0,
    responses: request.topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => ({
        index,
        errorCode,
        baseOffset: -1,
        logAppendTimeMs: -1,
      })),
    })),
  });
}
