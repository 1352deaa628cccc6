// Kafka Streams' word count with exactly_once_v2, while application and broker are killed and the application's state is deleted:
// the table it comes back with is the one that a count by hand comes to, and so are what it wrote on and its changelog, which
// has been compacted meanwhile.
//   drive.ts FOLDER      ROUNDS, LINES (a round), SEED; prints "ok name" and "not ok name why"

import { spawnSync } from "node:child_process";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../../mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { KillableBroker } from "../killable_broker.ts";
import { CountApp } from "./count_app.ts";

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const ROUNDS = number("ROUNDS", 3);
const LINES = number("LINES", 2500);
const SEED = number("SEED", Date.now() % 1_000_000);
const WORDS_PER_LINE = 4;
const VOCABULARY = 120;
const PARTITIONS = 2;
/** So long it may take until everything is counted, after the last kill. */
const COUNTED_MS = 45_000;
/** And so long until the changelog is compacted. */
const COMPACTED_MS = 20_000;

const [folder = ""] = process.argv.slice(2);
const random = SeededRandom.of(SEED);
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const progress = (line: string): void => {
  writeSync(number("PROGRESS_FD", 2), `${line}\n`);
};

type Counts = ReadonlyMap<string, number>;
const sum = (counts: Counts): number => [...counts.values()].reduce((all, each) => all + each, 0);

/** What is wrong with a table; null when it is the wanted one. */
function faultOf(table: Counts, wanted: Counts): string | null {
  for (const [word, count] of wanted) {
    if (table.get(word) !== count) return `${word} ${table.get(word)} times instead of ${count}`;
  }
  const more = [...table.keys()].find((word) => !wanted.has(word));
  return more === undefined ? null : `${more}, which was never there`;
}

interface KeyedRecord {
  readonly key: string;
  readonly value: number;
}

/** What kcat finds committed in a topic: key and value by line. @param format of the value: a long, or text */
function committed(bootstrap: string, topic: string, format: "q" | "s"): readonly KeyedRecord[] {
  const args = ["-C", "-q", "-e", "-o", "beginning", "-b", bootstrap, "-t", topic];
  const how = ["-X", "isolation.level=read_committed", "-s", "key=s", "-s", `value=${format}`];
  const done = spawnSync("kcat", [...args, ...how, "-f", "%k %s\n"], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (done.status !== 0) throw new Error(`kcat: ${done.stderr}`);
  return done.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const at = line.lastIndexOf(" ");
      return { key: line.slice(0, at), value: Number(line.slice(at + 1)) };
    });
}

function newestOf(records: readonly KeyedRecord[]): Counts {
  return new Map(records.map(({ key, value }) => [key, value]));
}

class Drive {
  readonly #broker: KillableBroker;
  readonly #app: CountApp;
  readonly #wanted = new Map<string, number>();
  readonly #kills = { app: 0, states: 0, broker: 0 };
  readonly #name = `words-${SEED}`;

  constructor(broker: KillableBroker) {
    this.#broker = broker;
    const state = join(folder, "state");
    const jvm = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
    const args = [this.#name, state, `${this.#name}-in`, `${this.#name}-out`];
    const command = [...jvm, "-cp", process.env["STREAMS_CP"] ?? "", "WordCount", ...args];
    this.#app = new CountApp(command, state, broker.bootstrap);
  }

  async run(): Promise<boolean> {
    const app = this.#app;
    let passed = true;
    const check = async (name: string, what: () => Promise<string>) => {
      const began = Date.now();
      try {
        console.log(`ok ${name} (${await what()}; ${Date.now() - began} ms)`);
      } catch (error) {
        passed = false;
        console.log(`not ok ${name} ${String(error).replaceAll("\n", " ")} (SEED=${SEED})`);
      }
    };
    try {
      await this.#makeTopics();
      app.start();
      await check("streams_counts_exactly_once", () => this.#rounds());
      await check("streams_restores_the_table", () => this.#restored());
      await check("streams_output_has_every_count_once", async () => this.#outputOnce());
      await check("streams_changelog_is_compacted", () => this.#changelog());
    } finally {
      await app.kill(true);
    }
    return passed;
  }

  async #makeTopics(): Promise<void> {
    const client = await connect(`kafka://${this.#broker.bootstrap}`);
    for (const each of ["in", "out"]) {
      const name = `${this.#name}-${each}`;
      await client.admin.createTopic({ name, partitions: PARTITIONS, replicationFactor: 1 });
    }
    await client.close(1000);
  }

  async #rounds(): Promise<string> {
    for (let round = 1; round <= ROUNDS; round++) {
      const began = Date.now();
      await this.#feed();
      await this.#kill(round);
      await this.#counted();
      progress(`round ${round}/${ROUNDS}: ${Date.now() - began} ms`);
    }
    const { app, states, broker } = this.#kills;
    const kills = `killed ${app} times, ${states} of them with its state deleted, the broker ${broker} times`;
    return `${sum(this.#wanted)} words, ${kills}, ${this.#app.failures} times it gave up`;
  }

  /** A lot of lines, and what is to come of them. */
  async #feed(): Promise<void> {
    const client = await connect(`kafka://${this.#broker.bootstrap}`);
    const producer = client.producer();
    const topic = `${this.#name}-in`;
    const sent = Array.from({ length: LINES }, (_, n) => {
      const words = Array.from({ length: WORDS_PER_LINE }, () => {
        // Some far more often than others.
        const word = `w${Math.min(random.below(VOCABULARY), random.below(VOCABULARY))}`;
        this.#wanted.set(word, (this.#wanted.get(word) ?? 0) + 1);
        return word;
      });
      return producer.send({ topic, partition: n % PARTITIONS, value: words.join(" ") });
    });
    await Promise.all(sent);
    await client.close(5000);
  }

  /** The application, in the middle of its work; the broker, too, from the second round on. */
  async #kill(round: number): Promise<void> {
    const app = this.#app;
    const before = sum(this.#wanted) - LINES * WORDS_PER_LINE;
    const until = Date.now() + COUNTED_MS;
    for (;;) {
      const table = await app.table();
      if (table !== null && sum(table) > before) break;
      if (Date.now() > until) throw new Error(`nothing was counted; ${app.complaint}`);
      await pause(50);
    }
    await pause(random.below(300));
    const deletesState = round % 2 === 1;
    await app.kill(deletesState);
    this.#kills.app++;
    if (deletesState) this.#kills.states++;
    if (round > 1) {
      await this.#killBroker();
      app.start();
    } else {
      app.start();
      // While it comes back.
      await pause(1000 + random.below(1500));
      await this.#killBroker();
    }
  }

  async #killBroker(): Promise<void> {
    await this.#broker.kill();
    this.#kills.broker++;
    await pause(random.below(300));
    await this.#broker.start();
  }

  /** Waits until as many words are counted as there are. */
  async #counted(): Promise<void> {
    const wanted = sum(this.#wanted);
    const until = Date.now() + COUNTED_MS;
    for (;;) {
      const table = await this.#app.table();
      const counted = table === null ? -1 : sum(table);
      if (counted > wanted) throw new Error(`${counted} words counted of ${wanted}`);
      if (counted === wanted) {
        const fault = faultOf(table!, this.#wanted);
        if (fault !== null) throw new Error(fault);
        return;
      }
      if (Date.now() > until) {
        throw new Error(`${counted} of ${wanted} words were counted; ${this.#app.complaint}`);
      }
      await pause(100);
    }
  }

  /** A last time, with nothing left to count: what is there then was restored. */
  async #restored(): Promise<string> {
    const app = this.#app;
    await this.#isWritten();
    await app.kill(true);
    const before = app.restored;
    app.start();
    await this.#counted();
    const restored = app.restored - before;
    if (restored < this.#wanted.size) throw new Error(`${restored} records restored`);
    return `${this.#wanted.size} words of ${restored} records in the changelog`;
  }

  /** Waits until all that was counted is committed. */
  async #isWritten(): Promise<void> {
    const wanted = sum(this.#wanted);
    const until = Date.now() + COUNTED_MS;
    while (this.#updates().length < wanted) {
      if (Date.now() > until) throw new Error("the last updates were not committed");
      await pause(200);
    }
  }

  #updates(): readonly KeyedRecord[] {
    return committed(this.#broker.bootstrap, `${this.#name}-out`, "s");
  }

  /** Each update was written on once, and in order: 1, 2, 3 and so on for every word. */
  #outputOnce(): string {
    const counts = new Map<string, number>();
    const records = this.#updates();
    for (const { key, value } of records) {
      const wanted = (counts.get(key) ?? 0) + 1;
      if (value !== wanted) throw new Error(`${key} ${value} where ${wanted} was to come`);
      counts.set(key, value);
    }
    const fault = faultOf(counts, this.#wanted);
    if (fault !== null) throw new Error(fault);
    return `${records.length} updates`;
  }

  /** Cleaning comes in its own time, and not before a transaction that a kill left open was aborted: it is waited for. */
  async #changelog(): Promise<string> {
    const updates = sum(this.#wanted);
    const until = Date.now() + COMPACTED_MS;
    for (;;) {
      const records = committed(this.#broker.bootstrap, `${this.#name}-counts-changelog`, "q");
      const fault = faultOf(newestOf(records), this.#wanted);
      if (fault !== null) throw new Error(fault);
      const left = `${records.length} of ${updates} updates are left`;
      if (records.length <= updates / 2) return left;
      if (Date.now() > until) throw new Error(left);
      await pause(500);
    }
  }
}

progress(`SEED=${SEED} ROUNDS=${ROUNDS}`);
const broker = await KillableBroker.start(folder, [
  "offsets.topic.num.partitions=5",
  "transaction.state.log.num.partitions=5",
  "group.initial.rebalance.delay.ms=0",
  "group.min.session.timeout.ms=1000",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms=500",
  "log.cleaner.backoff.ms=300",
]);
let passed = false;
try {
  passed = await new Drive(broker).run();
} finally {
  await broker.stop();
}
process.exit(passed ? 0 : 1);
