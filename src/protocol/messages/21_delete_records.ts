// DeleteRecords, API key 21, versions 0–2.
//
// Serves: moving the log start offset up (KIP-107). Offset -1 is the high watermark.
// Kafka: ReplicaManager.deleteRecords.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, int64, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v1.
export const DeleteRecords = api({
  apiKey: 21,
  name: "DeleteRecords",
  versions: "0-2",
  flexible: "2+",
  request: {
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        offset: int64(),
      }),
    }),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        lowWatermark: int64({ about: "log start offset afterwards; -1 on error" }),
        errorCode: int16(),
      }),
    }),
  },
});
export type DeleteRecordsRequest = RequestOf<typeof DeleteRecords>;
export type DeleteRecordsRequestInput = RequestInputOf<typeof DeleteRecords>;
export type DeleteRecordsResponse = ResponseOf<typeof DeleteRecords>;
export type DeleteRecordsResponseInput = ResponseInputOf<typeof DeleteRecords>;
