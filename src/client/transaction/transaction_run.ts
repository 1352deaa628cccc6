// Runs bodies in transactions: a producer each, kept for the next one; the offsets of consumers, and their way back.
// Invariant: a body's promise resolves only after the commit, and rejects only after the abort, or when nobody can say any more; a
// consumer goes on behind what was committed, whichever it was.
// Kafka: the loop that Kafka Streams runs, StreamsProducer.

import { randomUuid } from "../../base/uuid.ts";
import { ClientError } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import type { GroupMetadata, OffsetToCommit } from "../group/group_options.ts";
import type { HandedOut } from "../group/ownership.ts";
import type { GroupConsumer } from "../group_consumer.ts";
import { checkNames, type OptionNames, requireObject } from "../option_checks.ts";
import type { Delivery } from "../producer_batch.ts";
import type { ProducerRecord } from "../producer_record.ts";
import type { TransactionOptions, TransactionScope } from "../transaction.ts";
import {
  TRANSACTION_TIMEOUT_MS,
  type TransactionalProducer,
  type TransactionalProducerOptions,
  type TransactionCallOptions,
} from "../transactional_producer.ts";
import { mustAbort } from "./transaction_errors.ts";

type MakeProducer = (options: TransactionalProducerOptions) => TransactionalProducer;

const NAMES: OptionNames<TransactionOptions> = {
  transactionalId: true,
  transactionTimeoutMs: true,
  producer: true,
  timeoutMs: true,
};

/** The producers of a client's transactions. */
export class TransactionPool {
  readonly #context: ClientContext;
  readonly #producer: MakeProducer;
  /** By transactional id; those of our own making as well. */
  readonly #producers = new Map<string, TransactionalProducer>();
  readonly #options = new Map<TransactionalProducer, TransactionOptions["producer"]>();
  readonly #busy = new Set<string>();
  /** Names of our own making that are free. */
  readonly #free: string[] = [];

  constructor(context: ClientContext, producer: MakeProducer) {
    this.#context = context;
    this.#producer = producer;
  }

  readonly run = async <T>(
    body: (tx: TransactionScope) => T | Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> => {
    if (typeof body !== "function") {
      throw new TypeError(
        "transaction(body, options) wants a function that is given the transaction",
      );
    }
    checkNames(options, NAMES, "a transaction");
    if (options.producer !== undefined) requireObject(options.producer, "A transaction's producer");
    const { transactionalId } = options;
    const name =
      transactionalId ?? this.#free.pop() ?? `millrace-${randomUuid(this.#context.runtime.random)}`;
    if (this.#busy.has(name)) {
      const text = `A transaction of "${name}" runs already: wait for it, or give this one another transactionalId`;
      throw new ClientError("concurrent_transactions", text, { retriable: false });
    }
    this.#busy.add(name);
    try {
      const producer = this.#usable(name, options) ?? this.#made(name, options);
      return await runIn(producer, body, options);
    } finally {
      this.#busy.delete(name);
      const phase = this.#producers.get(name)?.phase;
      const isOwn = transactionalId === undefined;
      if (isOwn && phase === "ready") this.#free.push(name);
      // It can do nothing more, and the next one takes the name over; or it has something to find out yet, which nobody who
      // comes next without a name of its own is to wait for.
      else if (isOwn || phase === "closed") this.#drop(name);
    }
  };

  /** The producer of the name, unless it was made for something else. */
  #usable(name: string, options: TransactionOptions): TransactionalProducer | undefined {
    const producer = this.#producers.get(name);
    if (producer?.phase !== "ready") return producer;
    const { transactionalId, transactionTimeoutMs = TRANSACTION_TIMEOUT_MS } = options;
    const isOther =
      producer.transactionTimeoutMs !== transactionTimeoutMs ||
      (transactionalId === undefined && !isAlike(this.#options.get(producer), options.producer));
    if (!isOther) return producer;
    this.#drop(name);
    return undefined;
  }

  #drop(name: string): void {
    const producer = this.#producers.get(name);
    this.#producers.delete(name);
    if (producer !== undefined) this.#options.delete(producer);
    void producer?.close().catch(() => {});
  }

  #made(transactionalId: string, { transactionTimeoutMs, producer }: TransactionOptions) {
    const made = this.#producer({
      ...producer,
      transactionalId,
      ...(transactionTimeoutMs === undefined ? {} : { transactionTimeoutMs }),
    });
    this.#producers.set(transactionalId, made);
    this.#options.set(made, producer);
    return made;
  }
}

function isAlike(a: object = {}, b: object = {}): boolean {
  const [left, right] = [a, b] as Record<string, unknown>[];
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => left![name] === right![name]);
}

async function runIn<T>(
  producer: TransactionalProducer,
  body: (tx: TransactionScope) => T | Promise<T>,
  { timeoutMs }: TransactionOptions,
): Promise<T> {
  const bounds: TransactionCallOptions = timeoutMs === undefined ? {} : { timeoutMs };
  // What the one before left open is found out first.
  if (producer.phase === "committing") await producer.commit(bounds);
  if (producer.phase === "aborting" || producer.phase === "open") await producer.abort(bounds);
  await producer.begin(bounds);
  const tx = new OpenTransaction(producer);
  try {
    const value = await body(tx);
    await tx.commit(bounds);
    return value;
  } catch (error) {
    await tx.undo(error, bounds);
    throw error;
  } finally {
    tx.end();
  }
}

class OpenTransaction implements TransactionScope {
  readonly transactionalId: string;
  readonly #producer: TransactionalProducer;
  readonly #consumers = new Set<GroupConsumer>();
  /** What was sent for each consumer when the body ended. */
  readonly #sent = new Map<GroupConsumer, HandedOut>();
  /** Why it cannot be committed although everything was delivered. */
  #failure: ClientError | null = null;
  #isOver = false;

  constructor(producer: TransactionalProducer) {
    this.#producer = producer;
    this.transactionalId = producer.transactionalId;
  }

  send(record: ProducerRecord): Promise<Delivery> {
    return this.#isOver ? over() : this.#producer.send(record);
  }

  sendAll(records: readonly ProducerRecord[]): Promise<readonly Delivery[]> {
    if (this.#isOver) return over();
    const sent = this.#producer.sendAll(records);
    sent.catch(() => {});
    return sent;
  }

  enqueue(record: ProducerRecord): Promise<void> | null {
    return this.#isOver ? over() : this.#producer.enqueue(record);
  }

  commitOffsets(consumer: GroupConsumer): void;
  commitOffsets(group: string | GroupMetadata, offsets: readonly OffsetToCommit[]): Promise<void>;
  commitOffsets(
    group: GroupConsumer | string | GroupMetadata,
    offsets?: readonly OffsetToCommit[],
  ): Promise<void> | undefined {
    if (typeof group === "object" && group !== null && "groupMetadata" in group) {
      if (offsets !== undefined) {
        const text =
          "Of a consumer goes what it has handed out: give its groupMetadata() to choose offsets";
        throw new TypeError(text);
      }
      if (this.#isOver) throw isOver();
      this.#enlist(group);
      return undefined;
    }
    if (this.#isOver) return over();
    if (offsets === undefined) {
      const text =
        "commitOffsets wants a consumer with a group, or a group and offsets: found no offsets";
      throw new TypeError(text);
    }
    const sent = this.#producer.sendOffsets(offsets, group);
    sent.catch(() => {});
    return sent;
  }

  #enlist(consumer: GroupConsumer): void {
    if (this.#consumers.has(consumer)) return;
    consumer.enlist({
      release: async (offsets) => {
        // The transaction knows when it failed.
        if (!this.#isOver) await this.#producer.sendOffsets(offsets, consumer).catch(() => {});
      },
      lost: () => {
        const text =
          "Partitions were taken away from the consumer before what was read of them was committed";
        this.#failure ??= new ClientError("unknown_member_id", text, { remedy: "abort" });
      },
    });
    this.#consumers.add(consumer);
  }

  /** Offsets first, then all of it. */
  async commit(bounds: TransactionCallOptions): Promise<void> {
    try {
      await this.#commit(bounds);
    } catch (error) {
      // Also what a consumer says of itself.
      throw error instanceof ClientError ? mustAbort(error) : error;
    }
  }

  async #commit(bounds: TransactionCallOptions): Promise<void> {
    for (const consumer of this.#consumers) {
      const handed = consumer.inHand();
      if (handed === null) continue;
      this.#sent.set(consumer, handed);
      await this.#producer.sendOffsets(handed.offsets, consumer, bounds);
    }
    this.#isOver = true;
    if (this.#failure !== null) throw this.#failure;
    await this.#producer.commit(bounds);
    for (const handed of this.#sent.values()) handed.committed();
  }

  /** Aborts what is open. `error` is told, and not what comes of this: its time-out aborts it as well. */
  async undo(error: unknown, bounds: TransactionCallOptions): Promise<void> {
    this.#isOver = true;
    const { phase } = this.#producer;
    if (phase === "open") await this.#producer.abort(bounds).catch(() => {});
    const isOpen = phase === "closed" && this.#producer.isOutcomeOpen;
    for (const consumer of this.#consumers) {
      if (phase === "committing") consumer.fail(error);
      else await consumer.rewind(isOpen ? (this.#sent.get(consumer) ?? null) : null);
    }
  }

  /** Consumers are free for another. */
  end(): void {
    this.#isOver = true;
    for (const consumer of this.#consumers) consumer.enlist(null);
  }
}

function isOver(): ClientError {
  return new ClientError("invalid_txn_state", "The transaction is over: its body has ended");
}

function over(): Promise<never> {
  const refused = Promise.reject(isOver());
  refused.catch(() => {});
  return refused;
}
