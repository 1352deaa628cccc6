// What a partition remembers of idempotent producers: epoch, and the last five batches of each, so
// that a repeated batch is answered with its first offset and a gap is refused.
// Kafka: ProducerStateManager, ProducerAppendInfo; KIP-98, KIP-360.

import { sequenceAfter } from "../../record/batch_header.ts";

/** Batches remembered a producer (Kafka's NUM_BATCHES_TO_RETAIN). */
export const BATCHES_REMEMBERED = 5;

export interface ProducedBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly timestampMs: number;
}

export interface ProducerEntry {
  epoch: number;
  /** Oldest first, at most BATCHES_REMEMBERED; empty after an epoch bump without records. */
  batches: ProducedBatch[];
  lastTimestampMs: number;
  /** When this broker last took a batch in, or found one at its start: what expiry counts from. */
  seenMs: number;
  coordinatorEpoch: number;
  /** First offset of the open transaction; -1 when none is. */
  transactionStartOffset: number;
}

export type ProducerVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "duplicate"; readonly batch: ProducedBatch }
  | {
      readonly kind: "refused";
      readonly code: "out_of_order_sequence_number" | "invalid_producer_epoch";
      readonly message: string;
    };

const NEW: ProducerVerdict = { kind: "new" };

export class ProducerState {
  readonly #entries = new Map<number, ProducerEntry>();

  get count(): number {
    return this.#entries.size;
  }

  entries(): IterableIterator<[number, ProducerEntry]> {
    return this.#entries.entries();
  }

  /** Says what to do with a batch, and changes nothing. */
  check(
    producerId: number,
    epoch: number,
    firstSequence: number,
    recordCount: number,
  ): ProducerVerdict {
    const entry = this.#entries.get(producerId);
    if (entry === undefined) return NEW;
    if (epoch < entry.epoch) {
      return {
        kind: "refused",
        code: "invalid_producer_epoch",
        message: `Epoch ${epoch} of producer ${producerId} is older than ${entry.epoch}, the newest seen`,
      };
    }
    if (epoch > entry.epoch) {
      if (firstSequence === 0) return NEW;
      return outOfOrder(producerId, firstSequence, `epoch ${epoch} has to start at sequence 0`);
    }
    const last = entry.batches.at(-1);
    if (last === undefined) return NEW;
    const lastSequence = sequenceAfter(firstSequence, recordCount - 1);
    for (const batch of entry.batches) {
      if (batch.firstSequence === firstSequence && batch.lastSequence === lastSequence) {
        return { kind: "duplicate", batch };
      }
    }
    const expected = sequenceAfter(last.lastSequence, 1);
    if (firstSequence === expected) return NEW;
    return outOfOrder(producerId, firstSequence, `the next one is ${expected}`);
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
  ): void {
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
    } else if (entry.epoch !== epoch) {
      entry.epoch = epoch;
      entry.batches = [];
    }
    if (entry.batches.length === BATCHES_REMEMBERED) entry.batches.shift();
    entry.batches.push({
      firstSequence,
      lastSequence: sequenceAfter(firstSequence, recordCount - 1),
      baseOffset,
      lastOffset,
      timestampMs,
    });
    entry.lastTimestampMs = Math.max(entry.lastTimestampMs, timestampMs);
    entry.seenMs = Math.max(entry.seenMs, wallMs);
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

  /** After the log was cut at `endOffset`: batches past it are forgotten, and producers left without any. */
  truncate(endOffset: number): void {
    for (const [producerId, entry] of this.#entries) {
      entry.batches = entry.batches.filter((batch) => batch.lastOffset < endOffset);
      if (entry.batches.length === 0) this.#entries.delete(producerId);
    }
  }
}

function outOfOrder(producerId: number, sequence: number, why: string): ProducerVerdict {
  return {
    kind: "refused",
    code: "out_of_order_sequence_number",
    message: `Sequence ${sequence} of producer ${producerId} is out of order: ${why}`,
  };
}
