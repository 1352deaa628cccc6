// Markers on their way into the partitions of transactions whose end is decided: which are left to write, and when to try again.
// Invariant: a transaction counts as complete only when each of its partitions has the marker or is no more; a marker that
// may have been written is written again rather than forgotten, which changes nothing in the partition.
// Kafka: TransactionMarkerChannelManager, TransactionMarkerRequestCompletionHandler.

import type { TopicPartition } from "../../../contracts/broker.ts";
import type { Logger } from "../../../contracts/runtime.ts";
import type { KafkaErrorName, Outcome } from "../../../protocol/errors.ts";
import type { MarkerWriter, TransactionMarker } from "./ports.ts";
import { listOf, type Transaction } from "./transaction.ts";

/** Before the second try, doubled for each one more. */
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1000;

/** The partition has moved on without us: a producer with a newer epoch has been there, or it takes no markers. */
const MOVED_ON: ReadonlySet<KafkaErrorName> = new Set([
  "invalid_producer_epoch",
  "unsupported_for_message_format",
  "unsupported_version",
]);
/** Errors that pass: they are not worth a line in the log. */
const PASSING: ReadonlySet<KafkaErrorName> = new Set([
  "unknown_topic_or_partition",
  "not_leader_or_follower",
  "not_enough_replicas",
  "not_enough_replicas_after_append",
  "request_timed_out",
  "kafka_storage_error",
  "coordinator_load_in_progress",
  "coordinator_not_available",
  "not_coordinator",
]);

interface Writing {
  left: TopicPartition[];
  underWay: number;
  tries: number;
  /** Another coordinator has taken over: nothing more is ours to do. */
  isFenced: boolean;
}

export interface MarkerWritesOptions {
  readonly markers: MarkerWriter;
  readonly coordinatorEpoch: number;
  readonly log: Logger;
  /** Calls `write` for that transaction again, after a while. */
  readonly again: (transactionalId: string, delayMs: number) => void;
}

export class MarkerWrites {
  readonly #options: MarkerWritesOptions;
  readonly #writing = new Map<string, Writing>();

  constructor(options: MarkerWritesOptions) {
    this.#options = options;
  }

  /** Whether markers may be written as soon as the decision is appended; else it has to be committed. */
  isOrdered({ partitions }: Transaction): boolean {
    for (const partition of listOf(partitions)) {
      if (!this.#options.markers.isOrderedWith(partition)) return false;
    }
    return true;
  }

  /**
   * Writes what is left to write of a decided end.
   *
   * @returns whether the transaction is complete; else `again` is called when there is more to know
   */
  write(transaction: Transaction): boolean {
    const { transactionalId, partitions } = transaction;
    const known = this.#writing.get(transactionalId);
    const writing = known ?? {
      left: [...listOf(partitions)],
      underWay: 0,
      tries: 0,
      isFenced: false,
    };
    if (writing.underWay > 0 || writing.isFenced) return false;
    const { markers } = this.#options;
    const marker = markerOf(transaction, this.#options.coordinatorEpoch);
    const { left } = writing;
    writing.left = [];
    for (const partition of left) {
      const written = markers.write(marker, partition);
      if (written === null) continue;
      writing.underWay++;
      void written.then((outcome) => this.#written(transactionalId, writing, partition, outcome));
    }
    if (writing.underWay > 0) {
      this.#writing.set(transactionalId, writing);
      return false;
    }
    this.#writing.delete(transactionalId);
    return true;
  }

  /** All of it is somebody else's now. */
  clear(): void {
    this.#writing.clear();
  }

  #written(
    transactionalId: string,
    writing: Writing,
    partition: TopicPartition,
    outcome: Outcome<null>,
  ): void {
    if (this.#writing.get(transactionalId) !== writing) return;
    writing.underWay--;
    if (!outcome.ok) this.#refused(transactionalId, writing, partition, outcome.error.code);
    if (writing.underWay > 0 || writing.isFenced) return;
    const isDone = writing.left.length === 0;
    const delayMs = isDone ? 0 : Math.min(RETRY_MS_MIN * 2 ** writing.tries++, RETRY_MS_MAX);
    this.#options.again(transactionalId, delayMs);
  }

  #refused(
    transactionalId: string,
    writing: Writing,
    { topic, partition }: TopicPartition,
    code: KafkaErrorName,
  ): void {
    const { log } = this.#options;
    if (code === "transaction_coordinator_fenced") {
      log.warn("transaction_coordinator_fenced", { transactionalId, topic, partition });
      writing.isFenced = true;
      return;
    }
    // Kafka stops here, and leaves the transactional id unusable until its coordinator moves. What a newer epoch was let into the
    // partition for is that this transaction has ended there.
    if (MOVED_ON.has(code)) {
      log.error("transaction_marker_refused", { transactionalId, topic, partition, code });
      return;
    }
    if (!PASSING.has(code)) {
      log.warn("transaction_marker_failed", { transactionalId, topic, partition, code });
    }
    writing.left.push({ topic, partition });
  }
}

/** The end of a transaction that is decided. */
export function markerOf(
  { producerId, producerEpoch, state, clientVersion }: Transaction,
  coordinatorEpoch: number,
): TransactionMarker {
  return {
    producerId,
    producerEpoch,
    coordinatorEpoch,
    isCommit: state === "prepare_commit",
    transactionVersion: clientVersion,
  };
}
