// Bundles Millrace for the edge and holds what was promised of it: what a start loads is under 120 kB gzip, all of the core under
// 200 (ADR 40, ADR 46), and in no bundle is a node: import, eval, or a name of Bun, Deno or Node.
// Run: bun run scripts/bundle_core.ts. Exit code 1 otherwise.

import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { codeOnly } from "./source_scan.ts";
import { answerHelp } from "./usage.ts";

const root = join(import.meta.dirname!, "..");

/** What is measured: an entry, and the most it may weigh, in thousands of bytes of gzip. */
interface Weighed {
  readonly name: string;
  /** Paths from the root; all of their exports are kept. */
  readonly entries: readonly string[];
  /** Of what a start loads. */
  readonly gzipKbMax: number;
  /** Of that and what comes on first use: a bundler that makes one file carries all. */
  readonly allGzipKbMax: number;
}

const KB = 1000;
const weighed: readonly Weighed[] = [
  { name: "core", entries: ["src/core/mod.ts"], gzipKbMax: 120, allGzipKbMax: 200 },
  {
    name: "core, storage-kv and runtime",
    entries: ["src/edge/object_broker.ts"],
    gzipKbMax: 120,
    allGzipKbMax: 220,
  },
  // With the HTTP face and hono.
  { name: "millrace/edge", entries: ["src/edge/mod.ts"], gzipKbMax: 120, allGzipKbMax: 250 },
  {
    name: "protocol, all 89 APIs",
    entries: ["src/protocol/all_messages.ts"],
    gzipKbMax: 20,
    allGzipKbMax: 20,
  },
];

/** What no bundle for the edge may hold: it would not start there, or not run. Searched outside strings. */
const refused: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["eval", /(?<![\w$.])eval\s*\(/],
  ["new Function", /(?<![\w$.])(?:new\s+)?Function\s*\(/],
  ["require", /(?<![\w$.])(?:__)?require\s*\(/],
  ["process", /(?<![\w$.])process\s*[.[]/],
  ["Deno", /(?<![\w$.])Deno\s*[.[]/],
  ["Bun", /(?<![\w$.])Bun\s*[.[]/],
  ["Buffer", /(?<![\w$.])Buffer\s*[.[]/],
  ["setImmediate", /(?<![\w$.])setImmediate\s*\(/],
  ["runtime compilation of WebAssembly", /\bWebAssembly\s*\.\s*(?:compile|Module)\b/],
];

/** What is wrong with a bundle's code. */
export function faultsOf(source: string): readonly string[] {
  const code = codeOnly(source);
  const faults = refused.filter(([, pattern]) => pattern.test(code)).map(([name]) => name);
  // A specifier is a string, so the text as it is.
  for (const [, specifier] of source.matchAll(
    /(?:\bfrom|\bimport|\bimport\s*\()\s*["']((?:node|bun|cloudflare):[^"']*)["']/g,
  )) {
    faults.push(`import of ${specifier}`);
  }
  return faults;
}

interface Size {
  bytes: number;
  gzipBytes: number;
}

interface Bundle {
  readonly code: string;
  /** The entries, and all that they import by name. */
  readonly atStart: Size;
  /** What only import() loads, when it is first asked for. */
  readonly later: Size;
}

/** Bundles as a project's own tools would, minified; .wasm stays a module of its own and is weighed with it. */
async function bundle(entries: readonly string[]): Promise<Bundle> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-edge-"));
  try {
    const built = await Bun.build({
      entrypoints: entries.map((entry) => join(root, entry)),
      outdir: folder,
      target: "browser",
      format: "esm",
      conditions: ["workerd"],
      minify: true,
      splitting: true,
      plugins: [wasmBeside(folder)],
    });
    if (!built.success) throw new Error(built.logs.map(String).join("\n"));
    const entryNames = built.outputs
      .filter((output) => output.kind === "entry-point")
      .map((output) => basename(output.path));
    const first = importedBy(folder, entryNames);
    const atStart: Size = { bytes: 0, gzipBytes: 0 };
    const later: Size = { bytes: 0, gzipBytes: 0 };
    let code = "";
    for (const name of readdirSync(folder)) {
      const content = readFileSync(join(folder, name));
      const size = first.has(name) ? atStart : later;
      size.bytes += content.byteLength;
      size.gzipBytes += gzipSync(content, { level: 9 }).byteLength;
      if (name.endsWith(".js")) code += content.toString("utf8");
    }
    return { code, atStart, later };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The files named, and those that they import by a statement, however far away. */
function importedBy(folder: string, names: readonly string[]): ReadonlySet<string> {
  const found = new Set(names);
  for (const name of found) {
    if (!name.endsWith(".js")) continue;
    const source = readFileSync(join(folder, name), "utf8");
    for (const [, path] of source.matchAll(/(?:\bfrom|\bimport)\s*"\.\/([^"]+)"/g))
      found.add(path!);
  }
  return found;
}

function wasmBeside(folder: string): Bun.BunPlugin {
  return {
    name: "wasm beside",
    setup(build) {
      build.onResolve({ filter: /\.wasm$/ }, ({ path, importer }) => {
        copyFileSync(join(importer, "..", path), join(folder, basename(path)));
        return { path: `./${basename(path)}`, external: true };
      });
    },
  };
}

function inWords({ bytes, gzipBytes }: Size): string {
  return `${(bytes / KB).toFixed(1)} kB, ${(gzipBytes / KB).toFixed(1)} kB gzip`;
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  let failed = false;
  for (const { name, entries, gzipKbMax, allGzipKbMax } of weighed) {
    const { code, atStart, later } = await bundle(entries);
    const faults = [...faultsOf(code)];
    const allBytes = atStart.gzipBytes + later.gzipBytes;
    if (atStart.gzipBytes > gzipKbMax * KB) faults.push(`must be <= ${gzipKbMax} kB gzip`);
    if (allBytes > allGzipKbMax * KB) faults.push(`all must be <= ${allGzipKbMax} kB gzip`);
    const all = `in all ${(allBytes / KB).toFixed(1)} kB gzip, at most ${allGzipKbMax}`;
    const more = later.bytes === 0 ? "" : `; on first use ${inWords(later)}; ${all}`;
    console.log(
      `${faults.length === 0 ? "ok" : "not ok"} ${name}: ${inWords(atStart)} (at most ${gzipKbMax})${more}`,
    );
    for (const fault of faults) console.log(`  ${name}: ${fault}`);
    failed ||= faults.length > 0;
  }
  if (failed) process.exit(1);
}
