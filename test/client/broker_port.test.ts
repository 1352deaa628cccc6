// What is particular to the way without a wire; all else is in both_ports.test.ts.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../plugins/storage-memory/mod.ts";
import { InvariantError } from "../../src/base/assert.ts";
import { brokerPort, createClient } from "../../src/client/mod.ts";
import { ANONYMOUS, type Principal } from "../../src/contracts/auth.ts";
import type { Broker, Caller, FetchResponse } from "../../src/contracts/broker.ts";
import { createBroker } from "../../src/core/mod.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { DescribeQuorum } from "../../src/protocol/messages/55_describe_quorum.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { Rig } from "./ports.ts";
import { failureOf, text, utf8 } from "./rig.ts";

let rig: Rig;
let topicId: string;
beforeEach(async () => {
  rig = await Rig.start();
  await rig.client("in process").admin.createTopic({ name: "t", partitions: 1 });
  topicId = (await rig.client("in process").admin.topic("t")).topicId!;
});
afterEach(() => rig.stop());

function batch(value: string): Uint8Array<ArrayBuffer> {
  const builder = new RecordBatchBuilder({ codec: "none", sizeBytesHint: 512 });
  builder.append(5, null, utf8(value), []);
  return builder.build();
}

function produceOf(records: Uint8Array) {
  const topicData = [{ topicId, partitionData: [{ index: 0, records }] }];
  return { acks: -1, timeoutMs: 1_000, topicData };
}

function fetchOf(maxWaitMs: number, fetchOffset = 0) {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }];
  return { maxWaitMs, minBytes: 1, topics: [{ topicId, partitions }] };
}

test("needs no transport and no network: a broker that listens nowhere", async () => {
  const runtime = {
    ...rig.runtime,
    network: {
      listen: () => Promise.reject(new Error("no network here")),
      connect: () => Promise.reject(new Error("no network here")),
    },
  };
  const broker = await createBroker({
    broker: { id: 1 },
    runtime,
    storage: storageMemory(),
    metadata: metadataMemory(),
    transports: [],
  });
  await broker.start();
  const client = createClient(runtime, { port: brokerPort(broker, { runtime }) });
  await client.admin.createTopic({ name: "t", partitions: 3 });
  const producer = client.producer();
  for (const key of ["a", "b", "c"]) await producer.send({ topic: "t", key, value: `of ${key}` });
  const found: string[] = [];
  for await (const { key, value } of client.consumer({ topics: ["t"], untilEnd: true })) {
    found.push(`${text(key)}: ${text(value)}`);
  }
  expect(found.sort()).toEqual(["a: of a", "b: of b", "c: of c"]);
  await client.close();
  await broker.stop(100);
});

test("the caller's batch stays as it was, so that it can be sent again", async () => {
  const port = rig.port("in process");
  await port.send(Produce, produceOf(batch("first")));
  const bytes = batch("second");
  const before = bytes.slice();
  const response = await port.send(Produce, produceOf(bytes));
  // At offset 1, which the log has written into the batch that it keeps.
  expect(response.responses[0]!.partitionResponses[0]!.baseOffset).toBe(1);
  expect(bytes).toEqual(before);
  bytes.fill(0xff);
  const { responses } = await port.send(Fetch, fetchOf(0, 1));
  expect(text(responses[0]!.partitions[0]!.records)).toContain("second");
});

test("fetched bytes are the caller's: given back before it has them, and nobody else's", async () => {
  const port = rig.port("in process");
  await port.send(Produce, produceOf(batch("kept".repeat(200))));
  let released = 0;
  const lent: Uint8Array[] = [];
  const watched = withFetch(rig.broker, async (caller, ask) => {
    const response = await ask(caller);
    for (const each of response.partitions) if (each.ok) lent.push(...each.value.batches);
    return {
      ...response,
      release() {
        released++;
        for (const bytes of lent) bytes.fill(0);
        response.release();
      },
    };
  });
  const watching = brokerPort(watched, { runtime: rig.runtime });
  const { responses } = await watching.send(Fetch, fetchOf(0));
  const { records } = responses[0]!.partitions[0]!;
  expect(released).toBe(1);
  expect(text(records)).toContain("keptkept");
});

test("an aborted or late fetch ends at the broker too, and gives its bytes back", async () => {
  let released = 0;
  let parked = 0;
  const watched = withFetch(rig.broker, async (caller, ask) => {
    parked++;
    const response = await ask(caller);
    parked--;
    return {
      ...response,
      release() {
        released++;
        response.release();
      },
    };
  });
  const port = brokerPort(watched, { runtime: rig.runtime });
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = port.send(Fetch, fetchOf(60_000), { signal });
  expect(parked).toBe(1);
  controller.abort();
  expect((await failureOf(aborted)).code).toBe("aborted");
  expect((await failureOf(port.send(Fetch, fetchOf(0), { signal }))).code).toBe("aborted");
  const late = port.send(Fetch, fetchOf(60_000), { timeoutMs: 20 });
  const failure = await failureOf(late);
  expect(failure.code).toBe("request_timed_out");
  expect(failure.message).toBe("the broker in this process did not answer Fetch within 20 ms");
  while (parked > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(released).toBe(2);
});

test("who asks is told to the broker: principal, client id, and that there was no listener", async () => {
  const callers: Caller[] = [];
  const watched = withFetch(rig.broker, (caller, ask) => {
    callers.push(caller);
    return ask(caller);
  });
  const { runtime } = rig;
  const principal: Principal = { type: "User", name: "alice" };
  await brokerPort(watched, { runtime }).send(Fetch, fetchOf(0));
  await brokerPort(watched, { runtime, principal, clientId: "billing" }).send(Fetch, fetchOf(0));
  expect(
    callers.map(({ principal, clientId, listener }) => [principal.name, clientId, listener]),
  ).toEqual([
    ["ANONYMOUS", "millrace", "in_process"],
    ["alice", "billing", "in_process"],
  ]);
  // The very principal of a transport without a login: a rule for one holds for the other.
  expect(callers[0]!.principal).toBe(ANONYMOUS);
});

test("another broker's number, and what is not served, are refused by name", async () => {
  const port = rig.port("in process");
  const elsewhere = await failureOf(port.send(Metadata, { topics: null }, { to: 8 }));
  expect(elsewhere).toMatchObject({ code: "broker_not_available", retriable: true });
  const unserved = await failureOf(port.send(DescribeQuorum, {} as never));
  expect(unserved.code).toBe("unsupported_version");
  expect(unserved.message).toContain("does not serve it");
  const versions = await port.send(ApiVersions, {
    clientSoftwareName: "test",
    clientSoftwareVersion: "1",
  });
  const served = versions.apiKeys.map(({ apiKey }) => apiKey);
  expect(served).toContain(Fetch.apiKey);
  expect(served).not.toContain(DescribeQuorum.apiKey);
});

test("calls without a pause leave timers their turn", async () => {
  const port = rig.port("in process");
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 1);
  const startMs = performance.now();
  // Everything here is in memory: nothing of it waits for the host by itself.
  while (performance.now() - startMs < 60) await port.send(Metadata, { topics: [] });
  clearInterval(ticking);
  expect(ticks).toBeGreaterThan(2);
});

test("a broker that has stopped is an error that may pass, not a hang", async () => {
  const client = rig.client("in process", { timeoutMs: 50 });
  await rig.broker.stop(100);
  const producer = client.producer({ deliveryTimeoutMs: 50 });
  const failure = await failureOf(producer.send({ topic: "t", value: "x" }));
  expect(failure.name).toBe("ClientError");
});

test("a broken invariant is an error of the call, and stops the broker through its scheduler", async () => {
  const failures: unknown[] = [];
  const scheduler = {
    after: (...call: Parameters<typeof rig.runtime.scheduler.after>) =>
      rig.runtime.scheduler.after(...call),
    yieldNow: () => rig.runtime.scheduler.yieldNow(),
    spawn: (label: string, task: () => Promise<void>) => {
      task().catch((error) => failures.push([label, error.name]));
    },
  };
  const broken = withFetch(rig.broker, () => Promise.reject(new InvariantError("wrong state")));
  const port = brokerPort(broken, { runtime: { ...rig.runtime, scheduler } });
  const failure = await failureOf(port.send(Fetch, fetchOf(0)));
  expect(failure.code).toBe("network_exception");
  expect(failure.message).toContain("failed at Fetch: wrong state");
  expect(failures).toEqual([["in_process_broken_invariant", "InvariantError"]]);
});

/** The broker with a hand in its fetches. */
function withFetch(
  broker: Broker,
  hand: (caller: Caller, ask: (caller: Caller) => Promise<FetchResponse>) => Promise<FetchResponse>,
): Broker {
  const { log } = broker;
  return {
    ...broker,
    brokerId: broker.brokerId,
    topics: broker.topics,
    log: {
      append: (caller, request) => log.append(caller, request),
      fetch: (caller, request) => hand(caller, (as) => log.fetch(as, request)),
      partitionFor: (caller, topic, key) => log.partitionFor(caller, topic, key),
      offsetFor: (caller, queries) => log.offsetFor(caller, queries),
      endOffsetForEpoch: (caller, queries) => log.endOffsetForEpoch(caller, queries),
      topicNameOf: (id) => log.topicNameOf(id),
      topicIdOf: (name) => log.topicIdOf(name),
    },
    setting: (name) => broker.setting(name),
    isOnline: () => broker.isOnline(),
  };
}
