// Golden vectors of record batches: decoded to the recorded fields, and rebuilt byte for byte.

import { describe, expect, test } from "bun:test";
import { patchCrc } from "../../src/record/batch_header.ts";
import type { Codec } from "../../src/record/compression.ts";
import { readControlRecord } from "../../src/record/control_record.ts";
import { batchesIn, checkBatch, type RecordBatch } from "../../src/record/record_batch.ts";
import { openRecords } from "../../src/record/record_block.ts";
import { type BatchOptions, RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { readRecords } from "../../src/record/record_reader.ts";
import { recordWalkFindings, walkRecords } from "../../src/record/record_walk.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import {
  type BatchesVector,
  type BatchVector,
  bytesOf,
  type DamagedVector,
  fromHex,
  loadVectors,
  toHex,
} from "./vectors.ts";

const open = { compression: hostCompression, sizeBytesMax: 1 << 24 };
const vectors = loadVectors<BatchesVector>("record-batches-v2");
const damaged = loadVectors<DamagedVector>("record-batches-damaged");
const messageSets = loadVectors<BatchesVector>("message-sets-v0-v1");

describe("record batches of Kafka 4.3.1", () => {
  test("there are all of them", () => {
    expect(vectors.length).toBe(66);
    expect(vectors.flatMap((vector) => vector.batches).length).toBe(69);
    expect(vectors.filter((vector) => vector.encode === "exact").length).toBe(21);
  });

  for (const vector of vectors) {
    test(`${vector.name} decodes to the recorded fields and records`, () => {
      const bytes = fromHex(vector.hex);
      const found = batchesIn(bytes);
      expect(found.fault).toBeNull();
      expect(found.end).toBe(bytes.length);
      expect(found.batches.length).toBe(vector.batches.length);
      found.batches.forEach((batch, i) => {
        expectBatch(batch, vector.batches[i]!);
      });
    });

    if (vector.encode === "exact") {
      test(`${vector.name} is rebuilt byte for byte`, () => {
        expect(vector.batches.map((batch) => toHex(rebuild(batch))).join("")).toBe(vector.hex);
      });
    }
  }
});

function expectBatch(batch: RecordBatch, want: BatchVector): void {
  // One vector has the producer id 2^63 - 1: read inexactly, and refused for it (decision 6).
  const isProducerIdSafe = Number.isSafeInteger(Number(want.producerId));
  expect(batch.check()).toBe(isProducerIdSafe ? null : "out_of_range");
  expect({
    baseOffset: String(batch.baseOffset),
    lastOffset: String(batch.lastOffset),
    sizeInBytes: batch.sizeBytes,
    compression: batch.codec as string,
    crc: batch.crc,
    attributes: batch.attributes,
    lastOffsetDelta: batch.lastOffsetDelta,
    partitionLeaderEpoch: batch.leaderEpoch,
    maxTimestamp: String(batch.maxTimestampMs),
    producerId: isProducerIdSafe ? String(batch.producerId) : want.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    lastSequence: batch.lastSequence,
    transactional: batch.isTransactional,
    control: batch.isControl,
    count: batch.recordCount,
  }).toEqual({
    baseOffset: want.baseOffset,
    lastOffset: want.lastOffset,
    sizeInBytes: want.sizeInBytes,
    compression: want.compression,
    crc: want.crc,
    attributes: want.attributes,
    lastOffsetDelta: want.lastOffsetDelta,
    partitionLeaderEpoch: want.partitionLeaderEpoch,
    maxTimestamp: want.maxTimestamp,
    producerId: want.producerId,
    producerEpoch: want.producerEpoch,
    baseSequence: want.baseSequence,
    lastSequence: want.lastSequence,
    transactional: want.transactional,
    control: want.control,
    count: want.count,
  });
  expect(String(batch.baseTimestampMs)).toBe(want.deleteHorizonMs ?? want.baseTimestamp);
  expect(batch.hasDeleteHorizon).toBe(want.deleteHorizonMs !== undefined);
  expect(batch.isLogAppendTime).toBe(want.timestampType === "LogAppendTime");

  const { records, fault } = readRecords(batch, open);
  expect(fault).toBeNull();
  expect(
    records.map((record) => ({
      offset: String(record.offset),
      timestamp: String(record.timestampMs),
      key: hexOrNull(record.key),
      value: hexOrNull(record.value),
      headers: record.headers.map((header) => [header.key, hexOrNull(header.value)]),
    })),
  ).toEqual(
    want.records.map((record) => ({
      offset: record.offset,
      timestamp: record.timestamp,
      key: hexOrNull(bytesOf(record.key)),
      value: hexOrNull(bytesOf(record.value)),
      headers: (record.headers ?? []).map(([key, value]) => [key, value]),
    })),
  );
  records.forEach((record, i) => {
    const control = want.records[i]!.control;
    if (control === undefined) return;
    expect(readControlRecord(record.key, record.value)).toEqual({
      version: control.version,
      type: control.type,
      coordinatorEpoch: control.coordinatorEpoch ?? null,
    });
  });

  const block = openRecords(batch, open);
  if (typeof block === "string") throw new Error(block);
  const findings = recordWalkFindings();
  expect(walkRecords(block, false, findings)).toBeNull();
  expect(findings.nullKeyCount).toBe(records.filter((record) => record.key === null).length);
  if (want.count > 0) {
    const deltas = records.map((record) => record.offset - batch.baseOffset);
    expect(findings.lastOffsetDelta).toBe(deltas.at(-1)!);
    if (!batch.isLogAppendTime) {
      const newest = batch.baseTimestampMs + findings.maxTimestampDelta;
      expect(newest).toBe(Math.max(...records.map((record) => record.timestampMs)));
      expect(records[findings.maxTimestampIndex]!.timestampMs).toBe(newest);
    }
    const isContiguous = deltas.every((delta, i) => delta === i);
    expect(walkRecords(block, true)).toBe(isContiguous ? null : "bad_offset_delta");
  }
}

function rebuild(want: BatchVector): Uint8Array {
  const options: BatchOptions = {
    baseOffset: Number(want.baseOffset),
    leaderEpoch: want.partitionLeaderEpoch,
    codec: want.compression as Codec,
    compression: hostCompression,
    producerId: Number(want.producerId),
    producerEpoch: want.producerEpoch,
    baseSequence: want.baseSequence,
    isTransactional: want.transactional,
    isControl: want.control,
    ...(want.deleteHorizonMs === undefined
      ? {}
      : { deleteHorizonMs: Number(want.deleteHorizonMs) }),
    ...(want.timestampType === "LogAppendTime"
      ? { logAppendTimeMs: Number(want.maxTimestamp) }
      : {}),
  };
  const builder = new RecordBatchBuilder(options);
  // Under LogAppendTime the vectors show the append time only; the producer's are those of "mixed".
  const mixed = vectors.find((vector) => vector.name === "none/mixed")!.batches[0]!.records;
  const producerTimes = want.timestampType === "LogAppendTime" ? mixed : want.records;
  for (const [i, record] of want.records.entries()) {
    builder.append(
      Number(producerTimes[i]!.timestamp),
      bytesOf(record.key),
      bytesOf(record.value),
      (record.headers ?? []).map(([key, value]) => ({ key, value: bytesOf(value) })),
      Number(record.offset) - Number(want.baseOffset),
    );
  }
  const isEmpty = want.records.length === 0;
  const bytes = builder.build({
    lastOffsetDelta: want.lastOffsetDelta,
    ...(isEmpty
      ? {
          baseTimestampMs: Number(want.baseTimestamp),
          maxTimestampMs: Number(want.maxTimestamp),
        }
      : {}),
  });
  if (!Number.isSafeInteger(Number(want.producerId))) {
    new DataView(bytes.buffer, bytes.byteOffset).setBigInt64(43, BigInt(want.producerId));
    patchCrc(bytes, 0, bytes.length);
  }
  return bytes;
}

function hexOrNull(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : toHex(bytes);
}

/** What we say of each damaged vector, and how many records come before it. */
const VERDICTS: Readonly<Record<string, string>> = {
  "payload-bit-flip": "bad_crc",
  "crc-bit-flip": "bad_crc",
  // The header alone gives this one away: seven records cannot end at offset delta 5.
  "count-too-large": "bad_count",
  "count-too-small": "bad_record_count",
  "count-negative": "bad_count",
  "magic-3": "bad_magic",
  "length-too-small": "bad_length",
  "codec-5": "bad_codec",
  "truncated-tail": "truncated",
  "truncated-header": "truncated",
  "complete-then-partial": "truncated",
  "record-length-wrong": "bad_record_length",
  "last-offset-delta-mismatch": "sound",
  "gzip-damaged": "bad_compression",
};

function verdictOn(bytes: Uint8Array): { verdict: string; records: number } {
  const found = batchesIn(bytes);
  let records = 0;
  for (const batch of found.batches) {
    const fault = checkBatch(batch.bytes, batch.position, batch.sizeBytes);
    if (fault !== null) return { verdict: fault, records };
    const block = openRecords(batch, open);
    if (typeof block === "string") return { verdict: block, records };
    const recordFault = walkRecords(block, true);
    if (recordFault !== null) return { verdict: recordFault, records };
    const read = readRecords(batch, open);
    if (read.fault !== null) return { verdict: read.fault, records };
    records += read.records.length;
  }
  return { verdict: found.fault ?? "sound", records };
}

describe("damaged record batches", () => {
  test("there is a verdict for each", () => {
    expect(damaged.map((vector) => vector.name).sort()).toEqual(Object.keys(VERDICTS).sort());
  });

  for (const vector of damaged) {
    test(`${vector.name} is ${VERDICTS[vector.name]}`, () => {
      const { verdict, records } = verdictOn(fromHex(vector.hex));
      expect(verdict).toBe(VERDICTS[vector.name]!);
      if (vector.kafkaException === "none") expect(records).toBe(vector.recordsBeforeError);
      else expect(["sound", "truncated"]).not.toContain(verdict);
    });
  }

  test("a cursor over a batch with too few or too many records gives those before the damage", () => {
    const tooLarge = damaged.find((vector) => vector.name === "count-too-large")!;
    const large = readRecords(batchesIn(fromHex(tooLarge.hex)).batches[0]!, open);
    expect(large).toMatchObject({ fault: "bad_record_count" });
    expect(large.records.length).toBe(tooLarge.recordsBeforeError);
    const tooSmall = damaged.find((vector) => vector.name === "count-too-small")!;
    const small = readRecords(batchesIn(fromHex(tooSmall.hex)).batches[0]!, open);
    expect(small.fault).toBe("bad_record_count");
    // Java reports the surplus one record early; we see it after the last.
    expect(small.records.length).toBe(tooSmall.recordsBeforeError + 1);
  });
});

describe("message sets of formats 0 and 1", () => {
  test("there are all of them", () => {
    expect(messageSets.length).toBe(26);
  });

  for (const vector of messageSets) {
    test(`${vector.name} is refused as unsupported_for_message_format`, () => {
      const found = batchesIn(fromHex(vector.hex));
      expect(found).toEqual({ batches: [], fault: "unsupported_for_message_format", end: 0 });
    });
  }

  test("a batch of format 2 before them is found all the same", () => {
    const first = fromHex(vectors[0]!.hex);
    const both = new Uint8Array([...first, ...fromHex(messageSets[0]!.hex)]);
    const found = batchesIn(both);
    expect(found.batches.length).toBe(1);
    expect(found).toMatchObject({ fault: "unsupported_for_message_format", end: first.length });
  });
});
