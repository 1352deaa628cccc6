// Every script of scripts/ and bench/ says to --help how it is used, and does nothing else.

import { describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { importsOf } from "../../scripts/source_scan.ts";
import { usageIn } from "../../scripts/usage.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bun = join(root, "node_modules/.bin/bun");
const AT_ONCE = 3;

/** Files under scripts/ and bench/, by path from the root. */
async function filesOf(extension: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of ["scripts", "bench"]) {
    for (const name of await readdir(join(root, folder), { recursive: true })) {
      if (name.endsWith(extension)) found.push(join(folder, name).replaceAll("\\", "/"));
    }
  }
  return found.sort();
}

/** Those that are run, and not only imported by another. */
async function scripts(): Promise<string[]> {
  const sources = new Map<string, string>();
  for (const file of await filesOf(".ts")) {
    sources.set(file, await readFile(join(root, file), "utf8"));
  }
  const imported = new Set<string>();
  for (const [file, source] of sources) {
    for (const { specifier } of importsOf(source)) {
      if (specifier === null || !specifier.startsWith(".")) continue;
      imported.add(new URL(specifier, new URL(file, "file:///")).pathname.slice(1));
    }
  }
  return [...sources.keys()].filter(
    (file) => !imported.has(file) || sources.get(file)!.includes("import.meta.main"),
  );
}

/** @param folder Where it would leave what it makes, if it made anything */
async function help(command: string, args: readonly string[], folder: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, [...args, "--help"], {
    cwd: folder,
    env: { ...process.env, TMPDIR: folder },
  });
  return `${stderr}${stdout}`;
}

describe("--help", () => {
  test("of every script says how it is called, ends well, and leaves nothing behind", async () => {
    const all = await scripts();
    expect(all.length).toBeGreaterThan(20);
    expect(all).toContain("bench/run.ts");
    const folder = await mkdtemp(join(tmpdir(), "millrace-usage-"));
    const wrong: string[] = [];
    const left = [...all];
    const ask = async () => {
      for (let file = left.pop(); file !== undefined; file = left.pop()) {
        const text = await help(bun, [join(root, file)], folder);
        const says = /^Usage:\n( {2}.*\n)+\n\S/.test(text) && text.includes(`  bun ${file}`);
        if (!says) wrong.push(`${file}: ${text}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
    for (const file of await filesOf(".sh")) {
      const text = await help("bash", [join(root, file)], folder);
      if (!text.startsWith(`Usage: ${file}`)) wrong.push(`${file}: ${text}`);
    }
    expect(wrong).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  }, 60_000);

  test("is the opening comment, the indented lines first", () => {
    const source = `// What it does.\n//   bun scripts/x.ts [-n N]\n//                    [--more]\n//\n// And more.\n\n// Not this.\ncode();\n`;
    expect(usageIn("scripts/x.ts", source)).toBe(
      "Usage:\n  bun scripts/x.ts [-n N]\n                   [--more]\n\nWhat it does.\nAnd more.",
    );
    expect(usageIn("scripts/y.ts", "// What it does.\ncode();\n")).toBe(
      "Usage:\n  bun scripts/y.ts\n\nWhat it does.",
    );
  });
});
