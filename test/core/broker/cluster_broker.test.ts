// Three brokers of one process on a store that they share: what they register, what they tell clients of each other, how one leaves.

import { afterEach, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { transportKafka } from "../../../plugins/transport-kafka/mod.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { callerOf } from "../../support/memory_broker.ts";

const caller = { ...callerOf("alice", new AbortController().signal), listener: "outside" };
const everything = {
  topics: null,
  allowAutoTopicCreation: false,
  includeClusterAuthorizedOperations: false,
  includeTopicAuthorizedOperations: false,
};
let ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

interface Rig {
  readonly brokers: readonly RunningBroker[];
  readonly sessionsMs: readonly number[];
  registrations(): Promise<readonly { peer: { listener: string }; endpoints: readonly object[] }[]>;
}

async function threeBrokers(settings: Record<string, string | number>): Promise<Rig> {
  const shared = metadataMemory({ shared: true });
  const sessionsMs: number[] = [];
  const metadata: MetadataStorePlugin = {
    ...shared,
    async open(context) {
      const store = await shared.open(context);
      const session = store.session.bind(store);
      store.session = (ttlMs) => {
        sessionsMs.push(ttlMs);
        return session(ttlMs);
      };
      return store;
    },
  };
  const brokers: RunningBroker[] = [];
  for (const id of [1, 2, 3]) {
    const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
    const listeners = ["outside", "inside"].map((name) => ({ name, host: "127.0.0.1", port: 0 }));
    const broker = await createBroker({
      broker: { id, rack: `rack-${id}`, release: "1.2.3" },
      runtime: host.runtime,
      storage: storageMemory(),
      metadata,
      transports: [transportKafka({ listeners })],
      settings,
    });
    brokers.push(broker);
    ends.push(async () => {
      await broker.stop(1000);
      await host.stop(1000);
    });
    await broker.start();
  }
  const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const store = await shared.open({ runtime: host.runtime, brokerId: 9 });
  ends.unshift(() => store.close());
  return {
    brokers,
    sessionsMs,
    async registrations() {
      const { entries } = await store.read("brokers/");
      return entries.map(({ value }) => JSON.parse(new TextDecoder().decode(value)));
    },
  };
}

/** Metadata as a client that came in by `listener` gets it, once it has `count` brokers. */
async function brokersOf(broker: RunningBroker, listener: string, count: number) {
  for (;;) {
    const { brokers } = await broker.topics.metadata({ ...caller, listener }, everything, 12);
    if (brokers.length === count) return brokers;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("clients of each listener are told that listener of every broker", async () => {
  const { brokers } = await threeBrokers({});
  for (const listener of ["outside", "inside"]) {
    const told = await brokersOf(brokers[1]!, listener, 3);
    const wanted = brokers.map(({ brokerId, endpoints }) => {
      const { advertisedHost, advertisedPort } = endpoints.find(
        (each) => each.listener === listener,
      )!;
      return {
        nodeId: brokerId,
        host: advertisedHost,
        port: advertisedPort,
        rack: `rack-${brokerId}`,
      };
    });
    expect(told).toEqual(wanted);
  }
});

test("broker.session.timeout.ms is the time of sessions, 2000 by itself; peers come by inter.broker.listener.name", async () => {
  const given = { "broker.session.timeout.ms": 7000, "inter.broker.listener.name": "inside" };
  const rig = await threeBrokers(given);
  expect(rig.sessionsMs).toEqual([7000, 7000, 7000]);
  const registrations = await rig.registrations();
  expect(registrations.map(({ peer }) => peer.listener)).toEqual(["inside", "inside", "inside"]);
  expect(registrations.map(({ endpoints }) => endpoints.length)).toEqual([2, 2, 2]);
  const plain = await threeBrokers({});
  expect(plain.sessionsMs).toEqual([2000, 2000, 2000]);
  const [first] = await plain.registrations();
  expect(first!.peer.listener).toBe("outside");
});

test("partitions have their leaders and replicas; a broker that stops is gone at once, and was told to lead nothing", async () => {
  const { brokers } = await threeBrokers({});
  await brokersOf(brokers[0]!, "outside", 3);
  const made = await brokers[0]!.topics.createTopics(
    caller,
    {
      topics: [
        { name: "users", numPartitions: 6, replicationFactor: 3, assignments: [], configs: [] },
      ],
      timeoutMs: 5000,
      validateOnly: false,
    },
    7,
  );
  expect(made.topics.map(({ errorCode }) => errorCode)).toEqual([0]);
  const before = await brokers[0]!.topics.metadata(caller, everything, 12);
  const rows = before.topics[0]!.partitions;
  expect(rows.map(({ replicaNodes }) => [...replicaNodes].sort())).toEqual(
    rows.map(() => [1, 2, 3]),
  );
  expect(rows.map(({ leaderId }) => leaderId).sort()).toEqual([1, 1, 2, 2, 3, 3]);

  await brokers[2]!.stop(1000);
  await brokersOf(brokers[0]!, "outside", 2);
  const after = await brokers[0]!.topics.metadata(caller, everything, 12);
  for (const row of after.topics[0]!.partitions) {
    expect([1, 2]).toContain(row.leaderId);
    expect(row.isrNodes).not.toContain(3);
    expect(row.offlineReplicas).toEqual([3]);
  }
  const described = await brokers[0]!.admin.describeCluster(
    caller,
    {
      includeClusterAuthorizedOperations: false,
      endpointType: 1,
      includeFencedBrokers: true,
    },
    2,
  );
  expect(described.brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced])).toEqual([
    [1, false],
    [2, false],
    [3, true],
  ]);
  expect([1, 2]).toContain(described.controllerId);
});
