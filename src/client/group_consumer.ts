// Reads as a member of a group: the group's members share the partitions, and its committed offsets say where to
// go on.
// Invariant: a record counts as done with when the next one is asked for; what is not done with is not
// committed unless the application says so.
// Kafka: KafkaConsumer.subscribe.

import { ClientError } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import type { ConsumedRecord, FetchedBatch } from "./fetched.ts";
import type { GroupEngine } from "./group/group_engine.ts";
import {
  type CommittedOffset,
  checkGroupOptions,
  type GroupConsumerOptions,
  type GroupMetadata,
  type OffsetToCommit,
} from "./group/group_options.ts";
import type { HandedOut, OffsetsTransaction, Owned } from "./group/ownership.ts";
import type { TopicPartition } from "./group/partition_key.ts";
import { offsetsFault } from "./option_checks.ts";

/** Iterate it once: over records, or over `batches()`. Leaving the loop leaves the group. */
export class GroupConsumer implements AsyncIterable<ConsumedRecord> {
  readonly #context: ClientContext;
  readonly #options: GroupConsumerOptions;
  readonly #onClose: (self: GroupConsumer) => void;
  readonly #onAbort = () => this.#endSoon();
  #engine: GroupEngine | null = null;
  #isIterated = false;
  #closing: Promise<void> | null = null;
  /** Closing is over: this consumer has left its group. */
  #isOut = false;
  #transaction: OffsetsTransaction | null = null;

  /** Made by `Client.consumer`. @throws {TypeError} */
  constructor(
    context: ClientContext,
    options: GroupConsumerOptions,
    onClose: (self: GroupConsumer) => void,
  ) {
    checkGroupOptions(options);
    this.#context = context;
    this.#options = options;
    this.#onClose = onClose;
    if (options.signal?.aborted === true) this.#closing = Promise.resolve();
    else options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Closed, by whatever way: nothing more comes. */
  get isClosed(): boolean {
    return this.#closing !== null;
  }

  /**
   * Records one by one. One is done with when the next is asked for: whoever breaks off leaves the last one to be read again,
   * unless it was committed.
   *
   * @throws {ClientError} what cannot be mended by trying or joining again, and what callbacks throw
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord, void, undefined> {
    const engine = await this.#begin();
    if (engine === null) return;
    const { gate } = engine;
    let left = this.#options.recordsMax ?? Number.POSITIVE_INFINITY;
    try {
      while (left > 0) {
        const batch = await engine.next();
        if (batch === null) return;
        const owned = engine.ownedOf(batch);
        if (owned === undefined) continue;
        for (const record of batch.records(left)) {
          left--;
          const { seeks } = owned;
          owned.given = record.offset + 1;
          gate.hand();
          yield record;
          if (owned.seeks === seeks) owned.done = owned.given;
          gate.takeBack();
          if (gate.isShut) await gate.opened();
          if (engine.isStale) break;
        }
        if (!engine.isStale && left > 0) finish(owned, batch);
      }
    } catch (error) {
      await this.#endAfter(error);
    } finally {
      await this.close();
    }
  }

  /** Batches as they come: each has records of one partition, and is done with when the next is asked for. */
  async *batches(): AsyncGenerator<FetchedBatch, void, undefined> {
    const engine = await this.#begin();
    if (engine === null) return;
    try {
      for (;;) {
        const batch = await engine.next();
        if (batch === null) return;
        const owned = engine.ownedOf(batch);
        if (owned === undefined) continue;
        const { seeks } = owned;
        owned.given = batch.next;
        engine.gate.hand();
        yield batch;
        if (owned.seeks === seeks) owned.done = owned.given;
        engine.gate.takeBack();
      }
    } catch (error) {
      await this.#endAfter(error);
    } finally {
      await this.close();
    }
  }

  /** The partitions that this member has now. */
  assignment(): readonly TopicPartition[] {
    const all = this.#engine?.ownership.all ?? [];
    return all.map(({ topic, partition }) => ({ topic, partition }));
  }

  /**
   * Commits what has been handed out, the record in hand included; or the offsets given, each that of the next record to read.
   *
   * @throws {ClientError} "unknown_member_id", "illegal_generation", "fenced_instance_id", "rebalance_in_progress": others read
   *   on from what was committed before; "offset_metadata_too_large", "invalid_request", …
   */
  async commit(offsets?: readonly OffsetToCommit[]): Promise<void> {
    const { ownership } = this.#running();
    const fault = offsets === undefined ? null : offsetsFault(offsets);
    if (fault !== null) throw fault;
    if (this.#isOut)
      throw new ClientError("closed", "This consumer is closed: nothing is committed any more");
    await (offsets === undefined ? ownership.commitGiven() : ownership.commitChosen(offsets));
  }

  /** What the group has committed; of the partitions that this member has when left out. */
  async committed(partitions?: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    return this.#running().ownership.committed(partitions);
  }

  /**
   * Who this member is now, for a producer that commits its offsets in a transaction (KIP-447).
   *
   * @throws {ClientError} "unknown_member_id": it is not in the group
   */
  groupMetadata(): GroupMetadata {
    const who = this.#engine?.ownership.identity() ?? null;
    const { group: groupId } = this.#options;
    if (who === null) {
      const text = `This consumer is not a member of group "${groupId}" now. What is not committed comes again, to whoever has the partition`;
      throw new ClientError("unknown_member_id", text);
    }
    return {
      groupId,
      generation: who.epoch,
      memberId: who.memberId,
      instanceId: who.instanceId,
    };
  }

  /** Of transactions: whether each partition that this member has now has stayed its own. */
  ownershipCheck(): () => boolean {
    return this.#engine?.ownership.check() ?? (() => false);
  }

  /**
   * Of transactions: what is handed out is committed by one from now on, until it is over (null).
   *
   * @throws {ClientError} "invalid_request" of a consumer that commits by itself, or is in another transaction
   */
  enlist(transaction: OffsetsTransaction | null): void {
    if (transaction !== null && this.#options.autoCommit !== false) {
      const text = `The consumer of group "${this.#options.group}" commits by itself, which no transaction can take back: make it with autoCommit: false`;
      throw new ClientError("invalid_request", text);
    }
    if (transaction !== null && this.#transaction !== null) {
      const text = `The consumer of group "${this.#options.group}" is in another transaction: wait for its end`;
      throw new ClientError("invalid_request", text);
    }
    this.#transaction = transaction;
    if (this.#engine !== null) this.#engine.ownership.transaction = transaction;
  }

  /** Of transactions: what is to be committed; null before reading has begun. @throws {ClientError} "unknown_member_id" */
  inHand(): HandedOut | null {
    return this.#engine?.ownership.inHand() ?? null;
  }

  /** Of transactions: goes back to what was committed; where it is open whether `sent` was, as the group says. */
  async rewind(sent: HandedOut | null = null): Promise<void> {
    const engine = this.#engine;
    if (engine === null || this.#closing !== null) return;
    if (sent === null) engine.ownership.rewind();
    else await engine.ownership.rewindUnless(sent).catch((error: unknown) => this.fail(error));
  }

  /** Of transactions: nobody knows where to go on. Whoever begins anew asks the group, which waits until it is known. */
  fail(error: unknown): void {
    // What was fetched already is not handed out any more.
    this.#engine?.ownership.halt();
    this.#engine?.fetcher.fail(error);
  }

  /** Offset of the next record to be given out; null while that is not known. @throws as `seek` */
  position(topic: string, partition: number): number | null {
    const { given } = this.#ownedAt(topic, partition);
    return given < 0 ? null : given;
  }

  /**
   * How many offsets of a partition are left to be given out, up to what could be read at the last answer (with "read_committed"
   * that ends before the oldest open transaction); null before the first. @throws as `seek`
   */
  lag(topic: string, partition: number): number | null {
    const { state, given, done } = this.#ownedAt(topic, partition);
    if (state.readableEnd === undefined || given < 0) return null;
    const next = done === given ? this.#running().fetcher.givenOf(state) : given;
    return Math.max(state.readableEnd - next, 0);
  }

  /**
   * Reads a partition from another offset on, from the next record given out.
   *
   * @throws {ClientError} "invalid_request" before reading has begun, or of a partition that this member does not have
   */
  seek(topic: string, partition: number, offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new ClientError("invalid_request", `An offset is a whole number from 0: ${offset}`);
    }
    this.#running().ownership.seek(this.#ownedAt(topic, partition), offset);
  }

  /** Gives nothing more of a partition until `resume`, or until it is another's; the rest of a batch under way still comes. @throws as `seek` */
  pause(topic: string, partition: number): void {
    this.#running().fetcher.setPaused(this.#ownedAt(topic, partition).state, true);
  }

  /** Goes on with a paused partition where it was. @throws as `seek` */
  resume(topic: string, partition: number): void {
    this.#running().fetcher.setPaused(this.#ownedAt(topic, partition).state, false);
  }

  /**
   * Ends the iteration: commits what is done with, calls `onRevoked`, leaves the group. Idempotent. Called in a callback it
   * resolves at once, as it would wait for itself: the iteration is told what comes of it.
   *
   * @throws what `onRevoked` throws, and {ClientError} for a last commit that was refused for good, or "request_timed_out" for a
   *   callback that has not ended after 10 s
   */
  close(): Promise<void> {
    const isInCallback = this.#engine?.ownership.isCalling === true;
    if (this.#closing === null) {
      this.#options.signal?.removeEventListener("abort", this.#onAbort);
      this.#closing = (this.#engine?.close() ?? Promise.resolve()).finally(() => {
        this.#isOut = true;
        this.#onClose(this);
      });
    }
    if (!isInCallback) return this.#closing;
    this.#closing.catch(() => {});
    return Promise.resolve();
  }

  /** Closes when what is in hand is done with: nobody has to read it again. */
  #endSoon(): void {
    const end = async () => {
      // Whoever iterates is told what comes of it.
      this.close().catch(() => {});
    };
    void (this.#engine === null ? end() : this.#engine.gate.step(end));
  }

  /** Joins the group; null when it was closed before. */
  async #begin(): Promise<GroupEngine | null> {
    if (this.#isIterated) throw new ClientError("closed", "A consumer is iterated once");
    this.#isIterated = true;
    const { GroupEngine } = await import("./group/group_engine.ts");
    if (this.#closing !== null) return null;
    if (this.#options.recordsMax === 0) {
      await this.close();
      return null;
    }
    this.#engine = new GroupEngine(this.#context, this.#options);
    this.#engine.ownership.transaction = this.#transaction;
    this.#engine.start();
    return this.#engine;
  }

  /** What ended the iteration is told, and not what came of it. */
  async #endAfter(error: unknown): Promise<void> {
    // Closing is how an endless iteration is ended.
    if (this.#closing !== null) return;
    await this.close().catch(() => {});
    this.#closing = Promise.resolve();
    throw error;
  }

  #running(): GroupEngine {
    if (this.#engine !== null) return this.#engine;
    throw new ClientError("invalid_request", "Reading has not begun: iterate the consumer first");
  }

  #ownedAt(topic: string, partition: number): Owned {
    const owned = this.#running().ownership.find(topic, partition);
    if (owned !== undefined) return owned;
    const text = `This member of group "${this.#options.group}" does not have ${topic}-${partition}`;
    throw new ClientError("invalid_request", text);
  }
}

/** Over the whole batch: what compaction left out behind its last record is done with as well. */
function finish(owned: Owned, batch: FetchedBatch): void {
  if (owned.done !== owned.given) return;
  owned.given = Math.max(owned.given, batch.next);
  owned.done = owned.given;
}
