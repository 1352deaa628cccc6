// A cluster that forgets: all brokers are killed at once, and come back with what they had some time before, as disks that lie
// about syncing would leave them. Clients see records vanish that were acknowledged; a judge that says nothing then is none.

import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { told } from "../verdicts.ts";
import { faultsOf, type Rule } from "./judge.ts";
import { type Load, readHistory } from "./load.ts";
import { type Cluster, NODES } from "./nodes.ts";
import { inSync, step } from "./verdict.ts";

const GOES_ON_MS_MAX = 60_000;
/** What a cluster that forgets has broken, whatever else. */
const FOUND: readonly Rule[] = [
  "nothing_acknowledged_is_lost",
  "what_was_read_stays",
  "group_offsets_never_go_back",
];

async function killAll(cluster: Cluster): Promise<void> {
  await Promise.all([...cluster.brokers.values()].map((broker) => broker.kill()));
}

async function startAll(cluster: Cluster): Promise<void> {
  await Promise.all([...cluster.brokers.values()].map((broker) => broker.start()));
}

/** Its folder stays, as it may be a mount. */
function replaceIn(folder: string, from: string): void {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  cpSync(from, folder, { recursive: true });
}

/** @param lines What goes on under the load. @param work A folder to work in */
export async function sabotage(
  cluster: Cluster,
  load: Load,
  lines: readonly string[],
  work: string,
): Promise<void> {
  await step("brokers_are_killed_and_copied", async () => {
    await killAll(cluster);
    for (const n of NODES) cpSync(cluster.dataOf(n), join(work, `older-${n}`), { recursive: true });
    await startAll(cluster);
  });
  await inSync("all_in_sync", load);
  await step("load_goes_on", () => load.goesOn(lines, 20, GOES_ON_MS_MAX));
  await step("brokers_come_back_with_what_they_had_before", async () => {
    await killAll(cluster);
    for (const n of NODES) replaceIn(cluster.dataOf(n), join(work, `older-${n}`));
    await startAll(cluster);
  });
  // What these cannot do on a cluster that forgot is no matter.
  for (const line of ["insync 60000", "stop-producers", "drain 10000", "stop-members"]) {
    await load.ask(line, 200_000).catch(() => {});
  }
  await step("everything_is_read_back", () => load.ask("read", 400_000));
  await load.end();
  const broken = faultsOf(await readHistory(load.historyFile));
  for (const rule of FOUND) {
    const count = broken.filter((fault) => fault.rule === rule).length;
    told(`sabotage_is_found_by_${rule}`, count > 0 ? undefined : "it was not", ` (${count})`);
  }
}
