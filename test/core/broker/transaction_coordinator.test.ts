// The transaction coordinator where something is not there yet, or not any more: shards that load, producer ids that cannot be
// had, a log that cannot be read.

import { afterEach, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { MetadataStoreError } from "../../../src/contracts/errors.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { hookedStorage, type StorageHook } from "../../support/hooked_storage.ts";
import { caller } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { codeName, TransactionCalls } from "../../support/transaction_calls.ts";

const storage = () => storageMemory();
let host: HostRuntime;
let broker: RunningBroker;
let calls: TransactionCalls;
let isRunning = false;
let hook: StorageHook = () => undefined;
/** Whether producer ids can be had. */
let hasIds = true;

function failingMetadata(inner: MetadataStorePlugin): MetadataStorePlugin {
  return {
    ...inner,
    open: async (context) => {
      const store = await inner.open(context);
      const commit: typeof store.commit = async (transaction) => {
        const asksForIds = transaction.writes.some(({ key }) => key.startsWith("producer_ids"));
        if (asksForIds && !hasIds) throw new MetadataStoreError("unavailable", "not now");
        return store.commit(transaction);
      };
      return Object.assign(Object.create(store), bound(store), { commit });
    },
  };
}

/** Methods of a store with private fields, each bound to it. */
function bound<T extends object>(store: T): Partial<T> {
  const all: Record<string, unknown> = {};
  for (
    let at: object = store;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const value = (store as Record<string, unknown>)[name];
      if (typeof value === "function") all[name] ??= value.bind(store);
    }
  }
  return all as Partial<T>;
}

async function start(disk = storage(), metadata = metadataMemory()): Promise<void> {
  host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  broker = await createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    storage: hookedStorage(disk, (call, name) => hook(call, name)),
    metadata: failingMetadata(metadata),
    transports: [],
    settings: {
      "transaction.state.log.num.partitions": 1,
      "add.partitions.to.txn.retry.backoff.ms": 3000,
      "add.partitions.to.txn.retry.backoff.max.ms": 9000,
    },
  });
  await broker.start();
  calls = new TransactionCalls(broker, caller);
  isRunning = true;
}

async function stop(): Promise<void> {
  if (!isRunning) return;
  isRunning = false;
  await broker.stop(0);
  await host.stop(1000);
}

afterEach(async () => {
  hook = () => undefined;
  hasIds = true;
  await stop();
});

/** A broker started anew over an open transaction. */
async function restarted() {
  const [disk, metadata] = [storage(), metadataMemory()];
  await start(disk, metadata);
  const made = await createTopic(broker, caller, { name: "a", partitions: 2 });
  if (!made.ok) throw new Error(made.error.message);
  const producer = await calls.init();
  expect(await calls.produce(producer, ["one"])).toBe("ok");
  await stop();
  return { producer, start: () => start(disk, metadata) };
}

test("a batch waits for the shard that still loads, and so does what comes behind it", async () => {
  const { producer, start } = await restarted();
  await start();
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  hook = (call) => (call === "read" ? gate : undefined);
  const sent = [
    calls.produce(producer, ["two"], { partition: 1 }),
    calls.produce(producer, ["three"], { partition: 1, sequence: 1 }),
  ];
  let isAnswered = false;
  void Promise.all(sent).then(() => {
    isAnswered = true;
  });
  await settle();
  expect(isAnswered).toBe(false);
  release();
  expect(await Promise.all(sent)).toEqual(["ok", "ok"]);
  expect((await calls.end(producer)).errorCode).toBe(0);
  expect(await calls.read("read_committed", "a", 1)).toEqual(["two", "three"]);
});

test("a log that cannot be read is nobody's: producers are told to try again", async () => {
  const { producer, start } = await restarted();
  await start();
  hook = (call) => (call === "read" ? Promise.reject(new Error("bad sector")) : undefined);
  expect(await calls.produce(producer, ["two"], { partition: 1 })).toBe("not_enough_replicas");
  expect(codeName((await calls.end(producer)).errorCode)).toBe("not_coordinator");
  expect(codeName((await calls.describe("t"))[0]!.errorCode)).toBe("not_coordinator");
  expect(codeName((await calls.init()).errorCode)).toBe("not_coordinator");
  // Nor is it as if there were no transactional ids.
  expect(codeName((await calls.list()).errorCode)).toBe("coordinator_not_available");
});

test("without producer ids a new transactional id has to wait, and a known one goes on", async () => {
  await start();
  await calls.init({ transactionalId: "known" });
  // The rest of the block.
  for (let i = 1; i < 1000; i++) {
    await broker.admin.initProducerId(
      caller,
      {
        transactionalId: null,
        transactionTimeoutMs: 1,
        producerId: -1,
        producerEpoch: -1,
        enable2Pc: false,
        keepPreparedTxn: false,
      },
      5,
    );
  }
  hasIds = false;
  expect(codeName((await calls.init()).errorCode)).toBe("coordinator_load_in_progress");
  expect(await calls.init({ transactionalId: "known" })).toMatchObject({
    errorCode: 0,
    producerEpoch: 1,
  });
  hasIds = true;
  expect(await calls.init()).toMatchObject({ errorCode: 0, producerEpoch: 0 });
});

test("the next transaction may begin in the turn in which the one before ends", async () => {
  await start();
  await createTopic(broker, caller, { name: "a", partitions: 1 });
  const producer = await calls.init();
  expect(await calls.produce(producer, ["one"])).toBe("ok");
  const ended = calls.end(producer);
  const startedMs = host.runtime.clock.monotonicMs();
  expect(await calls.produce({ ...producer, producerEpoch: 1 }, ["two"])).toBe("ok");
  // Nobody waited to be asked again.
  expect(host.runtime.clock.monotonicMs() - startedMs).toBeLessThan(3000);
  expect((await ended).errorCode).toBe(0);
  expect(await calls.read()).toEqual(["one"]);
  expect((await calls.end({ ...producer, producerEpoch: 1 })).errorCode).toBe(0);
  expect(await calls.read()).toEqual(["one", "two"]);
});

test("a broker that stops tells who waits to look elsewhere", async () => {
  const { producer, start } = await restarted();
  await start();
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  hook = (call) => (call === "read" ? gate : undefined);
  const ended = calls.end(producer);
  await settle();
  const stopped = stop();
  release();
  expect(codeName((await ended).errorCode)).toBe("not_coordinator");
  await stopped;
});
