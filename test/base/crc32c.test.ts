import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { crc32c, crc32cOf, crc32cPlain } from "../../src/base/crc32c.ts";
import { fromHex, loadVectors } from "../record/vectors.ts";

/** Bit by bit, straight from the definition: the oracle. */
function crc32cByBits(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

const bytesUpTo = (maxLength: number) => fc.uint8Array({ minLength: 0, maxLength });

describe("crc32c()", () => {
  test("equals Kafka's on all vectors", () => {
    const vectors = loadVectors<{ data?: string; length: number; crc32c: number }>("crc");
    expect(vectors.length).toBe(56);
    for (const { data, length, crc32c: want } of vectors) {
      // Long inputs are given by a rule.
      const bytes =
        data === undefined
          ? Uint8Array.from({ length }, (_, i) => i * 31 + Math.floor(i / 256))
          : fromHex(data);
      expect(crc32c(bytes)).toBe(want);
    }
  });

  test("equals the definition at every length up to 600 and every alignment", () => {
    const bytes = Uint8Array.from({ length: 620 }, (_, i) => (i * 151) ^ (i >> 4));
    for (let length = 0; length <= 600; length += length < 300 ? 1 : 7) {
      for (const start of [0, 1, 2, 3]) {
        const want = crc32cByBits(bytes.subarray(start, start + length));
        expect(crc32c(bytes, start, start + length)).toBe(want);
        expect(crc32c(bytes.subarray(start, start + length))).toBe(want);
      }
    }
  });

  test("continues from a seed as if the parts were one", () => {
    fc.assert(
      fc.property(bytesUpTo(900), fc.nat(), (bytes, pick) => {
        const cut = pick % (bytes.length + 1);
        const first = crc32c(bytes, 0, cut);
        expect(crc32c(bytes, cut, bytes.length, first)).toBe(crc32cByBits(bytes));
        expect(crc32cPlain(bytes.subarray(cut), first)).toBe(crc32cByBits(bytes));
      }),
    );
  });
});

describe("crc32cOf()", () => {
  test("takes any number of chunks, empty ones too", () => {
    fc.assert(
      fc.property(fc.array(bytesUpTo(400), { maxLength: 8 }), (chunks) => {
        const joined = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
        expect(crc32cOf(chunks)).toBe(crc32cByBits(joined));
      }),
    );
  });

  test("uses the function it is handed", () => {
    const calls: number[] = [];
    const compute = (bytes: Uint8Array, seed: number) => {
      calls.push(seed);
      return crc32cPlain(bytes, seed);
    };
    const parts = [new Uint8Array([1, 2]), new Uint8Array([3])];
    expect(crc32cOf(parts, 0, compute)).toBe(crc32c(new Uint8Array([1, 2, 3])));
    expect(calls).toEqual([0, crc32c(new Uint8Array([1, 2]))]);
  });
});
