// Batches that we build, patch, damage and read: properties beyond the golden vectors.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { InvariantError } from "../../src/base/assert.ts";
import {
  isCrcValid,
  patchBaseOffset,
  patchCrc,
  patchLeaderEpoch,
  patchLogAppendTime,
  patchMaxTimestamp,
  patchProducer,
  sequenceAfter,
} from "../../src/record/batch_header.ts";
import { CODECS, codecNumber, codecOfAttributes } from "../../src/record/compression.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
  controlKey,
  readControlRecord,
} from "../../src/record/control_record.ts";
import { batchesIn, batchSizeAt, faultOfSize, RecordBatch } from "../../src/record/record_batch.ts";
import { openRecords } from "../../src/record/record_block.ts";
import { type BatchOptions, RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { type RecordHeader, readRecords } from "../../src/record/record_reader.ts";
import { readVarintAt, readVarlongAt, varintEnd } from "../../src/record/record_varint.ts";
import { recordWalkFindings, walkRecords } from "../../src/record/record_walk.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { fromHex, loadVectors } from "./vectors.ts";

const open = { compression: hostCompression, sizeBytesMax: 1 << 24 };
const utf8 = (text: string) => new TextEncoder().encode(text);

interface Sample {
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

const bytesOrNull = fc.option(
  fc.uint8Array({ minLength: 0, maxLength: 200 }).map((bytes) => new Uint8Array(bytes)),
  { nil: null },
);
const timestampMs = fc.oneof(
  fc.constant(-1),
  fc.integer({ min: 0, max: 2 ** 45 }),
  fc.integer({ min: 1735689600000 - 5000, max: 1735689600000 + 5000 }),
);
const header = fc.record({
  key: fc.string({ unit: "grapheme", maxLength: 10 }),
  value: bytesOrNull,
});
const sample: fc.Arbitrary<Sample> = fc.record({
  timestampMs,
  key: bytesOrNull,
  value: bytesOrNull,
  headers: fc.array(header, { maxLength: 3 }),
});
const samples = fc.array(sample, { minLength: 1, maxLength: 20 });

function build(records: readonly Sample[], options: BatchOptions = {}): Uint8Array<ArrayBuffer> {
  const builder = new RecordBatchBuilder({ compression: hostCompression, ...options });
  for (const { timestampMs: at, key, value, headers } of records) {
    builder.append(at, key, value, headers);
  }
  return builder.build();
}

function only(bytes: Uint8Array): RecordBatch {
  const found = batchesIn(bytes);
  expect(found.fault).toBeNull();
  expect(found.batches.length).toBe(1);
  return found.batches[0]!;
}

const simple = (count: number, options: BatchOptions = {}) =>
  build(
    Array.from({ length: count }, (_, i) => ({
      timestampMs: 1000 + i,
      key: utf8(`k${i}`),
      value: utf8(`value ${i}`),
      headers: [],
    })),
    options,
  );

describe("RecordBatchBuilder", () => {
  test("what it builds is read back, with every codec and option", () => {
    const options = fc.record({
      codec: fc.constantFrom(...CODECS),
      baseOffset: fc.maxSafeNat().map((offset) => Math.floor(offset / 2)),
      leaderEpoch: fc.integer({ min: -1, max: 0x7fffffff }),
      producerId: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }),
      producerEpoch: fc.integer({ min: -1, max: 0x7fff }),
      baseSequence: fc.integer({ min: -1, max: 0x7fffffff }),
      isTransactional: fc.boolean(),
    });
    fc.assert(
      fc.property(samples, options, (records, chosen) => {
        const batch = only(build(records, chosen));
        expect(batch.check()).toBeNull();
        expect(batch).toMatchObject(chosen);
        expect(batch.isControl).toBe(false);
        expect(batch.recordCount).toBe(records.length);
        expect(batch.lastOffset).toBe(chosen.baseOffset + records.length - 1);
        expect(batch.baseTimestampMs).toBe(records[0]!.timestampMs);
        expect(batch.maxTimestampMs).toBe(Math.max(...records.map((each) => each.timestampMs)));
        const read = readRecords(batch, open);
        expect(read.fault).toBeNull();
        expect(read.records).toEqual(
          records.map((each, i) => ({ ...each, offset: chosen.baseOffset + i })),
        );
        const block = openRecords(batch, open);
        if (typeof block === "string") throw new Error(block);
        expect(walkRecords(block, true)).toBeNull();
      }),
      { numRuns: 200 },
    );
  });

  test("keeps its size in view and grows past any hint", () => {
    const builder = new RecordBatchBuilder({ sizeBytesHint: 1 });
    expect(builder.sizeBytes).toBe(61);
    for (let i = 0; i < 100; i++) {
      expect(builder.append(i, null, new Uint8Array(i * 10))).toBe(i);
      expect(builder.count).toBe(i + 1);
    }
    const size = builder.sizeBytes;
    const bytes = builder.build();
    expect(bytes.length).toBe(size);
    expect(readRecords(only(bytes), open).records.at(-1)!.value!.length).toBe(990);
  });

  test("is single use, and wants ascending offset deltas", () => {
    const builder = new RecordBatchBuilder();
    builder.append(0, null, null, [], 5);
    expect(() => builder.append(0, null, null, [], 5)).toThrow(InvariantError);
    builder.build();
    expect(() => builder.append(0, null, null)).toThrow(InvariantError);
    expect(() => builder.build()).toThrow(InvariantError);
  });

  test("needs the capability for a codec", () => {
    const builder = new RecordBatchBuilder({ codec: "zstd" });
    builder.append(0, null, null);
    expect(() => builder.build()).toThrow(InvariantError);
  });

  test("carries timestamps far apart, both ways", () => {
    const times = [0, 2 ** 44, -(2 ** 44), 2 ** 31, -(2 ** 31) - 1, 1];
    const batch = only(
      build(times.map((at) => ({ timestampMs: at, key: null, value: null, headers: [] }))),
    );
    expect(readRecords(batch, open).records.map((record) => record.timestampMs)).toEqual(times);
    const findings = recordWalkFindings();
    const block = openRecords(batch, open);
    expect(typeof block === "string" ? block : walkRecords(block, true, findings)).toBeNull();
    expect(findings).toEqual({
      maxTimestampDelta: 2 ** 44,
      maxTimestampIndex: 1,
      minTimestampDelta: -(2 ** 44),
      lastOffsetDelta: 5,
      nullKeyCount: 6,
    });
  });
});

describe("sequences", () => {
  test("wrap from 2^31 - 1 to 0", () => {
    expect(sequenceAfter(0, 1)).toBe(1);
    expect(sequenceAfter(0x7fffffff, 1)).toBe(0);
    expect(sequenceAfter(0x7ffffffd, 5)).toBe(2);
    expect(sequenceAfter(0x7fffffff, 0x7fffffff)).toBe(0x7ffffffe);
    expect(only(simple(4, { producerId: 1, baseSequence: 0x7ffffffe })).lastSequence).toBe(1);
    expect(only(simple(4)).lastSequence).toBe(-1);
  });
});

describe("patches", () => {
  test("of base offset and leader epoch leave the checksum valid and the rest alone", () => {
    const place = fc.record({
      offset: fc.maxSafeNat(),
      epoch: fc.integer({ min: -1, max: 0x7fffffff }),
      before: fc.nat({ max: 20 }),
    });
    fc.assert(
      fc.property(place, ({ offset, epoch, before }) => {
        const batch = simple(3);
        const bytes = new Uint8Array(before + batch.length + 9);
        bytes.set(batch, before);
        patchBaseOffset(bytes, before, offset);
        patchLeaderEpoch(bytes, before, epoch);
        const view = new RecordBatch(bytes, before, batch.length);
        expect(view.check()).toBeNull();
        expect([view.baseOffset, view.leaderEpoch]).toEqual([offset, epoch]);
        expect(bytes.subarray(before + 16, before + batch.length)).toEqual(batch.subarray(16));
        expect(bytes.subarray(0, before).every((byte) => byte === 0)).toBe(true);
        expect(bytes.subarray(before + batch.length).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  test("a base offset past the safe range, or any other int64, is refused", () => {
    for (const at of [0, 27, 35, 43]) {
      const bytes = simple(1);
      new DataView(bytes.buffer).setBigInt64(at, 2n ** 53n);
      patchCrc(bytes, 0, bytes.length);
      expect(only(bytes).check()).toBe("out_of_range");
      new DataView(bytes.buffer).setBigInt64(at, -(2n ** 53n) + 1n);
      patchCrc(bytes, 0, bytes.length);
      expect(only(bytes).check()).toBeNull();
    }
  });

  test("of the append time reaches every record and renews the checksum", () => {
    const bytes = simple(3, { codec: "lz4" });
    patchLogAppendTime(bytes, 0, bytes.length, 1735689600123);
    const batch = only(bytes);
    expect(batch.check()).toBeNull();
    expect(batch.isLogAppendTime).toBe(true);
    expect(batch.codec).toBe("lz4");
    const times = readRecords(batch, open).records.map((record) => record.timestampMs);
    expect(times).toEqual([1735689600123, 1735689600123, 1735689600123]);
  });

  test("of the greatest timestamp and of the producer renew the checksum", () => {
    const bytes = simple(3);
    patchMaxTimestamp(bytes, 0, bytes.length, 77);
    expect(only(bytes).maxTimestampMs).toBe(77);
    expect(only(bytes).check()).toBeNull();
    patchProducer(bytes, 0, bytes.length, {
      producerId: 2 ** 40 + 3,
      producerEpoch: 32767,
      baseSequence: 9,
    });
    expect(only(bytes)).toMatchObject({
      producerId: 2 ** 40 + 3,
      producerEpoch: 32767,
      baseSequence: 9,
      lastSequence: 11,
    });
    expect(only(bytes).check()).toBeNull();
  });

  test("and checks use the CRC-32C they are handed", () => {
    const bytes = simple(1);
    let lengths = 0;
    const compute = (part: Uint8Array, seed: number) => {
      lengths += part.length;
      return seed + 42;
    };
    patchLogAppendTime(bytes, 0, bytes.length, 5, compute);
    expect(only(bytes).crc).toBe(42);
    expect(isCrcValid(bytes, 0, bytes.length, compute)).toBe(true);
    expect(isCrcValid(bytes, 0, bytes.length)).toBe(false);
    expect(lengths).toBe(2 * (bytes.length - 21));
  });
});

describe("batchesIn()", () => {
  test("finds batches back to back from any start, and says where whole ones end", () => {
    const parts = [simple(1), simple(5, { codec: "gzip" }), simple(2)];
    const sizes = parts.map((part) => part.length);
    const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
    const all = batchesIn(bytes);
    expect(all.batches.map((batch) => batch.sizeBytes)).toEqual(sizes);
    expect(all.batches[1]!.view()).toEqual(parts[1]!);
    expect(batchesIn(bytes, sizes[0]).batches.length).toBe(2);
    for (let end = 0; end < bytes.length; end++) {
      const cut = batchesIn(bytes, 0, end);
      const ends = [0, sizes[0]!, sizes[0]! + sizes[1]!];
      const last = Math.max(...ends.filter((each) => each <= end));
      expect(cut.end).toBe(last);
      expect(cut.fault).toBe(end === last ? null : "truncated");
    }
  });

  test("tells lengths, magic numbers and old formats apart", () => {
    const faultWith = (change: (view: DataView) => void) => {
      const bytes = simple(1);
      change(new DataView(bytes.buffer));
      const size = batchSizeAt(bytes, 0, bytes.length);
      return size < 0 ? faultOfSize(size) : size;
    };
    expect(faultWith((view) => view.setInt32(8, -1))).toBe("bad_length");
    expect(faultWith((view) => view.setInt32(8, 13))).toBe("bad_length");
    expect(faultWith((view) => view.setInt32(8, 48))).toBe("bad_length");
    expect(faultWith((view) => view.setInt32(8, 0x7fffffff))).toBe("truncated");
    expect(faultWith((view) => view.setInt8(16, 0))).toBe("unsupported_for_message_format");
    expect(faultWith((view) => view.setInt8(16, 1))).toBe("unsupported_for_message_format");
    expect(faultWith((view) => view.setInt8(16, 3))).toBe("bad_magic");
    expect(faultWith((view) => view.setInt8(16, -1))).toBe("bad_magic");
    expect(faultWith((view) => view.setInt32(8, 49))).toBe(61);
  });
});

describe("damage", () => {
  test("any changed bit that the checksum covers is seen, and none crashes", () => {
    const bytes = simple(3);
    for (let at = 17; at < bytes.length; at++) {
      for (let bit = 1; bit < 256; bit <<= 1) {
        const changed = bytes.slice();
        changed[at]! ^= bit;
        expect(only(changed).check()).toBe("bad_crc");
      }
    }
  });

  test("behind a valid checksum, the walk and the cursor agree and never crash", () => {
    const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
    const changes = fc.array(change, { minLength: 1, maxLength: 4 });
    let faults = 0;
    fc.assert(
      fc.property(samples, fc.constantFrom(...CODECS), changes, (records, codec, chosen) => {
        const bytes = build(records, { codec });
        for (const { at, byte } of chosen) bytes[57 + (at % (bytes.length - 57))] = byte;
        patchCrc(bytes, 0, bytes.length);
        const batch = only(bytes);
        batch.check();
        const read = readRecords(batch, { ...open, sizeBytesMax: 100_000 });
        const block = openRecords(batch, { ...open, sizeBytesMax: 100_000 });
        if (typeof block === "string") {
          expect(read).toEqual({ records: [], fault: block });
          return;
        }
        const fault = walkRecords(block, false);
        if (fault !== null && fault !== "bad_offset_delta") faults++;
        if (fault === null) expect(read.fault).toBeNull();
        if (read.fault !== null) expect(fault).not.toBeNull();
        if (walkRecords(block, true) === null) expect(fault).toBeNull();
      }),
      { numRuns: 1000 },
    );
    expect(faults).toBeGreaterThan(10);
  });

  test("random bytes are no batch, or a batch with a fault, and never a crash", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 200 }), fc.nat(120), (tail, length) => {
        const bytes = Uint8Array.from([
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          length,
          0,
          0,
          0,
          0,
          2,
          ...tail,
        ]);
        for (const batch of batchesIn(bytes).batches) {
          batch.check();
          readRecords(batch, open);
          const block = openRecords(batch, open);
          if (typeof block !== "string") walkRecords(block, true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("a record count of 2^31 - 1 over few bytes ends at once", () => {
    const bytes = simple(2);
    new DataView(bytes.buffer).setInt32(57, 0x7fffffff);
    new DataView(bytes.buffer).setInt32(23, 0x7ffffffe);
    patchCrc(bytes, 0, bytes.length);
    const batch = only(bytes);
    expect(batch.check()).toBeNull();
    expect(readRecords(batch, open)).toMatchObject({ fault: "bad_record_count" });
  });

  test("a header count of 2^31 - 1 ends at once", () => {
    const builder = new RecordBatchBuilder();
    builder.append(0, null, utf8("xxxxxxxx"));
    const bytes = builder.build();
    // The last nine bytes were value and header count: now a value of three and a wild count.
    bytes.set([6, 1, 2, 3, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0], bytes.length - 10);
    patchCrc(bytes, 0, bytes.length);
    expect(readRecords(only(bytes), open)).toEqual({ records: [], fault: "bad_record_length" });
    const block = openRecords(only(bytes), open);
    expect(typeof block === "string" ? block : walkRecords(block, true)).toBe("bad_record_length");
  });

  test("a compressed block past the bound is too_large", () => {
    const batch = only(
      build([{ timestampMs: 0, key: null, value: new Uint8Array(100_000), headers: [] }], {
        codec: "zstd",
      }),
    );
    expect(openRecords(batch, { ...open, sizeBytesMax: 50_000 })).toBe("too_large");
    expect(readRecords(batch, { ...open, sizeBytesMax: 101_000 }).fault).toBeNull();
  });
});

describe("control records", () => {
  test("a transaction marker has the attributes, key and value of Kafka's", () => {
    const batch = only(
      buildEndTransactionMarker({
        type: CONTROL_COMMIT,
        producerId: 4002,
        producerEpoch: 3,
        coordinatorEpoch: 21,
        timestampMs: 1735689600000,
      }),
    );
    expect(batch.check()).toBeNull();
    expect(batch.attributes).toBe(0x30);
    expect(batch).toMatchObject({ producerId: 4002, producerEpoch: 3, baseSequence: -1 });
    const [record] = readRecords(batch, open).records;
    expect([...record!.key!]).toEqual([0, 0, 0, 1]);
    expect([...record!.value!]).toEqual([0, 0, 0, 0, 0, 21]);
    expect(readControlRecord(record!.key, record!.value)).toEqual({
      version: 0,
      type: CONTROL_COMMIT,
      coordinatorEpoch: 21,
    });
  });

  test("too short or missing parts are no control record; unknown types are told", () => {
    expect(readControlRecord(null, null)).toBeNull();
    expect(readControlRecord(new Uint8Array(3), new Uint8Array(6))).toBeNull();
    expect(readControlRecord(controlKey(CONTROL_ABORT), new Uint8Array(5))).toBeNull();
    expect(readControlRecord(controlKey(CONTROL_ABORT), null)).toBeNull();
    expect(readControlRecord(new Uint8Array([0xff, 0xff, 0, 1]), new Uint8Array(6))).toBeNull();
    expect(readControlRecord(controlKey(99), null)).toEqual({
      version: 0,
      type: 99,
      coordinatorEpoch: null,
    });
  });
});

describe("codec numbers", () => {
  test("are attribute bits 0-2; 5 to 7 name nothing", () => {
    expect(CODECS.map(codecNumber)).toEqual([0, 1, 2, 3, 4]);
    expect([0x38, 0x71, 2, 3, 4, 5, 6, 7].map(codecOfAttributes)).toEqual([
      "none",
      "gzip",
      "snappy",
      "lz4",
      "zstd",
      null,
      null,
      null,
    ]);
  });
});

describe("varints in records", () => {
  interface PrimitiveVector {
    readonly kind: string;
    readonly value: number | string;
    readonly hex: string;
  }
  const vectors = loadVectors<PrimitiveVector>("primitives");

  test("read Kafka's vectors; values past 2^53 come out unsafe, not wrong", () => {
    for (const { kind, value, hex } of vectors) {
      const bytes = fromHex(hex);
      if (kind === "varint") expect(readVarintAt(bytes, 0, bytes.length)).toBe(Number(value));
      else if (kind === "varlong") {
        const read = readVarlongAt(bytes, 0, bytes.length);
        if (Number.isSafeInteger(Number(value))) expect(read).toBe(Number(value));
        else expect(Number.isSafeInteger(read)).toBe(false);
      } else continue;
      expect(varintEnd).toBe(bytes.length);
      for (let end = 0; end < bytes.length; end++) {
        readVarintAt(bytes, 0, end);
        if (kind === "varint") expect(varintEnd).toBe(-1);
        readVarlongAt(bytes, 0, end);
        expect(varintEnd).toBe(-1);
      }
    }
  });

  test("too long ones are refused", () => {
    readVarintAt(fromHex("ffffffffff01"), 0, 6);
    expect(varintEnd).toBe(-1);
    readVarlongAt(fromHex("ffffffffffffffffffffff01"), 0, 12);
    expect(varintEnd).toBe(-1);
  });

  test("the whole safe range is exact", () => {
    const encode = (value: bigint) => {
      const bytes: number[] = [];
      let rest = BigInt.asUintN(64, value < 0n ? -2n * value - 1n : 2n * value);
      for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
      return Uint8Array.from([...bytes, Number(rest)]);
    };
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const bytes = encode(BigInt(value));
        expect(readVarlongAt(bytes, 0, bytes.length)).toBe(value);
      }),
    );
    for (const value of [Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]) {
      expect(readVarlongAt(encode(BigInt(value)), 0, 10)).toBe(value);
    }
    for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 60n + 1n]) {
      expect(Number.isSafeInteger(readVarlongAt(encode(value), 0, 10))).toBe(false);
    }
  });
});
