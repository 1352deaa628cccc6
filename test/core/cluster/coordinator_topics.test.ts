// What __consumer_offsets and __transaction_state may be set to, by clients and in metadata that an older release wrote.

import { afterEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { ConfigResource } from "../../../src/core/cluster/config_controller.ts";
import type { Decision } from "../../../src/core/cluster/decision.ts";
import { encodeClusterId, encodeTopic } from "../../../src/core/cluster/entries.ts";
import { ImageLoader } from "../../../src/core/cluster/image_loader.ts";
import { benchRuntime, type ClusterBench, clusterBench, topicRequest } from "./cluster_bench.ts";

const OFFSETS = "__consumer_offsets";
const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

const benches: ClusterBench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
});
async function open(more: Parameters<typeof clusterBench>[0] = {}): Promise<ClusterBench> {
  const bench = await clusterBench(more);
  benches.push(bench);
  return bench;
}
const said = (decision: Decision<unknown>): string =>
  decision.ok ? "ok" : `${decision.refusal.code}: ${decision.refusal.message}`;

describe("a client that makes the topic of groups", () => {
  test.each(["delete", "compact,delete", "delete,compact", ""])(
    "may not have it delete: cleanup.policy=%s",
    async (policy) => {
      const { cluster } = await open();
      const request = topicRequest(OFFSETS, { configs: { "cleanup.policy": policy } });
      for (const validateOnly of [true, false]) {
        const text = said(await cluster.createTopic(request, validateOnly));
        expect(text).toStartWith("invalid_config: ");
        expect(text).toContain("cleanup.policy");
      }
      expect(cluster.image.topicsByName.has(OFFSETS)).toBe(false);
      // Of any other topic it is nobody's business.
      const other = topicRequest("t", { configs: { "cleanup.policy": "delete" } });
      expect(said(await cluster.createTopic(other))).toBe("ok");
    },
  );

  test("has it compacted without saying so, whatever the broker's default is", async () => {
    const { cluster } = await open({ settings: { "log.cleanup.policy": "delete" } });
    const request = topicRequest(OFFSETS, { configs: { "retention.ms": "1" } });
    expect(said(await cluster.createTopic(request))).toBe("ok");
    const topic = cluster.image.topicsByName.get(OFFSETS)!;
    expect([...topic.configs].sort()).toEqual([
      ["cleanup.policy", "compact"],
      ["retention.ms", "1"],
    ]);
    const { cleanupCompact, cleanupDelete } = cluster.topicSettings(topic);
    expect({ cleanupCompact, cleanupDelete }).toEqual({
      cleanupCompact: true,
      cleanupDelete: false,
    });
  });

  test("may not have its batches tiny", async () => {
    const { cluster } = await open();
    const make = async (bytes: string) =>
      said(
        await cluster.createTopic(
          topicRequest(OFFSETS, { configs: { "max.message.bytes": bytes } }),
          true,
        ),
      );
    expect(await make("65535")).toStartWith("invalid_config: max.message.bytes of");
    expect(await make("0")).toStartWith("invalid_config: max.message.bytes of");
    expect(await make("65536")).toBe("ok");
  });
});

describe("a client that alters the topic of groups", () => {
  async function withTopic() {
    const { cluster } = await open();
    const made = await cluster.createTopic(
      topicRequest(OFFSETS, { configs: { "cleanup.policy": "compact", "segment.ms": "9999" } }),
    );
    expect(made.ok).toBe(true);
    const alter = async (
      mode: "incremental" | "replace",
      ...operations: readonly (readonly [string, number, string | null])[]
    ) =>
      said(
        await cluster.alterConfigs({
          resourceType: ConfigResource.topic,
          resourceName: OFFSETS,
          mode,
          operations: operations.map(([name, configOperation, value]) => ({
            name,
            configOperation,
            value,
          })),
        }),
      );
    const configs = () => Object.fromEntries(cluster.image.topicsByName.get(OFFSETS)!.configs);
    return { alter, configs };
  }

  test("cannot make it delete, in whatever way", async () => {
    const { alter, configs } = await withTopic();
    const refused = "invalid_config: cleanup.policy of __consumer_offsets must be compact";
    expect(await alter("incremental", ["cleanup.policy", SET, "delete"])).toStartWith(refused);
    expect(await alter("incremental", ["cleanup.policy", SET, "compact,delete"])).toStartWith(
      refused,
    );
    expect(await alter("incremental", ["cleanup.policy", APPEND, "delete"])).toStartWith(refused);
    expect(await alter("incremental", ["cleanup.policy", SUBTRACT, "compact"])).toStartWith(
      refused,
    );
    expect(await alter("incremental", ["cleanup.policy", DELETE, null])).toStartWith(refused);
    expect(await alter("replace", ["cleanup.policy", SET, "delete"])).toStartWith(refused);
    expect(await alter("incremental", ["max.message.bytes", SET, "100"])).toStartWith(
      "invalid_config: max.message.bytes of __consumer_offsets must be at least 65536, not 100",
    );
    expect(configs()).toEqual({ "cleanup.policy": "compact", "segment.ms": "9999" });
  });

  test("may set the rest, and replacing all leaves it compacted", async () => {
    const { alter, configs } = await withTopic();
    expect(await alter("incremental", ["min.cleanable.dirty.ratio", SET, "0.1"])).toBe("ok");
    expect(await alter("incremental", ["cleanup.policy", SET, "compact"])).toBe("ok");
    expect(await alter("replace", ["retention.ms", SET, "1"])).toBe("ok");
    expect(configs()).toEqual({ "cleanup.policy": "compact", "retention.ms": "1" });
  });
});

describe("the topic of transactions", () => {
  const NAME = "__transaction_state";

  test("is compacted as well, whoever makes it", async () => {
    const { cluster } = await open({ settings: { "log.cleanup.policy": "delete" } });
    const make = (configs: Readonly<Record<string, string>>) =>
      cluster.createTopic(topicRequest(NAME, { configs }));
    const refused = `invalid_config: cleanup.policy of ${NAME} must be compact`;
    for (const policy of ["delete", "compact,delete"]) {
      expect(said(await make({ "cleanup.policy": policy }))).toStartWith(refused);
    }
    expect(said(await make({ "max.message.bytes": "65535" }))).toStartWith("invalid_config: ");
    expect(said(await make({}))).toBe("ok");
    const alter = async (value: string) =>
      said(
        await cluster.alterConfigs({
          resourceType: ConfigResource.topic,
          resourceName: NAME,
          mode: "incremental",
          operations: [{ name: "cleanup.policy", configOperation: SET, value }],
        }),
      );
    expect(await alter("delete")).toStartWith(refused);
    expect(await alter("compact")).toBe("ok");
    const { cleanupCompact, cleanupDelete } = cluster.topicSettings(
      cluster.image.topicsByName.get(NAME)!,
    );
    expect([cleanupCompact, cleanupDelete]).toEqual([true, false]);
  });
});

describe("metadata of an older release, in which the topic of groups deletes", () => {
  const topic = (configs: Readonly<Record<string, string>>) =>
    encodeTopic({
      id: "AAAAAAAAAAAAAAAAAAAAAQ",
      partitionCount: 1,
      replicationFactor: 1,
      leaderEpoch: 0,
      isInternal: true,
      configs: new Map(Object.entries(configs)),
    });
  const stored = async (configs: Readonly<Record<string, string>>) => {
    const runtime = benchRuntime();
    const metadata = await metadataMemory().open({ runtime, brokerId: 1 });
    const key = `topics/${OFFSETS}`;
    const put = async (value: Uint8Array) => {
      const done = await metadata.commit({ conditions: [], writes: [{ key, value }] });
      expect(done.ok).toBe(true);
    };
    await metadata.commit({
      conditions: [],
      writes: [{ key: "cluster/id", value: encodeClusterId("AAAAAAAAAAAAAAAAAAAAAg") }],
    });
    await put(topic(configs));
    return { metadata, runtime, put };
  };

  test.each([
    [{ "cleanup.policy": "delete", "retention.ms": "1" }],
    [{ "cleanup.policy": "compact,delete", "max.message.bytes": "10" }],
    [{}],
  ])("is taken for compacted: %p", async (configs) => {
    const { metadata } = await stored(configs);
    const { cluster } = await open({ metadata });
    const settings = cluster.topicSettings(cluster.image.topicsByName.get(OFFSETS)!);
    expect([settings.cleanupCompact, settings.cleanupDelete]).toEqual([true, false]);
    expect(settings.maxMessageBytes).toBe(1_048_588);
    // What is changed afterwards is stored as it is held.
    const altered = await cluster.alterConfigs({
      resourceType: ConfigResource.topic,
      resourceName: OFFSETS,
      mode: "incremental",
      operations: [{ name: "segment.ms", configOperation: SET, value: "1234" }],
    });
    expect(said(altered)).toBe("ok");
    expect(altered.ok && altered.value.get("cleanup.policy")).toBe("compact");
    await metadata.close();
  });

  test("is so, too, where another broker writes it while this one runs", async () => {
    const { metadata, put } = await stored({ "cleanup.policy": "compact" });
    const { cluster } = await open({ metadata });
    const told = new Promise<boolean>((resolve) => {
      cluster.follow({
        topicChanged: ({ configs }, { cleanupDelete }) => {
          if (configs.has("segment.ms")) resolve(cleanupDelete);
        },
        topicDeleted: () => {},
      });
    });
    await put(topic({ "cleanup.policy": "delete", "segment.ms": "1" }));
    expect(await told).toBe(false);
    await metadata.close();
  });

  test("is said in the log when it is read", async () => {
    for (const [policy, count] of [
      ["delete", 1],
      ["compact", 0],
    ] as const) {
      const { metadata, runtime } = await stored({ "cleanup.policy": policy });
      const lines: string[] = [];
      const log = { ...runtime.log, warn: (event: string) => void lines.push(event) };
      const loader = await ImageLoader.open({
        metadata,
        runtime: { ...runtime, log },
        onStep: () => {},
      });
      expect(lines).toEqual(Array(count).fill("coordinator_topic_setting_ignored"));
      loader.close();
      await metadata.close();
    }
  });
});
