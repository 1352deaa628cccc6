// A transaction is ended, and the broker dies with some part of that on disk: whatever it is, the transaction stands or is gone
// as a whole on every partition and for the group's offsets, and nothing of it stays open. And it costs one sync.

import { afterEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { hookedStorage, type StorageHook } from "../../support/hooked_storage.ts";
import { caller } from "../../support/log_rig.ts";
import { type Producer, TransactionCalls } from "../../support/transaction_calls.ts";

interface Live {
  readonly broker: RunningBroker;
  readonly host: HostRuntime;
  readonly calls: TransactionCalls;
}

const running = new Set<Live>();
afterEach(async () => {
  for (const live of running) await stop(live);
});

async function stop(live: Live): Promise<void> {
  if (!running.delete(live)) return;
  await live.broker.stop(0);
  await live.host.stop(1000);
}

/** Storage that outlives brokers, and a hook that the test may set. */
class Disk {
  readonly inner = storageMemory();
  readonly metadata = metadataMemory();
  hook: StorageHook = () => undefined;

  async start(): Promise<Live> {
    const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
    const broker = await createBroker({
      broker: { id: 1 },
      runtime: host.runtime,
      storage: hookedStorage(this.inner, (call, name) => this.hook(call, name)),
      metadata: this.metadata,
      transports: [],
      settings: {
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.num.partitions": 1,
      },
    });
    await broker.start();
    const live = { broker, host, calls: new TransactionCalls(broker, caller) };
    running.add(live);
    return live;
  }
}

async function begin({ broker, calls }: Live): Promise<Producer> {
  for (const name of ["a", "b"]) {
    const made = await createTopic(broker, caller, { name, partitions: 1 });
    if (!made.ok) throw new Error(made.error.message);
  }
  const producer = await calls.init();
  expect(await calls.produce(producer, ["a"])).toBe("ok");
  expect(await calls.produce(producer, ["b"], { topic: "b" })).toBe("ok");
  expect(await calls.commitOffset(producer, "g", "a", 17)).toBe("none");
  return producer;
}

/** What a reader of committed things finds, of both topics and the group. */
async function seen({ calls }: Live): Promise<string> {
  const [a, b] = [await calls.read("read_committed", "a"), await calls.read("read_committed", "b")];
  return `${a} ${b} ${await calls.committedOffset("g", "a")}`;
}

describe("an end", () => {
  test("is one write and one sync: decision, markers and completion", async () => {
    const disk = new Disk();
    const live = await disk.start();
    const producer = await begin(live);
    const counts = { append: 0, sync: 0 };
    disk.hook = (call) => {
      if (call === "append" || call === "sync") counts[call]++;
      return undefined;
    };
    expect((await live.calls.end(producer)).errorCode).toBe(0);
    expect(counts).toEqual({ append: 1, sync: 1 });
    expect(await seen(live)).toBe("a b 17");
    expect((await live.calls.describe("t"))[0]!.transactionState).toBe("CompleteCommit");
  });

  for (const isCommit of [true, false]) {
    test(`that ${isCommit ? "commits" : "aborts"} is whole, wherever the disk was cut`, async () => {
      const found = new Set<string>();
      for (let bytes = 0; ; bytes += 23) {
        const disk = new Disk();
        const live = await disk.start();
        const producer = await begin(live);
        let isCut = false;
        disk.hook = (call) => {
          if (call !== "append" || isCut) return undefined;
          isCut = true;
          return { bytes, error: new Error("power is gone") };
        };
        const ended = await live.calls.end(producer, isCommit);
        await stop(live);
        disk.hook = () => undefined;
        const next = await disk.start();
        const [described] = await next.calls.describe("t");
        found.add(described!.transactionState);
        const whole = isCommit ? "a b 17" : "  -1";
        if (described!.transactionState === "Ongoing") {
          // Nobody was told that it ended.
          expect(ended.errorCode).not.toBe(0);
          expect(await seen(next)).toBe("  unstable_offset_commit");
          expect((await next.calls.end(producer, isCommit)).errorCode).toBe(0);
        } else {
          while (!(await next.calls.describe("t"))[0]!.transactionState.startsWith("Complete")) {
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
          expect((await next.calls.end(producer, isCommit)).errorCode).toBe(0);
        }
        expect([bytes, await seen(next)]).toEqual([bytes, whole]);
        // And the producer goes on.
        const after = { ...producer, producerEpoch: 1 };
        expect(await next.calls.produce(after, ["more"], { sequence: 0 })).toBe("ok");
        expect((await next.calls.end(after)).errorCode).toBe(0);
        await stop(next);
        if (!isCut || described!.transactionState.startsWith("Complete")) break;
      }
      expect(found.has("Ongoing")).toBe(true);
      expect([...found].some((state) => state.startsWith("Complete"))).toBe(true);
    });
  }
});
