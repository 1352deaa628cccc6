// Exactly once, judged from outside: each client consumes, transforms and produces in transactions, some of them aborted, while it
// and the broker are killed at random. Then every reader that asks for what is committed sees each input once, in order, and
// nothing that was aborted. Invariant: what is judged is what stands in the output, not what the client said of it.
//   drive.ts FOLDER CLIENT…      ROUNDS, KILLS (a round), INPUTS (a round), SEED; TRANSACTION_VERSION=0|1|2; ONLY_CLIENTS=1 or
//   ONLY_BROKER=1 kills only these. RUNTIME as in lib.sh. Prints "ok name" and "not ok name why".

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { connect } from "../../../mod.ts";
import { committedOffsets } from "../groups/committed.ts";
import { KillableBroker } from "./broker.ts";
import { faultOf, type Seen } from "./judge.ts";
import { Worker } from "./worker.ts";

const PARTITIONS = 3;
const BATCH = 5;
const ABORT_PERCENT = 20;
const PAUSE_MS = 20;
/** So long a round may take after the last kill. */
const ROUND_MS = 120_000;

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const ROUNDS = number("ROUNDS", 2);
const KILLS = number("KILLS", 3);
const INPUTS = number("INPUTS", 600);
const seed = number("SEED", Date.now() % 1_000_000);

const [folder = "", ...names] = process.argv.slice(2);
const given = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: use run.sh`);
  return value;
};
const java = () => [
  ...["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
  ...["-cp", given("JAVA_CP"), "Client"],
];
const here = import.meta.dirname;

interface Client {
  readonly command: () => readonly string[];
  /** A process that follows a dead one under its transactional id is served. */
  readonly mayRestart: boolean;
}
const clients: Readonly<Record<string, Client>> = {
  java: { command: () => [...java(), "transform"], mayRestart: true },
  librdkafka: {
    command: () => [given("VENV_PYTHON"), join(here, "confluent_transform.py")],
    mayRestart: true,
  },
  franz_go: { command: () => [given("FRANZ_GO"), "transform"], mayRestart: true },
  kafkajs: { command: () => [given("BUN"), join(here, "kafkajs_transform.ts")], mayRestart: true },
  platformatic: {
    command: () => [given("BUN"), join(here, "platformatic_transform.ts")],
    mayRestart: false,
  },
};

let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
/** A number from 0 to n - 1, the same for the same seed (the moments of the kills stay the machine's). */
function below(n: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a reader prints, by line: partition, offset, value. */
function read(command: readonly string[], bootstrap: string): Seen[] {
  const done = spawnSync(command[0]!, command.slice(1), {
    encoding: "utf8",
    env: { ...process.env, BOOTSTRAP: bootstrap },
    maxBuffer: 1 << 28,
    timeout: 60_000,
  });
  if (done.status !== 0)
    throw new Error(`${command[0]}: ${done.status} ${done.stderr?.slice(-300)}`);
  return done.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [partition, offset, value = ""] = line.split(" ");
      return { partition: Number(partition), offset: Number(offset), value };
    });
}

function readers(topic: string, bootstrap: string): Readonly<Record<string, () => Seen[]>> {
  const kcat = (isolation: string) => () =>
    read(
      [
        ...["kcat", "-C", "-q", "-e", "-o", "beginning", "-b", bootstrap, "-t", topic],
        ...["-X", `isolation.level=${isolation}`, "-f", "%p %o %s\n"],
      ],
      bootstrap,
    );
  return {
    java: () => read([...java(), "show", topic, "read_committed"], bootstrap),
    kcat: kcat("read_committed"),
    uncommitted: kcat("read_uncommitted"),
  };
}

async function isDone(bootstrap: string, group: string, topic: string, inputs: number) {
  try {
    const offsets = await committedOffsets(bootstrap, group, topic, PARTITIONS);
    return offsets.reduce((sum, each) => sum + Math.max(0, each), 0) >= inputs;
  } catch {
    // Offsets of a transaction that is open, or a broker that is not there.
    return false;
  }
}

async function run(broker: KillableBroker, name: string): Promise<string> {
  const { command, mayRestart } = clients[name]!;
  const run = `${name}-${seed}`;
  const [input, output, group] = [`${run}-in`, `${run}-out`, `${run}-group`];
  const { bootstrap } = broker;
  const client = await connect(`kafka://${bootstrap}`);
  for (const topic of [input, output]) {
    await client.admin.createTopic({ name: topic, partitions: PARTITIONS, replicationFactor: 1 });
  }
  await client.close(1000);
  const options = [`id=${run}-tx`, `group=${group}`, `in=${input}`, `out=${output}`];
  options.push(`batch=${BATCH}`, `abort=${ABORT_PERCENT}`, `pause=${PAUSE_MS}`);
  const worker = new Worker([...command(), ...options], bootstrap, mayRestart);
  const kills = { client: 0, broker: 0 };
  let inputs = 0;
  worker.start();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await produce(bootstrap, input, inputs, INPUTS);
      inputs += INPUTS;
      const target = worker.committed + 1;
      await until(
        () => worker.committed >= target,
        () => `nothing was committed; ${worker.complaint}`,
      );
      for (let kill = 0; kill < KILLS; kill++) {
        await pause(50 + below(1200));
        const isBroker =
          process.env["ONLY_CLIENTS"] === undefined &&
          (!mayRestart || process.env["ONLY_BROKER"] !== undefined || below(3) === 0);
        if (isBroker) {
          await broker.kill();
          await pause(below(300));
          await broker.start();
          kills.broker++;
        } else if (mayRestart) {
          await worker.kill();
          kills.client++;
        }
      }
      const deadline = Date.now() + ROUND_MS;
      while (!(await isDone(bootstrap, group, input, inputs))) {
        if (Date.now() > deadline || (!worker.isRunning && !mayRestart)) {
          throw new Error(
            `round ${round + 1} did not end: ${worker.committed} said to be committed of ${inputs}; ${worker.complaint}`,
          );
        }
        await pause(100);
      }
    }
  } finally {
    await worker.stop(10_000);
  }
  const by = readers(output, bootstrap);
  for (const reader of ["java", "kcat"] as const) {
    const fault = faultOf(by[reader]!(), inputs, PARTITIONS);
    if (fault !== null) throw new Error(`${reader} as reader: ${fault}`);
  }
  const aborted = by["uncommitted"]!().filter(({ value }) => !value.startsWith("c:")).length;
  // A proof of nothing, if none had been there to see.
  if (aborted === 0) throw new Error("no record was aborted");
  return `${inputs} inputs, ${aborted} aborted records, ${kills.client} kills of the client, ${kills.broker} of the broker, ${worker.restarts} restarts`;
}

async function produce(bootstrap: string, topic: string, first: number, count: number) {
  const client = await connect(`kafka://${bootstrap}`);
  const producer = client.producer();
  const sent = Array.from({ length: count }, (_, i) => {
    const serial = first + i;
    return producer.send({ topic, partition: serial % PARTITIONS, value: String(serial) });
  });
  await Promise.all(sent);
  await client.close(5000);
}

async function until(holds: () => boolean, what: () => string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited a minute in vain: ${what()}`);
    await pause(20);
  }
}

const version = process.env["TRANSACTION_VERSION"];
const broker = await KillableBroker.start(folder, [
  "offsets.topic.num.partitions=5",
  "transaction.state.log.num.partitions=5",
  "group.initial.rebalance.delay.ms=0",
  "group.min.session.timeout.ms=1000",
]);
let failures = 0;
try {
  if (version !== undefined && version !== "2") {
    const tool = ["org.apache.kafka.tools.FeatureCommand", "--bootstrap-server", broker.bootstrap];
    const [command, ...flags] = [...java().slice(0, -1), ...tool];
    const feature = `transaction.version=${version}`;
    const set = spawnSync(command!, [...flags, "downgrade", "--feature", feature]);
    if (set.status !== 0) throw new Error(`transaction.version ${version}: ${set.stdout}`);
  }
  console.error(`seed ${seed}`);
  for (const name of names) {
    const began = Date.now();
    try {
      const what = await run(broker, name);
      console.log(`ok ${name}_exactly_once (${Date.now() - began} ms: ${what})`);
    } catch (error) {
      failures++;
      console.log(
        `not ok ${name}_exactly_once ${String(error).replaceAll("\n", " ")} (seed ${seed})`,
      );
    }
  }
} finally {
  await broker.stop();
}
process.exit(failures === 0 ? 0 : 1);
