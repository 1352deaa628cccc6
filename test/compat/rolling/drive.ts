// A rolling restart under clients that are never restarted: each broker in turn is stopped (SIGTERM), started again and waited for
// until it is in sync. No write may fail, and what was acknowledged is judged. Arguments: a work folder. RUNTIME says whose brokers
// they are, ROUNDS how often each is restarted.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { chaosTable, failedWrites } from "../../../scripts/cluster/figures.ts";
import { Load } from "../../../scripts/cluster/load.ts";
import { Cluster, NODES, type Which } from "../../../scripts/cluster/nodes.ts";
import {
  endAndRead,
  inSync,
  judgeHistory,
  judgeReplicas,
  step,
  topicsToRead,
} from "../../../scripts/cluster/verdict.ts";
import { endWithVerdicts, told, toldError } from "../../../scripts/verdicts.ts";

const TOPIC = "orders";
const PARTITIONS = 6;
/** Of each client: a broker that is busy all the time shows how it is scheduled, and not how it is restarted. */
const PER_SECOND = 30;
const GOES_ON_MS_MAX = 60_000;
/** Kafka's controlled shutdown and ours have to hand over what a broker leads, and not take a session for it. */
const SHUTDOWN_MS_MAX = 45_000;

const which = (process.env["RUNTIME"] ?? "bun") as Which;
const rounds = Number(process.env["ROUNDS"] ?? "2");
const work = process.argv[2]!;
const cluster = await Cluster.at({ which, folder: join(work, "cluster"), isControllerApart: true });
const blows: { kind: string; atMs: number; led: Set<string> }[] = [];
const shutdowns: { ms: number; code: number | null }[] = [];

interface Client {
  readonly name: string;
  /** Null: Java's load. */
  readonly command: readonly string[] | null;
  /** Its groups go by the protocol's name. */
  readonly protocols: readonly string[];
}

const CLIENTS: readonly Client[] = [
  { name: "java", command: null, protocols: ["classic", "consumer"] },
  {
    name: "librdkafka",
    command: [process.env["VENV_PYTHON"]!, join(import.meta.dirname!, "confluent_load.py")],
    protocols: ["classic", "consumer"],
  },
  { name: "franz", command: [process.env["FRANZ_LOAD"]!], protocols: ["classic"] },
];

function linesOf({ name, protocols }: Client): string[] {
  const places = Array.from({ length: PARTITIONS }, (_, part) => `${TOPIC}/${part}`);
  const groups = protocols.map((protocol) => `${name}-${protocol}`);
  return [...places, ...groups.flatMap((group) => places.map((place) => `${group}:${place}`))];
}

async function startAll(): Promise<{ loads: Load[]; lines: string[][] }> {
  const loads: Load[] = [];
  for (const { name, command } of CLIENTS) {
    const file = join(work, `history-${name}`);
    const load =
      command === null
        ? await Load.start(cluster.bootstrap, file)
        : await Load.of(command, cluster.bootstrap, file);
    loads.push(load);
  }
  const java = loads[0]!;
  await java.ask(`create ${TOPIC} ${PARTITIONS} 3 min.insync.replicas=2`);
  await inSync("topic_in_sync", java);
  for (const [i, { name, command, protocols }] of CLIENTS.entries()) {
    const load = loads[i]!;
    if (command !== null) await load.ask(`topic ${TOPIC} ${PARTITIONS}`);
    await load.ask(`producer ${name} ${TOPIC} ${PER_SECOND}`);
    for (const protocol of protocols) {
      const group = `${name}-${protocol}`;
      if (load !== java) await java.ask(`group ${group} ${TOPIC}`);
      for (const member of ["a", "b"]) {
        await load.ask(`member ${group}-${member} ${group} ${protocol} read_committed ${TOPIC}`);
      }
    }
  }
  return { loads, lines: CLIENTS.map(linesOf) };
}

async function roll(): Promise<void> {
  mkdirSync(work, { recursive: true });
  if ((await step("cluster_starts", () => cluster.start())) === null) return;
  const { loads, lines } = await startAll();
  const java = loads[0]!;
  const goOn = async (): Promise<void> => {
    await Promise.all(loads.map((load, i) => load.goesOn(lines[i]!, 10, GOES_ON_MS_MAX)));
  };
  await step("every_client_writes_and_reads", goOn);
  for (let round = 1; round <= rounds; round++) {
    for (const n of NODES) {
      const broker = cluster.broker(n);
      const leaders = [...(await java.leaders())].filter(([, leader]) => leader === n);
      const led = new Set(leaders.map(([place]) => place));
      blows.push({ kind: "controlled stop", atMs: Date.now(), led });
      const { ms, code } = await broker.stop();
      shutdowns.push({ ms, code });
      const isWell = code !== null && ms < SHUTDOWN_MS_MAX;
      const told_ = `${Math.round(ms)} ms, exit code ${code}`;
      told(`round_${round}_broker_${n}_stops`, isWell ? undefined : told_, ` (${told_})`);
      await step(`round_${round}_broker_${n}_starts`, () => broker.start());
      await inSync(`round_${round}_broker_${n}_in_sync_and_leads_again`, java);
      await step(`round_${round}_every_client_goes_on_after_${n}`, goOn);
    }
  }
  const topics = await topicsToRead(java, { [TOPIC]: PARTITIONS });
  const history = await endAndRead(loads, cluster);
  await step("brokers_stop", () => cluster.stop());
  const { failed, acknowledged } = failedWrites(history);
  const why = failed === 0 ? undefined : `${failed}: ${loads.map((each) => each.complaints)}`;
  told("no_write_failed", why, ` (of ${acknowledged})`);
  judgeHistory(history);
  await judgeReplicas(cluster, topics, work);
  for (const line of chaosTable(history, blows, shutdowns)) console.log(line);
}

try {
  await roll();
} catch (error) {
  toldError("rolling", error);
}
await cluster.kill();
endWithVerdicts();
