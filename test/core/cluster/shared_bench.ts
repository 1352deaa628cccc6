// Several clusters' ends on one shared store in memory, on one clock that the test turns: no sockets, no disk.

import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { MetadataStore, Transaction } from "../../../src/contracts/metadata_store.ts";
import type { Runtime } from "../../../src/contracts/runtime.ts";
import { type Cluster, openCluster } from "../../../src/core/cluster/cluster.ts";
import { CLUSTER_FEATURES } from "../../../src/core/cluster/features.ts";
import type { Membership, Registration } from "../../../src/core/cluster/membership.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { benchRuntime } from "./cluster_bench.ts";

/** One clock with the timers of all; those of who is stuck do not fire. */
export class TurnedClock {
  nowMs = 0;
  readonly stuck = new Set<number>();
  readonly #waiting: (() => void)[] = [];
  readonly #timers = new Set<{ dueMs: number; owner: number; task: () => void }>();

  after(owner: number, delayMs: number, task: () => void): { cancel(): void } {
    const timer = { dueMs: this.nowMs + delayMs, owner, task };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Resolves when `owner` is not stuck; asked again at each turn. */
  async freed(owner: number): Promise<void> {
    while (this.stuck.has(owner)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Turns by `ms`, in order, letting everything settle after each timer. */
  async turn(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (const resolve of this.#waiting.splice(0)) resolve();
    for (;;) {
      await settle();
      const due = [...this.#timers]
        .filter(({ dueMs, owner }) => dueMs <= endMs && !this.stuck.has(owner))
        .sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.nowMs = Math.max(this.nowMs, due.dueMs);
      due.task();
    }
    this.nowMs = endMs;
    await settle();
  }
}

/** Lets all promises run that need no clock. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 300; i++) await Promise.resolve();
}

export interface BenchBroker {
  readonly id: number;
  readonly cluster: Cluster;
  readonly membership: Membership;
  readonly metadata: MetadataStore;
  readonly heard: string[];
  close(): Promise<void>;
}

export class SharedBench {
  readonly clock = new TurnedClock();
  readonly plugin = metadataMemory({ shared: true });
  readonly brokers: BenchBroker[] = [];
  /** What happens between a broker's decision and the store's. */
  beforeCommit: (id: number, transaction: Transaction) => Promise<void> = async () => {};
  #incarnations = 0;

  runtime(id: number): Runtime & { settled(): Promise<void> } {
    const plain = benchRuntime(id);
    return {
      ...plain,
      random: SeededRandom.of(id + 100 * ++this.#incarnations),
      clock: { wallMs: () => this.clock.nowMs, monotonicMs: () => this.clock.nowMs },
      scheduler: {
        ...plain.scheduler,
        after: (delayMs, _label, task) => this.clock.after(id, delayMs, task),
      },
      settled: plain.settled,
    };
  }

  async start(
    id: number,
    options: {
      rack?: string;
      settings?: Record<string, string>;
      /** Levels that it says it knows, beside and instead of this release's. */
      features?: Record<string, { min: number; max: number }>;
    } = {},
  ): Promise<BenchBroker> {
    const runtime = this.runtime(id);
    const opened = await this.plugin.open({ runtime, brokerId: id });
    const metadata: MetadataStore = {
      read: (prefix) => opened.read(prefix),
      commit: async (transaction) => {
        await this.beforeCommit(id, transaction);
        return await opened.commit(transaction);
      },
      watch: (prefix, revision, signal) => opened.watch(prefix, revision, signal),
      close: () => opened.close(),
      // Who is stuck opens no new one either.
      session: async (ttlMs) => {
        await this.clock.freed(id);
        return await opened.session(ttlMs);
      },
    };
    const settings = new Settings(new Map(Object.entries(options.settings ?? {})));
    const cluster = await openCluster({
      metadata,
      runtime,
      settings,
      brokerId: id,
      isShared: true,
    });
    const heard: string[] = [];
    cluster.follow({
      topicChanged: (topic) => heard.push(`topic ${topic.name}`),
      topicDeleted: (topic) => heard.push(`gone ${topic.name}`),
      partitionsChanged: (topic, indexes) => heard.push(`${topic.name} ${indexes.join(",")}`),
      brokersChanged: () => heard.push(`brokers ${cluster.brokerIds.join(",")}`),
    });
    const joining = cluster.shared!.join(registration(id, ++this.#incarnations, options));
    // Where an older registration has to run out.
    let membership: Membership | null = null;
    let isRefused = false;
    void joining.then(
      (made) => {
        membership = made;
      },
      () => {
        isRefused = true;
      },
    );
    for (let i = 0; i < 60 && membership === null && !isRefused; i++) await this.clock.turn(100);
    try {
      membership = await joining;
    } catch (error) {
      cluster.close();
      await metadata.close();
      await runtime.settled();
      throw error;
    }
    const broker: BenchBroker = {
      id,
      cluster,
      membership,
      metadata,
      heard,
      async close() {
        await membership!.close();
        cluster.close();
        await metadata.close();
        await runtime.settled();
      },
    };
    this.brokers.push(broker);
    await settle();
    return broker;
  }

  async startAll(count: number): Promise<BenchBroker[]> {
    for (let id = 1; id <= count; id++) await this.start(id);
    return this.brokers;
  }

  async close(): Promise<void> {
    for (const broker of this.brokers) await broker.close();
  }
}

function registration(
  id: number,
  incarnation: number,
  {
    rack,
    features = {},
  }: { rack?: string; features?: Record<string, { min: number; max: number }> },
): Registration {
  const at = { protocol: "kafka", listener: "PLAIN", host: "b", port: 9000 + id, isTls: false };
  return {
    incarnation: `i${incarnation}`,
    rack: rack ?? null,
    endpoints: [at],
    peer: at,
    release: "0.0.0",
    features: new Map([
      ...CLUSTER_FEATURES.map(
        ({ name, minVersion, maxVersion }) => [name, { min: minVersion, max: maxVersion }] as const,
      ),
      ...Object.entries(features),
    ]),
  };
}
