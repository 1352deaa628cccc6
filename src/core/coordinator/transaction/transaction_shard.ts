// One partition of __transaction_state: its transactional ids, what producers and the log ask of them, and what time does to
// them. Invariant: a transaction ends by one record, "prepare", and nothing undoes it: markers follow, and "complete" when all of
// them are written; whoever comes between is told to try again.
// Kafka: TransactionCoordinator, TransactionStateManager.

import type { TopicPartition } from "../../../contracts/broker.ts";
import type { Logger } from "../../../contracts/runtime.ts";
import type { KafkaErrorName, Outcome } from "../../../protocol/errors.ts";
import { refuse } from "../../../protocol/errors.ts";
import {
  answer,
  type Decision,
  NO_DECISION,
  type Now,
  type Reply,
  type Shard,
  type ShardTimers,
} from "../runtime/shard.ts";
import { type AddAsk, addPartitions, type ProducerAsk, verifyPartition } from "./add_partitions.ts";
import { completed, type EndAsk, type Ended, endTransaction, fence } from "./end_transaction.ts";
import { type InitAsk, initProducerId } from "./init_producer_id.ts";
import { MarkerWrites, markerOf } from "./marker_writes.ts";
import type { MarkerWriter } from "./ports.ts";
import {
  bumpedEpoch,
  isPrepared,
  listOf,
  NO_PRODUCER_EPOCH,
  NO_TIMEOUT_MS,
  type Transaction,
  type TransactionState,
} from "./transaction.ts";
import { recordOf, type TransactionRecord, tombstoneOf } from "./transaction_record.ts";
import type { TransactionSettings } from "./transaction_settings.ts";

type Decided = Decision<TransactionRecord>;

/** A producer's id and epoch. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Whether a batch may be appended, once the decision about it has been taken. */
export interface Admitted {
  readonly outcome: Outcome<null>;
}

/** What ListTransactions looks for. */
export interface ListFilter {
  /** Empty: of any. */
  readonly producerIds: ReadonlySet<number>;
  /** Null: of any. */
  readonly states: ReadonlySet<TransactionState> | null;
  /** Begun longer ago than that; below 0: at any time. */
  readonly durationMs: number;
}

export interface TransactionShardOptions {
  readonly timers: ShardTimers<TransactionRecord>;
  readonly settings: TransactionSettings;
  readonly markers: MarkerWriter;
  /** The leader epoch of the shard's partition, which markers carry. */
  readonly coordinatorEpoch: number;
  /** A fresh producer id; null when none is at hand: whoever needs one asks again. */
  readonly takeProducerId: () => number | null;
  readonly log: Logger;
}

/** Most tombstones of one decision: some milliseconds of encoding. */
const EXPIRED_MAX = 1000;
/** Most bytes by which the record of an end may be larger than that of the last partition: what was begun can be ended. */
const END_BYTES_MAX = 64;
/** Until a completion that the topic does not take any more is tried again. */
const TOO_LARGE_RETRY_MS = 10_000;
const TIMEOUTS_KEY = "timeouts";
const EXPIRY_KEY = "expiry";

export class TransactionShard implements Shard<TransactionRecord> {
  readonly #options: TransactionShardOptions;
  readonly #byId = new Map<string, Transaction>();
  /** By transactional id: the epoch by which a repeated InitProducerId is known. Soft. */
  readonly #earlierEpochs = new Map<string, number>();
  /** When each open transaction has had its time, on the monotonic clock; not of those without timeout. Soft. */
  readonly #deadlines = new Map<string, number>();
  readonly #writes: MarkerWrites;

  constructor(options: TransactionShardOptions) {
    this.#options = options;
    const { markers, coordinatorEpoch, log, timers } = options;
    this.#writes = new MarkerWrites({
      markers,
      coordinatorEpoch,
      log,
      again: (id, delayMs) =>
        timers.set(`markers ${id}`, delayMs, (now) => this.#complete([id], now)),
    });
  }

  /** Every transactional id. */
  all(): Iterable<Transaction> {
    return this.#byId.values();
  }

  get(transactionalId: string): Transaction | undefined {
    return this.#byId.get(transactionalId);
  }

  // The log

  replay({ transactionalId, transaction }: TransactionRecord): void {
    if (transaction === null) {
      this.#byId.delete(transactionalId);
      this.#earlierEpochs.delete(transactionalId);
    } else this.#byId.set(transactionalId, transaction);
    if (transaction?.state !== "ongoing") this.#deadlines.delete(transactionalId);
  }

  loaded(now: Now): Decided {
    const { timers, settings } = this.#options;
    const prepared: string[] = [];
    for (const each of this.#byId.values()) {
      if (each.state === "ongoing") this.#begun(each, deadlineOf(each, now));
      else if (isPrepared(each)) prepared.push(each.transactionalId);
    }
    this.#checkTimeoutsLater();
    timers.set(EXPIRY_KEY, settings.expiryCheckMs, (then) => this.#expire(then));
    if (prepared.length > 0) timers.set("prepared", 0, (then) => this.#complete(prepared, then));
    return NO_DECISION;
  }

  dropped(): void {
    this.#writes.clear();
  }

  /**
   * The topic is gone, and with it all that anybody knows of these transactions: what is decided is written into their
   * partitions now, and what is open is aborted there, so that nobody waits for it for ever.
   */
  abandon(): void {
    const { markers, coordinatorEpoch, log } = this.#options;
    let count = 0;
    for (const each of this.#byId.values()) {
      if (each.state !== "ongoing" && !isPrepared(each)) continue;
      const decided = markerOf(each, coordinatorEpoch);
      const producerEpoch = bumpedEpoch(each.producerEpoch);
      const marker = isPrepared(each)
        ? decided
        : { ...decided, producerEpoch, transactionVersion: 2 };
      // What is refused here nobody can write later.
      for (const partition of listOf(each.partitions)) void markers.write(marker, partition);
      count++;
    }
    if (count > 0) log.warn("transactions_abandoned", { count });
  }

  // Requests

  /** Refused with "concurrent_transactions" while a transaction ends, and after one was open, which is aborted. */
  initProducerId(ask: InitAsk, now: Now, reply: Reply<Outcome<ProducerIdentity>>): Decided {
    const { transactionalId } = ask;
    const known = this.#byId.get(transactionalId);
    const { takeProducerId } = this.#options;
    const earlierEpoch = this.#earlierEpochs.get(transactionalId) ?? NO_PRODUCER_EPOCH;
    const inited = initProducerId(known, earlierEpoch, ask, now.wallMs, takeProducerId);
    switch (inited.kind) {
      case "refused":
        return refused(reply, inited.code);
      case "fence": {
        const ended = fence(known!, this.#level, now.wallMs, takeProducerId);
        if (ended.kind !== "next") return refused(reply, codeOf(ended));
        return {
          ...this.#ended([ended]),
          answers: [answer(reply, refuse("concurrent_transactions"))],
        };
      }
      case "next": {
        this.#remember(transactionalId, inited.earlierEpoch);
        return {
          records: [this.#record(inited.next)],
          answers: [answer(reply, identityOf(inited.next))],
        };
      }
    }
  }

  addPartitions(ask: AddAsk, now: Now, reply: Reply<Outcome<null>>): Decided {
    const added = this.#add(ask, now);
    const { records, outcome } = added;
    return { records, answers: [answer(reply, outcome)], spareBytes: END_BYTES_MAX };
  }

  /** @returns for each of the partitions why it is not in the transaction, or null */
  verifyPartitions(
    ask: ProducerAsk,
    partitions: readonly TopicPartition[],
    reply: Reply<Outcome<readonly (KafkaErrorName | null)[]>>,
  ): Decided {
    const known = this.#byId.get(ask.transactionalId);
    const value = partitions.map((each) => verifyPartition(known, ask, each));
    return { records: [], answers: [answer(reply, { ok: true as const, value })] };
  }

  /** For the log: whether batches may go into all of the partitions. They join with `adds`, else they must have been added. */
  admit(
    ask: ProducerAsk,
    partitions: readonly TopicPartition[],
    adds: boolean,
    now: Now,
  ): { readonly decision: Decided; readonly result: Admitted } {
    if (!adds) {
      const known = this.#byId.get(ask.transactionalId);
      let outcome = NOTHING;
      for (const partition of partitions) {
        const code = verifyPartition(known, ask, partition);
        if (code !== null && outcome.ok) outcome = refuse(code);
      }
      return { decision: NO_DECISION, result: { outcome } };
    }
    const added = this.#add({ ...ask, partitions, clientVersion: 2 }, now);
    const result = { outcome: added.outcome };
    const tooLarge = () => {
      result.outcome = refuse("unknown_server_error");
      return NO_DECISION;
    };
    const { records } = added;
    return { decision: { records, answers: [], tooLarge, spareBytes: END_BYTES_MAX }, result };
  }

  /** @returns what the producer goes on with; by the older protocol that is what it has */
  endTransaction(ask: EndAsk, now: Now, reply: Reply<Outcome<ProducerIdentity>>): Decided {
    const known = this.#byId.get(ask.transactionalId);
    const ended = endTransaction(known, ask, now.wallMs, this.#options.takeProducerId);
    switch (ended.kind) {
      case "refused":
        return refused(reply, ended.code);
      case "done":
        return { records: [], answers: [answer(reply, identityOf(known!))] };
      case "next": {
        const goesOnWith = identityOf(completed(ended.next, now.wallMs));
        return { ...this.#ended([ended]), answers: [answer(reply, goesOnWith)] };
      }
    }
  }

  /** @returns undefined where there is none of that id */
  describe(transactionalId: string, reply: Reply<Outcome<Transaction | undefined>>): Decided {
    const known = this.#byId.get(transactionalId);
    const value = known?.state === "dead" ? undefined : known;
    return { records: [], answers: [answer(reply, { ok: true as const, value })] };
  }

  list(filter: ListFilter, now: Now, reply: Reply<readonly Transaction[]>): Decided {
    const { producerIds, states, durationMs } = filter;
    const found: Transaction[] = [];
    for (const each of this.#byId.values()) {
      if (each.state === "dead") continue;
      if (producerIds.size > 0 && !producerIds.has(each.producerId)) continue;
      if (states !== null && !states.has(each.state)) continue;
      if (durationMs >= 0 && now.wallMs - each.startMs <= durationMs) continue;
      found.push(each);
    }
    return { records: [], answers: [answer(reply, found)] };
  }

  // Ends

  #add(ask: AddAsk, now: Now): { records: readonly TransactionRecord[]; outcome: Outcome<null> } {
    const { transactionalId } = ask;
    const known = this.#byId.get(transactionalId);
    const added = addPartitions(known, ask, now.wallMs);
    if (added.kind === "refused") return { records: [], outcome: refuse(added.code) };
    if (added.kind === "there") return { records: [], outcome: NOTHING };
    if (known!.state !== "ongoing") {
      this.#begun(added.next, now.monotonicMs + added.next.timeoutMs);
      this.#checkTimeoutsLater();
    }
    return { records: [this.#record(added.next)], outcome: NOTHING };
  }

  /** Ends that are decided: their records, and the markers that follow. */
  #ended(ends: readonly Extract<Ended, { kind: "next" }>[]): Omit<Decided, "answers"> {
    const ids: string[] = [];
    let isOrdered = true;
    for (const { next, earlierEpoch } of ends) {
      ids.push(next.transactionalId);
      if (earlierEpoch !== "same") this.#remember(next.transactionalId, earlierEpoch);
      isOrdered &&= this.#writes.isOrdered(next);
    }
    return {
      records: ends.map(({ next }) => this.#record(next)),
      follow: {
        after: isOrdered ? "appended" : "committed",
        decide: (now) => this.#complete(ids, now),
      },
    };
  }

  /** Writes markers of ends that are decided, and completes those that have them all. */
  #complete(transactionalIds: readonly string[], now: Now): Decided {
    const records: TransactionRecord[] = [];
    for (const id of transactionalIds) {
      const known = this.#byId.get(id);
      if (known === undefined || !isPrepared(known) || !this.#writes.write(known)) continue;
      records.push(this.#record(completed(known, now.wallMs)));
    }
    const tooLarge = () =>
      this.#eachByItself(records, "markers", TOO_LARGE_RETRY_MS, (id, then) =>
        this.#complete([id], then),
      );
    return { records, answers: [], mayBeSplit: true, tooLarge };
  }

  /** One of the records is larger than the topic takes by now: it keeps none of the others back. */
  #eachByItself(
    records: readonly TransactionRecord[],
    key: string,
    aloneMs: number,
    decide: (transactionalId: string, now: Now) => Decided,
  ): Decided {
    const delayMs = records.length > 1 ? 0 : aloneMs;
    for (const { transactionalId } of records) {
      this.#options.timers.set(`${key} ${transactionalId}`, delayMs, (now) =>
        decide(transactionalId, now),
      );
    }
    return NO_DECISION;
  }

  // Time

  #begun({ transactionalId, timeoutMs }: Transaction, deadlineMs: number): void {
    if (timeoutMs !== NO_TIMEOUT_MS) this.#deadlines.set(transactionalId, deadlineMs);
  }

  #checkTimeoutsLater(): void {
    const { timers, settings } = this.#options;
    if (this.#deadlines.size === 0 || timers.has(TIMEOUTS_KEY)) return;
    timers.set(TIMEOUTS_KEY, settings.timeoutCheckMs, (now) => this.#abortOverdue(now));
  }

  #abortOverdue(now: Now): Decided {
    const overdue: string[] = [];
    for (const [transactionalId, deadlineMs] of this.#deadlines) {
      if (this.#byId.get(transactionalId)?.state !== "ongoing") {
        this.#deadlines.delete(transactionalId);
      } else if (deadlineMs < now.monotonicMs) overdue.push(transactionalId);
    }
    this.#checkTimeoutsLater();
    return this.#timeOut(overdue, now);
  }

  #timeOut(transactionalIds: readonly string[], now: Now): Decided {
    const { takeProducerId, settings, log } = this.#options;
    const ends: Extract<Ended, { kind: "next" }>[] = [];
    for (const transactionalId of transactionalIds) {
      const known = this.#byId.get(transactionalId);
      const deadlineMs = this.#deadlines.get(transactionalId);
      // It may have been ended since it was looked at, and another one begun.
      if (known?.state !== "ongoing" || deadlineMs === undefined) continue;
      if (deadlineMs >= now.monotonicMs) continue;
      const ended = fence(known, this.#level, now.wallMs, takeProducerId);
      // Without a producer id at hand it is tried again next time.
      if (ended.kind !== "next") continue;
      const { producerId, producerEpoch, timeoutMs } = known;
      log.info("transaction_timed_out", { transactionalId, producerId, producerEpoch, timeoutMs });
      ends.push(ended);
    }
    if (ends.length === 0) return NO_DECISION;
    const ended = this.#ended(ends);
    const tooLarge = () =>
      this.#eachByItself(ended.records, "overdue", settings.timeoutCheckMs, (id, then) =>
        this.#timeOut([id], then),
      );
    return { ...ended, answers: [], mayBeSplit: true, tooLarge };
  }

  /** Forgets the ids that nobody has used for long. */
  #expire(now: Now): Decided {
    const { timers, settings } = this.#options;
    const untilMs = now.wallMs - settings.idExpirationMs;
    const records: TransactionRecord[] = [];
    for (const { transactionalId, state, updatedMs } of this.#byId.values()) {
      const mayGo = state === "empty" || state === "complete_commit" || state === "complete_abort";
      if (!mayGo || updatedMs > untilMs) continue;
      records.push(tombstoneOf(transactionalId));
      if (records.length === EXPIRED_MAX) break;
    }
    const isAll = records.length < EXPIRED_MAX;
    timers.set(EXPIRY_KEY, isAll ? settings.expiryCheckMs : 0, (then) => this.#expire(then));
    return { records, answers: [], mayBeSplit: true };
  }

  #remember(transactionalId: string, earlierEpoch: number): void {
    if (earlierEpoch === NO_PRODUCER_EPOCH) this.#earlierEpochs.delete(transactionalId);
    else this.#earlierEpochs.set(transactionalId, earlierEpoch);
  }

  #record(transaction: Transaction): TransactionRecord {
    return recordOf(transaction, this.#level);
  }

  get #level(): number {
    return this.#options.settings.version;
  }
}

const NOTHING: Outcome<null> = { ok: true, value: null };

function refused<T>(reply: Reply<Outcome<T>>, code: KafkaErrorName): Decided {
  return { records: [], answers: [answer(reply, refuse(code))] };
}

function codeOf(ended: Ended): KafkaErrorName {
  return ended.kind === "refused" ? ended.code : "unknown_server_error";
}

function identityOf({ producerId, producerEpoch }: Transaction): Outcome<ProducerIdentity> {
  return { ok: true, value: { producerId, producerEpoch } };
}

/** Of a transaction that was begun before the load: its start is known by the wall clock alone, which may have jumped. */
function deadlineOf({ startMs, timeoutMs }: Transaction, { wallMs, monotonicMs }: Now): number {
  const leftMs = startMs + timeoutMs - wallMs;
  return monotonicMs + Math.min(Math.max(leftMs, 0), timeoutMs);
}
