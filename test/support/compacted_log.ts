// A compacted partition beside what was written to it: batches with keys, reading with gaps, and the promises that
// cleaning must keep.

import { batchesIn } from "../../src/record/record_batch.ts";
import { type BatchOptions, RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { readRecords } from "../../src/record/record_reader.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { type LogRig, type RigOptions, topic } from "./log_rig.ts";

export interface Entry {
  readonly key: string | null;
  readonly value: string | null;
}

export interface Row extends Entry {
  readonly offset: number;
  readonly timestampMs: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytesOf = (text: string | null) => (text === null ? null : encoder.encode(text));
const textOf = (bytes: Uint8Array | null) => (bytes === null ? null : decoder.decode(bytes));

export function keyedBatch(
  entries: readonly Entry[],
  options: BatchOptions & { readonly timestampMs?: number } = {},
): Uint8Array {
  const { timestampMs = 1_700_000_000_000 } = options;
  const builder = new RecordBatchBuilder({ compression: hostCompression, ...options });
  for (const [i, { key, value }] of entries.entries()) {
    const headers = [{ key: "n", value: encoder.encode(`${i}`) }];
    builder.append(timestampMs + i, bytesOf(key), bytesOf(value), headers);
  }
  return builder.build();
}

/** The records of batches, gaps and all. */
export function rowsIn(bytes: Uint8Array): Row[] {
  const { batches, fault } = batchesIn(bytes);
  if (fault !== null) throw new Error(fault);
  return batches.flatMap((batch) => {
    if (batch.check() !== null) throw new Error(`batch ${batch.baseOffset}: ${batch.check()}`);
    const read = readRecords(batch, { compression: hostCompression, sizeBytesMax: 1 << 28 });
    if (read.fault !== null) throw new Error(`batch ${batch.baseOffset}: ${read.fault}`);
    return read.records.map(({ offset, timestampMs, key, value }) => {
      return { offset, timestampMs, key: textOf(key), value: textOf(value) };
    });
  });
}

/** Every record from `from` on, fetch by fetch, and checks that batches stand in order. */
export async function readRows(
  rig: LogRig,
  options: { topic?: string; partition?: number; from?: number; bytesMax?: number } = {},
): Promise<Row[]> {
  const { topic = "t", partition = 0, from = 0, bytesMax = 64 * 1024 } = options;
  const rows: Row[] = [];
  let next = from;
  for (;;) {
    const response = await rig.fetch(next, { topic, partition, bytesMax });
    const outcome = response.partitions[0]!;
    if (!outcome.ok) throw new Error(outcome.error.code);
    if (outcome.value.sizeBytes === 0) {
      response.release();
      if (next < outcome.value.highWatermark) throw new Error(`nothing at ${next}`);
      return rows;
    }
    let isFirst = true;
    for (const bytes of outcome.value.batches) {
      for (const batch of batchesIn(bytes).batches) {
        if (isFirst ? batch.lastOffset < next : batch.baseOffset < next) {
          throw new Error(`batch ${batch.baseOffset} to ${batch.lastOffset} at ${next}`);
        }
        if (batch.leaderEpoch !== 0) throw new Error(`leader epoch ${batch.leaderEpoch}`);
        isFirst = false;
        rows.push(...rowsIn(batch.view()).filter((row) => row.offset >= next));
        next = batch.lastOffset + 1;
      }
    }
    response.release();
  }
}

/** What was written to one partition. */
export class CompactedModel {
  readonly rows: Row[] = [];

  get end(): number {
    return (this.rows.at(-1)?.offset ?? -1) + 1;
  }

  /** @param timestampMs As given to `keyedBatch`. */
  write(entries: readonly Entry[], timestampMs = 1_700_000_000_000): void {
    for (const [i, entry] of entries.entries()) {
      this.rows.push({ ...entry, offset: this.end, timestampMs: timestampMs + i });
    }
  }

  /** What a log that ends at `end` may not have any more: of each key, all but the newest. */
  table(end = this.end): Map<string, Row> {
    const table = new Map<string, Row>();
    for (const row of this.rows) if (row.offset < end) table.set(row.key!, row);
    return table;
  }

  /** What is wrong with a reading from the start of a log that ends at `end`; null for nothing. */
  wrongIn(read: readonly Row[], end = this.end): string | null {
    let last = -1;
    const found = new Map<string, Row>();
    for (const row of read) {
      if (row.offset <= last) return `offset ${row.offset} comes after ${last}`;
      last = row.offset;
      const written = this.rows[row.offset];
      if (JSON.stringify(written) !== JSON.stringify({ ...written, ...row })) {
        return `at ${row.offset} is ${JSON.stringify(row)}, written was ${JSON.stringify(written)}`;
      }
      found.set(row.key!, row);
    }
    for (const [key, row] of this.table(end)) {
      const value = found.get(key)?.value ?? null;
      if (value !== row.value) {
        return `${key} is ${value}, and was last written as ${row.value} at ${row.offset}`;
      }
    }
    return null;
  }
}

/** Keys that have more than one record before `end`. */
export function doublesIn(read: readonly Row[], end: number): string[] {
  const seen = new Set<string>();
  const doubles: string[] = [];
  for (const { key, offset } of read) {
    if (offset >= end) break;
    if (seen.has(key!)) doubles.push(key!);
    seen.add(key!);
  }
  return doubles;
}

const COMPACT = {
  "cleanup.policy": "compact",
  "internal.segment.bytes": "4000",
  "min.cleanable.dirty.ratio": "0.01",
};

/** A rig with one small compacted topic. */
export const compacted = (configs: Readonly<Record<string, string>> = {}): RigOptions => ({
  topics: [topic("t", 1, { ...COMPACT, ...configs })],
  journalFileBytes: 64 * 1024,
});

/** Appends the entries as one batch, and tells the model. */
export async function write(
  rig: LogRig,
  model: CompactedModel,
  entries: readonly Entry[],
  options: Parameters<typeof keyedBatch>[1] = {},
): Promise<void> {
  const timestampMs = rig.test.wallMs;
  model.write(entries, timestampMs);
  const outcome = await rig.append(keyedBatch(entries, { timestampMs, ...options }));
  if (!outcome.ok) throw new Error(outcome.error.message ?? outcome.error.code);
}

/** Rounds of one record for each of so many keys. */
export async function overwrite(rig: LogRig, model: CompactedModel, keys: number, rounds: number) {
  for (let round = 0; round < rounds; round++) {
    for (let key = 0; key < keys; key += 10) {
      const entries = Array.from({ length: Math.min(10, keys - key) }, (_, i) => {
        return { key: `key ${key + i}`, value: `${round} `.padEnd(60, ".") };
      });
      await write(rig, model, entries);
    }
  }
}

/** The log of topic "t". */
export const logOf = (rig: LogRig) => rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;

/** Names of its segment files. */
export async function filesIn(rig: LogRig): Promise<string[]> {
  const files = await rig.storage.segments!.list("segments/");
  return files.map(({ name }) => name.split("/").at(-1)!).filter((name) => name.endsWith(".log"));
}

/** What CompactedModel.wrongIn says, for a log whose older records were deleted: a key that was last written there may be missing. */
export function wrongBehind(
  model: CompactedModel,
  rows: Awaited<ReturnType<typeof readRows>>,
  start: number,
): string | null {
  for (const [key, row] of model.table()) {
    if (row.offset < start || row.value === null) continue;
    const found = rows.findLast((each) => each.key === key);
    if (found?.value !== row.value) return `${key} is ${found?.value}, not ${row.value}`;
  }
  return null;
}
