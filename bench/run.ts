// Millrace beside Apache Kafka in one run: sides alternate, every side gets the same load, medians are compared.
//   bun bench/run.ts [--rounds 3] [--sides kafka,kafka-fsync,millrace-bun,millrace-deno] [--secs 3] [--warm 8]
//                    [--skip topics,round_robin] [--json FILE] [--from FILE,…] [--write] [-o name=value …]
// --from reads rounds of earlier runs instead of measuring; --write puts the table into bench/RESULTS.md.
// The method is in METHOD.md.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, version as kernel, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerHelp } from "../scripts/usage.ts";
import { tableOf } from "./bars.ts";
import { writeResults } from "./results_page.ts";
import { inRounds, type Round, type Rounds, runFolder } from "./rounds.ts";
import {
  ask,
  type Figures,
  machineBusyS,
  processBusyS,
  removeFolder,
  SIDES,
  type Side,
  startSide,
  tool,
} from "./sides.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    sides: { type: "string", default: SIDES.join(",") },
    secs: { type: "string", default: "3" },
    warm: { type: "string", default: "8" },
    skip: { type: "string", default: "" },
    json: { type: "string" },
    from: { type: "string" },
    write: { type: "boolean", default: false },
    option: { type: "string", short: "o", multiple: true, default: [] },
  },
});
const skip = new Set(flags.skip.split(","));
const secs = `${flags.secs}s`;
const half = `${Number(flags.warm) / 2}s`;

const folder = runFolder("");

/** One side's round: started on a fresh folder, warmed up, measured, ended. */
async function measure(side: Side, n: number): Promise<Round> {
  const home = join(folder, `${side}-${n}`);
  const millrace = side.startsWith("millrace");
  const broker = await startSide(side, home, {
    settleS: 3,
    idleS: 2,
    options: millrace ? flags.option : [],
  });
  const began = { at: Date.now(), busy: machineBusyS(), own: processBusyS(broker.pid) };
  let generatorS = 0;
  const round: Round = {};
  const run = (command: string, ...args: (string | number)[]): Figures => {
    spawnSync("sync");
    const got = ask(command, broker.address, [...args, "-pid", broker.pid]);
    if (got["error"] !== undefined) console.error(`${side}: ${command}: ${got["error"]}`);
    generatorS += Number(got["gen_cpu_s"] ?? 0);
    return got;
  };
  const put = (key: string, value: Figures[string]): void => {
    if (typeof value === "number") round[key] = value;
  };
  const peak = (got: Figures): void =>
    put("peak_rss_mb", Math.max(round["peak_rss_mb"] ?? 0, Number(got["broker_rss_peak_mb"] ?? 0)));
  try {
    put("start_ms", broker.start["first_ack_ms"]);
    put("idle_rss_mb", broker.start["idle_rss_mb"]);
    put("idle_cpu", broker.start["idle_cpu_percent"]);
    run("produce", "-topic", "warm", "-duration", half, "-partitions", 12, "-producers", 2);
    run("rawproduce", "-topic", "warm", "-duration", half, "-conns", 4, "-partitions", 12);

    let got = run("produce", "-topic", "a", "-duration", secs, "-partitions", 12, "-producers", 2);
    put("client_mb_s", got["mb_per_s"]);
    put("client_cpu", got["broker_cpu_s_per_gb"]);
    peak(got);
    got = run(
      "consume",
      "-topic",
      "a",
      "-partitions",
      12,
      "-records",
      Number(got["records"] ?? 0),
      "-duration",
      "8s",
      "-idle",
      "1s",
    );
    put("consume_mb_s", got["mb_per_s"]);
    peak(got);
    got = run(
      "rawproduce",
      "-topic",
      "b",
      "-duration",
      secs,
      "-conns",
      8,
      "-partitions",
      12,
      "-batch-bytes",
      16384,
      "-idempotent",
    );
    put("raw16_mb_s", got["mb_per_s"]);
    put("raw16_cpu", got["broker_cpu_s_per_gb"]);
    peak(got);
    got = run(
      "rawproduce",
      "-topic",
      "c",
      "-duration",
      secs,
      "-conns",
      4,
      "-partitions",
      12,
      "-batch-bytes",
      1_000_000,
      "-idempotent",
    );
    put("raw1m_mb_s", got["mb_per_s"]);
    peak(got);
    got = run(
      "rawconsume",
      "-topic",
      "c",
      "-conns",
      2,
      "-partitions",
      12,
      "-loop",
      "-duration",
      secs,
    );
    put("rawconsume_mb_s", got["mb_per_s"]);
    put("rawconsume_cpu", got["broker_cpu_s_per_gb"]);
    peak(got);
    got = run(
      "rawproduce",
      "-topic",
      "d",
      "-duration",
      secs,
      "-conns",
      8,
      "-partitions",
      12,
      "-batch-bytes",
      1024,
      "-idempotent",
    );
    put("single_req_s", got["requests_per_s"]);
    put("single_p99_ms", got["request_p99_ms"]);
    peak(got);
    got = run("e2e", "-topic", "e", "-rate", 10_000, "-partitions", 12, "-duration", "5s");
    put("e2e_p50_ms", got["e2e_p50_ms"]);
    put("e2e_p99_ms", got["e2e_p99_ms"]);
    peak(got);
    if (!skip.has("round_robin")) {
      got = run("partitions", "-topic", "rr", "-partitions", 1000, "-duration", secs);
      put("round_robin_mb_s", got["mb_per_s"]);
    }
    if (!skip.has("topics"))
      put("topics_ms", run("topics", "-n", 1000, "-delete=false")["usable_ms"]);
    const own = processBusyS(broker.pid) - began.own + generatorS;
    put(
      "others",
      Math.max(0, machineBusyS() - began.busy - own) / ((Date.now() - began.at) / 1000),
    );
  } finally {
    await broker.stop();
    removeFolder(home);
  }
  return round;
}

/** Rounds of several runs, one after another. */
function join2(files: readonly string[]): Rounds {
  const all: Rounds = {};
  for (const file of files) {
    const more = JSON.parse(readFileSync(file, "utf8")) as Rounds;
    for (const side of SIDES)
      if (more[side] !== undefined) all[side] = [...(all[side] ?? []), ...more[side]];
  }
  return all;
}

function heading(rounds: Rounds): string {
  const version = (name: "bun" | "deno") =>
    spawnSync(tool(name), ["--version"], { encoding: "utf8" }).stdout.split("\n")[0]!;
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], {
    encoding: "utf8",
  }).stdout.trim();
  const counts = SIDES.filter((side) => rounds[side] !== undefined).map(
    (side) => `${side} ${rounds[side]!.length}`,
  );
  const processors = cpus();
  return [
    `Rounds: ${counts.join(", ")}; ${flags.secs} s a cell, ${flags.warm} s of warm-up; commit ${commit}.`,
    `Bun ${version("bun")}, ${version("deno")}, Apache Kafka 4.3.1, franz-go 1.22.2.`,
    `${processors.length} × ${processors[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${kernel()}.`,
  ].join("\n");
}

const rounds =
  flags.from === undefined ? await inRounds(flags, folder, measure) : join2(flags.from.split(","));
const text = `${heading(rounds)}\n\n${tableOf(rounds)}`;
console.log(text);
if (flags.write) writeResults("side by side", text);
