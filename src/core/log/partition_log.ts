// One partition's log: offsets, segments, producers, and where its batches lie. It decides
// synchronously; the journal does the waiting.
// Invariant: logStartOffset ≤ lastStableOffset ≤ highWatermark ≤ logEndOffset; the high watermark is the
// synced end (decision 1), and nothing at or past it is ever served. Kafka: UnifiedLog, LogSegment.

import { assert } from "../../base/assert.ts";
import type { KafkaErrorName } from "../../protocol/errors.ts";
import { patchBaseOffset, patchLeaderEpoch } from "../../record/batch_header.ts";
import type { TopicSettings } from "../settings/topic_settings.ts";
import { AbortedList } from "./aborted_list.ts";
import type { CommitGroup } from "./commit_group.ts";
import { ExtentIndex } from "./extent_index.ts";
import type { CommitMode, Journal } from "./journal.ts";
import type { JournalClient, JournalFile } from "./journal_file.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  FLAG_ABORT,
  FLAG_COMMIT,
  FLAG_OWN_EPOCH,
  FLAG_SEGMENT_START,
  FORMAT_PLAIN,
  FORMAT_TRANSACTIONS,
} from "./journal_format.ts";
import { LeaderEpochs } from "./leader_epochs.ts";
import { LogTransactions } from "./log_transactions.ts";
import { markerBatch } from "./marker_batch.ts";
import {
  encodeState,
  formatOfState,
  type PartitionState,
  type SegmentInfo,
} from "./partition_state.ts";
import {
  type EndMarker,
  type FirstBatch,
  type MarkerRefusal,
  ProducerState,
} from "./producer_state.ts";
import { isRollDue } from "./segment_roll.ts";
import type { ValidBatch } from "./validate_batches.ts";

const START_ENTRY_BYTES = ENTRY_HEADER_BYTES + 8;
/** What `millrace.durability` asks of the journal. */
function commitMode(settings: TopicSettings): CommitMode {
  if (settings.durability === "fsync") return "sync";
  return settings.durability === "interval" ? settings.syncIntervalMs : Number.POSITIVE_INFINITY;
}

const NO_FIRST_BATCHES: readonly [number, FirstBatch][] = [];
const NO_SEGMENTS: readonly SegmentInfo[] = [];

/** What the logs of one topic share. Settings are replaced as a whole when they change. */
export interface TopicContext {
  readonly name: string;
  readonly idBytes: Uint8Array;
  readonly idHex: string;
  settings: TopicSettings;
  leaderEpoch: number;
  isDeleted: boolean;
}

export type AppendVerdict =
  | {
      readonly kind: "appended";
      readonly baseOffset: number;
      readonly logAppendTimeMs: number;
      readonly group: CommitGroup;
    }
  | {
      readonly kind: "duplicate";
      readonly baseOffset: number;
      readonly lastOffset: number;
      readonly logAppendTimeMs: number;
    }
  | { readonly kind: "refused"; readonly code: KafkaErrorName; readonly message: string };

/** Told when the high watermark moved, or the log went away. */
export interface LogWaiter {
  onAdvance(log: PartitionLog): void;
}

export class PartitionLog implements JournalClient {
  readonly topic: TopicContext;
  readonly partition: number;
  /** Inclusive. */
  logStartOffset = 0;
  /** Exclusive. */
  logEndOffset = 0;
  /** Exclusive. */
  highWatermark = 0;
  /** Exclusive end of what lies in segment files; everything from here on lies in the journal. */
  settledEnd = 0;
  /** Exclusive end of what the cleaner has been through. */
  cleanedEnd = 0;
  segments: SegmentInfo[] = NO_SEGMENTS as SegmentInfo[];
  extents: ExtentIndex | null = null;
  producers: ProducerState | null = null;
  /** Null until there is a transaction. */
  transactions: LogTransactions | null = null;
  /** First batches of transactions that were not taken yet, by producer: see FirstBatch. */
  firstBatches: Map<number, FirstBatch> | null = null;
  /** How often the cleaner has put segments in the place of others. */
  replacements = 0;
  readonly epochs = new LeaderEpochs();
  /** Ranges of offsets whose batches were found damaged, [start, end): reported, never served. */
  holes: { readonly start: number; readonly end: number }[] | null = null;
  /** Journal files that hold the newest state and start entry; 0 for none. */
  stateFile = 0;
  startFile = 0;
  #stateBytes = 0;
  /** Where the first segment ended that no state knows the end of; -1 when there is none. */
  #rolledAt = -1;
  waiters: Set<LogWaiter> | null = null;
  readonly #journal: Journal;

  constructor(journal: Journal, topic: TopicContext, partition: number) {
    this.#journal = journal;
    this.topic = topic;
    this.partition = partition;
  }

  get topicIdBytes(): Uint8Array {
    return this.topic.idBytes;
  }

  /** Whether batches that should be there are missing. */
  get hasHole(): boolean {
    return this.holes?.some((hole) => hole.end > this.logStartOffset) ?? false;
  }

  /** Bytes of all batches that are kept. */
  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const segment of this.segments) sizeBytes += segment.sizeBytes;
    return sizeBytes;
  }

  /** Exclusive end of what a read_committed reader may see: no transaction before it is undecided. */
  get lastStableOffset(): number {
    if (this.transactions === null) return this.highWatermark;
    const { firstUnstableOffset } = this.transactions;
    // Records may be deleted from under an open transaction.
    return Math.min(Math.max(firstUnstableOffset, this.logStartOffset), this.highWatermark);
  }

  /** Whether the producer has a transaction open here, under that epoch. */
  hasOpenTransaction(producerId: number, producerEpoch: number): boolean {
    return this.producers?.isOpen(producerId, producerEpoch) ?? false;
  }

  /**
   * Appends a validated batch as leader: offset, epoch, place in the journal, all before it returns.
   *
   * A transactional one opens its producer's transaction unless it is open: whether it may is the caller's to know.
   *
   * @param batch Its bytes are patched in place and must not change until the group has settled.
   * @param first Of a transaction's first batch that a coordinator was asked about.
   */
  append(batch: ValidBatch, wallMs: number, first: FirstBatch | null = null): AppendVerdict {
    if (batch.producerId >= 0 && (this.producers !== null || first !== null)) {
      this.producers ??= new ProducerState();
      const verdict = this.producers.check(
        batch.producerId,
        batch.producerEpoch,
        batch.baseSequence,
        batch.recordCount,
        batch.isTransactional,
        first,
      );
      if (verdict.kind === "refused") return verdict;
      if (verdict.kind === "duplicate") {
        return {
          kind: "duplicate",
          baseOffset: verdict.batch.baseOffset,
          lastOffset: verdict.batch.lastOffset,
          logAppendTimeMs: verdict.batch.timestampMs,
        };
      }
    }
    const { bytes } = batch;
    if (batch.isTransactional) {
      this.#endOvertaken(batch, wallMs);
      const refusal = this.transactions?.refusalOf(batch) ?? null;
      if (refusal !== null) return refusal;
    }
    const baseOffset = this.logEndOffset;
    const endOffset = baseOffset + batch.recordCount;
    patchBaseOffset(bytes, 0, baseOffset);
    patchLeaderEpoch(bytes, 0, this.topic.leaderEpoch);
    const format = batch.isTransactional ? FORMAT_TRANSACTIONS : FORMAT_PLAIN;
    const group = this.#place(bytes, endOffset, batch.maxTimestampMs, 0, format, wallMs);
    if (batch.producerId >= 0) this.rememberProducer(batch, baseOffset, endOffset, wallMs);
    return { kind: "appended", baseOffset, logAppendTimeMs: batch.logAppendTimeMs, group };
  }

  /** Why the marker would be refused now; null when it would not. */
  refusalOfMarker(marker: EndMarker): MarkerRefusal | null {
    return this.producers?.checkMarker(marker) ?? null;
  }

  /**
   * Appends the marker that ends a producer's transaction, whether one is open here or not: a batch of one control
   * record, as Kafka writes it. All is decided before it returns. Kafka: UnifiedLog.appendAsLeader from WriteTxnMarkers.
   */
  appendMarker(marker: EndMarker, wallMs: number): AppendVerdict {
    const refusal = this.refusalOfMarker(marker);
    if (refusal !== null) return refusal;
    this.#endOvertaken(marker, wallMs);
    const { settings, leaderEpoch } = this.topic;
    const isStamped = settings.messageTimestampType === "LogAppendTime";
    const baseOffset = this.logEndOffset;
    const bytes = markerBatch(marker, baseOffset, leaderEpoch, wallMs, isStamped);
    const flags =
      (marker.isCommit ? FLAG_COMMIT : FLAG_ABORT) |
      (marker.transactionVersion >= 2 ? FLAG_OWN_EPOCH : 0);
    const group = this.#place(bytes, baseOffset + 1, wallMs, flags, FORMAT_TRANSACTIONS, wallMs);
    this.applyMarker(marker, baseOffset, wallMs, wallMs);
    this.transactions?.reportLost(this.#journal.log, this.topic.name, this.partition);
    return { kind: "appended", baseOffset, logAppendTimeMs: isStamped ? wallMs : -1, group };
  }

  /** Aborts what is open though its producer has gone on to another transaction: a marker of ours tells every reader. */
  #endOvertaken(next: ValidBatch | EndMarker, wallMs: number): void {
    const entry = this.producers?.get(next.producerId);
    const marker = this.transactions?.abortOfOvertaken(next, entry, this.logEndOffset) ?? null;
    if (marker !== null) this.appendMarker(marker, wallMs);
  }

  /** Gives a batch that bears the next offset its place: in the journal, and in this segment or a new one. */
  #place(
    bytes: Uint8Array,
    endOffset: number,
    maxTimestampMs: number,
    flags: number,
    format: number,
    wallMs: number,
  ): CommitGroup {
    const { settings, leaderEpoch } = this.topic;
    const rolls = isRollDue(
      this.segments.at(-1),
      settings,
      this.partition,
      bytes.length,
      endOffset,
      maxTimestampMs,
      wallMs,
    );
    const group = this.#journal.append(
      this,
      EntryKind.batch,
      rolls ? flags | FLAG_SEGMENT_START : flags,
      bytes,
      endOffset,
      commitMode(settings),
      format,
    );
    const { lastFile, lastPosition } = this.#journal;
    lastFile.liveBytes += bytes.length;
    this.applyBatch(
      this.logEndOffset,
      endOffset,
      lastFile.number,
      lastPosition,
      bytes.length,
      maxTimestampMs,
      leaderEpoch,
      rolls,
      wallMs,
    );
    return group;
  }

  /** Takes in what a marker at `offset` says: from `appendMarker`, and from replay at recovery. */
  applyMarker(marker: EndMarker, offset: number, timestampMs: number, wallMs: number): void {
    const { producerId, producerEpoch, coordinatorEpoch, isCommit } = marker;
    this.producers ??= new ProducerState();
    const entry = this.producers.get(producerId);
    if (entry !== undefined && entry.transactionStartOffset >= 0) {
      this.transactions ??= new LogTransactions();
      const isExact = this.producers.isExactEnd(marker);
      this.transactions.end(producerId, entry, offset, isCommit, isExact);
    }
    this.producers.recordMarker(producerId, producerEpoch, coordinatorEpoch, timestampMs, wallMs);
    // Whoever still asks whether a batch may begin the transaction is told that it has ended. By the second protocol a batch
    // that has the marker's epoch is of the next one.
    const first = this.firstBatches?.get(producerId);
    const isOfNext = first?.isOfSecondProtocol === true && first.epoch === producerEpoch;
    if (!isOfNext) this.firstBatches?.delete(producerId);
  }

  /** Takes in a batch at the end of the log: from `append`, and from replay at recovery. */
  applyBatch(
    baseOffset: number,
    endOffset: number,
    fileNumber: number,
    position: number,
    sizeBytes: number,
    maxTimestampMs: number,
    leaderEpoch: number,
    startsSegment: boolean,
    wallMs: number,
  ): void {
    this.extents ??= new ExtentIndex();
    this.extents.push(baseOffset, fileNumber, position, sizeBytes, maxTimestampMs);
    let segment = this.segments.at(-1);
    if (segment === undefined || startsSegment) {
      segment = {
        baseOffset,
        sizeBytes: 0,
        settledBytes: 0,
        firstTimestampMs: maxTimestampMs,
        maxTimestampMs: -1,
        maxTimestampOffset: baseOffset,
        createdMs: wallMs,
        generation: 0,
        abortedCount: 0,
      };
      if (this.segments.length === 0) this.segments = [segment];
      else this.segments.push(segment);
    } else if (segment.sizeBytes === 0) segment.firstTimestampMs = maxTimestampMs;
    segment.sizeBytes += sizeBytes;
    if (maxTimestampMs > segment.maxTimestampMs) {
      segment.maxTimestampMs = maxTimestampMs;
      segment.maxTimestampOffset = baseOffset;
    }
    this.epochs.assign(leaderEpoch, baseOffset);
    this.logEndOffset = endOffset;
  }

  rememberProducer(
    batch: {
      readonly producerId: number;
      readonly producerEpoch: number;
      readonly baseSequence: number;
      readonly recordCount: number;
      readonly maxTimestampMs: number;
      readonly isTransactional: boolean;
    },
    baseOffset: number,
    endOffset: number,
    wallMs: number,
  ): void {
    this.producers ??= new ProducerState();
    const entry = this.producers.record(
      batch.producerId,
      batch.producerEpoch,
      batch.baseSequence,
      batch.recordCount,
      baseOffset,
      endOffset - 1,
      batch.maxTimestampMs,
      wallMs,
    );
    if (!batch.isTransactional) return;
    if (entry.transactionStartOffset < 0) {
      this.transactions ??= new LogTransactions();
      this.transactions.begin(batch.producerId, entry, baseOffset);
    }
    this.firstBatches?.delete(batch.producerId);
  }

  /** Forgets producers that wrote nothing since `beforeMs` and have no transaction open. */
  expireProducers(beforeMs: number): void {
    this.producers?.expire(beforeMs);
    for (const [producerId, { askedMs }] of this.firstBatches ?? NO_FIRST_BATCHES) {
      if (askedMs < beforeMs) this.firstBatches?.delete(producerId);
    }
  }

  onCommitted(endOffset: number): void {
    if (endOffset <= this.highWatermark) return;
    assert(endOffset <= this.logEndOffset, "the high watermark passed the log end offset");
    this.highWatermark = endOffset;
    // The last stable offset moves with the high watermark alone: when what it waits for is committed.
    this.transactions?.onCommitted(endOffset);
    this.#notify();
  }

  /** Waiters look again: new data, a new log start offset, or the topic is gone. */
  #notify(): void {
    if (this.waiters === null) return;
    for (const waiter of [...this.waiters]) waiter.onAdvance(this);
  }

  wakeWaiters(): void {
    this.#notify();
  }

  /** Exclusive end of segment `i`. */
  segmentEnd(i: number): number {
    return this.segments[i + 1]?.baseOffset ?? this.logEndOffset;
  }

  /** Index of the segment that holds `offset`; −1 when none does. */
  segmentIndexOf(offset: number): number {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /**
   * Moves the log start offset up, to the high watermark at most, and writes that down; whole segments before it are dropped.
   *
   * @returns The segments that were dropped (their files can go once the group has settled), and the group.
   */
  moveStart(offset: number): {
    readonly dropped: readonly SegmentInfo[];
    readonly group: CommitGroup;
  } {
    assert(offset <= this.highWatermark, "the log start offset may not pass the high watermark");
    this.logStartOffset = offset;
    const dropped = this.dropBeforeStart();
    // To a start after a crash that segment would be one with the next, and its file, which goes now, be missed.
    if (this.#rolledAt >= 0 && offset >= this.#rolledAt)
      return { dropped, group: this.writeState() };
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setFloat64(0, offset);
    const group = this.#journal.append(this, EntryKind.start, 0, payload, -1, "sync");
    this.#moveStart(this.#journal.lastFile.number);
    return { dropped, group };
  }

  /** Forgets segments and extents that lie wholly before the log start offset. */
  dropBeforeStart(): readonly SegmentInfo[] {
    let count = 0;
    while (count < this.segments.length && this.segmentEnd(count) <= this.logStartOffset) count++;
    const dropped = count > 0 ? this.segments.splice(0, count) : [];
    this.dropExtentsBefore(this.logStartOffset);
    this.transactions?.aborted.dropBefore(this.logStartOffset);
    this.epochs.truncateFromStart(this.logStartOffset);
    return dropped;
  }

  /** Lets go of journal extents whose batches end at or before `offset`. */
  dropExtentsBefore(offset: number): void {
    const { extents } = this;
    if (extents === null) return;
    let count = 0;
    while (count < extents.count) {
      const end = count + 1 < extents.count ? extents.baseOffset(count + 1) : this.logEndOffset;
      if (end > offset) break;
      this.#journal.release(extents.fileNumber(count), extents.sizeBytes(count));
      count++;
    }
    if (count > 0) extents.dropFirst(count);
  }

  /** Writes the whole state down; it describes exactly what the journal holds before it. */
  writeState(): CommitGroup {
    this.#rolledAt = -1;
    const payload = encodeState(this.state());
    const format = formatOfState(payload);
    const group = this.#journal.append(this, EntryKind.state, 0, payload, -1, "sync", format);
    this.#moveState(this.#journal.lastFile.number, payload.length);
    this.#moveStart(0);
    return group;
  }

  state(): PartitionState {
    return {
      logStartOffset: this.logStartOffset,
      logEndOffset: this.logEndOffset,
      settledEnd: this.settledEnd,
      cleanedEnd: this.cleanedEnd,
      segments: this.segments,
      epochs: this.epochs.starts,
      producers: this.producers,
      aborted: this.transactions?.aborted ?? null,
    };
  }

  /** A state found at recovery replaces what was known; extents stay. */
  restoreState(state: PartitionState, fileNumber: number, sizeBytes: number): void {
    this.logStartOffset = state.logStartOffset;
    this.logEndOffset = Math.max(this.logEndOffset, state.logEndOffset);
    this.settledEnd = state.settledEnd;
    this.cleanedEnd = state.cleanedEnd;
    this.segments = [...state.segments];
    this.epochs.restore(state.epochs);
    this.producers = state.producers;
    if (state.aborted !== null || this.transactions !== null) {
      this.transactions ??= new LogTransactions();
      this.transactions.restore(state.producers, state.aborted ?? new AbortedList());
    }
    this.#moveState(fileNumber, sizeBytes);
    this.#moveStart(0);
  }

  restoreStart(offset: number, fileNumber: number): void {
    this.logStartOffset = Math.max(this.logStartOffset, offset);
    this.logEndOffset = Math.max(this.logEndOffset, offset);
    this.#moveStart(fileNumber);
  }

  /** A batch was copied to another place of the journal: it is read from there from now on. */
  placeExtent(
    baseOffset: number,
    file: JournalFile,
    position: number,
    sizeBytes: number,
    maxTimestampMs: number,
  ): void {
    this.extents ??= new ExtentIndex();
    const at = this.extents.indexOf(baseOffset);
    if (at >= 0 && this.extents.baseOffset(at) === baseOffset) {
      this.#journal.release(this.extents.fileNumber(at), this.extents.sizeBytes(at));
    }
    this.extents.place(baseOffset, file.number, position, sizeBytes, maxTimestampMs);
    file.liveBytes += sizeBytes;
  }

  /** Cuts the log at `offset`: batches that reach past it are gone (replay of a truncate entry). */
  truncateTo(offset: number): void {
    const { extents } = this;
    while (extents !== null && extents.count > 0) {
      const last = extents.count - 1;
      if (extents.baseOffset(last) < offset) break;
      this.#journal.release(extents.fileNumber(last), extents.sizeBytes(last));
      extents.keepFirst(last);
      const segment = this.segments.at(-1);
      if (segment !== undefined) segment.sizeBytes -= extents.sizeBytes(last);
    }
    while (this.segments.length > 0 && this.segments.at(-1)!.baseOffset >= offset) {
      this.segments.pop();
    }
    this.logEndOffset = Math.min(this.logEndOffset, offset);
    this.highWatermark = Math.min(this.highWatermark, offset);
    this.cleanedEnd = Math.min(this.cleanedEnd, offset);
    if (this.transactions === null) this.producers?.truncate(offset);
    else this.transactions.truncate(offset, this.producers);
    this.epochs.truncateFromEnd(offset);
  }

  /** Nothing of this log is needed any more: its topic was deleted. */
  releaseAll(): void {
    const { extents } = this;
    for (let i = 0; extents !== null && i < extents.count; i++) {
      this.#journal.release(extents.fileNumber(i), extents.sizeBytes(i));
    }
    this.extents = null;
    this.#moveState(0, 0);
    this.#moveStart(0);
    this.#notify();
  }

  /** The newest state entry is in that file from now on, and counts there. */
  #moveState(fileNumber: number, sizeBytes: number): void {
    this.#countLive(this.stateFile, -1, -this.#stateBytes - ENTRY_HEADER_BYTES);
    this.stateFile = fileNumber;
    this.#stateBytes = sizeBytes;
    this.#countLive(fileNumber, 1, sizeBytes + ENTRY_HEADER_BYTES);
  }

  #moveStart(fileNumber: number): void {
    this.#countLive(this.startFile, -1, -START_ENTRY_BYTES);
    this.startFile = fileNumber;
    this.#countLive(fileNumber, 1, START_ENTRY_BYTES);
  }

  #countLive(fileNumber: number, entries: number, sizeBytes: number): void {
    const file = this.#journal.files.get(fileNumber);
    if (file === undefined) return;
    file.liveStates += entries;
    file.liveStateBytes += sizeBytes;
  }

  /** Ends the last segment here. No entry says so: after a crash before the next state the two are one again. */
  roll(wallMs: number): void {
    const { logEndOffset } = this;
    assert((this.segments.at(-1)?.sizeBytes ?? 0) > 0, "an empty segment need not end");
    if (this.#rolledAt < 0) this.#rolledAt = logEndOffset;
    this.segments.push({
      baseOffset: logEndOffset,
      sizeBytes: 0,
      settledBytes: 0,
      firstTimestampMs: -1,
      maxTimestampMs: -1,
      maxTimestampOffset: logEndOffset,
      createdMs: wallMs,
      generation: 0,
      abortedCount: 0,
    });
  }

  /** Puts a cleaned segment in the place of `sources`; null for nothing. False when they are not there any more. */
  replaceSegments(sources: readonly SegmentInfo[], cleaned: SegmentInfo | null): boolean {
    const first = this.segments.indexOf(sources[0]!);
    if (first < 0 || sources.some((source, i) => this.segments[first + i] !== source)) return false;
    this.segments.splice(first, sources.length, ...(cleaned === null ? [] : [cleaned]));
    this.replacements++;
    return true;
  }
}
