import { describe, expect, test } from "bun:test";
import { readArguments } from "../../src/cli/arguments.ts";
import { UsageError } from "../../src/cli/cli_error.ts";

const WORDS = {
  name: "do",
  positionals: [
    { name: "topic", summary: "" },
    { name: "rest", summary: "", isList: true, isOptional: true },
  ],
  flags: [
    { name: "from", value: "PLACE", summary: "" },
    { name: "max", short: "n", value: "N", summary: "" },
    { name: "header", short: "H", value: "NAME=VALUE", summary: "", isList: true },
    { name: "key-separator", short: "k", value: "TEXT", summary: "" },
    { name: "format", value: "FORM", summary: "", choices: ["lines", "json"] },
    { name: "quiet", short: "q", summary: "" },
  ],
} as const;
const read = (...words: string[]) => readArguments(WORDS, words);
const refused = (...words: string[]): string => {
  try {
    read(...words);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error("It was accepted");
};

describe("words of the command line", () => {
  test("flags take their value from the next word or behind =, short or long, anywhere", () => {
    const args = read("-n", "5", "t", "--from=x", "-H=a=1", "--header", "b=2", "-q", "u", "v");
    expect(args.text("topic")).toBe("t");
    expect(args.list("rest")).toEqual(["u", "v"]);
    expect(args.whole("max", 0)).toBe(5);
    expect(args.text("from")).toBe("x");
    expect(args.pairs("header")).toEqual([
      ["a", "1"],
      ["b", "2"],
    ]);
    expect(args.has("quiet")).toBe(true);
  });

  test("a value may look like a flag, be empty, or hold an equals sign", () => {
    expect(read("t", "--from", "-10").text("from")).toBe("-10");
    expect(read("t", "-k", "--").text("key-separator")).toBe("--");
    expect(read("t", "--key-separator=").text("key-separator")).toBe("");
    expect(read("t", "-k", "=").text("key-separator")).toBe("=");
  });

  test("behind -- all words are names", () => {
    const args = read("--", "-t", "--quiet");
    expect([args.text("topic"), args.list("rest"), args.has("quiet")]).toEqual([
      "-t",
      ["--quiet"],
      false,
    ]);
  });

  test("the last of a flag that is given twice counts", () => {
    expect(read("t", "-n", "1", "--max", "2").text("max")).toBe("2");
  });

  test("what is not known, lacking or out of place is refused with the nearest that is known", () => {
    expect(refused("t", "--fron", "x")).toBe('Unknown flag "--fron": did you mean "--from"');
    expect(refused("t", "--no-quiet")).toContain("Unknown flag");
    expect(refused("t", "--from")).toBe("--from needs a value: --from PLACE");
    expect(refused("t", "--quiet=yes")).toBe("--quiet takes no value");
    expect(refused()).toBe("TOPIC is missing");
    expect(refused("t", "--format", "jsn")).toContain('did you mean "json"');
    expect(() => read("t", "-H", "novalue").pairs("header")).toThrow("NAME=VALUE");
  });

  test("help needs no other words", () => {
    expect(read("--help").has("help")).toBe(true);
  });

  test("numbers take k, m and g, and their bounds are told", () => {
    expect(read("t", "-n", "64k").whole("max", 0)).toBe(65_536);
    expect(read("t", "-n", "1_000").whole("max", 0)).toBe(1_000);
    for (const wrong of ["x", "1.5", "1e3", "", "9007199254740993"]) {
      expect(() => read("t", `--max=${wrong}`).whole("max", 0)).toThrow("whole number");
    }
    expect(() => read("t", "-n", "11").whole("max", 1, 10)).toThrow("from 1 to 10");
  });
});
