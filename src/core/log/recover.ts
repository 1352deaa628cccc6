// Opening the log folder: every journal file is read in order and replayed into partition logs, the
// torn tail is cut, and what is kept is synced before anybody may read it.
// Kafka: LogLoader, LogManager.loadLogs.

import { uuidFromBytes } from "../../base/uuid.ts";
import { StorageError } from "../../contracts/errors.ts";
import type { Logger } from "../../contracts/runtime.ts";
import type { SegmentFile, SegmentStore } from "../../contracts/storage.ts";
import {
  attributesAt,
  baseOffsetAt,
  baseSequenceAt,
  CONTROL_BIT,
  isCrcValid,
  lastOffsetAt,
  leaderEpochAt,
  maxTimestampAt,
  producerEpochAt,
  producerIdAt,
  recordCountAt,
  TRANSACTIONAL_BIT,
} from "../../record/batch_header.ts";
import { readControlBatch } from "../../record/control_record.ts";
import { RecordBatch } from "../../record/record_batch.ts";
import type { Journal } from "./journal.ts";
import { JournalFile } from "./journal_file.ts";
import {
  checkFileHeader,
  type EntryHeader,
  EntryKind,
  FILE_HEADER_BYTES,
  FLAG_ABORT,
  FLAG_COMMIT,
  FLAG_OWN_EPOCH,
  FLAG_SEGMENT_START,
  formatVersionOf,
  journalFileName,
  journalFileNumber,
  saltOf,
  topicIdAt,
} from "./journal_format.ts";
import { hasVoucher, scanJournalFile } from "./journal_scan.ts";
import { cutTo } from "./log_cut.ts";
import { LogTransactions } from "./log_transactions.ts";
import type { PartitionLog } from "./partition_log.ts";
import { decodeEpoch, decodeState, type PartitionState, stateInCut } from "./partition_state.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

export interface FoundJournal {
  /** All files but the active one, oldest first. */
  readonly sealed: readonly JournalFile[];
  readonly active: JournalFile;
}

/** Opens the files that are there; nothing is read yet but their headers. */
export async function findJournal(store: SegmentStore, log: Logger): Promise<FoundJournal> {
  const files: JournalFile[] = [];
  for (const { name } of await store.list("journal/")) {
    const number = journalFileNumber(name);
    if (number === null) continue;
    const file = await store.open(name, { create: false });
    files.push(new JournalFile(number, file, file.sizeBytes));
  }
  for (const file of files) await readHeader(file);
  const last = files.at(-1);
  if (last !== undefined && last.salt === null && !(await wasEverSynced(last))) {
    // The file was being created when the lights went out: it holds nothing that was acknowledged.
    await last.file?.close();
    files.pop();
    const again = new JournalFile(last.number, null, FILE_HEADER_BYTES);
    again.syncedBytes = 0;
    again.isLeftBehind = true;
    files.push(again);
  }
  for (const file of files) {
    if (file.file === null || file.salt !== null) continue;
    file.isDamaged = true;
    log.error("journal_header_corrupt", { file: journalFileName(file.number) });
  }
  let active = files.at(-1);
  if (active === undefined || active.isDamaged) {
    // To a file without a sound header nothing is added.
    active = new JournalFile((active?.number ?? 0) + 1, null, FILE_HEADER_BYTES);
    files.push(active);
  }
  if (active.file === null) {
    active.syncedBytes = 0;
    active.formatVersion = Math.max(...files.map(({ formatVersion }) => formatVersion));
  }
  const sealed = files.slice(0, -1);
  for (const file of sealed) file.isSealed = true;
  return { sealed, active };
}

/** Takes the salt out of a file's header, where that is sound. */
async function readHeader(file: JournalFile): Promise<void> {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const count = await (file.file as SegmentFile).readInto(bytes, 0);
  const fault = checkFileHeader(bytes.subarray(0, count), file.number);
  if (fault === null) {
    file.salt = saltOf(bytes);
    file.formatVersion = formatVersionOf(bytes);
  }
  if (fault === "newer_version") {
    throw new StorageError(
      "version",
      `Cannot open "${journalFileName(file.number)}" as it was written by a newer Millrace: start that version, or use another data folder`,
    );
  }
}

/**
 * Whether a file without a sound header can hold anything that was acknowledged. Its header was written
 * first and lies in its first sector: where nothing of it is there, no sync of the file was ever done.
 */
async function wasEverSynced(file: JournalFile): Promise<boolean> {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const count = await (file.file as SegmentFile).readInto(bytes, 0);
  if (count < FILE_HEADER_BYTES) return false;
  // Zeros, or the whole header of the file that this one was recycled from.
  const isUnwritten =
    bytes.every((byte) => byte === 0) || checkFileHeader(bytes, file.number) === "wrong_number";
  return !isUnwritten || (await hasVoucher(file.file!, file.number));
}

export interface ReplayOptions {
  readonly journal: Journal;
  readonly found: FoundJournal;
  readonly crc32c: Crc32c | undefined;
  readonly log: Logger;
  readonly wallMs: number;
  /** The log of a topic id and partition; null when the topic does not exist any more. */
  readonly logOf: (topicId: string, partition: number) => PartitionLog | null;
}

export interface ReplayFindings {
  readonly logs: ReadonlySet<PartitionLog>;
  readonly entryCount: number;
  readonly tornBytes: number;
  /** Something that was synced could not be read, or is missing. */
  readonly hasDamage: boolean;
}

/** Replays every file. Afterwards all of each log is synced, and its high watermark is its end unless it is one replica of several. */
export async function replayJournal(options: ReplayOptions): Promise<ReplayFindings> {
  const { found, log } = options;
  const replay = new Replay(options);
  let entryCount = 0;
  let tornBytes = 0;
  const files = [...found.sealed, found.active];
  let hasDamage = false;
  for (let i = 0; i < files.length; i++) {
    const file = files[i]!;
    if (file.file === null) continue;
    // A file is synced to its end before the next one is begun.
    const isVouchedFor = files.slice(i + 1).some((later) => later.file !== null);
    replay.file = file;
    const result = await scanJournalFile({
      file: file.file,
      fileNumber: file.number,
      salt: file.salt,
      isVouchedFor,
      crc32c: options.crc32c,
      log,
      visit: replay.visit,
      // Whatever was there may have been a marker of any log.
      onDamage: () => {
        replay.sawDamage = true;
        for (const each of replay.logs) replay.suspected.add(each);
      },
    });
    if (result.damagedRanges > 0) file.isDamaged = true;
    if (file.isDamaged) hasDamage = true;
    entryCount += result.entryCount;
    if (result.tornBytes > 0) {
      await file.file.truncate(result.endPosition);
      if (result.isTornEntry) tornBytes += result.tornBytes;
      const fields = {
        file: file.number,
        position: result.endPosition,
        sizeBytes: result.tornBytes,
      };
      if (result.isTornEntry) log.warn("journal_tail_cut", fields);
      else log.info("journal_space_cut", fields);
    }
    file.endPosition = result.endPosition;
    file.syncedBytes = result.endPosition;
    file.writtenFrom = result.endPosition;
    // After a kill the pages may be in the operating system alone: what is served has to be on disk.
    if (!isVouchedFor) await file.file.sync();
    // What was ended in it will not be undone: of a journal full of small transactions that is more than a start may hold.
    for (const each of replay.logs) {
      if (each.role === null) each.transactions?.onCommitted(each.logEndOffset);
      else each.transactions?.bundle(knownCommitted(each));
    }
  }
  for (const partitionLog of replay.logs) {
    for (const { start, end } of replay.undecided.get(partitionLog) ?? []) {
      addHole(partitionLog, start, end);
    }
    if (replay.suspected.has(partitionLog)) {
      partitionLog.transactions?.doubt(partitionLog.logEndOffset);
    }
    finish(partitionLog, log);
    if (partitionLog.holes !== null) hasDamage = true;
  }
  return {
    logs: replay.logs,
    entryCount,
    tornBytes,
    hasDamage: hasDamage || replay.hasUnreadableState,
  };
}

function finish(log: PartitionLog, logger: Logger): void {
  const start = Math.max(log.settledEnd, log.logStartOffset);
  if (log.holes !== null) {
    const left = without(log.holes, 0, start);
    log.holes = left.length > 0 ? left : null;
    for (const hole of left) {
      logger.error("log_has_a_hole", { ...describe(log), offset: hole.start, endOffset: hole.end });
      log.transactions?.doubt(hole.start);
    }
  }
  log.dropExtentsBefore(log.settledEnd);
  log.dropBeforeStart();
  log.transactions?.aborted.dropBefore(log.settledEnd);
  log.onCommitted(log.logEndOffset);
  log.advanceHighWatermark(knownCommitted(log));
  log.transactions?.reportLost(logger, log.topic.name, log.partition);
}

/** Of a replica, what was committed for certain before the start (ADR 44): what is settled was, and what is gone. */
function knownCommitted(log: PartitionLog): number {
  return Math.max(log.settledEnd, log.logStartOffset);
}

class Replay {
  readonly logs = new Set<PartitionLog>();
  hasUnreadableState = false;
  sawDamage = false;
  /** Logs that nothing was found of since something was stepped over: their newest entries may have been there. */
  readonly suspected = new Set<PartitionLog>();
  /**
   * Batches of transactions that were moved here from a file that is gone. How they ended was said in that file, and in a
   * state that let it go: where no state knows of them, before or after, that is lost, and nobody may read them.
   */
  readonly undecided = new Map<PartitionLog, OffsetRange[]>();
  file!: JournalFile;
  readonly #options: ReplayOptions;
  /** Where each log ended by its newest state. */
  readonly #stateEnds = new Map<PartitionLog, number>();
  #lastLog: PartitionLog | null = null;
  #lastTopicId = "";
  #lastPartition = -1;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  readonly visit = (
    header: EntryHeader,
    bytes: Uint8Array,
    headerAt: number,
    payloadAt: number,
    position: number,
  ): void => {
    if (header.kind === EntryKind.synced) return;
    if (header.kind === EntryKind.truncate) this.file.hasBarrier = true;
    const log = this.#logOf(uuidFromBytes(topicIdAt(bytes, headerAt)), header.partition);
    if (log === null) return;
    this.logs.add(log);
    this.file.logs.add(log);
    const payload = bytes.subarray(payloadAt, payloadAt + header.payloadBytes);
    switch (header.kind) {
      case EntryKind.batch:
        this.#batch(log, header, bytes, payloadAt, position);
        break;
      case EntryKind.movedBatch:
        this.#movedBatch(log, header, bytes, payloadAt, position);
        break;
      case EntryKind.state:
        this.#readState(log, payload, header.payloadBytes);
        break;
      case EntryKind.start:
        log.restoreStart(readOffset(payload), this.file.number);
        break;
      case EntryKind.truncate:
        this.#cut(log, payload);
        break;
      case EntryKind.epoch: {
        const start = decodeEpoch(payload);
        if (start !== null) log.epochs.assign(start.epoch, start.startOffset);
        break;
      }
      default:
        this.#options.log.error("journal_entry_unknown", { ...describe(log), kind: header.kind });
    }
  };

  #cut(log: PartitionLog, payload: Uint8Array): void {
    cutTo(log, readOffset(payload));
    if (log.holes !== null) log.holes = without(log.holes, log.logEndOffset, Infinity);
    const state = stateInCut(payload);
    if (state !== null) this.#readState(log, state, payload.length);
  }

  #readState(log: PartitionLog, payload: Uint8Array, entryBytes: number): void {
    const state = decodeState(payload, this.#options.wallMs);
    if (state === null) {
      this.hasUnreadableState = true;
      this.#options.log.error("partition_state_unreadable", describe(log));
    } else this.#state(log, state, entryBytes);
  }

  /** A state knows of every batch before it: those that were not found are lost, unless they were moved. */
  #state(log: PartitionLog, state: PartitionState, payloadBytes: number): void {
    const foundEnd = log.logEndOffset;
    if (log.role !== null) state.producers?.mayHaveForgotten();
    log.restoreState(state, this.file.number, payloadBytes);
    this.undecided.delete(log);
    this.#stateEnds.set(log, state.logEndOffset);
    this.suspected.delete(log);
    // It knows how transactions ended, unless it was written after the damage. Without any, files were given up.
    if (this.sawDamage) for (const { start } of log.holes ?? []) log.transactions?.doubt(start);
    addHole(log, Math.max(foundEnd, log.settledEnd, log.logStartOffset), log.logEndOffset);
  }

  #logOf(topicId: string, partition: number): PartitionLog | null {
    if (topicId !== this.#lastTopicId || partition !== this.#lastPartition) {
      this.#lastTopicId = topicId;
      this.#lastPartition = partition;
      this.#lastLog = this.#options.logOf(topicId, partition);
    }
    return this.#lastLog;
  }

  #batch(
    log: PartitionLog,
    header: EntryHeader,
    bytes: Uint8Array,
    at: number,
    position: number,
  ): void {
    const baseOffset = baseOffsetAt(bytes, at);
    const endOffset = lastOffsetAt(bytes, at) + 1;
    if (baseOffset < log.logEndOffset) {
      // A state entry that stands before this batch cannot know of it: the journal was tampered with.
      this.#options.log.error("journal_batch_out_of_order", {
        ...describe(log),
        offset: baseOffset,
      });
      return;
    }
    if (baseOffset > log.logEndOffset) log.transactions?.doubt(log.logEndOffset);
    this.suspected.delete(log);
    addHole(log, log.logEndOffset, baseOffset);
    const maxTimestampMs = maxTimestampAt(bytes, at);
    this.file.liveBytes += header.payloadBytes;
    log.applyBatch(
      baseOffset,
      endOffset,
      this.file.number,
      position,
      header.payloadBytes,
      maxTimestampMs,
      leaderEpochAt(bytes, at),
      (header.flags & FLAG_SEGMENT_START) !== 0,
      this.#options.wallMs,
    );
    const producerId = producerIdAt(bytes, at);
    if (producerId < 0) return;
    const attributes = attributesAt(bytes, at);
    if ((attributes & CONTROL_BIT) !== 0) {
      this.#marker(log, header, bytes, at, baseOffset);
      return;
    }
    noteRecords(log, bytes, at, this.#options.wallMs);
  }

  /** How a transaction ended is in the entry's header, whose checksum was right; the rest may be damaged. */
  #marker(
    log: PartitionLog,
    header: EntryHeader,
    bytes: Uint8Array,
    at: number,
    offset: number,
  ): void {
    if ((header.flags & (FLAG_COMMIT | FLAG_ABORT)) === 0) return;
    // Before the first state what it ends may have begun in a file that is gone.
    if (!this.#stateEnds.has(log)) holdBack(log, offset + 1);
    const { payloadBytes } = header;
    const isWhole =
      at + payloadBytes <= bytes.length &&
      isCrcValid(bytes, at, payloadBytes, this.#options.crc32c);
    const said = isWhole ? readControlBatch(new RecordBatch(bytes, at, payloadBytes)) : null;
    log.applyMarker(
      {
        producerId: producerIdAt(bytes, at),
        producerEpoch: producerEpochAt(bytes, at),
        coordinatorEpoch: said?.coordinatorEpoch ?? -1,
        isCommit: (header.flags & FLAG_COMMIT) !== 0,
        transactionVersion: (header.flags & FLAG_OWN_EPOCH) !== 0 ? 2 : 0,
      },
      offset,
      maxTimestampAt(bytes, at),
      this.#options.wallMs,
    );
  }

  #movedBatch(
    log: PartitionLog,
    header: EntryHeader,
    bytes: Uint8Array,
    at: number,
    position: number,
  ): void {
    const baseOffset = baseOffsetAt(bytes, at);
    const endOffset = lastOffsetAt(bytes, at) + 1;
    if (baseOffset > log.logEndOffset) log.transactions?.doubt(log.logEndOffset);
    addHole(log, log.logEndOffset, baseOffset);
    const isNews = baseOffset >= log.logEndOffset || isInHole(log, baseOffset);
    // What it ended is known from states; whether that was committed is not.
    if ((attributesAt(bytes, at) & CONTROL_BIT) !== 0) holdBack(log, endOffset);
    const isUndecided = isNews && baseOffset >= (this.#stateEnds.get(log) ?? 0);
    if (isUndecided && (attributesAt(bytes, at) & TRANSACTIONAL_BIT) !== 0) {
      const ranges = this.undecided.get(log);
      if (ranges === undefined) this.undecided.set(log, [{ start: baseOffset, end: endOffset }]);
      else ranges.push({ start: baseOffset, end: endOffset });
    }
    if (log.holes !== null) log.holes = without(log.holes, baseOffset, endOffset);
    log.placeExtent(
      baseOffset,
      this.file,
      position,
      header.payloadBytes,
      maxTimestampAt(bytes, at),
    );
    log.logEndOffset = Math.max(log.logEndOffset, endOffset);
  }
}

/** Of a replica: a transaction was ended before `endOffset`, of which it is not known where it began, nor whether that is committed. */
function holdBack(log: PartitionLog, endOffset: number): void {
  if (log.role === null) return;
  log.transactions ??= new LogTransactions();
  log.transactions.holdBack(log.logStartOffset, endOffset);
}

/** Not yet said to be lost: a state, a start or moved batches may follow that account for it. */
function addHole(log: PartitionLog, start: number, end: number): void {
  if (start >= end) return;
  log.holes ??= [];
  log.holes.push({ start, end });
}

function isInHole(log: PartitionLog, offset: number): boolean {
  return log.holes?.some(({ start, end }) => start <= offset && offset < end) ?? false;
}

interface OffsetRange {
  readonly start: number;
  readonly end: number;
}

/** The parts of `ranges` outside [start, end). */
function without(ranges: readonly OffsetRange[], start: number, end: number): OffsetRange[] {
  return ranges.flatMap((range) => {
    const left = { start: range.start, end: Math.min(range.end, start) };
    const right = { start: Math.max(range.start, end), end: range.end };
    return [left, right].filter((part) => part.start < part.end);
  });
}

function readOffset(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getFloat64(0);
}

function describe(log: PartitionLog): { readonly topic: string; readonly partition: number } {
  return { topic: log.topic.name, partition: log.partition };
}

/**
 * Takes in what a batch of records that lies in the log says of its producer, as recovery and followers do. Cleaning may have left
 * fewer records than there were sequences; and a batch without any is of no transaction that is open.
 */
export function noteRecords(
  log: PartitionLog,
  bytes: Uint8Array,
  at: number,
  wallMs: number,
): void {
  const producerId = producerIdAt(bytes, at);
  const producerEpoch = producerEpochAt(bytes, at);
  const baseOffset = baseOffsetAt(bytes, at);
  const endOffset = lastOffsetAt(bytes, at) + 1;
  const isTransactional =
    (attributesAt(bytes, at) & TRANSACTIONAL_BIT) !== 0 && recordCountAt(bytes, at) > 0;
  // A newer epoch than that of what the producer has open is only given once that has ended: its marker is lost.
  if (isTransactional) log.endLost(producerId, producerEpoch, baseOffset);
  const batch = {
    producerId,
    producerEpoch,
    baseSequence: baseSequenceAt(bytes, at),
    recordCount: endOffset - baseOffset,
    maxTimestampMs: maxTimestampAt(bytes, at),
    isTransactional,
  };
  log.rememberProducer(batch, baseOffset, endOffset, wallMs);
}
