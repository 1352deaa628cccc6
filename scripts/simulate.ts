// Runs simulations: one seed, in words, or many. See docs/SIMULATION.md. Exit code 1, and one line to replay it, when one failed.
//   bun scripts/simulate.ts --seed 42                 one seed, every line of its trace
//   bun scripts/simulate.ts --seeds 20000 --from 1    that many, from a start
//   bun scripts/simulate.ts --minutes 2 --workers 2   as many as there is time for, in two processes
//     [--stride N] [--mutation NAME] [--groups] [--transactions] [--cluster] [--keep-going] [--hashes] [--quiet]
// The same with `deno run -A`.

import { execFileSync, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  CLUSTER_MUTATIONS,
  type ClusterMutation,
} from "../src/testing/simulator/cluster/cluster_mutations.ts";
import { runClusterSeed } from "../src/testing/simulator/cluster/cluster_simulator.ts";
import { type AnyMutation, MUTATIONS } from "../src/testing/simulator/mutations.ts";
import { runSeed, type SimulationResult } from "../src/testing/simulator/simulator.ts";
import { TRANSACTION_MUTATIONS } from "../src/testing/simulator/transactions/mutations.ts";
import { answerHelp, usageOf } from "./usage.ts";

answerHelp(import.meta.url);

const REPORT_EVERY_MS = 10_000;
const TAIL_LINES = 60;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    from: { type: "string" },
    stride: { type: "string", default: "1" },
    workers: { type: "string", default: "1" },
    mutation: { type: "string" },
    groups: { type: "boolean", default: false },
    transactions: { type: "boolean", default: false },
    cluster: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
    hashes: { type: "boolean", default: false },
    quiet: { type: "boolean", default: false },
  },
});

const kinds = { withGroups: values.groups, withTransactions: values.transactions };
const kindFlags = [
  ...(values.groups ? ["--groups"] : []),
  ...(values.transactions ? ["--transactions"] : []),
  ...(values.cluster ? ["--cluster"] : []),
];
if (values.cluster && (values.groups || values.transactions)) {
  console.error("--cluster has clients of its own: neither --groups nor --transactions");
  process.exit(2);
}
const mutation = (values.mutation ?? null) as AnyMutation | ClusterMutation | null;
const mutations: readonly (AnyMutation | ClusterMutation)[] = values.cluster
  ? CLUSTER_MUTATIONS
  : [...MUTATIONS, ...TRANSACTION_MUTATIONS];
if (mutation !== null && !mutations.includes(mutation)) {
  console.error(`--mutation is one of ${mutations.join(", ")}`);
  process.exit(2);
}
if (values.seed === undefined && !values.seeds && !values.minutes) {
  console.error(usageOf(import.meta.url));
  process.exit(2);
}

if (values.seed !== undefined) {
  const seed = numberOf("seed", values.seed);
  const onLine = values.quiet ? undefined : (line: string) => console.log(line);
  const result = await runOne({ seed, isVerbose: true, ...(onLine && { onLine }) });
  console.log(summary(result));
  process.exitCode = result.failure === null ? 0 : 1;
} else {
  const workers = numberOf("workers", values.workers);
  // Without a start, every run looks somewhere else.
  const from = values.from === undefined ? Date.now() % 1e9 : numberOf("from", values.from);
  const failed = workers > 1 ? await runWorkers(workers, from) : await runMany(from);
  process.exitCode = failed > 0 ? 1 : 0;
}

/** One seed, of one broker or of a cluster. */
async function runOne(options: {
  readonly seed: number;
  readonly isVerbose?: boolean;
  readonly onLine?: (line: string) => void;
}): Promise<SimulationResult> {
  if (!values.cluster) {
    return await runSeed({ ...options, mutation: mutation as AnyMutation | null, ...kinds });
  }
  const wrong = mutation as ClusterMutation | null;
  return { ...(await runClusterSeed({ ...options, mutation: wrong })), transactions: null };
}

/** Seeds one after the other. @returns How many failed. */
async function runMany(from: number): Promise<number> {
  const seedsMax =
    values.seeds === undefined ? Number.POSITIVE_INFINITY : numberOf("seeds", values.seeds);
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  const stride = numberOf("stride", values.stride);
  const startedMs = Date.now();
  let reportedMs = startedMs;
  let passed = 0;
  let failed = 0;
  let eventCount = 0;
  for (let i = 0; i < seedsMax; i++) {
    const nowMs = Date.now();
    if (nowMs - startedMs > minutes * 60_000) break;
    const seed = from + i * stride;
    const result = await runOne({ seed });
    eventCount += result.eventCount;
    if (values.hashes) console.log(`hash ${seed} ${result.hash}`);
    if (result.failure === null) passed++;
    else {
      failed++;
      await tell(result);
      if (!values["keep-going"]) break;
    }
    if (!values.quiet && Date.now() - reportedMs > REPORT_EVERY_MS) {
      reportedMs = Date.now();
      console.log(progress(passed + failed, eventCount, reportedMs - startedMs));
    }
  }
  console.log(progress(passed + failed, eventCount, Date.now() - startedMs));
  if (failed === 0) console.log(`ok simulation, seeds from ${from}`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed;
}

/** The same in several processes, which take turns at the seeds. @returns How many failed. */
async function runWorkers(count: number, from: number): Promise<number> {
  const script = fileURLToPath(import.meta.url);
  const isDeno = "Deno" in globalThis;
  const seeds =
    values.seeds === undefined ? null : Math.ceil(numberOf("seeds", values.seeds) / count);
  let passed = 0;
  let failed = 0;
  const endings = Array.from({ length: count }, (_, index) => {
    const args = [
      ...(isDeno ? ["run", "-A", "--no-check"] : []),
      script,
      `--from=${from + index}`,
      `--stride=${count}`,
      ...(seeds === null ? [] : [`--seeds=${seeds}`]),
      ...(values.minutes === undefined ? [] : [`--minutes=${values.minutes}`]),
      ...(mutation === null ? [] : [`--mutation=${mutation}`]),
      ...kindFlags,
      ...(values["keep-going"] ? ["--keep-going"] : []),
      ...(values.hashes ? ["--hashes"] : []),
      ...(values.quiet ? ["--quiet"] : []),
    ];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let rest = "";
    let hasCounted = false;
    child.stdout.on("data", (bytes: Uint8Array) => {
      const lines = (rest + new TextDecoder().decode(bytes)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const counts = /^(\d+) passed, (\d+) failed$/.exec(line);
        if (counts === null) console.log(line);
        else {
          hasCounted = true;
          passed += Number(counts[1]);
          failed += Number(counts[2]);
        }
      }
    });
    return new Promise<void>((resolve) => {
      child.on("close", () => {
        if (!hasCounted) failed++;
        resolve();
      });
    });
  });
  await Promise.all(endings);
  console.log(`${passed} passed, ${failed} failed`);
  return failed;
}

/** What failed, how to see it again, and the last lines before it. */
async function tell(result: SimulationResult): Promise<void> {
  const { seed, failure } = result;
  console.log(`not ok seed ${seed}: ${failure!.checker}: ${failure!.message}`);
  const flags = `${mutation === null ? "" : ` --mutation ${mutation}`}${kindFlags.map((flag) => ` ${flag}`).join("")}`;
  console.log(`replay: bun scripts/simulate.ts --seed ${seed}${flags}   # at ${commit()}`);
  if (values.quiet || values["keep-going"]) return;
  const again = await runOne({ seed, isVerbose: true });
  for (const line of again.lines.slice(-TAIL_LINES)) console.log(`  ${line}`);
  if (again.hash !== result.hash)
    console.log("not ok the second run of this seed went another way");
}

function summary(result: SimulationResult): string {
  const { seed, failure, hash, eventCount, virtualMs, brokerStarts, counts, transactions } = result;
  const outcome = failure === null ? "passed" : `FAILED ${failure.checker}: ${failure.message}`;
  return [
    `seed ${seed} ${outcome}`,
    `trace ${hash}, ${eventCount} events, ${Math.round(virtualMs)} virtual ms, ${brokerStarts} broker starts`,
    `records: ${counts.acked} acknowledged, ${counts.read} read, ${counts.audited} audited`,
    ...(transactions === null
      ? []
      : [`transactions: ${transactions.committed} committed, ${transactions.aborted} aborted`]),
    `faults: ${result.faults.join(", ") || "none"}`,
  ].join("\n");
}

function progress(seedCount: number, eventCount: number, tookMs: number): string {
  const seconds = Math.max(tookMs, 1) / 1000;
  return `${seedCount} seeds in ${seconds.toFixed(0)} s, ${(seedCount / seconds).toFixed(1)} a second, ${Math.round(eventCount / seconds)} events a second`;
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "an unknown commit";
  }
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  console.error(`--${name} takes a whole number: ${text}`);
  process.exit(2);
}
