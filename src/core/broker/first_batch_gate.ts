// Holds the first batches of transactions until the coordinator has said that they may be appended, and what the same
// producer sends to the same partition meanwhile behind them.
// Invariant: batches of one producer go into one partition in the order in which they came; none begins a transaction
// that ended while the coordinator was asked. Kafka: ReplicaManager.maybeSendPartitionsToTransactionCoordinator,
// VerificationGuard.

import type { TopicPartition } from "../../contracts/broker.ts";
import type { Clock } from "../../contracts/runtime.ts";
import {
  type KafkaError,
  type KafkaErrorName,
  kafkaError,
  type Outcome,
} from "../../protocol/errors.ts";
import type { TransactionGate } from "../coordinator/transaction/ports.ts";
import type { PartitionLog } from "../log/partition_log.ts";
import type { FirstBatch } from "../log/producer_state.ts";
import type { ValidBatch } from "../log/validate_batches.ts";

/** A transactional batch that wants to be appended. */
export interface Transactional<R> {
  readonly log: PartitionLog;
  readonly batch: ValidBatch;
  readonly partition: TopicPartition;
  readonly transactionalId: string | null;
  /** The partition joins the transaction with it (Produce v12 on). */
  readonly adds: boolean;
  /** Appends it, now. */
  append(first: FirstBatch | null): R;
}

const NOT_ASKED =
  "The batch is transactional, its producer has no open transaction in the partition, and the request names no transactional id";
const ENDED = "The transaction ended before its first batch was appended";

/** What older clients would not try again becomes something that they do. Kafka: ReplicaManager.handleProduceAppend. */
const TOLD_AS: Partial<Record<KafkaErrorName, KafkaErrorName>> = {
  network_exception: "not_enough_replicas",
  coordinator_load_in_progress: "not_enough_replicas",
  coordinator_not_available: "not_enough_replicas",
  not_coordinator: "not_enough_replicas",
  producer_fenced: "invalid_producer_epoch",
};

export class FirstBatchGate {
  readonly #gate: TransactionGate;
  readonly #clock: Clock;
  /** What waits behind a question, by log and producer. */
  readonly #asking = new Map<PartitionLog, Map<number, (() => void)[]>>();

  constructor(gate: TransactionGate, clock: Clock) {
    this.#gate = gate;
    this.#clock = clock;
  }

  /** A plain value where nothing has to be waited for. */
  pass<R>(wanted: Transactional<R>): R | KafkaError | Promise<R | KafkaError> {
    const { log, batch } = wanted;
    const { producerId, producerEpoch } = batch;
    const waiting = this.#asking.get(log)?.get(producerId);
    if (waiting !== undefined) {
      return new Promise((resolve) => waiting.push(() => resolve(this.pass(wanted))));
    }
    if (log.hasOpenTransaction(producerId, producerEpoch) || isRepeated(log, batch)) {
      return wanted.append(null);
    }
    if (wanted.transactionalId === null) return kafkaError("invalid_txn_state", NOT_ASKED);
    const first = noted(log, batch, wanted.adds, this.#clock.wallMs());
    const said = this.#gate.admit(
      wanted.transactionalId,
      producerId,
      producerEpoch,
      wanted.partition,
      wanted.adds,
    );
    return said instanceof Promise ? this.#ask(wanted, first, said) : goOn(wanted, first, said);
  }

  async #ask<R>(
    wanted: Transactional<R>,
    first: FirstBatch,
    saying: Promise<Outcome<null>>,
  ): Promise<R | KafkaError> {
    const { log, batch } = wanted;
    const behind: (() => void)[] = [];
    let producers = this.#asking.get(log);
    if (producers === undefined) {
      producers = new Map();
      this.#asking.set(log, producers);
    }
    producers.set(batch.producerId, behind);
    try {
      return goOn(wanted, first, await saying);
    } finally {
      producers.delete(batch.producerId);
      if (producers.size === 0) this.#asking.delete(log);
      for (const next of behind) next();
    }
  }
}

function goOn<R>(wanted: Transactional<R>, first: FirstBatch, said: Outcome<null>): R | KafkaError {
  const { log, batch, adds } = wanted;
  if (!said.ok) {
    const { code, message } = said.error;
    const isBusy = code === "concurrent_transactions" && !adds;
    const told = isBusy ? "not_enough_replicas" : (TOLD_AS[code] ?? code);
    return kafkaError(told, message);
  }
  // A marker came meanwhile: what is appended now would stay open for ever.
  if (log.firstBatches?.get(batch.producerId) !== first) {
    return kafkaError("invalid_txn_state", ENDED);
  }
  return wanted.append(first);
}

/** Its answer is known already, and it begins nothing. */
function isRepeated(log: PartitionLog, batch: ValidBatch): boolean {
  const { producerId, producerEpoch, baseSequence, recordCount } = batch;
  const verdict = log.producers?.check(producerId, producerEpoch, baseSequence, recordCount, true);
  return verdict?.kind === "duplicate";
}

/** Kafka: ProducerStateManager.maybeCreateVerificationStateEntry. */
function noted(log: PartitionLog, batch: ValidBatch, adds: boolean, wallMs: number): FirstBatch {
  const { producerId, producerEpoch, baseSequence } = batch;
  log.firstBatches ??= new Map();
  let first = log.firstBatches.get(producerId);
  if (first === undefined) {
    first = {
      epoch: producerEpoch,
      lowestSequence: baseSequence,
      startsAtZero: adds,
      askedMs: wallMs,
    };
    log.firstBatches.set(producerId, first);
  } else if (producerEpoch > first.epoch) {
    first.epoch = producerEpoch;
    first.lowestSequence = baseSequence;
  } else if (producerEpoch === first.epoch) {
    first.lowestSequence = Math.min(first.lowestSequence, baseSequence);
  }
  return first;
}
