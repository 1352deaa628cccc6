// Metadata that knows of a log, and storage that has none: refused, on every pair of plugins that keeps anything.
// And what must never be: a folder of our own that is refused, whenever the power went.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { metadataFile } from "../../../plugins/metadata-file/mod.ts";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { durableObjectKeyValue, metadataKv, storageKv } from "../../../plugins/storage-kv/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { MetadataStoreError } from "../../../src/contracts/errors.ts";
import type { MetadataStorePlugin, Transaction } from "../../../src/contracts/metadata_store.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { logsKey } from "../../../src/core/cluster/entries.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { resolveOffsets } from "../../../src/gateway/offsets.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import {
  durableObjectStorage,
  type FakeDurableObjectStorage,
} from "../../support/durable_object_storage.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller } from "../../support/log_rig.ts";

const BROKER_ID = 3;
const REFUSED = { name: "StorageError", code: "corrupt" };

let host: HostRuntime;
let directory: string;
let objects: readonly FakeDurableObjectStorage[];
beforeEach(() => {
  objects = [durableObjectStorage(), durableObjectStorage()];
  host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-logs-mark-"));
});
afterEach(async () => {
  await host.stop(1000);
  for (const object of objects) object.dispose();
  fs.rmSync(directory, { recursive: true });
});

function open(
  storage: StoragePlugin,
  metadata: MetadataStorePlugin,
  settings: Readonly<Record<string, number>> = {},
): Promise<RunningBroker> {
  const { runtime } = host;
  const plugins = { storage, metadata, transports: [] };
  return createBroker({ broker: { id: BROKER_ID }, runtime, ...plugins, settings });
}

const make = (broker: RunningBroker, name = "t", config = {}) =>
  createTopic(broker, caller, { name, partitions: 1, config });

/** Whether a record was acknowledged. */
async function append(broker: RunningBroker, topic = "t", value = "v"): Promise<boolean> {
  const [outcome] = await broker.log.append(caller, {
    acks: -1,
    timeoutMs: 5000,
    transactionalId: null,
    partitions: [{ topic, partition: 0, batches: batchOf([value]) }],
  });
  return outcome!.ok;
}

async function endOffset(broker: RunningBroker): Promise<number> {
  const [found] = await resolveOffsets(broker, caller, "t", [{ partition: 0, at: "latest" }]);
  if (!found!.ok) throw new Error(found!.error.code);
  return found!.value.offset;
}

/** Memory that does not say that it forgets: what it keeps in this process stands for a disk. */
function disk(): ReturnType<typeof storageMemory> {
  const memory = storageMemory();
  return {
    ...memory,
    open: async (context) => ({ ...(await memory.open(context)), isVolatile: false }),
  };
}

async function namesIn(storage: StoragePlugin): Promise<string[]> {
  const opened = await storage.open({ runtime: host.runtime, brokerId: BROKER_ID });
  const found = await opened.segments!.list("");
  await opened.close();
  return found.map(({ name }) => name);
}

async function isMarked(metadata: MetadataStorePlugin): Promise<boolean> {
  const store = await metadata.open({ runtime: host.runtime, brokerId: BROKER_ID });
  const { entries } = await store.read(logsKey(BROKER_ID));
  await store.close();
  return entries.length === 1;
}

/** `inner`, with `onCommit` in front of each commit. */
function hookedMetadata(
  inner: MetadataStorePlugin,
  onCommit: (transaction: Transaction) => Promise<void> | undefined,
): MetadataStorePlugin {
  return {
    ...inner,
    open: async (context) => {
      const store = await inner.open(context);
      return {
        read: (prefix) => store.read(prefix),
        watch: (prefix, revision, signal) => store.watch(prefix, revision, signal),
        session: (ttlMs) => store.session(ttlMs),
        close: () => store.close(),
        commit: async (transaction) => {
          await onCommit(transaction);
          return store.commit(transaction);
        },
      };
    },
  };
}

const marks = ({ writes }: Transaction): boolean => writes[0]?.key === logsKey(BROKER_ID);

/** Two plugins for metadata and log, and the second looking elsewhere. */
interface Pair {
  readonly metadata: () => MetadataStorePlugin;
  readonly here: () => StoragePlugin;
  readonly elsewhere: () => StoragePlugin;
}

const fsAt = (name: string) => () => storageFs({ directory: path.join(directory, name) });
const kvAt = (name: string) => () => storageKv({ path: path.join(directory, `${name}.sqlite`) });
const fileMetadata = () => metadataFile({ directory: path.join(directory, "metadata") });
const kvMetadata = () => metadataKv({ path: path.join(directory, "metadata.sqlite") });
const inObject = (i: number) => () => durableObjectKeyValue(objects[i]!);

const PAIRS: Readonly<Record<string, Pair>> = {
  "fs and file": { metadata: fileMetadata, here: fsAt("a"), elsewhere: fsAt("b") },
  "fs and kv": { metadata: kvMetadata, here: fsAt("a"), elsewhere: fsAt("b") },
  "kv and kv": { metadata: kvMetadata, here: kvAt("a"), elsewhere: kvAt("b") },
  "kv and file": { metadata: fileMetadata, here: kvAt("a"), elsewhere: kvAt("b") },
  "fs, then kv": { metadata: fileMetadata, here: fsAt("a"), elsewhere: kvAt("b") },
  "a Durable Object, and another one": {
    metadata: () => metadataKv({ open: inObject(0) }),
    here: () => storageKv({ open: inObject(0) }),
    elsewhere: () => storageKv({ open: inObject(1) }),
  },
};

describe("a log that is not where the metadata says that there is one", () => {
  for (const [name, { metadata, here, elsewhere }] of Object.entries(PAIRS)) {
    test(`${name}: the start is refused, and goes on where the log lies`, async () => {
      const first = await open(here(), metadata());
      await make(first);
      expect(await append(first)).toBe(true);
      await first.stop(1000);

      await expect(open(elsewhere(), metadata())).rejects.toMatchObject(REFUSED);
      expect(await namesIn(elsewhere())).toEqual([]);

      const again = await open(here(), metadata());
      expect(await endOffset(again)).toBe(1);
      await again.stop(1000);
    });

    test(`${name}: topics without a record may begin elsewhere`, async () => {
      const first = await open(here(), metadata());
      await make(first);
      await first.stop(1000);
      const second = await open(elsewhere(), metadata());
      expect(await append(second)).toBe(true);
      await second.stop(1000);
      // The mark is about the log, wherever it was begun.
      await expect(open(here(), metadata())).rejects.toMatchObject(REFUSED);
    });
  }

  test("a folder that was moved away is refused by its path, and found again when it is back", async () => {
    const [here, moved] = [path.join(directory, "logs"), path.join(directory, "moved")];
    const metadata = () => metadataFile({ directory: path.join(directory, "metadata") });
    const first = await open(storageFs({ directory: here }), metadata());
    await make(first);
    await append(first);
    await first.stop(1000);
    fs.renameSync(here, moved);
    const attempt = open(storageFs({ directory: here }), metadata());
    await expect(attempt).rejects.toThrow(
      `Cannot start broker 3 as "${path.join(here, "broker-3")}" holds no log`,
    );
    await expect(open(storageFs({ directory: here }), metadata())).rejects.toThrow(
      "to begin with nothing, remove the metadata, too",
    );
    const back = await open(storageFs({ directory: moved }), metadata());
    expect(await endOffset(back)).toBe(1);
    await back.stop(1000);
    // As the message says.
    fs.rmSync(path.join(directory, "metadata"), { recursive: true });
    const anew = await open(storageFs({ directory: here }), metadata());
    expect(await make(anew)).toMatchObject({ ok: true });
    expect(await endOffset(anew)).toBe(0);
    await anew.stop(1000);
  });

  test("a journal that was removed is refused before its segments are dropped", async () => {
    const [storage, metadata] = [disk(), metadataMemory()];
    const first = await open(storage, metadata);
    await make(first);
    await append(first);
    await first.stop(1000);
    const opened = await storage.open({ runtime: host.runtime, brokerId: BROKER_ID });
    const segments = opened.segments!;
    for (const each of await segments.list("journal/")) await segments.remove(each.name);
    const kept = "segments/139d3abb058e4aecb6e68d11aab5535c/0/00000000000000000000.log";
    for (const each of [kept, "journal/spare"]) {
      const file = await segments.open(each, { create: true });
      await file.append([new Uint8Array(100)]);
      await file.sync();
      await file.close();
    }
    await opened.close();
    await expect(open(storage, metadata)).rejects.toMatchObject(REFUSED);
    expect(await namesIn(storage)).toEqual(["journal/spare", kept]);
  });

  test("another broker of the cluster begins with nothing", async () => {
    const metadata = metadataMemory();
    const first = await open(disk(), metadata);
    await make(first);
    await append(first);
    await first.stop(1000);
    for (const id of [30, 4]) {
      const plugins = { storage: disk(), metadata, transports: [] };
      const other = await createBroker({ broker: { id }, runtime: host.runtime, ...plugins });
      expect(await endOffset(other)).toBe(0);
      await other.stop(1000);
    }
  });
});

describe("storage that forgets by its nature", () => {
  test("starts on metadata that is kept, marks nothing, and minds no mark", async () => {
    const metadata = () => metadataFile({ directory: path.join(directory, "metadata") });
    const first = await open(storageMemory(), metadata());
    await make(first);
    await append(first);
    await first.stop(1000);
    expect(await isMarked(metadata())).toBe(false);

    const second = await open(storageMemory(), metadata());
    expect(await endOffset(second)).toBe(0);
    await second.stop(1000);

    const kept = () => storageFs({ directory: path.join(directory, "logs") });
    const third = await open(kept(), metadata());
    await append(third);
    await third.stop(1000);
    expect(await isMarked(metadata())).toBe(true);
    const fourth = await open(storageMemory(), metadata());
    expect(await endOffset(fourth)).toBe(0);
    await fourth.stop(1000);
    const fifth = await open(kept(), metadata());
    expect(await endOffset(fifth)).toBe(1);
    await fifth.stop(1000);
  });
});

describe("the mark", () => {
  test("a start, topics and a stop alone do not write it; one record does, once", async () => {
    const commits: string[] = [];
    const metadata = hookedMetadata(metadataMemory(), ({ writes }) => {
      commits.push(writes[0]!.key);
      return undefined;
    });
    const storage = disk();
    const first = await open(storage, metadata);
    await make(first);
    await first.stop(1000);
    expect(commits).toEqual(["cluster/id", "topics/t"]);
    for (let starts = 0; starts < 2; starts++) {
      const broker = await open(storage, metadata);
      for (const value of ["a", "b"]) expect(await append(broker, "t", value)).toBe(true);
      await broker.stop(1000);
      expect(commits.slice(2)).toEqual(["logs/broker/3"]);
    }
  });

  test("is asked for only after the journal's first sync has resolved", async () => {
    const events: string[] = [];
    const storage = hookedStorage(disk(), (call, name) => {
      if (call !== "sync") return undefined;
      events.push(`sync ${name}`);
      // Whoever does not wait for the sync gets his turn here.
      return new Promise((resolve) => setTimeout(resolve, 20));
    });
    const metadata = hookedMetadata(metadataMemory(), (transaction) => {
      if (marks(transaction)) events.push("mark");
      return undefined;
    });
    const broker = await open(storage, metadata);
    await make(broker);
    const appended = append(broker).then(() => events.push("acknowledged"));
    await appended;
    await broker.stop(1000);
    expect(events.slice(0, 3).sort()).toEqual([
      "acknowledged",
      "mark",
      "sync journal/0000000001.log",
    ]);
    expect(events[0]).toStartWith("sync");
    expect(events.filter((each) => each === "mark")).toHaveLength(1);
  });

  test("keeps no acknowledgement waiting, and a stop waits for it", async () => {
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const inner = metadataMemory();
    const metadata = hookedMetadata(inner, (transaction) =>
      marks(transaction) ? gate : undefined,
    );
    const broker = await open(disk(), metadata);
    await make(broker);
    for (const value of ["a", "b"]) expect(await append(broker, "t", value)).toBe(true);
    const stopped = broker.stop(1000);
    go();
    await stopped;
    expect(await isMarked(inner)).toBe(true);
  });

  test("that could not be written is written by the next start, without a record", async () => {
    const [storage, inner] = [disk(), metadataMemory()];
    const failing = hookedMetadata(inner, (transaction) =>
      marks(transaction)
        ? Promise.reject(new MetadataStoreError("unavailable", "not now"))
        : undefined,
    );
    const first = await open(storage, failing);
    await make(first);
    expect(await append(first)).toBe(true);
    await first.stop(1000);
    expect(await isMarked(inner)).toBe(false);

    const second = await open(storage, inner);
    expect(await endOffset(second)).toBe(1);
    await second.stop(1000);
    expect(await isMarked(inner)).toBe(true);
    await expect(open(disk(), inner)).rejects.toMatchObject(REFUSED);
  });

  test("of a newer format is refused", async () => {
    const metadata = metadataMemory();
    await (await open(disk(), metadata)).stop(1000);
    const store = await metadata.open({ runtime: host.runtime, brokerId: BROKER_ID });
    const value = new TextEncoder().encode('{"v":9}');
    await store.commit({ conditions: [], writes: [{ key: logsKey(BROKER_ID), value }] });
    await store.close();
    await expect(open(disk(), metadata)).rejects.toMatchObject({
      name: "MetadataStoreError",
      code: "version",
    });
  });
});
