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
   * True: the partition lies in the journal that the coordinator's own records lie in, so that appending in order is enough (a
   * prefix survives). False: the coordinator waits until the decision is committed before it calls `write`.
   */
  isOrderedWith(partition: TopicPartition): boolean;
  /**
   * Writes the marker into one partition. Those that are written in one turn may travel together.
   *
   * @returns Null: there is nothing to wait for, since the marker lies in the coordinator's journal behind all that was appended
   *   before, or since the partition does not exist any more. Else what became of it, once it is committed or refused: never a
   *   rejection. Errors that pass (a shard that loads, another leader) are for the caller to try again.
   */
  write(marker: TransactionMarker, partition: TopicPartition): null | Promise<Outcome<null>>;
}

/** Asked by the log before a transactional batch of a producer that has no open transaction in the partition. */
export interface TransactionGate {
  /**
   * Whether the batches of these partitions may be appended now, all of them or none: with `adds` the partitions join the
   * transaction (Produce v12+, TxnOffsetCommit v5+), by one record, else they must have been added by AddPartitionsToTxn. Not a
   * promise where the shard of the transactional id is loaded; what it decided lies in the log then, so that a batch that is
   * appended at once comes after it.
   *
   * Codes are the coordinator's own words, which whoever asks puts into those of its request and version: "producer_fenced",
   * "invalid_producer_id_mapping", "concurrent_transactions", "transaction_abortable" where a partition was not added; and
   * "coordinator_not_available", "coordinator_load_in_progress" or "not_coordinator" where it cannot say now.
   */
  admit(
    transactionalId: string,
    producerId: number,
    producerEpoch: number,
    partitions: readonly TopicPartition[],
    adds: boolean,
  ): Outcome<null> | Promise<Outcome<null>>;
}
