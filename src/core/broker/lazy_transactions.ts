// Transactions, loaded when somebody first asks for a transactional id: most starts can do without.
// Invariant: a start with no transactional id loads none of it; once loaded, a call goes through in the same turn, and calls that
// came meanwhile keep their order.

import type { TransactionApi } from "../../contracts/broker.ts";
import type { Timer } from "../../contracts/runtime.ts";
import { refuse } from "../../protocol/errors.ts";
import { TRANSACTION_TOPIC } from "../cluster/topic_names.ts";
import type { TransactionGate } from "../coordinator/transaction/ports.ts";
import type { OpenTransactions, TransactionsOptions } from "./open_transactions.ts";
import { isLedHere } from "./partition_leaders.ts";

/** After a start, clients come first; then what was open before is loaded, so that it ends in time. */
const WARM_UP_AFTER_MS = 1000;

let code: typeof import("./open_transactions.ts") | null = null;

/** Loads the code ahead: where a host's loader may not come between two turns (the simulator). */
export async function preloadTransactions(): Promise<void> {
  code ??= await import("./open_transactions.ts");
}

export class LazyTransactions {
  readonly api: TransactionApi;
  readonly gate: TransactionGate;
  readonly #options: TransactionsOptions;
  #open: OpenTransactions | null = null;
  #loading: Promise<OpenTransactions> | null = null;
  #isClosed = false;
  readonly #endFollowing: () => void;
  #warmUpTimer: Timer | null = null;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.api = {
      findCoordinator: (...call) => this.#ask(({ api }) => api.findCoordinator(...call)),
      initProducerId: (...call) => this.#ask(({ api }) => api.initProducerId(...call)),
      addPartitionsToTxn: (...call) => this.#ask(({ api }) => api.addPartitionsToTxn(...call)),
      addOffsetsToTxn: (...call) => this.#ask(({ api }) => api.addOffsetsToTxn(...call)),
      endTxn: (...call) => this.#ask(({ api }) => api.endTxn(...call)),
      writeTxnMarkers: (...call) => this.#ask(({ api }) => api.writeTxnMarkers(...call)),
      describeTransactions: (...call) => this.#ask(({ api }) => api.describeTransactions(...call)),
      listTransactions: (...call) => this.#ask(({ api }) => api.listTransactions(...call)),
    };
    this.gate = {
      admit: (...batch) => {
        // Nobody has ever had a transactional id here.
        if (!this.#isTopicThere) return refuse("coordinator_not_available");
        const open = this.#openIfLoaded();
        if (open !== null) return open.coordinator.admit(...batch);
        return this.#ready().then(({ coordinator }) => coordinator.admit(...batch));
      },
    };
    this.#endFollowing = options.cluster.follow({
      topicChanged: () => {},
      topicDeleted: ({ name }) => {
        // Once it is there, the coordinator hears of it by itself.
        if (name === TRANSACTION_TOPIC && this.#open === null) this.#abandon();
      },
      partitionsChanged: (topic, partitions) => {
        if (this.#open !== null || this.#isClosed || topic.name !== TRANSACTION_TOPIC) return;
        const { cluster, runtime } = options;
        if (!partitions.some((each) => isLedHere(cluster, topic, each))) return;
        runtime.scheduler.spawn("transaction_warm_up", async () => {
          const { coordinator } = await this.#ready();
          if (!this.#isClosed) await coordinator.warmUp();
        });
      },
    });
  }

  /** Begins to load what there is, a while after the start: open transactions run out of time, and ends are completed. */
  warmUpLater(): void {
    if (!this.#isTopicThere) return;
    const { runtime } = this.#options;
    this.#warmUpTimer = runtime.scheduler.after(WARM_UP_AFTER_MS, "transaction_warm_up", () => {
      runtime.scheduler.spawn("transaction_warm_up", async () => {
        await (await this.#ready()).coordinator.warmUp();
      });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#endFollowing();
    this.#warmUpTimer?.cancel();
    this.#open?.coordinator.close();
  }

  /** The topic goes before anybody has looked into it: what it left open is aborted, before anything new can be begun. */
  #abandon(): void {
    const open = this.#openIfLoaded();
    if (open !== null) {
      open.coordinator.abandonRest();
      return;
    }
    const abandoned = this.#ready().then(({ coordinator }) => coordinator.abandonRest());
    this.#options.runtime.scheduler.spawn("transactions_abandoned", () => abandoned);
  }

  get #isTopicThere(): boolean {
    return this.#options.cluster.image.topicsByName.has(TRANSACTION_TOPIC);
  }

  #ask<Response>(call: (open: OpenTransactions) => Promise<Response>): Promise<Response> {
    const open = this.#openIfLoaded();
    return open === null ? this.#ready().then(call) : call(open);
  }

  #openIfLoaded(): OpenTransactions | null {
    return this.#open ?? (code === null ? null : this.#make(code));
  }

  #ready(): Promise<OpenTransactions> {
    this.#loading ??= preloadTransactions().then(() => this.#make(code!));
    return this.#loading;
  }

  #make({ openTransactions }: NonNullable<typeof code>): OpenTransactions {
    if (this.#open !== null) return this.#open;
    const open = openTransactions(this.#options);
    this.#open = open;
    if (this.#isClosed) open.coordinator.close();
    return open;
  }
}
