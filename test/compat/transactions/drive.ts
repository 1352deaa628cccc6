// Exactly once, judged from outside: clients consume, transform and produce in transactions, some of them aborted, all beside
// each other, while they and their broker are killed at random. Every reader that asks for what is committed sees each input once,
// in order, and nothing that was aborted; nothing hangs. run.sh --help has what is read from the environment.
//   drive.ts FOLDER CLIENT…      prints "ok name" and "not ok name why", and what goes on to PROGRESS_FD

import { spawnSync } from "node:child_process";
import { writeSync } from "node:fs";
import { connect } from "../../../mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { KillableBroker } from "../killable_broker.ts";
import { clients, java } from "./clients.ts";
import { LoopRun, PARTITIONS, pause } from "./loop_run.ts";
import { Watcher } from "./readers.ts";

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const ROUNDS = number("ROUNDS", 20);
const INPUTS = number("INPUTS", 90);
const SEED = number("SEED", Date.now() % 1_000_000);
const KILL_PERCENT = process.env["ONLY_BROKER"] === undefined ? number("KILL_PERCENT", 60) : 0;
const KILLS_BROKER = process.env["ONLY_CLIENTS"] === undefined;
/** When the broker may be killed, after a round began. */
const BROKER_KILL_MS = 2000;
const DOWN_MS = 300;
/** The one who reads all the while may lag behind so long. */
const LAG_MS_MAX = 15_000;

const [folder = "", ...names] = process.argv.slice(2);
const progress = (line: string): void => {
  writeSync(number("PROGRESS_FD", 2), `${line}\n`);
};

async function makeTopics(bootstrap: string, topics: readonly string[]): Promise<void> {
  const client = await connect(`kafka://${bootstrap}`);
  for (const name of topics) {
    await client.admin.createTopic({ name, partitions: PARTITIONS, replicationFactor: 1 });
  }
  await client.close(1000);
}

async function feed(bootstrap: string, runs: readonly LoopRun[]): Promise<void> {
  const client = await connect(`kafka://${bootstrap}`);
  const producer = client.producer();
  await Promise.all(
    runs.flatMap((run) =>
      run.take(INPUTS).map((serial) => {
        const record = { partition: serial % PARTITIONS, value: String(serial) };
        return producer.send({ topic: run.input, ...record });
      }),
    ),
  );
  await client.close(5000);
}

/** transaction.version, where it is not the broker's own. */
function setVersion(bootstrap: string): void {
  const version = process.env["TRANSACTION_VERSION"];
  if (version === undefined || version === "2") return;
  const tool = ["org.apache.kafka.tools.FeatureCommand", "--bootstrap-server", bootstrap];
  const [command, ...flags] = [...java().slice(0, -1), ...tool];
  const feature = `transaction.version=${version}`;
  const set = spawnSync(command!, [...flags, "downgrade", "--feature", feature]);
  if (set.status !== 0) throw new Error(`transaction.version ${version}: ${set.stdout}`);
}

class Drive {
  readonly #broker: KillableBroker;
  readonly #runs: readonly LoopRun[];
  readonly #random = SeededRandom.of(SEED);
  #brokerKills = 0;

  constructor(broker: KillableBroker) {
    this.#broker = broker;
    const { bootstrap } = broker;
    const options = { bootstrap, seed: SEED, killPercent: KILL_PERCENT };
    this.#runs = names.map((name) => new LoopRun(name, clients[name]!, options));
  }

  get #left(): readonly LoopRun[] {
    return this.#runs.filter(({ failure }) => failure === null);
  }

  async run(): Promise<void> {
    const { bootstrap } = this.#broker;
    const outputs = this.#runs.map(({ output }) => output);
    await makeTopics(bootstrap, [...this.#runs.map(({ input }) => input), ...outputs]);
    const watcher = await Watcher.start(bootstrap, outputs);
    try {
      for (const run of this.#runs) run.start();
      for (let round = 1; round <= ROUNDS && this.#left.length > 0; round++) {
        await this.#round(round);
      }
      await Promise.all(this.#runs.map((run) => run.stop()));
      await this.#watched(watcher);
      for (const run of this.#left) await this.#judge(run, watcher);
    } finally {
      await Promise.all(this.#runs.map((run) => run.stop()));
      await watcher.stop();
    }
  }

  async #round(round: number): Promise<void> {
    const began = Date.now();
    const runs = this.#left;
    await feed(this.#broker.bootstrap, runs);
    const took: string[] = [];
    const one = async (run: LoopRun) => {
      await this.#tried(run, () => run.round(INPUTS));
      took.push(`${run.name} ${((Date.now() - began) / 1000).toFixed(1)}`);
    };
    const [kills] = await Promise.all([this.#killBroker(), ...runs.map(one)]);
    progress(`round ${round}/${ROUNDS}: broker killed ${kills} times; seconds: ${took.join(", ")}`);
  }

  /** Once as a rule. @returns how often */
  async #killBroker(): Promise<number> {
    const kills = KILLS_BROKER ? [0, 1, 1, 2][this.#random.below(4)]! : 0;
    for (let kill = 0; kill < kills; kill++) {
      await pause(this.#random.below(BROKER_KILL_MS));
      await this.#broker.kill();
      this.#brokerKills++;
      await pause(this.#random.below(DOWN_MS));
      await this.#broker.start();
    }
    return kills;
  }

  /** Waits until the reader that was there all the while has seen what it is to see. */
  async #watched(watcher: Watcher): Promise<void> {
    const until = Date.now() + LAG_MS_MAX;
    const lacks = ({ output, inputs }: LoopRun) => watcher.seenOf(output).length < inputs;
    while (this.#left.some(lacks) && Date.now() < until && watcher.fault === null) await pause(50);
  }

  async #judge(run: LoopRun, watcher: Watcher): Promise<void> {
    await this.#tried(run, async () => {
      if (watcher.fault !== null) throw new Error(`java, all the while: ${watcher.fault}`);
      const what = await run.judged(watcher.seenOf(run.output));
      console.log(
        `ok ${run.name}_exactly_once (${what}, ${this.#brokerKills} kills of the broker)`,
      );
    });
  }

  async #tried(run: LoopRun, what: () => Promise<void>): Promise<void> {
    try {
      await what();
    } catch (error) {
      run.failure = String(error).replaceAll("\n", " ");
      console.log(`not ok ${run.name}_exactly_once ${run.failure} (SEED=${SEED})`);
      await run.stop();
    }
  }

  get hasFailed(): boolean {
    return this.#left.length < this.#runs.length;
  }
}

const unknown = names.filter((name) => clients[name] === undefined);
if (unknown.length > 0) throw new Error(`no client of the name ${unknown.join(", ")}`);
const broker = await KillableBroker.start(folder, [
  "offsets.topic.num.partitions=5",
  "transaction.state.log.num.partitions=5",
  "group.initial.rebalance.delay.ms=0",
  "group.min.session.timeout.ms=1000",
  "group.consumer.min.heartbeat.interval.ms=200",
  "group.consumer.heartbeat.interval.ms=300",
  "group.consumer.min.session.timeout.ms=1000",
  "group.consumer.session.timeout.ms=2000",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms=500",
]);
let hasFailed = true;
try {
  setVersion(broker.bootstrap);
  progress(`SEED=${SEED} ROUNDS=${ROUNDS}: ${names.join(" ")}`);
  const drive = new Drive(broker);
  await drive.run();
  ({ hasFailed } = drive);
} finally {
  await broker.stop();
}
process.exit(hasFailed ? 1 : 0);
