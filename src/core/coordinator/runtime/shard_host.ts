// Runs one shard: loads it, and hands it requests and timers one at a time; what they decide is the writer's (ADR 35).
// Invariant: a shard whose append failed is dropped with all who wait, and loaded anew. A marker is appended whatever the
// shard's state: one that is not there, or still loads, finds it in the log.
// Kafka: CoordinatorRuntime.CoordinatorContext.

import { ok } from "../../../base/outcome.ts";
import type { Runtime, Timer } from "../../../contracts/runtime.ts";
import {
  type KafkaError,
  type KafkaErrorName,
  type Outcome,
  refuse,
} from "../../../protocol/errors.ts";
import type { Codec } from "../../../record/compression.ts";
import { Admissions, type AskAdmission } from "./admissions.ts";
import type { AppendedToLog, CoordinatorLog, EndMarker } from "./coordinator_log.ts";
import { type LoadOutcome, loadShard } from "./loader.ts";
import { PendingReplies, type PendingReply } from "./pending_replies.ts";
import type { Decide, Decision, Now, Producer, RecordSerde, Shard, ShardTimers } from "./shard.ts";
import { ShardWriter } from "./shard_writer.ts";
import { KeyedTimers } from "./timers.ts";

/** Requests wait so long for a load: clients find a broker that answers late better than one that refuses. */
const LOAD_WAIT_MS = 1000;
/** A load that failed is tried again when somebody asks, this long after. */
const LOAD_RETRY_MS = 10_000;
/** Where nobody has to ask: that long, then twice as long, and so on up to this. */
const LOAD_RETRY_MS_MAX = 640_000;

export interface ShardHostOptions<S extends Shard<R>, R> {
  readonly log: CoordinatorLog;
  readonly serde: RecordSerde<R>;
  /** Its logger names the topic and the partition. */
  readonly runtime: Runtime;
  /** An empty shard; called for each load. */
  readonly makeShard: (timers: ShardTimers<R>) => S;
  /** Of the batches that are written; asked for each. */
  readonly codec: () => Codec;
  /** Most requests that wait at once, for a load, a commit or somebody's next decision. */
  readonly pendingMax: number;
  /** A load that failed is tried again by itself, too: time passes in this shard whether anybody asks or not. */
  readonly loadsByItself?: true;
}

/** A request whose records belong to a transaction. */
export interface TransactionalWrite {
  readonly producer: Producer;
  /** Asked unless the transaction is open in this partition; not a promise where it can be said at once. */
  readonly admit: AskAdmission;
}

type State = "new" | "loading" | "active" | "failed" | "closed";

/** A request that came while the shard was loaded. */
interface Queued {
  readonly run: (hasEnded: boolean) => void;
  /** Whose transaction it is part of. */
  readonly producer: Producer | null;
  /** A marker of that producer has come since. */
  hasEnded: boolean;
}

export class ShardHost<S extends Shard<R>, R> {
  readonly #options: ShardHostOptions<S, R>;
  readonly #replies: PendingReplies;
  #state: State = "new";
  /** Counts loads: what an earlier life of the shard left under way is told apart by it. */
  #life = 0;
  #shard!: S;
  #writer!: ShardWriter<R>;
  #timers: KeyedTimers<R> | null = null;
  /** Requests that came while loading, in order. */
  #queue: Queued[] = [];
  #queueTimer: Timer | null = null;
  /** Loading takes longer than anybody waits: who comes now is refused at once. */
  #isLoadSlow = false;
  #failedAtMs = 0;
  /** Loads that failed one after the other. */
  #failures = 0;
  #retryTimer: Timer | null = null;
  readonly #admissions: Admissions;

  constructor(options: ShardHostOptions<S, R>) {
    this.#options = options;
    this.#replies = new PendingReplies(options.pendingMax);
    this.#admissions = new Admissions(options.log);
  }

  /** Whether requests are decided at once. */
  get isActive(): boolean {
    return this.#state === "active";
  }

  /** Requests that wait. */
  get pendingCount(): number {
    return this.#replies.size;
  }

  /** Loads the shard, unless it is there or on its way. */
  start(): void {
    if (this.#state === "new") this.#load();
  }

  /**
   * Runs a request. The decision falls before this returns when the shard is loaded, so that requests keep their order.
   *
   * @param signal The caller's: it ends the waiting with "not_coordinator". When it is the broker that goes, clients are
   *   told this way to look for their coordinator; what says that time is up is fatal to members.
   * @returns The answer; a refusal when the shard is not there to decide (still loading, or lost since)
   */
  run<Response>(decide: Decide<S, R, Response>, signal: AbortSignal): Promise<Outcome<Response>> {
    return this.#request(signal, (reply) => this.#decideFor(decide, reply, signal, null));
  }

  /**
   * Runs a request whose records stand only once the producer's transaction is committed: a batch of their own. It falls
   * before this returns when the shard is loaded and nobody has to be asked about the transaction; requests of one
   * producer keep their order.
   *
   * @returns As `run`; a refusal too when the producer is fenced, or may not write here
   */
  runInTransaction<Response>(
    { producer, admit }: TransactionalWrite,
    decide: Decide<S, R, Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    const enter = (reply: PendingReply, refusal: KafkaError | null) => {
      // It is over, and nothing is decided, where the shard was dropped meanwhile.
      if (refusal === null) this.#decideFor(decide, reply, signal, producer);
      else reply.fail(refusal);
    };
    const run = (reply: PendingReply, hasEnded: boolean) => {
      if (reply.isOver) return;
      if (hasEnded) enter(reply, this.#admissions.refusalAfterEnd(producer));
      else this.#admissions.admit(producer, admit, (refusal) => enter(reply, refusal));
      if (!reply.isDone) reply.endWith(signal);
    };
    return this.#request(signal, run, producer);
  }

  /**
   * Runs a decision for a caller who cannot wait: what it writes, and all that was decided before, lies in the log when
   * this returns, committed or not.
   *
   * @returns Null, and nothing was decided, where the shard is not loaded, or its log takes nothing
   */
  decideAtOnce<Result>(
    decide: (shard: S, now: Now) => { readonly decision: Decision<R>; readonly result: Result },
  ): Result | null {
    this.start();
    if (this.#state !== "active") return null;
    const life = this.#life;
    const taken: Result[] = [];
    this.#decide((now) => {
      const { decision, result } = decide(this.#shard, now);
      taken.push(result);
      return decision;
    }, null);
    this.#writer.flush();
    return this.#life === life ? (taken[0] ?? null) : null;
  }

  /**
   * Ends a producer's transaction here: appends the marker, after all that was decided before, and replays it. Idempotent,
   * as far as the log lets markers be.
   *
   * @returns What was appended. Refused by the log: invalid_producer_epoch, transaction_coordinator_fenced. May be tried
   *   again: not_leader_or_follower (not led here), kafka_storage_error (the folder is offline)
   */
  endTransaction(marker: EndMarker): Outcome<AppendedToLog> {
    const { log } = this.#options;
    if (this.#state === "closed") return refuse("not_leader_or_follower");
    if (this.#state === "active") this.#writer.flush();
    const refusal = log.refusalOfMarker(marker);
    if (refusal !== null) return refuse(refusal);
    const appended = log.appendMarker(marker);
    if (appended === null) return refuse("kafka_storage_error");
    this.#admissions.ended(marker.producerId);
    for (const queued of this.#queue) {
      if (queued.producer?.producerId === marker.producerId) queued.hasEnded = true;
    }
    if (this.#state === "active") this.#replayEnd(marker, appended);
    return ok(appended);
  }

  #replayEnd(marker: EndMarker, appended: AppendedToLog): void {
    this.#writer.follow(appended);
    try {
      this.#shard.replayEnd?.(marker);
    } catch (error) {
      this.#options.runtime.log.error("coordinator_defect", { error: describe(error) });
      this.#reload();
    }
  }

  #request<Response>(
    signal: AbortSignal,
    run: (reply: PendingReply, hasEnded: boolean) => void,
    producer: Producer | null = null,
  ): Promise<Outcome<Response>> {
    this.start();
    if (this.#state === "failed") this.#loadAgain();
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.resolve(refuse(refusal));
    if (signal.aborted) return Promise.resolve(refuse("not_coordinator"));
    return this.#replies.open((reply) => {
      if (this.#state === "active") {
        run(reply, false);
        return;
      }
      this.#enqueue({
        run: (hasEnded) => {
          if (signal.aborted) reply.refuse("not_coordinator");
          else run(reply, hasEnded);
        },
        producer,
        hasEnded: false,
      });
    });
  }

  /**
   * The partition is not ours any more, or the broker stops. For good; idempotent.
   *
   * @param last Called with the shard before, if it is there
   */
  close(last?: (shard: S) => void): void {
    if (this.#state === "closed") return;
    if (this.#state === "active") last?.(this.#shard);
    this.#drop("closed", "not_coordinator");
  }

  #refusal(): KafkaErrorName | null {
    switch (this.#state) {
      case "closed":
        return "not_coordinator";
      case "failed":
        // Kafka's word for a coordinator that could not be loaded; clients ask where it is, and come back.
        return this.#options.log.isOnline ? "not_coordinator" : "coordinator_not_available";
      case "loading":
        return this.#isLoadSlow ? "coordinator_load_in_progress" : null;
      default:
        return null;
    }
  }

  // Loading

  #load(): void {
    const { log, serde, runtime, codec, makeShard } = this.#options;
    const life = ++this.#life;
    this.#state = "loading";
    this.#isLoadSlow = false;
    this.#retryTimer?.cancel();
    this.#retryTimer = null;
    this.#timers = new KeyedTimers(runtime.clock, runtime.scheduler, (decide) => {
      if (this.#life === life) this.#decide(decide, null);
    });
    this.#shard = makeShard(this.#timers);
    this.#writer = new ShardWriter<R>({
      log,
      serde,
      runtime,
      codec,
      shard: this.#shard,
      onLost: () => this.#reload(),
      onFollow: (decide) => this.#decide(decide, null),
    });
    // Nothing to read: whoever asks first is answered in the same turn.
    if (log.logStartOffset === log.logEndOffset) this.#activate();
    else runtime.scheduler.spawn("coordinator_load", () => this.#loadLog(life));
  }

  async #loadLog(life: number): Promise<void> {
    const { log, serde, runtime } = this.#options;
    const startedMs = runtime.clock.monotonicMs();
    const shard = this.#shard;
    const isWanted = () => this.#life === life;
    let fromOffset = log.logStartOffset;
    let records = 0;
    let skipped = 0;
    let sizeBytes = 0;
    let outcome: LoadOutcome;
    // Markers are appended while it loads, too.
    do {
      try {
        outcome = await loadShard({ log, serde, shard, runtime, fromOffset, isWanted });
      } catch (error) {
        // A record that the shard cannot replay: the shard is wrong, or the log is.
        outcome = { ok: false, reason: describe(error) };
      }
      if (!isWanted()) return;
      if (!outcome.ok) break;
      fromOffset = outcome.endOffset;
      records += outcome.recordCount;
      skipped += outcome.skippedCount;
      sizeBytes += outcome.sizeBytes;
    } while (fromOffset < log.logEndOffset);
    if (!outcome.ok) {
      runtime.log.error("coordinator_load_failed", { reason: outcome.reason });
      this.#failedAtMs = runtime.clock.monotonicMs();
      this.#drop("failed", log.isOnline ? "not_coordinator" : "coordinator_not_available");
      this.#loadLater();
      return;
    }
    this.#failures = 0;
    runtime.log.info("coordinator_loaded", {
      records,
      skipped,
      sizeBytes,
      tookMs: Math.round(runtime.clock.monotonicMs() - startedMs),
    });
    this.#activate();
  }

  #loadLater(): void {
    const { loadsByItself, log, runtime } = this.#options;
    const delayMs = Math.min(LOAD_RETRY_MS * 2 ** this.#failures++, LOAD_RETRY_MS_MAX);
    if (loadsByItself !== true || !log.isOnline) return;
    this.#retryTimer = runtime.scheduler.after(delayMs, "coordinator_load_retry", () => {
      if (this.#state === "failed" && log.isOnline) this.#load();
    });
  }

  #loadAgain(): void {
    const { log, runtime } = this.#options;
    const sinceMs = runtime.clock.monotonicMs() - this.#failedAtMs;
    if (log.isOnline && sinceMs >= LOAD_RETRY_MS) this.#load();
  }

  #activate(): void {
    this.#state = "active";
    const life = this.#life;
    this.#decide((now) => this.#shard.loaded(now), null);
    for (const { run, hasEnded } of this.#takeQueue()) {
      // The shard may be dropped by a decision of its own: those who wait have been refused then.
      if (this.#life !== life) return;
      run(hasEnded);
    }
  }

  #enqueue(queued: Queued): void {
    this.#queue.push(queued);
    this.#queueTimer ??= this.#options.runtime.scheduler.after(
      LOAD_WAIT_MS,
      "coordinator_load_wait",
      () => {
        this.#takeQueue();
        this.#isLoadSlow = true;
        this.#replies.refuseAll("coordinator_load_in_progress");
      },
    );
  }

  #takeQueue(): readonly Queued[] {
    const queue = this.#queue;
    this.#queue = [];
    this.#queueTimer?.cancel();
    this.#queueTimer = null;
    return queue;
  }

  // Deciding

  #decideFor<Response>(
    decide: Decide<S, R, Response>,
    reply: PendingReply,
    signal: AbortSignal,
    producer: Producer | null,
  ): void {
    if (reply.isOver) return;
    this.#decide((now) => decide(this.#shard, now, reply as never), reply, producer);
    // Answered and only waiting for the disk: that ends by itself.
    if (!reply.isDone) reply.endWith(signal);
  }

  /**
   * @param own Who asked, for the case that there is no decision; null for timers.
   * @param producer Whose transaction its records belong to.
   */
  #decide(
    decide: (now: Now) => Decision<R>,
    own: PendingReply | null,
    producer: Producer | null = null,
  ): void {
    const writer = this.#writer;
    writer.deciding(() => this.#decideNow(writer, decide, own, producer));
  }

  #decideNow(
    writer: ShardWriter<R>,
    decide: (now: Now) => Decision<R>,
    own: PendingReply | null,
    producer: Producer | null,
  ): void {
    const { clock } = this.#options.runtime;
    const now: Now = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
    let decision: Decision<R>;
    try {
      decision = decide(now);
    } catch (error) {
      // Nothing of it was replayed: the state is what it was.
      this.#options.runtime.log.error("coordinator_defect", { error: describe(error) });
      own?.refuse("unknown_server_error");
      return;
    }
    try {
      writer.take(decision, now, producer);
    } catch (error) {
      // Some of it may have been replayed: what is right is in the log.
      this.#options.runtime.log.error("coordinator_defect", { error: describe(error) });
      own?.refuse("unknown_server_error");
      if (!writer.isOver) this.#reload();
    }
  }

  // Dropping

  /** The state holds what the log may not: it is read anew. */
  #reload(): void {
    const { log, runtime } = this.#options;
    if (this.#state !== "active") return;
    runtime.log.warn("coordinator_dropped", { isOnline: log.isOnline });
    this.#failedAtMs = runtime.clock.monotonicMs();
    this.#drop("failed", "not_coordinator");
    if (log.isOnline) this.#load();
  }

  #drop(state: "failed" | "closed", code: KafkaErrorName): void {
    const wasThere = this.#state === "active" || this.#state === "loading";
    this.#life++;
    this.#state = state;
    this.#retryTimer?.cancel();
    this.#retryTimer = null;
    if (wasThere) this.#writer.drop();
    this.#timers?.clear();
    this.#takeQueue();
    if (wasThere) this.#shard.dropped();
    this.#replies.refuseAll(code);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
