// Three brokers below one parent (`millrace cluster start --brokers 3`, no etcd): each broker is killed (-9) in turn under a load
// that goes on, and comes back; then the parent is stopped. Arguments: a work folder. RUNTIME: bun, deno, or kafka, where a script
// is the parent, which starts nobody again, so that there one broker dies and stays away.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { Load, readHistory } from "../../../scripts/cluster/load.ts";
import { LOOPBACK, Server, tool } from "../../../scripts/cluster/nodes.ts";
import { inSync, judgeHistory, step } from "../../../scripts/cluster/verdict.ts";
import { endWithVerdicts, told, toldError } from "../../../scripts/verdicts.ts";
import { freePort } from "../free_port.ts";
import { listenerOf } from "./listeners.ts";

const PARTITIONS = 6;
const GOES_ON_MS_MAX = 60_000;
const BACK_MS_MAX = 60_000;
const which = process.env["RUNTIME"] ?? "bun";
const work = process.argv[2]!;
mkdirSync(work, { recursive: true });

async function parentOf(): Promise<Server> {
  const data = join(work, "data");
  const words = ["cluster", "start", "--brokers", "3", "--data", data];
  const at = ["--kafka", `127.0.0.1:${await freePort()}`];
  const commands: Readonly<Record<string, readonly string[]>> = {
    kafka: [join(import.meta.dirname!, "../kafka_cluster_start.sh"), data],
    bun: [tool("bun"), "run", "src/main.ts", ...words, ...at],
    deno: [tool("deno"), "run", "-A", "mod.ts", ...words, ...at],
  };
  const readyText = which === "kafka" ? "BOOTSTRAP=" : "ready kafka=";
  const launch = { place: "parent", command: commands[which]!, env: {}, readyText };
  return new Server("parent", work, LOOPBACK, launch);
}

const places = Array.from({ length: PARTITIONS }, (_, part) => `users/${part}`);
const lines = [
  ...places,
  ...["classic", "consumer"].flatMap((group) => places.map((each) => `${group}:${each}`)),
];

async function story(parent: Server): Promise<void> {
  if ((await step("parent_starts", () => parent.start())) === null) return;
  const bootstrap = /(?:ready kafka|BOOTSTRAP)=(\S+)/.exec(parent.said)![1]!;
  const load = await Load.start(bootstrap, join(work, "history"));
  const pairs = (await load.ask("brokers")).split(" ").map((pair) => pair.split("=").map(Number));
  told("three_brokers_are_there", pairs.length === 3 ? undefined : `there are ${pairs.length}`);
  await load.ask(`create users ${PARTITIONS} 3 min.insync.replicas=2`);
  await inSync("topic_in_sync", load);
  await load.ask("producer p1 users 200");
  for (const protocol of ["classic", "consumer"]) {
    await load.ask(`member ${protocol}-a ${protocol} ${protocol} read_committed users`);
  }
  await step("load_begins", () => load.goesOn(lines, 20, GOES_ON_MS_MAX));
  for (const [id, port] of which === "kafka" ? pairs.slice(0, 1) : pairs) {
    const pid = listenerOf(port!);
    const isChild = pid > 1 && pid !== parent.pid;
    told(`broker_${id}_is_a_process_of_its_own`, isChild ? undefined : `it is ${pid}`);
    if (!isChild) continue;
    process.kill(pid, "SIGKILL");
    await step(`all_goes_on_without_${id}`, () => load.goesOn(lines, 20, GOES_ON_MS_MAX));
    if (which === "kafka") continue;
    await step(`broker_${id}_comes_back`, async () => {
      const until = Date.now() + BACK_MS_MAX;
      for (;;) {
        const now = listenerOf(port!);
        if (now !== 0 && now !== pid) return;
        if (Date.now() > until) throw new Error(`nobody listens on ${port} in ${BACK_MS_MAX} ms`);
        await pause(50);
      }
    });
    await inSync(`all_in_sync_with_${id}`, load);
  }
  await step("producers_come_to_their_end", () => load.ask("stop-producers", 200_000));
  await step("groups_read_to_the_end", () => load.ask("drain 60000", 90_000));
  await step("members_come_to_their_end", () => load.ask("stop-members", 200_000));
  await step("everything_is_read_back", () => load.ask("read", 400_000));
  const { failed } = await load.counts();
  told("no_write_failed", failed === 0 ? undefined : `${failed}: ${load.complaints.slice(-400)}`);
  await load.end();
  await step("parent_stops_with_all_its_brokers", async () => {
    const { code } = await parent.stop();
    if (which !== "kafka" && code !== 0) throw new Error(`it ended with ${code}`);
    const left = pairs.filter(([, port]) => listenerOf(port!) !== 0);
    if (left.length > 0) throw new Error(`brokers ${left.map(([id]) => id).join()} still run`);
  });
  judgeHistory(await readHistory(load.historyFile));
}

const parent = await parentOf();
try {
  await story(parent);
} catch (error) {
  toldError("parent", error);
}
if (parent.isRunning) await parent.kill();
endWithVerdicts();
