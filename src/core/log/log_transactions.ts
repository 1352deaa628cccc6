// The transactions of one partition: which are open, which have ended by a marker that is not committed yet, and which
// were aborted by a marker that lies in the journal. Made with the first transactional batch; most logs have none.
// Invariant: the first unstable offset is the lowest first offset of the first two kinds; nothing at or past it is
// stable; where a marker may be lost, what it may have aborted is never shown.
// Kafka: ProducerStateManager (ongoingTxns, unreplicatedTxns), TransactionIndex.

import type { Logger } from "../../contracts/runtime.ts";
import { AbortedList } from "./aborted_list.ts";
import type { EndMarker, ProducedBatch, ProducerEntry, ProducerState } from "./producer_state.ts";
import type { ValidBatch } from "./validate_batches.ts";

/** What a producer was before a marker, so that the marker can be undone where the log is cut. */
interface EndedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly markerOffset: number;
  readonly epoch: number;
  readonly coordinatorEpoch: number;
  readonly batches: ProducedBatch[];
  /** See LogTransactions.doubt; -1 when there was none. */
  readonly doubtedEnd: number;
  /** Whether it is hidden though no marker aborted it. */
  readonly isHidden: boolean;
}

/** A transaction of which nobody knows how it ended: what lies in [firstOffset, endOffset) is taken for aborted. */
interface LostTransaction {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly firstOffset: number;
  readonly endOffset: number;
}

/** How a batch is refused that would go on with a transaction whose marker may be lost: its producer aborts then. */
const DOUBTED_REFUSAL = {
  kind: "refused",
  code: "out_of_order_sequence_number",
  message:
    "The log is damaged behind the beginning of the transaction, and its end may be lost: abort it",
} as const;

/** Ended ones that are let go of before the rest is moved to the front. */
const SETTLED_KEPT = 64;
/** So many ends are kept one by one at a start; more become a bundle. */
const BUNDLED_MIN = 1024;

export class LogTransactions {
  /** Those whose markers lie in the journal. */
  aborted = new AbortedList();
  /** First offsets of open transactions by producer, in ascending order. */
  readonly #open = new Map<number, number>();
  /** Ended, their markers not committed yet, in the order of the markers. */
  #ended: EndedTransaction[] = [];
  #endedFrom = 0;
  /** Of open transactions whose marker may be lost, by producer: how far what is theirs may reach, exclusive. */
  readonly #doubted = new Map<number, number>();
  /** Behind the last marker that cannot be undone any more. */
  #letGoEnd = 0;
  /** Not told yet. */
  #lost: LostTransaction[] = [];
  /** Ended ones that cannot be undone one by one any more: the first offset of all, and where the last marker ends. */
  #bundle: { readonly firstOffset: number; readonly endOffset: number } | null = null;
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
      let first = Math.min(this.#firstOpen(), this.#bundle?.firstOffset ?? Infinity);
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

  /**
   * Something that was written before `endOffset` is lost, and markers may be among it: the next marker of a producer then
   * ends for certain only what comes from there on.
   */
  doubt(endOffset: number): void {
    for (const [producerId, firstOffset] of this.#open) {
      if (firstOffset >= endOffset) continue;
      const known = this.#doubted.get(producerId) ?? endOffset;
      this.#doubted.set(producerId, Math.max(known, endOffset));
    }
  }

  /** Why a producer's batch may not go on with what it has open; null when it may. */
  refusalOf({ producerId, baseSequence }: ValidBatch): typeof DOUBTED_REFUSAL | null {
    // What a coordinator writes has no sequence, and is left to its shard.
    return baseSequence >= 0 && this.#doubted.has(producerId) ? DOUBTED_REFUSAL : null;
  }

  /**
   * What has to abort a transaction first, of which a batch or a marker comes that is of another: a newer epoch is only given
   * once the transaction before has ended, so that its marker is lost. Null when there is none. Takes note of it as lost.
   */
  abortOfOvertaken(
    next: ValidBatch | EndMarker,
    entry: ProducerEntry | undefined,
    endOffset: number,
  ): EndMarker | null {
    const last = entry?.batches.at(-1);
    if (entry === undefined || entry.transactionStartOffset < 0 || last === undefined) return null;
    const { epoch, coordinatorEpoch, transactionStartOffset: firstOffset } = entry;
    const { producerId } = next;
    const isMarker = "isCommit" in next;
    if ((isMarker && !next.isCommit) || last.firstSequence < 0) return null;
    const hasOwnEpoch = isMarker && next.transactionVersion >= 2;
    const newest = hasOwnEpoch ? next.producerEpoch - 1 : next.producerEpoch;
    const isOther = newest > epoch;
    // By the first protocol the epoch does not tell; what came behind the doubt is of the transaction that ends now.
    const mayBeOther = newest === epoch && isMarker && !hasOwnEpoch;
    const isBeforeDoubt = last.lastOffset < (this.#doubted.get(producerId) ?? -1);
    if (!isOther && !(mayBeOther && isBeforeDoubt)) return null;
    this.#note(producerId, epoch, firstOffset, endOffset);
    this.#doubted.delete(producerId);
    const transactionVersion = isOther ? 2 : 0;
    return {
      producerId,
      producerEpoch: newest,
      coordinatorEpoch,
      isCommit: false,
      transactionVersion,
    };
  }

  /**
   * Ends what the producer has open, before its entry hears of the marker.
   *
   * @param isExact The marker's epoch says that it is of this very transaction (KIP-890).
   */
  end(
    producerId: number,
    entry: ProducerEntry,
    markerOffset: number,
    isCommit: boolean,
    isExact: boolean,
  ): void {
    const firstOffset = entry.transactionStartOffset;
    if (firstOffset < 0) return;
    const doubtedEnd = this.#doubted.get(producerId) ?? -1;
    const isHidden = isCommit && !isExact && doubtedEnd >= 0;
    this.#close(producerId, entry, markerOffset, isHidden);
    if (isHidden) this.#hide(producerId, entry.epoch, firstOffset, doubtedEnd, doubtedEnd);
    if (isCommit) return;
    // What lies before the doubt may have been committed, and this marker be of the next one.
    if (!isExact && doubtedEnd >= 0) this.#note(producerId, entry.epoch, firstOffset, doubtedEnd);
    const lastStableOffset = Math.min(this.#firstOpen(), markerOffset + 1);
    this.aborted.push({ producerId, firstOffset, lastOffset: markerOffset, lastStableOffset });
  }

  /** A batch of a newer epoch at `offset` says that the marker of what the producer has open is lost. */
  endLost(producerId: number, entry: ProducerEntry, offset: number): void {
    const { transactionStartOffset: firstOffset, batches, epoch } = entry;
    const doubtedEnd = this.#doubted.get(producerId) ?? -1;
    const endOffset = (batches.at(-1)?.lastOffset ?? firstOffset) + 1;
    this.#close(producerId, entry, offset, true);
    this.#hide(producerId, epoch, firstOffset, endOffset, Math.max(endOffset - 1, doubtedEnd));
    entry.transactionStartOffset = -1;
  }

  /** Says which transactions are taken for aborted because nobody knows how they ended; each once. */
  reportLost(log: Logger, topic: string, partition: number): void {
    if (this.#lost.length === 0) return;
    for (const lost of this.#lost) log.error("transaction_end_lost", { topic, partition, ...lost });
    this.#lost = [];
  }

  #close(producerId: number, entry: ProducerEntry, offset: number, isHidden: boolean): void {
    const { transactionStartOffset: firstOffset, epoch, coordinatorEpoch, batches } = entry;
    const doubtedEnd = this.#doubted.get(producerId) ?? -1;
    this.#ended.push({
      producerId,
      firstOffset,
      markerOffset: offset,
      epoch,
      coordinatorEpoch,
      batches,
      doubtedEnd,
      isHidden,
    });
    this.#open.delete(producerId);
    this.#doubted.delete(producerId);
    this.#isStale = true;
  }

  /** @param lastOffset Where it is said to have ended: in the hole that its marker fell into, which no reader passes. */
  #hide(
    producerId: number,
    producerEpoch: number,
    firstOffset: number,
    endOffset: number,
    lastOffset: number,
  ): void {
    const lastStableOffset = Math.min(this.firstUnstableOffset, lastOffset + 1);
    this.aborted.insert({ producerId, firstOffset, lastOffset, lastStableOffset });
    this.#note(producerId, producerEpoch, firstOffset, endOffset);
  }

  #note(producerId: number, producerEpoch: number, firstOffset: number, endOffset: number): void {
    this.#lost.push({ producerId, producerEpoch, firstOffset, endOffset });
  }

  /** Whether a cut at `endOffset` undoes ends that are not known one by one: what was before has to be looked up in the log. */
  isMissingAfterCut(endOffset: number): boolean {
    return endOffset < this.#letGoEnd;
  }

  /** Ends before `endOffset` are known from a state, and not one by one; of `held`, not whether they are committed. */
  letGo(endOffset: number, held: LogTransactions["uncommitted"]): void {
    this.#letGoEnd = Math.max(this.#letGoEnd, endOffset);
    if (held !== null) this.holdBack(held.firstOffset, held.endOffset);
  }

  /** From the first offset of all that have ended and are not known to be committed, to behind the last marker; null for none. */
  get uncommitted(): { readonly firstOffset: number; readonly endOffset: number } | null {
    if (this.endedCount === 0) return this.#bundle;
    let { firstOffset, endOffset } = this.#bundle ?? { firstOffset: Infinity, endOffset: 0 };
    for (let i = this.#endedFrom; i < this.#ended.length; i++) {
      firstOffset = Math.min(firstOffset, this.#ended[i]!.firstOffset);
      endOffset = Math.max(endOffset, this.#ended[i]!.markerOffset + 1);
    }
    return { firstOffset, endOffset };
  }

  /** Nothing from `firstOffset` on is stable before all before `endOffset` is committed: transactions were ended there. */
  holdBack(firstOffset: number, endOffset: number): void {
    const known = this.#bundle ?? { firstOffset, endOffset };
    this.#bundle = {
      firstOffset: Math.min(known.firstOffset, firstOffset),
      endOffset: Math.max(known.endOffset, endOffset),
    };
    this.#letGoEnd = Math.max(this.#letGoEnd, endOffset);
    this.#isStale = true;
  }

  /** Keeps many ends in little memory, before it is known whether they are committed: as one, which nothing can undo in part. */
  bundle(committedEnd: number): void {
    this.onCommitted(committedEnd);
    if (this.endedCount <= BUNDLED_MIN) return;
    const { firstOffset, endOffset } = this.uncommitted!;
    this.#ended = [];
    this.#endedFrom = 0;
    this.holdBack(firstOffset, endOffset);
  }

  /** Everything before `endOffset` is committed: so are the ends of transactions there. */
  onCommitted(endOffset: number): void {
    if (this.#bundle !== null && this.#bundle.endOffset <= endOffset) {
      this.#bundle = null;
      this.#isStale = true;
    }
    const before = this.#endedFrom;
    while (
      this.#endedFrom < this.#ended.length &&
      this.#ended[this.#endedFrom]!.markerOffset < endOffset
    ) {
      this.#letGoEnd = Math.max(this.#letGoEnd, this.#ended[this.#endedFrom]!.markerOffset + 1);
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

  /** What was found by going through the log again. */
  restoreFrom(found: LogTransactions | null, producers: ProducerState | null): void {
    this.restore(producers, this.aborted);
    this.#letGoEnd = 0;
    if (found === null) return;
    this.#ended = found.#ended;
    this.#endedFrom = found.#endedFrom;
    this.#letGoEnd = found.#letGoEnd;
  }

  /** What a state says replaces what was known. */
  restore(producers: ProducerState | null, aborted: AbortedList): void {
    this.aborted = aborted;
    this.#open.clear();
    this.#ended = [];
    this.#endedFrom = 0;
    this.#doubted.clear();
    this.#lost = [];
    this.#bundle = null;
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
      if (ended.doubtedEnd >= 0) this.#doubted.set(producerId, ended.doubtedEnd);
      if (ended.isHidden) this.aborted.remove(producerId, firstOffset);
      const entry = producers?.get(producerId);
      // It may have been forgotten with what it wrote after the marker, which was cut before.
      producers?.restore(producerId, {
        epoch,
        coordinatorEpoch,
        batches,
        transactionStartOffset: firstOffset,
        lastTimestampMs: entry?.lastTimestampMs ?? -1,
        seenMs: entry?.seenMs ?? -1,
        ...(entry?.hasForgotten === true ? { hasForgotten: true } : {}),
      });
    }
    this.aborted.dropFrom(endOffset);
    producers?.truncate(endOffset);
    const kept = this.#ended.slice(this.#endedFrom);
    const doubted = [...this.#doubted];
    const bundle = this.#bundle;
    this.restore(producers, this.aborted);
    this.#ended = kept;
    // Of several that are known as one some may be cut off: the others are as before.
    if (bundle !== null && bundle.firstOffset < endOffset) {
      this.#bundle = { ...bundle, endOffset: Math.min(bundle.endOffset, endOffset) };
    }
    for (const [producerId, doubtedEnd] of doubted) {
      if (this.#open.has(producerId))
        this.#doubted.set(producerId, Math.min(doubtedEnd, endOffset));
    }
  }

  #firstOpen(): number {
    for (const firstOffset of this.#open.values()) return firstOffset;
    return Number.POSITIVE_INFINITY;
  }
}
