import { describe, expect, test } from "bun:test";
import { ByteReader, DecodeError } from "../../src/base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../../src/base/byte_writer.ts";
import { ZERO_UUID } from "../../src/base/uuid.ts";
import { codecOf } from "../../src/protocol/compile.ts";
import type { MessageInputOf } from "../../src/protocol/infer.ts";
import {
  array,
  bool,
  bytes,
  float64,
  int8,
  int16,
  int32,
  int64,
  type Message,
  message,
  records,
  string,
  struct,
  uint16,
  uint32,
  unknownTags,
  uuid,
} from "../../src/protocol/schema.ts";
import { bytesOfHex, hexOfBytes } from "../vectors/load.ts";

function encode<const M extends Message>(m: M, version: number, value: MessageInputOf<M>): string {
  const writer = new ByteWriter();
  codecOf(m, version).write(writer, value);
  return hexOfBytes(writer.toBytes());
}

function decode<const M extends Message>(m: M, version: number, hex: string) {
  return codecOf(m, version).read(new ByteReader(bytesOfHex(hex)));
}

const Sample = message({
  name: "Sample",
  versions: "0-3",
  flexible: "2+",
  fields: {
    id: int32(),
    old: string({ versions: "0" }),
    dropped: int64({ versions: "1+", default: -1, ignorable: true }),
    text: string({ versions: "1+", nullable: "2+", default: null }),
    parts: array({ index: int16() }, { versions: "1+" }),
    extra: struct(
      { leader: int32({ default: -1 }), names: array(string()) },
      { versions: "3", tag: 2 },
    ),
    label: string({ versions: "2+", tag: 0, nullable: "3", default: null }),
  },
});

describe("a version that lacks a field", () => {
  test("gives the default when decoded, in one type for all versions", () => {
    expect(decode(Sample, 0, "00000001000161")).toEqual({
      id: 1,
      old: "a",
      dropped: -1,
      text: null,
      parts: [],
      extra: { leader: -1, names: [] },
      label: null,
    });
  });

  test("refuses a value that is not the default, unless the field is ignorable", () => {
    expect(() => encode(Sample, 1, { id: 1, old: "a", text: "", parts: [] })).toThrow(
      'Sample v1 cannot carry "old"',
    );
    expect(() => encode(Sample, 0, { id: 1, text: "a" })).toThrow(EncodeError);
    expect(() => encode(Sample, 0, { id: 1, parts: [{ index: 1 }] })).toThrow(EncodeError);
    expect(() => encode(Sample, 2, { id: 1, extra: { names: ["a"] } })).toThrow(EncodeError);
    expect(encode(Sample, 0, { id: 1, dropped: 5 })).toBe("000000010000");
    const defaults = {
      dropped: -1,
      text: null,
      parts: [],
      extra: { leader: -1, names: [] },
      label: null,
    };
    expect(encode(Sample, 0, { id: 1, old: "", ...defaults })).toBe("000000010000");
  });

  test("of the message itself is refused", () => {
    for (const version of [-1, 4, 1.5, Number.NaN]) {
      expect(() => codecOf(Sample, version)).toThrow(EncodeError);
    }
  });
});

describe("null", () => {
  test("goes where the version allows it, and nowhere else", () => {
    expect(() => encode(Sample, 1, { id: 1, text: null })).toThrow("Sample.text must not be null");
    // Left out, the default stands: null, which version 1 cannot say.
    expect(() => encode(Sample, 1, { id: 1 })).toThrow("Sample.text must not be null");
    expect(encode(Sample, 2, { id: 1 })).toBe("00000001ffffffffffffffff000100");
    expect(() => encode(Sample, 2, { id: 1, parts: null as never })).toThrow(EncodeError);
    expect(() => encode(Sample, 3, { id: 1, extra: null as never })).toThrow(EncodeError);
  });

  test("is refused in bytes of a version that does not allow it", () => {
    expect(() => decode(Sample, 1, "00000001ffffffffffffffffffff00000000")).toThrow(
      "Sample.text is null",
    );
    expect(() => decode(Sample, 1, "00000001ffffffffffffffff0000ffffffff")).toThrow(
      "Sample.parts is null",
    );
    expect(() => decode(Sample, 2, "00000001ffffffffffffffff000000")).toThrow(
      "Sample.parts is null",
    );
  });

  test("of a struct is a byte of its own", () => {
    const Holder = message({
      name: "Holder",
      versions: "0-1",
      flexible: "1+",
      fields: { cursor: struct({ at: int8() }, { nullable: true, default: null }) },
    });
    expect(encode(Holder, 0, {})).toBe("ff");
    expect(encode(Holder, 0, { cursor: { at: 7 } })).toBe("0107");
    expect(encode(Holder, 1, { cursor: { at: 7 } })).toBe("01070000");
    expect(decode(Holder, 0, "ff")).toEqual({ cursor: null });
    expect(decode(Holder, 1, "01070000")).toEqual({ cursor: { at: 7 } });
  });
});

describe("tagged fields", () => {
  const head = "00000001ffffffffffffffff0001";

  test("are sent in the order of their tags, and only when they differ from the default", () => {
    expect(encode(Sample, 3, { id: 1, label: null, extra: { names: [] } })).toBe(`${head}00`);
    expect(encode(Sample, 3, { id: 1, label: "l", extra: { leader: 3, names: [] } })).toBe(
      `${head}0200 02026c 0206 0000000301 00`.replaceAll(" ", ""),
    );
  });

  test("that nobody knows stay with their struct, and go out in order among the known", () => {
    const hex = `${head}03000202 6c 01 02 aabb 0701cc`.replaceAll(" ", "");
    const value = decode(Sample, 3, hex);
    expect(value.label).toBe("l");
    expect([...value[unknownTags]!].map(([tag, data]) => [tag, hexOfBytes(data)])).toEqual([
      [1, "aabb"],
      [7, "cc"],
    ]);
    expect(encode(Sample, 3, value)).toBe(hex);
    expect(encode(Sample, 3, { ...value })).toBe(hex);
  });

  test("must fill their size, and lie within the bytes", () => {
    expect(() => decode(Sample, 3, `${head}010003026c00`)).toThrow("differs from its size");
    expect(() => decode(Sample, 3, `${head}010001026c`)).toThrow("differs from its size");
    expect(() => decode(Sample, 3, `${head}0100ff01026c`)).toThrow(DecodeError);
    expect(() => decode(Sample, 3, `${head}ffffffff0f`)).toThrow(DecodeError);
    expect(() => decode(Sample, 3, `${head}0109ffffffff0f`)).toThrow(DecodeError);
  });
});

describe("lengths", () => {
  test("of an array that the rest cannot hold are refused on the spot", () => {
    for (const [version, length] of [
      [1, "7fffffff"],
      [1, "00000003"],
      [2, "ffffffff0f"],
      [2, "04"],
    ] as const) {
      const before = version === 1 ? "00000001ffffffffffffffff0000" : "00000001ffffffffffffffff00";
      const reader = new ByteReader(bytesOfHex(`${before}${length}000100`));
      expect(() => codecOf(Sample, version).read(reader)).toThrow(
        /parts has \d+ elements in 3 bytes/,
      );
      // Not one element was read.
      expect(reader.remaining).toBe(3);
    }
  });

  test("of strings and bytes are held to what is there, and strings to 32,767", () => {
    const Text = message({
      name: "Text",
      versions: "0-1",
      flexible: "1+",
      fields: { text: string(), data: bytes({ nullable: true }) },
    });
    expect(() => decode(Text, 0, "000561")).toThrow(DecodeError);
    expect(() => decode(Text, 0, "00007fffffff")).toThrow(DecodeError);
    expect(() => decode(Text, 1, "01ffffffff0f")).toThrow(DecodeError);
    const long = new Uint8Array(40_000).fill(0x61);
    long.set([0x81, 0x80, 0x02]);
    expect(() => codecOf(Text, 1).read(new ByteReader(long))).toThrow("Text.text is too long");
    expect(() => encode(Text, 1, { text: "a".repeat(32_768), data: null })).toThrow(EncodeError);
    expect(encode(Text, 1, { text: "a".repeat(32_767), data: null }).length).toBe(
      2 * (3 + 32_767 + 2),
    );
    expect(decode(Text, 0, "0000ffffffff")).toEqual({ text: "", data: null });
  });

  test("an array of nothing cannot be declared: any length would fit", () => {
    const Void = message({ name: "Void", versions: "0", fields: { voids: array({}) } });
    expect(() => codecOf(Void, 0)).toThrow("elements that take no bytes");
  });
});

describe("values", () => {
  const All = message({
    name: "All",
    versions: "0-1",
    flexible: "1+",
    fields: {
      flag: bool(),
      tiny: int8(),
      short: int16(),
      port: uint16(),
      int: int32(),
      count: uint32(),
      long: int64(),
      real: float64(),
      id: uuid(),
      data: bytes(),
      batches: records({ nullable: true }),
      ids: array(uuid(), { nullable: true }),
    },
  });
  const zero = {
    flag: false,
    tiny: 0,
    short: 0,
    port: 0,
    int: 0,
    count: 0,
    long: 0,
    real: 0,
    id: ZERO_UUID,
    data: new Uint8Array(0),
    batches: null,
    ids: [],
  };

  test("outside of their type are refused, not cut", () => {
    const wrong: [keyof typeof zero, unknown][] = [
      ["tiny", 128],
      ["tiny", -129],
      ["short", 32768],
      ["port", -1],
      ["port", 65536],
      ["int", 2147483648],
      ["int", 0.5],
      ["int", Number.NaN],
      ["count", -1],
      ["count", 4294967296],
      ["long", 2 ** 53],
      ["long", 2n ** 63n],
      ["id", "not a uuid"],
    ];
    for (const [name, value] of wrong) {
      expect(() => encode(All, 0, { ...zero, [name]: value } as never)).toThrow(EncodeError);
    }
  });

  test("int64 beyond 2^53 come out as bigints and are counted", () => {
    const value = { ...zero, long: 2n ** 60n };
    const reader = new ByteReader(bytesOfHex(encode(All, 1, value)));
    expect(codecOf(All, 1).read(reader).long as unknown).toBe(2n ** 60n);
    expect(reader.bigintCount).toBe(1);
  });

  test("records are views when decoded, and one or several when encoded", () => {
    const one = Uint8Array.of(1, 2, 3);
    const hex = encode(All, 1, { ...zero, batches: one });
    expect(encode(All, 1, { ...zero, batches: [one.subarray(0, 1), one.subarray(1)] })).toBe(hex);
    const frame = bytesOfHex(hex);
    const { batches } = codecOf(All, 1).read(new ByteReader(frame));
    expect(batches!.buffer).toBe(frame.buffer);
    expect([...batches!]).toEqual([1, 2, 3]);
  });

  test("defaults are shared and frozen, codecs are made once", () => {
    const { parts, extra } = decode(Sample, 0, "000000010000");
    expect(Object.isFrozen(parts)).toBe(true);
    expect(Object.isFrozen(extra)).toBe(true);
    expect(codecOf(Sample, 0)).toBe(codecOf(Sample, 0));
  });
});
