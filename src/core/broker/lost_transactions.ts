// After damage to the journal: what stands open in a log though its coordinator has nothing open there is aborted, since the
// marker that ended it is lost and nobody will write another. Invariant: what the coordinator has open, or may have, is
// left alone. Kafka leaves such transactions to kafka-transactions find-hanging and abort.

import type { TopicPartition } from "../../contracts/broker.ts";
import type { Logger, Scheduler, Timer } from "../../contracts/runtime.ts";
import type { Outcome } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { hasPartition, type Transaction } from "../coordinator/transaction/transaction.ts";
import type { PartitionLog } from "../log/partition_log.ts";
import type { ProducerEntry } from "../log/producer_state.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { LocalMarkers } from "./local_markers.ts";

const RETRY_MS = 10_000;
const RETRY_MS_MAX = 640_000;
const NO_PRODUCERS: readonly [number, ProducerEntry][] = [];

export interface LostTransactionsOptions {
  readonly cluster: Cluster;
  readonly logs: LogManager;
  readonly markers: LocalMarkers;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** Of every shard: the transactions that are open, or are being ended. */
  readonly ask: () => Promise<readonly Outcome<readonly Transaction[]>[]>;
}

interface Open extends TopicPartition {
  readonly log: PartitionLog;
  readonly producerId: number;
  readonly firstOffset: number;
}

export class LostTransactions {
  readonly #options: LostTransactionsOptions;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(options: LostTransactionsOptions) {
    this.#options = options;
  }

  /** Aborts what is lost; asks again by itself while some shard cannot be asked. */
  async abort(retryMs = RETRY_MS): Promise<void> {
    if (this.#isClosed || !this.#wasDamaged) return;
    // Those that stand open now: what is begun while the shards are asked is none of ours.
    const open = this.#open();
    if (open.length === 0) return;
    const known = new Map<number, Transaction>();
    for (const outcome of await this.#options.ask()) {
      if (!outcome.ok) return this.#abortLater(retryMs);
      for (const transaction of outcome.value) {
        known.set(transaction.producerId, transaction);
        // An id whose epochs are used up gets another producer id while its last transaction ends.
        known.set(transaction.previousProducerId, transaction);
      }
    }
    const isKnown = (each: Open) => {
      const transaction = known.get(each.producerId);
      return transaction !== undefined && hasPartition(transaction.partitions, each);
    };
    this.#abort(open.filter((each) => !isKnown(each)));
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #abortLater(retryMs: number): void {
    if (this.#isClosed) return;
    const { scheduler } = this.#options;
    this.#timer = scheduler.after(retryMs, "transactions_lost", () =>
      scheduler.spawn("transactions_lost", () => this.abort(Math.min(retryMs * 2, RETRY_MS_MAX))),
    );
  }

  #abort(lost: readonly Open[]): void {
    const { markers, log: logger } = this.#options;
    let count = 0;
    for (const { topic, partition, log, producerId, firstOffset } of lost) {
      const entry = log.producers?.get(producerId);
      // It has been ended meanwhile.
      if (entry?.transactionStartOffset !== firstOffset) continue;
      const marker = {
        producerId,
        // By the first protocol the producer goes on with it.
        producerEpoch: entry.epoch,
        coordinatorEpoch: Math.max(entry.coordinatorEpoch, 0),
        isCommit: false,
        transactionVersion: 1,
      };
      if (markers.append(marker, { topic, partition }).ok) count++;
    }
    if (count > 0) logger.warn("transactions_lost", { count });
  }

  #open(): Open[] {
    const { cluster, logs } = this.#options;
    const found: Open[] = [];
    for (const topic of cluster.image.topicsByName.keys()) {
      for (const log of logs.topicNamed(topic)?.logs.values() ?? []) {
        for (const [producerId, entry] of log.producers?.entries() ?? NO_PRODUCERS) {
          const { transactionStartOffset: firstOffset } = entry;
          if (firstOffset < 0) continue;
          found.push({ topic, partition: log.partition, log, producerId, firstOffset });
        }
      }
    }
    return found;
  }

  get #wasDamaged(): boolean {
    const { cluster, logs } = this.#options;
    for (const file of logs.journal.files.values()) if (file.isDamaged) return true;
    for (const topic of cluster.image.topicsByName.keys()) {
      for (const log of logs.topicNamed(topic)?.logs.values() ?? []) if (log.hasHole) return true;
    }
    return false;
  }
}
