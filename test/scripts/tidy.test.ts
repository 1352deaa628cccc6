import { describe, expect, test } from "bun:test";
import { type TidyReport, tidy } from "../../scripts/tidy.ts";

const header = "// What it is.\n";

/** Reported for one file in an otherwise empty tree; the face imports it, so that it is not dead. */
function report(path: string, source: string): TidyReport {
  return tidy(new Map([[path, source]]));
}

/** Violations of a shipped file apart from its being dead, which a lone file always is. */
function violations(path: string, source: string): readonly string[] {
  return report(path, source).violations.filter((each) => !each.includes("nothing shipped"));
}

describe("tidy() over names the core rooms may not say", () => {
  test.each([
    "Date.now()",
    "new Date()",
    "Math.random()",
    "performance.now()",
    "setTimeout(run, 1)",
    "const later = setImmediate;",
    "clearInterval(timer)",
    "queueMicrotask(run)",
    "crypto.getRandomValues(bytes)",
    "await fetch(url)",
    "const page = fetch(url)",
    "new ReadableStream()",
    "process.exit(1)",
    "Deno.env",
    "Bun.file(path)",
    "console.log(text)",
    "globalThis.x",
    "Atomics.wait(cells, 0, 0)",
    "new WeakRef(thing)",
    "new FinalizationRegistry(run)",
    "eval(text)",
    "new Function(text)",
    'import { open } from "node:fs";',
  ])("%s", (code) => {
    expect(violations("src/core/log/a.ts", `${header}\n${code}\n`)).toHaveLength(1);
    expect(violations("src/runtime/a.ts", `${header}\n${code}\n`)).toEqual([]);
  });

  test.each([
    "runtime.crypto.digest(bytes)",
    "// Date.now() would be wrong here",
    'const text = "process.exit()";',
    "broker.fetch(caller, request)",
    "  fetch(caller: Caller, request: FetchRequest): Promise<void>;",
    "function fetch(log: LogApi) {}\nconst outcome = fetch(log);",
    "scheduler.setTimeout(1)",
    "const processed = 1;",
    "clock.performance",
    "readonly console: string;",
  ])("allowed: %s", (code) => {
    expect(violations("src/core/log/a.ts", `${header}\n${code}\n`)).toEqual([]);
  });
});

describe("tidy() over files", () => {
  test("no header, or one of more than six lines, is refused", () => {
    expect(violations("src/base/a.ts", "export {};\n")[0]).toContain("says what it is");
    expect(violations("src/base/a.ts", `${"// line\n".repeat(7)}\n`)[0]).toContain("7 lines");
    expect(violations("src/base/a.ts", `${"// line\n".repeat(6)}\n`)).toEqual([]);
    expect(violations("src/base/a.ts", "/**\n * What it is.\n */\n")).toEqual([]);
    expect(violations("scripts/a.ts", "#!/usr/bin/env bun\n// What it is.\n")).toEqual([]);
    expect(violations("plugins/x/handlers/a.ts", `${"// line\n".repeat(12)}\n`)).toEqual([]);
  });

  test("over 400 lines is a warning, over 600 is refused, tables excepted", () => {
    const lines = (count: number) => header + "\n".repeat(count - 1);
    expect(report("test/base/a.test.ts", lines(400))).toEqual({ violations: [], warnings: [] });
    expect(report("test/base/a.test.ts", lines(401)).warnings).toHaveLength(1);
    expect(report("test/base/a.test.ts", lines(600)).violations).toEqual([]);
    expect(report("test/base/a.test.ts", lines(601)).violations).toHaveLength(1);
    expect(violations("src/protocol/messages/00_produce.ts", lines(900))).toEqual([]);
  });

  test.each(["src/base/utils.ts", "src/helpers/a.ts", "test/base/types.test.ts"])("%s", (path) => {
    expect(violations(path, header)[0]).toContain("says nothing");
  });

  test("file names are snake_case", () => {
    expect(violations("test/base/byteReader.test.ts", "")).toHaveLength(1);
    expect(violations("test/base/byte-reader.test.ts", "")).toHaveLength(1);
    expect(violations("test/base/byte_reader.test.ts", "")).toEqual([]);
    expect(violations("test/protocol/00_produce.test.ts", "")).toEqual([]);
  });

  test("paths of one machine and package hosts are refused in any text", () => {
    for (const text of [
      ["", "work", "main"].join("/"),
      ["", "home", "someone", "x"].join("/"),
      `https://${["registry", "npmjs", "org"].join(".")}/x`,
      `https://${["proxy", "golang", "org"].join(".")}`,
    ]) {
      expect(violations("docs/a.md", `see ${text}/\n`)).toHaveLength(1);
    }
    expect(violations("docs/a.md", "a network/home/page and ./work/files\n")).toEqual([]);
  });

  test("a binary file is left alone", () => {
    expect(tidy(new Map([["test/vectors/a.bin", null]])).violations).toEqual([]);
  });
});

describe("tidy() over what is shipped", () => {
  const tree = (files: Record<string, string>) =>
    tidy(new Map(Object.entries(files).map(([path, body]) => [path, header + body])));

  test("a file that no face reaches is dead, though a test imports it", () => {
    const { violations } = tree({
      "mod.ts": 'import "./src/base/used.ts";',
      "src/base/used.ts": 'await import("./also.ts");',
      "src/base/also.ts": "",
      "src/base/dead.ts": "",
      "test/base/dead.test.ts": 'import "../../src/base/dead.ts";',
    });
    expect(violations).toEqual([
      "src/base/dead.ts:1: nothing shipped imports it: use it or remove it",
    ]);
  });

  test("what a face exports has a docstring where it is declared", () => {
    const { violations } = tree({
      "src/record/mod.ts": [
        'export { good, bad as worse, type Shape } from "./a.ts";',
        'export * from "./b.ts";',
        'import { passed } from "./c.ts";',
        "export { passed };",
        "/** Said. */",
        "export const own = 1;",
        "export class Silent {}",
      ].join("\n"),
      "src/record/a.ts": [
        "/** Said. */",
        "export function good() {}",
        "export const bad = 1;",
        "/* not a docstring */",
        "export interface Shape {}",
        "export const notExported = 1;",
      ].join("\n"),
      "src/record/b.ts": "export type Star = 1;\nconst hidden = 1;",
      "src/record/c.ts": "export async function passed() {}",
    });
    expect(violations.map((each) => /"(\w+)"/.exec(each)![1]!).sort()).toEqual([
      "Shape",
      "Silent",
      "Star",
      "bad",
      "passed",
    ]);
  });
});
