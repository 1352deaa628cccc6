// Whole brokers of one cluster in one process: storage in memory, one metadata store shared, the real Kafka transport on loopback
// between them. A broker that is killed says nothing more to the store: its session runs out; what it wrote is there when it is
// started again, as after kill -9. Fetches of followers can be looked at as they arrive at the leader.

import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { type MemoryStoragePlugin, storageMemory } from "../../plugins/storage-memory/mod.ts";
import { transportKafka } from "../../plugins/transport-kafka/mod.ts";
import type { Broker, Caller, FetchRequest } from "../../src/contracts/broker.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { MetadataStore, MetadataStorePlugin } from "../../src/contracts/metadata_store.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import type { TransportPlugin } from "../../src/contracts/transport.ts";
import { createBroker, type RunningBroker } from "../../src/core/mod.ts";
import { type KafkaErrorName, refuse } from "../../src/protocol/errors.ts";
import { hostRuntime } from "../../src/runtime/host_runtime.ts";
import { batchOf, recordsIn } from "./log_rig.ts";
import { callerOf } from "./memory_broker.ts";
import { until } from "./waiting.ts";

export type Settings = Readonly<Record<string, string | number | boolean>>;

/** As metadata tells it. */
export interface RigPartition {
  readonly leaderId: number;
  readonly replicaNodes: readonly number[];
  readonly isrNodes: readonly number[];
}

export interface RigBroker {
  readonly id: number;
  readonly broker: RunningBroker;
  /** Fetches of followers that came in here, oldest first. */
  readonly replicaFetches: FetchRequest[];
  readonly stop: () => Promise<void>;
  /** Ends it without a word to the others. */
  readonly kill: () => Promise<void>;
}

/** How long a test waits for the cluster to come to be as it should. */
const SETTLE_MS = 20_000;
/** Remembered of each broker, and of commits in all. */
const FETCHES_MAX = 10_000;
const COMMITS_MAX = 10_000;

export class ClusterRig {
  readonly #shared = metadataMemory({ shared: true });
  readonly #disks = new Map<number, MemoryStoragePlugin>();
  readonly #settings: Settings;
  readonly #gone = new AbortController();
  /** Of those that were killed: closed at the end only. */
  readonly #leftovers: (() => Promise<void>)[] = [];
  readonly brokers = new Map<number, RigBroker>();
  /** Keys of what brokers have committed, oldest first. */
  readonly commits: { readonly brokerId: number; readonly keys: readonly string[] }[] = [];
  /** What followers are told of a partition instead of what there is. */
  refusal: (topic: string, partition: number) => KafkaErrorName | null = () => null;

  constructor(settings: Settings = {}) {
    this.#settings = {
      "broker.session.timeout.ms": 600,
      "leader.imbalance.check.interval.seconds": 1,
      "replica.fetch.backoff.ms": 20,
      "offsets.topic.num.partitions": 3,
      "transaction.state.log.num.partitions": 3,
      "group.initial.rebalance.delay.ms": 0,
      ...settings,
    };
  }

  get caller(): Caller {
    return callerOf("alice", this.#gone.signal);
  }

  /** Starts brokers, and waits until all see all. */
  async start(ids: readonly number[], settings: Settings = {}): Promise<void> {
    for (const id of ids) this.brokers.set(id, await this.#start(id, settings));
    const count = this.brokers.size;
    for (const { id, broker } of this.brokers.values()) {
      await until(
        async () => (await this.#metadata(broker, null)).brokers.length === count,
        `broker ${id} sees ${count} brokers`,
        SETTLE_MS,
      );
    }
  }

  async stop(id: number): Promise<void> {
    const broker = this.get(id);
    this.brokers.delete(id);
    await broker.stop();
  }

  async kill(id: number): Promise<void> {
    const broker = this.get(id);
    this.brokers.delete(id);
    await broker.kill();
  }

  async close(): Promise<void> {
    this.#gone.abort();
    for (const id of [...this.brokers.keys()]) await this.stop(id);
    for (const end of this.#leftovers.splice(0)) await end();
  }

  get(id: number): RigBroker {
    const broker = this.brokers.get(id);
    if (broker === undefined) throw new Error(`Broker ${id} does not run`);
    return broker;
  }

  any(): RigBroker {
    const [first] = this.brokers.values();
    if (first === undefined) throw new Error("No broker runs");
    return first;
  }

  /** Makes a topic. @throws {Error} with Kafka's code when that is refused */
  async topic(
    name: string,
    partitions: number,
    factor: number,
    configs: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const made = await this.any().broker.topics.createTopics(
      this.caller,
      {
        topics: [
          {
            name,
            numPartitions: partitions,
            replicationFactor: factor,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 5000,
        validateOnly: false,
      },
      7,
    );
    const { errorCode, errorMessage } = made.topics[0]!;
    if (errorCode !== 0) throw new Error(`${errorCode}: ${errorMessage}`);
  }

  /** As `of` sees them; any broker when left out. */
  async partitions(topic: string, of: RigBroker = this.any()): Promise<readonly RigPartition[]> {
    const answer = await this.#metadata(of.broker, topic);
    return [...(answer.topics[0]?.partitions ?? [])].sort(
      (a, b) => a.partitionIndex - b.partitionIndex,
    );
  }

  /** Waits until every broker sees the partitions of a topic so. */
  async untilPartitions(
    topic: string,
    what: string,
    isSo: (partitions: readonly RigPartition[]) => boolean,
  ): Promise<readonly RigPartition[]> {
    let last: readonly RigPartition[] = [];
    for (const broker of [...this.brokers.values()]) {
      await until(
        async () => {
          last = await this.partitions(topic, broker);
          return last.length > 0 && isSo(last);
        },
        what,
        SETTLE_MS,
      );
    }
    return last;
  }

  /** Appends with acks=all at the leader, once. @returns the base offset, or Kafka's code of the refusal */
  async produce(
    topic: string,
    partition: number,
    values: readonly string[],
    acks: 0 | 1 | -1 = -1,
  ): Promise<number | string> {
    const { leaderId } = (await this.partitions(topic))[partition]!;
    const leader = this.brokers.get(leaderId);
    if (leader === undefined) return "leader_not_available";
    const [outcome] = await leader.broker.log.append(this.caller, {
      acks,
      timeoutMs: 5000,
      transactionalId: null,
      partitions: [{ topic, partition, batches: batchOf(values) }],
    });
    return outcome!.ok ? outcome!.value.baseOffset : outcome!.error.code;
  }

  /** As a producer does: again and again where the leader is another by then. @returns the base offset */
  async produced(topic: string, partition: number, values: readonly string[]): Promise<number> {
    let last: number | string = "";
    await until(
      async () => {
        last = await this.produce(topic, partition, values);
        return typeof last === "number";
      },
      `${topic}-${partition} takes a record`,
      SETTLE_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; the last answer was ${last}`);
    });
    return Number(last);
  }

  /** What consumers read of a partition, from its start, at its leader. */
  async values(topic: string, partition: number): Promise<string[]> {
    const { leaderId } = (await this.partitions(topic))[partition]!;
    const { log } = this.get(leaderId).broker;
    const values: string[] = [];
    for (let next = 0; ; ) {
      const response = await log.fetch(this.caller, {
        isolation: "read_uncommitted",
        waitMsMax: 0,
        bytesMin: 0,
        bytesMax: 1 << 20,
        partitions: [{ topic, partition, fetchOffset: next, bytesMax: 1 << 20, leaderEpoch: -1 }],
      });
      const outcome = response.partitions[0]!;
      if (!outcome.ok) throw new Error(outcome.error.code);
      const records = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
      response.release();
      if (records.length === 0) return values;
      for (const { offset, value } of records) if (offset >= next) values.push(value);
      next = records.at(-1)!.offset + 1;
    }
  }

  #metadata(broker: RunningBroker, topic: string | null) {
    return broker.topics.metadata(
      this.caller,
      {
        topics: topic === null ? [] : [{ name: topic, topicId: NO_ID }],
        allowAutoTopicCreation: false,
        includeClusterAuthorizedOperations: false,
        includeTopicAuthorizedOperations: false,
      },
      12,
    );
  }

  async #start(id: number, settings: Settings): Promise<RigBroker> {
    const disk = this.#disks.get(id) ?? storageMemory();
    this.#disks.set(id, disk);
    const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
    const life = { isKilled: false };
    const replicaFetches: FetchRequest[] = [];
    const seen = (broker: Broker): Broker =>
      replaced(broker, "log", this.#watched(broker.log, replicaFetches));
    const broker = await createBroker({
      broker: { id, release: "1.2.3" },
      runtime: host.runtime,
      storage: disk,
      metadata: this.#metadataOf(life),
      transports: [watchedTransport(seen)],
      settings: { ...this.#settings, ...settings },
    });
    const end = async () => {
      await broker.stop(life.isKilled ? 0 : 2000);
      await host.stop(1000);
    };
    await broker.start();
    return {
      id,
      broker,
      replicaFetches,
      stop: end,
      kill: async () => {
        life.isKilled = true;
        await end();
      },
    };
  }

  #watched(log: Broker["log"], fetches: FetchRequest[]): Broker["log"] {
    return replaced(log, "fetch", async (caller: Caller, request: FetchRequest) => {
      const response = await log.fetch(caller, request);
      if (request.replica === undefined) return response;
      if (fetches.length < FETCHES_MAX) fetches.push(request);
      const partitions = response.partitions.map((outcome, at) => {
        const { topic, partition } = request.partitions[at]!;
        const code = this.refusal(topic, partition);
        return code === null ? outcome : refuse(code);
      });
      return { ...response, partitions, release: () => response.release() };
    });
  }

  /** The shared store as one broker has it: once that is killed, neither a commit nor a renewal nor an end comes from it. */
  #metadataOf(life: { isKilled: boolean }): MetadataStorePlugin {
    return {
      ...this.#shared,
      open: async ({ runtime, brokerId }) => {
        const store = await this.#shared.open({ runtime: mortal(runtime, life), brokerId });
        this.#leftovers.push(() => store.close());
        const alive = () => {
          if (life.isKilled) throw new MetadataStoreError("unavailable", "This broker was killed");
        };
        const own: MetadataStore = {
          read: async (prefix) => {
            alive();
            return await store.read(prefix);
          },
          commit: async (transaction) => {
            alive();
            const keys = transaction.writes.map(({ key }) => key);
            if (this.commits.length < COMMITS_MAX) this.commits.push({ brokerId, keys });
            return await store.commit(transaction);
          },
          watch: (prefix, revision, signal) => store.watch(prefix, revision, signal),
          session: async (ttlMs) => {
            alive();
            const session = await store.session(ttlMs);
            const { end } = session;
            // The store knows it by what it gave out, so it is changed and not wrapped.
            session.end = async () => {
              if (!life.isKilled) await end.call(session);
            };
            return session;
          },
          close: async () => {
            if (!life.isKilled) await store.close();
          },
        };
        return own;
      },
    };
  }
}

const NO_ID = "AAAAAAAAAAAAAAAAAAAAAA";

function mortal(runtime: Runtime, life: { readonly isKilled: boolean }): Runtime {
  const { scheduler } = runtime;
  return {
    ...runtime,
    scheduler: {
      after: (delayMs, label, task) =>
        scheduler.after(delayMs, label, () => {
          if (!life.isKilled) task();
        }),
      spawn: (label, task) => scheduler.spawn(label, task),
      yieldNow: () => scheduler.yieldNow(),
    },
  };
}

function watchedTransport(seen: (broker: Broker) => Broker): TransportPlugin {
  const transport = transportKafka({ listeners: [{ name: "kafka", host: "127.0.0.1", port: 0 }] });
  return {
    ...transport,
    start: (context) => transport.start({ ...context, broker: seen(context.broker) }),
  };
}

/** `target` with one field as another: what its methods reach is still itself. */
function replaced<T extends object, K extends keyof T>(target: T, name: K, value: T[K]): T {
  return new Proxy(target, {
    get(of, key) {
      if (key === name) return value;
      const own: unknown = Reflect.get(of, key, of);
      return typeof own === "function" ? own.bind(of) : own;
    },
  });
}
