// Bundles the program into dist/: millrace.js, with its bytecode beside it (millrace.js.jsc, found by Bun by
// itself; without it the same file runs, slower to start).
//   bun scripts/bundle.ts [--compile] [--measure N]
// --compile makes dist/millrace, an executable with Bun inside. --measure starts each N times on fresh folders.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const root = join(import.meta.dirname!, "..");
const bun = join(root, "node_modules/.bin/bun");
const dist = join(root, "dist");
/** Optional, and native: it is looked for when the program runs. */
const common = ["--target=bun", "--minify", "--bytecode", "--external=@node-rs/crc32"];

build(["--outdir=dist", "--entry-naming=millrace.[ext]"], "dist/millrace.js");
// In parts, inside the one executable: what a start does not need stays on the disk with its bytecode. Bun has
// bytecode of ES modules, and so parts of them, in executables alone.
if (process.argv.includes("--compile"))
  build(["--compile", "--format=esm", "--splitting", "--outfile=dist/millrace"], "dist/millrace");
const at = process.argv.indexOf("--measure");
if (at !== -1) await measure(Number(process.argv[at + 1] ?? 11));

function build(flags: readonly string[], file: string): void {
  const result = spawnSync(bun, ["build", "src/main.ts", ...common, ...flags], {
    cwd: root,
    encoding: "utf8",
  });
  if (result.status !== 0) {
    console.error(`Cannot bundle: ${result.stderr}${result.stdout}`);
    process.exit(1);
  }
  console.log(`${file} ${(statSync(join(root, file)).size / 1e6).toFixed(1)} MB`);
}

async function measure(rounds: number): Promise<void> {
  const programs: [string, string, string[]][] = [
    ["Bun, from source", bun, [join(root, "src/main.ts")]],
    ["Bun, bundled", bun, [join(dist, "millrace.js")]],
    [
      "Deno, from source",
      join(root, "node_modules/.bin/deno"),
      ["run", "-A", join(root, "mod.ts")],
    ],
  ];
  if (existsSync(join(dist, "millrace"))) programs.push(["compiled", join(dist, "millrace"), []]);
  const figures = new Map<string, Start[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, program, args] of programs) {
      figures.set(name, [...(figures.get(name) ?? []), await startOnce(program, args)]);
    }
  }
  console.log(
    "| program | start to ready line, ms: median | least | main thread CPU, ms | idle RSS, MB |",
  );
  console.log("| --- | ---: | ---: | ---: | ---: |");
  for (const [name, starts] of figures) {
    const cells = [
      median(starts.map((each) => each.readyMs)),
      Math.min(...starts.map((each) => each.readyMs)),
      median(starts.map((each) => each.cpuMs)),
      median(starts.map((each) => each.rssMb)),
    ];
    console.log(`| ${name} | ${cells.map((cell) => cell.toFixed(0)).join(" | ")} |`);
  }
}

interface Start {
  readonly readyMs: number;
  readonly cpuMs: number;
  readonly rssMb: number;
}

/** One start on a fresh folder, from the spawn to the ready line. CPU and memory are Linux's figures. */
async function startOnce(program: string, args: readonly string[]): Promise<Start> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-start-"));
  const flags = ["--data", join(folder, "data"), "--kafka", "127.0.0.1:0", "--log-level", "warn"];
  const startMs = performance.now();
  const child = spawn(program, [...args, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout.once("data", () => resolve());
      child.once("exit", (code) => reject(new Error(`${program} ended with ${code}`)));
    });
    const readyMs = performance.now() - startMs;
    const cpuMs = Number(linux(child.pid, "schedstat").split(" ")[0]) / 1e6;
    await new Promise((resolve) => setTimeout(resolve, 500));
    const rss = /VmRSS:\s+(\d+)/.exec(linux(child.pid, "status"));
    return { readyMs, cpuMs, rssMb: Number(rss?.[1] ?? 0) / 1024 };
  } finally {
    child.removeAllListeners("exit");
    const gone = new Promise((resolve) => child.once("exit", resolve));
    if (child.kill("SIGKILL")) await gone;
    rmSync(folder, { recursive: true, force: true });
  }
}

function linux(pid: number | undefined, file: string): string {
  const path = `/proc/${pid}/${file}`;
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
