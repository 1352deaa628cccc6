// Answers of the APIs of transactions in the words of their versions. Invariant: rows come back for all that was asked.
// Kafka: AddPartitionsToTxnResponse, KafkaApis.

import type { TopicPartition } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, type Outcome, wireCodeOf } from "../../protocol/errors.ts";
import type { InitProducerIdResponse } from "../../protocol/messages/22_init_producer_id.ts";
import type { AddPartitionsToTxnResponse } from "../../protocol/messages/24_add_partitions_to_txn.ts";
import type { EndTxnResponse } from "../../protocol/messages/26_end_txn.ts";
import type { DescribeTransactionsResponse } from "../../protocol/messages/65_describe_transactions.ts";
import { STATE_NAMES, type Transaction } from "../coordinator/transaction/transaction.ts";
import type { ProducerIdentity } from "../coordinator/transaction/transaction_shard.ts";

const NO_PRODUCER: ProducerIdentity = { producerId: -1, producerEpoch: -1 };

/** Older clients know a fenced producer by another name. @param knownFrom The first version that knows it */
export function toldAs(code: KafkaErrorName, version: number, knownFrom: number): KafkaErrorName {
  return code === "producer_fenced" && version < knownFrom ? "invalid_producer_epoch" : code;
}

/** First version of InitProducerId that knows producer_fenced. */
const INIT_KNOWS_FROM = 4;
/** The same of AddPartitionsToTxn, AddOffsetsToTxn and EndTxn. */
export const KNOWS_FENCED_FROM = 2;
/** First version of EndTxn that tells what to go on with. */
const END_TELLS_FROM = 5;

export function initAnswer(
  outcome: Outcome<ProducerIdentity>,
  version: number,
): InitProducerIdResponse {
  const errorCode = outcome.ok
    ? NONE
    : wireCodeOf(toldAs(outcome.error.code, version, INIT_KNOWS_FROM));
  return {
    throttleTimeMs: 0,
    errorCode,
    ...(outcome.ok ? outcome.value : NO_PRODUCER),
    ongoingTxnProducerId: -1,
    ongoingTxnProducerEpoch: -1,
  };
}

export function endAnswer(outcome: Outcome<ProducerIdentity>, version: number): EndTxnResponse {
  const errorCode = outcome.ok
    ? NONE
    : wireCodeOf(toldAs(outcome.error.code, version, KNOWS_FENCED_FROM));
  const identity = outcome.ok && version >= END_TELLS_FROM ? outcome.value : NO_PRODUCER;
  return { throttleTimeMs: 0, errorCode, ...identity };
}

/** A partition of an AddPartitionsToTxn, and what became of it. */
export interface AddedPartition extends TopicPartition {
  readonly code: KafkaErrorName | null;
}

type TopicResults = AddPartitionsToTxnResponse["resultsByTopicV3AndBelow"];

/** By topic, in the order in which topics and partitions come. */
export function topicResultsOf(rows: readonly AddedPartition[]): TopicResults {
  const topics = new Map<string, TopicResults[number]["resultsByPartition"][number][]>();
  for (const { topic, partition, code } of rows) {
    const row = {
      partitionIndex: partition,
      partitionErrorCode: code === null ? NONE : wireCodeOf(code),
    };
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, [row]);
    else known.push(row);
  }
  return Array.from(topics, ([name, resultsByPartition]) => ({ name, resultsByPartition }));
}

type DescribedTransaction = DescribeTransactionsResponse["transactionStates"][number];

export function describedTransaction(transaction: Transaction): DescribedTransaction {
  return {
    errorCode: NONE,
    transactionalId: transaction.transactionalId,
    transactionState: STATE_NAMES[transaction.state],
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStartTimeMs: transaction.startMs,
    producerId: transaction.producerId,
    producerEpoch: transaction.producerEpoch,
    topics: Array.from(transaction.partitions, ([topic, numbers]) => ({
      topic,
      partitions: [...numbers],
    })),
  };
}

export function notDescribed(transactionalId: string, code: KafkaErrorName): DescribedTransaction {
  return {
    errorCode: wireCodeOf(code),
    transactionalId,
    transactionState: "",
    transactionTimeoutMs: 0,
    transactionStartTimeMs: 0,
    producerId: 0,
    producerEpoch: 0,
    topics: [],
  };
}
