import { expect, test } from "bun:test";
import { javaTrim } from "../../src/base/java_trim.ts";

test("takes away what Java calls blank, and nothing else", () => {
  expect(javaTrim("")).toBe("");
  expect(javaTrim(" \t\r\n\0\u001f")).toBe("");
  expect(javaTrim("\u0001 a b\u001f ")).toBe("a b");
  // White space to Unicode, and to JavaScript.
  for (const kept of ["\u00a0", "\u3000", "\ufeff", "\u2028", "\u007f"]) {
    expect(javaTrim(` ${kept} `)).toBe(kept);
  }
});
