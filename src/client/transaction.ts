// What the body of a transaction is given, and what it is told: `Client.transaction`.
// Kafka: none; there it is a loop of one's own over KafkaProducer and KafkaConsumer.

import type { GroupMetadata, OffsetToCommit } from "./group/group_options.ts";
import type { GroupConsumer } from "./group_consumer.ts";
import type { Delivery } from "./producer_batch.ts";
import type { ProducerRecord } from "./producer_record.ts";
import type { TransactionalProducerOptions } from "./transactional_producer.ts";

/** How a transaction is made. */
export interface TransactionOptions {
  /**
   * A name that outlives this program: who begins with it next aborts at once what this one left open, and only one transaction of
   * it runs at a time. Left out: a name of this client's own, as many at a time as are begun; what a crash leaves open is aborted
   * after its time-out.
   */
  readonly transactionalId?: string;
  /** The broker aborts what takes longer, in ms. Default 60,000. */
  readonly transactionTimeoutMs?: number;
  /** How its producer works; what the first transaction of a `transactionalId` says holds for all of them. */
  readonly producer?: Omit<
    TransactionalProducerOptions,
    "transactionalId" | "transactionTimeoutMs"
  >;
  /** Until beginning, committing or aborting gives up, each, retries included, in ms. The client's `timeoutMs` when left out. */
  readonly timeoutMs?: number;
}

/** A transaction while its body runs. Nothing goes into it afterwards. */
export interface TransactionScope {
  readonly transactionalId: string;
  /** Sends a record. Need not be awaited: what is not delivered keeps the transaction from being committed. */
  send(record: ProducerRecord): Promise<Delivery>;
  /** Sends records; one promise for all of them. Need not be awaited either. */
  sendAll(records: readonly ProducerRecord[]): Promise<readonly Delivery[]>;
  /** Takes a record without a promise of its own: null while there is room, else one to await before the next. */
  enqueue(record: ProducerRecord): Promise<void> | null;
  /**
   * Commits with the transaction what this consumer has handed out when the body ends (or before partitions go to another), what
   * is in hand included; and if the transaction is aborted, the consumer goes back to what was committed before. Where it is not
   * known whether it was committed, the consumer ends with that error: whoever joins the group next waits until it is. Call it first.
   *
   * @throws {ClientError} "invalid_request": the consumer is not made with `autoCommit: false`, or is in another transaction
   */
  commitOffsets(consumer: GroupConsumer): void;
  /**
   * Commits offsets, each that of the next record to read, for a group: a name alone for one without members, or what
   * `groupMetadata` of a consumer says. Need not be awaited.
   */
  commitOffsets(group: string | GroupMetadata, offsets: readonly OffsetToCommit[]): Promise<void>;
}
