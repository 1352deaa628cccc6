// What the decisions of one life of a shard come to: records are replayed and appended, answers wait until all that they
// rest on is committed, and what follows is decided. What belongs to a transaction is a batch of its own.
// Invariants: answers leave in the order of what they rest on; when an append fails, nothing more of this life is taken.
// Kafka: CoordinatorRuntime.CoordinatorContext, append and flushCurrentBatch.

import { assert } from "../../../base/assert.ts";
import { EncodeError } from "../../../base/byte_writer.ts";
import type { Runtime } from "../../../contracts/runtime.ts";
import type { Codec } from "../../../record/compression.ts";
import {
  AppendBatch,
  type EncodedRecord,
  fitsBatch,
  ParkedAnswers,
  plainBytesMax,
  recordBytesMax,
} from "./append_batch.ts";
import type { AppendedToLog, CoordinatorLog } from "./coordinator_log.ts";
import { PendingReply } from "./pending_replies.ts";
import type { Answer, Decision, FollowUp, Now, Producer, RecordSerde, Shard } from "./shard.ts";

export interface ShardWriterOptions<R> {
  readonly log: CoordinatorLog;
  readonly serde: RecordSerde<R>;
  readonly runtime: Runtime;
  /** Of the batches that are written; asked for each. */
  readonly codec: () => Codec;
  readonly shard: Shard<R>;
  /** An append failed: the shard holds what the log does not, and never will. It is expected to `drop` this. */
  readonly onLost: () => void;
  /** Runs a decision that follows from another one. */
  readonly onFollow: (decide: (now: Now) => Decision<R>) => void;
}

export class ShardWriter<R> {
  readonly #options: ShardWriterOptions<R>;
  /** Takes records until the end of this turn. */
  #open: AppendBatch | null = null;
  /** Answers that rest on what was appended last, until that is committed. */
  #appended: ParkedAnswers | null = null;
  /** Decisions that follow from what is appended; not in the middle of another one. */
  readonly #due: (() => void)[] = [];
  #isDeciding = false;
  #isOver = false;

  constructor(options: ShardWriterOptions<R>) {
    this.#options = options;
  }

  /** The shard was dropped: nothing of this life is taken any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  drop(): void {
    this.#isOver = true;
    this.#open = null;
    this.#appended = null;
    this.#due.length = 0;
  }

  /** Runs what decides and takes; what follows from other decisions comes after it. */
  deciding(run: () => void): void {
    const wasDeciding = this.#isDeciding;
    this.#isDeciding = true;
    run();
    this.#isDeciding = wasDeciding;
    this.#runDue();
  }

  /** Replays and writes what was decided, and answers when that is committed. @param producer Whose transaction it is part of */
  take(decision: Decision<R>, now: Now, producer: Producer | null): void {
    let taken = decision;
    if (!this.#write(taken, now, producer)) {
      const instead = taken.tooLarge?.(now);
      if (instead === undefined || !this.#write(instead, now, producer)) {
        this.#refuseTooLarge([...taken.answers, ...(instead?.answers ?? [])]);
        return;
      }
      taken = instead;
    }
    // An append failed: who waits has been refused, and nothing follows.
    if (this.#isOver) return;
    // All that the decision could see is committed with the newest batch, whether it wrote into it or not.
    const parked = this.#open?.answers ?? this.#appended;
    for (const { reply, response } of taken.answers) {
      assert(reply instanceof PendingReply, "an answer is for a reply of this host");
      if (reply.isOver) continue;
      assert(!reply.isDone, "a reply is answered once");
      reply.isDone = true;
      if (parked === null) reply.answer(response);
      else parked.park(reply, response);
    }
    if (taken.follow !== undefined) this.#goOn(taken.follow);
  }

  /** Appends what is decided so far, and what follows from it: the journal makes both durable by one sync. */
  flush(): void {
    do {
      if (this.#open !== null) this.#append();
      this.#runDue();
    } while (this.#open !== null);
  }

  /** That was appended, and is what decisions see from now on: their answers are given once it is committed. */
  follow(appended: AppendedToLog, answers = new ParkedAnswers()): void {
    this.#appended = answers;
    void appended.committed.then((isCommitted) => {
      if (this.#isOver) return;
      if (!isCommitted) {
        this.#options.onLost();
        return;
      }
      if (this.#appended === answers) this.#appended = null;
      answers.give();
    });
  }

  #goOn({ after, decide }: FollowUp<R>): void {
    const run = () => {
      if (!this.#isOver) this.#options.onFollow(decide);
    };
    if (after === "appended") (this.#open?.followUps ?? this.#due).push(run);
    else {
      const parked = this.#open?.answers ?? this.#appended;
      if (parked === null) this.#due.push(run);
      else parked.afterwards(run);
    }
  }

  /** One after the other, each when the one before is done. */
  #runDue(): void {
    if (this.#isDeciding) return;
    this.#isDeciding = true;
    for (let run = this.#due.shift(); run !== undefined; run = this.#due.shift()) run();
    this.#isDeciding = false;
  }

  #refuseTooLarge(answers: readonly Answer[]): void {
    const { log, runtime } = this.#options;
    runtime.log.warn("coordinator_records_too_large", { batchBytesMax: log.batchBytesMax });
    for (const { reply } of answers) {
      if (reply instanceof PendingReply) reply.refuse("unknown_server_error");
    }
  }

  /** Replays the records and puts them into a batch. @returns false, and nothing is done, when they are too large */
  #write(
    { records, mayBeSplit, spareBytes = 0 }: Decision<R>,
    now: Now,
    producer: Producer | null,
  ): boolean {
    if (records.length === 0) return true;
    const { log, shard } = this.#options;
    const batchBytesMax = plainBytesMax(log.batchBytesMax, this.#options.codec());
    const encoded: EncodedRecord[] = [];
    let sizeBytes = 0;
    for (const record of records) {
      const each = this.#encoded(record);
      if (each === null) return false;
      const eachBytes = recordBytesMax(each);
      if (!fitsBatch(eachBytes + spareBytes, batchBytesMax)) return false;
      sizeBytes += eachBytes;
      encoded.push(each);
    }
    const isWhole = mayBeSplit !== true || producer !== null;
    if (isWhole && !fitsBatch(sizeBytes + spareBytes, batchBytesMax)) return false;
    if (producer !== null) {
      if (this.#open !== null) this.#append();
      if (this.#isOver) return true;
      this.#open = this.#newBatch(producer);
    }
    const needed = (i: number) => (isWhole ? sizeBytes : recordBytesMax(encoded[i]!));
    for (let i = 0; i < records.length; i++) {
      const isPart = isWhole && i > 0;
      if (!isPart && this.#open?.hasRoom(needed(i), batchBytesMax) === false) this.#append();
      // The append failed: there is nothing to go on with.
      if (this.#isOver) return true;
      const batch = this.#open ?? this.#openBatch();
      const offset = log.logEndOffset + batch.count;
      batch.append(encoded[i]!, now.wallMs);
      shard.replay(records[i]!, offset, producer);
    }
    // Nothing else comes into it.
    if (producer !== null) this.#append();
    return true;
  }

  /** Null: it has a string of more bytes than a record's may have, as text that was no UTF-8 in a request has thrice as many. */
  #encoded(record: R): EncodedRecord | null {
    try {
      return this.#options.serde.encode(record);
    } catch (error) {
      if (error instanceof EncodeError) return null;
      throw error;
    }
  }

  #openBatch(): AppendBatch {
    const batch = this.#newBatch(null);
    this.#open = batch;
    // What else is decided in this turn goes with it.
    void Promise.resolve().then(() => {
      if (this.#open === batch) this.flush();
    });
    return batch;
  }

  #newBatch(producer: Producer | null): AppendBatch {
    const { codec, runtime } = this.#options;
    return new AppendBatch(codec(), runtime, producer);
  }

  #append(): void {
    const batch = this.#open!;
    this.#open = null;
    const appended = this.#options.log.append(batch.build());
    if (appended === null) {
      this.#options.onLost();
      return;
    }
    this.follow(appended, batch.answers);
    this.#due.push(...batch.followUps);
  }
}
