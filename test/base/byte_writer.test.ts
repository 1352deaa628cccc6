import { describe, expect, test } from "bun:test";
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../../src/base/byte_writer.ts";

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe("ByteWriter", () => {
  test("what is written is read back, in one array or in parts", () => {
    const write = (writer: ByteWriter) => {
      writer.int8(-2);
      writer.uint8(254);
      writer.bool(true);
      writer.int16(-3);
      writer.int32(-4);
      writer.int64(-5);
      writer.int64(2 ** 53 - 1);
      writer.int64(-(2 ** 53) + 1);
      writer.int64(-(2n ** 63n));
      writer.float64(-0.1);
      writer.uvarint(300);
      writer.varint(-300);
      writer.varlong(-(2 ** 40));
      writer.string16("grün");
      writer.compactString("plain");
      writer.compactString("ü".repeat(100));
    };
    const whole = new ByteWriter();
    write(whole);
    const bytes = whole.toBytes();
    const parted = new ByteWriter();
    write(parted);
    expect(join(parted.finish())).toEqual(bytes);
    const reader = new ByteReader(bytes);
    expect(reader.int8()).toBe(-2);
    expect(reader.uint8()).toBe(254);
    expect(reader.bool()).toBe(true);
    expect(reader.int16()).toBe(-3);
    expect(reader.int32()).toBe(-4);
    expect(reader.int64()).toBe(-5);
    expect(reader.int64()).toBe(2 ** 53 - 1);
    expect(reader.int64()).toBe(-(2 ** 53) + 1);
    expect(reader.int64() as unknown).toBe(-(2n ** 63n));
    expect(reader.float64()).toBe(-0.1);
    expect(reader.uvarint()).toBe(300);
    expect(reader.varint()).toBe(-300);
    expect(reader.varlong()).toBe(-(2 ** 40));
    expect(reader.utf8(reader.int16())).toBe("grün");
    expect(reader.utf8(reader.uvarint() - 1)).toBe("plain");
    expect(reader.utf8(reader.uvarint() - 1)).toBe("ü".repeat(100));
    expect(reader.remaining).toBe(0);
  });

  test("view() carries large arrays along without copying, in order, and copies small ones", () => {
    const large = new Uint8Array(5000).fill(7);
    const small = new Uint8Array(3).fill(8);
    const writer = new ByteWriter();
    const at = writer.reserveInt32();
    writer.view([small, large, small]);
    writer.view(large);
    writer.int8(9);
    writer.patchInt32(at, writer.sizeBytes - 4);
    expect(writer.sizeBytes).toBe(4 + 3 + 5000 + 3 + 5000 + 1);
    const parts = writer.finish();
    expect(parts.length).toBe(5);
    expect(parts[1]).toBe(large);
    expect(parts[3]).toBe(large);
    expect(new ByteReader(parts[0]!).int32()).toBe(10007);
    expect([...parts[2]!]).toEqual([8, 8, 8]);
    expect([...parts[4]!]).toEqual([9]);
  });

  test("a reserved length is patched wherever its chunk went", () => {
    for (const paddingBytes of [0, 1, 33_000, 300_000]) {
      const writer = new ByteWriter();
      for (let index = 0; index < paddingBytes; index++) writer.int8(1);
      const at = writer.reserveInt32();
      for (let index = 0; index < 300_000; index++) writer.int8(2);
      writer.patchInt32(at, 0x01020304);
      expect(at).toBe(paddingBytes);
      const reader = new ByteReader(writer.toBytes(), paddingBytes);
      expect(reader.int32()).toBe(0x01020304);
      expect(reader.remaining).toBe(300_000);
    }
  });

  test("writers that are in use at the same time, or abandoned, never share memory", () => {
    const finished: { parts: Uint8Array[]; value: number; count: number }[] = [];
    let open: { writer: ByteWriter; value: number; count: number }[] = [];
    for (let round = 0; round < 400; round++) {
      open.push({ writer: new ByteWriter(), value: round & 127, count: 0 });
      for (const each of open) {
        for (let index = 0; index < 50; index++) each.writer.int8(each.value);
        each.count += 50;
      }
      if (open.length > 3) {
        const last = open.splice(round % 3, 1)[0]!;
        if (round % 5 !== 0) {
          finished.push({ parts: last.writer.finish(), value: last.value, count: last.count });
        }
      }
      if (round % 50 === 0) open = [];
    }
    for (const { parts, value, count } of finished) {
      const bytes = join(parts);
      expect(bytes.length).toBe(count);
      expect(bytes.every((byte) => byte === value)).toBe(true);
    }
  });

  test("is empty after finish() and toBytes(), and may be used again", () => {
    const writer = new ByteWriter();
    writer.int32(1);
    const first = writer.finish();
    writer.int32(2);
    expect([...writer.toBytes()]).toEqual([0, 0, 0, 2]);
    expect(writer.sizeBytes).toBe(0);
    expect([...join(first)]).toEqual([0, 0, 0, 1]);
  });

  test("refuses what has no wire form", () => {
    const writer = new ByteWriter();
    expect(() => writer.int64(1.5)).toThrow(EncodeError);
    expect(() => writer.int64(2 ** 53)).toThrow(EncodeError);
    expect(() => writer.int64(2n ** 63n)).toThrow(EncodeError);
    expect(() => writer.string16("x".repeat(32768))).toThrow(EncodeError);
    expect(() => writer.compactString("é".repeat(16384))).toThrow(EncodeError);
  });
});
