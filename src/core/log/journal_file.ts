// One file of the journal, as the core counts it: what in it is still needed, and who reads it.
// A file is given up when nothing in it is needed and nobody reads it.

import type { SegmentFile } from "../../contracts/storage.ts";
import { FORMAT_PLAIN } from "./journal_format.ts";

/** What the journal knows of a partition log: who to tell when an append is synced. */
export interface JournalClient {
  readonly topicIdBytes: Uint8Array;
  readonly partition: number;
  /** Everything of this log before `endOffset` is acknowledged from now on. Calls come in order. */
  onCommitted(endOffset: number): void;
}

/** Appends that the store has not taken yet, as far as their file sees them: CommitGroup. */
interface UnwrittenGroup {
  readonly startPosition: number;
  readonly endPosition: number;
  copyInto(target: Uint8Array, position: number): number;
}

export class JournalFile {
  readonly number: number;
  /** What every entry repeats; null where it is not known, and then nothing is written. */
  salt: number | null = null;
  /** What its header says, or will say. */
  formatVersion = FORMAT_PLAIN as number;
  /** Null until the writer has created it. */
  file: SegmentFile | null;
  /** Position of the next entry; what is beyond `syncedBytes` may be on its way. */
  endPosition: number;
  syncedBytes: number;
  /** What lies before `endPosition` and is not written yet, oldest first: followers are sent it all the same. */
  readonly unwritten: UnwrittenGroup[] = [];
  isSealed = false;
  /** Bytes of batches that some partition still reads from here. */
  liveBytes = 0;
  /** Newest state and start entries of partitions that are here. */
  liveStates = 0;
  liveStateBytes = 0;
  /** It holds truncate entries: older files must go first, or replay would bring cut batches back. */
  hasBarrier = false;
  /** Every log that has entries here. */
  readonly logs = new Set<JournalClient>();
  readers = 0;
  /** End of the last entry that vouches for all before it. */
  vouchedBytes = 0;
  isGone = false;
  /** Its name may stand in the store already, with nothing in it that was acknowledged. */
  isLeftBehind = false;
  /** Up to here its writes overwrite; behind it the file grows. 0 for a file that began empty. */
  readyBytes = 0;
  /** Positions at or past this one were written by this process, so their checksums were seen. */
  writtenFrom: number;
  /** A part of it could not be read at the start. */
  isDamaged = false;
  /** Needed bytes at which giving the file up was last found not worth it. */
  keptAtBytes = Number.POSITIVE_INFINITY;

  constructor(number: number, file: SegmentFile | null, endPosition: number) {
    this.number = number;
    this.file = file;
    this.endPosition = endPosition;
    this.syncedBytes = endPosition;
    this.writtenFrom = endPosition;
  }

  /** From here on only memory has it. */
  get writtenEnd(): number {
    return this.unwritten[0]?.startPosition ?? this.endPosition;
  }

  /** Reads what is not written yet. False where it is not there any more: the journal has failed. */
  readUnwritten(target: Uint8Array, position: number): boolean {
    let leftBytes = target.length;
    for (const group of this.unwritten) {
      if (group.startPosition >= position + target.length) break;
      if (group.endPosition > position) leftBytes -= group.copyInto(target, position);
    }
    return leftBytes === 0;
  }

  /** Old bytes of another file may lie behind its end: they are cut off before the next file begins. */
  get isRecycled(): boolean {
    return this.readyBytes > 0;
  }

  /** What giving the file up would write again. */
  get neededBytes(): number {
    return this.liveBytes + this.liveStateBytes;
  }
}
