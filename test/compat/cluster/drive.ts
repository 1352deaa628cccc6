// The story of three brokers: a topic `users` with three replicas, a producer and members of groups that run all along, and two
// brokers that die one after the other, first where two replicas have to be in sync, then where one will do. Arguments: a work
// folder. RUNTIME says whose brokers they are.
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
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

const PARTITIONS = 6;
/** For what has to go on: a session, an election and what clients need to notice, on a busy machine. */
const GOES_ON_MS_MAX = 45_000;
/** How long nothing may be acknowledged where too few replicas are in sync. */
const STANDS_STILL_MS = 4_000;

const which = (process.env["RUNTIME"] ?? "bun") as Which;
const work = process.argv[2]!;
const cluster = await Cluster.at({ which, folder: join(work, "cluster"), isControllerApart: true });

const PLACES = Array.from({ length: PARTITIONS }, (_, part) => `users/${part}`);
const GROUPS = ["classic-readers", "consumer-readers"];
const LINES = [...PLACES, ...GROUPS.flatMap((group) => PLACES.map((each) => `${group}:${each}`))];

/** Every partition acknowledges, and every group reads on in each. */
async function goesOn(name: string, load: Load): Promise<void> {
  await step(name, () => load.goesOn(LINES, 20, GOES_ON_MS_MAX));
}

/** Kills the leader of the first partition that a running broker leads, other than those in `spared`. */
async function killOne(load: Load): Promise<number> {
  const leaders = [...(await load.leaders()).values()];
  const running = NODES.filter((n) => cluster.broker(n).isRunning);
  const victim = running.find((n) => leaders.includes(n)) ?? running[0]!;
  await cluster.broker(victim).kill();
  return victim;
}

async function comeBack(name: string, load: Load): Promise<void> {
  await step(`${name}_brokers_start_again`, async () => {
    for (const n of NODES) if (!cluster.broker(n).isRunning) await cluster.broker(n).start();
  });
  await inSync(`${name}_all_in_sync_and_leaders_spread`, load);
  const counts = new Map<number, number>(NODES.map((n) => [n, 0]));
  for (const leader of (await load.leaders()).values()) {
    counts.set(leader, (counts.get(leader) ?? 0) + 1);
  }
  const even = [...counts.values()].every((count) => count === PARTITIONS / NODES.length);
  const shares = [...counts].map(([n, count]) => `${n}: ${count}`).join(", ");
  told(`${name}_leaders_are_even`, even ? undefined : shares, ` (${shares})`);
}

async function story(): Promise<void> {
  if ((await step("cluster_starts", () => cluster.start())) === null) return;
  const load = await Load.start(cluster.bootstrap, join(work, "history"));
  await load.ask(`create users ${PARTITIONS} 3 min.insync.replicas=2`);
  await inSync("topic_in_sync", load);
  await load.ask("producer p1 users 300");
  await load.ask("member c1 classic-readers classic read_committed users");
  await load.ask("member c2 consumer-readers consumer read_uncommitted users");
  await goesOn("three_brokers_serve", load);

  await killOne(load);
  await goesOn("min_isr_2_one_dead_goes_on", load);
  await killOne(load);
  // What was under way may still be answered.
  await pause(1000);
  const before = await load.counts();
  await pause(STANDS_STILL_MS);
  const after = await load.counts();
  const came = after.acked - before.acked;
  const why = came === 0 ? undefined : `${came} were acknowledged by one replica of two`;
  told("min_isr_2_two_dead_acknowledges_nothing", why);
  const dead = NODES.filter((n) => !cluster.broker(n).isRunning);
  await step("min_isr_2_first_comes_back", () => cluster.broker(dead[0]!).start());
  await goesOn("min_isr_2_two_of_three_go_on", load);
  await comeBack("min_isr_2", load);

  await step("min_isr_becomes_1", () => load.ask("alter users min.insync.replicas=1"));
  await killOne(load);
  await goesOn("min_isr_1_one_dead_goes_on", load);
  await killOne(load);
  await goesOn("min_isr_1_two_dead_goes_on", load);
  await comeBack("min_isr_1", load);
  await goesOn("three_brokers_serve_again", load);

  const { failed } = await load.counts();
  told("no_write_failed", failed === 0 ? undefined : `${failed}: ${load.complaints.slice(-400)}`);
  const topics = await topicsToRead(load, { users: PARTITIONS });
  const history = await endAndRead([load], cluster);
  await step("brokers_stop", () => cluster.stop());
  judgeHistory(history);
  await judgeReplicas(cluster, topics, work);
}

try {
  await story();
} catch (error) {
  toldError("story", error);
}
await cluster.kill();
endWithVerdicts();
