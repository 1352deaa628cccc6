// The small state of one partition as it stands in a journal entry: offsets, segments, leader
// epochs, producers. It replaces all earlier ones of its partition; batches after it in the journal
// are applied on top. Kafka: producer snapshots, leader-epoch-checkpoint, log-start-offset-checkpoint.

import { AbortedList } from "./aborted_list.ts";
import { FORMAT_CLEANED, FORMAT_PLAIN, FORMAT_TRANSACTIONS } from "./journal_format.ts";
import type { EpochStart } from "./leader_epochs.ts";
import { type ProducerEntry, ProducerState } from "./producer_state.ts";

/** Without a trace of cleaning: what a Millrace from before it reads as well. */
const VERSION_PLAIN = 1;
/** Besides: how far the log was cleaned, and which file of a segment is the one in force. */
const VERSION_CLEANED = 2;
/** Besides: transactions that are open, and those that were aborted. */
const VERSION_TRANSACTIONS = 3;
const SEGMENT_BYTES = 56;
const CLEANED_SEGMENT_BYTES = 4;
const CLEANED_BYTES = 8;
const ABORTED_SEGMENT_BYTES = 4;
const ABORTED_COUNT_BYTES = 4;
const ABORTED_BYTES = 32;
const EPOCH_BYTES = 12;
const CUT_BYTES = 8;
const PRODUCER_BYTES = 8 + 2 + 8 + 4 + 8 + 1;
const PRODUCED_BYTES = 4 + 4 + 8 + 8 + 8;
const FIXED_BYTES = 1 + 24 + 12;

/** One segment of a log: a range of offsets that is rolled, kept and deleted as a whole. */
export interface SegmentInfo {
  /** Inclusive. */
  readonly baseOffset: number;
  /** All its batches, wherever they lie. */
  sizeBytes: number;
  /** Bytes of its own file; what is not there yet lies in the journal. */
  settledBytes: number;
  /** Timestamp of its first batch: what `segment.ms` counts from. */
  firstTimestampMs: number;
  maxTimestampMs: number;
  /** Base offset of the batch with that timestamp. */
  maxTimestampOffset: number;
  createdMs: number;
  /**
   * How often it was cleaned: each time it gets a new file, named by this. From 1 on, batches may be missing
   * between two others, and a segment without any has no file.
   */
  readonly generation: number;
  /** Entries of the file beside it that hold: transactions aborted by a marker in its own file. */
  abortedCount: number;
}

/** One without any batch yet. */
export function emptySegment(
  baseOffset: number,
  firstTimestampMs: number,
  createdMs: number,
): SegmentInfo {
  return {
    baseOffset,
    sizeBytes: 0,
    settledBytes: 0,
    firstTimestampMs,
    maxTimestampMs: -1,
    maxTimestampOffset: baseOffset,
    createdMs,
    generation: 0,
    abortedCount: 0,
  };
}

/** Index of the segment that holds `offset`; −1 when none does. */
export function indexOfSegment(segments: readonly SegmentInfo[], offset: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.baseOffset <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export interface PartitionState {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Exclusive end of what lies in segment files. */
  readonly settledEnd: number;
  /** Exclusive end of what the cleaner has been through: no key has two records before it. */
  readonly cleanedEnd: number;
  readonly segments: readonly SegmentInfo[];
  readonly epochs: readonly EpochStart[];
  readonly producers: ProducerState | null;
  /** Transactions aborted by a marker that lies in the journal; null for none. */
  readonly aborted: AbortedList | null;
}

/** Whether there is more to say than a Millrace from before transactions can read. */
function hasTransactions({ segments, producers, aborted }: PartitionState): boolean {
  if (aborted !== null && aborted.count > 0) return true;
  for (const { abortedCount } of segments) if (abortedCount > 0) return true;
  for (const [, entry] of producers?.entries() ?? []) {
    if (entry.transactionStartOffset >= 0) return true;
  }
  return false;
}

export function encodeState(state: PartitionState): Uint8Array {
  const isTransactional = hasTransactions(state);
  const isCleaned =
    isTransactional ||
    state.cleanedEnd > 0 ||
    state.segments.some(({ generation }) => generation > 0);
  const { aborted } = state;
  let sizeBytes = FIXED_BYTES;
  if (isTransactional) {
    sizeBytes += ABORTED_COUNT_BYTES + (aborted?.count ?? 0) * ABORTED_BYTES;
    sizeBytes += state.segments.length * ABORTED_SEGMENT_BYTES;
  }
  if (isCleaned) sizeBytes += CLEANED_BYTES + state.segments.length * CLEANED_SEGMENT_BYTES;
  sizeBytes += state.segments.length * SEGMENT_BYTES + state.epochs.length * EPOCH_BYTES;
  for (const [, entry] of state.producers?.entries() ?? []) {
    sizeBytes += PRODUCER_BYTES + entry.batches.length * PRODUCED_BYTES;
  }
  const bytes = new Uint8Array(sizeBytes);
  const to = new Cells(bytes);
  if (isTransactional) to.u8(VERSION_TRANSACTIONS);
  else to.u8(isCleaned ? VERSION_CLEANED : VERSION_PLAIN);
  to.f64(state.logStartOffset);
  to.f64(state.logEndOffset);
  to.f64(state.settledEnd);
  if (isCleaned) to.f64(state.cleanedEnd);
  to.i32(state.segments.length);
  for (const segment of state.segments) {
    to.f64(segment.baseOffset);
    to.f64(segment.sizeBytes);
    to.f64(segment.settledBytes);
    to.f64(segment.firstTimestampMs);
    to.f64(segment.maxTimestampMs);
    to.f64(segment.maxTimestampOffset);
    to.f64(segment.createdMs);
    if (isCleaned) to.i32(segment.generation);
    if (isTransactional) to.i32(segment.abortedCount);
  }
  to.i32(state.epochs.length);
  for (const { epoch, startOffset } of state.epochs) {
    to.i32(epoch);
    to.f64(startOffset);
  }
  to.i32(state.producers?.count ?? 0);
  for (const [producerId, entry] of state.producers?.entries() ?? []) {
    to.f64(producerId);
    to.i16(entry.epoch);
    to.f64(entry.lastTimestampMs);
    to.i32(entry.coordinatorEpoch);
    to.f64(entry.transactionStartOffset);
    to.u8(entry.batches.length);
    for (const batch of entry.batches) {
      to.i32(batch.firstSequence);
      to.i32(batch.lastSequence);
      to.f64(batch.baseOffset);
      to.f64(batch.lastOffset);
      to.f64(batch.timestampMs);
    }
  }
  if (isTransactional) {
    to.i32(aborted?.count ?? 0);
    for (let i = 0; aborted !== null && i < aborted.count; i++) {
      const { producerId, firstOffset, lastOffset, lastStableOffset } = aborted.at(i);
      to.f64(producerId);
      to.f64(firstOffset);
      to.f64(lastOffset);
      to.f64(lastStableOffset);
    }
  }
  return bytes;
}

/** What a journal file has to be to hold an encoded state: an older Millrace refuses such a folder. */
export function formatOfState(bytes: Uint8Array): number {
  if (bytes[0] === VERSION_TRANSACTIONS) return FORMAT_TRANSACTIONS;
  return bytes[0] === VERSION_CLEANED ? FORMAT_CLEANED : FORMAT_PLAIN;
}

/** Null when the bytes are of a newer version or do not add up (their checksum was right before). */
export function decodeState(bytes: Uint8Array, wallMs: number): PartitionState | null {
  const from = new Cells(bytes);
  if (bytes.length < FIXED_BYTES) return null;
  const version = from.readU8();
  if (version < VERSION_PLAIN || version > VERSION_TRANSACTIONS) return null;
  const isCleaned = version >= VERSION_CLEANED;
  const isTransactional = version >= VERSION_TRANSACTIONS;
  const logStartOffset = from.readF64();
  const logEndOffset = from.readF64();
  const settledEnd = from.readF64();
  const cleanedEnd = isCleaned ? from.readF64() : 0;
  const segments: SegmentInfo[] = [];
  for (let left = from.readI32(); left > 0; left--) {
    segments.push({
      baseOffset: from.readF64(),
      sizeBytes: from.readF64(),
      settledBytes: from.readF64(),
      firstTimestampMs: from.readF64(),
      maxTimestampMs: from.readF64(),
      maxTimestampOffset: from.readF64(),
      createdMs: from.readF64(),
      generation: isCleaned ? from.readI32() : 0,
      abortedCount: isTransactional ? from.readI32() : 0,
    });
  }
  const epochs: EpochStart[] = [];
  for (let left = from.readI32(); left > 0; left--) {
    epochs.push({ epoch: from.readI32(), startOffset: from.readF64() });
  }
  let producers: ProducerState | null = null;
  for (let left = from.readI32(); left > 0; left--) {
    producers ??= new ProducerState();
    const producerId = from.readF64();
    const entry: ProducerEntry = {
      epoch: from.readI16(),
      lastTimestampMs: from.readF64(),
      seenMs: wallMs,
      coordinatorEpoch: from.readI32(),
      transactionStartOffset: from.readF64(),
      batches: [],
    };
    for (let batches = from.readU8(); batches > 0; batches--) {
      entry.batches.push({
        firstSequence: from.readI32(),
        lastSequence: from.readI32(),
        baseOffset: from.readF64(),
        lastOffset: from.readF64(),
        timestampMs: from.readF64(),
      });
    }
    producers.restore(producerId, entry);
  }
  const aborted = isTransactional ? new AbortedList() : null;
  for (let left = isTransactional ? from.readI32() : 0; aborted !== null && left > 0; left--) {
    aborted.push({
      producerId: from.readF64(),
      firstOffset: from.readF64(),
      lastOffset: from.readF64(),
      lastStableOffset: from.readF64(),
    });
  }
  return {
    logStartOffset,
    logEndOffset,
    settledEnd,
    cleanedEnd,
    segments,
    epochs,
    producers,
    aborted,
  };
}

/** What a cut entry says: where what lies before it in the journal ends, and the state that holds from there on. */
export function encodeCut(cutOffset: number, state: PartitionState): Uint8Array {
  const encoded = encodeState(state);
  const bytes = new Uint8Array(CUT_BYTES + encoded.length);
  new DataView(bytes.buffer).setFloat64(0, cutOffset);
  bytes.set(encoded, CUT_BYTES);
  return bytes;
}

/** The state behind the offset of a cut entry; null in one that a Millrace from before wrote. */
export function stateInCut(payload: Uint8Array): Uint8Array | null {
  return payload.length > CUT_BYTES ? payload.subarray(CUT_BYTES) : null;
}

/** What an epoch entry says: a leader epoch, and the offset from which it holds. */
export function encodeEpoch(epoch: number, startOffset: number): Uint8Array {
  const bytes = new Uint8Array(EPOCH_BYTES);
  const to = new Cells(bytes);
  to.i32(epoch);
  to.f64(startOffset);
  return bytes;
}

/** Null when the bytes are cut short. */
export function decodeEpoch(bytes: Uint8Array): EpochStart | null {
  if (bytes.length < EPOCH_BYTES) return null;
  const from = new Cells(bytes);
  return { epoch: from.readI32(), startOffset: from.readF64() };
}

/** A cursor over fixed-width cells. Out-of-range reads throw RangeError, which a right checksum rules out. */
class Cells {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }
  i16(value: number): void {
    this.#view.setInt16(this.#at, value);
    this.#at += 2;
  }
  i32(value: number): void {
    this.#view.setInt32(this.#at, value);
    this.#at += 4;
  }
  f64(value: number): void {
    this.#view.setFloat64(this.#at, value);
    this.#at += 8;
  }
  readU8(): number {
    this.#at += 1;
    return this.#view.getUint8(this.#at - 1);
  }
  readI16(): number {
    this.#at += 2;
    return this.#view.getInt16(this.#at - 2);
  }
  readI32(): number {
    this.#at += 4;
    return this.#view.getInt32(this.#at - 4);
  }
  readF64(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8);
  }
}
