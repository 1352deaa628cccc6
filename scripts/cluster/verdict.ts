// How a cluster check ends: the load stops, groups read to the end, everything is read back, the brokers stop, and the history and
// the replicas are judged, a line "ok …" or "not ok …" for each rule.

import { join } from "node:path";
import { told } from "../verdicts.ts";
import type { History } from "./history.ts";
import { faultsOf, RULES } from "./judge.ts";
import { type Load, readHistory } from "./load.ts";
import { millraceReplicas, type TopicToRead } from "./millrace_replicas.ts";
import type { Cluster } from "./nodes.ts";
import { differenceOf, kafkaReplicas, type Replica } from "./replicas.ts";

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
  const endings = new Map<string, number>();
  for (const { ending } of history.transactions.values()) {
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  const ends = ["committed", "aborted"].map((each) => endings.get(each) ?? 0);
  const told_ = [...endings].map(([ending, count]) => `${count} ${ending}`);
  const transactions = `transactions: ${told_.join(", ") || "none"}`;
  const figures = `${acknowledged} acknowledged, ${read} read by groups, ${history.commits.length} commits of groups, ${transactions}`;
  const isEnough =
    Math.min(acknowledged, read, history.commits.length) > 0 &&
    (history.transactions.size === 0 || Math.min(...ends) > 0);
  told("the_load_was_one", isEnough ? undefined : figures, ` (${figures})`);
}

/** The topics with what is needed to find them in a broker's folder; to be asked while the cluster serves. */
export async function topicsToRead(
  load: Load,
  partitionsOf: Readonly<Record<string, number>>,
): Promise<TopicToRead[]> {
  const ids = new Map<string, string>();
  for (const pair of (await load.ask("ids")).split(" ")) {
    const at = pair.indexOf("=");
    ids.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return Object.entries(partitionsOf).map(([name, partitions]) => {
    return { name, partitions, id: ids.get(name)! };
  });
}

/** Compares what the brokers, which have stopped, keep of `topics`. @param work A folder to work in */
export async function judgeReplicas(
  cluster: Cluster,
  topics: readonly TopicToRead[],
  work: string,
): Promise<void> {
  const of = new Map<string, Replica[]>();
  let why: string | undefined;
  try {
    for (const [n] of cluster.brokers) {
      const data = cluster.dataOf(n);
      const found =
        cluster.which === "kafka"
          ? kafkaReplicas(n, join(data, "logs"), topics)
          : await millraceReplicas(n, data, work, topics);
      for (const [place, replica] of found) of.set(place, [...(of.get(place) ?? []), replica]);
    }
  } catch (error) {
    why = String(error);
  }
  const differences = [...of].map(([place, replicas]) =>
    differenceOf(place, replicas, cluster.brokers.size),
  );
  const told_ = differences.filter((each) => each !== undefined).slice(0, FAULTS_TOLD_MAX);
  if (why === undefined && told_.length > 0) why = told_.join("; ");
  if (why === undefined && of.size === 0) why = "no partition was found";
  const bytes = [...of.values()].flat().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  told("replicas_are_the_same_bytes", why, ` (${of.size} partitions, ${bytes} bytes in all)`);
}
