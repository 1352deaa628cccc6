// One real broker in memory, and a client of it by either way: over Kafka's wire (on a network in this
// process), or through the in-process port. Faults happen in the broker, so that both ways meet the same ones.

import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../plugins/storage-memory/mod.ts";
import { transportKafka } from "../../plugins/transport-kafka/mod.ts";
import { brokerPort } from "../../src/client/broker_port.ts";
import {
  type Client,
  type ClientOptions,
  type ClientPort,
  createClient,
} from "../../src/client/mod.ts";
import { WirePort } from "../../src/client/wire_port.ts";
import type {
  AppendRequest,
  AppendResult,
  Broker,
  Caller,
  FetchRequest,
  FetchResponse,
  Outcome,
} from "../../src/contracts/broker.ts";
import type { TransportPlugin } from "../../src/contracts/transport.ts";
import { createBroker, type RunningBroker } from "../../src/core/mod.ts";
import { refuse } from "../../src/protocol/errors.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";
import { MemoryNetwork } from "../../src/testing/memory_network.ts";

export const ways = ["wire", "in process"] as const;
export type Way = (typeof ways)[number];

/** What befalls one append or fetch. */
export type Fault =
  /** The broker breaks off before it has done anything, or after. */
  | "break_before"
  | "break_after"
  /** Done, but the answer never comes. */
  | "no_answer"
  | "slow"
  /** Taken up late, when the topic that was named may be another one. */
  | "late"
  | "not_leader"
  /** Refused, since the broker says it knows nothing of the producer. */
  | "forgotten"
  /** Appended, and refused all the same. */
  | "refused_after"
  /** Done twice, as if a request had been sent twice. */
  | "twice";

export class Faults {
  append: () => Fault | null = () => null;
  fetch: () => Fault | null = () => null;
  /** Methods of the broker's topics, admin and log, by name: these never answer. */
  isDeafTo: (method: string) => boolean = () => false;
  /** What befalls one call of a method of the broker's groups or transactions, by name. */
  call: (method: string) => "break_before" | "break_after" | "no_answer" | null = () => null;
  /** With what code one call of a method of transactions is refused, undone. */
  refuse: (method: string) => number | null = () => null;
  /** Calls of groups and transactions, by name, in order. */
  readonly calls: string[] = [];
  appends = 0;
  /** Appends begun and not yet answered, at most. */
  appendsAtOnceMax = 0;
  fetches = 0;
}

const SLOW_MS = 15;
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const gone = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    const end = () => reject(new Error("The caller is gone"));
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });

/** The broker with faults in its log; all else is as it was. */
function faulty(broker: Broker, faults: Faults): Broker {
  const { log } = broker;
  let atOnce = 0;
  const append = async (caller: Caller, request: AppendRequest) => {
    faults.appends++;
    faults.appendsAtOnceMax = Math.max(faults.appendsAtOnceMax, ++atOnce);
    try {
      return await appended(caller, request);
    } finally {
      atOnce--;
    }
  };
  const appended = async (
    caller: Caller,
    request: AppendRequest,
  ): Promise<readonly Outcome<AppendResult>[]> => {
    switch (faults.append()) {
      case "break_before":
        throw new Error("broken before");
      case "break_after":
        await log.append(caller, request);
        throw new Error("broken after");
      case "no_answer":
        await log.append(caller, request);
        return gone(caller.signal);
      case "slow": {
        const answer = log.append(caller, request);
        await later(SLOW_MS);
        return answer;
      }
      case "late":
        await later(SLOW_MS / 3);
        return log.append(caller, request);
      case "not_leader":
        return request.partitions.map(() => refuse("not_leader_or_follower"));
      case "forgotten":
        return request.partitions.map(() => refuse("unknown_producer_id"));
      case "refused_after":
        await log.append(caller, request);
        return request.partitions.map(() => refuse("not_enough_replicas_after_append"));
      case "twice": {
        const partitions = request.partitions.map((each) => {
          return { ...each, batches: each.batches.slice() };
        });
        const first = log.append(caller, request);
        const second = log.append(caller, { ...request, partitions });
        await first;
        return second;
      }
      default:
        return log.append(caller, request);
    }
  };
  const fetch = async (caller: Caller, request: FetchRequest): Promise<FetchResponse> => {
    faults.fetches++;
    switch (faults.fetch()) {
      case "break_before":
      case "break_after":
        throw new Error("broken fetch");
      case "no_answer":
        return gone(caller.signal);
      case "slow":
        await later(SLOW_MS);
        return log.fetch(caller, request);
      case "not_leader":
        return {
          partitions: request.partitions.map(() => refuse("not_leader_or_follower")),
          release() {},
        };
      default:
        return log.fetch(caller, request);
    }
  };
  return {
    brokerId: broker.brokerId,
    clusterId: broker.clusterId,
    get features() {
      return broker.features;
    },
    get featuresEpoch() {
      return broker.featuresEpoch;
    },
    transactions: troubled(broker.transactions, faults),
    groups: troubled(broker.groups, faults),
    topics: deafened(broker.topics, faults),
    admin: deafened(broker.admin, faults),
    setting: (name) => broker.setting(name),
    isOnline: () => broker.isOnline(),
    log: {
      append,
      fetch,
      partitionFor: (caller, topic, key) => log.partitionFor(caller, topic, key),
      offsetFor: (caller, queries) => deafened(log, faults).offsetFor(caller, queries),
      endOffsetForEpoch: (caller, queries) => log.endOffsetForEpoch(caller, queries),
      topicNameOf: (topicId) => log.topicNameOf(topicId),
      topicIdOf: (name) => log.topicIdOf(name),
    },
  };
}

/** An answer of a transaction's API that says no, in whatever form that API has. */
function refusedWith(errorCode: number, asked: unknown): unknown {
  const { v3AndBelowTopics = [], topics = [] } = asked as {
    v3AndBelowTopics?: readonly { name: string; partitions: readonly number[] }[];
    topics?: readonly { name: string; partitions: readonly { partitionIndex: number }[] }[];
  };
  return {
    throttleTimeMs: 0,
    errorCode,
    producerId: -1,
    producerEpoch: -1,
    resultsByTransaction: [],
    resultsByTopicV3AndBelow: v3AndBelowTopics.map(({ name, partitions }) => ({
      name,
      resultsByPartition: partitions.map((partitionIndex) => {
        return { partitionIndex, partitionErrorCode: errorCode };
      }),
    })),
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  };
}

function troubled<T extends object>(own: T, faults: Faults): T {
  return new Proxy(own, {
    get(from, name) {
      const held: unknown = Reflect.get(from, name);
      if (typeof held !== "function") return held;
      return async (...words: unknown[]) => {
        faults.calls.push(String(name));
        const fault = faults.call(String(name));
        if (fault === "break_before") throw new Error(`broken before ${String(name)}`);
        const code = faults.refuse(String(name));
        if (code !== null) return refusedWith(code, words[1]);
        const answer: unknown = await held.apply(from, words);
        if (fault === "break_after") throw new Error(`broken after ${String(name)}`);
        if (fault === "no_answer") return gone((words[0] as Caller).signal);
        return answer;
      };
    },
  });
}

function deafened<T extends object>(own: T, faults: Faults): T {
  return new Proxy(own, {
    get(from, name) {
      if (faults.isDeafTo(String(name))) return () => new Promise<never>(() => {});
      const held: unknown = Reflect.get(from, name);
      return typeof held === "function" ? held.bind(from) : held;
    },
  });
}

/** A broker whose wire is a network in this process. */
export class Rig {
  readonly faults: Faults;
  readonly broker: RunningBroker;
  readonly network: MemoryNetwork;
  readonly #host: HostRuntime;
  readonly #seen: Broker;
  readonly #clients: Client[] = [];

  private constructor(
    broker: RunningBroker,
    network: MemoryNetwork,
    host: HostRuntime,
    faults: Faults,
  ) {
    this.broker = broker;
    this.network = network;
    this.#host = host;
    this.faults = faults;
    this.#seen = faulty(broker, faults);
  }

  static async start(settings: Record<string, string | number | boolean> = {}): Promise<Rig> {
    const host = hostRuntime({ log: { level: "off", configure: false, write: () => {} } });
    const network = new MemoryNetwork();
    const faults = new Faults();
    const wire = transportKafka({
      listeners: [{ name: "kafka", host: "memory", port: 0, advertisedHost: "memory" }],
    });
    const transport: TransportPlugin = {
      ...wire,
      start: (context) => wire.start({ ...context, broker: faulty(context.broker, faults) }),
    };
    const broker = await createBroker({
      broker: { id: 7 },
      runtime: { ...host.runtime, network },
      storage: storageMemory(),
      metadata: metadataMemory(),
      transports: [transport],
      settings,
    });
    await broker.start();
    return new Rig(broker, network, host, faults);
  }

  get runtime() {
    return { ...this.#host.runtime, network: this.network };
  }

  /** The bare door, without a client. */
  port(way: Way, requestTimeoutMs = 2_000): ClientPort {
    const runtime = this.runtime;
    if (way === "in process") return brokerPort(this.#seen, { runtime, requestTimeoutMs });
    const { host, port } = this.broker.endpoints[0]!;
    return new WirePort(runtime, {
      bootstrap: [{ host, port }],
      clientId: "test",
      requestTimeoutMs,
      connectTimeoutMs: 2_000,
      inFlightMax: 64,
      responseBytesMax: 1 << 28,
      backoffMs: 1,
      backoffMsMax: 5,
    });
  }

  client(way: Way, options: ClientOptions = {}): Client {
    const client = createClient(this.runtime, {
      port: this.port(way, options.requestTimeoutMs),
      backoffMs: 1,
      backoffMsMax: 5,
      timeoutMs: 10_000,
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#clients.map((client) => client.close(100)));
    await this.broker.stop(100);
    await this.#host.stop(100);
  }
}
