// What compaction must leave, worked out the naive way: every record ever written is kept here, and each cleaning looks at
// all of them. After a kill in the middle of one it says "maybe" of what that may have taken away already.

import type { Codec } from "../../src/record/compression.ts";

export interface ModelRecord {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
  readonly timestampMs: number;
  readonly batch: ModelBatch;
  presence: "there" | "maybe" | "gone";
}

export interface ModelBatch {
  readonly baseOffset: number;
  readonly codec: Codec;
  /** -1 outside of transactions. */
  readonly producerId: number;
  /** Undefined: of an open transaction. */
  isAborted: boolean | undefined;
  /** Its tombstones may go from here on, at the earliest and at the latest. */
  horizonLowMs: number;
  horizonHighMs: number;
}

const NEVER = Number.POSITIVE_INFINITY;

export class CompactionModel {
  readonly records: ModelRecord[] = [];
  /** Exclusive: markers take offsets, too. */
  end = 0;
  readonly #open = new Map<number, ModelBatch[]>();

  /** @param producerId Of the transaction; -1 for none. */
  append(
    entries: readonly { readonly key: string; readonly value: string | null }[],
    timestampMs: number,
    codec: Codec,
    producerId: number,
  ): void {
    const batch: ModelBatch = {
      baseOffset: this.end,
      codec,
      producerId,
      isAborted: producerId < 0 ? false : undefined,
      horizonLowMs: NEVER,
      horizonHighMs: NEVER,
    };
    for (const [i, entry] of entries.entries()) {
      const offset = this.end++;
      this.records.push({
        ...entry,
        offset,
        timestampMs: timestampMs + i,
        batch,
        presence: "there",
      });
    }
    if (producerId < 0) return;
    const open = this.#open.get(producerId);
    if (open === undefined) this.#open.set(producerId, [batch]);
    else open.push(batch);
  }

  /** The marker of a producer's transaction, or of none. */
  finish(producerId: number, isCommit: boolean): void {
    for (const batch of this.#open.get(producerId) ?? []) batch.isAborted = !isCommit;
    this.#open.delete(producerId);
    this.end++;
  }

  get lastStableOffset(): number {
    const open = [...this.#open.values()].map(([first]) => first!.baseOffset);
    return Math.min(this.end, ...open);
  }

  /** Newest decided record of each key before `end`. */
  table(end = this.lastStableOffset): Map<string, ModelRecord> {
    const table = new Map<string, ModelRecord>();
    for (const record of this.records) {
      if (record.offset < end && record.batch.isAborted === false) table.set(record.key, record);
    }
    return table;
  }

  /**
   * A cleaning that went up to `end` came to its end.
   *
   * @param isTight Not all keys fit into memory: of the batch at `end`, some may have been taken note of
   */
  cleaned(end: number, nowMs: number, deleteRetentionMs: number, isTight: boolean): void {
    const newest = this.table(end);
    const next = isTight ? this.#keysAt(end) : new Set<string>();
    const met = new Set<ModelBatch>();
    for (const record of this.records) {
      if (record.offset >= end) break;
      if (record.presence === "gone") continue;
      const { batch } = record;
      if (batch.isAborted === true || newest.get(record.key) !== record) record.presence = "gone";
      else if (record.value === null) {
        if (nowMs >= batch.horizonHighMs) record.presence = "gone";
        else if (nowMs >= batch.horizonLowMs) record.presence = "maybe";
        met.add(batch);
      }
      if (record.presence === "there" && next.has(record.key)) record.presence = "maybe";
    }
    this.#giveTime(met, nowMs + deleteRetentionMs, true);
  }

  /** Keys of the first batch of committed records from `end` on. */
  #keysAt(end: number): Set<string> {
    const first = this.records.find(
      ({ offset, batch }) => offset >= end && batch.isAborted === false,
    );
    const rows = this.records.filter(({ batch }) => batch === first?.batch);
    return new Set(rows.map(({ key }) => key));
  }

  /** One was killed in the middle: whatever it was about to do may have been done, or not. */
  killed(nowMs: number, deleteRetentionMs: number): void {
    const newest = this.table();
    const met = new Set<ModelBatch>();
    for (const record of this.records) {
      const { batch } = record;
      if (record.presence === "gone" || batch.isAborted === undefined) continue;
      if (batch.isAborted || newest.get(record.key) !== record) record.presence = "maybe";
      else if (record.value === null && nowMs >= batch.horizonLowMs) record.presence = "maybe";
      if (record.value === null) met.add(batch);
    }
    this.#giveTime(met, nowMs + deleteRetentionMs, false);
  }

  #giveTime(batches: Iterable<ModelBatch>, horizonMs: number, isCertain: boolean): void {
    for (const batch of batches) {
      batch.horizonLowMs = Math.min(batch.horizonLowMs, horizonMs);
      if (isCertain) batch.horizonHighMs = Math.min(batch.horizonHighMs, horizonMs);
    }
  }

  /** What is wrong with the offsets that are there, of all records; null for nothing. */
  wrongIn(found: ReadonlySet<number>): string | null {
    for (const { offset, key, value, presence } of this.records) {
      const isThere = found.has(offset);
      if (presence === "maybe" || isThere === (presence === "there")) continue;
      const what = value === null ? `the tombstone of ${key}` : `a value of ${key}`;
      return `${what} at ${offset} ${isThere ? "is still there" : "is gone"}`;
    }
    return null;
  }
}
