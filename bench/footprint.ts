// What Millrace costs before anybody uses it: start to the first acknowledged record on a fresh folder (from source
// on Bun and Deno, and as one bundled file), idle memory, and 100,000 idle partitions in memory and in files.
//   bun bench/footprint.ts [--starts 11] [--partitions 100000] [--runtimes bun,compiled,bundle,deno] [--write]
// --write puts the table into bench/RESULTS.md. Each start is timed from outside, by kbench: from the fork to the
// acknowledgement of a record in a topic created for it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerHelp } from "../scripts/usage.ts";
import { kafkajs } from "../test/compat/kafkajs/client.ts";
import { writeResults } from "./results_page.ts";
import { ask, median, removeFolder, show, startSide, tool } from "./sides.ts";

answerHelp(import.meta.url);

const repo = join(import.meta.dirname, "..");
const { values: flags } = parseArgs({
  options: {
    starts: { type: "string", default: "11" },
    partitions: { type: "string", default: "100000" },
    runtimes: { type: "string", default: "bun,compiled,bundle,deno" },
    write: { type: "boolean", default: false },
  },
});
const folder = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "millrace-footprint-"));

/** The words that start each program, and the side whose flags it takes. */
const PROGRAMS = {
  bun: {
    label: "Bun, from source",
    side: "millrace-bun",
    words: undefined,
    startMs: 100,
    idleMb: 50,
  },
  compiled: {
    label: "Bun, one bundled file (compiled)",
    side: "millrace-bun",
    words: [join(repo, "dist/millrace")],
    startMs: 45,
    idleMb: 50,
  },
  bundle: {
    label: "Bun, bundled, bytecode beside it",
    side: "millrace-bun",
    words: [tool("bun"), join(repo, "dist/millrace.js")],
    startMs: 45,
    idleMb: 50,
  },
  deno: {
    label: "Deno, from source",
    side: "millrace-deno",
    words: undefined,
    startMs: 200,
    idleMb: 70,
  },
} as const;
type Name = keyof typeof PROGRAMS;
const names = flags.runtimes.split(",") as Name[];
if (names.includes("bundle") || names.includes("compiled")) {
  const done = spawnSync(tool("bun"), ["run", join(repo, "scripts/bundle.ts"), "--compile"], {
    cwd: repo,
    encoding: "utf8",
  });
  if (done.status !== 0)
    throw new Error(`the bundle could not be made: ${done.stderr}${done.stdout}`);
}

function residentMb(pid: number): number {
  const line = readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/);
  return Number(line?.[1]) / 1024;
}

function filesIn(path: string): { files: number; mb: number } {
  let files = 0;
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files++;
    bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return { files, mb: bytes / 1e6 };
}

let serial = 0;
function start(name: Name, settleS: number, home = join(folder, String(serial++))) {
  const { side, words } = PROGRAMS[name];
  return startSide(side, home, {
    settleS,
    idleS: 0,
    ...(words === undefined ? {} : { program: words }),
  });
}

interface Cost {
  startMs: number[];
  idleMb: number[];
  partitions?: string;
}

/** Starts in turns, so that a busy minute of the machine falls on every program. */
async function starts(costs: Map<Name, Cost>): Promise<void> {
  for (let n = 0; n < Number(flags.starts); n++) {
    for (const name of names) {
      const home = join(folder, `${name}-${n}`);
      const broker = await start(name, n < 3 ? 5 : 0, home);
      const cost = costs.get(name)!;
      cost.startMs.push(Number(broker.start["first_ack_ms"]));
      if (n < 3) cost.idleMb.push(Number(broker.start["idle_rss_mb"]));
      await broker.stop();
      removeFolder(home);
    }
  }
}

/** Many idle partitions: memory of each, files of all, and a start that finds them again. */
async function idlePartitions(name: Name): Promise<string> {
  const wanted = Number(flags.partitions);
  const home = join(folder, `${name}-partitions`);
  let broker = await start(name, 5, home);
  const before = residentMb(broker.pid);
  const filesBefore = filesIn(join(home, "data")).files;
  const args = [
    "-topic",
    "idle",
    "-n",
    wanted / 100,
    "-partitions",
    100,
    "-per-request",
    10,
    "-delete=false",
  ];
  const made = ask("topics", broker.address, args, 600_000);
  if (made["error"] !== undefined) throw new Error(`${name}: ${made["error"]}`);
  await Bun.sleep(10_000);
  const grownKb = ((residentMb(broker.pid) - before) * 1024) / wanted;
  const { files, mb } = filesIn(join(home, "data"));
  await broker.stop();
  const began = performance.now();
  broker = await start(name, 5, home);
  const againMs = Number(broker.start["first_ack_ms"]);
  const admin = kafkajs(broker.address).admin();
  await admin.connect();
  const found = await admin.fetchTopicMetadata();
  await admin.disconnect();
  const kept = found.topics.reduce((sum, each) => sum + each.partitions.length, 0);
  if (kept < wanted) throw new Error(`${name}: ${kept} of ${wanted} partitions after a restart`);
  const againKb = ((residentMb(broker.pid) - before) * 1024) / wanted;
  await broker.stop();
  removeFolder(home);
  console.error(
    `${name}: partitions measured in ${Math.round((performance.now() - began) / 1000)} s`,
  );
  const label = `${PROGRAMS[name].label}, ${wanted.toLocaleString("en-US")} idle partitions`;
  return `| ${label} | ${show(grownKb)} (≤ 2) ${grownKb <= 2 ? "✓" : "✗"} | ${show(againKb)} | ${files - filesBefore} (${show(mb)} MB) | ${show(Number(made["usable_ms"]))} | ${show(againMs)} |`;
}

const costs = new Map<Name, Cost>(names.map((name) => [name, { startMs: [], idleMb: [] }]));
const lines: string[] = [];
try {
  await starts(costs);
  lines.push(`${flags.starts} starts each, in turns.`, "");
  lines.push(
    "| program | start to first acknowledged record, ms: median | least | idle memory after 5 s, MB |",
    "| --- | ---: | ---: | ---: |",
  );
  for (const name of names) {
    const { label, startMs, idleMb } = PROGRAMS[name];
    const cost = costs.get(name)!;
    const at = median(cost.startMs)!;
    const mb = median(cost.idleMb)!;
    lines.push(
      `| ${label} | ${show(at)} (< ${startMs}) ${at < startMs ? "✓" : "✗"} | ${show(Math.min(...cost.startMs))} | ${show(mb)} (< ${idleMb}) ${mb < idleMb ? "✓" : "✗"} |`,
    );
  }
  if (Number(flags.partitions) > 0) {
    lines.push(
      "",
      "| 100 partitions to a topic | KB of memory each | after a restart | files added | created in, ms | restart to first ack, ms |",
      "| --- | ---: | ---: | ---: | ---: | ---: |",
    );
    for (const name of names) {
      if (name === "bun" || name === "deno") lines.push(await idlePartitions(name));
    }
  }
} finally {
  removeFolder(folder);
}
const text = lines.join("\n");
console.log(text);
if (flags.write) writeResults("footprint", text);
