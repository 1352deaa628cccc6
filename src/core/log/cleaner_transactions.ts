// What the cleaner knows of transactions on its way through a log: which batches were aborted, and which markers are
// still needed. One for each time it goes through, from the log's first batch on.
// Invariant: a marker goes only after all batches of its transaction have gone, and an entry of the aborted index with
// it or before it: one that outlived its marker would hide what was committed later. Kafka: CleanedTransactionMetadata.

import { CONTROL_ABORT, CONTROL_COMMIT, readControlBatch } from "../../record/control_record.ts";
import type { RecordBatch } from "../../record/record_batch.ts";
import type { AbortedTransaction } from "./aborted_list.ts";

export interface MarkerFinding {
  /** A batch of its transaction was there this time. */
  readonly isNeeded: boolean;
  /** What the index says of the transaction, where it was aborted and is not forgotten yet. */
  readonly aborted: AbortedTransaction | null;
}

const NEEDED: MarkerFinding = { isNeeded: true, aborted: null };
const NOT_NEEDED: MarkerFinding = { isNeeded: false, aborted: null };

export class CleanedTransactions {
  /** Those that overlap the batches at hand, by producer. */
  #aborted = new Map<number, AbortedTransaction[]>();
  /** Producers of which a batch of an aborted, or of a committed, transaction was there since their last marker. */
  readonly #sawAborted = new Set<number>();
  readonly #sawCommitted = new Set<number>();

  /** Told what was aborted of the batches that come next. */
  load(aborted: readonly AbortedTransaction[]): void {
    if (this.#aborted.size > 0) this.#aborted = new Map();
    for (const each of aborted) {
      const known = this.#aborted.get(each.producerId);
      if (known === undefined) this.#aborted.set(each.producerId, [each]);
      else known.push(each);
    }
  }

  /** The aborted transaction that a batch is of, or null. */
  abortedOf({ isTransactional, producerId, baseOffset }: RecordBatch): AbortedTransaction | null {
    if (!isTransactional) return null;
    for (const each of this.#aborted.get(producerId) ?? []) {
      if (each.firstOffset <= baseOffset && baseOffset <= each.lastOffset) return each;
    }
    return null;
  }

  isAborted(batch: RecordBatch): boolean {
    return this.abortedOf(batch) !== null;
  }

  /** Takes note of a batch of data. Returns the aborted transaction that it is of, or null. */
  onData(batch: RecordBatch): AbortedTransaction | null {
    if (!batch.isTransactional) return null;
    const aborted = this.abortedOf(batch);
    (aborted !== null ? this.#sawAborted : this.#sawCommitted).add(batch.producerId);
    return aborted;
  }

  onMarker(batch: RecordBatch): MarkerFinding {
    const { producerId, baseOffset } = batch;
    // One without its record was cleaned before.
    if (batch.recordCount === 0) return NOT_NEEDED;
    const type = readControlBatch(batch)?.type;
    if (type === CONTROL_COMMIT) {
      return this.#sawCommitted.delete(producerId) ? NEEDED : NOT_NEEDED;
    }
    if (type !== CONTROL_ABORT) return NEEDED;
    const known = this.#aborted.get(producerId);
    const aborted = known?.find(({ lastOffset }) => lastOffset === baseOffset) ?? null;
    return { isNeeded: this.#sawAborted.delete(producerId), aborted };
  }
}
