// WriteTxnMarkers, API key 27, versions 1–2.
//
// Serves: markers of committed and aborted transactions, from the transaction coordinator to the
// leaders (KIP-98).
// Kafka: KafkaApis, WRITE_TXN_MARKERS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, int64, string } from "../schema.ts";

// v2: adds markers.transactionVersion (request).
export const WriteTxnMarkers = api({
  apiKey: 27,
  name: "WriteTxnMarkers",
  versions: "1-2",
  flexible: "1+",
  request: {
    markers: array({
      producerId: int64(),
      producerEpoch: int16(),
      transactionResult: bool(),
      topics: array({
        name: string(),
        partitionIndexes: array(int32()),
      }),
      coordinatorEpoch: int32(),
      transactionVersion: int8({ versions: "2+", ignorable: true }),
    }),
  },
  response: {
    markers: array({
      producerId: int64(),
      topics: array({
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          errorCode: int16(),
        }),
      }),
    }),
  },
});
export type WriteTxnMarkersRequest = RequestOf<typeof WriteTxnMarkers>;
export type WriteTxnMarkersRequestInput = RequestInputOf<typeof WriteTxnMarkers>;
export type WriteTxnMarkersResponse = ResponseOf<typeof WriteTxnMarkers>;
export type WriteTxnMarkersResponseInput = ResponseInputOf<typeof WriteTxnMarkers>;
