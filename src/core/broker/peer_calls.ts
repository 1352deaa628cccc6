// What coordinators ask of other brokers: markers into partitions that those lead, and whether a transaction of theirs takes a
// batch. Given by the connections between brokers (core/replication); scripted in tests. Types alone.
// Kafka: InterBrokerSendThread, of TransactionMarkerChannelManager and AddPartitionsToTxnManager.

import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse,
} from "../../protocol/messages/24_add_partitions_to_txn.ts";
import type {
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from "../../protocol/messages/27_write_txn_markers.ts";

/**
 * Each call resolves with null when no answer came: the broker is not there, is cut off, or took too long; whether it has done
 * what it was asked is not known then. Never rejects. The calls to one broker keep their order; how long they wait has a bound.
 */
export interface PeerCalls {
  writeTxnMarkers(
    brokerId: number,
    request: WriteTxnMarkersRequest,
  ): Promise<WriteTxnMarkersResponse | null>;
  /** Version 5: the batched form. */
  addPartitionsToTxn(
    brokerId: number,
    request: AddPartitionsToTxnRequest,
  ): Promise<AddPartitionsToTxnResponse | null>;
}
