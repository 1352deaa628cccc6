import { describe, expect, test } from "bun:test";
import { bootstrapAddresses } from "../../src/client/client.ts";
import { createClient } from "../../src/client/mod.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { MemoryNetwork } from "../../src/testing/memory_network.ts";
import { RESET } from "../../src/testing/scripted_broker.ts";
import { clientRuntime, failureOf, startRig } from "./rig.ts";

describe("the way to a cluster", () => {
  test("a refused first contact fails at once, with the network's error as its cause", async () => {
    const network = new MemoryNetwork();
    const client = createClient(clientRuntime(network), { bootstrap: "nowhere:1" });
    const failure = await failureOf(client.connect());
    expect(failure.code).toBe("network_exception");
    expect((failure.cause as { code: string }).code).toBe("refused");
    expect(network.connectCount).toBe(1);
    await client.close();
  });

  test("any bootstrap address that answers will do", async () => {
    const rig = await startRig();
    const bootstrap = [{ host: "dead", port: 9 }, rig.brokers[0]!.address];
    const client = createClient(clientRuntime(rig.network), { bootstrap });
    expect((await client.connect()).clusterId).toBe(rig.cluster.clusterId);
    await client.close();
    await rig.stop();
  });

  test("after a break the next call connects again, and calls in between are tried again", async () => {
    const rig = await startRig();
    rig.cluster.addTopic("t", 1);
    await rig.client.connect();
    rig.brokers[0]!.once(Metadata, () => RESET);
    rig.brokers[0]!.once(Metadata, () => RESET);
    expect((await rig.client.admin.listTopics()).map(({ name }) => name)).toEqual(["t"]);
    await rig.stop();
  });

  test("attempts to a dead broker grow rarer", async () => {
    const network = new MemoryNetwork();
    const client = createClient(clientRuntime(network), {
      bootstrap: "nowhere:1",
      backoffMs: 20,
      backoffMsMax: 1_000,
      timeoutMs: 400,
    });
    await failureOf(client.admin.listTopics());
    // 20 + 40 + 80 + 160 ms, less jitter: a handful, not hundreds.
    expect(network.connectCount).toBeGreaterThan(1);
    expect(network.connectCount).toBeLessThan(9);
    await client.close();
  });

  test('closing ends what is under way with "closed"', async () => {
    const rig = await startRig();
    await rig.client.connect();
    const hold = rig.brokers[0]!.hold(Metadata);
    const running = failureOf(rig.client.admin.listTopics());
    await hold.held;
    await rig.client.close();
    expect((await running).code).toBe("closed");
    expect((await failureOf(rig.client.admin.listTopics())).code).toBe("closed");
    await rig.stop();
  });
});

describe("bootstrap addresses", () => {
  test("are read as people write them", () => {
    expect(bootstrapAddresses("a:1, b:2,[::1]:3,c")).toEqual([
      { host: "a", port: 1 },
      { host: "b", port: 2 },
      { host: "::1", port: 3 },
      { host: "c", port: 9092 },
    ]);
  });

  test("and refused otherwise", () => {
    for (const wrong of ["", "a:0", "a:65536", "a:b", "http://a:1", "::1:3", "a b:1"]) {
      expect(() => bootstrapAddresses(wrong)).toThrow(TypeError);
    }
  });
});
