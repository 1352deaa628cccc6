// Holds the first batches of transactions until the coordinator has said that they may be appended, and what the same
// producer sends to the same partition meanwhile behind them.
// Invariant: batches of one producer go into one partition in the order in which they came; none begins a transaction
// that ended while the coordinator was asked. Kafka: ReplicaManager.handleProduceAppend, VerificationGuard.

import type { TopicPartition } from "../../contracts/broker.ts";
import type { Clock, Scheduler } from "../../contracts/runtime.ts";
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

/** What becomes of a batch: a plain value where nothing has to be waited for. */
export type Passed<R> = R | KafkaError | Promise<R | KafkaError>;

export interface FirstBatchGateOptions {
  readonly gate: TransactionGate;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** How long to wait before a coordinator that is busy with an end is asked again. */
  readonly retryMs: () => number;
  /** For how long it is asked at all; what is not let in by then is refused, and the client tries again. */
  readonly retryMsMax: () => number;
}

/** One that the coordinator has to be asked about, and where its answer goes. */
interface Asked<R> {
  readonly at: number;
  readonly wanted: Transactional<R>;
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

/** It is another producer's transactional id, or a producer's that is over. */
const FINAL: ReadonlySet<KafkaErrorName> = new Set([
  "invalid_producer_id_mapping",
  "producer_fenced",
]);

export class FirstBatchGate {
  readonly #options: FirstBatchGateOptions;
  /** What waits behind a question, by log and producer. */
  readonly #asking = new Map<PartitionLog, Map<number, (() => void)[]>>();

  constructor(options: FirstBatchGateOptions) {
    this.#options = options;
  }

  /** Takes the transactional batches of one request: all of one producer, under one epoch. @returns one for each */
  pass<R>(all: readonly Transactional<R>[]): Passed<R>[] {
    if (all.length === 1) return [this.#passOne(all[0]!)];
    const passed: Passed<R>[] = new Array(all.length);
    let asked: Map<PartitionLog, Asked<R>> | null = null;
    /** Second batches for a partition, which come behind the first. */
    let behind: Asked<R>[] | null = null;
    for (let at = 0; at < all.length; at++) {
      const wanted = all[at]!;
      const now = this.#passNow(wanted);
      if (now !== null) {
        passed[at] = now;
        continue;
      }
      asked ??= new Map();
      if (asked.has(wanted.log)) {
        behind ??= [];
        behind.push({ at, wanted });
      } else asked.set(wanted.log, { at, wanted });
    }
    if (asked === null) return passed;
    const each = [...asked.values()];
    // Partitions join by one record; of those that were added before, each may be refused by itself.
    if (each[0]!.wanted.adds) this.#askFor(each, passed);
    else for (const one of each) this.#askFor([one], passed);
    for (const { at, wanted } of behind ?? []) passed[at] = this.#passOne(wanted);
    return passed;
  }

  #passOne<R>(wanted: Transactional<R>): Passed<R> {
    const now = this.#passNow(wanted);
    if (now !== null) return now;
    const passed: Passed<R>[] = [];
    this.#askFor([{ at: 0, wanted }], passed);
    return passed[0]!;
  }

  /** Null: the coordinator has to be asked. */
  #passNow<R>(wanted: Transactional<R>): Passed<R> | null {
    const { log, batch } = wanted;
    const { producerId, producerEpoch } = batch;
    const waiting = this.#asking.get(log)?.get(producerId);
    if (waiting !== undefined) {
      return new Promise((resolve) => waiting.push(() => resolve(this.#passOne(wanted))));
    }
    if (log.hasOpenTransaction(producerId, producerEpoch) || isRepeated(log, batch)) {
      return wanted.append(null);
    }
    if (wanted.transactionalId === null) return kafkaError("invalid_txn_state", NOT_ASKED);
    const newestEpoch = log.producers?.get(producerId)?.epoch ?? producerEpoch;
    // It would be refused in the end, after its partition had joined.
    if (producerEpoch < newestEpoch) {
      const why = `Epoch ${producerEpoch} of producer ${producerId} is older than ${newestEpoch}, the newest seen`;
      return kafkaError("invalid_producer_epoch", why);
    }
    return null;
  }

  #askFor<R>(asked: readonly Asked<R>[], passed: Passed<R>[]): void {
    const noted = this.#noted(asked);
    const said = this.#say(asked);
    if (!(said instanceof Promise) && !isBusy(said, asked[0]!)) {
      for (const [i, { at, wanted }] of asked.entries()) passed[at] = goOn(wanted, noted[i]!, said);
      return;
    }
    const waiting = this.#wait(asked, noted, said);
    for (const [i, { at }] of asked.entries()) passed[at] = waiting.then((all) => all[i]!);
  }

  /** Never rejects, unless an append does: then for all of them. */
  async #wait<R>(
    asked: readonly Asked<R>[],
    noted: readonly FirstBatch[],
    saying: Outcome<null> | Promise<Outcome<null>>,
  ): Promise<(R | KafkaError)[]> {
    const queues = asked.map(({ wanted }) => this.#queueFor(wanted));
    try {
      const { clock, retryMsMax } = this.#options;
      const startedMs = clock.monotonicMs();
      let first = noted;
      let said = await saying;
      while (isBusy(said, asked[0]!) && clock.monotonicMs() - startedMs < retryMsMax()) {
        await this.#backOff();
        first = this.#noted(asked);
        said = await this.#say(asked);
      }
      return asked.map(({ wanted }, i) => goOn(wanted, first[i]!, said));
    } finally {
      for (const { wanted } of asked) this.#endQueue(wanted);
      for (const queue of queues) for (const next of queue) next();
    }
  }

  #queueFor({ log, batch }: Transactional<unknown>): readonly (() => void)[] {
    const queue: (() => void)[] = [];
    const producers = this.#asking.get(log);
    if (producers === undefined) this.#asking.set(log, new Map([[batch.producerId, queue]]));
    else producers.set(batch.producerId, queue);
    return queue;
  }

  #endQueue({ log, batch }: Transactional<unknown>): void {
    const producers = this.#asking.get(log);
    producers?.delete(batch.producerId);
    if (producers?.size === 0) this.#asking.delete(log);
  }

  #say(asked: readonly Asked<unknown>[]): Outcome<null> | Promise<Outcome<null>> {
    const { transactionalId, batch, adds } = asked[0]!.wanted;
    const partitions = asked.map(({ wanted }) => wanted.partition);
    const { producerId, producerEpoch } = batch;
    return this.#options.gate.admit(transactionalId!, producerId, producerEpoch, partitions, adds);
  }

  #noted(asked: readonly Asked<unknown>[]): readonly FirstBatch[] {
    const wallMs = this.#options.clock.wallMs();
    return asked.map(({ wanted: { log, batch, adds } }) => noted(log, batch, adds, wallMs));
  }

  #backOff(): Promise<void> {
    const { scheduler, retryMs } = this.#options;
    return new Promise((resolve) => {
      scheduler.after(retryMs(), "first_batch_retry", resolve);
    });
  }
}

/** The transaction before is ending: it would take longer to let the client come back, with all its records. */
function isBusy(said: Outcome<null>, { wanted }: Asked<unknown>): boolean {
  return !said.ok && said.error.code === "concurrent_transactions" && wanted.adds;
}

function goOn<R>(wanted: Transactional<R>, first: FirstBatch, said: Outcome<null>): R | KafkaError {
  const { log, batch, adds } = wanted;
  if (!said.ok) {
    const { code, message } = said.error;
    // Nobody comes back with it: what was noted of it would keep nothing out but the memory.
    if (FINAL.has(code)) forget(wanted, first);
    const isOldBusy = code === "concurrent_transactions" && !adds;
    const told = isOldBusy ? "not_enough_replicas" : (TOLD_AS[code] ?? code);
    return kafkaError(told, message);
  }
  // A marker came meanwhile: what is appended now would stay open for ever.
  if (log.firstBatches?.get(batch.producerId) !== first) {
    return kafkaError("invalid_txn_state", ENDED);
  }
  return wanted.append(first);
}

function forget({ log, batch }: Transactional<unknown>, first: FirstBatch): void {
  const { producerId, producerEpoch } = batch;
  const isOurs = log.firstBatches?.get(producerId) === first && first.epoch === producerEpoch;
  if (isOurs) log.firstBatches?.delete(producerId);
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
      isOfSecondProtocol: adds,
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
