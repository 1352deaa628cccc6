// Reads single records out of the log, by partition and offset: values that a table does not hold in memory.
// Invariant: a record that compaction, retention or a deletion has taken is told as missing, not as an error; batches
// that were read last are kept for a second, as neighbours tend to be asked for next.
// Kafka: none; consumers seek.

import { ZERO_UUID } from "../../base/uuid.ts";
import { Fetch } from "../../protocol/messages/01_fetch.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import { ClientError, kafkaErrorOf, refusal, requireNone } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import { BatchOpener, type FetchedBatch } from "../fetched.ts";
import { retrying } from "../waiting.ts";

/** A batch that is larger comes all the same, alone. */
const ONE_BATCH_BYTES = 1;
/** Where several records of a partition are wanted. */
const SEVERAL_BYTES = 256 * 1024;
const UNCOMMITTED = 0;
const KEPT_BYTES = 4 * 1024 * 1024;
/** Longer, and what has gone meanwhile would be told for longer, too. */
const KEPT_MS = 1_000;

export interface LookupOptions {
  readonly topic: string;
  /** What one compressed batch may become. */
  readonly batchBytesMax: number;
  readonly signal: AbortSignal;
}

/** A record's key and value as they lie in the log. */
export interface FoundRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
}

let lanes = 0;

export class RecordLookup {
  readonly #context: ClientContext;
  readonly #options: LookupOptions;
  readonly #lane = `table-${++lanes}`;
  /** Of one topic id, oldest first. */
  #kept: FetchedBatch[] = [];
  #keptBytes = 0;
  #keptSinceMs = 0;
  #topicId: string | null = null;

  constructor(context: ClientContext, options: LookupOptions) {
    this.#context = context;
    this.#options = options;
  }

  /**
   * The records at some offsets of one partition, ascending; what is not there any more is left out.
   *
   * @throws {ClientError} what cannot be mended by trying again within the client's `timeoutMs`
   */
  async read(
    partition: number,
    offsets: readonly number[],
  ): Promise<ReadonlyMap<number, FoundRecord>> {
    const found = new Map<number, FoundRecord>();
    const { runtime, backoff, timeoutMs } = this.#context;
    const { signal } = this.#options;
    let next = 0;
    while (next < offsets.length) {
      const wanted = offsets.slice(next);
      const through = await retrying(runtime, { ...backoff, timeoutMs, signal }, () =>
        this.#fetch(partition, wanted, found),
      );
      while (next < offsets.length && offsets[next]! < through) next++;
    }
    return found;
  }

  /** One fetch from the first offset on. @returns where it ended: nothing before is still to be looked for */
  async #fetch(
    partition: number,
    wanted: readonly number[],
    found: Map<number, FoundRecord>,
  ): Promise<number> {
    const { port, metadata, requestTimeoutMs } = this.#context;
    const { topic, signal } = this.#options;
    const first = wanted[0]!;
    const info = await metadata.topic(topic, { signal });
    if (info.topicId !== this.#topicId) this.#forget(info.topicId);
    const kept = this.#keptAt(partition, first);
    if (kept !== null) {
      this.#find(kept, wanted, found);
      return kept.next;
    }
    const place = info.partitions[partition];
    // Of a topic that was made anew, with fewer partitions.
    if (place === undefined) return Number.POSITIVE_INFINITY;
    try {
      if (place.leader < 0) throw new ClientError("leader_not_available", "There is no leader");
      const response = await port.send(
        Fetch,
        {
          maxWaitMs: 0,
          minBytes: 0,
          // What was committed stays so: aborted transactions need not be told of again.
          isolationLevel: UNCOMMITTED,
          topics: [
            {
              topic,
              topicId: info.topicId ?? ZERO_UUID,
              partitions: [
                {
                  partition,
                  currentLeaderEpoch: place.leaderEpoch,
                  fetchOffset: first,
                  partitionMaxBytes: wanted.length === 1 ? ONE_BATCH_BYTES : SEVERAL_BYTES,
                },
              ],
            },
          ],
        },
        {
          to: place.leader,
          lane: this.#lane,
          signal,
          timeoutMs: requestTimeoutMs,
          ...(info.topicId === null ? { versionMax: 12 } : {}),
        },
      );
      requireNone(response.errorCode, "Cannot fetch");
      const answer = response.responses[0]?.partitions[0];
      if (answer === undefined) throw new ClientError("unknown_server_error", "An empty answer");
      const error = kafkaErrorOf(answer.errorCode);
      if (error?.code === "offset_out_of_range") return first + 1;
      if (error !== null) throw refusal(error, `Cannot fetch ${topic}-${partition}`);
      // A leader that was chosen just now may not know yet what it may give.
      if (answer.highWatermark <= first) {
        throw new ClientError("offset_not_available", `Offset ${first} cannot be read yet`);
      }
      const bytes = answer.records ?? new Uint8Array(0);
      return this.#take(info.topicId, partition, bytes, wanted, found);
    } catch (error) {
      metadata.invalidate(topic);
      throw error;
    }
  }

  #take(
    topicId: string | null,
    partition: number,
    bytes: Uint8Array,
    wanted: readonly number[],
    found: Map<number, FoundRecord>,
  ): number {
    const { topic, batchBytesMax } = this.#options;
    const opener = new BatchOpener({ topic, partition }, this.#context.runtime, {
      sizeBytesMax: batchBytesMax,
      isCommittedOnly: false,
    });
    const bounds = { end: Number.POSITIVE_INFINITY, highWatermark: -1 };
    const { batches, nextOffset } = opener.open(bytes, wanted[0]!, bounds, []);
    if (nextOffset === wanted[0] && bytes.length > 0) {
      const text = `The broker gave part of the batch at offset ${nextOffset} of ${topic}-${partition}`;
      throw new ClientError("record_list_too_large", text);
    }
    for (const sealed of batches) {
      const batch = sealed.open();
      this.#find(batch, wanted, found);
      if (topicId === this.#topicId) this.#keep(batch);
    }
    // At the end of the log there is nothing, and the record is not there either.
    return Math.max(nextOffset, wanted[0]! + 1);
  }

  #find(batch: FetchedBatch, wanted: readonly number[], found: Map<number, FoundRecord>): void {
    const offsets = new Set(wanted.filter((offset) => offset < batch.next));
    const cursor = new RecordCursor(batch.block);
    while (offsets.size > 0 && cursor.next()) {
      const offset = batch.baseOffset + cursor.offsetDelta;
      if (!offsets.delete(offset)) continue;
      found.set(offset, { key: cursor.key(), value: cursor.value() });
    }
    batch.requireSound(cursor);
  }

  #keptAt(partition: number, offset: number): FetchedBatch | null {
    const nowMs = this.#context.runtime.clock.monotonicMs();
    if (nowMs - this.#keptSinceMs > KEPT_MS) this.#forget(this.#topicId);
    const at = this.#kept.findIndex((batch) => {
      return batch.partition === partition && batch.baseOffset <= offset && offset < batch.next;
    });
    if (at < 0) return null;
    const [batch] = this.#kept.splice(at, 1);
    this.#kept.push(batch!);
    return batch!;
  }

  #keep(batch: FetchedBatch): void {
    const sizeBytes = bytesOf(batch);
    if (sizeBytes > KEPT_BYTES) return;
    if (this.#kept.length === 0) this.#keptSinceMs = this.#context.runtime.clock.monotonicMs();
    this.#kept.push(batch);
    this.#keptBytes += sizeBytes;
    while (this.#keptBytes > KEPT_BYTES) this.#keptBytes -= bytesOf(this.#kept.shift()!);
  }

  #forget(topicId: string | null): void {
    this.#kept = [];
    this.#keptBytes = 0;
    this.#topicId = topicId;
  }
}

function bytesOf({ block }: FetchedBatch): number {
  return block.end - block.start;
}
