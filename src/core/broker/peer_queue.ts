// Questions on their way to one other broker: those of one turn, and all that come while an answer is awaited, travel together.
// Invariants: one request is under way at a time; two questions of one key never share a request; who asks is told, always.
// Kafka: TxnMarkerQueue, AddPartitionsToTxnManager.

import { type KafkaErrorName, type Outcome, refuse } from "../../protocol/errors.ts";

/** Most questions that wait for one broker. */
const WAITING_MAX = 100_000;
/** Most questions of one request. */
const BATCH_MAX = 5_000;

export interface PeerQueueOptions<Item> {
  /** What tells the rows of an answer apart. */
  readonly keyOf: (item: Item) => string;
  /** Asks. @returns one for each item, in order; null: no answer came. Never rejects */
  readonly send: (items: readonly Item[]) => Promise<readonly Outcome<null>[] | null>;
  /** Where no answer came, or too many wait. */
  readonly unanswered: KafkaErrorName;
}

interface Waiting<Item> {
  readonly item: Item;
  readonly resolve: (outcome: Outcome<null>) => void;
}

export class PeerQueue<Item> {
  readonly #options: PeerQueueOptions<Item>;
  #waiting: Waiting<Item>[] = [];
  #isUnderWay = false;

  constructor(options: PeerQueueOptions<Item>) {
    this.#options = options;
  }

  /** Never rejects. */
  ask(item: Item): Promise<Outcome<null>> {
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.resolve(refuse(this.#options.unanswered, "Too much waits for that broker"));
    }
    return new Promise((resolve) => {
      this.#waiting.push({ item, resolve });
      if (this.#isUnderWay) return;
      this.#isUnderWay = true;
      // What else is asked in this turn goes with it.
      void Promise.resolve().then(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      const outcomes = await this.#options.send(batch.map(({ item }) => item));
      for (const [i, { resolve }] of batch.entries()) {
        resolve(outcomes?.[i] ?? refuse(this.#options.unanswered, "The broker did not answer"));
      }
    }
    this.#isUnderWay = false;
  }

  #take(): readonly Waiting<Item>[] {
    const keys = new Set<string>();
    const batch: Waiting<Item>[] = [];
    const left: Waiting<Item>[] = [];
    for (const waiting of this.#waiting) {
      const key = this.#options.keyOf(waiting.item);
      if (batch.length >= BATCH_MAX || keys.has(key)) left.push(waiting);
      else batch.push(waiting);
      keys.add(key);
    }
    this.#waiting = left;
    return batch;
  }
}
