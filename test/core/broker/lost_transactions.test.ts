// A marker that damage took: what its transaction left open is aborted once the coordinator says that it has nothing open
// there, and what the coordinator has open is left alone.

import { expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { createBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { filesOf, flipped, replaced, storeWith } from "../../support/log_files.ts";
import { caller } from "../../support/log_rig.ts";
import { TransactionCalls } from "../../support/transaction_calls.ts";
import { until } from "../../support/waiting.ts";

const metadata = metadataMemory();

async function start(storage: StoragePlugin) {
  const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const settings = { "transaction.state.log.num.partitions": 2 };
  const broker = await createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    storage,
    metadata,
    transports: [],
    settings,
  });
  await broker.start();
  const stop = async () => {
    await broker.stop(0);
    await host.stop(1000);
  };
  return { broker, calls: new TransactionCalls(broker, caller), stop };
}

/** Positions of the markers' entries in a journal file. */
function markersIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: number[] = [];
  for (let at = 64; at + 48 < bytes.length; at++) {
    const isEntry = view.getUint32(at) === 0x4d52_4a45 && bytes[at + 12] === 1;
    if (isEntry && (bytes[at + 13]! & 6) !== 0) found.push(at);
  }
  return found;
}

test("a transaction whose marker is lost does not hold readers up, and one that is open goes on", async () => {
  const plugin = storageMemory();
  const before = await start(plugin);
  const made = await createTopic(before.broker, caller, { name: "a", partitions: 1 });
  expect(made.ok).toBe(true);
  const ended = await before.calls.init();
  expect(await before.calls.produce(ended, ["lost"])).toBe("ok");
  expect((await before.calls.end(ended, false)).errorCode).toBe(0);
  const open = await before.calls.init({ transactionalId: "open" });
  expect(await before.calls.produce(open, ["open"], { transactionalId: "open" })).toBe("ok");
  await before.stop();

  const files = await filesOf(plugin);
  const markers = [...files]
    .filter(([name]) => name.startsWith("journal/"))
    .flatMap(([name, bytes]) => markersIn(bytes).map((at) => ({ name, bytes, at })));
  expect(markers.length).toBe(1);
  const { name, bytes, at } = markers[0]!;
  const damaged = await storeWith(replaced(files, name, flipped(bytes, at + 20, 1)));
  const after = await start(damaged);
  const stable = async () => {
    const [found] = await after.broker.log.offsetFor(caller, [
      { topic: "a", partition: 0, at: "latest", isolation: "read_committed", leaderEpoch: -1 },
    ]);
    return found!.ok ? found!.value.offset : -1;
  };
  expect(await stable()).toBe(0);
  // The lost marker stood at 1.
  await until(async () => (await stable()) > 0);
  expect(await stable()).toBe(2);
  expect((await after.calls.end(open, true, 5, "open")).errorCode).toBe(0);
  await until(async () => (await stable()) > 2);
  expect(await stable()).toBe(5);
  await after.stop();
}, 30_000);
