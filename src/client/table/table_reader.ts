// Reads a topic into a key store, and goes on reading: partitions that are added, a topic that is made anew,
// records that retention takes, and a reader that was away for too long.
// Invariant: of each partition records are taken in in order; `applied` passes what shows no record, too
// (markers, aborted transactions, what compaction has left out), so that an end can be reached.
// Kafka: GlobalStreamThread, GlobalStateManagerImpl (KAFKA-6190, KAFKA-12951).

import { RecordCursor } from "../../record/record_reader.ts";
import { ClientError, unwrap } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import { BatchOpener, type FetchedBatch } from "../fetched.ts";
import { type FetchKeeper, type FetchState, PartitionFetcher } from "../fetcher.ts";
import type { TopicInfo } from "../metadata.ts";
import { type CallBounds, within } from "../waiting.ts";
import type { KeyStore } from "./key_store.ts";
import { RememberedDeletes } from "./remembered_deletes.ts";

export interface ReaderOptions {
  readonly topic: string;
  readonly isolation: "read_uncommitted" | "read_committed";
  readonly batchBytesMax: number;
  readonly bufferBytesMax: number;
  /** So long compaction keeps a tombstone, in ms. */
  readonly tombstonesMs: number;
  /** Reading has ended for good. */
  readonly onFailed: (error: unknown) => void;
}

interface Part {
  readonly state: FetchState;
  readonly partition: number;
  /** Batches that were fetched and not yet taken in. */
  queued: number;
  applied: number;
  end: number;
  answers: number;
  logStart: number;
  /** When it was last read to its end: by the clock that never jumps, and by the one that goes on in sleep. */
  caughtUp: { readonly monotonicMs: number; readonly wallMs: number } | null;
  /** While it is read again from the start: where it had come to by then; -1 otherwise. */
  sweepUntil: number;
}

interface Waiter {
  readonly goals: ReadonlyMap<number, number>;
  /** False when the offsets mean nothing any more. */
  resolve(isReached: boolean): void;
  reject(error: unknown): void;
}

const WAIT_MS = 500;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const PARTITION_BYTES_MAX = 2 * 1024 * 1024;
/** How soon a partition that was added is read, when nobody asks whether all is up to date. */
const PARTITIONS_CHECK_MS = 10_000;
/** Memory is looked at after so many bytes. */
const FIT_BYTES = 64 * 1024;
/** Others get their turn after this. */
const TURN_MS = 8;

export class TableReader implements FetchKeeper {
  readonly #context: ClientContext;
  readonly #options: ReaderOptions;
  readonly #store: KeyStore;
  readonly #closing = new AbortController();
  readonly #fetcher: PartitionFetcher;
  readonly #deletes = new RememberedDeletes();
  #parts: Part[] = [];
  #waiters: Waiter[] = [];
  #growing: Promise<void> = Promise.resolve();
  #check: { cancel(): void } | null = null;
  #failure: unknown = null;
  #unfitted = 0;
  records = 0;
  keyless = 0;

  constructor(context: ClientContext, options: ReaderOptions, store: KeyStore) {
    this.#context = context;
    this.#options = options;
    this.#store = store;
    const fetchOptions = {
      isolation: options.isolation,
      outOfRange: "earliest" as const,
      waitMsMax: WAIT_MS,
      bytesMin: 1,
      bytesMax: ANSWER_BYTES_MAX,
      partitionBytesMax: Math.min(PARTITION_BYTES_MAX, options.bufferBytesMax),
      bufferBytesMax: options.bufferBytesMax,
      keeper: this,
    };
    this.#fetcher = new PartitionFetcher(context, fetchOptions, []);
  }

  /** By partition: the next offset to be taken in. */
  get positions(): readonly number[] {
    return this.#parts.map(({ applied }) => applied);
  }

  /** Begins to read. @throws {ClientError} when the partitions cannot be looked up */
  async start(info: TopicInfo): Promise<void> {
    await this.#fit(info);
    // Without partitions there would be nothing to wait for, and reading would be over.
    void this.#run();
    this.#checkLater();
  }

  close(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#failure ??= error;
    this.#closing.abort();
    this.#check?.cancel();
    this.#fetcher.close();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  /**
   * Resolves once all is taken in that the log held when this was called.
   *
   * @param isolation read_committed: what was decided by then. read_uncommitted: what was acknowledged by then, which
   *   waits for the transactions that were open, if the table itself reads what is committed
   */
  async throughEnds(
    isolation: "read_uncommitted" | "read_committed",
    bounds: Partial<CallBounds> = {},
    only: number | null = null,
  ): Promise<void> {
    const { metadata, admin } = this.#context;
    const { topic } = this.#options;
    for (;;) {
      this.#requireRunning();
      if (only === null) {
        metadata.invalidate(topic);
        await this.#fit(await metadata.topic(topic, bounds));
      }
      const places = this.#parts
        .filter(({ partition }) => only === null || partition === only)
        .map(({ partition }) => ({ topic, partition, at: "latest" as const }));
      const outcomes = await admin.offsets(places, { ...bounds, isolation });
      const goals = new Map<number, number>();
      for (const [i, { partition }] of places.entries()) {
        const doing = `Cannot look up the end of ${topic}-${partition}`;
        goals.set(partition, unwrap(outcomes[i]!, doing).offset);
      }
      if (await this.#reached(goals, bounds.signal)) return;
    }
  }

  /** Resolves once all of some partitions is taken in that was decided when this was called. */
  async catchUp(partitions: readonly number[], timeoutMs: number): Promise<void> {
    const { isolation } = this.#options;
    await within(this.#context.runtime, { timeoutMs, signal: this.#closing.signal }, (bounds) =>
      Promise.all(partitions.map((each) => this.throughEnds(isolation, bounds, each))),
    );
  }

  /** Takes in what the table itself has written, before it is read: it was acknowledged, so it stays. */
  takeOwn(
    place: { readonly partition: number; readonly offset: number; readonly timestampMs: number },
    key: Uint8Array,
    value: Uint8Array | null,
  ): void {
    const part = this.#parts[place.partition];
    if (part === undefined) void this.#lookForPartitions();
    // It was read already, and what came after it as well.
    if (part !== undefined && part.applied > place.offset) return;
    const bytes = new Uint8Array(key.length + (value?.length ?? 0));
    bytes.set(key);
    if (value !== null) bytes.set(value, key.length);
    const record = {
      bytes,
      keyStart: 0,
      keyEnd: key.length,
      valueStart: key.length,
      valueLength: value?.length ?? -1,
    };
    const slot = this.#store.put(record, place, true);
    if (slot >= 0) this.#deletes.add(slot, place.partition, place.offset);
    this.#requireRoom();
  }

  onAnswer(state: FetchState, batches: number, logStart: number, end: number): void {
    const part = this.#partOf(state);
    if (part === undefined) return;
    part.answers++;
    part.end = end;
    part.queued += batches;
    if (logStart > part.logStart) {
      part.logStart = logStart;
      this.#store.dropBefore(part.partition, logStart);
    }
    if (this.#wasAwayTooLong(part)) this.#readAgain(part);
    if (part.queued === 0) this.#passed(part);
  }

  onMoved(state: FetchState, from: number, isAnew: boolean): void {
    const part = this.#partOf(state);
    if (part === undefined) return;
    part.queued = 0;
    part.applied = state.position;
    // Behind its start is what retention has taken; anywhere else, the log is not the one that was read.
    const isCut = !isAnew && from < state.position;
    part.logStart = state.position;
    if (!isCut) {
      part.sweepUntil = -1;
      part.caughtUp = null;
      this.#store.endSweep(part.partition);
    }
    this.#store.dropBefore(part.partition, isCut ? state.position : Number.POSITIVE_INFINITY);
    if (isAnew) void this.#lookForPartitions();
    // Of another log, their ends mean nothing.
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(false);
  }

  async #run(): Promise<void> {
    const { clock, scheduler } = this.#context.runtime;
    let turnMs = clock.monotonicMs();
    try {
      this.#fetcher.start();
      for (;;) {
        const batch = await this.#fetcher.next();
        if (batch === null) return;
        if (this.#fetcher.isTakenStale) continue;
        this.#take(batch);
        if (clock.monotonicMs() - turnMs < TURN_MS) continue;
        await scheduler.yieldNow();
        turnMs = clock.monotonicMs();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #take(batch: FetchedBatch): void {
    const part = this.#parts[batch.partition];
    if (part === undefined) return;
    const { partition } = batch;
    const keepsDeleted = this.#parts.length > 1;
    const cursor = new RecordCursor(batch.block);
    const { bytes } = batch.block;
    while (cursor.next()) {
      const offset = batch.baseOffset + cursor.offsetDelta;
      if (offset < batch.from) continue;
      if (offset >= batch.end) break;
      this.records++;
      const { keyStart, keyLength, valueStart, valueLength } = cursor;
      if (keyLength < 0) {
        this.keyless++;
        continue;
      }
      const record = { bytes, keyStart, keyEnd: keyStart + keyLength, valueStart, valueLength };
      if (offset < part.sweepUntil) {
        this.#store.meet(record, partition, offset);
        continue;
      }
      const timestampMs = batch.timestampOf(cursor);
      const slot = this.#store.put(record, { partition, offset, timestampMs }, keepsDeleted);
      if (slot >= 0) this.#deletes.add(slot, partition, offset);
      this.#unfitted += keyLength + valueLength;
      if (this.#unfitted > FIT_BYTES) this.#requireRoom();
    }
    batch.requireSound(cursor);
    this.#requireRoom();
    part.applied = batch.next;
    part.queued--;
    if (part.queued === 0) this.#passed(part);
    else this.#settle();
  }

  /** What was fetched of a partition is taken in: also what showed no record. */
  #passed(part: Part): void {
    part.applied = Math.max(part.applied, part.state.position);
    if (part.sweepUntil >= 0 && part.applied >= part.sweepUntil) {
      this.#store.endSweep(part.partition, part.sweepUntil);
      part.sweepUntil = -1;
    }
    if (part.applied >= part.end) {
      const { clock } = this.#context.runtime;
      part.caughtUp = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
    }
    if (!this.#deletes.isEmpty) {
      this.#deletes.look(this.#parts, (...each) => this.#store.forget(...each));
    }
    this.#settle();
  }

  /** Tombstones that it has not read may be gone by now: the keys that they took would stay for ever. */
  #wasAwayTooLong({ caughtUp, applied, end, sweepUntil }: Part): boolean {
    if (caughtUp === null || sweepUntil >= 0 || applied >= end) return false;
    const { clock } = this.#context.runtime;
    const awayMs = Math.max(
      clock.monotonicMs() - caughtUp.monotonicMs,
      clock.wallMs() - caughtUp.wallMs,
    );
    return awayMs > this.#options.tombstonesMs;
  }

  /** From the start once more: what is not met again by where it had come to is not there any more. */
  #readAgain(part: Part): void {
    this.#store.beginSweep(part.partition);
    part.sweepUntil = part.applied;
    part.caughtUp = null;
    part.queued = 0;
    part.applied = part.logStart;
    this.#fetcher.seek(part.state, part.logStart);
  }

  #partOf(state: FetchState): Part | undefined {
    const part = this.#parts[state.partition];
    return part?.state === state ? part : undefined;
  }

  /** Memory stays within its bound, or reading ends. */
  #requireRoom(): void {
    this.#unfitted = 0;
    if (this.#store.fit()) return;
    const { topic } = this.#options;
    const { size, sizeBytes } = this.#store;
    const text = `Table "${topic}" does not fit: ${size} keys and their places alone take ${sizeBytes} bytes: raise bytesMax`;
    this.#fail(new ClientError("buffer_full", text));
  }

  #fail(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.close(error);
    this.#options.onFailed(error);
  }

  #requireRunning(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  #reached(goals: ReadonlyMap<number, number>, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      const forget = () => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        // The caller has its answer by other means.
        resolve(false);
      };
      const waiter: Waiter = {
        goals,
        resolve(isReached) {
          signal?.removeEventListener("abort", forget);
          resolve(isReached);
        },
        reject,
      };
      signal?.addEventListener("abort", forget, { once: true });
      this.#waiters.push(waiter);
      this.#settle();
    });
  }

  #settle(): void {
    if (this.#waiters.length === 0) return;
    const isReached = ({ goals }: Waiter) => {
      for (const [partition, offset] of goals) {
        const part = this.#parts[partition];
        if (part !== undefined && part.applied < offset) return false;
      }
      return true;
    };
    const reached = this.#waiters.filter(isReached);
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter((each) => !reached.includes(each));
    for (const waiter of reached) waiter.resolve(true);
  }

  #checkLater(): void {
    const { scheduler } = this.#context.runtime;
    this.#check = scheduler.after(PARTITIONS_CHECK_MS, "table_partitions", () => {
      void this.#lookForPartitions().then(() => {
        if (!this.#closing.signal.aborted) this.#checkLater();
      });
    });
  }

  async #lookForPartitions(): Promise<void> {
    const { metadata } = this.#context;
    const { topic } = this.#options;
    metadata.invalidate(topic);
    try {
      await this.#fit(await metadata.topic(topic, { signal: this.#closing.signal }));
    } catch {
      // The fetcher meets the same, and says so if it lasts.
    }
  }

  /** Reads as many partitions as the topic has. One look at a time. */
  #fit(info: TopicInfo): Promise<void> {
    const fitting = this.#growing.then(() => this.#fitNow(info));
    this.#growing = fitting.catch(() => {});
    return fitting;
  }

  async #fitNow({ partitions }: TopicInfo): Promise<void> {
    const count = partitions.length;
    if (this.#closing.signal.aborted || count === this.#parts.length) return;
    if (count < this.#parts.length) {
      // Only a topic that was made anew has fewer.
      const gone = this.#parts.splice(count);
      this.#fetcher.remove(gone.map(({ state }) => state));
      for (const { partition } of gone) {
        this.#store.dropBefore(partition, Number.POSITIVE_INFINITY);
      }
      return;
    }
    const { admin, runtime } = this.#context;
    const { topic, isolation, batchBytesMax } = this.#options;
    const places = partitions.slice(this.#parts.length).map(({ partition }) => {
      return { topic, partition, at: "earliest" as const };
    });
    const outcomes = await admin.offsets(places, { signal: this.#closing.signal });
    const added = places.map(({ partition }, i): Part => {
      const doing = `Cannot look up the start of ${topic}-${partition}`;
      const { offset } = unwrap(outcomes[i]!, doing);
      const state: FetchState = {
        topic,
        partition,
        position: offset,
        end: Number.POSITIVE_INFINITY,
        opener: new BatchOpener({ topic, partition }, runtime, {
          sizeBytesMax: batchBytesMax,
          isCommittedOnly: isolation === "read_committed",
        }),
        readableEnd: -1,
        bufferedBytes: 0,
        failures: 0,
        retryAtMs: 0,
        isPaused: false,
        topicId: null,
        seeks: 0,
      };
      return {
        state,
        partition,
        queued: 0,
        applied: offset,
        end: Number.POSITIVE_INFINITY,
        answers: 0,
        logStart: offset,
        caughtUp: null,
        sweepUntil: -1,
      };
    });
    this.#parts.push(...added);
    this.#fetcher.add(added.map(({ state }) => state));
  }
}
