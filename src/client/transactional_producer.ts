// A producer whose records, and offsets of groups, are seen by readers of what is committed all together or not at all.
// Invariant: one transaction at a time; nothing of transactions is loaded before the first one.
// Kafka: KafkaProducer.initTransactions, beginTransaction, …; KIP-98, KIP-447, KIP-890.

import { ClientError } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import type { GroupMetadata, OffsetToCommit } from "./group/group_options.ts";
import type { GroupConsumer } from "./group_consumer.ts";
import { checkOptions, offsetsFault } from "./option_checks.ts";
import { Producer, type ProducerTransaction } from "./producer.ts";
import type { ProducerOptions } from "./producer_record.ts";
import type { TransactionEngine, TransactionPhase } from "./transaction/transaction_engine.ts";
import { within } from "./waiting.ts";

export type { TransactionPhase } from "./transaction/transaction_engine.ts";

/** How a producer of transactions works: as any other with acks "all", under a name. */
export interface TransactionalProducerOptions extends Omit<ProducerOptions, "acks" | "idempotent"> {
  /** One producer at a time has it: a second one that begins with it fences the first, and aborts what that left open. */
  readonly transactionalId: string;
  /** A transaction that takes longer is aborted by the broker, in ms; at most its transaction.max.timeout.ms. Default 60,000. */
  readonly transactionTimeoutMs?: number;
}

/** How long a call may take. */
export interface TransactionCallOptions {
  /** Until the call gives up, retries included, in ms; the client's `timeoutMs` when left out. */
  readonly timeoutMs?: number;
}

const LOWEST = { transactionTimeoutMs: 1 };
/** Unless said. */
export const TRANSACTION_TIMEOUT_MS = 60_000;
/** What the wire holds; a broker allows less (transaction.max.timeout.ms). */
const TIMEOUT_MS_MAX = 0x7fff_ffff;

/** Between the sender, which is there from the start, and the engine, which comes with the first transaction. */
class Door implements ProducerTransaction {
  readonly transactionalId: string;
  engine: TransactionEngine | null = null;

  constructor(transactionalId: string) {
    this.transactionalId = transactionalId;
  }

  get produceVersions() {
    return this.engine!.produceVersions;
  }
  get identity() {
    return this.engine!.identity;
  }
  get failure() {
    return this.engine!.failure;
  }
  refusal(): ClientError | null {
    if (this.engine !== null) return this.engine.refusal();
    return new ClientError("invalid_txn_state", "No transaction is open: call begin() first");
  }
  admits(topic: string, partition: number): boolean {
    return this.engine!.admits(topic, partition);
  }
  lost(error: unknown): unknown {
    return this.engine === null ? error : this.engine.lost(error);
  }
}

/** Made by `Client.producer`. Begin, send, commit or abort; then begin again. */
export class TransactionalProducer extends Producer {
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
  readonly #context: ClientContext;
  readonly #door: Door;
  #loading: Promise<TransactionEngine> | null = null;
  #ending: Promise<void> | null = null;
  /** The commit or abort that runs, or ran last. */
  #running: Promise<void> = Promise.resolve();

  /** Made by `Client.producer`. @throws {TypeError} {ClientError} "invalid_required_acks" */
  constructor(context: ClientContext, options: TransactionalProducerOptions, onClose: () => void) {
    const { transactionalId, transactionTimeoutMs = TRANSACTION_TIMEOUT_MS, ...own } = options;
    if (typeof transactionalId !== "string" || transactionalId === "") {
      const found = JSON.stringify(transactionalId);
      throw new TypeError(`transactionalId must be a name: found ${found}`);
    }
    checkOptions({ transactionTimeoutMs }, LOWEST);
    if (!(Number.isInteger(transactionTimeoutMs) && transactionTimeoutMs <= TIMEOUT_MS_MAX)) {
      const text = `transactionTimeoutMs must be whole milliseconds, at most ${TIMEOUT_MS_MAX}`;
      throw new TypeError(`${text}: found ${transactionTimeoutMs}`);
    }
    const { acks = "all", idempotent = true } = own as ProducerOptions;
    if (acks !== "all" || !idempotent) {
      const text = 'A producer of transactions needs acks "all", and is idempotent';
      throw new ClientError("invalid_required_acks", text);
    }
    const door = new Door(transactionalId);
    super(context, { ...own, acks, idempotent }, onClose, door);
    this.transactionalId = transactionalId;
    this.transactionTimeoutMs = transactionTimeoutMs;
    this.#context = context;
    this.#door = door;
  }

  /** Where it stands. */
  get phase(): TransactionPhase {
    return this.#door.engine?.phase ?? "new";
  }

  /**
   * Takes the transactional id over, which `begin` does too: whoever had it is fenced, and what it left open is aborted. Before
   * reading what an earlier one may have left, e.g. offsets of a group. Idempotent.
   *
   * @throws {ClientError} "transactional_id_authorization_failed", "invalid_transaction_timeout", "producer_fenced",
   *   "request_timed_out", …
   */
  async init(options: TransactionCallOptions = {}): Promise<void> {
    await (await this.#engine()).init(this.#bounds(options));
  }

  /**
   * Begins a transaction. Nothing is sent before its first record or offsets, but for what `init` does.
   *
   * @throws {ClientError} "invalid_txn_state" while one is open, and what `init` throws
   */
  async begin(options: TransactionCallOptions = {}): Promise<void> {
    await (await this.#engine()).begin(this.#bounds(options));
  }

  /**
   * Commits offsets of a group with the transaction. A member's go with its generation: one that is out of its group cannot
   * commit, and neither can this transaction then.
   *
   * @param group a name alone, for a group without members; what `groupMetadata` of a consumer says; or the consumer, whose next
   *   generation is waited for while what was read is still its own
   * @throws {ClientError} "unknown_member_id", "illegal_generation", "fenced_instance_id", "invalid_txn_state", … with `remedy`
   */
  async sendOffsets(
    offsets: readonly OffsetToCommit[],
    group: string | GroupMetadata | GroupConsumer,
    options: TransactionCallOptions = {},
  ): Promise<void> {
    const engine = await this.#engine();
    const fault = offsetsFault(offsets) ?? groupFault(group);
    if (fault !== null) {
      // What was to be committed with the transaction is missing, whether anybody looks at this promise or not.
      engine.lost(fault);
      throw engine.refusal() ?? fault;
    }
    const { who, isStill } = committerOf(group);
    await engine.sendOffsets(offsets, who, isStill, this.#bounds(options));
  }

  /**
   * Sends what was taken, and resolves once all of it, offsets included, is committed.
   *
   * @throws {ClientError} with `remedy`. "abort": something could not be delivered. "retry": no answer came within `timeoutMs`, and
   *   the same call again finds out. "close": the producer is fenced, or may not go on
   */
  async commit(options: TransactionCallOptions = {}): Promise<void> {
    const engine = await this.#engine();
    await this.#run(engine.commit(this.#bounds(options)));
  }

  /** Gives up what was not sent, and resolves once nothing of the transaction will ever be seen. @throws as `commit` */
  async abort(options: TransactionCallOptions = {}): Promise<void> {
    const engine = await this.#engine();
    await this.#run(engine.abort(this.#bounds(options)));
  }

  /** Whether the last commit may have been done although it failed, and no call can find out any more. */
  get isOutcomeOpen(): boolean {
    return this.#door.engine?.isOutcomeOpen ?? false;
  }

  /**
   * Aborts what is open, then takes no more. Idempotent. Where no broker answers, the transaction is aborted by its time-out.
   *
   * @param graceMs so long it may take, in ms; the client's `timeoutMs` when left out
   */
  override close(graceMs?: number): Promise<void> {
    this.#ending ??= this.#end(graceMs);
    return this.#ending;
  }

  async #end(graceMs: number | undefined): Promise<void> {
    const { engine } = this.#door;
    const bounds = this.#bounds(graceMs === undefined ? {} : { timeoutMs: graceMs });
    await within(this.#context.runtime, bounds, () => this.#running).catch(() => {});
    // Of a commit without an answer whoever called was told; it is finished, as nothing else may be done with it.
    const isCommitting = engine?.phase === "committing";
    const isOpen = engine?.phase === "open" || engine?.phase === "aborting";
    if (isCommitting) await engine.commit(bounds).catch(() => {});
    else if (isOpen) await engine.abort(bounds).catch(() => {});
    await super.close(graceMs);
  }

  #run(ending: Promise<void>): Promise<void> {
    this.#running = ending.catch(() => {});
    return ending;
  }

  #bounds({ timeoutMs }: TransactionCallOptions): { readonly timeoutMs: number } {
    if (timeoutMs !== undefined) checkOptions({ timeoutMs }, { timeoutMs: 0 });
    return { timeoutMs: timeoutMs ?? this.#context.timeoutMs };
  }

  async #engine(): Promise<TransactionEngine> {
    this.#loading ??= (async () => {
      const { TransactionEngine } = await import("./transaction/transaction_engine.ts");
      this.#door.engine = new TransactionEngine(this.#context, this, {
        flush: () => this.flush(),
        abandon: (error) => this.abandon(error),
        wake: () => this.wake(),
      });
      return this.#door.engine;
    })();
    const engine = await this.#loading;
    if (this.#ending !== null) throw new ClientError("closed", "The producer is closed");
    return engine;
  }
}

/** For callers whose types nobody checked. */
function groupFault(group: unknown): ClientError | null {
  if (typeof group === "string") return null;
  const isObject = typeof group === "object" && group !== null;
  if (isObject && ("groupId" in group || "groupMetadata" in group)) return null;
  const text = `Offsets are committed for a group: its name, groupMetadata() of a consumer, or a consumer with a group: found ${isObject ? "another object" : String(group)}`;
  return new ClientError("invalid_request", text);
}

function committerOf(group: string | GroupMetadata | GroupConsumer): {
  readonly who: () => GroupMetadata;
  readonly isStill: () => boolean;
} {
  if (typeof group === "string") {
    const metadata = { groupId: group, generation: -1, memberId: "", instanceId: null };
    return { who: () => metadata, isStill: () => false };
  }
  if ("groupId" in group) return { who: () => group, isStill: () => false };
  return { who: () => group.groupMetadata(), isStill: group.ownershipCheck() };
}
