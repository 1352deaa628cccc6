// Transactions beside Apache Kafka in one run: how many a second, how long one takes, and a start after a crash.
//   bun bench/transactions.ts [--rounds 3] [--sides kafka,kafka-fsync,millrace-bun,millrace-deno] [--secs 1.2] [--warm 3]
//                             [--recover 1] [--ids 10000] [--json FILE] [--write]
// --recover: rounds with a crash; --write puts the table into bench/RESULTS.md. The method is in METHOD.md; the load is
// "kbench rawtxn", which sends frames over plain sockets, and "kbench txn" for a real client.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerHelp } from "../scripts/usage.ts";
import { type Row, tableOf } from "./ratio_table.ts";
import { writeResults } from "./results_page.ts";
import { inRounds, medianOf, type Round, runFolder } from "./rounds.ts";
import {
  ask,
  type Figures,
  kbench,
  killSide,
  removeFolder,
  SIDES,
  type Side,
  show,
  startSide,
} from "./sides.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    sides: { type: "string", default: SIDES.join(",") },
    secs: { type: "string", default: "1.2" },
    warm: { type: "string", default: "3" },
    recover: { type: "string", default: "1" },
    ids: { type: "string", default: "10000" },
    json: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const ids = Number(flags.ids);
/** Of each transactional id, before the crash. */
const RECOVERED_RECORDS = 100;
/** Transactional ids at work at one time before the crash. */
const FILLERS = 64;

/** One cell of the table: what kbench is asked. */
interface Cell {
  readonly key: string;
  readonly what: string;
  readonly producers: number;
  readonly args: readonly string[];
  /** Against Kafka as it comes. */
  readonly bar?: number;
  /** With a real client, which takes the partitions one after another. */
  readonly isClient?: true;
  /** Also a figure of Kafka with fsync. */
  readonly withFsync?: true;
  /** Its latencies and the broker's CPU time have rows of their own. */
  readonly isDetailed?: true;
}
const CELLS: readonly Cell[] = [
  ...([1, 8] as const).map(
    (producers): Cell => ({
      key: `one_${producers}`,
      what: "into one partition",
      producers,
      args: [],
      bar: producers === 1 ? 3 : 1.5,
      withFsync: true,
      isDetailed: true,
    }),
  ),
  ...([1, 8] as const).map(
    (producers): Cell => ({
      key: `four_${producers}`,
      what: "into four partitions",
      producers,
      args: ["-parts", "4"],
      withFsync: true,
    }),
  ),
  ...([1, 8] as const).map(
    (producers): Cell => ({
      key: `offset_${producers}`,
      what: "into one partition, with an offset of a group",
      producers,
      args: ["-group", "bench-"],
      withFsync: true,
    }),
  ),
  ...([1, 8] as const).map(
    (producers): Cell => ({
      key: `older_${producers}`,
      what: "into one partition, by the protocol before KIP-890",
      producers,
      args: ["-older"],
    }),
  ),
  ...([1, 8] as const).map(
    (producers): Cell => ({
      key: `client_${producers}`,
      what: "franz-go",
      producers,
      args: ["-partitions", "12"],
      isClient: true,
    }),
  ),
];
const producersOf = ({ producers }: Cell) =>
  producers === 1 ? "1 producer" : `${producers} producers`;

const ROWS: readonly Row[] = [
  ...CELLS.flatMap((cell): Row[] => {
    const { key, what, bar, isDetailed } = cell;
    const label = `${producersOf(cell)}, ${what}`;
    return [
      { key, label: `${label}: transactions/s`, better: 1, ...(bar === undefined ? {} : { bar }) },
      ...(isDetailed
        ? [
            { key: `${key}_p50`, label: `${label}, one transaction, p50: ms`, better: -1 } as const,
            { key: `${key}_p99`, label: `${label}, one transaction, p99: ms`, better: -1 } as const,
            {
              key: `${key}_cpu`,
              label: `${label}, broker CPU: ms a transaction`,
              better: -1,
            } as const,
          ]
        : []),
    ];
  }),
  {
    key: "recover_ack",
    label: `start after a crash with ${show(ids)} transactional ids and ${show(ids * RECOVERED_RECORDS)} records, to the first acknowledged record: ms`,
    better: -1,
  },
  {
    key: "recover_ids",
    label: "the same, until the coordinator answers for all of the ids: ms",
    better: -1,
  },
];

const folder = runFolder("transactions-");

function put(round: Round, key: string, value: Figures[string]): void {
  if (typeof value === "number") round[key] = value;
}

async function measure(side: Side, n: number): Promise<Round> {
  const home = join(folder, `${side}-${n}`);
  let broker = await startSide(side, home, { settleS: 0, idleS: 0 });
  const round: Round = {};
  const run = (command: string, ...args: string[]): Figures => {
    spawnSync("sync");
    const got = ask(command, broker.address, [...args, "-pid", broker.pid]);
    if (got["error"] !== undefined)
      console.error(`${side}: ${command} ${args.join(" ")}: ${got["error"]}`);
    return got;
  };
  try {
    const base = ["-topic", "t"];
    run(
      "rawtxn",
      ...base,
      "-producers",
      "8",
      "-prefix",
      "warm",
      "-group",
      "warm-",
      "-duration",
      `${flags.warm}s`,
    );
    for (const { key, producers, args, isClient, withFsync, isDetailed } of CELLS) {
      if (side === "kafka-fsync" && withFsync !== true) continue;
      const command = isClient ? "txn" : "rawtxn";
      const prefix = isClient ? [] : ["-prefix", key];
      const load = ["-producers", String(producers), "-duration", `${flags.secs}s`];
      const got = run(command, ...base, ...prefix, ...load, ...args);
      put(round, key, got["txns_per_s"]);
      if (!isDetailed) continue;
      put(round, `${key}_p50`, got["txn_p50_ms"]);
      put(round, `${key}_p99`, got["txn_p99_ms"]);
      put(round, `${key}_cpu`, got["broker_cpu_ms_per_txn"]);
    }
    if (n < Number(flags.recover) && side !== "kafka-fsync") {
      const filled = [
        "-prefix",
        "filled",
        "-ids",
        String(ids),
        "-records",
        String(RECOVERED_RECORDS),
      ];
      run("rawtxn", ...base, "-size", "100", "-producers", String(FILLERS), ...filled);
      await killSide(broker);
      broker = await startSide(side, home, { settleS: 0, idleS: 0 });
      put(round, "recover_ack", broker.start["first_ack_ms"]);
      const ready = ask("txnready", broker.address, ["-prefix", "filled", "-ids", ids]);
      const known = ready["state_completecommit"];
      if (known !== ids)
        throw new Error(
          `${side}: ${known} of ${ids} ids after the crash: ${JSON.stringify(ready)}`,
        );
      put(round, "recover_ids", Number(broker.start["first_ack_ms"]) + Number(ready["ready_ms"]));
    }
  } finally {
    await broker.stop();
    removeFolder(home);
  }
  return round;
}

/** What the generator can do at most: the same load against a broker that only answers, in one process with it. */
function limitOf(producers: number): string {
  const args = ["rawtxn", "-fake", "-producers", String(producers), "-duration", "1s"];
  const done = spawnSync(kbench(), args, { encoding: "utf8" });
  return show(Number((JSON.parse(done.stdout) as Figures)["txns_per_s"]));
}

const limits = `The generator alone: ${limitOf(1)} transactions/s with one producer, ${limitOf(8)} with eight.`;
const rounds = await inRounds(flags, folder, measure);
const text = [
  `Rounds: ${flags.rounds}; ${flags.secs} s a cell. ${limits}`,
  "",
  tableOf(ROWS, medianOf(rounds)),
].join("\n");
console.log(text);
if (flags.write) writeResults("transactions", text);
process.exit(0);
