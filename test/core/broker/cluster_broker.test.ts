// Three brokers of one process on a store that they share: what they register, what they tell clients of each other, how one leaves.

import { afterEach, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { type PeerTls, transportKafka } from "../../../plugins/transport-kafka/mod.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import type { Runtime, TlsIdentity } from "../../../src/contracts/runtime.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { appendRecords } from "../../../src/gateway/records.ts";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { TEST_CERTIFICATE_PEM, TEST_PRIVATE_KEY_PEM } from "../../runtime/test_certificate.ts";
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
  readonly runtime: Runtime;
  readonly sessionsMs: readonly number[];
  registrations(): Promise<readonly { peer: { listener: string }; endpoints: readonly object[] }[]>;
}

async function threeBrokers(
  settings: Record<string, string | number>,
  tls?: TlsIdentity,
  peerTls?: PeerTls,
): Promise<Rig> {
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
    const listeners = ["outside", "inside"].map((name) => ({
      name,
      host: "127.0.0.1",
      port: 0,
      ...(tls === undefined ? {} : { tls }),
    }));
    const broker = await createBroker({
      broker: { id, rack: `rack-${id}`, release: "1.2.3" },
      runtime: host.runtime,
      storage: storageMemory(),
      metadata,
      transports: [transportKafka({ listeners, ...(peerTls === undefined ? {} : { peerTls }) })],
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
    runtime: host.runtime,
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

/** Asks until the answer is as it should be: what one broker decided reaches the others a little later. */
async function until<T>(ask: () => Promise<T>, isThere: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isThere(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a log goes when its partition is given to others, and is copied again when it comes back", async () => {
  const { brokers, runtime } = await threeBrokers({});
  const [one, two, three] = brokers as [RunningBroker, RunningBroker, RunningBroker];
  await brokersOf(one, "outside", 3);
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }];
  const topic = { name: "t", numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
  const ask = { topics: [topic], timeoutMs: 5000, validateOnly: false };
  expect((await one.topics.createTopics(caller, ask, 7)).topics[0]!.errorCode).toBe(0);
  const records = [{ key: null, value: new Uint8Array(1000), headers: [] }];
  await until(
    () => appendRecords(one, runtime, caller, { topic: "t", records }),
    (outcome) => outcome.ok && outcome.value[0]!.ok,
  );

  /** Bytes of the partition's log there; -1 where it has none. */
  const bytesAt = async (broker: RunningBroker): Promise<number> => {
    const { results } = await broker.admin.describeLogDirs(caller, { topics: null }, 4);
    const row = results[0]!.topics.find(({ name }) => name === "t");
    return row === undefined ? -1 : Number(row.partitions[0]!.partitionSize);
  };
  const move = async (replicas: readonly number[]): Promise<void> => {
    const partitions = [{ partitionIndex: 0, replicas }];
    const moved = await two.admin.alterPartitionReassignments(
      caller,
      { timeoutMs: 5000, allowReplicationFactorChange: true, topics: [{ name: "t", partitions }] },
      1,
    );
    expect(moved.responses[0]!.partitions[0]!.errorCode).toBe(0);
  };
  const deleted = (broker: RunningBroker) =>
    broker.topics.deleteRecords(
      caller,
      {
        topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset: -1 }] }],
        timeoutMs: 5000,
      },
      2,
    );
  const isCopied = (bytes: number) => bytes > 1000;
  const isGone = (bytes: number) => bytes < 0;
  await until(() => bytesAt(two), isCopied);
  expect(await bytesAt(three)).toBe(-1);
  // Not a follower's to decide, nor of one that has no replica: NOT_LEADER_OR_FOLLOWER.
  expect((await deleted(two)).topics[0]!.partitions[0]!.errorCode).toBe(6);
  expect((await deleted(three)).topics[0]!.partitions[0]!.errorCode).toBe(6);

  await move([2, 3]);
  await until(() => bytesAt(one), isGone);
  expect(await bytesAt(three)).toBeGreaterThan(1000);
  await move([2, 1]);
  await until(() => bytesAt(one), isCopied);
  await until(() => bytesAt(three), isGone);
});

test("over TLS brokers trust whom peerTls names, and show the certificate that a listener asks for", async () => {
  const identity = { certificatePem: TEST_CERTIFICATE_PEM, privateKeyPem: TEST_PRIVATE_KEY_PEM };
  const peerTls = { caPem: TEST_CERTIFICATE_PEM, serverName: "localhost", ...identity };
  const asks = { ...identity, clientCaPem: TEST_CERTIFICATE_PEM };
  const { brokers, runtime } = await threeBrokers({}, asks, peerTls);
  const [one] = brokers as [RunningBroker];
  await brokersOf(one, "outside", 3);
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2, 3] }];
  const topic = { name: "t", numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
  const ask = { topics: [topic], timeoutMs: 5000, validateOnly: false };
  expect((await one.topics.createTopics(caller, ask, 7)).topics[0]!.errorCode).toBe(0);
  const records = [{ key: null, value: new Uint8Array(10), headers: [] }];
  // All three are in sync from the start: this is acknowledged once the others have fetched it.
  await until(
    () => appendRecords(one, runtime, caller, { topic: "t", records }),
    (outcome) => outcome.ok && outcome.value[0]!.ok,
  );
  const { topics } = await one.topics.metadata(caller, everything, 12);
  expect([...topics[0]!.partitions[0]!.isrNodes].sort()).toEqual([1, 2, 3]);
});

test("a certificate for peers has its key", () => {
  const listeners = [{ name: "outside", host: "127.0.0.1", port: 0 }];
  const peerTls = { certificatePem: TEST_CERTIFICATE_PEM };
  expect(() => transportKafka({ listeners, peerTls })).toThrow("come together");
});
