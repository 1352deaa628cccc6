// Chaos on a cluster of real processes, each in a network namespace with a small disk of its own: kill -9, SIGTERM, SIGSTOP, cuts
// (both ways, one way), etcd killed, disks full, by a seeded schedule, under a load of Java clients; then all that these saw and
// what the replicas hold is judged. Lines "ok …" and "not ok …", and a table of what failures cost. Linux, as root, with iproute2.
//   bun scripts/cluster_chaos.ts [--minutes 2] [--seed N] [--runtime bun|deno|kafka] [--only kill,stall,…] [--keep] [-o name=value …]
//                                [--disk-mb 1024] [--controller-apart] [--sabotage: it ends with 0 only if a loss is found]

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Chaos } from "./cluster/chaos.ts";
import { Disk } from "./cluster/disks.ts";
import { chaosTable } from "./cluster/figures.ts";
import { Load } from "./cluster/load.ts";
import { Net, whyNoNamespaces } from "./cluster/net.ts";
import { Cluster, KEEPER, NODES, WHICH, type Which } from "./cluster/nodes.ts";
import { sabotage } from "./cluster/sabotage.ts";
import { BLOW_KINDS, type BlowKind, scheduleOf } from "./cluster/schedule.ts";
import {
  endAndRead,
  inSync,
  judgeHistory,
  judgeReplicas,
  step,
  topicsToRead,
} from "./cluster/verdict.ts";
import { answerHelp } from "./usage.ts";
import { endWithVerdicts, hasFailed, told, toldError } from "./verdicts.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    runtime: { type: "string", default: "bun" },
    only: { type: "string", default: BLOW_KINDS.join() },
    "disk-mb": { type: "string", default: "1024" },
    "controller-apart": { type: "boolean", default: false },
    option: { type: "string", short: "o", multiple: true, default: [] },
    keep: { type: "boolean", default: false },
    sabotage: { type: "boolean", default: false },
  },
});

function refuse(why: string): never {
  console.error(`Cannot run the chaos: ${why}`);
  process.exit(2);
}

const which = flags.runtime as Which;
if (!WHICH.includes(which)) refuse(`--runtime is ${WHICH.join(", ")}, not "${which}"`);
const lengthMs = Number(flags.minutes) * 60_000;
if (!(lengthMs >= 30_000)) refuse(`--minutes is 0.5 or more, not "${flags.minutes}"`);
const kinds = flags.only.split(",") as BlowKind[];
const stranger = kinds.find((kind) => !BLOW_KINDS.includes(kind));
if (stranger !== undefined) refuse(`--only knows ${BLOW_KINDS.join(", ")}, not "${stranger}"`);
const missing = whyNoNamespaces();
if (missing !== undefined) refuse(missing);

const PARTITIONS = 6;
const PROGRESS_EVERY_MS = 15_000;
const WELL_AGAIN_MS_MAX = 60_000;
const COPY = { recursive: true };
const TOPICS = ["plain", "moved"];

const hasKeeper = which !== "kafka" || flags["controller-apart"];
const brokers = NODES.map((n) => `n${n}`);
const places = [...brokers, ...(hasKeeper ? [KEEPER] : []), "clients"];
const folder = mkdtempSync(join(tmpdir(), "millrace-chaos-"));
const began = performance.now();
const progress = (line: string): void =>
  console.log(`# ${((performance.now() - began) / 1000).toFixed(1)} s: ${line}`);

const net = new Net(places);
const disks = new Map<number, Disk>();
const cluster = await Cluster.at({
  which,
  folder: join(folder, "cluster"),
  places: net,
  settings: flags.option,
  isControllerApart: flags["controller-apart"],
});
for (const n of NODES) disks.set(n, new Disk(cluster.dataOf(n), Number(flags["disk-mb"])));

/** Every way of writing and of reading in a group; all of it as a Java application would. */
async function beginLoad(load: Load): Promise<string[]> {
  for (const topic of TOPICS) {
    await load.ask(`create ${topic} ${PARTITIONS} 3 min.insync.replicas=2`);
  }
  // A snapshot of Kafka's producer state has a producer's last batch alone. After a restart of a leader, the retry of one before
  // it is out of order, and the Java client writes it again in a new epoch: so one at a time there.
  const inFlight = which === "kafka" ? 1 : 5;
  for (const name of ["p1", "p2"]) await load.ask(`producer ${name} plain 150 ${inFlight}`);
  for (const name of ["t1", "t2", "t3"]) await load.ask(`transactor ${name} moved 30`);
  const groups = [
    ["classic-committed", "classic", "read_committed", 2],
    ["consumer-committed", "consumer", "read_committed", 2],
    ["consumer-all", "consumer", "read_uncommitted", 1],
  ] as const;
  const lines: string[] = [];
  for (const [group, protocol, isolation, members] of groups) {
    for (let i = 0; i < members; i++) {
      await load.ask(`member ${group}-${i} ${group} ${protocol} ${isolation} ${TOPICS.join(" ")}`);
    }
  }
  for (const topic of TOPICS) {
    for (let part = 0; part < PARTITIONS; part++) {
      lines.push(`${topic}/${part}`, ...groups.map(([group]) => `${group}:${topic}/${part}`));
    }
  }
  return lines;
}

async function run(): Promise<void> {
  const keeper = hasKeeper ? KEEPER : null;
  const schedule = scheduleOf({
    ...{ seed: flags.seed, lengthMs, kinds, brokers, keeper },
    clients: "clients",
  });
  if ((await step("cluster_starts", () => cluster.start())) === null) return;
  const inside = (command: readonly string[]) => net.inside("clients", command);
  const load = await Load.start(cluster.bootstrap, join(folder, "history"), inside);
  const lines = await beginLoad(load);
  await step("load_begins", () => load.goesOn(lines, 5, WELL_AGAIN_MS_MAX));
  if (flags.sabotage) {
    await sabotage(cluster, load, lines, folder);
    return;
  }
  const chaos = new Chaos({ cluster, net, disks, load, places, seed: flags.seed, progress });
  const timer = setInterval(() => {
    load.counts().then(
      ({ acked, failed, seen }) =>
        progress(`${acked} acknowledged, ${failed} failed, ${seen} read by groups`),
      (error: unknown) => progress(String(error)),
    );
  }, PROGRESS_EVERY_MS);
  await step("chaos_comes_to_its_end", () => chaos.run(schedule, lengthMs));
  clearInterval(timer);
  const why = chaos.complaints.slice(0, 3).join("; ");
  const carriedOut = ` (${chaos.blows.length} blows, ${chaos.skipped} left out)`;
  told("blows_were_carried_out", why === "" ? undefined : why, carriedOut);
  await inSync("all_in_sync_and_leaders_spread", load);
  await step("every_partition_and_group_goes_on", () => load.goesOn(lines, 5, WELL_AGAIN_MS_MAX));
  const partitionsOf = Object.fromEntries(TOPICS.map((name) => [name, PARTITIONS]));
  const topics = await topicsToRead(load, partitionsOf);
  const history = await endAndRead([load], cluster);
  await step("brokers_stop", () => cluster.stop());
  judgeHistory(history);
  await judgeReplicas(cluster, topics, join(folder, "replicas"));
  for (const line of chaosTable(history, chaos.blows, chaos.shutdowns)) console.log(line);
}

const more = `${flags.minutes} minutes of ${kinds.join(", ")}`;
console.log(`# seed ${flags.seed}, ${which}, ${more}`);
try {
  await run();
} catch (error) {
  toldError("chaos", error);
}
await cluster.kill();
net.close();
const isKept = hasFailed() || flags.keep;
// What lies in memory goes with its mount.
if (isKept) for (const n of NODES) cpSync(cluster.dataOf(n), join(folder, `kept-${n}`), COPY);
for (const disk of disks.values()) disk.close();
if (isKept) console.log(`# what is left is in ${folder}`);
else rmSync(folder, { recursive: true, force: true });
endWithVerdicts();
