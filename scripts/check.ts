// Everything that can be said of the tree without running it: `npm run check`. Exit code 1 when anything fails.
//   bun scripts/check.ts [--junit=FILE]
// With --junit=FILE the outcome is also written there, one case a check, for .ci/run to count.

import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const root = join(import.meta.dirname!, "..");
const bin = (name: string): string => join(root, "node_modules/.bin", name);
const present = (paths: readonly string[]): string[] =>
  paths.filter((path) => existsSync(join(root, path)));

const checks: readonly (readonly [name: string, command: string, args: readonly string[]])[] = [
  ["types", bin("tsc"), ["--noEmit", "-p", "tsconfig.json"]],
  ["types of the core rooms", bin("tsc"), ["--noEmit", "-p", "tsconfig.core.json"]],
  [
    "types under Deno",
    bin("deno"),
    [
      "check",
      "--quiet",
      ...present([
        "mod.ts",
        "src",
        "plugins",
        "scripts",
        "examples",
        "test/support/bun_test_for_deno.ts",
      ]),
    ],
  ],
  ["biome", bin("biome"), ["ci", "--colors=off", "."]],
  ["imports", bin("bun"), ["run", "scripts/check_imports.ts"]],
  ["exports", bin("bun"), ["run", "scripts/check_exports.ts"]],
  ["tidy", bin("bun"), ["run", "scripts/tidy.ts"]],
  ["edge bundles", bin("bun"), ["run", "scripts/bundle_core.ts"]],
  ["file map", bin("bun"), ["run", "scripts/print_file_map.ts", "--check"]],
];

interface Result {
  readonly name: string;
  readonly ok: boolean;
  readonly output: string;
  readonly ms: number;
}

function run(name: string, command: string, args: readonly string[]): Promise<Result> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (text: Buffer): void => {
      output += text.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const finish = (ok: boolean): void =>
      resolve({ name, ok, output, ms: Math.round(performance.now() - startMs) });
    child.on("error", (error) => {
      output += error.message;
      finish(false);
    });
    child.on("close", (code) => finish(code === 0));
  });
}

const escaped = (text: string): string =>
  text.replace(/[<&"]/g, (char) => ({ "<": "&lt;", "&": "&amp;", '"': "&quot;" })[char]!);

const results: Result[] = [];
for (const [name, command, args] of checks) {
  const result = await run(name, command, args);
  results.push(result);
  console.log(`${result.ok ? "ok  " : "FAIL"} ${name} (${result.ms} ms)`);
  if (!result.ok) console.log(result.output.trimEnd());
}
const failed = results.filter(({ ok }) => !ok).length;
const outfile = process.argv.find((arg) => arg.startsWith("--junit="))?.slice("--junit=".length);
if (outfile !== undefined) {
  const cases = results.map(
    ({ name, ok }) => `<testcase name="${escaped(name)}">${ok ? "" : "<failure/>"}</testcase>`,
  );
  writeFileSync(
    outfile,
    `<testsuites tests="${results.length}" failures="${failed}" skipped="0">${cases.join("")}</testsuites>\n`,
  );
}
console.log(`check: ${results.length - failed} of ${results.length}`);
process.exit(failed === 0 ? 0 : 1);
