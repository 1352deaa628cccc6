import { describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { MetadataStoreError } from "../../../src/contracts/errors.ts";
import type { MetadataStore, Transaction } from "../../../src/contracts/metadata_store.ts";
import { openCluster } from "../../../src/core/cluster/cluster.ts";
import { CLUSTER_ID_KEY, topicKey } from "../../../src/core/cluster/entries.ts";
import { PRODUCER_ID_BLOCK } from "../../../src/core/cluster/producer_ids.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { benchRuntime, clusterBench, topicRequest } from "./cluster_bench.ts";

async function failure(promise: Promise<unknown>): Promise<MetadataStoreError> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof MetadataStoreError) return error;
  throw new Error(`expected a MetadataStoreError, got ${String(error)}`);
}

describe("openCluster()", () => {
  test("makes the cluster's id once, and finds everything again", async () => {
    const plugin = metadataMemory();
    const first = await clusterBench({ plugin });
    await first.cluster.createTopic(topicRequest("t", { configs: { "retention.ms": "7" } }));
    const { clusterId } = first.cluster;
    const before = first.cluster.image.topicsByName.get("t")!;
    await first.close();
    expect(clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/);

    const again = await clusterBench({ plugin, seed: 2 });
    expect(again.cluster.clusterId).toBe(clusterId);
    expect(again.cluster.image.topicsByName.get("t")).toEqual(before);
    await again.close();
  });

  test("takes the id that is asked for, and refuses a store of another cluster", async () => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory().open({ runtime, brokerId: 1 });
    const options = { metadata, runtime, settings: new Settings(), brokerId: 1 };
    const cluster = await openCluster({ ...options, clusterId: "orders-eu" });
    expect(cluster.clusterId).toBe("orders-eu");
    cluster.close();
    const error = await failure(openCluster({ ...options, clusterId: "orders-us" }));
    expect(error.message).toContain('belongs to cluster "orders-eu"');
  });

  test("refuses entries of a newer format, and broken ones, by name", async () => {
    const encoder = new TextEncoder();
    for (const [value, code] of [
      ['{"v":2}', "version"],
      ["{", "corrupt"],
      ['{"v":1,"id":7}', "corrupt"],
    ] as const) {
      const bench = await clusterBench();
      bench.cluster.close();
      const key = topicKey("t");
      await bench.metadata.commit({
        conditions: [],
        writes: [{ key, value: encoder.encode(value) }],
      });
      const error = await failure(clusterBench({ metadata: bench.metadata }));
      expect(error.code).toBe(code);
      expect(error.message).toContain('"topics/t"');
      await bench.close();
    }
  });
});

describe("Cluster", () => {
  test("follow() tells of what is there, then of each change, before the change resolves", async () => {
    const bench = await clusterBench();
    const { cluster } = bench;
    await cluster.createTopic(topicRequest("old"));
    const heard: string[] = [];
    const end = cluster.follow({
      topicChanged: (topic) => heard.push(`${topic.name} ${topic.partitionCount}`),
      topicDeleted: (topic) => heard.push(`${topic.name} gone`),
    });
    expect(heard).toEqual(["old 1"]);
    await cluster.createTopic(topicRequest("new"));
    expect(heard.at(-1)).toBe("new 1");
    await cluster.createPartitions({ name: "new", count: 4, assignments: null });
    await cluster.deleteTopic({ name: "old" });
    end();
    await cluster.deleteTopic({ name: "new" });
    expect(heard).toEqual(["old 1", "new 1", "new 4", "old gone"]);
    await bench.close();
  });

  test("two brokers on one store see each other's topics, and never make one twice", async () => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory().open({ runtime, brokerId: 1 });
    const a = await clusterBench({ metadata, brokerId: 1, seed: 1 });
    const b = await clusterBench({ metadata, brokerId: 2, seed: 2 });
    const names = Array.from({ length: 300 }, (_, i) => `t${i}`);
    const [byA, byB] = await Promise.all(
      [a, b].map((each) =>
        Promise.all(names.map((name) => each.cluster.createTopic(topicRequest(name)))),
      ),
    );
    for (let i = 0; i < names.length; i++) {
      expect([byA![i]!.ok, byB![i]!.ok].filter((made) => made).length).toBe(1);
    }
    const { revision } = await metadata.read(CLUSTER_ID_KEY);
    expect(Math.max(a.cluster.image.revision, b.cluster.image.revision)).toBe(revision);
    const made = await a.cluster.createTopic(topicRequest("last"));
    expect(made.ok).toBe(true);
    const seen = await b.cluster.createTopic(topicRequest("last"));
    expect(seen.ok ? "" : seen.refusal.code).toBe("topic_already_exists");
    expect(b.cluster.image.topicsByName.get("last")).toEqual(
      a.cluster.image.topicsByName.get("last")!,
    );
    await a.close();
    await b.close();
    await metadata.close();
  });

  test("a watch that lagged too far reads everything again and misses nothing", async () => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory({ historyRevisionsMax: 4 }).open({
      runtime,
      brokerId: 1,
    });
    const writer = await clusterBench({ metadata, brokerId: 1 });
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const slow: MetadataStore = {
      ...bind(metadata),
      async *watch(prefix, revision, signal) {
        await held;
        yield* metadata.watch(prefix, revision, signal);
      },
    };
    const reader = await clusterBench({ metadata: slow, brokerId: 2, seed: 3 });
    const heard: string[] = [];
    reader.cluster.follow({
      topicChanged: (topic) => heard.push(topic.name),
      topicDeleted: (topic) => heard.push(`-${topic.name}`),
    });
    for (let i = 0; i < 20; i++) await writer.cluster.createTopic(topicRequest(`t${i}`));
    await writer.cluster.deleteTopic({ name: "t3" });
    letGo();
    await reader.cluster.createTopic(topicRequest("mine"));
    expect(heard.length).toBe(20);
    expect(heard).not.toContain("t3");
    expect([...reader.cluster.image.topicsByName.keys()].sort()).toEqual(
      [...writer.cluster.image.topicsByName.keys()].sort(),
    );
    await writer.close();
    await reader.close();
    await metadata.close();
  });

  test("many creations at once share commits of at most 100 writes", async () => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory().open({ runtime, brokerId: 1 });
    const sizes: number[] = [];
    const counting: MetadataStore = {
      ...bind(metadata),
      commit(transaction: Transaction) {
        sizes.push(transaction.writes.length);
        return metadata.commit(transaction);
      },
    };
    const bench = await clusterBench({ metadata: counting });
    sizes.length = 0;
    const all = await Promise.all(
      Array.from({ length: 250 }, (_, i) => bench.cluster.createTopic(topicRequest(`t${i}`))),
    );
    expect(all.every((decision) => decision.ok)).toBe(true);
    expect(Math.max(...sizes)).toBe(100);
    expect(sizes.reduce((a, b) => a + b)).toBe(250);
    expect(sizes.length).toBeLessThan(6);
    sizes.length = 0;
    await bench.cluster.createTopic(topicRequest("one"));
    expect(sizes).toEqual([1]);
    await bench.close();
    await metadata.close();
  });

  test("a store that fails rejects the change and leaves the image; later changes go through", async () => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory().open({ runtime, brokerId: 1 });
    let fails = false;
    const failing: MetadataStore = {
      ...bind(metadata),
      commit(transaction: Transaction) {
        if (fails) return Promise.reject(new MetadataStoreError("unavailable", "down"));
        return metadata.commit(transaction);
      },
    };
    const bench = await clusterBench({ metadata: failing });
    fails = true;
    expect((await failure(bench.cluster.createTopic(topicRequest("t")))).code).toBe("unavailable");
    expect(bench.cluster.image.topicsByName.size).toBe(0);
    fails = false;
    expect((await bench.cluster.createTopic(topicRequest("t"))).ok).toBe(true);
    await bench.close();
    await metadata.close();
  });
});

describe("ProducerIds", () => {
  test("hands out each id once: across brokers, restarts and blocks", async () => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory().open({ runtime, brokerId: 1 });
    const a = await clusterBench({ metadata, brokerId: 1 });
    const b = await clusterBench({ metadata, brokerId: 2, seed: 2 });
    const ids = await Promise.all(
      Array.from({ length: 3 * PRODUCER_ID_BLOCK }, (_, i) =>
        (i % 2 === 0 ? a : b).cluster.producerIds.next(),
      ),
    );
    expect(Math.min(...ids)).toBe(0);
    await a.close();
    // A crash: what is left of the block is lost, and never handed out again.
    const again = await clusterBench({ metadata, brokerId: 1, seed: 3 });
    for (let i = 0; i < 10; i++) ids.push(await again.cluster.producerIds.next());
    expect(new Set(ids).size).toBe(ids.length);
    expect((await again.cluster.createTopic(topicRequest("t"))).ok).toBe(true);
    await again.close();
    await b.close();
    await metadata.close();
  });
});

function bind(metadata: MetadataStore): MetadataStore {
  return {
    read: (prefix) => metadata.read(prefix),
    commit: (transaction) => metadata.commit(transaction),
    watch: (prefix, revision, signal) => metadata.watch(prefix, revision, signal),
    session: (ttlMs) => metadata.session(ttlMs),
    close: () => metadata.close(),
  };
}
