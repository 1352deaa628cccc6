// The plugin on real sockets, and what it refuses to start with.

import { afterEach, describe, expect, test } from "bun:test";
import { transportTcp } from "../../../plugins/transport-tcp/mod.ts";
import type { AuthPlugin } from "../../../src/contracts/auth.ts";
import { type MemoryBroker, memoryBroker, tokenAuth } from "../../support/memory_broker.ts";
import { TcpClient } from "../../support/tcp_client.ts";

let rig: MemoryBroker | null = null;
afterEach(async () => {
  await rig?.stop();
  rig = null;
});

describe("transportTcp()", () => {
  test("serves records and subscriptions over sockets", async () => {
    rig = await memoryBroker({ transports: [transportTcp({ port: 0 })] });
    const [endpoint] = rig.broker.endpoints;
    expect(endpoint).toMatchObject({ protocol: "tcp", listener: "tcp", host: "127.0.0.1" });
    const { network } = rig.runtime;
    const [writer, reader] = await Promise.all([
      TcpClient.connect(network, endpoint!.port),
      TcpClient.connect(network, endpoint!.port),
    ]);
    await rig.topic("t", 3);
    const { id } = await reader.ask("subscribe", { topic: "t", credit: 0x7fffffff });
    const value = new Uint8Array(300_000).map((_, i) => i * 7);
    const count = 40;
    const answers = Array.from({ length: count }, () => {
      return writer.ask("produce", { topic: "t", records: [[null, value]], compression: "gzip" });
    });
    let seen = 0;
    while (seen < count) {
      for (const record of (await reader.event(id)).records) {
        expect(record[4]).toEqual(value);
        seen++;
      }
    }
    await Promise.all(answers);
    writer.close();
    reader.close();
    await Promise.all([writer.closed, reader.closed]);
  });

  test("stops with open connections, and its port is free again", async () => {
    rig = await memoryBroker({ transports: [transportTcp({ port: 0 })] });
    const { port } = rig.broker.endpoints[0]!;
    const client = await TcpClient.connect(rig.runtime.network, port);
    await rig.stop();
    await client.closed;
    rig = await memoryBroker({ transports: [transportTcp({ port })] });
    await TcpClient.connect(rig.runtime.network, port);
  });

  test("refuses options that cannot be", () => {
    const listener = { name: "a", host: "127.0.0.1", port: 0 };
    for (const options of [
      { listeners: [] },
      { listeners: [listener, listener] },
      { listeners: [listener], port: 5 },
      { port: 70_000 },
      { port: 1.5 },
      { inFlightMax: 0 },
      { frameBytesMax: 10 },
      { fetchBytesMax: Number.NaN },
      { listeners: [{ ...listener, advertisedPort: 0 }] },
    ]) {
      expect(() => transportTcp(options)).toThrow(TypeError);
    }
    expect(() => transportTcp()).not.toThrow();
  });

  test("opens several listeners, or none", async () => {
    const [a, b] = ["a", "b"].map((name) => ({ name, host: "127.0.0.1", port: 0 }));
    const advertised = { ...b!, advertisedHost: "log.example", advertisedPort: 7 };
    rig = await memoryBroker({ transports: [transportTcp({ listeners: [a!, advertised] })] });
    expect(rig.broker.endpoints).toMatchObject([
      { listener: "a", advertisedHost: "127.0.0.1" },
      { listener: "b", advertisedHost: "log.example", advertisedPort: 7 },
    ]);
    const taken = rig.broker.endpoints[0]!.port;
    const listeners = [a!, { ...b!, port: taken }];
    const starting = transportTcp({ listeners }).start({
      runtime: rig.runtime,
      brokerId: 1,
      broker: rig.broker,
      authenticator: null,
      requestMemory: { tryTake: () => true, take: async () => {}, give: () => {} },
    });
    await expect(starting).rejects.toMatchObject({ code: "in_use" });
  });

  test("refuses to start with an authenticator that takes no tokens", async () => {
    const plain: AuthPlugin = {
      ...tokenAuth({}),
      open: async (context) => ({
        ...(await tokenAuth({}).open(context)),
        authenticator: {
          mechanisms: ["PLAIN"],
          begin: () => ({ respond: async () => ({ kind: "denied", reason: "" }) }),
        },
      }),
    };
    await expect(
      memoryBroker({ transports: [transportTcp({ port: 0 })], auth: [plain] }),
    ).rejects.toThrow(/bearer token/);
  });
});
