// House rules that neither the compiler nor biome knows: `bun run scripts/tidy.ts`. Exit code 1 on a violation.
// Lengths, file names, header comments, docstrings behind every face, names that the core rooms may not say,
// dead files, and machine paths or package hosts in anything committed.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { undocumentedExports } from "./face_docs.ts";
import { codeOnly, importsOf, lineAt } from "./source_scan.ts";
import { answerHelp } from "./usage.ts";

const warnLines = 400;
const stopLines = 600;
/** Tables of data, one entry after another: splitting one helps nobody. */
const exemptFromLength = [
  /^src\/protocol\/messages\//,
  /^src\/protocol\/internal_records\//,
  /\/vectors\//,
];
/** Files that were too long when the rule came; this list may only shrink. */
const tooLongSoFar: readonly string[] = [];

const headerLinesMax = 6;
/** Their header carries the notes of each version. */
const longHeader = [/^src\/protocol\/messages\//, /\/handlers\//];
const longHeaderLinesMax = 16;

const coreRooms = /^src\/(base|record|protocol|contracts|core)\//;
const shipped = /^(src\/|plugins\/|mod\.ts$)/;
const bannedFileNames = /^(utils?|helpers?|common|misc|types)$/;

/** What no core room may say: each would make a run depend on more than its seed, or not start on the edge. */
const bannedNames: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["Date.now", /(?<![\w$.])Date\s*\.\s*now\b/g],
  ["new Date(", /\bnew\s+Date\b/g],
  ["Math.random", /(?<![\w$.])Math\s*\.\s*random\b/g],
  ["performance", /(?<![\w$.])performance\s*[.[]/g],
  ["a timer", /(?<![\w$.])(set|clear)(Timeout|Interval|Immediate)\b(?!\s*\??:)/g],
  ["queueMicrotask", /(?<![\w$.])queueMicrotask\b/g],
  ["crypto.", /(?<![\w$.])crypto\s*\./g],
  ["fetch(", /(?:\b(?:await|return)\s+|[=(,?&|]\s*|=>\s*)fetch\s*\(/g],
  ["ReadableStream", /(?<![\w$.])ReadableStream\b/g],
  ["process", /(?<![\w$.])process\s*[.[]/g],
  ["Deno", /(?<![\w$.])Deno\s*[.[]/g],
  ["Bun", /(?<![\w$.])Bun\s*[.[]/g],
  ["console", /(?<![\w$.])console\s*[.[]/g],
  ["globalThis", /(?<![\w$.])globalThis\b/g],
  ["Atomics.wait", /(?<![\w$.])Atomics\s*\.\s*wait/g],
  ["WeakRef", /(?<![\w$.])(WeakRef|FinalizationRegistry)\b/g],
  ["eval", /(?<![\w$.])eval\s*\(|\bnew\s+Function\b/g],
];

// Escaped so that this file does not contain what it refuses.
const machinePath = /(?<![\w.])\/(?:work|root|home\/[a-z]\w*|Users\/[A-Za-z]\w*)\//;
const packageHost =
  /\b(?:registry\.(?:npmjs|yarnpkg|npmmirror)\.|npm\.jsr\.|proxy\.golang\.|sum\.golang\.|files\.pythonhosted\.|pypi\.org|repo1?\.maven\.|packages\.confluent\.)/;

export interface TidyReport {
  readonly violations: readonly string[];
  readonly warnings: readonly string[];
}

/** Every file by path from the root; `null` for one that is not text. */
export type Files = ReadonlyMap<string, string | null>;

/** Committed files and those about to be: what git does not ignore. */
export function readFiles(root: string): Files {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  const files = new Map<string, string | null>();
  for (const path of listed
    .split("\0")
    .filter((each) => each !== "")
    .sort()) {
    if (!existsSync(join(root, path))) continue; // deleted, not yet committed
    const bytes = readFileSync(join(root, path));
    files.set(path, bytes.subarray(0, 8_000).includes(0) ? null : bytes.toString("utf8"));
  }
  return files;
}

export function tidy(files: Files): TidyReport {
  const violations: string[] = [];
  const warnings: string[] = [];
  for (const [path, source] of files) {
    if (source === null) continue;
    checkSecrets(path, source, violations);
    if (!path.endsWith(".ts")) continue;
    checkName(path, violations);
    checkLength(path, source, violations, warnings);
    if (/^(src|plugins|scripts|bench)\/|^mod\.ts$/.test(path))
      checkHeader(path, source, violations);
    if (coreRooms.test(path)) checkBannedNames(path, source, violations);
  }
  const sources = new Map([...files].filter((each): each is [string, string] => each[1] !== null));
  checkDeadFiles(sources, violations);
  for (const face of [...sources.keys()].filter(isFace)) {
    for (const { name, path, line } of undocumentedExports(face, sources)) {
      violations.push(
        `${path}:${line}: "${name}" is exported by ${face}: give it a /** docstring */`,
      );
    }
  }
  return { violations: [...new Set(violations)].sort(), warnings: warnings.sort() };
}

const isFace = (path: string): boolean => /^(src\/\w+\/|plugins\/[\w-]+\/)?mod\.ts$/.test(path);

function checkSecrets(path: string, source: string, violations: string[]): void {
  source.split("\n").forEach((line, index) => {
    if (machinePath.test(line))
      violations.push(`${path}:${index + 1}: names a path of one machine`);
    if (packageHost.test(line)) violations.push(`${path}:${index + 1}: names a package host`);
  });
}

function checkName(path: string, violations: string[]): void {
  const parts = path.split("/");
  const file = parts.at(-1)!.replace(/(\.test|\.d|\.config)?\.ts$/, "");
  for (const part of [...parts.slice(0, -1), file]) {
    if (bannedFileNames.test(part)) {
      violations.push(`${path}:1: "${part}" says nothing: name it after the main thing in it`);
    }
  }
  if (!/^[a-z0-9]+(_[a-z0-9]+)*$/.test(file))
    violations.push(`${path}:1: file names are snake_case`);
}

function checkLength(path: string, source: string, violations: string[], warnings: string[]): void {
  if (exemptFromLength.some((pattern) => pattern.test(path))) return;
  const lines = source.split("\n").length - 1;
  if (lines > stopLines && !tooLongSoFar.includes(path)) {
    violations.push(`${path}:${lines}: ${lines} lines, must be <= ${stopLines}`);
  } else if (lines > warnLines) {
    warnings.push(`${path}:${lines}: ${lines} lines, better <= ${warnLines}`);
  }
}

function checkHeader(path: string, source: string, violations: string[]): void {
  const lines = source.split("\n");
  const start = lines[0]!.startsWith("#!") ? 1 : 0;
  const first = lines[start] ?? "";
  let count = 0;
  if (first.startsWith("//")) {
    while (lines[start + count]?.startsWith("//")) count++;
  } else if (first.startsWith("/*")) {
    while (lines[start + count] !== undefined && !lines[start + count]!.includes("*/")) count++;
    count++;
  }
  const max = longHeader.some((pattern) => pattern.test(path))
    ? longHeaderLinesMax
    : headerLinesMax;
  if (count === 0) violations.push(`${path}:1: opens with no comment that says what it is`);
  else if (count > max) violations.push(`${path}:1: header of ${count} lines, must be <= ${max}`);
}

function checkBannedNames(path: string, source: string, violations: string[]): void {
  const code = codeOnly(source);
  for (const [name, pattern] of bannedNames) {
    // The core has appends and fetches of its own; a global one does not exist for its compiler.
    if (name === "fetch(" && /\b(?:function|const)\s+fetch\b/.test(code)) continue;
    for (const match of code.matchAll(pattern)) {
      violations.push(`${path}:${lineAt(code, match.index)}: core rooms may not use ${name}`);
    }
  }
  for (const each of importsOf(source)) {
    if (/^(node|bun|cloudflare):/.test(each.specifier ?? "")) {
      violations.push(`${path}:${each.line}: core rooms may not import ${each.specifier}`);
    }
  }
}

/** Where reading starts: programs, and the lists of all declared messages, which tools and tests are for. */
const entries =
  /^(src\/main\.ts|src\/cli\/main\.ts|src\/core\/host\.d\.ts|src\/protocol\/all_\w+\.ts)$/;

/** A shipped file that no shipped file reaches is code nobody runs, whatever its tests say. */
function checkDeadFiles(sources: ReadonlyMap<string, string>, violations: string[]): void {
  const reached = new Set<string>();
  const queue = [...sources.keys()].filter((path) => isFace(path) || entries.test(path));
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const { specifier } of importsOf(sources.get(path) ?? "")) {
      if (specifier?.startsWith(".")) queue.push(join(path, "..", specifier));
    }
  }
  for (const path of sources.keys()) {
    if (shipped.test(path) && path.endsWith(".ts") && !reached.has(path)) {
      violations.push(`${path}:1: nothing shipped imports it: use it or remove it`);
    }
  }
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  const root = join(import.meta.dirname!, "..");
  const { violations, warnings } = tidy(readFiles(root));
  for (const warning of warnings) console.log(`warning: ${warning}`);
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) {
    console.error(`tidy: ${violations.length} violations`);
    process.exit(1);
  }
  console.log(`tidy: in order, ${warnings.length} warnings`);
}
