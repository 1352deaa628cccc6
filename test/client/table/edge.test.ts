// Where a table may be: beside the broker of a Durable Object, with nothing but what the edge has; and where it may
// not: in a client that has none.

import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { brokerPort, createClient } from "../../../src/client/mod.ts";
import { openObjectBroker } from "../../../src/edge/object_broker.ts";
import { edgeRuntime } from "../../../src/runtime/edge_runtime.ts";
import { durableObjectStorage } from "../../support/durable_object_storage.ts";

const TEXT = { key: "text", value: "text" } as const;

test("in a Durable Object: kept over an eviction, since the topic is", async () => {
  const storage = durableObjectStorage();
  const edge = edgeRuntime({ logLevel: "off" });
  const { runtime } = edge;
  const context = { id: { toString: () => "id" }, storage, waitUntil() {}, abort() {} };
  try {
    for (const life of [1, 2]) {
      const broker = await openObjectBroker(context, { logLevel: "error" });
      const client = createClient(runtime, { port: brokerPort(broker, { runtime }) });
      if (life === 1) {
        const configs = { "cleanup.policy": "compact" };
        await client.admin.createTopic({ name: "users", partitions: 2, configs });
      }
      for (const keep of ["values", "offsets"] as const) {
        const table = await client.table("users", { ...TEXT, keep, bytesMax: 1 << 22 });
        await table.put(`life ${life}`, keep);
        expect(await table.get("life 1")).toBe(life === 1 ? keep : "offsets");
        expect(table.size).toBe(life);
      }
      await client.close();
      await broker.stop(100);
    }
  } finally {
    await edge.stop(100);
    storage.dispose();
  }
});

test("a client without a table loads nothing of it", () => {
  // Deno runs the same files, and lists nothing.
  if ("Deno" in globalThis) return;
  const root = join(import.meta.dirname!, "../../..");
  const code = `
    const { createClient } = await import(${JSON.stringify(join(root, "src/client/mod.ts"))});
    const { hostRuntime } = await import(${JSON.stringify(join(root, "src/runtime/host_runtime.ts"))});
    const host = hostRuntime({ log: { level: "off" } });
    const client = createClient(host.runtime, { bootstrap: "127.0.0.1:1", timeoutMs: 1 });
    client.producer();
    const loaded = () => Object.keys(require.cache).filter((path) => path.includes("client/table")).length;
    const before = loaded();
    await client.table("t").catch(() => {});
    console.log(before, loaded() > 5);
    await client.close();
    await host.stop(10);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", code], { encoding: "utf8" });
  expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: "0 true", stderr: "" });
});
