// The pages say what is there: links lead somewhere, named files exist, the table of APIs is the handlers'.

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { withApis } from "../scripts/print_apis.ts";

const root = join(import.meta.dirname!, "..");
const pagesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].concat(
  ...["docs", "bench", "plugins", "test/compat"].map(pagesIn),
);

test.each(pages)("%s links to what exists", (page) => {
  const text = readFileSync(join(root, page), "utf8").replace(/^```[\s\S]*?^```/gm, "");
  const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!);
  const missing = targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => !existsSync(join(root, dirname(page), target)));
  expect(missing).toEqual([]);
});

test("docs/KIPS.md names tests that exist, and the APIs that are served", () => {
  const text = readFileSync(join(root, "docs/KIPS.md"), "utf8");
  const named = [...text.matchAll(/`((?:test|scripts|src)\/[\w./-]+)`/g)].map((match) => match[1]!);
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(text).toBe(withApis(text)); // or run scripts/print_apis.ts
});
