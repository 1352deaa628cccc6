import { describe, expect, test } from "bun:test";
import { ByteReader, DecodeError } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import {
  sizeOfUvarint,
  sizeOfVarint,
  sizeOfVarlong,
  writeUvarint,
  writeVarint,
  writeVarlong,
} from "../../src/base/varint.ts";

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The definition, in BigInt: what the fast paths must equal. */
function reference(bits: bigint): string {
  const bytes: number[] = [];
  for (; bits > 0x7fn; bits >>= 7n) bytes.push(Number(bits & 0x7fn) | 0x80);
  bytes.push(Number(bits));
  return hex(Uint8Array.from(bytes));
}

const edges: bigint[] = [];
for (let bit = 0n; bit < 64n; bit++) {
  for (const near of [-2n, -1n, 0n, 1n, 2n]) {
    for (const sign of [1n, -1n]) {
      const value = sign * ((1n << bit) + near);
      if (value >= -(2n ** 63n) && value < 2n ** 63n) edges.push(value);
    }
  }
}

describe("varint", () => {
  test("varlong is zigzag at every power of two, in size, bytes and value", () => {
    for (const value of edges) {
      const input = Number.isSafeInteger(Number(value)) ? Number(value) : value;
      const expected = reference(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)));
      const target = new Uint8Array(10);
      const end = writeVarlong(target, 0, input);
      expect(hex(target.subarray(0, end))).toBe(expected);
      expect(sizeOfVarlong(input)).toBe(end);
      const reader = new ByteReader(target, 0, end);
      expect(reader.varlong()).toBe(input as number);
      expect(reader.remaining).toBe(0);
      expect(reader.bigintCount).toBe(typeof input === "bigint" ? 1 : 0);
    }
  });

  test("varint is zigzag over 32 bits, unsigned varint is not", () => {
    for (const value of edges) {
      if (value >= -(2n ** 31n) && value < 2n ** 31n) {
        const target = new Uint8Array(5);
        const end = writeVarint(target, 0, Number(value));
        expect(hex(target.subarray(0, end))).toBe(
          reference(BigInt.asUintN(32, (value << 1n) ^ (value >> 31n))),
        );
        expect(sizeOfVarint(Number(value))).toBe(end);
        expect(new ByteReader(target).varint()).toBe(Number(value));
      }
      if (value >= 0n && value < 2n ** 32n) {
        const target = new Uint8Array(5);
        const end = writeUvarint(target, 0, Number(value));
        expect(hex(target.subarray(0, end))).toBe(reference(value));
        expect(sizeOfUvarint(Number(value))).toBe(end);
        expect(new ByteReader(target).uvarint()).toBe(Number(value));
        const writer = new ByteWriter();
        writer.uvarint(Number(value));
        expect(hex(writer.toBytes())).toBe(reference(value));
      }
    }
  });

  test("a varint without an end is refused", () => {
    const ones = new Uint8Array(20).fill(0xff);
    expect(() => new ByteReader(ones).uvarint()).toThrow(DecodeError);
    expect(() => new ByteReader(ones).varlong()).toThrow(DecodeError);
    expect(() => new ByteReader(ones, 0, 3).uvarint()).toThrow(DecodeError);
    expect(() => new ByteReader(ones, 0, 3).varlong()).toThrow(DecodeError);
    expect(() => new ByteReader(ones, 0, 0).uvarint()).toThrow(DecodeError);
  });
});
