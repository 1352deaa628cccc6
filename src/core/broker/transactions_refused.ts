// TRANSACTIONS (ADR 38): what stands in for the transaction coordinator until it is wired. Every call is refused for good;
// no transport lists the APIs. To be deleted with the line in create_broker.ts that uses it.

import type { TransactionApi } from "../../contracts/broker.ts";
import { NONE, wireCodeOf } from "../../protocol/errors.ts";

const REFUSED = wireCodeOf("invalid_request");

export function refuseTransactions(
  findsCoordinator: TransactionApi["findCoordinator"],
): TransactionApi {
  return {
    // A refusal here would be tried again for a minute; InitProducerId says it for good.
    findCoordinator: findsCoordinator,
    initProducerId: async () => ({
      throttleTimeMs: 0,
      errorCode: REFUSED,
      producerId: -1,
      producerEpoch: -1,
      ongoingTxnProducerId: -1,
      ongoingTxnProducerEpoch: -1,
    }),
    addPartitionsToTxn: async () => ({
      throttleTimeMs: 0,
      errorCode: REFUSED,
      resultsByTransaction: [],
      resultsByTopicV3AndBelow: [],
    }),
    addOffsetsToTxn: async () => ({ throttleTimeMs: 0, errorCode: REFUSED }),
    endTxn: async () => ({
      throttleTimeMs: 0,
      errorCode: REFUSED,
      producerId: -1,
      producerEpoch: -1,
    }),
    writeTxnMarkers: async () => ({ markers: [] }),
    describeTransactions: async () => ({ throttleTimeMs: 0, transactionStates: [] }),
    listTransactions: async () => ({
      throttleTimeMs: 0,
      errorCode: NONE,
      unknownStateFilters: [],
      transactionStates: [],
    }),
  };
}
