// A transactional writer: transactions over several partitions, committed, aborted, or left open, now and then as a zombie that
// goes on after it has slept. Several writers may have one transactional id.

import type { SeededRandom } from "../../../base/prng.ts";
import type { ModelPartition, SentRecord } from "./model.ts";
import type { TransactionalProducer, Verdict, Wanted } from "./producer.ts";

export interface WriterOptions {
  readonly producer: TransactionalProducer;
  readonly random: SeededRandom;
  readonly partitions: readonly ModelPartition[];
  readonly transactionCount: number;
  readonly recordsMax: number;
  readonly thinkUsMax: number;
  /** Before it takes the id, and after it has lost it. */
  readonly idleUsMax: number;
  readonly mustStop: () => boolean;
  readonly recordsFor: (partition: ModelPartition, count: number) => readonly SentRecord[];
}

/** Of a hundred transactions. */
const ABORTED_PERCENT = 25;
const ABANDONED_PERCENT = 8;
const SLEEPING_PERCENT = 10;

export class Writer {
  isDone = false;
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { producer, random, transactionCount, idleUsMax, mustStop, thinkUsMax } = this.#options;
    const { client } = producer.options;
    await this.#sleep(random.below(idleUsMax));
    for (let i = 0; i < transactionCount && !mustStop(); i++) {
      if (producer.mustInit) await producer.init();
      if (mustStop()) break;
      if ((await this.#transaction()) === "fenced") await this.#sleep(random.below(idleUsMax));
      else await this.#sleep(random.below(thinkUsMax));
    }
    client.close();
    this.isDone = true;
  }

  async #transaction(): Promise<"fenced" | "over"> {
    const { producer, random, thinkUsMax } = this.#options;
    producer.begin();
    let verdict: Verdict = "ok";
    for (let rounds = 1 + random.below(2); rounds > 0 && verdict === "ok"; rounds--) {
      verdict = await producer.write(this.#requests());
      if (random.below(2) === 0) await this.#sleep(random.below(thinkUsMax));
    }
    if (verdict === "fenced") {
      producer.abandon();
      return "fenced";
    }
    const dice = random.below(100);
    if (dice < ABANDONED_PERCENT) {
      producer.abandon();
      await this.#sleep(random.below(1_000_000));
      return "over";
    }
    if (random.below(100) < SLEEPING_PERCENT) await this.#sleep(random.below(1_000_000));
    const isCommit = verdict === "ok" && dice >= ABANDONED_PERCENT + ABORTED_PERCENT;
    return (await producer.end(isCommit)) === "fenced" ? "fenced" : "over";
  }

  /** One or two, each for a few partitions, back to back. */
  #requests(): Wanted[][] {
    const { random, recordsMax, recordsFor } = this.#options;
    const partitions = this.#options.partitions.filter(({ topic }) => !topic.isDeletionAsked);
    return Array.from({ length: 1 + random.below(3) }, () => {
      const chosen = new Set<ModelPartition>();
      for (let i = random.below(3); i >= 0; i--) {
        chosen.add(partitions[random.below(partitions.length)]!);
      }
      return Array.from(chosen, (partition) => ({
        partition,
        records: recordsFor(partition, 1 + random.below(recordsMax)),
      }));
    });
  }

  async #sleep(forUs: number): Promise<void> {
    const { client } = this.#options.producer.options;
    await client.options.process.sleep(forUs, `${client.name}_think`);
  }
}
