// What a broker refuses to open: logs whose topics nobody knows any more.

import { afterEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { createBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller } from "../../support/log_rig.ts";

const SEGMENT = "segments/139d3abb058e4aecb6e68d11aab5535c/0/00000000000000000000.log";

let host: HostRuntime;
afterEach(() => host.stop(1000));

function open(storage: StoragePlugin, metadata = metadataMemory()) {
  host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  return createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    storage,
    metadata,
    transports: [],
  });
}

/** The files of `storage` with their sizes, after `add` has been written to it. */
async function files(storage: StoragePlugin, add?: string): Promise<string[]> {
  const store = await storage.open({ runtime: host?.runtime, brokerId: 1 });
  if (add !== undefined) {
    const file = await store.segments!.open(add, { create: true });
    await file.append([new Uint8Array(100)]);
    await file.sync();
    await file.close();
  }
  const found = await store.segments!.list("");
  await store.close();
  return found.map(({ name, sizeBytes }) => `${name} ${sizeBytes}`);
}

describe("createBroker()", () => {
  test("starts no new cluster on the logs of another, and leaves them alone", async () => {
    host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
    const storage = storageMemory();
    await files(storage, SEGMENT);
    await expect(open(storage)).rejects.toMatchObject({ name: "StorageError", code: "corrupt" });
    expect(await files(storage)).toEqual([`${SEGMENT} 100`]);
  });

  test("opens again what it has made itself", async () => {
    const [storage, metadata] = [storageMemory(), metadataMemory()];
    const first = await open(storage, metadata);
    await first.stop(0);
    await host.stop(1000);
    const second = await open(storage, metadata);
    expect(second.clusterId).toBe(first.clusterId);
    await second.stop(0);
  });
});

test("a broker says whether it is online: not after its storage failed, nor after a stop", async () => {
  let isBroken = false;
  const storage = hookedStorage(storageMemory(), (call) =>
    isBroken && call === "sync" ? Promise.reject(new Error("broken")) : undefined,
  );
  const broker = await open(storage);
  const made = await createTopic(broker, caller, { name: "t", partitions: 1, config: {} });
  expect(made.ok).toBe(true);
  const append = () =>
    broker.log.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: null,
      partitions: [{ topic: "t", partition: 0, batches: batchOf(["v"]) }],
    });
  expect((await append())[0]!.ok).toBe(true);
  expect(broker.isOnline()).toBe(true);
  isBroken = true;
  expect((await append())[0]!.ok).toBe(false);
  expect(broker.isOnline()).toBe(false);
  await broker.stop(0);

  await host.stop(1000);
  const stopped = await open(storageMemory());
  expect(stopped.isOnline()).toBe(true);
  await stopped.stop(0);
  expect(stopped.isOnline()).toBe(false);
});
