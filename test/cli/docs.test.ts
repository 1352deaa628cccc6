import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { commands } from "../../src/cli/main.ts";

test("docs/CLI.md names every command and every flag, and no flag that is not there", async () => {
  const text = readFileSync(join(import.meta.dirname!, "..", "..", "docs", "CLI.md"), "utf8");
  const known = new Set(["--help"]);
  for (const { name, load } of commands) {
    const heading =
      name.split(" ").length > 1 && !name.startsWith("config") ? name : name.split(" ")[0]!;
    expect(text).toContain(heading);
    for (const flag of (await load()).flags) {
      known.add(`--${flag.name}`);
      expect(`${name}: ${text.includes(`\`--${flag.name}`)}`).toBe(`${name}: true`);
    }
  }
  const named = [...text.matchAll(/`(--[a-z][a-z-]+)/g)].map((match) => match[1]!);
  expect(named.filter((flag) => !known.has(flag))).toEqual([]);
});
