import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { KafkaConnection } from "../../src/client/connection.ts";
import type { Connection } from "../../src/contracts/runtime.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { DescribeCluster } from "../../src/protocol/messages/60_describe_cluster.ts";
import { encodeResponse } from "../../src/protocol/mod.ts";
import { MemoryNetwork } from "../../src/testing/memory_network.ts";
import { RESET, type ScriptedBroker } from "../../src/testing/scripted_broker.ts";
import { clientRuntime, failureOf, type Rig, startRig } from "./rig.ts";

const OPTIONS = {
  clientId: "test",
  requestTimeoutMs: 2_000,
  inFlightMax: 3,
  responseBytesMax: 1024 * 1024,
};
const NO_TOPICS = { topics: [] };
const NEW_PRODUCER = { transactionalId: null, transactionTimeoutMs: 1 };

let rig: Rig;
let broker: ScriptedBroker;
beforeEach(async () => {
  rig = await startRig();
  broker = rig.brokers[0]!;
});
afterEach(() => rig.stop());

function open(options: Partial<typeof OPTIONS> = {}): Promise<KafkaConnection> {
  const to = { ...broker.address, timeoutMs: 1_000 };
  return KafkaConnection.open(clientRuntime(rig.network), to, { ...OPTIONS, ...options });
}

describe("versions", () => {
  test("the highest that both sides have is taken, within bounds", async () => {
    broker.offered.set(Metadata.apiKey, [0, 8]);
    const connection = await open();
    expect(connection.versionOf(Metadata)).toBe(8);
    expect(connection.versionOf(Metadata, 0, 4)).toBe(4);
    expect(connection.rangeOf(Metadata.apiKey)).toEqual({ min: 0, max: 8 });
    connection.close("done");
  });

  test("a broker that lacks our ApiVersions is asked again in its own version", async () => {
    for (const highest of [3, 2, 1, 0]) {
      broker.offered.set(ApiVersions.apiKey, [0, highest]);
      const connection = await open();
      expect(connection.versionOf(Metadata)).toBe(Metadata.highestStable);
      connection.close("done");
    }
  });

  test("an API or version that is not served is refused by name, with both ranges", async () => {
    broker.offered.set(InitProducerId.apiKey, [0, 1]);
    const connection = await open();
    expect(() => connection.versionOf(DescribeCluster)).toThrow("does not serve it");
    expect(() => connection.versionOf(InitProducerId, 3)).toThrow("serves v0 to v1");
    connection.close("done");
  });

  test("something that does not speak Kafka is named as such", async () => {
    const network = new MemoryNetwork();
    await network.listen({ host: "web", port: 80 }, (peer) => {
      void peer.read().then(async (request) => {
        // The correlation id is echoed, and nothing else makes sense.
        await peer.write([
          new Uint8Array([0, 0, 0, 9]),
          request!.slice(8, 12),
          new Uint8Array(5).fill(255),
        ]);
      });
    });
    const to = { host: "web", port: 80, timeoutMs: 100 };
    const failure = await failureOf(KafkaConnection.open(clientRuntime(network), to, OPTIONS));
    expect(failure.message).toContain("does not speak Kafka");
  });
});

describe("requests", () => {
  test("are pipelined, and each gets its own answer", async () => {
    const connection = await open();
    const hold = broker.hold(InitProducerId);
    const first = connection.request(InitProducerId, 4, NEW_PRODUCER);
    const second = connection.request(Metadata, 9, NO_TOPICS);
    const third = connection.request(InitProducerId, 4, NEW_PRODUCER);
    await hold.held;
    hold.release();
    const [a, b, c] = await Promise.all([first, second, third]);
    expect(a.producerId).toBe(1000);
    expect(b.clusterId).toBe(rig.cluster.clusterId);
    expect(c.producerId).toBe(1001);
    connection.close("done");
  });

  test("beyond inFlightMax wait until an answer has come", async () => {
    const { sent, connection } = await rawConnection({ inFlightMax: 3 });
    const running = Array.from({ length: 5 }, () =>
      connection.request(InitProducerId, 0, NEW_PRODUCER),
    );
    await turns();
    expect(sent.count).toBe(3);
    await sent.answerNext();
    await running[0];
    await turns();
    expect(sent.count).toBe(4);
    for (let count = 0; count < 4; count++) await sent.answerNext();
    await Promise.all(running);
  });

  test("a timeout closes the connection and fails what is behind it as retriable", async () => {
    const connection = await open({ requestTimeoutMs: 20 });
    broker.hold(InitProducerId);
    const first = failureOf(connection.request(InitProducerId, 4, NEW_PRODUCER));
    const second = failureOf(connection.request(Metadata, 9, NO_TOPICS, { timeoutMs: 5_000 }));
    expect((await first).code).toBe("request_timed_out");
    expect(await second).toMatchObject({ code: "request_timed_out", retriable: true });
    expect(connection.isOpen).toBe(false);
  });

  test("an aborted one leaves its place, so that the next answer is not taken for its own", async () => {
    const connection = await open();
    const hold = broker.hold(InitProducerId);
    const abort = new AbortController();
    const first = failureOf(
      connection.request(InitProducerId, 4, NEW_PRODUCER, { signal: abort.signal }),
    );
    const second = connection.request(InitProducerId, 4, NEW_PRODUCER);
    await hold.held;
    abort.abort();
    expect((await first).code).toBe("aborted");
    hold.release();
    expect((await second).producerId).toBe(1001);
    connection.close("done");
  });

  test("a break fails all that is under way with the network's own error as the cause", async () => {
    const connection = await open();
    broker.once(Metadata, () => RESET);
    const failure = await failureOf(connection.request(Metadata, 9, NO_TOPICS));
    expect(failure).toMatchObject({ code: "network_exception", retriable: true });
    expect((failure.cause as { code: string }).code).toBe("reset");
    expect((await failureOf(connection.request(Metadata, 9, NO_TOPICS))).code).toBe(
      "network_exception",
    );
  });

  test("an answer that nobody asked for closes the connection", async () => {
    const { sent, connection } = await rawConnection({});
    const running = failureOf(connection.request(InitProducerId, 0, NEW_PRODUCER));
    await turns();
    await sent.answerNext(77);
    expect((await running).message).toContain("No request has the number 77");
    expect(connection.isOpen).toBe(false);
  });

  test("a request that cannot be encoded fails alone", async () => {
    const connection = await open();
    const failure = await failureOf(
      connection.request(Metadata, 9, {
        topics: [{ name: null, topicId: "AAAAAAAAAAAAAAAAAAAAAA" }],
      }),
    );
    expect(failure.code).toBe("invalid_request");
    expect((await connection.request(Metadata, 9, NO_TOPICS)).controllerId).toBe(1);
    connection.close("done");
  });
});

/** Lets promises run. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A connection to a peer that counts InitProducerId v0 requests and answers when told. */
async function rawConnection(options: Partial<typeof OPTIONS>) {
  const network = new MemoryNetwork();
  const waiting: number[] = [];
  let peer: Connection | null = null;
  const sent = {
    count: 0,
    async answerNext(correlationId = waiting.shift()!) {
      const answer = { throttleTimeMs: 0, errorCode: 0, producerId: 1, producerEpoch: 0 };
      await peer!.write(encodeResponse(InitProducerId, 0, correlationId, answer));
    },
  };
  await network.listen({ host: "raw", port: 1 }, (accepted) => {
    peer = accepted;
    void (async () => {
      for (;;) {
        const chunk = await accepted.read();
        if (chunk === null) return;
        for (let at = 0; at < chunk.length; ) {
          const view = new DataView(chunk.buffer, chunk.byteOffset + at);
          const correlationId = view.getInt32(8);
          if (view.getInt16(4) === ApiVersions.apiKey) {
            const apiKeys = [{ apiKey: InitProducerId.apiKey, minVersion: 0, maxVersion: 0 }];
            const answer = { errorCode: 0, apiKeys };
            await accepted.write(
              encodeResponse(ApiVersions, view.getInt16(6), correlationId, answer),
            );
          } else {
            sent.count++;
            waiting.push(correlationId);
          }
          at += 4 + view.getInt32(0);
        }
      }
    })();
  });
  const to = { host: "raw", port: 1, timeoutMs: 100 };
  const connection = await KafkaConnection.open(clientRuntime(network), to, {
    ...OPTIONS,
    ...options,
  });
  return { sent, connection };
}
