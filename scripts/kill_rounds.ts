// Rounds of load, kill, restart, check: nothing acknowledged may be lost, reordered or written twice. Invariant: the
// load (idempotent producers of a foreign client, test/compat/franz_go) alone says what was acknowledged; each round reads
// the whole log back and compares it with all rounds before. --sabotage puts an older copy of the data back after a kill,
// as a broker that lies about syncing would: it ends with 0 only if the check finds that.
//   bun scripts/kill_rounds.ts [--rounds 20] [--seed N] [--runtime bun|deno|kafka] [--signal kill|term|stop|mix]
//                              [--storage fs|kv] [--rounds-per-folder 10] [--keep] [--sabotage] [-o name=value …]

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SeededRandom } from "../src/base/prng.ts";
import { freePort } from "../test/compat/free_port.ts";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const repo = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    runtime: { type: "string", default: "bun" },
    signal: { type: "string", default: "mix" },
    storage: { type: "string", default: "fs" },
    "rounds-per-folder": { type: "string", default: "10" },
    producers: { type: "string", default: "8" },
    topics: { type: "string", default: "k1:1,k6:6,k40:40" },
    option: { type: "string", short: "o", multiple: true, default: [] },
    keep: { type: "boolean", default: false },
    sabotage: { type: "boolean", default: false },
  },
});
const rounds = Number(flags.rounds);
const perFolder = Number(flags["rounds-per-folder"]);
/** A file that each storage keeps below the data folder: rounds on another one would prove nothing of it. */
const MARKS: Readonly<Record<string, string>> = {
  fs: "broker-1/format.json",
  kv: "broker-1/log.sqlite",
};
const mark = MARKS[flags.storage];
if (mark === undefined || (flags.storage !== "fs" && flags.runtime.startsWith("kafka"))) {
  console.error(`Cannot run ${flags.runtime} on storage "${flags.storage}"`);
  process.exit(2);
}

/** The same for the same seed; the moments of the kills stay the machine's. */
const random = SeededRandom.of(flags.seed);
const tool = (name: string): string => {
  const local = join(repo, "node_modules/.bin", name);
  return existsSync(local) ? local : name;
};

/** Runs a line of the shell that the client checks share, and answers what it prints. */
function fromLib(line: string): string {
  const done = spawnSync("bash", ["-c", `. "$0/test/compat/lib.sh"; ${line}`, repo], {
    encoding: "utf8",
  });
  if (done.status !== 0) {
    console.error(done.stderr);
    process.exit(1);
  }
  return done.stdout.trim();
}

interface Broker {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
}

/** Ends the whole process group at once: a wrapper must not outlive its broker, nor the reverse. */
function signal(broker: Broker, name: NodeJS.Signals): void {
  process.kill(-broker.child.pid!, name);
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

const kafkaLibs = flags.runtime.startsWith("kafka")
  ? fromLib('need_kafka_jars; echo "$KAFKA_LIBS"')
  : "";
const loader = fromLib('need_go "$compat/franz_go"; echo "$GO_PROGRAM"');
let current: Broker | undefined;
process.on(
  "exit",
  () =>
    current !== undefined &&
    current.child.exitCode === null &&
    current.child.signalCode === null &&
    signal(current, "SIGKILL"),
);
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(130));

async function start(folder: string, port: number, controllerPort: number): Promise<Broker> {
  const data = join(folder, "data");
  const args = [
    "start",
    "--data",
    data,
    "--kafka",
    `127.0.0.1:${port}`,
    ...flags.option.flatMap((o) => ["-o", o]),
  ];
  const config = join(folder, "config.json");
  writeFileSync(
    config,
    JSON.stringify({
      storage: flags.storage,
      metadata: flags.storage === "kv" ? "kv" : "file",
    }),
  );
  const env = { ...process.env, MILLRACE_CONFIG: config };
  let command: string[];
  if (flags.runtime === "bun") command = [tool("bun"), "run", "src/main.ts", ...args];
  else if (flags.runtime === "deno") command = [tool("deno"), "run", "-A", "mod.ts", ...args];
  else {
    command = [join(repo, "test/compat/kafka_start.sh"), ...flags.option];
    Object.assign(env, {
      KAFKA_LIBS: kafkaLibs,
      KAFKA_DATA: data,
      KAFKA_PORT: String(port),
      CONTROLLER_PORT: String(controllerPort),
    });
  }
  const log = openSync(join(folder, "broker.log"), "a");
  const child = spawn(command[0]!, command.slice(1), {
    cwd: repo,
    env,
    detached: true,
    stdio: ["ignore", log, log],
  });
  const broker: Broker = {
    child,
    exit: new Promise((resolve) => child.once("exit", (code) => resolve(code))),
  };
  current = broker;
  for (let i = 0; i < 3000; i++) {
    if (await answers(port)) {
      if (flags.runtime.startsWith("kafka") || existsSync(join(data, mark!))) return broker;
      throw new Error(`the broker keeps no ${mark}: it is not on storage ${flags.storage}`);
    }
    if (child.exitCode !== null || child.signalCode !== null) break;
    await pause(10);
  }
  throw new Error(`the broker did not start; see ${join(folder, "broker.log")}`);
}

interface Loader {
  acked(): number;
  end(how: "stop" | "drain"): Promise<number | null>;
}

function startLoad(port: number, seed: number, first: number, journal: string): Loader {
  const child = spawn(
    loader,
    [
      "load",
      "-seed",
      String(seed),
      "-first-producer",
      String(first),
      "-producers",
      flags.producers,
      "-topics",
      flags.topics,
      "-journal",
      journal,
    ],
    { env: { ...process.env, BOOTSTRAP: `127.0.0.1:${port}` }, stdio: ["pipe", "pipe", "inherit"] },
  );
  let acked = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const all = text.match(/acked (\d+)/g);
    if (all !== null) acked = Number(all[all.length - 1]!.slice(6));
  });
  const exit = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  return {
    acked: () => (child.exitCode === null ? acked : Number.POSITIVE_INFINITY),
    end: (how) => {
      child.stdin.end(`${how}\n`);
      return exit;
    },
  };
}

async function grow(load: Loader, by: number): Promise<void> {
  const from = load.acked();
  const deadline = Date.now() + 60_000;
  while (load.acked() < from + by) {
    if (Date.now() > deadline) throw new Error(`no acknowledgement for a minute (${from} so far)`);
    await pause(10);
  }
}

interface Verdict {
  records: number;
  acknowledged: number;
  problems: number;
  first: string[] | null;
}

function verify(folder: string, port: number): Verdict {
  const done = spawnSync(
    loader,
    ["verify", "-topics", flags.topics, "-journals", folder, "-state", join(folder, "state.json")],
    {
      env: { ...process.env, BOOTSTRAP: `127.0.0.1:${port}` },
      encoding: "utf8",
      maxBuffer: 1 << 26,
    },
  );
  if (done.status !== 0 && done.status !== 1) throw new Error(`verify: ${done.stderr}`);
  return JSON.parse(done.stdout) as Verdict;
}

async function ended(broker: Broker, withinMs: number): Promise<number | null | "late"> {
  return await Promise.race([broker.exit, pause(withinMs).then(() => "late" as const)]);
}

const KINDS = [
  "kill, load ends",
  "kill, load goes on",
  "term, load goes on",
  "stop, load goes on",
] as const;
function kindOf(round: number): (typeof KINDS)[number] {
  if (flags.sabotage) return KINDS[0];
  if (flags.signal === "kill") return KINDS[round % 2]!;
  if (flags.signal === "term") return KINDS[2];
  if (flags.signal === "stop") return KINDS[3];
  const dice = random.below(10);
  return dice < 4 ? KINDS[0] : dice < 8 ? KINDS[1] : dice < 9 ? KINDS[2] : KINDS[3];
}

const base = mkdtempSync(join(tmpdir(), "millrace-kill-"));
console.log(
  `seed ${flags.seed}, runtime ${flags.runtime}, storage ${flags.storage}, ${rounds} rounds`,
);
let folder = "";
let port = 0;
let controllerPort = 0;
let kills = 0;
let acknowledged = 0;
let slowestStartMs = 0;
let found = false;

async function restart(): Promise<Broker> {
  const began = performance.now();
  const broker = await start(folder, port, controllerPort);
  slowestStartMs = Math.max(slowestStartMs, performance.now() - began);
  return broker;
}

async function round(n: number): Promise<Verdict> {
  const kind = kindOf(n);
  const journal = join(folder, `round-${n}`);
  const load = startLoad(port, Number(flags.seed) + n, (n % perFolder) * 100, journal);
  await grow(load, 1 + random.below(300));
  await pause(random.below(1500));
  if (kind === KINDS[0]) {
    if (flags.sabotage) {
      cpSync(join(folder, "data"), join(folder, "older"), { recursive: true });
      await grow(load, 500);
    }
    signal(current!, "SIGKILL");
    await current!.exit;
    await load.end("stop");
    if (flags.sabotage) {
      rmSync(join(folder, "data"), { recursive: true });
      renameSync(join(folder, "older"), join(folder, "data"));
    }
    await restart();
    kills++;
  } else {
    for (let i = 0; i < 1 + random.below(3); i++) {
      if (kind === KINDS[3]) {
        signal(current!, "SIGSTOP");
        await pause(200 + random.below(2500));
        signal(current!, "SIGCONT");
      } else if (kind === KINDS[2]) {
        signal(current!, "SIGTERM");
        const code = await ended(current!, 30_000);
        if (code !== 0 && flags.runtime !== "kafka")
          throw new Error(`SIGTERM ended the broker with ${code}, not 0`);
        await pause(random.below(300));
        await restart();
      } else {
        signal(current!, "SIGKILL");
        await current!.exit;
        await pause(random.below(300));
        await restart();
        kills++;
      }
      await grow(load, 1 + random.below(300));
      await pause(random.below(800));
    }
    const code = await load.end("drain");
    if (code !== 0) throw new Error(`the load ended with ${code}`);
  }
  renameSync(journal, `${journal}.journal`);
  const verdict = verify(folder, port);
  console.log(
    `round ${n + 1} (${kind}): ${verdict.acknowledged} acknowledged, ${verdict.records} in the log, ${verdict.problems} problems`,
  );
  return verdict;
}

let failed = "";
for (let n = 0; n < rounds && failed === "" && !found; n++) {
  if (n % perFolder === 0) {
    folder = join(base, `folder-${n / perFolder}`);
    mkdirSync(folder);
    [port, controllerPort] = [await freePort(), await freePort()];
    await start(folder, port, controllerPort);
  }
  try {
    const verdict = await round(n);
    if (n % perFolder === perFolder - 1 || n === rounds - 1) acknowledged += verdict.acknowledged;
    if (verdict.problems > 0) {
      for (const line of verdict.first ?? []) console.log(`  ${line}`);
      if (flags.sabotage) found = true;
      else failed = `round ${n + 1} found ${verdict.problems} problems`;
    }
  } catch (error) {
    failed = `round ${n + 1}: ${String(error)}`;
  }
  if (failed === "" && (n % perFolder === perFolder - 1 || n === rounds - 1 || found)) {
    signal(current!, "SIGKILL");
    await current!.exit;
    if (!flags.keep) rmSync(folder, { recursive: true, force: true });
  }
}
if (failed !== "") {
  console.log(`FAILED ${failed}; seed ${flags.seed}; the data is kept in ${folder}`);
  process.exit(1);
}
if (!flags.keep) rmSync(base, { recursive: true, force: true });
if (flags.sabotage) {
  console.log(found ? "the sabotage was found" : "FAILED the sabotage was not found");
  process.exit(found ? 0 : 1);
}
console.log(
  `${rounds} rounds, ${kills} kills: ${acknowledged} acknowledged records all there, in order, once; slowest restart ${Math.round(slowestStartMs)} ms`,
);
process.exit(0);
