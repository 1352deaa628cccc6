// A CoordinatorLog in memory, whose commits and failures the test decides.

import type {
  CoordinatorLog,
  EndMarker,
} from "../../../src/core/coordinator/runtime/coordinator_log.ts";
import type { Producer } from "../../../src/core/coordinator/runtime/shard.ts";
import type { KafkaErrorName } from "../../../src/protocol/errors.ts";
import { patchBaseOffset } from "../../../src/record/batch_header.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
  readControlBatch,
} from "../../../src/record/control_record.ts";
import { RecordBatch } from "../../../src/record/record_batch.ts";

interface Waiting {
  readonly endOffset: number;
  readonly resolve: (isCommitted: boolean) => void;
}

export class ScriptedLog implements CoordinatorLog {
  readonly partition = 0;
  readonly leaderEpoch = 0;
  isOnline = true;
  logStartOffset = 0;
  logEndOffset = 0;
  highWatermark = 0;
  batchBytesMax = 1_048_588;
  /** True: what is appended is committed at once. */
  commitsAtOnce = true;
  /** Of markers. */
  wallMs = 1_700_000_000_000;
  /** By producer id: its newest epochs, and whether its transaction is open. */
  readonly producers = new Map<
    number,
    { epoch: number; coordinatorEpoch: number; isOpen: boolean }
  >();
  /** Appends are refused. */
  refuses = false;
  /** What a read answers instead of batches. */
  readFault: string | null = null;
  readonly batches: Uint8Array[] = [];
  /** Reads that were not given back. */
  borrowed = 0;
  reads = 0;
  #waiting: Waiting[] = [];

  append(batch: Uint8Array) {
    if (this.refuses || !this.isOnline) return null;
    patchBaseOffset(batch, 0, this.logEndOffset);
    this.#remember(batch);
    this.batches.push(batch);
    const endOffset = new RecordBatch(batch, 0, batch.length).lastOffset + 1;
    this.logEndOffset = endOffset;
    const committed = new Promise<boolean>((resolve) => {
      this.#waiting.push({ endOffset, resolve });
    });
    if (this.commitsAtOnce) this.commit();
    return { endOffset, committed };
  }

  appendMarker({ producerId, producerEpoch, coordinatorEpoch, isCommit }: EndMarker) {
    return this.append(
      buildEndTransactionMarker({
        type: isCommit ? CONTROL_COMMIT : CONTROL_ABORT,
        producerId,
        producerEpoch,
        coordinatorEpoch,
        timestampMs: this.wallMs,
      }),
    );
  }

  #remember(bytes: Uint8Array): void {
    const batch = new RecordBatch(bytes, 0, bytes.length);
    if (!batch.isTransactional) return;
    const { producerId, producerEpoch: epoch, isControl } = batch;
    const known = this.producers.get(producerId);
    const coordinatorEpoch = isControl
      ? readControlBatch(batch)!.coordinatorEpoch!
      : (known?.coordinatorEpoch ?? -1);
    this.producers.set(producerId, { epoch, coordinatorEpoch, isOpen: !isControl });
  }

  refusalOf({ producerId, producerEpoch }: Producer): KafkaErrorName | null {
    const known = this.producers.get(producerId);
    return known !== undefined && producerEpoch < known.epoch ? "invalid_producer_epoch" : null;
  }

  refusalOfMarker(marker: EndMarker): KafkaErrorName | null {
    const known = this.producers.get(marker.producerId);
    if (known === undefined) return null;
    if (this.refusalOf(marker) !== null) return "invalid_producer_epoch";
    const isUsed = marker.producerEpoch === known.epoch && known.isOpen;
    if (marker.transactionVersion >= 2 && isUsed) return "invalid_producer_epoch";
    return marker.coordinatorEpoch < known.coordinatorEpoch
      ? "transaction_coordinator_fenced"
      : null;
  }

  isOpen({ producerId, producerEpoch }: Producer): boolean {
    const known = this.producers.get(producerId);
    return known?.isOpen === true && known.epoch === producerEpoch;
  }

  /** Commits all that was appended. */
  commit(count = this.#waiting.length): void {
    for (const { endOffset, resolve } of this.#waiting.splice(0, count)) {
      this.highWatermark = endOffset;
      resolve(true);
    }
  }

  /** What was appended and is not committed never will be: it is cut off. */
  fail(): void {
    while (this.batches.length > 0) {
      const last = this.batches.at(-1)!;
      if (new RecordBatch(last, 0, last.length).baseOffset < this.highWatermark) break;
      this.batches.pop();
    }
    this.logEndOffset = this.highWatermark;
    this.producers.clear();
    for (const batch of this.batches) this.#remember(batch);
    for (const { resolve } of this.#waiting.splice(0)) resolve(false);
  }

  async settled(): Promise<boolean> {
    if (this.#waiting.length === 0) return this.highWatermark === this.logEndOffset;
    return new Promise((resolve) => this.#waiting.push({ endOffset: this.logEndOffset, resolve }));
  }

  async read(offset: number, bytesMax: number) {
    this.reads++;
    if (this.readFault !== null) return { ok: false as const, reason: this.readFault };
    const found: Uint8Array[] = [];
    let sizeBytes = 0;
    for (const bytes of this.batches) {
      const batch = new RecordBatch(bytes, 0, bytes.length);
      if (batch.lastOffset < offset || batch.baseOffset >= this.highWatermark) continue;
      if (found.length > 0 && sizeBytes + bytes.length > bytesMax) break;
      found.push(bytes);
      sizeBytes += bytes.length;
    }
    const batches = new Uint8Array(sizeBytes);
    let at = 0;
    for (const each of found) {
      batches.set(each, at);
      at += each.length;
    }
    this.borrowed++;
    return {
      ok: true as const,
      batches,
      release: () => {
        this.borrowed--;
        // Lent memory is used again.
        batches.fill(0xdd);
      },
    };
  }

  /** The batches' record counts. */
  get counts(): number[] {
    return this.batches.map((bytes) => new RecordBatch(bytes, 0, bytes.length).recordCount);
  }
}
