// How a cluster check ends: the load stops, groups read to the end, everything is read back, the brokers stop, and the history and
// the replicas are judged, a line "ok …" or "not ok …" for each rule.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { told } from "../verdicts.ts";
import type { History } from "./history.ts";
import { faultsOf, RULES } from "./judge.ts";
import { type Load, readHistory } from "./load.ts";
import type { Cluster } from "./nodes.ts";
import { kafkaDifferences } from "./replicas.ts";

const DRAIN_MS_MAX = 120_000;
const IN_SYNC_MS_MAX = 180_000;
/** Of each rule; the count says how many there are. */
const FAULTS_TOLD_MAX = 5;

/** Runs a step; its failure is told under its name. @returns what the step said; null: it failed */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T | null> {
  const began = performance.now();
  try {
    const said = await work();
    told(name, undefined, ` (${Math.round(performance.now() - began)} ms)`);
    return said;
  } catch (error) {
    told(name, error instanceof Error ? error.message : String(error));
    return null;
  }
}

/** All replicas in sync, and led by the first of them: told with how long it took. */
export async function inSync(name: string, load: Load): Promise<void> {
  await step(name, () => load.ask(`insync ${IN_SYNC_MS_MAX} leaders`, IN_SYNC_MS_MAX + 30_000));
}

/** Ends the loads, of which the first is Java's, and reads everything back. @returns what was seen */
export async function endAndRead(loads: readonly Load[], cluster: Cluster): Promise<History> {
  const [java] = loads as [Load, ...Load[]];
  const all = (line: string) => async () => {
    for (const load of loads) await load.ask(line, 200_000);
  };
  await step("producers_come_to_their_end", all("stop-producers"));
  await step("groups_read_to_the_end", () =>
    java.ask(`drain ${DRAIN_MS_MAX}`, DRAIN_MS_MAX + 30_000),
  );
  await step("members_come_to_their_end", all("stop-members"));
  await step("everything_is_read_back", () => java.ask("read", 400_000));
  for (const load of loads) await load.end();
  const history = await readHistory(...loads.map((load) => load.historyFile));
  for (const server of cluster.brokers.values()) {
    const why = server.deaths === 0 ? undefined : `it ended by itself ${server.deaths} times`;
    told(`${server.name}_never_ended_by_itself`, why);
  }
  return history;
}

/** Judges what clients saw. */
export function judgeHistory(history: History): void {
  const faults = faultsOf(history);
  for (const rule of RULES) {
    const broken = faults.filter((fault) => fault.rule === rule);
    const texts = broken.slice(0, FAULTS_TOLD_MAX).map(({ text }) => text);
    told(rule, broken.length === 0 ? undefined : `${broken.length}: ${texts.join("; ")}`);
  }
  // A history of nothing has no fault either.
  let [acknowledged, read] = [0, 0];
  for (const { sent } of history.partitions.values()) {
    for (const each of sent.values()) if (each.ackedMs >= 0) acknowledged++;
  }
  for (const { seen } of history.sessions) read += seen.length;
  const figures = `${acknowledged} acknowledged, ${read} read by groups, ${history.commits.length} commits of groups`;
  const isEnough = acknowledged > 0 && read > 0 && history.commits.length > 0;
  told("the_load_was_one", isEnough ? undefined : figures, ` (${figures})`);
}

/** Compares what the brokers, which have stopped, keep of `topics`. */
export function judgeReplicas(cluster: Cluster, topics: readonly string[], work: string): void {
  const folders = new Map<string, string>();
  mkdirSync(work, { recursive: true });
  for (const [n] of cluster.brokers) {
    folders.set(`broker ${n}`, join(cluster.dataOf(n), "logs"));
  }
  const { compared, differences } = kafkaDifferences(folders, topics);
  const why = differences.length > 0 ? differences.slice(0, FAULTS_TOLD_MAX).join("; ") : undefined;
  const none = compared === 0 ? "no partition was found" : undefined;
  told("replicas_are_the_same_bytes", why ?? none, ` (${compared} partitions)`);
}
