// WriteTxnMarkers, API key 27, versions 1–2.
//
// Serves: markers from coordinators on other brokers, and from operators who end a transaction that hangs.
// v2: the version of transactions that the marker comes from.
// Kafka: KafkaApis.handleWriteTxnMarkersRequest.

import { WriteTxnMarkers } from "../../../src/protocol/messages/27_write_txn_markers.ts";
import { handlerOf } from "../handler.ts";

export const writeTxnMarkers = handlerOf<typeof WriteTxnMarkers>({
  api: WriteTxnMarkers,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.transactions.writeTxnMarkers(caller, request, version),
    };
  },
});
