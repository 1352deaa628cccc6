// Goes through the batches of a segment file to the one that holds an offset. Base offset and leader
// epoch lie outside a batch's checksum, so they are held to what is known besides: each batch begins
// where the one before it ended, or carries a mark of its place where batches were cleaned away; and the
// log knows its epochs.
// Invariant: a batch that is damaged, or stands where another belongs, is reported, never returned.

import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  isCrcValid,
  lastOffsetDeltaAt,
  leaderEpochAt,
  patchLeaderEpoch,
} from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import { hasPlaceMark } from "./place_mark.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

export interface Wanted {
  readonly offset: number;
  /** Exclusive, a batch border. */
  readonly endOffset: number;
  readonly bytesMax: number;
  readonly atLeastOne: boolean;
}

export type WalkStep =
  | {
      readonly kind: "found";
      readonly start: number;
      readonly end: number;
      /** Exclusive. */
      readonly endOffset: number;
    }
  /** The next batch is past `bytesMax`; or past `endOffset`, with nothing left before that. */
  | { readonly kind: "nothing" }
  | { readonly kind: "damaged" }
  /** Read on from `skippedBytes`, at least `neededBytes`. */
  | { readonly kind: "more"; readonly skippedBytes: number; readonly neededBytes: number };

export class SegmentWalk {
  readonly #log: PartitionLog;
  readonly #segment: SegmentInfo;
  readonly #crc32c: Crc32c | undefined;
  /** Where the next batch has to begin; −1 when that is not known. */
  #expected: number;
  /** The batch before stands in a cleaned segment without a mark: nothing says which offsets it holds. */
  #isDoubtful = false;
  onDamage: (offset: number, position: number) => void = () => {};

  /** @param expected Base offset of the first batch, where an index says it; −1 at the file's start. */
  constructor(
    log: PartitionLog,
    segment: SegmentInfo,
    expected: number,
    crc32c: Crc32c | undefined,
  ) {
    this.#log = log;
    this.#segment = segment;
    this.#expected = expected;
    this.#crc32c = crc32c;
  }

  /** All batches were gone through: whether what is wanted was cleaned away, and is not just unreadable. */
  get wasCleanedAway(): boolean {
    return this.#segment.generation > 0 && !this.#isDoubtful;
  }

  /** Takes the next `count` bytes of the file, which stand at `position` of it. */
  take(buffer: Uint8Array, count: number, position: number, wanted: Wanted): WalkStep {
    const { offset, endOffset, bytesMax, atLeastOne } = wanted;
    let at = 0;
    let start = -1;
    let previous = -1;
    const found = (): WalkStep => ({ kind: "found", start, end: at, endOffset: this.#expected });
    while (count - at >= BATCH_HEADER_BYTES) {
      const sizeBytes = batchSizeAt(buffer, at, Number.MAX_SAFE_INTEGER);
      if (sizeBytes < 0) {
        this.onDamage(offset, position + at);
        return start < 0 ? DAMAGED : found();
      }
      if (at + sizeBytes > count) {
        return start < 0 ? { kind: "more", skippedBytes: at, neededBytes: sizeBytes } : found();
      }
      let baseOffset = baseOffsetAt(buffer, at);
      let isMisplaced = false;
      if (this.#segment.generation > 0) {
        if (!this.#isMarked(buffer, at, baseOffset)) {
          this.onDamage(this.#expected, position + at);
          if (start >= 0) return found();
          // What is wanted may follow; its size is in the mark as well, and may be wrong.
          if (!this.#isSound(buffer, at, sizeBytes)) return DAMAGED;
          this.#isDoubtful = true;
          at += sizeBytes;
          continue;
        }
        if (this.#isDoubtful && baseOffset > offset) return DAMAGED;
        this.#isDoubtful = false;
        if (start < 0 && baseOffset >= endOffset) return { kind: "nothing" };
      } else if (!this.#mayBegin(baseOffset)) {
        const isPreviousSound = previous < 0 || this.#isSound(buffer, previous, at - previous);
        this.onDamage(this.#expected, position + (isPreviousSound ? at : previous));
        if (isPreviousSound) {
          if (start >= 0) return found();
          isMisplaced = true;
          baseOffset = this.#expected;
          if (baseOffset < 0 || !this.#isSound(buffer, at, sizeBytes)) return DAMAGED;
        } else if (baseOffset > offset) {
          // The damaged one before may be what is wanted.
          return DAMAGED;
        }
      }
      const nextOffset = baseOffset + lastOffsetDeltaAt(buffer, at) + 1;
      if (nextOffset > offset) {
        if (isMisplaced || (start < 0 && baseOffset >= endOffset)) return DAMAGED;
        if (start >= 0 && baseOffset >= endOffset) return found();
        const takenBytes = start < 0 ? 0 : at - start;
        if (takenBytes + sizeBytes > bytesMax && !(start < 0 && atLeastOne)) {
          return start < 0 ? { kind: "nothing" } : found();
        }
        if (!this.#isSound(buffer, at, sizeBytes)) {
          this.onDamage(baseOffset, position + at);
          return start < 0 ? DAMAGED : found();
        }
        this.#mendEpoch(buffer, at, baseOffset);
        if (start < 0) start = at;
      }
      this.#expected = nextOffset;
      previous = at;
      at += sizeBytes;
    }
    return start < 0 ? { kind: "more", skippedBytes: at, neededBytes: 0 } : found();
  }

  #mayBegin(baseOffset: number): boolean {
    const { logStartOffset } = this.#log;
    // What lies before the log start offset may be missing.
    if (baseOffset <= logStartOffset) {
      return baseOffset >= Math.max(this.#expected, this.#segment.baseOffset);
    }
    return baseOffset === (this.#expected < 0 ? this.#segment.baseOffset : this.#expected);
  }

  #isMarked(buffer: Uint8Array, at: number, baseOffset: number): boolean {
    return (
      baseOffset >= Math.max(this.#expected, this.#segment.baseOffset) && hasPlaceMark(buffer, at)
    );
  }

  #isSound(buffer: Uint8Array, at: number, sizeBytes: number): boolean {
    return isCrcValid(buffer, at, sizeBytes, this.#crc32c);
  }

  #mendEpoch(buffer: Uint8Array, at: number, baseOffset: number): void {
    const isCleaned = this.#segment.generation > 0;
    const { epochs, logStartOffset } = this.#log;
    // Epochs are known from the log's start on, and a batch may reach over it.
    const epoch = epochs.epochAt(isCleaned ? Math.max(baseOffset, logStartOffset) : baseOffset);
    if ((epoch >= 0 || isCleaned) && epoch !== leaderEpochAt(buffer, at))
      patchLeaderEpoch(buffer, at, epoch);
  }
}

const DAMAGED: WalkStep = { kind: "damaged" };
