// read_committed beside read_uncommitted, of the same log, and beside Apache Kafka in one run: nothing aborted, 1 % of the
// transactions, and 30 %.
//   bun bench/read_committed.ts [--rounds 3] [--sides kafka,millrace-bun,millrace-deno] [--secs 0.4] [--txns 4000]
//                               [--aborted 0,1,30] [--turns 3] [--json FILE] [--write]
// --write puts the table into bench/RESULTS.md. The method is in METHOD.md; the load is "kbench rawtxn" and "rawconsume".
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerHelp } from "../scripts/usage.ts";
import { type Row, tableOf } from "./ratio_table.ts";
import { writeResults } from "./results_page.ts";
import { inRounds, medianOf, type Round, runFolder } from "./rounds.ts";
import { ask, type Figures, median, removeFolder, type Side, startSide } from "./sides.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    sides: { type: "string", default: "kafka,millrace-bun,millrace-deno" },
    secs: { type: "string", default: "0.4" },
    txns: { type: "string", default: "4000" },
    aborted: { type: "string", default: "0,1,30" },
    turns: { type: "string", default: "3" },
    json: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const shares = flags.aborted.split(",").map(Number);
const txns = Number(flags.txns);
const RECORDS = 10;
const PARTITIONS = 12;
/** Producers that fill the logs: as many as Kafka needs for it to go quickly. */
const FILLERS = 48;
const LEVELS = ["uncommitted", "committed"] as const;
type Level = (typeof LEVELS)[number];

const ROWS: readonly Row[] = shares.flatMap((share): Row[] => [
  { key: `uncommitted_${share}`, label: `${share} % aborted, read_uncommitted: MB/s`, better: 1 },
  { key: `committed_${share}`, label: `${share} % aborted, read_committed: MB/s`, better: 1 },
  {
    key: `ratio_${share}`,
    label: `${share} % aborted, read_committed to read_uncommitted`,
    better: 1,
    limit: 0.8,
  },
  {
    key: `cpu_${share}`,
    label: `${share} % aborted, broker CPU a byte: read_committed to read_uncommitted`,
    better: -1,
  },
  {
    key: `client_ratio_${share}`,
    label: `${share} % aborted, franz-go: the log read by read_committed to read_uncommitted`,
    better: 1,
  },
]);

const folder = runFolder("committed-");

async function measure(side: Side, n: number): Promise<Round> {
  const home = join(folder, `${side}-${n}`);
  const broker = await startSide(side, home, { settleS: 0, idleS: 0 });
  const round: Round = {};
  const run = (command: string, ...args: (string | number)[]): Figures => {
    const got = ask(command, broker.address, [...args, "-pid", broker.pid]);
    if (got["error"] !== undefined)
      throw new Error(`${side}: ${command} ${args.join(" ")}: ${got["error"]}`);
    return got;
  };
  try {
    for (const share of shares) {
      const load = [
        "-producers",
        FILLERS,
        "-records",
        RECORDS,
        "-txns",
        txns,
        "-abort-percent",
        share,
      ];
      run(
        "rawtxn",
        "-topic",
        `t${share}`,
        "-partitions",
        PARTITIONS,
        "-prefix",
        `fill-${share}`,
        ...load,
      );
    }
    spawnSync("sync");
    for (const share of shares) {
      const figures = (): Record<Level, number[]> => ({ uncommitted: [], committed: [] });
      const [mbs, cpu, clients] = [figures(), figures(), figures()];
      const visible = {
        uncommitted: txns * RECORDS,
        committed: (txns - Math.floor((txns * share) / 100)) * RECORDS,
      };
      const of = ["-topic", `t${share}`, "-partitions", PARTITIONS];
      // the first turn warms up, and counts for nothing
      for (let turn = 0; turn <= Number(flags.turns); turn++) {
        for (const level of turn % 2 === 0 ? LEVELS : LEVELS.toReversed()) {
          const how = level === "committed" ? ["-committed"] : [];
          const whole = run("rawconsume", ...of, ...how, "-conns", 2);
          if (whole["records"] !== visible[level]) {
            throw new Error(
              `${side}: ${whole["records"]} records in place of ${visible[level]}, ${level}, ${share} %`,
            );
          }
          if (turn === 0) continue;
          const got = run(
            "rawconsume",
            ...of,
            ...how,
            "-conns",
            2,
            "-loop",
            "-duration",
            `${flags.secs}s`,
          );
          const client = run("consume", ...of, ...how, "-records", visible[level], "-idle", "5s");
          mbs[level].push(Number(got["mb_per_s"]));
          cpu[level].push(Number(got["broker_cpu_s_per_gb"]));
          clients[level].push((txns * RECORDS) / Number(client["seconds"]));
        }
      }
      for (const level of LEVELS) round[`${level}_${share}`] = median(mbs[level])!;
      round[`ratio_${share}`] = median(mbs.committed)! / median(mbs.uncommitted)!;
      round[`cpu_${share}`] = median(cpu.committed)! / median(cpu.uncommitted)!;
      round[`client_ratio_${share}`] = median(clients.committed)! / median(clients.uncommitted)!;
    }
  } finally {
    await broker.stop();
    removeFolder(home);
  }
  return round;
}

const rounds = await inRounds(flags, folder, measure);
const text = [
  `Rounds: ${flags.rounds}; ${flags.secs} s a cell, ${flags.turns} turns; ${txns} transactions of ${RECORDS} records of 1 KiB.`,
  "",
  tableOf(ROWS, medianOf(rounds)),
].join("\n");
console.log(text);
if (flags.write) writeResults("read_committed", text);
process.exit(0);
