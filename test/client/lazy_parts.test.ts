// What most clients never use is loaded when it is first asked for: no static import leads there from the client's face.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { importsOf } from "../../scripts/source_scan.ts";

const root = join(import.meta.dirname!, "../..");

/** Every file that the imports by statement of one lead to, from the root. */
function loadedBy(entry: string): ReadonlySet<string> {
  const found = new Set([join(root, entry)]);
  for (const path of found) {
    for (const { specifier, kind } of importsOf(readFileSync(path, "utf8"))) {
      if (kind === "value" && specifier?.startsWith(".") === true) {
        found.add(join(dirname(path), specifier));
      }
    }
  }
  return new Set([...found].map((path) => relative(root, path)));
}

test("groups, transactions and tables are not loaded with the client", () => {
  const loaded = loadedBy("src/client/mod.ts");
  expect(loaded.size).toBeGreaterThan(20);
  const late = [
    "src/client/coordinator.ts",
    "src/client/group/group_engine.ts",
    "src/client/group/group_admin.ts",
    "src/client/table/table.ts",
  ];
  const early = [...loaded].filter(
    (path) => path.startsWith("src/client/transaction/") || late.includes(path),
  );
  expect(early).toEqual([]);
  // What a producer or consumer with its name in the options needs at once.
  expect(loaded.has("src/client/transactional_producer.ts")).toBe(true);
});
