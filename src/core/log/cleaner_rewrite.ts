// One run of segments, wherever their batches lie, on its way into one cleaned segment: the batches that are left, their
// file, their index, and the change from the one to the other.
// Invariant: nobody reads the new file before `land`, which comes after it is synced; sources go only after a synced
// state speaks of the new one. Kafka: Cleaner.cleanSegments, UnifiedLog.replaceSegments with its swap files.

import { assert } from "../../base/assert.ts";
import type { Logger } from "../../contracts/runtime.ts";
import type { RecordBatch } from "../../record/record_batch.ts";
import type { RecordFault } from "../../record/record_block.ts";
import type { AbortedIndex } from "./aborted_index.ts";
import { type AbortedTransaction, inOrder } from "./aborted_list.ts";
import {
  type CleanedBatch,
  type CleaningCounts,
  type CleaningRules,
  cleanBatch,
  emptiedBatch,
  expiringMarker,
  openForCleaning,
} from "./cleaner_batches.ts";
import type { CleanedTransactions } from "./cleaner_transactions.ts";
import { GatheredSync } from "./gathered_sync.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import { putPlaceMark } from "./place_mark.ts";
import type { SegmentFiles } from "./segment_files.ts";
import { SegmentIndex } from "./segment_index.ts";

const KEPT: CleanedBatch = { kind: "kept" };

/** How what is written reaches the disk beside everybody else's work; it may change meanwhile. */
export interface SyncPace {
  /** Synced after so many bytes: who syncs the journal meanwhile waits for all that has gathered. */
  readonly syncBytes: number;
  /** Whether writing goes on only after each sync. */
  readonly waitsForSyncs: boolean;
}

export class SegmentRewrite {
  /** Bytes of the records that the last `add` went through. */
  lastBytes = 0;
  readonly #log: PartitionLog;
  readonly #sources: readonly SegmentInfo[];
  readonly #rules: CleaningRules;
  readonly #transactions: CleanedTransactions;
  readonly #files: SegmentFiles;
  readonly #abortedIndex: AbortedIndex;
  readonly #counts: CleaningCounts;
  readonly #segment: SegmentInfo;
  readonly #index: SegmentIndex;
  /** Last offsets of the newest batches of all producers: their headers stay. */
  readonly #newest = new Set<number>();
  /** Epochs of producers that only a marker is known of. */
  readonly #newestEpochs = new Map<number, number>();
  /** Exclusive end of the sources. */
  readonly #end: number;
  /** Transactions aborted by a marker in it. */
  #aborted: AbortedTransaction[] = [];
  /** Those of which batches stay as they are, by producer and first offset: no marker need come. */
  readonly #staying = new Map<string, AbortedTransaction>();
  #chunks: Uint8Array[] = [];
  readonly #gathered = new GatheredSync();
  #hasFile = false;

  /** @param sources Neighbours in the log, closed; all before them is settled. */
  constructor(
    log: PartitionLog,
    sources: readonly SegmentInfo[],
    rules: CleaningRules,
    transactions: CleanedTransactions,
    files: SegmentFiles,
    abortedIndex: AbortedIndex,
    counts: CleaningCounts,
  ) {
    this.#log = log;
    this.#sources = sources;
    this.#rules = rules;
    this.#transactions = transactions;
    this.#files = files;
    this.#abortedIndex = abortedIndex;
    this.#counts = counts;
    const { baseOffset, firstTimestampMs } = sources[0]!;
    this.#segment = {
      baseOffset,
      sizeBytes: 0,
      settledBytes: 0,
      firstTimestampMs,
      maxTimestampMs: -1,
      maxTimestampOffset: baseOffset,
      createdMs: sources.at(-1)!.createdMs,
      generation: 1 + Math.max(...sources.map(({ generation }) => generation)),
      abortedCount: 0,
    };
    this.#index = new SegmentIndex(baseOffset);
    this.#end = log.segmentEnd(log.segments.indexOf(sources.at(-1)!));
    for (const [producerId, { batches, epoch }] of log.producers?.entries() ?? []) {
      const newest = batches.at(-1);
      if (newest !== undefined) this.#newest.add(newest.lastOffset);
      else this.#newestEpochs.set(producerId, epoch);
    }
  }

  /** Takes the next batch of the sources, whose bytes are changed, and have to stay until `flush`. */
  add(batch: RecordBatch): RecordFault | null {
    this.lastBytes = batch.sizeBytes;
    const { lastOffset } = batch;
    if (batch.isControl) return this.#addMarker(batch);
    const aborted = this.#transactions.onData(batch);
    if (batch.baseOffset >= this.#rules.endOffset) {
      if (aborted !== null) {
        this.#staying.set(`${aborted.producerId} ${aborted.firstOffset}`, aborted);
      }
      this.#counts.records += batch.recordCount;
      this.#counts.kept += batch.recordCount;
      this.#emit(batch.view(), batch, batch.maxTimestampMs, batch.recordCount > 0);
      return null;
    }
    // The last batch of all says how far the log went; a producer's last one, which sequence comes next.
    const staysEmpty = this.#newest.has(lastOffset) || lastOffset + 1 === this.#rules.endOffset;
    if (aborted !== null) {
      this.#counts.records += batch.recordCount;
      if (!staysEmpty) return null;
      const isEmpty = batch.recordCount === 0;
      return this.#take(isEmpty ? KEPT : emptiedBatch(batch, this.#rules), batch);
    }
    const block = openForCleaning(batch, this.#rules);
    if (typeof block === "string") return block;
    this.lastBytes = block.end - block.start;
    return this.#take(cleanBatch(batch, block, staysEmpty, this.#rules, this.#counts), batch);
  }

  #take(cleaned: CleanedBatch, batch: RecordBatch): RecordFault | null {
    if (cleaned.kind === "fault") return cleaned.fault;
    if (cleaned.kind === "kept") {
      this.#emit(batch.view(), batch, batch.maxTimestampMs, batch.recordCount > 0);
    } else if (cleaned.kind === "rewritten") {
      this.#emit(cleaned.bytes, batch, cleaned.maxTimestampMs, cleaned.hasRecords);
    }
    return null;
  }

  /** Kafka: Cleaner.cleanInto's checkBatchRetention, for control batches. */
  #addMarker(batch: RecordBatch): RecordFault | null {
    const { endOffset, nowMs } = this.#rules;
    const { isNeeded, aborted } = this.#transactions.onMarker(batch);
    this.#counts.records += batch.recordCount;
    const isPast = batch.baseOffset >= endOffset;
    if (aborted !== null && (isNeeded || isPast)) this.#aborted.push(aborted);
    const stays =
      isNeeded ||
      isPast ||
      batch.lastOffset + 1 === endOffset ||
      // Nothing else in the log says how far its epoch has come.
      this.#newestEpochs.get(batch.producerId) === batch.producerEpoch;
    if (!stays && (batch.recordCount === 0 || isDue(batch, nowMs))) return null;
    this.#counts.kept += batch.recordCount;
    const isExpiring = !stays && !batch.hasDeleteHorizon;
    return this.#take(isExpiring ? expiringMarker(batch, this.#rules) : KEPT, batch);
  }

  /**
   * Writes what was added since the last time. Returns how many bytes that were.
   *
   * @param pace Whose `syncBytes` are synced as soon as they have gathered
   */
  async flush(pace: SyncPace): Promise<number> {
    const chunks = this.#chunks;
    if (chunks.length === 0) return 0;
    // One write: what is left of a batch is small, and a call for each costs more than to copy it.
    const bytes = chunks.length === 1 ? chunks[0]! : joined(chunks);
    const sizeBytes = bytes.length;
    this.#chunks = [];
    const isFirst = !this.#hasFile;
    // From now on: one that does not take its first bytes is closed and goes like any other.
    this.#hasFile = true;
    await this.#files.use(this.#log, this.#segment, true, async (file) => {
      // A try that was cut short may have left one of this name.
      if (isFirst && file.sizeBytes > 0) await file.truncate(0);
      await file.append([bytes]);
    });
    const sync = () => this.#files.use(this.#log, this.#segment, false, (file) => file.sync());
    await this.#gathered.wrote(sizeBytes, pace.syncBytes, pace.waitsForSyncs, sync);
    return sizeBytes;
  }

  async sync(): Promise<void> {
    if (!this.#hasFile) return;
    await this.#gathered.settled();
    await this.#files.use(this.#log, this.#segment, false, (file) => file.sync());
    this.#addUnmarked();
    await this.#abortedIndex.append(this.#log, this.#segment, this.#aborted);
    this.#segment.abortedCount = this.#aborted.length;
  }

  /** A transaction whose marker is lost has no batch that brings its entry: it stays as long as a batch that it hides. */
  #addUnmarked(): void {
    const marked = new Set(this.#aborted.map((each) => `${each.producerId} ${each.firstOffset}`));
    const isHere = ([key, { lastOffset }]: [string, AbortedTransaction]) =>
      lastOffset < this.#end && !marked.has(key);
    const unmarked = [...this.#staying].filter(isHere).map(([, aborted]) => aborted);
    if (unmarked.length > 0) this.#aborted = inOrder([...this.#aborted, ...unmarked]);
  }

  /**
   * Makes it the segment in force; the caller writes the log's state next, in the same turn.
   *
   * @param cleanedEnd How far the log is clean with it; −1 where more groups follow.
   * @returns False when the sources are not all there any more.
   */
  land(cleanedEnd: number): boolean {
    const log = this.#log;
    const segment = this.#segment;
    segment.settledBytes = segment.sizeBytes;
    const first = log.segments.indexOf(this.#sources[0]!);
    const end = log.segmentEnd(first + this.#sources.length - 1);
    const previous = log.segments[first - 1];
    // Without batches it is only there for its offsets, which the cleaned one before it can have as well.
    const isNeeded = segment.sizeBytes > 0 || previous === undefined || previous.generation === 0;
    if (!log.replaceSegments(this.#sources, isNeeded ? segment : null)) return false;
    assert(
      previous === undefined || log.settledEnd >= segment.baseOffset,
      "a segment was cleaned before all that lies before it was settled",
    );
    if (segment.sizeBytes > 0) this.#files.keepIndex(log, segment, this.#index);
    // What of it lay in the journal is read from here on; what was aborted in it stands beside it.
    log.settledEnd = Math.max(log.settledEnd, end);
    log.transactions?.aborted.dropBefore(log.settledEnd);
    log.cleanedEnd = Math.max(log.cleanedEnd, cleanedEnd);
    return true;
  }

  /**
   * Writes the index of the new file, and removes the old ones. Never rejects; failures are said: who misses the index makes
   * it anew, and the next start removes what is left.
   */
  async tidy(logger: Logger): Promise<void> {
    try {
      // Retention or the end of the topic may have been quicker.
      if (this.#hasFile && this.#log.segments.includes(this.#segment)) {
        await this.#files.writeIndex(this.#log, this.#segment, this.#index);
      }
    } catch (error) {
      const { topic, partition } = this.#log;
      const { baseOffset } = this.#segment;
      const fields = { topic: topic.name, partition, baseOffset, error: String(error) };
      logger.warn("segment_index_not_written", fields);
    }
    for (const source of this.#sources) await this.#remove(source, logger);
  }

  /** It came to nothing: its file goes, and what there is of the one beside it. */
  async discard(logger: Logger): Promise<void> {
    this.#segment.abortedCount = this.#aborted.length;
    if (this.#hasFile) await this.#remove(this.#segment, logger);
  }

  async #remove(segment: SegmentInfo, logger: Logger): Promise<void> {
    const { baseOffset, generation } = segment;
    // One that was emptied before has none.
    if (generation > 0 && segment !== this.#segment && segment.settledBytes === 0) return;
    try {
      await this.#files.remove(this.#log, segment);
    } catch (error) {
      const { topic, partition } = this.#log;
      const fields = { topic: topic.name, partition, baseOffset, generation };
      logger.warn("segment_not_removed", { ...fields, error: String(error) });
    }
  }

  #emit(bytes: Uint8Array, batch: RecordBatch, maxTimestampMs: number, hasRecords: boolean): void {
    const segment = this.#segment;
    const { baseOffset } = batch;
    putPlaceMark(bytes, 0);
    this.#chunks.push(bytes);
    const { indexIntervalBytes } = this.#log.topic.settings;
    const newestMs = hasRecords ? maxTimestampMs : -1;
    this.#index.add(baseOffset, bytes.length, newestMs, indexIntervalBytes);
    segment.sizeBytes += bytes.length;
    if (newestMs > segment.maxTimestampMs) {
      segment.maxTimestampMs = newestMs;
      segment.maxTimestampOffset = baseOffset;
    }
  }
}

/** Whether a marker that has a time to go may go. */
function isDue(batch: RecordBatch, nowMs: number): boolean {
  return batch.hasDeleteHorizon && nowMs >= batch.baseTimestampMs;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
