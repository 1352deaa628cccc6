import { describe, expect, test } from "bun:test";
import { transportKafka } from "../../../plugins/transport-kafka/mod.ts";
import { NetworkError } from "../../../src/contracts/errors.ts";
import { Fetch } from "../../../src/protocol/messages/01_fetch.ts";
import { ApiVersions } from "../../../src/protocol/messages/18_api_versions.ts";
import { settle } from "./fakes.ts";
import { emptyFetch, Harness, ok, ScriptedBroker } from "./scripted.ts";

const PARKED = {
  maxWaitMs: 60_000,
  minBytes: 1,
  topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] }],
};

describe("transportKafka", () => {
  test("names where it listens and what it advertises", async () => {
    const harness = await Harness.start({
      listeners: [
        { name: "kafka", host: "127.0.0.1", port: 0 },
        { name: "outside", host: "0.0.0.0", port: 9093, advertisedHost: "b1.example" },
        { name: "nat", host: "0.0.0.0", port: 9094, advertisedHost: "gate", advertisedPort: 19094 },
        { name: "plain", host: "::", port: 9095 },
      ],
    });
    const shown = harness.running.endpoints.map(
      (each) =>
        `${each.protocol} ${each.listener} ${each.host}:${each.port} ${each.advertisedHost}:${each.advertisedPort}`,
    );
    const [first] = harness.running.endpoints;
    expect(first!.port).toBeGreaterThan(0);
    expect(shown).toEqual([
      `kafka kafka 127.0.0.1:${first!.port} 127.0.0.1:${first!.port}`,
      "kafka outside 0.0.0.0:9093 b1.example:9093",
      "kafka nat 0.0.0.0:9094 gate:19094",
      "kafka plain :::9095 localhost:9095",
    ]);
    expect(harness.hand.eventsOf("advertised_host_is_localhost").length).toBe(1);
    const client = harness.connect(9094);
    await client.ask(Fetch, 4, PARKED);
    expect(harness.scripted.calls[0]!.caller.listener).toBe("nat");
  });

  test("opens all listeners or none", async () => {
    const harness = await Harness.start();
    const plugin = transportKafka({
      listeners: [
        { name: "a", host: "127.0.0.1", port: 9099 },
        { name: "b", host: "127.0.0.1", port: 9092 },
      ],
    });
    const starting = plugin.start({
      runtime: harness.hand.runtime,
      brokerId: 1,
      broker: new ScriptedBroker().broker,
      authenticator: null,
      requestMemory: harness.budget,
    });
    await expect(starting).rejects.toBeInstanceOf(NetworkError);
    expect([...harness.hand.listening.keys()]).toEqual([9092]);
  });

  test("refuses options out of range, by name", () => {
    const listener = { name: "kafka", host: "127.0.0.1", port: 9092 };
    const cases: [Parameters<typeof transportKafka>[0], string][] = [
      [{ listeners: [] }, "listeners is empty"],
      [{ listeners: [listener, listener] }, 'two listeners "kafka"'],
      [{ listeners: [{ ...listener, port: 70_000 }] }, 'port of listener "kafka"'],
      [{ listeners: [listener], inFlightMax: 0 }, "inFlightMax"],
      [{ listeners: [listener], frameBytesMax: 1.5 }, "frameBytesMax"],
      [{ listeners: [listener], sessionCacheSlots: -1 }, "sessionCacheSlots"],
    ];
    for (const [options, text] of cases) expect(() => transportKafka(options)).toThrow(text);
  });

  test("does not start where nobody could log in, as it would let everyone in", async () => {
    const authenticator = { mechanisms: ["BEARER"], begin: () => ({}) as never };
    await expect(Harness.start({}, 1 << 20, authenticator)).rejects.toThrow("no SASL mechanism");
  });

  test("reaps idle connections, and not one with a parked fetch", async () => {
    const harness = await Harness.start({ connectionIdleMsMax: 10_000 });
    harness.scripted.fetch = () => new Promise(() => {});
    const idle = harness.connect();
    const used = harness.connect();
    const parked = harness.connect();
    parked.send(Fetch, 4, PARKED);
    await harness.hand.advance(9000);
    await used.ask(ApiVersions, 0, {});
    await harness.hand.advance(6500);
    expect(idle.peer.closeReason).toBe("connection_idle");
    expect(used.peer.closeReason).toBe(null);
    expect(parked.peer.closeReason).toBe(null);
    await harness.hand.advance(60_000);
    expect(used.peer.closeReason).toBe("connection_idle");
    expect(parked.peer.closeReason).toBe(null);
  });

  test("refuses connections beyond connectionsMax, until one has gone", async () => {
    const harness = await Harness.start({ connectionsMax: 2 });
    const [first, second, third] = [harness.connect(), harness.connect(), harness.connect()];
    expect(third!.peer.closeReason).toBe("too_many_connections");
    expect((await second!.ask(ApiVersions, 0, {})).errorCode).toBe(0);
    first!.peer.finish();
    await settle();
    expect((await harness.connect().ask(ApiVersions, 0, {})).errorCode).toBe(0);
    expect(harness.hand.eventsOf("kafka_connection_refused").length).toBe(1);
  });

  test("asks for max.connections at each connection, so that a change takes effect", async () => {
    const harness = await Harness.start();
    harness.scripted.settings.set("max.connections", "1");
    const [first, second] = [harness.connect(), harness.connect()];
    expect([first!.peer.closeReason, second!.peer.closeReason]).toEqual([
      null,
      "too_many_connections",
    ]);
    harness.scripted.settings.set("max.connections", "2");
    expect(harness.connect().peer.closeReason).toBe(null);
  });

  test("refuses connections of one address beyond max.connections.per.ip, until one has gone", async () => {
    const harness = await Harness.start();
    harness.scripted.settings.set("max.connections.per.ip", "1");
    const [first, second] = [harness.connect(), harness.connect()];
    expect(second!.peer.closeReason).toBe("too_many_connections");
    expect((await first!.ask(ApiVersions, 0, {})).errorCode).toBe(0);
    first!.peer.finish();
    await settle();
    expect(harness.connect().peer.closeReason).toBe(null);
    expect(harness.connect().peer.closeReason).toBe("too_many_connections");
  });

  test("many slow readers together get little each, and the memory is given back", async () => {
    const replyBytesMax = 1024 * 1024;
    const harness = await Harness.start({ replyBytesMax });
    const asked: number[] = [];
    harness.scripted.fetch = async (request) => {
      const sizeBytes = request.bytesMax;
      asked.push(sizeBytes);
      return request.partitions.map(() =>
        ok({ ...emptyFetch(9), batches: [new Uint8Array(sizeBytes)], sizeBytes }),
      );
    };
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 600 * 1024 }];
    const wanted = {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 600 * 1024,
      topics: [{ topic: "t", partitions }],
    };
    const slow = [];
    for (let count = 0; count < 4; count++) {
      const client = harness.connect();
      client.peer.isStalled = true;
      client.send(Fetch, 4, wanted);
      await settle();
      slow.push(client);
    }
    expect(asked[0]).toBe(600 * 1024);
    expect(asked[1]).toBeGreaterThan(replyBytesMax - 2 * 600 * 1024);
    expect(asked[1]).toBeLessThan(600 * 1024);
    expect(asked.slice(2)).toEqual([64 * 1024, 64 * 1024]);
    // One gives it back by reading, the others by going.
    slow[0]!.peer.resume();
    for (const client of slow.slice(1)) client.peer.reset();
    await settle();
    harness.connect().send(Fetch, 4, wanted);
    await settle();
    expect(asked.at(-1)).toBe(600 * 1024);
  });

  test("beyond the double no further fetch begins until others have read, or had to go", async () => {
    const harness = await Harness.start({ replyBytesMax: 1024 * 1024 });
    let asked = 0;
    harness.scripted.fetch = async (request) => {
      asked++;
      const batches = [new Uint8Array(700 * 1024)];
      return request.partitions.map(() => ok({ ...emptyFetch(9), batches, sizeBytes: 700 * 1024 }));
    };
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1024 }];
    const topics = [{ topic: "t", partitions }];
    const clients = [];
    for (let count = 0; count < 6; count++) {
      const client = harness.connect();
      client.peer.isStalled = true;
      client.send(Fetch, 4, { maxWaitMs: 0, minBytes: 0, maxBytes: 1024, topics });
      await settle();
      clients.push(client);
    }
    expect(asked).toBe(3);
    clients[0]!.peer.resume();
    await settle();
    expect(asked).toBeGreaterThan(3);
    expect(asked).toBeLessThan(7);
    const begun = asked;
    await harness.hand.advance(40_000);
    expect(clients[1]!.peer.closeReason).toBe("peer_not_reading");
    expect(asked).toBeGreaterThan(begun);
  });

  test("stop() ends quiet connections at once and waits for requests in progress", async () => {
    const harness = await Harness.start();
    let finish: () => void = () => {};
    harness.scripted.fetch = (request) =>
      new Promise((resolve) => {
        finish = () => resolve(request.partitions.map(() => ok(emptyFetch(3))));
      });
    const quiet = harness.connect();
    const busy = harness.connect();
    busy.send(Fetch, 4, PARKED);
    await settle();
    let isStopped = false;
    const stopping = harness.running.stop(5000).then(() => {
      isStopped = true;
    });
    await settle();
    expect(harness.hand.listening.size).toBe(0);
    expect(quiet.peer.closeReason).toBe("transport_stopped");
    expect(busy.peer.closeReason).toBe(null);
    expect(isStopped).toBe(false);
    finish();
    await settle();
    await stopping;
    expect(busy.peer.frames.length).toBe(1);
    expect(busy.peer.closeReason).toBe("transport_stopped");
    expect(harness.hand.pendingTimers).toBe(0);
    await harness.running.stop(5000);
  });

  test("stop() tells parked calls through their signal, and their answers still go out", async () => {
    const harness = await Harness.start();
    harness.scripted.fetch = (request, caller) =>
      new Promise((resolve) => {
        caller.signal.addEventListener("abort", () =>
          resolve(request.partitions.map(() => ok(emptyFetch(0)))),
        );
      });
    const parked = harness.connect();
    parked.send(Fetch, 4, PARKED);
    await settle();
    await harness.running.stop(1000);
    expect(parked.peer.frames.length).toBe(1);
    expect(parked.peer.closeReason).toBe("transport_stopped");
    expect(harness.hand.nowMs).toBe(1000);
    await Promise.all(harness.hand.spawned);
  });

  test("stop() closes what is left after its grace", async () => {
    const harness = await Harness.start();
    harness.scripted.fetch = () => new Promise(() => {});
    const busy = harness.connect();
    busy.send(Fetch, 4, PARKED);
    await settle();
    const stopping = harness.running.stop(1000);
    await settle();
    await harness.hand.advance(999);
    expect(busy.peer.closeReason).toBe(null);
    await harness.hand.advance(1);
    await stopping;
    expect(busy.peer.closeReason).toBe("transport_stopped");
    expect(busy.peer.frames.length).toBe(0);
  });
});
