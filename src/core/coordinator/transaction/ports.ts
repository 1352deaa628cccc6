// What the transaction coordinator asks of the rest of the broker, and what the log asks of it: the seams between
// coordinator/transaction, the partition logs and the groups. Types alone (ADR 38).

import type { TopicPartition } from "../../../contracts/broker.ts";
import type { Outcome } from "../../../protocol/errors.ts";

/** The end of one transaction, as it goes into every partition that took part. Kafka: TxnMarkerEntry. */
export interface TransactionMarker {
  readonly producerId: number;
  /** Of the marker: with the second protocol one more than that of the batches it ends (KIP-890). */
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly isCommit: boolean;
  /** 0 and 1: as Kafka tells the protocols apart in WriteTxnMarkers v2; a marker of an epoch already used is refused with 2. */
  readonly transactionVersion: number;
}

/** Where markers go: partitions that this broker leads; in a cluster, other brokers' too. */
export interface MarkerWriter {
  /**
   * True: partitions lie in the journal that the coordinator's own records lie in, so that appending in order is enough (a prefix
   * survives). False: the coordinator waits until the decision is committed before it calls `write`.
   */
  isOrderedWith(partition: TopicPartition): boolean;
  /**
   * Appends the marker before it returns, where the partition is ordered with the coordinator. Resolves with an outcome for each
   * partition, in order, once it is committed. A partition that does not exist any more counts as written. Errors that pass
   * (a shard that loads, another leader) are for the caller to try again.
   */
  write(
    marker: TransactionMarker,
    partitions: readonly TopicPartition[],
  ): Promise<readonly Outcome<null>[]>;
}

/** Asked by the log before a transactional batch of a producer that has no open transaction in the partition. */
export interface TransactionGate {
  /**
   * Whether the batch may be appended now: with `adds` the partition joins the transaction (Produce v12+, transaction.version 2),
   * else it must have been added by AddPartitionsToTxn. Not a promise where it can be said at once.
   * Codes: invalid_txn_state, invalid_producer_epoch, producer_fenced, invalid_producer_id_mapping,
   * concurrent_transactions (clients try again), not_coordinator and coordinator_* as not_enough_replicas or what Kafka says.
   */
  admit(
    transactionalId: string,
    producerId: number,
    producerEpoch: number,
    partition: TopicPartition,
    adds: boolean,
  ): Outcome<null> | Promise<Outcome<null>>;
}
