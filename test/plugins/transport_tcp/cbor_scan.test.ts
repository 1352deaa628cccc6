// What of CBOR is taken, and what is refused before anything is made of it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeFrame, encodeFrame, int, scanFrame } from "../../../plugins/transport-tcp/cbor.ts";
import { DEPTH_MAX, MAP_ENTRIES_MAX, scanCbor } from "../../../plugins/transport-tcp/cbor_scan.ts";

const bytesOf = (hex: string): Uint8Array => {
  const digits = hex.replaceAll(" ", "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
};
const scan = (hex: string, itemsMax = 1000) => scanCbor(bytesOf(hex), itemsMax);
function decode(bytes: Uint8Array): unknown {
  const frame = scanFrame(bytes, 1_000_000);
  if (typeof frame === "string") throw new Error(frame);
  return decodeFrame(frame);
}

describe("scanCbor()", () => {
  test.each([
    ["00", 0],
    ["1818", 24],
    ["190100", 256],
    ["1a80000000", 2 ** 31],
    ["1bffffffffffffffff".replace("ffffffffffffffff", "001fffffffffffff"), 2 ** 53 - 1],
    ["3b001ffffffffffffe", -(2 ** 53 - 1)],
    ["20", -1],
    ["f4", false],
    ["f5", true],
    ["f6", null],
    ["60", ""],
    ["63e282ac", "€"],
    ["64f09f9880", "😀"],
    ["80", []],
    ["8200820160", [0, [1, ""]]],
    ["a16161a0", { a: {} }],
    // Longer than they need to be, which is allowed.
    ["1b0000000000000001", 1],
    ["b90001 7800 9a00000000", { "": [] }],
    ["fa47c35000", 100_000],
    ["fb4278bcfe56800000", 1_700_000_000_000],
  ] as const)("takes %s", (hex, value) => {
    expect(typeof scan(hex)).toBe("number");
    expect(decode(bytesOf(hex))).toEqual(value);
  });

  test.each([
    ["", "truncated"],
    ["18", "truncated"],
    ["1b00000000", "truncated"],
    ["41", "truncated"],
    ["5affffffff00", "truncated"],
    ["5bffffffffffffffff", "truncated"],
    ["7affffffff", "truncated"],
    ["9affffffff", "truncated"],
    ["9bffffffffffffffff", "truncated"],
    ["bbffffffffffffffff", "truncated"],
    ["8200", "truncated"],
    ["a16161", "truncated"],
    ["0000", "trailing_bytes"],
    ["8000", "trailing_bytes"],
    ["9fff", "indefinite_length"],
    ["bfff", "indefinite_length"],
    ["5f4100ff", "indefinite_length"],
    ["7f6100ff", "indefinite_length"],
    ["ff", "indefinite_length"],
    ["c000", "tag"],
    ["c249010000000000000000", "tag"],
    ["d9dfff8300816161 00", "tag"],
    ["d81d00", "tag"],
    ["f7", "simple_value"],
    ["f0", "simple_value"],
    ["f8ff", "simple_value"],
    ["f93c00", "float"],
    ["fa3fc00000", "float"],
    ["fb3ff8000000000000", "float"],
    ["fb7ff0000000000000", "float"],
    ["fb7ff8000000000000", "float"],
    ["fb4340000000000000", "float"],
    ["fa47c350", "truncated"],
    ["fb3ff00000000000", "truncated"],
    ["1c", "reserved"],
    ["5e", "reserved"],
    ["1b0020000000000000", "integer_too_large"],
    ["3b001fffffffffffff", "integer_too_large"],
    ["1bffffffffffffffff", "integer_too_large"],
    ["a10000", "key_not_text"],
    ["a1416100", "key_not_text"],
    ["a2616100616100", "key_repeated"],
    ["a2 6161 00 780161 00", "key_repeated"],
    ["61ff", "bad_utf8"],
    ["62c080", "bad_utf8"],
    ["63eda080", "bad_utf8"],
    ["64f4908080", "bad_utf8"],
    ["61e2", "bad_utf8"],
  ] as const)("refuses %s as %s", (hex, fault) => {
    expect(scan(hex)).toBe(fault);
  });

  test("bounds depth, entries, keys and items, whatever is declared", () => {
    expect(scan(`${"81".repeat(DEPTH_MAX)}00`)).toBe(DEPTH_MAX + 1);
    expect(scan(`${"81".repeat(DEPTH_MAX + 1)}00`)).toBe("too_deep");
    expect(scan(`${"a16161".repeat(DEPTH_MAX + 1)}00`)).toBe("too_deep");
    expect(scanCbor(new Uint8Array(1_000_000).fill(0x81), 1_000_000)).toBe("too_deep");
    const entries = (count: number): string =>
      Array.from({ length: count }, (_, i) => `62${(0x3030 + i).toString(16)}00`).join("");
    expect(scan(`b8${MAP_ENTRIES_MAX.toString(16)}${entries(MAP_ENTRIES_MAX)}`)).toBe(129);
    expect(scan(`b841${entries(65)}`)).toBe("map_too_large");
    expect(scan(`a1 790100 ${"61".repeat(256)} 00`)).toBe("key_too_long");
    expect(scan(`9864${"00".repeat(100)}`, 100)).toBe("too_many_items");
    expect(scan(`9864${"00".repeat(100)}`, 101)).toBe(101);
  });

  test("keys of one map are no keys of another", () => {
    expect(scan("82 a1616100 a1616100")).toBe(7);
    expect(scan("a2 6161 a1616100 6162 a1616100")).toBe(9);
  });

  test("__proto__ changes no prototype", () => {
    const value = decode(bytesOf("a1 69 5f5f70726f746f5f5f a1 6161 f5")) as { a?: unknown };
    expect(value.a).toBe(undefined);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { a?: unknown }).a).toBe(undefined);
  });

  test("whatever comes is refused, or decodes into no more than was counted", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const count = scanCbor(bytes, 1000);
        if (typeof count === "number") expect(weigh(decode(bytes))).toBe(count);
      }),
      { numRuns: 2000 },
    );
  });

  test("what this side encodes is taken, and comes back", () => {
    const leaf = fc.oneof(
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: "binary", maxLength: 80 }),
      fc.uint8Array({ maxLength: 80 }),
    );
    const key = fc.string({ maxLength: 10 }).filter((text) => text !== "__proto__");
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ maxDepth: 5 }, leaf, tie("array"), tie("map")),
      array: fc.array(tie("any"), { maxLength: 6 }),
      map: fc.dictionary(key, tie("any"), { maxKeys: 6, noNullPrototype: true }),
    })).map;
    fc.assert(
      fc.property(value, (made) => {
        const [length, body] = encodeFrame(wired(made) as object);
        expect(new DataView(length!.buffer).getUint32(0)).toBe(body!.length);
        expect(decode(new Uint8Array(body!))).toEqual(made);
      }),
      { numRuns: 500 },
    );
  });

  test("sound frames with bytes changed never reach the decoder unsound", () => {
    const whole = encodeFrame({
      id: 1,
      op: "produce",
      topic: "orders",
      records: [[null, new Uint8Array(20), [["h", null]], int(1_700_000_000_000), 3]],
    })[1]!;
    const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(flips, fc.nat(whole.length), (changes, length) => {
        const bytes = whole.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const cut = bytes.subarray(0, length);
        const count = scanCbor(cut, 1000);
        if (typeof count === "number") expect(weigh(decode(cut))).toBe(count);
      }),
      { numRuns: 2000 },
    );
  });
});

/** Items that a value has come of. */
function weigh(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, each) => sum + weigh(each), 1);
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, each) => sum + 1 + weigh(each), 1);
}

/** The value with integers as they have to be encoded. */
function wired(value: unknown): unknown {
  if (typeof value === "number") return int(value === 0 ? 0 : value);
  if (Array.isArray(value)) return value.map(wired);
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, wired(each)]));
}
