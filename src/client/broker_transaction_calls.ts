// The calls of transactions, as the in-process port makes them of a broker.
// Kafka: KafkaApis, its transaction coordinator's part.

import { AddPartitionsToTxn } from "../protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../protocol/messages/26_end_txn.ts";
import { WriteTxnMarkers } from "../protocol/messages/27_write_txn_markers.ts";
import { TxnOffsetCommit } from "../protocol/messages/28_txn_offset_commit.ts";
import { DescribeTransactions } from "../protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../protocol/messages/66_list_transactions.ts";
import { type BrokerCall, plainCall } from "./broker_call.ts";

/** Every API of transactions but InitProducerId, which producers without transactions ask for as well. */
export const transactionCalls: readonly BrokerCall[] = [
  plainCall(AddPartitionsToTxn, (broker, ...call) =>
    broker.transactions.addPartitionsToTxn(...call),
  ),
  plainCall(AddOffsetsToTxn, (broker, ...call) => broker.transactions.addOffsetsToTxn(...call)),
  plainCall(EndTxn, (broker, ...call) => broker.transactions.endTxn(...call)),
  plainCall(WriteTxnMarkers, (broker, ...call) => broker.transactions.writeTxnMarkers(...call)),
  plainCall(TxnOffsetCommit, (broker, ...call) => broker.groups.txnOffsetCommit(...call)),
  plainCall(DescribeTransactions, (broker, ...call) =>
    broker.transactions.describeTransactions(...call),
  ),
  plainCall(ListTransactions, (broker, ...call) => broker.transactions.listTransactions(...call)),
];
