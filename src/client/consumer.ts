// Reads partitions that it was told, each in order, from a place on: for ever, to the end, or so many records.
// Invariant: of one partition every record from the start on is given once, in order; what was fetched and
// not yet taken stays within `bufferBytesMax` (and one answer).
// Kafka: KafkaConsumer.assign, Fetcher.

import { ClientError, unwrap } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import { BatchOpener, type ConsumedRecord, type FetchedBatch } from "./fetched.ts";
import { type FetcherOptions, type FetchState, PartitionFetcher } from "./fetcher.ts";
import type { OffsetSpec } from "./offsets.ts";
import {
  checkNames,
  checkOptions,
  checkTopics,
  type OptionNames,
  READING_NAMES,
} from "./option_checks.ts";

/** Where to begin: an end of the partition, an offset, or the first record at or after a time. */
export type StartAt =
  | "beginning"
  | "end"
  | { readonly offset: number }
  /** From the end back: the last so many offsets. */
  | { readonly lastOffsets: number }
  | { readonly timestampMs: number };

/** One partition to read. */
export interface Assignment {
  readonly topic: string;
  readonly partition: number;
  /** The consumer's when left out. */
  readonly from?: StartAt;
}

/** What to read, and how. */
export interface ConsumerOptions {
  /** Topics of which every partition is read. */
  readonly topics?: readonly string[];
  readonly partitions?: readonly Assignment[];
  /** Default "beginning". */
  readonly from?: StartAt;
  /** Ends at what was the end of each partition when reading began. Default false. */
  readonly untilEnd?: boolean;
  /** Ends after so many records, over all partitions. */
  readonly recordsMax?: number;
  /**
   * "read_committed" leaves out what was aborted, and ends before the oldest open transaction, `untilEnd`, `from` and `lag` as
   * well. Default "read_uncommitted", as in every Kafka client.
   */
  readonly isolation?: "read_uncommitted" | "read_committed";
  /**
   * What to do when retention has removed the next offset, or it never was: stop with
   * "offset_out_of_range" (default), or go on at an end.
   */
  readonly outOfRange?: "error" | "earliest" | "latest";
  /** The broker holds an empty answer back so long, in ms. Default 500. */
  readonly waitMsMax?: number;
  /** The broker waits for so many bytes, at most `waitMsMax`. Default 1. */
  readonly bytesMin?: number;
  /** Of one answer. Default 16 MiB; a first batch that is larger comes all the same. */
  readonly bytesMax?: number;
  /** Of one partition in an answer. Default 4 MiB. */
  readonly partitionBytesMax?: number;
  /** What was fetched and not yet taken, compressed as it came, without what a pause holds back. Default 32 MiB. */
  readonly bufferBytesMax?: number;
  /** What one compressed batch may become. Default 256 MiB. */
  readonly batchBytesMax?: number;
  /** How long an unknown topic may take to appear, in ms. Default 0. */
  readonly unknownWaitMs?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

const NAMES: OptionNames<ConsumerOptions> = {
  topics: true,
  partitions: true,
  from: true,
  outOfRange: true,
  unknownWaitMs: true,
  ...READING_NAMES,
};
/** Of a member of a group, which `group` would make of it. */
const OF_MEMBERS = ["group"];
const LOWEST = {
  recordsMax: 0,
  waitMsMax: 0,
  bytesMin: 0,
  bytesMax: 1,
  partitionBytesMax: 1,
  bufferBytesMax: 1,
  batchBytesMax: 1,
  unknownWaitMs: 0,
};
const WORDS = {
  isolation: ["read_uncommitted", "read_committed"],
  outOfRange: ["error", "earliest", "latest"],
};

/** Iterate it once: over records, or over `batches()`. Leaving the loop closes it. */
export class Consumer implements AsyncIterable<ConsumedRecord> {
  readonly #context: ClientContext;
  readonly #options: ConsumerOptions;
  readonly #onClose: (self: Consumer) => void;
  readonly #closing = new AbortController();
  readonly #onAbort = () => this.close();
  #fetcher: PartitionFetcher | null = null;
  #isIterated = false;
  /** The batch whose records are being given out; null once its partition is read from elsewhere. */
  #current: FetchedBatch | null = null;
  /** Behind the record of it that was given out. */
  #given = 0;

  /** Made by `Client.consumer`. */
  constructor(context: ClientContext, options: ConsumerOptions, onClose: (self: Consumer) => void) {
    checkNames(options, NAMES, "a consumer", OF_MEMBERS);
    checkOptions(options, LOWEST, WORDS);
    checkTopics(options.topics);
    checkPartitions(options.partitions);
    for (const { from } of [options, ...(options.partitions ?? [])]) checkStart(from);
    if (options.topics === undefined && options.partitions === undefined) {
      throw new TypeError("A consumer reads topics or partitions: found neither");
    }
    this.#context = context;
    this.#options = options;
    this.#onClose = onClose;
    if (options.signal?.aborted === true) this.#closing.abort();
    else options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Records one by one. @throws {ClientError} what cannot be mended by trying again */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord, void, undefined> {
    let left = this.#options.recordsMax ?? Number.POSITIVE_INFINITY;
    for await (const batch of this.batches()) {
      if (this.#fetcher!.isTakenStale) continue;
      this.#current = batch;
      for (const record of batch.records(left)) {
        left--;
        this.#given = record.offset + 1;
        yield record;
        if (this.#current !== batch) break;
      }
      if (this.#current === batch) this.#current = null;
      if (left <= 0) return;
    }
  }

  /** Batches as they come: each has records of one partition. `recordsMax` is then the caller's affair. */
  async *batches(): AsyncGenerator<FetchedBatch, void, undefined> {
    if (this.#isIterated) throw new ClientError("closed", "A consumer is iterated once");
    this.#isIterated = true;
    try {
      if (this.#closing.signal.aborted || this.#options.recordsMax === 0) return;
      const states = await this.#begin();
      const fetcher = new PartitionFetcher(this.#context, this.#fetchOptions(), states);
      this.#fetcher = fetcher;
      if (this.#closing.signal.aborted) return;
      fetcher.start();
      for (;;) {
        const batch = await fetcher.next();
        if (batch === null) return;
        // A seek may come between the giving and the taking.
        if (!fetcher.isTakenStale) yield batch;
      }
    } catch (error) {
      // Closing is how an endless iteration is ended.
      if (!this.#closing.signal.aborted) throw error;
    } finally {
      this.close();
    }
  }

  /** Closed, by whatever way: nothing more comes. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Where each partition will be read next: after what was given out or waits to be. */
  positions(): readonly { topic: string; partition: number; offset: number }[] {
    const states = this.#fetcher?.states ?? [];
    return states.map(({ topic, partition, position }) => ({ topic, partition, offset: position }));
  }

  /**
   * How many offsets are left to be given out, up to what could be read at the last answer (with "read_committed" that ends before
   * the oldest open transaction); null before the first. Offsets of markers and of aborted records count until they are passed.
   *
   * @throws {ClientError} "invalid_request" as `seek`
   */
  lag(topic: string, partition: number): number | null {
    const state = this.#stateOf(topic, partition);
    if (state.readableEnd === undefined) return null;
    const current = this.#current;
    const isHere = current?.topic === topic && current.partition === partition;
    const given = isHere ? this.#given : this.#fetcher!.givenOf(state);
    return Math.max(state.readableEnd - given, 0);
  }

  /**
   * Reads a partition from another offset on, from the next record given out.
   *
   * @throws {ClientError} "invalid_request" before reading has begun, or of a partition that is not read
   */
  seek(topic: string, partition: number, offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new ClientError("invalid_request", `An offset is a whole number from 0: ${offset}`);
    }
    const state = this.#stateOf(topic, partition);
    const { topic: name, partition: number } = this.#current ?? {};
    if (name === topic && number === partition) this.#current = null;
    this.#fetcher!.seek(state, offset);
  }

  /** Gives nothing more of a partition until `resume`; the rest of a batch under way still comes. @throws as `seek` */
  pause(topic: string, partition: number): void {
    this.#fetcher!.setPaused(this.#stateOf(topic, partition), true);
  }

  /** Goes on with a paused partition where it was. @throws as `seek` */
  resume(topic: string, partition: number): void {
    this.#fetcher!.setPaused(this.#stateOf(topic, partition), false);
  }

  /** Ends the iteration. Idempotent. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#fetcher?.close();
    this.#onClose(this);
  }

  #stateOf(topic: string, partition: number): FetchState {
    const state = this.#fetcher?.states.find((each) => {
      return each.topic === topic && each.partition === partition;
    });
    if (state !== undefined) return state;
    const text = this.#fetcher === null ? "reading has not begun" : "it is not among those read";
    throw new ClientError("invalid_request", `Cannot move in ${topic}-${partition}: ${text}`);
  }

  #fetchOptions(): FetcherOptions {
    const options = this.#options;
    return {
      isolation: options.isolation ?? "read_uncommitted",
      outOfRange: options.outOfRange ?? "error",
      waitMsMax: options.waitMsMax ?? 500,
      bytesMin: options.bytesMin ?? 1,
      bytesMax: options.bytesMax ?? 16 * 1024 * 1024,
      partitionBytesMax: options.partitionBytesMax ?? 4 * 1024 * 1024,
      bufferBytesMax: options.bufferBytesMax ?? 32 * 1024 * 1024,
    };
  }

  /** Finds out what is to be read, where it begins, and where it ends. */
  async #begin(): Promise<FetchState[]> {
    const { metadata, runtime } = this.#context;
    const { from = "beginning", untilEnd = false, isolation = "read_uncommitted" } = this.#options;
    const lookup = {
      unknownWaitMs: this.#options.unknownWaitMs ?? 0,
      signal: this.#closing.signal,
    };
    const wanted = new Map<string, Assignment>();
    for (const topic of this.#options.topics ?? []) {
      for (const { partition } of (await metadata.topic(topic, lookup)).partitions) {
        wanted.set(`${topic}-${partition}`, { topic, partition });
      }
    }
    for (const each of this.#options.partitions ?? []) {
      const info = await metadata.topic(each.topic, lookup);
      if (info.partitions[each.partition] === undefined) {
        const text = `Topic "${each.topic}" has the partitions 0 to ${info.partitions.length - 1}: found ${each.partition}`;
        throw new ClientError("unknown_topic_or_partition", text, { retriable: false });
      }
      wanted.set(`${each.topic}-${each.partition}`, each);
    }
    const assignments = [...wanted.values()];
    const starts = assignments.map((each) => each.from ?? from);
    const ends = await this.#offsets(
      assignments.map((each) => ({ ...each, at: "latest" as const })),
      assignments.map((_, index) => untilEnd || needsEnd(starts[index]!)),
    );
    const found = await this.#offsets(
      assignments.map((each, index) => ({ ...each, at: placeOf(starts[index]!) })),
      starts.map((start) => start === "beginning" || (start !== "end" && !("offset" in start))),
    );
    return assignments.map(({ topic, partition }, index) => {
      const end = ends[index]!;
      return {
        topic,
        partition,
        position: startOf(starts[index]!, found[index]!, end),
        end: untilEnd ? end : Number.POSITIVE_INFINITY,
        opener: new BatchOpener({ topic, partition }, runtime, {
          sizeBytesMax: this.#options.batchBytesMax ?? 256 * 1024 * 1024,
          isCommittedOnly: isolation === "read_committed",
        }),
        bufferedBytes: 0,
        failures: 0,
        retryAtMs: 0,
        isPaused: false,
        topicId: null,
        seeks: 0,
      };
    });
  }

  /** Offsets of the queries whose flag is set; -1 for the others, and where there is none. */
  async #offsets(
    queries: readonly { topic: string; partition: number; at: OffsetSpec }[],
    isAsked: readonly boolean[],
  ): Promise<readonly number[]> {
    const asked = queries.filter((_, index) => isAsked[index]);
    const { isolation = "read_uncommitted" } = this.#options;
    const outcomes = await this.#context.admin.offsets(asked, { isolation });
    let next = 0;
    return queries.map(({ topic, partition }, index) => {
      if (!isAsked[index]) return -1;
      return unwrap(outcomes[next++]!, `Cannot look up an offset of ${topic}-${partition}`).offset;
    });
  }
}

/** @throws {TypeError} for what is no list of places */
function checkPartitions(partitions: unknown): void {
  if (partitions === undefined) return;
  const isPlace = (each: unknown) => typeof each === "object" && each !== null;
  if (Array.isArray(partitions) && partitions.every(isPlace)) return;
  throw new TypeError("partitions must be a list of { topic, partition, from }");
}

/** Refuses what callers without types may have wrong. @throws {TypeError} */
function checkStart(from: unknown): void {
  if (from === undefined || from === "beginning" || from === "end") return;
  if (typeof from === "object" && from !== null) {
    const [[name, value] = [], ...more] = Object.entries(from);
    const isKnown = name === "offset" || name === "lastOffsets" || name === "timestampMs";
    if (isKnown && more.length === 0 && Number.isSafeInteger(value) && value >= 0) return;
  }
  const forms = '"beginning", "end", { offset }, { lastOffsets } or { timestampMs }, whole from 0';
  throw new TypeError(`from must be ${forms}: found ${JSON.stringify(from)}`);
}

function needsLookUp(start: StartAt): start is { readonly timestampMs: number } {
  return typeof start === "object" && "timestampMs" in start;
}

function needsEnd(start: StartAt): boolean {
  return (
    start === "end" || needsLookUp(start) || (typeof start === "object" && "lastOffsets" in start)
  );
}

function placeOf(start: StartAt): OffsetSpec {
  return needsLookUp(start) ? { timestampMs: start.timestampMs } : "earliest";
}

function startOf(start: StartAt, found: number, end: number): number {
  if (start === "beginning") return found;
  if (start === "end") return end;
  if ("offset" in start) return start.offset;
  // Not before what there is: older ones may be gone.
  if ("lastOffsets" in start) return Math.max(end - start.lastOffsets, found);
  // No record is that late: begin with those to come.
  return found < 0 ? end : found;
}
