// One partition's log: offsets, segments, producers, and where its batches lie. It decides
// synchronously; the journal does the waiting.
// Invariant: logStartOffset ≤ lastStableOffset ≤ highWatermark ≤ logEndOffset; where the broker is alone the high watermark
// is the synced end (decision 1), else its role moves it; clients are served nothing at or past it. Kafka: UnifiedLog, LogSegment.

import { assert } from "../../base/assert.ts";
import { patchBaseOffset, patchLeaderEpoch } from "../../record/batch_header.ts";
import { AbortedList } from "./aborted_list.ts";
import type { AppendVerdict } from "./append_verdict.ts";
import { type CommitGroup, commitMode } from "./commit_group.ts";
import { ExtentIndex } from "./extent_index.ts";
import type { Journal } from "./journal.ts";
import type { JournalClient, JournalFile } from "./journal_file.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  FLAG_ABORT,
  FLAG_COMMIT,
  FLAG_OWN_EPOCH,
  FLAG_SEGMENT_START,
  FORMAT_PLAIN,
  FORMAT_REPLICATED,
  FORMAT_TRANSACTIONS,
} from "./journal_format.ts";
import { LeaderEpochs } from "./leader_epochs.ts";
import { dropExtentsBefore, forgetAll } from "./log_cut.ts";
import { LogTransactions } from "./log_transactions.ts";
import { markerBatch } from "./marker_batch.ts";
import type { PartitionRole } from "./partition_role.ts";
import {
  emptySegment,
  encodeCut,
  encodeEpoch,
  encodeState,
  formatOfState,
  indexOfSegment,
  type PartitionState,
  type SegmentInfo,
} from "./partition_state.ts";
import {
  BATCHES_KEPT,
  BATCHES_REMEMBERED,
  type EndMarker,
  type FirstBatch,
  type MarkerRefusal,
  ProducerState,
} from "./producer_state.ts";
import { isRollDue } from "./segment_roll.ts";
import type { TopicContext } from "./topic_context.ts";
import type { ValidBatch } from "./validate_batches.ts";

const START_ENTRY_BYTES = ENTRY_HEADER_BYTES + 8;
const NO_FIRST_BATCHES: readonly [number, FirstBatch][] = [];
const NO_SEGMENTS: readonly SegmentInfo[] = [];

export type { AppendVerdict } from "./append_verdict.ts";

/** Told when the high watermark moved, or the log went away. */
export interface LogWaiter {
  onAdvance(log: PartitionLog): void;
}

export class PartitionLog implements JournalClient {
  /** Only replaced where the partition is dropped. */
  topic: TopicContext;
  readonly partition: number;
  /** What this broker is to the partition; null where it is alone. */
  role: PartitionRole | null = null;
  /** Inclusive. */
  logStartOffset = 0;
  /** Exclusive. */
  logEndOffset = 0;
  /** Exclusive end of what is durable, as `millrace.durability` says. */
  syncedEnd = 0;
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
  /** How often its end was cut off while the broker ran: what was read or copied before may not be there any more. */
  cuts = 0;
  /** Cuts that are not durable yet: what the journal commits until then was appended before them. */
  pendingCuts = 0;
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
  readonly journal: Journal;

  constructor(journal: Journal, topic: TopicContext, partition: number) {
    this.journal = journal;
    this.topic = topic;
    this.partition = partition;
  }

  get topicIdBytes(): Uint8Array {
    return this.topic.idBytes;
  }

  /** Of what is appended here as leader. */
  get leaderEpoch(): number {
    return this.role?.leaderEpoch ?? this.topic.leaderEpoch;
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
    patchLeaderEpoch(bytes, 0, this.leaderEpoch);
    const format = batch.isTransactional ? FORMAT_TRANSACTIONS : FORMAT_PLAIN;
    const group = this.place(bytes, endOffset, batch.maxTimestampMs, 0, format, wallMs);
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
    const { leaderEpoch } = this;
    const { settings } = this.topic;
    const isStamped = settings.messageTimestampType === "LogAppendTime";
    const baseOffset = this.logEndOffset;
    const bytes = markerBatch(marker, baseOffset, leaderEpoch, wallMs, isStamped);
    const flags =
      (marker.isCommit ? FLAG_COMMIT : FLAG_ABORT) |
      (marker.transactionVersion >= 2 ? FLAG_OWN_EPOCH : 0);
    const group = this.place(bytes, baseOffset + 1, wallMs, flags, FORMAT_TRANSACTIONS, wallMs);
    this.applyMarker(marker, baseOffset, wallMs, wallMs);
    this.transactions?.reportLost(this.journal.log, this.topic.name, this.partition);
    return { kind: "appended", baseOffset, logAppendTimeMs: isStamped ? wallMs : -1, group };
  }

  /** Aborts what is open though its producer has gone on to another transaction: a marker of ours tells every reader. */
  #endOvertaken(next: ValidBatch | EndMarker, wallMs: number): void {
    const entry = this.producers?.get(next.producerId);
    const marker = this.transactions?.abortOfOvertaken(next, entry, this.logEndOffset) ?? null;
    if (marker !== null) this.appendMarker(marker, wallMs);
  }

  /** Gives a batch that bears the next offset its place: in the journal, and in this segment or a new one. */
  place(
    bytes: Uint8Array,
    endOffset: number,
    maxTimestampMs: number,
    flags: number,
    format: number,
    wallMs: number,
    leaderEpoch = this.leaderEpoch,
  ): CommitGroup {
    const { settings } = this.topic;
    const rolls = isRollDue(
      this.segments.at(-1),
      settings,
      this.partition,
      bytes.length,
      endOffset,
      maxTimestampMs,
      wallMs,
    );
    const group = this.journal.append(
      this,
      EntryKind.batch,
      rolls ? flags | FLAG_SEGMENT_START : flags,
      bytes,
      endOffset,
      commitMode(settings),
      format,
    );
    const { lastFile, lastPosition } = this.journal;
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
    this.role?.onAppended?.();
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
      segment = emptySegment(baseOffset, maxTimestampMs, wallMs);
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
      this.role === null ? BATCHES_REMEMBERED : BATCHES_KEPT,
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
    if (endOffset <= this.syncedEnd || this.pendingCuts > 0) return;
    assert(endOffset <= this.logEndOffset, "the synced end passed the log end offset");
    this.syncedEnd = endOffset;
    if (this.role === null) this.advanceHighWatermark(endOffset);
    else this.role.onSynced(this);
  }

  /** Everything before `offset` is committed: on every replica that counts. Never goes back; past the log's end, that is meant. */
  advanceHighWatermark(offset: number): void {
    const highWatermark = Math.min(offset, this.logEndOffset);
    if (highWatermark <= this.highWatermark) return;
    this.highWatermark = highWatermark;
    // The last stable offset moves with the high watermark alone: when what it waits for is committed.
    this.transactions?.onCommitted(highWatermark);
    this.wakeWaiters();
  }

  /** Waiters look again: new data, a new log start offset, or the topic is gone. */
  wakeWaiters(): void {
    if (this.waiters === null) return;
    for (const waiter of [...this.waiters]) waiter.onAdvance(this);
  }

  /** Exclusive end of segment `i`. */
  segmentEnd(i: number): number {
    return this.segments[i + 1]?.baseOffset ?? this.logEndOffset;
  }

  /** Index of the segment that holds `offset`; −1 when none does. */
  segmentIndexOf(offset: number): number {
    return indexOfSegment(this.segments, offset);
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
    const group = this.journal.append(this, EntryKind.start, 0, payload, -1, "sync");
    this.#moveStart(this.journal.lastFile.number);
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
    dropExtentsBefore(this, offset);
  }

  /** Writes the whole state down; it describes exactly what the journal holds before it. */
  writeState(): CommitGroup {
    this.#rolledAt = -1;
    const payload = encodeState(this.state());
    const format = formatOfState(payload);
    const group = this.journal.append(this, EntryKind.state, 0, payload, -1, "sync", format);
    this.#moveState(this.journal.lastFile.number, payload.length);
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
    const hadProducers = this.role !== null && state.producers !== null;
    // A state knows how transactions ended, and not whether that was committed.
    this.transactions?.onCommitted(Math.max(state.settledEnd, state.logStartOffset));
    const held = this.role === null ? null : (this.transactions?.uncommitted ?? null);
    if (state.aborted !== null || this.transactions !== null || hadProducers) {
      this.transactions ??= new LogTransactions();
      this.transactions.restore(state.producers, state.aborted ?? new AbortedList());
      this.transactions.letGo(state.logEndOffset, held);
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
      this.journal.release(this.extents.fileNumber(at), this.extents.sizeBytes(at));
    }
    this.extents.place(baseOffset, file.number, position, sizeBytes, maxTimestampMs);
    file.liveBytes += sizeBytes;
  }

  /**
   * Writes down that the log has ended at `cutOffset` and is as its state says from now on, in one entry: a crash leaves both or
   * neither. Until that is durable nothing behind the cut is taken for synced.
   */
  writeCut(cutOffset: number): CommitGroup {
    this.#rolledAt = -1;
    const payload = encodeCut(cutOffset, this.state());
    this.cuts++;
    this.pendingCuts++;
    const onCommitted = () => {
      this.pendingCuts--;
      this.onCommitted(Math.min(this.logEndOffset, syncedEnd));
    };
    const { topicIdBytes, partition, logEndOffset: syncedEnd } = this;
    const client = { topicIdBytes, partition, onCommitted };
    const { truncate: kind } = EntryKind;
    const group = this.journal.append(client, kind, 0, payload, 0, "sync", FORMAT_REPLICATED);
    const { lastFile } = this.journal;
    lastFile.logs.delete(client);
    lastFile.logs.add(this);
    this.#moveState(lastFile.number, payload.length);
    this.#moveStart(0);
    this.wakeWaiters();
    return group;
  }

  /** Forgets everything that is here, and goes on at `offset`. Returns the segments, whose files can go once the group has settled. */
  restartAt(offset: number): {
    readonly dropped: readonly SegmentInfo[];
    readonly group: CommitGroup;
  } {
    const dropped = forgetAll(this, offset);
    return { dropped, group: this.writeCut(0) };
  }

  /** A transactional batch of a newer epoch at `offset` says that the marker of what its producer has open is lost. */
  endLost(producerId: number, producerEpoch: number, offset: number): void {
    const entry = this.producers?.get(producerId);
    if (entry === undefined || entry.transactionStartOffset < 0) return;
    if (producerEpoch > entry.epoch) this.transactions?.endLost(producerId, entry, offset);
  }

  /** A leader epoch begins at the end of the log, and is remembered though nothing may be written under it. */
  beginEpoch(epoch: number): void {
    if (epoch <= this.epochs.latest) return;
    this.epochs.assign(epoch, this.logEndOffset);
    const payload = encodeEpoch(epoch, this.logEndOffset);
    const { epoch: kind } = EntryKind;
    this.journal.append(this, kind, 0, payload, -1, "sync", FORMAT_REPLICATED);
  }

  /** Nothing of this log is needed any more: its topic was deleted. */
  releaseAll(): void {
    const { extents } = this;
    for (let i = 0; extents !== null && i < extents.count; i++) {
      this.journal.release(extents.fileNumber(i), extents.sizeBytes(i));
    }
    this.extents = null;
    this.#moveState(0, 0);
    this.#moveStart(0);
    this.wakeWaiters();
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
    const file = this.journal.files.get(fileNumber);
    if (file === undefined) return;
    file.liveStates += entries;
    file.liveStateBytes += sizeBytes;
  }

  /** Ends the last segment here. No entry says so: after a crash before the next state the two are one again. */
  roll(wallMs: number): void {
    const { logEndOffset } = this;
    assert((this.segments.at(-1)?.sizeBytes ?? 0) > 0, "an empty segment need not end");
    if (this.#rolledAt < 0) this.#rolledAt = logEndOffset;
    this.segments.push(emptySegment(logEndOffset, -1, wallMs));
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
