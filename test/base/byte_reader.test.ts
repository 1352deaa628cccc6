import { describe, expect, test } from "bun:test";
import { ByteReader, DecodeError } from "../../src/base/byte_reader.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("ByteReader", () => {
  test("integers are big endian and signed as named", () => {
    const all = bytes(0xff, 0x80, 0x01, 0xff, 0xfe, 0x80, 0, 0, 2);
    expect(new ByteReader(all).int8()).toBe(-1);
    expect(new ByteReader(all).uint8()).toBe(255);
    expect(new ByteReader(all, 1).int16()).toBe(-32767);
    expect(new ByteReader(all, 1).uint16()).toBe(0x8001);
    expect(new ByteReader(all, 5).int32()).toBe(-2147483646);
    expect(new ByteReader(all, 5).uint32()).toBe(2147483650);
    expect(new ByteReader(bytes(0x3f, 0xf8, 0, 0, 0, 0, 0, 0)).float64()).toBe(1.5);
    expect(new ByteReader(bytes(2)).bool()).toBe(true);
  });

  test("int64 is a number inside ±(2^53−1) and a bigint outside, which is counted", () => {
    const view = new DataView(new ArrayBuffer(8));
    const cases: bigint[] = [0n, 1n, -1n, 2n ** 31n, -(2n ** 31n), 2n ** 32n, -(2n ** 32n) - 5n];
    for (const sign of [1n, -1n]) {
      for (const near of [-2n, -1n, 0n, 1n]) cases.push(sign * (2n ** 53n + near));
    }
    cases.push(2n ** 63n - 1n, -(2n ** 63n));
    for (const value of cases) {
      view.setBigInt64(0, value);
      const reader = new ByteReader(new Uint8Array(view.buffer));
      const safe =
        value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
      expect(reader.int64() as number | bigint).toBe(safe ? Number(value) : value);
      expect(reader.bigintCount).toBe(safe ? 0 : 1);
    }
  });

  test("every read past the end is a DecodeError and moves nothing", () => {
    const reads: ((reader: ByteReader) => unknown)[] = [
      (r) => r.int8(),
      (r) => r.uint8(),
      (r) => r.bool(),
      (r) => r.int16(),
      (r) => r.uint16(),
      (r) => r.int32(),
      (r) => r.int64(),
      (r) => r.float64(),
      (r) => r.uvarint(),
      (r) => r.varlong(),
      (r) => r.view(1),
      (r) => r.utf8(1),
      (r) => r.skip(1),
    ];
    for (const read of reads) {
      // The array itself goes on: `end` is the bound, not the memory.
      const reader = new ByteReader(new Uint8Array(32), 4, 4);
      expect(() => read(reader)).toThrow(DecodeError);
      expect(reader.position).toBe(4);
    }
    expect(() => new ByteReader(new Uint8Array(3)).view(-1)).toThrow(DecodeError);
    expect(() => new ByteReader(new Uint8Array(3)).view(Number.NaN)).toThrow(DecodeError);
    expect(() => new ByteReader(new Uint8Array(3), 2, 4)).toThrow(DecodeError);
  });

  test("views share the memory, at an offset too", () => {
    const memory = bytes(9, 9, 1, 2, 3, 9);
    const reader = new ByteReader(memory.subarray(2));
    reader.skip(1);
    const view = reader.view(2);
    memory[3] = 7;
    expect([...view]).toEqual([7, 3]);
    expect(view.constructor).toBe(Uint8Array);
  });

  test("text: short and long, ASCII and not, repeated and malformed", () => {
    const encoder = new TextEncoder();
    const texts = [
      "",
      "a",
      "orders",
      "héllo-世界-🚀",
      "\uFEFFwith a mark",
      "x".repeat(200),
      "é".repeat(30),
    ];
    for (let index = 0; index < 2000; index++) texts.push(`topic-${index}`);
    for (let round = 0; round < 2; round++) {
      for (const text of texts) {
        const encoded = encoder.encode(text);
        expect(new ByteReader(encoded).utf8(encoded.length)).toBe(text);
      }
    }
    expect(new ByteReader(bytes(0x61, 0xff, 0xc3)).utf8(3)).toBe("a\uFFFD\uFFFD");
  });
});
