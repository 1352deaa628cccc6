import { expect, test } from "bun:test";
import { fileMap, firstSentence } from "../../scripts/print_file_map.ts";

test.each([
  ["// One sentence.\n\nconst a = 1;\n", "One sentence"],
  ["// Two lines: of\n// one sentence. Another.\n", "Two lines: of one sentence"],
  ["/**\n * A block. More.\n */\n", "A block"],
  ["#!/usr/bin/env bun\n// After the first line.\n", "After the first line"],
  ["// No full stop\n// at all\ncode();\n", "No full stop at all"],
  ["// Version 1.5 stays whole. Yes.\n", "Version 1.5 stays whole"],
  [`// Cut here: ${"long ".repeat(40)}.\n`, "Cut here"],
])("firstSentence(%j)", (source, wanted) => {
  expect(firstSentence(source)).toBe(wanted);
});

test("fileMap() has a table for each folder and folds the messages", () => {
  const map = fileMap(
    new Map([
      ["mod.ts", "// The face.\n"],
      ["src/base/a.ts", "// A | b.\n"],
      ["src/protocol/messages/00_a.ts", ""],
      ["src/protocol/messages/01_b.ts", ""],
      ["plugins/x/handlers/00_a.ts", ""],
      ["plugins/x/handlers/table.ts", "// The table.\n"],
    ]),
  );
  expect(map).toContain("### Top\n\n| file | what it is |\n|---|---|\n| `mod.ts` | The face |");
  expect(map).toContain("| `a.ts` | A \\| b |");
  expect(map).toContain("| `…` | 2 files, one an API or a kind of record |");
  expect(map).toContain("| `…` | 1 files");
  expect(map).toContain("| `table.ts` | The table |");
  expect(map).not.toContain("00_a");
});
