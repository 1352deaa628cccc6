import { describe, expect, test } from "bun:test";
import {
  type CleaningCounts,
  type CleaningRules,
  cleanBatch,
  openForCleaning,
} from "../../../src/core/log/cleaner_batches.ts";
import { KeyOffsets } from "../../../src/core/log/cleaner_keys.ts";
import { patchLogAppendTime } from "../../../src/record/batch_header.ts";
import { CODECS } from "../../../src/record/compression.ts";
import { RecordBatch } from "../../../src/record/record_batch.ts";
import type { BatchOptions } from "../../../src/record/record_builder.ts";
import { readRecords } from "../../../src/record/record_reader.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { type Entry, keyedBatch, rowsIn } from "../../support/compacted_log.ts";

const encoder = new TextEncoder();
const NOW = 1_800_000_000_000;

interface Given {
  /** Newest offsets by key. */
  readonly latest: Readonly<Record<string, number>>;
  readonly endOffset?: number;
  readonly staysEmpty?: boolean;
  readonly nowMs?: number;
}

function clean(bytes: Uint8Array, given: Given) {
  const keys = new KeyOffsets(1 << 20, 0.9, () => 42);
  for (const [key, offset] of Object.entries(given.latest)) {
    const text = encoder.encode(key);
    keys.put(text, 0, text.length, offset);
  }
  const rules: CleaningRules = {
    keys,
    endOffset: given.endOffset ?? 1000,
    nowMs: given.nowMs ?? NOW,
    deleteRetentionMs: 60_000,
    compression: hostCompression,
    compressionLevel: null,
    decompressedBytesMax: 1 << 20,
    crc32c: undefined,
  };
  const counts: CleaningCounts = { records: 0, kept: 0, tombstones: 0 };
  const batch = new RecordBatch(bytes, 0, bytes.length);
  const block = openForCleaning(batch, rules);
  if (typeof block === "string") throw new Error(block);
  const cleaned = cleanBatch(batch, block, given.staysEmpty ?? false, rules, counts);
  return { cleaned, counts };
}

function rewrittenOf(bytes: Uint8Array, given: Given): RecordBatch {
  const { cleaned } = clean(bytes, given);
  if (cleaned.kind !== "rewritten") throw new Error(cleaned.kind);
  return new RecordBatch(cleaned.bytes, 0, cleaned.bytes.length);
}

const entries: Entry[] = ["a", "b", "c", "d"].map((key, i) => ({
  key,
  value: `value ${i} `.repeat(30),
}));
const options: BatchOptions = {
  baseOffset: 100,
  leaderEpoch: 3,
  producerId: 77,
  producerEpoch: 5,
  baseSequence: 40,
};

describe("cleanBatch", () => {
  for (const codec of CODECS) {
    test(`keeps what is newest, and the header as it was (${codec})`, () => {
      const bytes = keyedBatch(entries, { ...options, codec });
      const batch = rewrittenOf(bytes, { latest: { a: 100, b: 200, c: 102, d: 300 } });
      expect(rowsIn(batch.bytes)).toEqual(
        rowsIn(bytes).filter(({ key }) => key === "a" || key === "c"),
      );
      expect(batch.check()).toBe(null);
      expect(batch).toMatchObject({
        baseOffset: 100,
        lastOffset: 103,
        leaderEpoch: 3,
        codec,
        producerId: 77,
        producerEpoch: 5,
        baseSequence: 40,
        recordCount: 2,
        hasDeleteHorizon: false,
        maxTimestampMs: 1_700_000_000_002,
      });
      const read = { compression: hostCompression, sizeBytesMax: 1 << 20 };
      const before = readRecords(new RecordBatch(bytes, 0, bytes.length), read);
      const after = readRecords(batch, read);
      expect(after.records.map(({ headers }) => headers)).toEqual([
        before.records[0]!.headers,
        before.records[2]!.headers,
      ]);
    });
  }

  test("leaves a batch alone that loses nothing, keys nobody wrote since among it", () => {
    const { cleaned, counts } = clean(keyedBatch(entries, options), { latest: { a: 100, b: 101 } });
    expect(cleaned.kind).toBe("kept");
    expect(counts).toEqual({ records: 4, kept: 4, tombstones: 0 });
  });

  test("drops a batch without records, unless its header is needed", () => {
    const latest = { a: 200, b: 200, c: 200, d: 200 };
    const bytes = keyedBatch(entries, { ...options, codec: "gzip" });
    expect(clean(bytes, { latest }).cleaned.kind).toBe("dropped");
    const batch = rewrittenOf(bytes, { latest, staysEmpty: true });
    expect(batch.check()).toBe(null);
    expect(batch).toMatchObject({
      baseOffset: 100,
      lastOffset: 103,
      producerId: 77,
      producerEpoch: 5,
      lastSequence: 43,
      recordCount: 0,
      codec: "none",
      sizeBytes: 61,
    });
    expect(clean(batch.bytes, { latest, staysEmpty: true }).cleaned.kind).toBe("kept");
    expect(clean(batch.bytes, { latest }).cleaned.kind).toBe("dropped");
  });

  test("takes the time of its tombstones from a header that is left without any", () => {
    const bytes = keyedBatch([{ key: "a", value: null }], options);
    const tombstone = rewrittenOf(bytes, { latest: { a: 100 } });
    expect(tombstone.hasDeleteHorizon).toBe(true);
    const batch = rewrittenOf(tombstone.bytes, { latest: { a: 200 }, staysEmpty: true });
    expect(batch).toMatchObject({ hasDeleteHorizon: false, baseTimestampMs: -1, recordCount: 0 });
    expect(batch.check()).toBe(null);
  });

  test("keeps records past the end of what the keys know", () => {
    const latest = { a: 200, b: 200, c: 200, d: 200 };
    const batch = rewrittenOf(keyedBatch(entries, options), { latest, endOffset: 102 });
    expect(rowsIn(batch.bytes).map(({ offset }) => offset)).toEqual([102, 103]);
  });

  test("drops records without a key", () => {
    const mixed = [{ key: null, value: "x" }, entries[1]!];
    const batch = rewrittenOf(keyedBatch(mixed, options), { latest: {} });
    expect(rowsIn(batch.bytes).map(({ key }) => key)).toEqual(["b"]);
  });

  for (const codec of CODECS) {
    test(`gives tombstones their time, once, and drops them after it (${codec})`, () => {
      const withTombstone = [entries[0]!, { key: "b", value: null }, entries[2]!];
      const bytes = keyedBatch(withTombstone, { ...options, codec });
      const first = rewrittenOf(bytes, { latest: { b: 101 } });
      expect(first.check()).toBe(null);
      expect(first).toMatchObject({
        hasDeleteHorizon: true,
        baseTimestampMs: NOW + 60_000,
        maxTimestampMs: 1_700_000_000_002,
        recordCount: 3,
      });
      expect(rowsIn(first.bytes)).toEqual(rowsIn(bytes));
      const early = clean(first.bytes, { latest: {}, nowMs: NOW + 59_999 });
      expect(early.cleaned.kind).toBe("kept");
      const fewer = rewrittenOf(first.bytes, { latest: { a: 500 }, nowMs: NOW + 59_999 });
      expect(fewer).toMatchObject({ hasDeleteHorizon: true, baseTimestampMs: NOW + 60_000 });
      expect(rowsIn(fewer.bytes)).toEqual(rowsIn(bytes).slice(1));
      const late = clean(first.bytes, { latest: {}, nowMs: NOW + 60_000 });
      expect(late.counts).toEqual({ records: 3, kept: 2, tombstones: 1 });
      if (late.cleaned.kind !== "rewritten") throw new Error(late.cleaned.kind);
      expect(rowsIn(late.cleaned.bytes).map(({ key }) => key)).toEqual(["a", "c"]);
    });
  }

  test("gives a tombstone that is not cleaned yet no time", () => {
    const bytes = keyedBatch([entries[0]!, { key: "b", value: null }], options);
    expect(clean(bytes, { latest: {}, endOffset: 101 }).cleaned.kind).toBe("kept");
  });

  test("keeps the broker's time of batches that have it", () => {
    const bytes = keyedBatch(entries, options);
    patchLogAppendTime(bytes, 0, bytes.length, 1_750_000_000_000);
    const batch = rewrittenOf(bytes, { latest: { d: 500 } });
    expect(batch).toMatchObject({ isLogAppendTime: true, maxTimestampMs: 1_750_000_000_000 });
    expect(rowsIn(batch.bytes).map(({ timestampMs }) => timestampMs)).toEqual([
      1_750_000_000_000, 1_750_000_000_000, 1_750_000_000_000,
    ]);
  });

  test("says what is wrong with records that do not add up", () => {
    const bytes = keyedBatch(entries, options);
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(57, 5);
    expect(clean(bytes, { latest: {} }).cleaned).toEqual({
      kind: "fault",
      fault: "bad_record_count",
    });
  });

  test("tombstones of a transaction that was committed get their time, and go after it, as others do", () => {
    const removal = [{ key: "a", value: null }];
    const bytes = keyedBatch(removal, { ...options, isTransactional: true });
    const first = rewrittenOf(bytes, { latest: { a: 100 } });
    expect(first).toMatchObject({
      isTransactional: true,
      hasDeleteHorizon: true,
      baseTimestampMs: NOW + 60_000,
    });
    const at = (nowMs: number) => clean(first.bytes, { latest: {}, nowMs }).cleaned.kind;
    expect(at(NOW + 59_999)).toBe("kept");
    expect(at(NOW + 60_000)).toBe("dropped");
    expect(clean(bytes, { latest: { a: 101 } }).cleaned.kind).toBe("dropped");
  });
});
