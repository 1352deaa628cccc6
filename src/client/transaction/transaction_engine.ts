// One producer's transactions: where it stands, what it may do there, and how it gets on.
// Invariant: a transaction is committed only when everything handed over in it is acknowledged; what came of an end is asked for
// until a coordinator says it, and never guessed; after an abort nothing of the transaction is on its way any more.
// Kafka: TransactionManager.

import { ClientError } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import type { GroupMetadata, OffsetToCommit } from "../group/group_options.ts";
import { keyOf, type TopicPartition } from "../group/partition_key.ts";
import type { ProducerIdentity } from "../producer_batch.ts";
import { backoffDelayMs, type CallBounds, sleep, within } from "../waiting.ts";
import {
  produceVersionsOf,
  TransactionCalls,
  type TransactionProtocol,
} from "./transaction_calls.ts";
import {
  isFinal,
  misplaced,
  mustAbort,
  mustClose,
  notKnown,
  type Owner,
} from "./transaction_errors.ts";

/**
 * Where a producer of transactions stands. "new": without a producer id; "ready": between transactions; "open": in one, well or
 * not; "committing" and "aborting": until it is known that it is done; "closed": it can do nothing more.
 */
export type TransactionPhase = "new" | "ready" | "open" | "committing" | "aborting" | "closed";

/** No signal ends these: they would leave open what was done. */
type Bounds = Pick<CallBounds, "timeoutMs">;

/** What the engine asks of the producer whose batches it has a say in. */
export interface EngineHost {
  /** Resolves when everything taken is delivered or lost; may reject with what was lost. */
  flush(): Promise<void>;
  /** Gives up what is not sent; resolves when what was sent is answered. */
  abandon(error: ClientError): Promise<void>;
  /** Batches that were held back may go now. */
  wake(): void;
}

/** After these the broker may have done it all the same. */
const UNSURE: ReadonlySet<string> = new Set(["network_exception", "request_timed_out"]);

export class TransactionEngine {
  readonly #context: ClientContext;
  readonly #owner: Owner;
  readonly #host: EngineHost;
  readonly #calls: TransactionCalls;
  #phase: TransactionPhase = "new";
  #protocol: TransactionProtocol = 2;
  #identity: ProducerIdentity | null = null;
  #initializing: Promise<void> | null = null;
  /** Why this transaction cannot be committed, or this producer not go on. */
  #failure: ClientError | null = null;
  /** Whether the coordinator has a transaction of ours to end: "maybe" where no answer came. */
  #isStarted: "no" | "maybe" | "yes" = "no";
  /** A commit or an abort runs. */
  #isEnding = false;
  /** What a commit or an abort waits for before the coordinator is told. */
  #settling: Promise<unknown> | null = null;
  /** A commit still waits for records and offsets: they may spoil it. */
  #isFlushing = false;
  /** First protocol: batches were lost, and only a new epoch keeps apart what may still arrive. */
  #needsEpoch = false;
  /** The abort is done, but for that epoch. */
  #needsEpochAlone = false;
  /** The commit may have been done, whatever a coordinator says now. */
  #isUnsure = false;
  /** First protocol: partitions that are in the transaction, and those that are to be. */
  readonly #added = new Set<string>();
  readonly #wanted = new Map<string, TopicPartition>();
  #adding: Promise<void> | null = null;
  readonly #offsets = new Set<Promise<void>>();
  readonly #groups = new Set<string>();
  /** Fires when the transaction is aborted: nothing is added to it any more. */
  #over = new AbortController();

  constructor(context: ClientContext, owner: Owner, host: EngineHost) {
    this.#context = context;
    this.#owner = owner;
    this.#host = host;
    this.#calls = new TransactionCalls(context, owner.transactionalId);
  }

  /** Whether the last commit may have been done although it failed. */
  get isOutcomeOpen(): boolean {
    return this.#isUnsure;
  }

  get phase(): TransactionPhase {
    return this.#phase;
  }

  /** Under which batches go now. */
  get identity(): ProducerIdentity {
    return this.#identity!;
  }

  get produceVersions(): { readonly versionMin: number; readonly versionMax: number } {
    return produceVersionsOf(this.#protocol);
  }

  /** Why nothing may be sent any more of what was taken; null while it may. */
  get failure(): ClientError | null {
    if (this.#phase === "open" || this.#phase === "committing") return this.#failure;
    return this.#failure ?? misplaced("The transaction is over");
  }

  /** Why no record is taken now; null in a transaction that is well. */
  refusal(): ClientError | null {
    if (this.#phase === "open" || this.#phase === "closed") return this.#failure;
    return misplaced(
      this.#phase === "committing" || this.#phase === "aborting"
        ? `The transaction is ${this.#phase}: nothing more goes into it`
        : "No transaction is open: call begin() first",
    );
  }

  /** Whether batches of a partition may go; if not, the partition is being added, and the producer woken when it is. */
  admits(topic: string, partition: number): boolean {
    if (this.#protocol === 2) {
      this.#isStarted = "yes";
      return true;
    }
    const place = { topic, partition };
    const key = keyOf(place);
    if (this.#added.has(key)) return true;
    this.#wanted.set(key, place);
    this.#adding ??= Promise.resolve()
      .then(() => this.#addWanted())
      .catch((error: unknown) => void this.lost(error, true))
      .finally(() => {
        this.#adding = null;
        this.#host.wake();
      });
    return false;
  }

  /**
   * Something of this transaction is lost, or refused: it cannot be committed any more.
   *
   * @returns what to say of it: what is to be done now, too
   */
  lost(error: unknown, isFromCoordinator = false): unknown {
    // It leaves a hole in the sequences of this epoch.
    if (this.#phase === "aborting") this.#needsEpoch ||= this.#protocol === 1;
    const isTaking = this.#phase === "open" || (this.#phase === "committing" && this.#isFlushing);
    if (!isTaking) return error;
    const cause =
      error instanceof ClientError
        ? error
        : new ClientError("unknown_server_error", String(error), { cause: error });
    if (isFinal(cause, isFromCoordinator) && cause.remedy === null) return this.#die(cause);
    const said = mustAbort(cause);
    this.#failure ??= said;
    // What a partitioner of the caller's own throws comes as it is.
    return error instanceof ClientError ? said : error;
  }

  /** Takes the transactional id over, unless that was done: whoever had it is fenced, what it left open is aborted. */
  init(bounds: CallBounds): Promise<void> {
    if (this.#phase === "closed") return Promise.reject(this.#failure);
    if (this.#phase !== "new") return Promise.resolve();
    this.#initializing ??= this.#init(bounds).finally(() => {
      this.#initializing = null;
    });
    return this.#initializing;
  }

  async #init(bounds: CallBounds): Promise<void> {
    const { transactionTimeoutMs } = this.#owner;
    try {
      this.#protocol = await this.#calls.protocol(bounds);
      this.#identity = await this.#calls.initProducerId(transactionTimeoutMs, null, bounds);
    } catch (error) {
      if (error instanceof ClientError && isFinal(error, true)) throw this.#die(error);
      throw error;
    }
    if (this.#phase === "new") this.#phase = "ready";
  }

  async begin(bounds: CallBounds): Promise<void> {
    this.#requireReady();
    await this.init(bounds);
    this.#requireReady();
    this.#isStarted = "no";
    this.#isUnsure = false;
    this.#added.clear();
    this.#wanted.clear();
    this.#groups.clear();
    this.#failure = null;
    this.#over = new AbortController();
    this.#phase = "open";
  }

  #requireReady(): void {
    if (this.#phase === "closed") throw this.#failure;
    if (this.#phase === "new" || this.#phase === "ready") return;
    throw misplaced(
      this.#phase === "open"
        ? "A transaction is open already, and a producer has one at a time: commit or abort it first, or use another transactional id"
        : `The transaction before is still ${this.#phase}: call ${this.#phase === "committing" ? "commit" : "abort"}() to find out what came of it`,
    );
  }

  /**
   * Commits a group's offsets with the transaction.
   *
   * @param who asked before each attempt: a member's epoch may move on
   * @param isStill whether what a member commits for is still its own: then its next epoch is waited for
   */
  sendOffsets(
    offsets: readonly OffsetToCommit[],
    who: () => GroupMetadata,
    isStill: () => boolean,
    bounds: Bounds,
  ): Promise<void> {
    const refused = this.refusal();
    if (refused !== null) return Promise.reject(refused);
    if (offsets.length === 0) return Promise.resolve();
    const sending = this.#sendOffsets(offsets, who, isStill, bounds).catch((error: unknown) => {
      this.lost(error, true);
      throw this.#failure ?? error;
    });
    this.#offsets.add(sending);
    const forget = () => this.#offsets.delete(sending);
    sending.then(forget, forget);
    return sending;
  }

  async #sendOffsets(
    offsets: readonly OffsetToCommit[],
    who: () => GroupMetadata,
    isStill: () => boolean,
    { timeoutMs }: Bounds,
  ): Promise<void> {
    const { runtime, backoff } = this.#context;
    // An abort ends it.
    await within(runtime, { timeoutMs, signal: this.#over.signal }, async (own) => {
      for (let attempt = 1; ; attempt++) {
        const group = who();
        try {
          await this.#offsetsOnce(offsets, group, own);
          return;
        } catch (error) {
          const { code } = error as ClientError;
          const isBehind = code === "illegal_generation" || code === "stale_member_epoch";
          if (!isBehind || group.memberId === "" || !isStill()) throw error;
          await sleep(
            runtime,
            backoffDelayMs(runtime, backoff, attempt),
            "transaction",
            own.signal,
          );
        }
      }
    });
  }

  async #offsetsOnce(
    offsets: readonly OffsetToCommit[],
    group: GroupMetadata,
    bounds: CallBounds,
  ): Promise<void> {
    const { groupId } = group;
    if (this.#protocol === 1 && !this.#groups.has(groupId)) {
      this.#mayStart();
      await this.#calls.addOffsets(this.identity, groupId, bounds);
      this.#groups.add(groupId);
    }
    this.#isStarted = "yes";
    await this.#calls.commitOffsets(this.identity, this.#protocol, group, offsets, bounds);
  }

  /** Resolves once the transaction is committed. */
  async commit(bounds: Bounds): Promise<void> {
    const isResumed = this.#phase === "committing" && !this.#isEnding;
    if (!isResumed) {
      this.#requireOpen("commit");
      if (this.#failure !== null) throw this.#failure;
      this.#phase = "committing";
      this.#settle(this.#delivered());
    }
    this.#isEnding = true;
    try {
      await this.#settled("commit", bounds);
      if (this.#isStarted === "no") this.#finish(null);
      else await this.#end(true, bounds);
    } finally {
      this.#isEnding = false;
    }
  }

  /** Waits for records and offsets. @throws {ClientError} the transaction has to be aborted */
  async #delivered(): Promise<void> {
    this.#isFlushing = true;
    await Promise.allSettled([this.#host.flush(), ...this.#offsets]);
    this.#isFlushing = false;
    const failure = this.#failure as ClientError | null;
    if (failure === null) return;
    if ((this.#phase as TransactionPhase) === "committing") this.#phase = "open";
    throw failure;
  }

  /** What has to be over before the coordinator is told; a call may give up waiting for it, and the next one go on. */
  #settle(settling: Promise<unknown>): void {
    settling.catch(() => {});
    this.#settling = settling;
  }

  async #settled(doing: "commit" | "abort", { timeoutMs }: Bounds): Promise<void> {
    const settling = this.#settling;
    if (settling === null) return;
    const { phase } = this;
    try {
      await within(this.#context.runtime, { timeoutMs }, () => settling);
    } catch (error) {
      if (this.#phase === phase) throw notKnown(doing, error as ClientError);
      this.#settling = null;
      throw error;
    }
    this.#settling = null;
  }

  /** Resolves once the transaction is aborted. */
  async abort(bounds: Bounds): Promise<void> {
    const isResumed = this.#phase === "aborting" && !this.#isEnding;
    if (!isResumed) {
      // No coordinator was told of a commit that still waits for its records.
      const isWaiting = this.#phase === "committing" && !this.#isEnding && this.#settling !== null;
      if (!isWaiting) this.#requireOpen("abort");
      this.#needsEpoch ||= this.#protocol === 1 && this.#failure !== null;
      this.#phase = "aborting";
      const failure = new ClientError("aborted", "The transaction was aborted", {
        remedy: "abort",
      });
      this.#failure = failure;
      this.#over.abort();
      const left = [this.#host.abandon(failure), this.#adding, ...this.#offsets];
      this.#settle(Promise.allSettled(left));
    }
    this.#isEnding = true;
    try {
      await this.#settled("abort", bounds);
      await this.#endAborting(bounds);
    } finally {
      this.#isEnding = false;
    }
  }

  async #endAborting(bounds: Bounds): Promise<void> {
    if (!this.#needsEpochAlone) {
      if (this.#isStarted === "no" && !this.#needsEpoch) {
        this.#finish(null);
        return;
      }
      if (this.#isStarted !== "no") {
        const needsEpoch = this.#needsEpoch;
        await this.#end(false, bounds, needsEpoch);
        if (!needsEpoch) return;
      }
      this.#needsEpochAlone = true;
    }
    try {
      const { transactionTimeoutMs } = this.#owner;
      const next = await this.#calls.initProducerId(transactionTimeoutMs, this.identity, bounds);
      this.#finish(next);
    } catch (error) {
      throw this.#unfinished("abort", error);
    }
  }

  /** Tells the coordinator, and learns what came of it. */
  async #end(isCommit: boolean, bounds: Bounds, isMoreToCome = false): Promise<void> {
    const told = ({ code }: ClientError) => {
      this.#isUnsure ||= isCommit && UNSURE.has(code);
    };
    try {
      const { identity } = this;
      const next = await this.#calls.end(identity, this.#protocol, isCommit, bounds, told);
      if (isMoreToCome) this.#identity = next ?? this.#identity;
      else this.#finish(next);
    } catch (error) {
      const code = error instanceof ClientError ? error.code : "";
      // Nothing had got into it.
      if (!isCommit && code === "invalid_txn_state" && this.#isStarted === "maybe") {
        if (!isMoreToCome) this.#finish(null);
        return;
      }
      throw this.#unfinished(isCommit ? "commit" : "abort", error);
    }
  }

  /** What an end that failed leaves, and the error that says so. */
  #unfinished(doing: "commit" | "abort", error: unknown): unknown {
    if (!(error instanceof ClientError)) return error;
    if (error.retriable || error.code === "aborted" || error.code === "closed") {
      this.#isUnsure ||= doing === "commit";
      return notKnown(doing, error);
    }
    const mayAbort = error.code === "transaction_abortable" || error.code === "unknown_producer_id";
    if (doing === "commit" && mayAbort) {
      this.#phase = "open";
      this.#isUnsure = false;
      this.#failure = mustAbort(error);
      return this.#failure;
    }
    return this.#die(error);
  }

  /** @returns The error for whoever has called. */
  #die(cause: ClientError): ClientError {
    this.#phase = "closed";
    this.#over.abort();
    this.#failure = mustClose(this.#owner, cause, this.#isUnsure);
    this.#host.wake();
    return this.#failure;
  }

  #finish(next: ProducerIdentity | null): void {
    if (next !== null) this.#identity = next;
    this.#failure = null;
    this.#isStarted = "no";
    this.#isUnsure = false;
    this.#needsEpoch = false;
    this.#needsEpochAlone = false;
    this.#settling = null;
    this.#phase = "ready";
  }

  #requireOpen(doing: "commit" | "abort"): void {
    if (this.#phase === "open") return;
    if (this.#phase === "closed") throw this.#failure;
    if (this.#phase === "new" || this.#phase === "ready") {
      throw misplaced(`No transaction is open to ${doing}: call begin() first`);
    }
    throw misplaced(
      this.#isEnding
        ? `The transaction is ${this.#phase} already`
        : `What came of the ${this.#phase === "committing" ? "commit" : "abort"} is not known yet: only the same call again can find out`,
    );
  }

  #mayStart(): void {
    if (this.#isStarted === "no") this.#isStarted = "maybe";
  }

  /** First protocol: until nothing is wanted any more. */
  async #addWanted(): Promise<void> {
    while (this.#wanted.size > 0 && this.failure === null) {
      const places = [...this.#wanted];
      this.#mayStart();
      await this.#calls.addPartitions(
        this.identity,
        places.map(([, place]) => place),
        { timeoutMs: this.#context.timeoutMs, signal: this.#over.signal },
      );
      this.#isStarted = "yes";
      for (const [key] of places) {
        this.#wanted.delete(key);
        this.#added.add(key);
      }
      this.#host.wake();
    }
  }
}
