// A whole broker on SQLite files: topics, records, producers and settings are there after a stop and a start,
// and after a process that just went away.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { metadataFile } from "../../../plugins/metadata-file/mod.ts";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { metadataKv, storageKv } from "../../../plugins/storage-kv/mod.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { memoryKeyValue } from "../../../src/testing/memory_key_value.ts";
import { batchOf, caller, LogRig, recordsIn } from "../../support/log_rig.ts";

let directory: string;
let host: HostRuntime;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-kv-broker-"));
  host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
});
afterEach(async () => {
  await host.stop(1000);
  fs.rmSync(directory, { recursive: true });
});

function open(): Promise<RunningBroker> {
  return createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    storage: storageKv({ directory }),
    metadata: metadataKv({ directory }),
    transports: [],
    settings: { "millrace.journal.file.bytes": 1024 * 1024, "millrace.journal.bytes": 0 },
  });
}

async function createTopic(broker: RunningBroker, name: string): Promise<void> {
  const response = await broker.topics.createTopics(
    caller,
    {
      topics: [{ name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 5_000,
      validateOnly: false,
    },
    7,
  );
  expect(response.topics.map((topic) => topic.errorCode)).toEqual([0]);
}

async function append(broker: RunningBroker, topic: string, partition: number, values: string[]) {
  const [outcome] = await broker.log.append(caller, {
    acks: -1,
    timeoutMs: 5_000,
    transactionalId: null,
    partitions: [{ topic, partition, batches: batchOf(values) }],
  });
  if (!outcome!.ok) throw new Error(outcome!.error.code);
  return outcome!.value.baseOffset;
}

async function readAll(broker: RunningBroker, topic: string, partition: number): Promise<string[]> {
  const values: string[] = [];
  for (;;) {
    const response = await broker.log.fetch(caller, {
      isolation: "read_uncommitted",
      waitMsMax: 0,
      bytesMin: 1,
      bytesMax: 1024 * 1024,
      partitions: [
        { topic, partition, fetchOffset: values.length, bytesMax: 1024 * 1024, leaderEpoch: -1 },
      ],
    });
    const [outcome] = response.partitions;
    if (!outcome!.ok) throw new Error(outcome!.error.code);
    const before = values.length;
    for (const bytes of outcome!.value.batches) {
      for (const record of recordsIn(bytes)) {
        if (record.offset >= values.length) values.push(record.value);
      }
    }
    response.release();
    if (values.length === before) return values;
  }
}

describe("a broker on SQLite", () => {
  test("has everything after it was stopped and started again, and again", async () => {
    const expected: [string[], string[]] = [[], []];
    let clusterId: string | null = null;
    for (let start = 0; start < 3; start++) {
      const broker = await open();
      clusterId ??= broker.clusterId;
      expect(broker.clusterId).toBe(clusterId);
      if (start === 0) await createTopic(broker, "t");
      for (const partition of [0, 1] as const) {
        expect(await readAll(broker, "t", partition)).toEqual(expected[partition]);
        // Enough that the journal goes over to new files, and old batches into segments.
        for (let i = 0; i < 40; i++) {
          const values = Array.from({ length: 20 }, (_, n) =>
            `${start} ${i} ${n} `.padEnd(900, "x"),
          );
          expect(await append(broker, "t", partition, values)).toBe(expected[partition].length);
          expected[partition].push(...values);
        }
        expect(await readAll(broker, "t", partition)).toEqual(expected[partition]);
      }
      await broker.stop(1_000);
    }
    expect(fs.readdirSync(`${directory}/broker-1`)).toEqual(["log.sqlite"]);
    expect(fs.readdirSync(`${directory}/metadata`)).toEqual(["broker-1.sqlite"]);
  }, 60_000);

  test("keeps a second one out while it runs", async () => {
    const broker = await open();
    await expect(open()).rejects.toMatchObject({ code: "locked" });
    await createTopic(broker, "t");
    expect(await append(broker, "t", 0, ["a"])).toBe(0);
    await broker.stop(1_000);
    const again = await open();
    expect(await readAll(again, "t", 0)).toEqual(["a"]);
    await again.stop(1_000);
  });

  test("shares a data folder with plugins of files, but not their place", async () => {
    const open = (storage: StoragePlugin, metadata: MetadataStorePlugin) =>
      createBroker({ broker: { id: 1 }, runtime: host.runtime, storage, metadata, transports: [] });
    const mixed = [
      () => open(storageFs({ directory }), metadataKv({ directory })),
      () => open(storageKv({ directory }), metadataFile({ directory })),
    ];
    for (const each of mixed) {
      for (let start = 0; start < 2; start++) await (await each()).stop(1_000);
      fs.rmSync(`${directory}/broker-1`, { recursive: true });
    }
    await (await mixed[0]!()).stop(1_000);
    await expect(mixed[1]!()).rejects.toMatchObject({ name: "StorageError", code: "exists" });
    expect(fs.existsSync(`${directory}/broker-1/log.sqlite`)).toBe(false);
  });

  test("goes on from a copy of its files, as a killed process leaves them", async () => {
    const broker = await open();
    await createTopic(broker, "t");
    for (let i = 0; i < 30; i++) await append(broker, "t", 0, [`value ${i}`]);
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-kv-copy-"));
    fs.cpSync(directory, copy, { recursive: true });
    await broker.stop(1_000);
    const original = directory;
    directory = copy;
    const again = await open();
    expect(await readAll(again, "t", 0)).toEqual(
      Array.from({ length: 30 }, (_, i) => `value ${i}`),
    );
    await again.stop(1_000);
    fs.rmSync(copy, { recursive: true });
    directory = original;
  });
});

test("of two logs on one store, the one opened first goes offline at its next write", async () => {
  const memory = memoryKeyValue();
  const first = await LogRig.open(storageKv({ open: memory.open }));
  expect((await first.append(batchOf(["a"]))).ok).toBe(true);
  const second = await LogRig.open(storageKv({ open: memory.open }));
  expect(await first.append(batchOf(["lost"]))).toMatchObject({
    ok: false,
    error: { code: "kafka_storage_error" },
  });
  expect(first.offlineReason).toContain("somebody else has opened it");
  expect(await second.append(batchOf(["b"]))).toMatchObject({ ok: true, value: { baseOffset: 1 } });
  expect((await second.readAll()).map(({ value }) => value)).toEqual(["a", "b"]);
  await second.close();
});

test("a broker that another one overtook between its metadata and its log does not open, and drops nothing", async () => {
  const memory = memoryKeyValue();
  let gate = Promise.resolve();
  let hasReached: () => void = () => {};
  const start = () => {
    const storage = storageKv({ open: memory.open });
    return createBroker({
      broker: { id: 1 },
      runtime: host.runtime,
      metadata: metadataKv({ open: memory.open }),
      storage: {
        ...storage,
        open: async (context) => {
          hasReached();
          await gate;
          return await storage.open(context);
        },
      },
      transports: [],
      settings: { "millrace.journal.file.bytes": 1024 * 1024, "millrace.journal.bytes": 0 },
    });
  };
  await (await start()).stop(1_000);
  let release: () => void = () => {};
  gate = new Promise((resolve) => {
    release = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    hasReached = resolve;
  });
  const slow = start();
  await reached;
  gate = Promise.resolve();
  const quick = await start();
  await createTopic(quick, "t");
  expect(await append(quick, "t", 0, ["acknowledged"])).toBe(0);
  release();
  // It knows nothing of the topic: had it opened, it would have given its bytes up with their journal file.
  await expect(slow).rejects.toMatchObject({ name: "MetadataStoreError", code: "locked" });
  await expect(append(quick, "t", 0, ["late"])).rejects.toThrow("kafka_storage_error");
  await quick.stop(1_000);
  const last = await start();
  expect(await readAll(last, "t", 0)).toEqual(["acknowledged"]);
  await last.stop(1_000);
}, 60_000);
