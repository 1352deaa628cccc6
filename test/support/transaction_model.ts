// A plain model of a partition with transactions, and a reader of read_committed as Kafka's consumer is one, for
// property tests of the log.

import type { FetchResult } from "../../src/contracts/broker.ts";
import { CONTROL_ABORT, readControlBatch } from "../../src/record/control_record.ts";
import { batchesIn, type RecordBatch } from "../../src/record/record_batch.ts";
import { caller, type LogRig, type ReadRecord, recordsIn } from "./log_rig.ts";

export interface ModelEntry {
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly producerId: number;
  readonly kind: "plain" | "data" | "commit" | "abort";
  readonly values: readonly string[];
}

interface ModelTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker; Infinity while it is open. */
  readonly lastOffset: number;
  readonly isAborted: boolean;
}

/** What was appended, in order. Everything is worked out anew each time. */
export class TransactionModel {
  entries: ModelEntry[] = [];

  get endOffset(): number {
    return this.entries.at(-1)?.endOffset ?? 0;
  }

  add(
    producerId: number,
    kind: ModelEntry["kind"],
    baseOffset: number,
    values: readonly string[] = [],
  ): void {
    const endOffset = baseOffset + Math.max(values.length, 1);
    this.entries.push({ baseOffset, endOffset, producerId, kind, values });
  }

  /** What is left where the log ends at `endOffset`. */
  cut(endOffset: number): void {
    this.entries = this.entries.filter((entry) => entry.endOffset <= endOffset);
  }

  transactions(): ModelTransaction[] {
    const open = new Map<number, number>();
    const all: ModelTransaction[] = [];
    for (const { kind, producerId, baseOffset } of this.entries) {
      if (kind === "data" && !open.has(producerId)) open.set(producerId, baseOffset);
      const firstOffset = open.get(producerId);
      if ((kind !== "commit" && kind !== "abort") || firstOffset === undefined) continue;
      open.delete(producerId);
      all.push({ producerId, firstOffset, lastOffset: baseOffset, isAborted: kind === "abort" });
    }
    for (const [producerId, firstOffset] of open) {
      all.push({
        producerId,
        firstOffset,
        lastOffset: Number.POSITIVE_INFINITY,
        isAborted: false,
      });
    }
    return all;
  }

  lastStableOffset(highWatermark: number, logStartOffset: number): number {
    let stable = highWatermark;
    for (const { firstOffset, lastOffset } of this.transactions()) {
      if (lastOffset >= highWatermark) stable = Math.min(stable, firstOffset);
    }
    return Math.min(Math.max(stable, logStartOffset), highWatermark);
  }

  /** Aborted transactions that overlap [start, end), in the order of their markers. */
  aborted(start: number, end: number): { producerId: number; firstOffset: number }[] {
    return this.transactions()
      .filter((each) => each.isAborted && each.lastOffset >= start && each.firstOffset < end)
      .map(({ producerId, firstOffset }) => ({ producerId, firstOffset }));
  }

  /** What a read_committed reader sees in [start, end). */
  committed(start: number, end: number): { offset: number; value: string }[] {
    const aborted = this.transactions().filter(({ isAborted }) => isAborted);
    return this.entries.flatMap(({ kind, producerId, baseOffset, values }) => {
      const isHidden =
        kind === "data" &&
        aborted.some(
          (each) =>
            each.producerId === producerId &&
            each.firstOffset <= baseOffset &&
            baseOffset < each.lastOffset,
        );
      if (isHidden || kind === "commit" || kind === "abort") return [];
      return values
        .map((value, i) => ({ offset: baseOffset + i, value }))
        .filter(({ offset }) => offset >= start && offset < end);
    });
  }
}

export interface Fetched {
  readonly result: FetchResult;
  readonly bytes: Uint8Array;
  /** Exclusive end of the batches; the offset asked for when there are none. */
  readonly endOffset: number;
}

/** One read_committed fetch; its bytes are copied. */
export async function fetchCommitted(
  rig: LogRig,
  fetchOffset: number,
  bytesMax: number,
  topic = "t",
): Promise<Fetched> {
  const response = await rig.api.fetch(caller, {
    isolation: "read_committed",
    waitMsMax: 0,
    bytesMin: 1,
    bytesMax,
    partitions: [{ topic, partition: 0, fetchOffset, bytesMax, leaderEpoch: -1 }],
  });
  const [outcome] = response.partitions;
  if (!outcome!.ok) {
    response.release();
    throw new Error(`${outcome!.error.code} at ${fetchOffset}`);
  }
  const bytes = (outcome!.value.batches[0] ?? new Uint8Array(0)).slice();
  response.release();
  const last = batchesIn(bytes).batches.at(-1);
  return {
    result: outcome!.value,
    bytes,
    endOffset: last === undefined ? fetchOffset : last.lastOffset + 1,
  };
}

/** The batches that Kafka's consumer gives to its application. */
export function visibleBatches({ result, bytes }: Fetched): RecordBatch[] {
  const ahead = [...result.abortedTransactions].sort((a, b) => a.firstOffset - b.firstOffset);
  const aborted = new Set<number>();
  const visible: RecordBatch[] = [];
  for (const batch of batchesIn(bytes).batches) {
    while (ahead.length > 0 && ahead[0]!.firstOffset <= batch.lastOffset) {
      aborted.add(ahead.shift()!.producerId);
    }
    if (batch.isControl) {
      if (readControlBatch(batch)?.type === CONTROL_ABORT) aborted.delete(batch.producerId);
    } else if (!batch.isTransactional || !aborted.has(batch.producerId)) {
      visible.push(batch);
    }
  }
  return visible;
}

/** The records in them. */
export function visibleIn(fetched: Fetched): ReadRecord[] {
  return visibleBatches(fetched).flatMap((batch) => recordsIn(batch.view()));
}

/** Everything that a read_committed reader sees from `offset` on, fetch by fetch. */
export async function readCommitted(
  rig: LogRig,
  offset = 0,
  bytesMax = 64 * 1024,
): Promise<{ offset: number; value: string }[]> {
  const seen: { offset: number; value: string }[] = [];
  let next = offset;
  for (;;) {
    const fetched = await fetchCommitted(rig, next, bytesMax);
    if (fetched.endOffset === next) return seen;
    for (const record of visibleIn(fetched)) {
      if (record.offset >= next) seen.push({ offset: record.offset, value: record.value });
    }
    next = fetched.endOffset;
  }
}
