// One client's loop from the first input to the verdict: it is fed round by round, killed in the middle of its work, and has to
// catch up each time. Invariant: what is judged is what stands in the output, not what the client said of it.

import { SeededRandom } from "../../../src/base/prng.ts";
import { committedOffsets } from "../groups/committed.ts";
import type { LoopClient } from "./clients.ts";
import { faultOf, type Seen } from "./judge.ts";
import { readByJava, readByKcat } from "./readers.ts";
import { Worker } from "./worker.ts";

export const PARTITIONS = 3;
const BATCH = 5;
const ABORT_PERCENT = 20;
const PAUSE_MS = 20;
/** So long a client may take for a round after the last kill: then it hangs. */
const ROUND_MS_MAX = Number(process.env["ROUND_SECONDS"] ?? 90) * 1000;
const POLL_MS = 150;
/** So long a kill waits for the client to come into the middle of its work. */
const WORK_MS = 3000;

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

export interface LoopOptions {
  readonly bootstrap: string;
  readonly seed: number;
  /** Of 100 rounds, in how many the client is killed. */
  readonly killPercent: number;
}

export class LoopRun {
  readonly name: string;
  readonly input: string;
  readonly output: string;
  /** What went wrong; from then on nothing is asked of it. */
  failure: string | null = null;
  readonly #group: string;
  readonly #client: LoopClient;
  readonly #options: LoopOptions;
  readonly #random: SeededRandom;
  readonly #worker: Worker;
  #inputs = 0;
  #kills = 0;
  /** Kills that came while the client still had something of the round to do. */
  #midway = 0;

  constructor(name: string, client: LoopClient, options: LoopOptions) {
    const run = `${name}-${options.seed}`;
    this.name = name;
    this.input = `${run}-in`;
    this.output = `${run}-out`;
    this.#group = `${run}-group`;
    this.#client = client;
    this.#options = options;
    let salt = options.seed;
    for (const letter of name) salt = (salt * 31 + letter.charCodeAt(0)) >>> 0;
    this.#random = SeededRandom.of(salt);
    const words = [
      `id=${run}-tx`,
      `group=${this.#group}`,
      `in=${this.input}`,
      `out=${this.output}`,
    ];
    words.push(`batch=${BATCH}`, `abort=${ABORT_PERCENT}`, `pause=${PAUSE_MS}`);
    const command = [...client.command(), ...words];
    this.#worker = new Worker(command, options.bootstrap, client.mayRestart);
  }

  get inputs(): number {
    return this.#inputs;
  }

  start(): void {
    this.#worker.start();
  }

  /** Numbers for `count` more inputs. */
  take(count: number): readonly number[] {
    const first = this.#inputs;
    this.#inputs += count;
    return Array.from({ length: count }, (_, n) => first + n);
  }

  /** Kills it as it comes, and waits until every input has been taken. @throws {Error} when that does not come about */
  async round(count: number): Promise<void> {
    const worker = this.#worker;
    if (this.#client.mayRestart && this.#random.below(100) < this.#options.killPercent) {
      const began = worker.committed;
      const middle = began + this.#random.below(count);
      const until = Date.now() + WORK_MS;
      while (worker.committed < middle && Date.now() < until) await pause(3);
      await pause(this.#random.below(PAUSE_MS));
      if (worker.committed < began + count) this.#midway++;
      await worker.kill();
      this.#kills++;
    }
    await this.#caughtUp();
  }

  async #caughtUp(): Promise<void> {
    const worker = this.#worker;
    const until = Date.now() + ROUND_MS_MAX;
    while (!(await this.#isDone())) {
      const nowMs = Date.now();
      if (!worker.isRunning && !this.#client.mayRestart) {
        throw new Error(`it ended: ${worker.complaint}`);
      }
      if (nowMs > until) {
        const far = `${worker.committed} said to be committed of ${this.#inputs}`;
        throw new Error(`${ROUND_MS_MAX} ms were not enough: ${far}; ${worker.complaint}`);
      }
      await pause(POLL_MS);
    }
  }

  async #isDone(): Promise<boolean> {
    try {
      const { bootstrap } = this.#options;
      const offsets = await committedOffsets(bootstrap, this.#group, this.input, PARTITIONS);
      return offsets.reduce((sum, each) => sum + Math.max(0, each), 0) >= this.#inputs;
    } catch {
      // Offsets of a transaction that is open, or a broker that is not there.
      return false;
    }
  }

  /** Lets it end what is under way. */
  async stop(): Promise<void> {
    await this.#worker.stop(10_000);
  }

  /** @returns what was seen and done, in words. @throws {Error} saying who saw what that should not be */
  async judged(watched: readonly Seen[]): Promise<string> {
    const { bootstrap } = this.#options;
    const seen: Readonly<Record<string, readonly Seen[]>> = {
      "java, all the while": watched,
      "java, from the start": readByJava(bootstrap, this.output, "read_committed"),
      "kcat, from the start": readByKcat(bootstrap, this.output, "read_committed"),
    };
    const faults = Object.entries(seen).flatMap(([reader, records]) => {
      const fault = faultOf(records, this.#inputs, PARTITIONS);
      return fault === null ? [] : [`${reader}: ${fault}`];
    });
    if (faults.length > 0) throw new Error(faults.join("; "));
    const all = readByKcat(bootstrap, this.output, "read_uncommitted");
    const aborted = all.filter(({ value }) => value.startsWith("a:")).length;
    const twice = all.length - aborted - this.#inputs;
    // A proof of nothing, if none had been there to see.
    if (aborted === 0) throw new Error("no record was aborted");
    const kills = `${this.#kills} kills of it, ${this.#midway} of them at work`;
    const hung = this.#worker.hung > 0 ? `, ${this.#worker.hung} times it hung` : "";
    return `${this.#inputs} inputs, ${aborted} records aborted and ${twice} by kills, ${kills}, ${this.#worker.restarts} restarts${hung}`;
  }
}
