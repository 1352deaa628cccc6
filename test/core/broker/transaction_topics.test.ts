// What becomes of open transactions where something happens to their topics: deleted, made anew, records deleted from under them;
// and of batches that come late. Nothing is left that holds readers up.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { caller } from "../../support/log_rig.ts";
import { type Producer, TransactionCalls } from "../../support/transaction_calls.ts";
import { until } from "../../support/waiting.ts";

let plugins: ReturnType<typeof pluginsOf>;
let host: HostRuntime;
let broker: RunningBroker;
let calls: TransactionCalls;

const pluginsOf = () => ({ storage: storageMemory(), metadata: metadataMemory() });

async function start(): Promise<void> {
  host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  broker = await createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    ...plugins,
    transports: [],
    settings: { "offsets.topic.num.partitions": 1, "transaction.state.log.num.partitions": 1 },
  });
  await broker.start();
  calls = new TransactionCalls(broker, caller);
}

async function stop(): Promise<void> {
  await broker.stop(0);
  await host.stop(1000);
}

async function made(name: string): Promise<void> {
  const outcome = await createTopic(broker, caller, { name, partitions: 1 });
  if (!outcome.ok) throw new Error(outcome.error.message);
}

async function deleted(name: string): Promise<void> {
  const request = { topics: [{ name, topicId: null as never }], topicNames: [name] };
  const answer = await broker.topics.deleteTopics(caller, { ...request, timeoutMs: 1000 }, 1);
  expect(answer.responses[0]!.errorCode).toBe(0);
}

beforeEach(async () => {
  plugins = pluginsOf();
  await start();
  await made("a");
  await made("b");
});
afterEach(stop);

const stateOf = async () => (await calls.describe("t"))[0]!.transactionState;

/** Where readers of committed records and of all end. */
async function ends(topic = "a"): Promise<readonly number[]> {
  const found: number[] = [];
  for (const isolation of ["read_committed", "read_uncommitted"] as const) {
    const [outcome] = await broker.log.offsetFor(caller, [
      { topic, partition: 0, leaderEpoch: -1, isolation, at: "latest" },
    ]);
    if (!outcome!.ok) throw new Error(outcome!.error.message);
    found.push(outcome!.value.offset);
  }
  return found;
}

async function openIn(...topics: readonly string[]): Promise<Producer> {
  const producer = await calls.init();
  for (const topic of topics) expect(await calls.produce(producer, [topic], { topic })).toBe("ok");
  return producer;
}

describe("a topic with an open transaction", () => {
  for (const isRestarted of [false, true]) {
    const when = isRestarted ? ", over a restart" : "";
    test(`is deleted and made anew: it is stable from its start${when}`, async () => {
      const producer = await openIn("a", "b");
      await deleted("a");
      await made("a");
      if (isRestarted) {
        await stop();
        await start();
      }
      expect(await calls.produce({ producerId: 999, producerEpoch: 0 }, ["no"])).not.toBe("ok");
      expect(await ends()).toEqual([0, 0]);
      const ended = await calls.end(producer);
      expect(ended.errorCode).toBe(0);
      expect(await stateOf()).toBe("CompleteCommit");
      // The marker knows it by its name, as in Kafka.
      expect(await ends()).toEqual([1, 1]);
      expect(await calls.read("read_committed", "b")).toEqual(["b"]);
      const next = { ...producer, producerEpoch: ended.producerEpoch };
      expect(await calls.produce(next, ["more"])).toBe("ok");
      expect(await ends()).toEqual([1, 2]);
      expect((await calls.end(next, false)).errorCode).toBe(0);
      expect(await ends()).toEqual([3, 3]);
      expect(await calls.read()).toEqual([]);
    });
  }

  test("is deleted between the decision and its markers, which are written after a restart", async () => {
    const producer = await openIn("a", "b");
    const ended = calls.end(producer);
    const gone = deleted("a");
    await Promise.all([ended, gone]);
    await stop();
    await start();
    expect((await calls.end(producer)).errorCode).toBe(0);
    expect(await stateOf()).toBe("CompleteCommit");
    expect(await calls.read("read_committed", "b")).toEqual(["b"]);
  });

  test("loses records from its beginning: what is left is committed with it", async () => {
    const producer = await openIn("a");
    expect(await calls.produce(producer, ["two"], { sequence: 1 })).toBe("ok");
    const answer = await broker.topics.deleteRecords(
      caller,
      { timeoutMs: 1000, topics: [{ name: "a", partitions: [{ partitionIndex: 0, offset: 1 }] }] },
      2,
    );
    expect(answer.topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, lowWatermark: 1 });
    expect(await ends()).toEqual([1, 2]);
    await stop();
    await start();
    expect(await ends()).toEqual([1, 2]);
    expect((await calls.end(producer)).errorCode).toBe(0);
    expect(await ends()).toEqual([3, 3]);
  });

  test("loses all of it: aborted, it leaves nothing behind", async () => {
    const producer = await openIn("a");
    await broker.topics.deleteRecords(
      caller,
      { timeoutMs: 1000, topics: [{ name: "a", partitions: [{ partitionIndex: 0, offset: -1 }] }] },
      2,
    );
    expect(await ends()).toEqual([1, 1]);
    expect((await calls.end(producer, false)).errorCode).toBe(0);
    expect(await ends()).toEqual([2, 2]);
  });
});

describe("the topic of the coordinator itself", () => {
  test("is deleted with open transactions: they are aborted, and their producers begin anew", async () => {
    const producer = await openIn("a", "b");
    expect(await calls.commitOffset(producer, "g", "a", 17)).toBe("none");
    const other = await calls.init({ transactionalId: "other" });
    expect(await calls.produce(other, ["kept"], { transactionalId: "other" })).toBe("ok");
    expect((await calls.end(other, true, 5, "other")).errorCode).toBe(0);
    expect(await calls.committedOffset("g", "a")).toBe("unstable_offset_commit");
    await deleted("__transaction_state");
    for (const topic of ["a", "b"]) {
      const [stable, all] = await ends(topic);
      expect([topic, stable]).toEqual([topic, all]);
    }
    expect(await calls.read()).toEqual(["kept"]);
    expect(await calls.committedOffset("g", "a")).toBe(-1);
    expect(await calls.produce(producer, ["late"], { sequence: 1 })).not.toBe("ok");
    const again = await calls.init();
    expect(again.producerId).not.toBe(producer.producerId);
    expect(await calls.produce(again, ["more"])).toBe("ok");
    expect((await calls.end(again)).errorCode).toBe(0);
    expect(await calls.read()).toEqual(["kept", "more"]);
  });
});

describe("the topic of the coordinator itself, which nobody has looked into since the start,", () => {
  test("is deleted with open transactions: they are aborted", async () => {
    const producer = await openIn("a", "b");
    expect(await calls.commitOffset(producer, "g", "a", 17)).toBe("none");
    await stop();
    await start();
    await deleted("__transaction_state");
    for (const topic of ["a", "b", "__consumer_offsets"]) {
      await until(async () => {
        const [stable, all] = await ends(topic);
        return stable === all;
      }, `${topic} is stable`);
    }
    expect(await calls.read()).toEqual([]);
    expect(await calls.committedOffset("g", "a")).toBe(-1);
    expect(await calls.produce(producer, ["late"], { sequence: 1 })).not.toBe("ok");
    const again = await calls.init();
    expect(await calls.produce(again, ["more"])).toBe("ok");
    expect((await calls.end(again)).errorCode).toBe(0);
    expect(await calls.read()).toEqual(["more"]);
  });
});

describe("a batch that comes late", () => {
  test("by the older protocol, after the end, opens nothing", async () => {
    const producer = await calls.init();
    await calls.add(producer, { a: [0] });
    expect(await calls.produce(producer, ["one"], { adds: false })).toBe("ok");
    expect((await calls.end(producer, false, 4)).errorCode).toBe(0);
    const [stable] = await ends();
    const late = await calls.produce(producer, ["late"], { adds: false, sequence: 1 });
    expect(late).toBe("transaction_abortable");
    expect(await ends()).toEqual([stable!, stable!]);
    // In the next transaction, of the same epoch, only where that has the partition.
    await calls.add(producer, { b: [0] });
    expect(await calls.produce(producer, ["late"], { adds: false, sequence: 1 })).toBe(
      "transaction_abortable",
    );
    expect(await ends()).toEqual([stable!, stable!]);
  });

  test("by the newer protocol has an epoch that is over, wherever it goes", async () => {
    const producer = await openIn("a");
    expect((await calls.end(producer)).errorCode).toBe(0);
    for (const topic of ["a", "b"]) {
      const [stable] = await ends(topic);
      expect(await calls.produce(producer, ["late"], { topic, sequence: 1 })).toBe(
        "invalid_producer_epoch",
      );
      expect(await ends(topic)).toEqual([stable!, stable!]);
    }
    expect((await calls.describe("t"))[0]!.topics).toEqual([]);
  });
});
