// One subscription: records of a topic pushed to a client, as many bytes as it has given credit for.
// Invariant: nothing is read while there is no credit, or while answers wait for the peer to read; a batch
// goes over the credit by one record at most.

import { weightBytesOf } from "../../src/gateway/fetch_records.ts";
import type { RecordTail } from "../../src/gateway/tail.ts";
import { int } from "./cbor.ts";
import { freeBytes } from "./memory.ts";
import { READ_BYTES_MIN, type Room, refusal } from "./operations.ts";
import { recordShape } from "./shapes.ts";

/** Credit that a client can have at once. */
export const CREDIT_BYTES_MAX = 0x7fffffff;

/** What a subscription uses of its connection. */
export interface PushWire {
  /** Whether the peer reads what it is sent. */
  readonly mayPush: boolean;
  readonly isClosed: boolean;
  /** Resolves when `holds`, or the connection has closed. */
  until(holds: () => boolean): Promise<void>;
  /** Resolves when there is room for an answer of this size, which is kept until it is released; null at the end. */
  room(sizeBytes: number): Promise<Room | null>;
  /** @returns bytes of the frame */
  send(value: object): number;
}

/** The bounds of one batch. */
export interface BatchBounds {
  readonly bytesMax: number;
  readonly recordsMax: number;
}

export class Subscription {
  readonly id: number;
  readonly #wire: PushWire;
  readonly #gone = new AbortController();
  #creditBytes = 0;
  #isSilent = false;
  #running: Promise<void> = Promise.resolve();

  constructor(id: number, wire: PushWire) {
    this.id = id;
    this.#wire = wire;
  }

  /** Fires when nothing more is wanted: the tail's caller carries it. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** The client can take so many bytes more. Whoever waits is to be woken by the connection. */
  credit(bytes: number): void {
    this.#creditBytes = Math.min(CREDIT_BYTES_MAX, this.#creditBytes + bytes);
  }

  /** Pushes until the tail ends. */
  start(tail: RecordTail, bounds: BatchBounds): Promise<void> {
    this.#running = this.#run(tail, bounds);
    return this.#running;
  }

  /** The connection ends: the client is told that no more will come. */
  end(): void {
    this.#gone.abort();
  }

  /** The client wants no more. Resolves when nothing more will be sent. */
  async cancel(): Promise<void> {
    this.#isSilent = true;
    this.#gone.abort();
    await this.#running;
  }

  async #run(tail: RecordTail, bounds: BatchBounds): Promise<void> {
    const wire = this.#wire;
    const { id } = this;
    let refusedBytes = 0;
    const mayGoOn = () => this.signal.aborted || (this.#creditBytes > 0 && wire.mayPush);
    for (;;) {
      await wire.until(mayGoOn);
      if (this.signal.aborted || wire.isClosed) break;
      // However many wait for the same record, none of them holds memory meanwhile, or reads it without.
      if (!(await tail.ready())) break;
      const aimBytes = Math.min(this.#creditBytes, bounds.bytesMax);
      const room = await wire.room(Math.max(aimBytes, READ_BYTES_MIN, refusedBytes));
      if (room === null) break;
      refusedBytes = 0;
      try {
        const before = tail.positions;
        const batch = await tail.next({ ...bounds, bytesMax: aimBytes, isNow: true });
        if (batch === null) break;
        if (!batch.ok) {
          wire.send({ id, event: "end", ...refusal(batch.error) });
          return;
        }
        const { records, positions } = batch.value;
        if (records.length === 0) continue;
        const sizeBytes = weightBytesOf(records);
        if (!room.resize(sizeBytes)) {
          refusedBytes = sizeBytes;
          tail.rewind(before);
          continue;
        }
        this.#creditBytes -= wire.send({
          id,
          event: "records",
          records: records.map(recordShape),
          positions: positions.map(({ partition, offset }) => [partition, int(offset)]),
        });
        // What was read is in the frame now, and ours alone.
        for (const { key, value } of records) {
          if (key !== null) freeBytes(key);
          if (value !== null) freeBytes(value);
        }
      } finally {
        room.release();
      }
    }
    if (!this.#isSilent && !wire.isClosed) wire.send({ id, event: "end" });
  }
}
