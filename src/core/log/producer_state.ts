// What a partition remembers of idempotent producers: epoch, the last five batches of each, so that a repeated
// batch is answered with its first offset and a gap is refused; and where its open transaction begins.
// Invariant: a producer with an open transaction is never forgotten.
// Kafka: ProducerStateManager, ProducerAppendInfo; KIP-98, KIP-360, KIP-890.

import { sequenceAfter } from "../../record/batch_header.ts";

/** Batches remembered a producer (Kafka's NUM_BATCHES_TO_RETAIN). */
export const BATCHES_REMEMBERED = 5;
/**
 * Batches kept a producer where the log's end may be cut off. A producer has five in flight at most, so that an election that
 * loses nothing acknowledged cuts five at most, and leaves those that are remembered.
 */
export const BATCHES_KEPT = 16;

export interface ProducedBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly timestampMs: number;
}

export interface ProducerEntry {
  epoch: number;
  /** Oldest first, at most BATCHES_KEPT, of which the last BATCHES_REMEMBERED are looked at; empty after an epoch bump without records. */
  batches: ProducedBatch[];
  lastTimestampMs: number;
  /** When this broker last took a batch in, or found one at its start: what expiry counts from. */
  seenMs: number;
  coordinatorEpoch: number;
  /** First offset of the open transaction; -1 when none is. */
  transactionStartOffset: number;
  /** Whether it wrote more than is kept; only of a log whose end may be cut off. */
  hasForgotten?: boolean;
}

export type ProducerVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "duplicate"; readonly batch: ProducedBatch }
  | {
      readonly kind: "refused";
      readonly code:
        | "out_of_order_sequence_number"
        | "invalid_producer_epoch"
        | "invalid_txn_state";
      readonly message: string;
    };

/** Why a marker may not be written. */
export interface MarkerRefusal {
  readonly kind: "refused";
  readonly code: "invalid_producer_epoch" | "transaction_coordinator_fenced";
  readonly message: string;
}

/** What the end of a transaction says, wherever it comes from. Kafka: EndTransactionMarker, TxnMarkerEntry. */
export interface EndMarker {
  readonly producerId: number;
  /** Under the second protocol one more than that of the batches it ends (KIP-890). */
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly isCommit: boolean;
  /** 0 and 1: the first protocol; from 2 on its epoch has to be newer than that of the batches. */
  readonly transactionVersion: number;
}

/**
 * A first batch of a transaction that the coordinator is asked about, or has said no to: what follows it may not
 * overtake it. Kafka: VerificationStateEntry.
 */
export interface FirstBatch {
  epoch: number;
  /** The lowest one that came under this epoch and was not taken yet. */
  lowestSequence: number;
  /** A producer that nothing is known of has to begin at sequence 0, and every transaction has an epoch of its own. */
  readonly isOfSecondProtocol: boolean;
  readonly askedMs: number;
}

const EPOCH_MAX = 0x7fff;
const NEW: ProducerVerdict = { kind: "new" };

export class ProducerState {
  readonly #entries = new Map<number, ProducerEntry>();

  get count(): number {
    return this.#entries.size;
  }

  entries(): IterableIterator<[number, ProducerEntry]> {
    return this.#entries.entries();
  }

  get(producerId: number): ProducerEntry | undefined {
    return this.#entries.get(producerId);
  }

  /** Whether the producer has a transaction open, under that epoch. */
  isOpen(producerId: number, epoch: number): boolean {
    const entry = this.#entries.get(producerId);
    return entry !== undefined && entry.transactionStartOffset >= 0 && entry.epoch === epoch;
  }

  /**
   * Says what to do with a batch, and changes nothing.
   *
   * @param firstSequence −1 for a batch of a coordinator, which has none: its epoch alone is looked at.
   * @param first Of a transaction's first batch: what the log noted while the coordinator was asked.
   */
  check(
    producerId: number,
    epoch: number,
    firstSequence: number,
    recordCount: number,
    isTransactional = false,
    first: FirstBatch | null = null,
  ): ProducerVerdict {
    const entry = this.#entries.get(producerId);
    if (entry !== undefined) {
      if (epoch < entry.epoch) return olderEpoch(producerId, epoch, entry.epoch);
      if (epoch === entry.epoch && firstSequence >= 0) {
        const lastSequence = sequenceAfter(firstSequence, recordCount - 1);
        const { batches } = entry;
        for (let i = Math.max(batches.length - BATCHES_REMEMBERED, 0); i < batches.length; i++) {
          const batch = batches[i]!;
          if (batch.firstSequence === firstSequence && batch.lastSequence === lastSequence) {
            return { kind: "duplicate", batch };
          }
        }
      }
    }
    if (firstSequence >= 0) {
      const why = this.#outOfOrder(entry, epoch, firstSequence, first);
      if (why !== null) return outOfOrder(producerId, firstSequence, why);
    }
    if (entry !== undefined && entry.transactionStartOffset >= 0 && !isTransactional) {
      return {
        kind: "refused",
        code: "invalid_txn_state",
        message: `Producer ${producerId} has a transaction open here: its batches have to be transactional`,
      };
    }
    return NEW;
  }

  /** Null when the sequence is the right one. */
  #outOfOrder(
    entry: ProducerEntry | undefined,
    epoch: number,
    firstSequence: number,
    first: FirstBatch | null,
  ): string | null {
    const last = entry?.batches.at(-1);
    if (first !== null) {
      if (first.isOfSecondProtocol && last === undefined && firstSequence !== 0) {
        return "nothing is known of the producer, and the next one is 0";
      }
      if (first.epoch === epoch && firstSequence > first.lowestSequence) {
        return `${first.lowestSequence} came before, and was not taken`;
      }
    }
    if (entry === undefined) return null;
    if (epoch > entry.epoch) {
      return firstSequence === 0 ? null : `epoch ${epoch} has to start at sequence 0`;
    }
    // After a marker with a newer epoch nothing is left to go on from.
    const expected = last === undefined ? 0 : sequenceAfter(last.lastSequence, 1);
    return firstSequence === expected ? null : `the next one is ${expected}`;
  }

  /** Why the marker may not be written, or null. Kafka: checkProducerEpoch, checkCoordinatorEpoch. */
  checkMarker(marker: EndMarker): MarkerRefusal | null {
    const { producerId, producerEpoch, coordinatorEpoch, transactionVersion } = marker;
    const entry = this.#entries.get(producerId);
    if (entry === undefined) return null;
    const { epoch } = entry;
    // One that was written already may be written again: its transaction is not open any more.
    const isAgain =
      producerEpoch === epoch && (entry.transactionStartOffset < 0 || producerEpoch === EPOCH_MAX);
    const isStale = transactionVersion >= 2 ? producerEpoch <= epoch && !isAgain : false;
    if (producerEpoch < epoch || isStale) return olderEpoch(producerId, producerEpoch, epoch);
    if (coordinatorEpoch < entry.coordinatorEpoch) {
      return {
        kind: "refused",
        code: "transaction_coordinator_fenced",
        message: `Coordinator epoch ${coordinatorEpoch} is older than ${entry.coordinatorEpoch}, the newest seen of producer ${producerId}`,
      };
    }
    return null;
  }

  /** Whether the marker's own epoch says that it ends what the producer has open (KIP-890): see LogTransactions.end. */
  isExactEnd({ producerId, producerEpoch, transactionVersion }: EndMarker): boolean {
    const epoch = this.#entries.get(producerId)?.epoch ?? -1;
    return transactionVersion >= 2 && producerEpoch === Math.min(epoch + 1, EPOCH_MAX);
  }

  /** Takes in a batch that has its offset, appended just now or found at recovery. */
  record(
    producerId: number,
    epoch: number,
    firstSequence: number,
    recordCount: number,
    baseOffset: number,
    lastOffset: number,
    timestampMs: number,
    wallMs: number,
    keptMax = BATCHES_REMEMBERED,
  ): ProducerEntry {
    const entry = this.#entryFor(producerId, epoch, timestampMs, wallMs);
    while (entry.batches.length >= keptMax) {
      entry.batches.shift();
      if (keptMax > BATCHES_REMEMBERED) entry.hasForgotten = true;
    }
    entry.batches.push({
      firstSequence,
      lastSequence: firstSequence < 0 ? -1 : sequenceAfter(firstSequence, recordCount - 1),
      baseOffset,
      lastOffset,
      timestampMs,
    });
    entry.lastTimestampMs = Math.max(entry.lastTimestampMs, timestampMs);
    return entry;
  }

  /** Takes in a marker that has its offset. The caller has looked at, and ended, the transaction that was open. */
  recordMarker(
    producerId: number,
    epoch: number,
    coordinatorEpoch: number,
    timestampMs: number,
    wallMs: number,
  ): void {
    const entry = this.#entryFor(producerId, epoch, timestampMs, wallMs);
    entry.coordinatorEpoch = Math.max(entry.coordinatorEpoch, coordinatorEpoch);
    entry.transactionStartOffset = -1;
    entry.lastTimestampMs = Math.max(entry.lastTimestampMs, timestampMs);
  }

  /** Of that epoch from now on: batches of another one are forgotten. */
  #entryFor(producerId: number, epoch: number, timestampMs: number, wallMs: number): ProducerEntry {
    let entry = this.#entries.get(producerId);
    if (entry === undefined) {
      entry = {
        epoch,
        batches: [],
        lastTimestampMs: timestampMs,
        seenMs: wallMs,
        coordinatorEpoch: -1,
        transactionStartOffset: -1,
      };
      this.#entries.set(producerId, entry);
      return entry;
    }
    if (entry.epoch !== epoch) {
      entry.epoch = epoch;
      entry.batches = [];
    }
    entry.seenMs = Math.max(entry.seenMs, wallMs);
    return entry;
  }

  restore(producerId: number, entry: ProducerEntry): void {
    this.#entries.set(producerId, entry);
  }

  /**
   * Forgets producers without an open transaction that wrote nothing since `beforeMs`. Kafka counts from
   * record timestamps alone; then one that writes old data is forgotten while it writes.
   */
  expire(beforeMs: number): number {
    let forgotten = 0;
    for (const [producerId, entry] of this.#entries) {
      const newestMs = Math.max(entry.lastTimestampMs, entry.seenMs);
      if (newestMs < beforeMs && entry.transactionStartOffset < 0) {
        this.#entries.delete(producerId);
        forgotten++;
      }
    }
    return forgotten;
  }

  /** Whether a cut at `endOffset` leaves a producer fewer batches than are remembered, though it wrote more: they were let go of. */
  isMissingAfterCut(endOffset: number): boolean {
    for (const { batches, hasForgotten } of this.#entries.values()) {
      if (hasForgotten !== true) continue;
      const left = batches.findIndex(({ lastOffset }) => lastOffset >= endOffset);
      if (left >= 0 && left < BATCHES_REMEMBERED) return true;
    }
    return false;
  }

  /** A state does not say of whom it forgot something: of those with fewer batches nothing, as a cut looks those up. */
  mayHaveForgotten(): void {
    for (const entry of this.#entries.values()) {
      entry.hasForgotten = entry.batches.length >= BATCHES_REMEMBERED;
    }
  }

  /**
   * After the log was cut at `endOffset`: batches past it are forgotten, and producers left without any. Markers past
   * it have been undone before (see LogTransactions.truncate).
   */
  truncate(endOffset: number): void {
    for (const [producerId, entry] of this.#entries) {
      entry.batches = entry.batches.filter((batch) => batch.lastOffset < endOffset);
      if (entry.transactionStartOffset >= endOffset) entry.transactionStartOffset = -1;
      if (entry.batches.length === 0 && entry.transactionStartOffset < 0) {
        this.#entries.delete(producerId);
      }
    }
  }
}

function olderEpoch(producerId: number, epoch: number, newest: number) {
  return {
    kind: "refused",
    code: "invalid_producer_epoch",
    message: `Epoch ${epoch} of producer ${producerId} is older than ${newest}, the newest seen`,
  } as const;
}

function outOfOrder(producerId: number, sequence: number, why: string): ProducerVerdict {
  return {
    kind: "refused",
    code: "out_of_order_sequence_number",
    message: `Sequence ${sequence} of producer ${producerId} is out of order: ${why}`,
  };
}
