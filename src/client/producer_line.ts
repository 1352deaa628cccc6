// Records of one topic that have no place yet: their topic is still being asked for, or there is no room.
// Invariant: first come, first served; who leaves the line, by whatever way, is told, and so is every flush
// that waits for those before it.
// Kafka: BufferPool, max.block.ms.

import type { DeliveryWaiter } from "./producer_batch.ts";
import type { ProducerRecord } from "./producer_record.ts";

interface WaitingRecord {
  readonly record: ProducerRecord;
  readonly sizeBytes: number;
  readonly waiter: DeliveryWaiter | null;
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Flushes that wait until this one has left the line. */
  flushes: (() => void)[] | null;
}

/** The line of one topic. */
export class ProducerLine {
  readonly #waiting: WaitingRecord[] = [];
  readonly #onBytes: (deltaBytes: number) => void;

  /** @param onBytes told how many bytes more, or fewer, wait */
  constructor(onBytes: (deltaBytes: number) => void) {
    this.#onBytes = onBytes;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** When the first in line has waited too long; Infinity for an empty one. */
  get deadlineMs(): number {
    return this.#waiting[0]?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** Resolves when the record has been let in. */
  join(
    record: ProducerRecord,
    sizeBytes: number,
    waiter: DeliveryWaiter | null,
    deadlineMs: number,
  ): Promise<void> {
    this.#onBytes(sizeBytes);
    return new Promise((resolve, reject) => {
      const flushes = null;
      this.#waiting.push({ record, sizeBytes, waiter, deadlineMs, resolve, reject, flushes });
    });
  }

  /** Lets records in, in order, while there is room. @param take returns why a record has no place */
  admit(
    hasRoom: () => boolean,
    take: (record: ProducerRecord, waiter: DeliveryWaiter | null) => unknown,
  ): void {
    let count = 0;
    while (count < this.#waiting.length && hasRoom()) {
      const each = this.#waiting[count++]!;
      this.#leave(each, take(each.record, each.waiter));
    }
    this.#waiting.splice(0, count);
  }

  /** Turns away those that have waited too long. */
  expire(nowMs: number, error: () => unknown): void {
    while (this.deadlineMs <= nowMs) this.#leave(this.#waiting.shift()!, error());
  }

  /** Turns everyone away. */
  close(error: unknown): void {
    for (const each of this.#waiting.splice(0)) this.#leave(each, error);
  }

  /** Takes one out of the line, if it is still there. */
  drop(waiter: DeliveryWaiter, error: unknown): void {
    const at = this.#waiting.findIndex((each) => each.waiter === waiter);
    if (at < 0) return;
    const [dropped] = this.#waiting.splice(at, 1);
    const before = this.#waiting[at - 1];
    if (before !== undefined && dropped!.flushes !== null) {
      before.flushes = [...(before.flushes ?? []), ...dropped!.flushes];
      dropped!.flushes = null;
    }
    this.#leave(dropped!, error);
  }

  /** Resolves when all that wait now have left the line; null when nobody does. */
  whenThrough(): Promise<void> | null {
    const last = this.#waiting.at(-1);
    if (last === undefined) return null;
    return new Promise((resolve) => {
      last.flushes ??= [];
      last.flushes.push(resolve);
    });
  }

  #leave(each: WaitingRecord, error: unknown): void {
    this.#onBytes(-each.sizeBytes);
    if (error === null) each.resolve();
    else each.reject(error);
    for (const tell of each.flushes ?? []) tell();
  }
}
