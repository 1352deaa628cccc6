import { describe, expect, test } from "bun:test";
import { codeOnly, importsOf } from "../../scripts/source_scan.ts";

describe("codeOnly()", () => {
  test.each([
    ["a // b\nc", "a     \nc"],
    ["a /* b\nc */ d", "a     \n     d"],
    ['x = "Date.now() // no";', 'x = "                ";'],
    ["x = 'it\\'s';", "x = '     ';"],
    ["`a ${b + `c ${d}`} e`;", "`  ${b + `  ${d}`}  `;"],
    ["`${{ a: 1 }}` + b", "`${{ a: 1 }}` + b"],
    ["/[/'\"]/.test(a) / 2 / b", "/     /.test(a) / 2 / b"],
    ["return /a\\/b/g;", "return /    /g;"],
    ["`unclosed", "`        "],
  ])("%j", (source, wanted) => {
    expect(codeOnly(source)).toBe(wanted);
  });
});

describe("importsOf()", () => {
  test("finds every form, with its kind and line", () => {
    const source = [
      'import "./side.ts";',
      'import a, { b } from "./value.ts";',
      "import {",
      "  type C,",
      '} from "./inline_type.ts";',
      'import type { D } from "./type.ts";',
      'import type * as E from "./namespace_type.ts";',
      'import type from "./named_type.ts";',
      'export * from "./all.ts";',
      'export * as f from "./all_as.ts";',
      'export { g } from "./some.ts";',
      'export type { H } from "./some_types.ts";',
      'const i = await import("./dynamic.ts");',
      "const j = await import(name);",
    ].join("\n");
    expect(importsOf(source).map((each) => [each.line, each.kind, each.specifier])).toEqual([
      [1, "value", "./side.ts"],
      [2, "value", "./value.ts"],
      [3, "value", "./inline_type.ts"],
      [6, "type", "./type.ts"],
      [7, "type", "./namespace_type.ts"],
      [8, "value", "./named_type.ts"],
      [9, "value", "./all.ts"],
      [10, "value", "./all_as.ts"],
      [11, "value", "./some.ts"],
      [12, "type", "./some_types.ts"],
      [13, "dynamic", "./dynamic.ts"],
      [14, "dynamic", null],
    ]);
  });

  test("is not fooled by text, comments, members and declarations", () => {
    const source = [
      '// import "./comment.ts";',
      "const text = 'import \"./string.ts\"';",
      'const path = `import x from "./template.ts"`;',
      "import.meta.main;",
      "thing.import('./member.ts');",
      "export const from = 1;",
      'export function f() { return from + "./no.ts"; }',
      'export type T = { from: "./neither.ts" };',
    ].join("\n");
    expect(importsOf(source)).toEqual([]);
  });
});
