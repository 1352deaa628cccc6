// The transactions of one partition: which are open, which have ended by a marker that is not committed yet, and which
// were aborted by a marker that lies in the journal. Made with the first transactional batch; most logs have none.
// Invariant: the first unstable offset is the lowest first offset of the first two kinds; nothing at or past it is
// stable. Kafka: ProducerStateManager (ongoingTxns, unreplicatedTxns), TransactionIndex.

import { AbortedList } from "./aborted_list.ts";
import type { ProducedBatch, ProducerEntry, ProducerState } from "./producer_state.ts";

/** What a producer was before a marker, so that the marker can be undone where the log is cut. */
interface EndedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly markerOffset: number;
  readonly epoch: number;
  readonly coordinatorEpoch: number;
  readonly batches: ProducedBatch[];
}

/** Ended ones that are let go of before the rest is moved to the front. */
const SETTLED_KEPT = 64;

export class LogTransactions {
  /** Those whose markers lie in the journal. */
  aborted = new AbortedList();
  /** First offsets of open transactions by producer, in ascending order. */
  readonly #open = new Map<number, number>();
  /** Ended, their markers not committed yet, in the order of the markers. */
  #ended: EndedTransaction[] = [];
  #endedFrom = 0;
  #firstUnstable = Number.POSITIVE_INFINITY;
  #isStale = false;

  get openCount(): number {
    return this.#open.size;
  }

  /** Those that could still be undone. */
  get endedCount(): number {
    return this.#ended.length - this.#endedFrom;
  }

  /** Infinity when there is none. */
  get firstUnstableOffset(): number {
    if (this.#isStale) {
      let first = this.#firstOpen(-1);
      for (let i = this.#endedFrom; i < this.#ended.length; i++) {
        first = Math.min(first, this.#ended[i]!.firstOffset);
      }
      this.#firstUnstable = first;
      this.#isStale = false;
    }
    return this.#firstUnstable;
  }

  begin(producerId: number, entry: ProducerEntry, firstOffset: number): void {
    entry.transactionStartOffset = firstOffset;
    this.#open.set(producerId, firstOffset);
    this.#isStale = true;
  }

  /** Ends what the producer has open, before its entry hears of the marker. */
  end(producerId: number, entry: ProducerEntry, markerOffset: number, isCommit: boolean): void {
    const firstOffset = entry.transactionStartOffset;
    if (firstOffset < 0) return;
    const { epoch, coordinatorEpoch, batches } = entry;
    this.#ended.push({ producerId, firstOffset, markerOffset, epoch, coordinatorEpoch, batches });
    this.#open.delete(producerId);
    this.#isStale = true;
    if (isCommit) return;
    const lastStableOffset = Math.min(this.#firstOpen(producerId), markerOffset + 1);
    this.aborted.push({ producerId, firstOffset, lastOffset: markerOffset, lastStableOffset });
  }

  /** Everything before `endOffset` is committed: so are the ends of transactions there. */
  onCommitted(endOffset: number): void {
    const before = this.#endedFrom;
    while (
      this.#endedFrom < this.#ended.length &&
      this.#ended[this.#endedFrom]!.markerOffset < endOffset
    ) {
      this.#endedFrom++;
    }
    if (this.#endedFrom === before) return;
    this.#isStale = true;
    if (this.#endedFrom === this.#ended.length) {
      this.#ended = [];
      this.#endedFrom = 0;
    } else if (this.#endedFrom > SETTLED_KEPT && this.#endedFrom > this.#ended.length / 2) {
      this.#ended = this.#ended.slice(this.#endedFrom);
      this.#endedFrom = 0;
    }
  }

  /** What a state says replaces what was known. */
  restore(producers: ProducerState | null, aborted: AbortedList): void {
    this.aborted = aborted;
    this.#open.clear();
    this.#ended = [];
    this.#endedFrom = 0;
    this.#isStale = true;
    const open: [number, number][] = [];
    for (const [producerId, { transactionStartOffset }] of producers?.entries() ?? []) {
      if (transactionStartOffset >= 0) open.push([producerId, transactionStartOffset]);
    }
    open.sort((a, b) => a[1] - b[1]);
    for (const [producerId, firstOffset] of open) this.#open.set(producerId, firstOffset);
  }

  /** The log was cut at `endOffset`: markers from there on are undone, and what they ended is open again. */
  truncate(endOffset: number, producers: ProducerState | null): void {
    while (this.#ended.length > this.#endedFrom && this.#ended.at(-1)!.markerOffset >= endOffset) {
      const ended = this.#ended.pop()!;
      const { producerId, firstOffset, epoch, coordinatorEpoch, batches } = ended;
      const entry = producers?.get(producerId);
      // It may have been forgotten with what it wrote after the marker, which was cut before.
      producers?.restore(producerId, {
        epoch,
        coordinatorEpoch,
        batches,
        transactionStartOffset: firstOffset,
        lastTimestampMs: entry?.lastTimestampMs ?? -1,
        seenMs: entry?.seenMs ?? -1,
      });
    }
    this.aborted.dropFrom(endOffset);
    producers?.truncate(endOffset);
    const kept = this.#ended.slice(this.#endedFrom);
    this.restore(producers, this.aborted);
    this.#ended = kept;
  }

  #firstOpen(except: number): number {
    for (const [producerId, firstOffset] of this.#open) {
      if (producerId !== except) return firstOffset;
    }
    return Number.POSITIVE_INFINITY;
  }
}
