// Runs one shard: loads it, hands it requests and timers one at a time, replays and appends what they decide, and gives
// answers when all that the decision could see is committed (ADR 35).
// Invariant: answers leave in the order of what they rest on; a shard whose append failed is dropped with all who wait.
// Kafka: CoordinatorRuntime.CoordinatorContext.

import { assert } from "../../../base/assert.ts";
import type { Runtime, Timer } from "../../../contracts/runtime.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../../protocol/errors.ts";
import type { Codec } from "../../../record/compression.ts";
import {
  AppendBatch,
  type EncodedRecord,
  fitsBatch,
  plainBytesMax,
  recordBytesMax,
} from "./append_batch.ts";
import type { CoordinatorLog } from "./coordinator_log.ts";
import { loadShard } from "./loader.ts";
import { PendingReplies, PendingReply } from "./pending_replies.ts";
import type { Answer, Decide, Decision, Now, RecordSerde, Shard, ShardTimers } from "./shard.ts";
import { KeyedTimers } from "./timers.ts";

/** Requests wait so long for a load: clients find a broker that answers late better than one that refuses. */
const LOAD_WAIT_MS = 1000;
/** A load that failed is tried again when somebody asks, this long after. */
const LOAD_RETRY_MS = 10_000;

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
}

type State = "new" | "loading" | "active" | "failed" | "closed";

export class ShardHost<S extends Shard<R>, R> {
  readonly #options: ShardHostOptions<S, R>;
  readonly #replies: PendingReplies;
  #state: State = "new";
  /** Counts loads: what an earlier life of the shard left under way is told apart by it. */
  #life = 0;
  #shard!: S;
  #timers: KeyedTimers<R> | null = null;
  /** Requests that came while loading, in order. */
  #queue: (() => void)[] = [];
  #queueTimer: Timer | null = null;
  /** Loading takes longer than anybody waits: who comes now is refused at once. */
  #isLoadSlow = false;
  #failedAtMs = 0;
  /** Takes records until the end of this turn. */
  #open: AppendBatch | null = null;
  /** The last one appended, until it is committed. */
  #appended: AppendBatch | null = null;

  constructor(options: ShardHostOptions<S, R>) {
    this.#options = options;
    this.#replies = new PendingReplies(options.pendingMax);
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
    this.start();
    if (this.#state === "failed") this.#loadAgain();
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.resolve(refuse(refusal));
    if (signal.aborted) return Promise.resolve(refuse("not_coordinator"));
    return this.#replies.open((reply) => {
      if (this.#state === "active") this.#decideFor(decide, reply, signal);
      else this.#enqueue(() => this.#decideFor(decide, reply, signal));
    });
  }

  /** The partition is not ours any more, or the broker stops. For good; idempotent. */
  close(): void {
    if (this.#state === "closed") return;
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
    const { log, runtime, makeShard } = this.#options;
    const life = ++this.#life;
    this.#state = "loading";
    this.#isLoadSlow = false;
    this.#timers = new KeyedTimers(runtime.clock, runtime.scheduler, (decide) => {
      if (this.#life === life) this.#decide(decide, null);
    });
    this.#shard = makeShard(this.#timers);
    // Nothing to read: whoever asks first is answered in the same turn.
    if (log.logStartOffset === log.logEndOffset) this.#activate();
    else runtime.scheduler.spawn("coordinator_load", () => this.#loadLog(life));
  }

  async #loadLog(life: number): Promise<void> {
    const { log, serde, runtime } = this.#options;
    const startedMs = runtime.clock.monotonicMs();
    const shard = this.#shard;
    const isWanted = () => this.#life === life;
    let outcome: Awaited<ReturnType<typeof loadShard>>;
    try {
      outcome = await loadShard({ log, serde, shard, runtime, isWanted });
    } catch (error) {
      // A record that the shard cannot replay: the shard is wrong, or the log is.
      outcome = { ok: false, reason: describe(error) };
    }
    if (!isWanted()) return;
    if (!outcome.ok) {
      runtime.log.error("coordinator_load_failed", { reason: outcome.reason });
      this.#failedAtMs = runtime.clock.monotonicMs();
      this.#drop("failed", log.isOnline ? "not_coordinator" : "coordinator_not_available");
      return;
    }
    runtime.log.info("coordinator_loaded", {
      records: outcome.recordCount,
      skipped: outcome.skippedCount,
      sizeBytes: outcome.sizeBytes,
      tookMs: Math.round(runtime.clock.monotonicMs() - startedMs),
    });
    this.#activate();
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
    for (const run of this.#takeQueue()) {
      // The shard may be dropped by a decision of its own: those who wait have been refused then.
      if (this.#life !== life) return;
      run();
    }
  }

  #enqueue(run: () => void): void {
    this.#queue.push(run);
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

  #takeQueue(): readonly (() => void)[] {
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
  ): void {
    if (reply.isOver) return;
    if (signal.aborted) {
      reply.refuse("not_coordinator");
      return;
    }
    this.#decide((now) => decide(this.#shard, now, reply as never), reply);
    // Answered and only waiting for the disk: that ends by itself.
    if (!reply.isDone) reply.endWith(signal);
  }

  /** @param own Who asked, for the case that there is no decision; null for timers. */
  #decide(decide: (now: Now) => Decision<R>, own: PendingReply | null): void {
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
      this.#take(decision, now);
    } catch (error) {
      // Some of it may have been replayed: what is right is in the log.
      this.#options.runtime.log.error("coordinator_defect", { error: describe(error) });
      own?.refuse("unknown_server_error");
      this.#reload();
    }
  }

  #take(decision: Decision<R>, now: Now): void {
    let taken = decision;
    if (!this.#write(taken, now)) {
      const instead = taken.tooLarge?.(now);
      if (instead === undefined || !this.#write(instead, now)) {
        this.#refuseTooLarge([...taken.answers, ...(instead?.answers ?? [])]);
        return;
      }
      taken = instead;
    }
    // All that the decision could see is committed with the newest batch, whether it wrote into it or not.
    const batch = this.#open ?? this.#appended;
    for (const { reply, response } of taken.answers) {
      assert(reply instanceof PendingReply, "an answer is for a reply of this host");
      if (reply.isOver) continue;
      assert(!reply.isDone, "a reply is answered once");
      reply.isDone = true;
      if (batch === null) reply.answer(response);
      else batch.park(reply, response);
    }
  }

  #refuseTooLarge(answers: readonly Answer[]): void {
    const { log, runtime } = this.#options;
    runtime.log.warn("coordinator_records_too_large", { batchBytesMax: log.batchBytesMax });
    for (const { reply } of answers) {
      if (reply instanceof PendingReply) reply.refuse("unknown_server_error");
    }
  }

  /** Replays the records and puts them into a batch. @returns false, and nothing is done, when they are too large */
  #write({ records, mayBeSplit }: Decision<R>, now: Now): boolean {
    if (records.length === 0) return true;
    const { log, serde, codec } = this.#options;
    const batchBytesMax = plainBytesMax(log.batchBytesMax, codec());
    const encoded: EncodedRecord[] = [];
    let sizeBytes = 0;
    for (const record of records) {
      const each = serde.encode(record);
      const eachBytes = recordBytesMax(each);
      if (!fitsBatch(eachBytes, batchBytesMax)) return false;
      sizeBytes += eachBytes;
      encoded.push(each);
    }
    const isWhole = mayBeSplit !== true;
    if (isWhole && !fitsBatch(sizeBytes, batchBytesMax)) return false;
    const life = this.#life;
    const needed = (i: number) => (isWhole ? sizeBytes : recordBytesMax(encoded[i]!));
    for (let i = 0; i < records.length; i++) {
      const isPart = isWhole && i > 0;
      if (!isPart && this.#open?.hasRoom(needed(i), batchBytesMax) === false) this.#append();
      // The append failed: who waits has been refused, and there is nothing to go on with.
      if (this.#life !== life) return true;
      const batch = this.#open ?? this.#openBatch();
      const offset = log.logEndOffset + batch.count;
      batch.append(encoded[i]!, now.wallMs);
      this.#shard.replay(records[i]!, offset);
    }
    return true;
  }

  // Appending

  #openBatch(): AppendBatch {
    const { codec, runtime } = this.#options;
    const batch = new AppendBatch(codec(), runtime);
    this.#open = batch;
    // What else is decided in this turn goes with it.
    void Promise.resolve().then(() => {
      if (this.#open === batch) this.#append();
    });
    return batch;
  }

  #append(): void {
    const batch = this.#open!;
    this.#open = null;
    const life = this.#life;
    const appended = this.#options.log.append(batch.build());
    if (appended === null) {
      this.#reload();
      return;
    }
    this.#appended = batch;
    void appended.committed.then((isCommitted) => {
      if (this.#life !== life) return;
      if (!isCommitted) {
        this.#reload();
        return;
      }
      if (this.#appended === batch) this.#appended = null;
      batch.giveAnswers();
    });
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
    this.#open = null;
    this.#appended = null;
    this.#timers?.clear();
    this.#takeQueue();
    if (wasThere) this.#shard.dropped();
    this.#replies.refuseAll(code);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
