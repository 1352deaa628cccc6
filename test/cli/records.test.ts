import { describe, expect, test } from "bun:test";
import { jsonRecord, keyedLine, LineSplitter } from "../../src/cli/record_input.ts";
import { jsonLine, separatorBytes } from "../../src/cli/record_output.ts";
import { counted, countText, sizeText, table } from "../../src/cli/table.ts";

const utf8 = (value: string) => new TextEncoder().encode(value);
const text = (bytes: Uint8Array | null) =>
  bytes === null ? null : new TextDecoder().decode(bytes);

describe("lines", () => {
  test("are the same however the input is cut", () => {
    const input = utf8("one\n\nthrée\r\nfour");
    for (let first = 0; first <= input.length; first++) {
      for (let second = first; second <= input.length; second++) {
        const splitter = new LineSplitter(1_000);
        const cuts = [
          input.subarray(0, first),
          input.subarray(first, second),
          input.subarray(second),
        ];
        const lines = cuts.flatMap((cut) => [...splitter.push(cut)].map(text));
        expect([...lines, text(splitter.end())]).toEqual(["one", "", "thrée\r", "four"]);
        expect(splitter.count).toBe(4);
      }
    }
  });

  test("end with their newline: none is left over", () => {
    const splitter = new LineSplitter(1_000);
    expect([...splitter.push(utf8("a\n"))].length).toBe(1);
    expect(splitter.end()).toBeNull();
  });

  test("beyond the bound are refused by number", () => {
    const splitter = new LineSplitter(10);
    expect([...splitter.push(utf8("short\n"))].length).toBe(1);
    expect(() => [...splitter.push(utf8("x".repeat(11)))]).toThrow("Line 2");
  });

  test("are cut at the first separator, of one byte or more", () => {
    const cut = (line: string, separator: string) => {
      const { key, value } = keyedLine(utf8(line), utf8(separator));
      return [text(key), text(value)];
    };
    expect(cut("a,b,c", ",")).toEqual(["a", "b,c"]);
    expect(cut("a:b::c", "::")).toEqual(["a:b", "c"]);
    expect(cut("a:", "::")).toEqual([null, "a:"]);
    expect(cut("::", "::")).toEqual(["", ""]);
    expect(cut("plain", ",")).toEqual([null, "plain"]);
  });
});

describe("JSON lines", () => {
  test("say everything a record can hold, and back", () => {
    const line =
      '{"key":{"base64":"/w=="},"value":"v","headers":{"a":"1","b":null},"partition":2,"timestamp":7}';
    const { key, value, headers, partition, timestampMs } = jsonRecord(utf8(line), 1);
    expect([[...key!], text(value), partition, timestampMs]).toEqual([[255], "v", 2, 7]);
    expect(headers.map((each) => [each.key, text(each.value)])).toEqual([
      ["a", "1"],
      ["b", null],
    ]);
    const out = jsonLine({
      topic: "t",
      partition: 2,
      offset: 9,
      timestampMs: 7,
      key,
      value,
      headers,
    });
    const again = jsonRecord(utf8(out), 1);
    expect(again).toEqual({ key, value, headers, partition, timestampMs });
  });

  test("that are something else are refused with the line's number and what would do", () => {
    const wrong: [line: string, says: string][] = [
      ["{", "Line 3: not JSON"],
      ["[1]", "must be an object"],
      ['{"val":1}', 'unknown field "val"'],
      ['{"value":1}', '"value" must be text, null or {"base64"'],
      ['{"value":{"base64":"*"}}', "not base64"],
      ['{"partition":-1}', '"partition" must be a whole number'],
      ['{"headers":[{"value":"x"}]}', "a header must be"],
      ['{"headers":"x"}', '"headers" must be'],
    ];
    for (const [line, says] of wrong) expect(() => jsonRecord(utf8(line), 3)).toThrow(says);
  });
});

describe("separators", () => {
  test("know escapes and plain text", () => {
    const bytes = (typed: string) => [...separatorBytes(typed)!];
    expect(bytes("\\n")).toEqual([10]);
    expect(bytes("\\t|\\0\\x1f\\\\")).toEqual([9, 124, 0, 31, 92]);
    expect(bytes("é")).toEqual([0xc3, 0xa9]);
    expect(bytes("")).toEqual([]);
    for (const wrong of ["\\q", "\\x1", "a\\"]) expect(separatorBytes(wrong)).toBeNull();
  });
});

describe("tables and numbers", () => {
  test("line up, numbers to the right", () => {
    expect(
      table(
        ["NAME", "COUNT"],
        [
          ["a", 5],
          ["longer", 12_345],
        ],
      ),
    ).toBe("NAME    COUNT\na           5\nlonger  12345\n");
    expect(table(["NAME"], [])).toBe("NAME\n");
  });

  test("read well", () => {
    expect([countText(0), countText(999), countText(1_234_567)]).toEqual(["0", "999", "1,234,567"]);
    expect([sizeText(0), sizeText(999), sizeText(1_500), sizeText(123_456_789)]).toEqual([
      "0 B",
      "999 B",
      "1.5 kB",
      "123.5 MB",
    ]);
    expect([counted(1, "record"), counted(2_000, "record")]).toEqual(["1 record", "2,000 records"]);
  });
});
