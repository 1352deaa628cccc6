// The transport on real sockets with a real core: large requests, many connections over a small memory
// budget, hostile neighbours, slow readers, stopping under load.

import { afterEach, describe, expect, test } from "bun:test";
import { SeededRandom } from "../../src/base/prng.ts";
import { Produce, type ProduceRequestInput } from "../../src/protocol/messages/00_produce.ts";
import { Fetch, type FetchRequestInput } from "../../src/protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../src/protocol/messages/02_list_offsets.ts";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { decodeResponse, encodeRequest } from "../../src/protocol/mod.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { Live, type LiveOptions, type WireClient } from "./live.ts";

let live: Live;

async function start(options: LiveOptions = {}): Promise<void> {
  live = await Live.start(options);
}

afterEach(async () => {
  await live.stop();
});

const SOFTWARE = { clientSoftwareName: "test", clientSoftwareVersion: "1" };

function batchOf(valueBytes: number, fill: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.append(-1, null, new Uint8Array(valueBytes).fill(fill));
  return builder.build();
}

async function createTopic(client: WireClient, name: string, numPartitions: number): Promise<void> {
  const answer = await client.ask(CreateTopics, 7, {
    topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
    validateOnly: false,
  });
  expect(answer.topics[0]!.errorCode).toBe(0);
}

function produceOf(
  topic: string,
  batches: readonly Uint8Array[],
  acks: -1 | 0 | 1 = -1,
): ProduceRequestInput {
  return {
    transactionalId: null,
    acks,
    timeoutMs: 5000,
    topicData: [
      { name: topic, partitionData: batches.map((records, index) => ({ index, records })) },
    ],
  };
}

function fetchOf(topic: string, partitions: number, bytesMax: number): FetchRequestInput {
  return {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: bytesMax,
    topics: [
      {
        topic,
        partitions: Array.from({ length: partitions }, (_, partition) => ({
          partition,
          fetchOffset: 0,
          partitionMaxBytes: bytesMax,
        })),
      },
    ],
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Everything of a batch but base offset and leader epoch, which the broker writes. */
function contentOf(batch: Uint8Array): Uint8Array {
  return batch.slice(16);
}

describe("transport-kafka on sockets", () => {
  test("a request of several large batches comes back byte for byte", async () => {
    await start();
    const client = await live.connect();
    await createTopic(client, "big", 6);
    const batches = Array.from({ length: 6 }, (_, index) => batchOf(900_000, index + 1));
    const produced = await client.ask(Produce, 12, produceOf("big", batches));
    expect(produced.responses[0]!.partitionResponses.map((each) => each.errorCode)).toEqual([
      0, 0, 0, 0, 0, 0,
    ]);
    const fetched = await client.ask(Fetch, 12, fetchOf("big", 6, 50_000_000));
    for (const { partitionIndex, records } of fetched.responses[0]!.partitions) {
      const [sent, came] = [contentOf(batches[partitionIndex]!), contentOf(records!)];
      expect([partitionIndex, Buffer.compare(sent, came)]).toEqual([partitionIndex, 0]);
    }
    client.close();
  });

  test("many pipelining connections share a memory budget smaller than what they send", async () => {
    await start({ settings: { "queued.max.request.bytes": 1_000_000 } });
    const [maker, ...clients] = await Promise.all(Array.from({ length: 13 }, () => live.connect()));
    await createTopic(maker!, "shared", 1);
    const parts = encodeRequest(Produce, 9, 1, "load", produceOf("shared", [batchOf(200_000, 9)]));
    const frame = joined(parts);
    const offsets = await Promise.all(
      clients.map(async (client) => {
        const sending = (async () => {
          for (let count = 0; count < 8; count++) await client.sendBytes(frame);
        })();
        const found: number[] = [];
        for (let count = 0; count < 8; count++) {
          const { body } = decodeResponse(Produce, 9, (await client.receive())!);
          found.push(body.responses[0]!.partitionResponses[0]!.baseOffset);
        }
        await sending;
        return found;
      }),
    );
    for (const list of offsets) expect(list).toEqual([...list].sort((a, b) => a - b));
    const all = offsets.flat().sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: 96 }, (_, index) => index));
    for (const client of [maker!, ...clients]) client.close();
  });

  test("garbage next door disturbs nobody", async () => {
    await start();
    const random = SeededRandom.of(5);
    const good = await live.connect();
    await createTopic(good, "calm", 1);
    for (let round = 0; round < 30; round++) {
      const bad = await live.connect();
      const noise = random.fill(new Uint8Array(1 + (random.uint32() % 500)));
      if (round % 3 === 0) noise[0] = 0x80;
      // The broker may close while we still write.
      await bad.sendBytes(noise).catch(() => {});
      const answer = await good.ask(Produce, 9, produceOf("calm", [batchOf(100, round)]));
      expect(answer.responses[0]!.partitionResponses[0]!.baseOffset).toBe(round);
      bad.close();
    }
    good.close();
  });

  test("a peer that reads late gets everything, in order, and holds up nobody", async () => {
    await start({ transport: { responseBytesMax: 1 << 20, fetchBytesMax: 1 << 20 } });
    const late = await live.connect();
    const other = await live.connect();
    await createTopic(other, "slow", 1);
    await other.ask(Produce, 9, produceOf("slow", [batchOf(700_000, 3)]));
    const count = 40;
    for (let id = 0; id < count; id++) {
      const parts = encodeRequest(Fetch, 11, id, "late", fetchOf("slow", 1, 1 << 20));
      for (const part of parts) await late.sendBytes(part);
    }
    for (let round = 0; round < 20; round++) {
      expect((await other.ask(ApiVersions, 4, SOFTWARE)).errorCode).toBe(0);
    }
    for (let id = 0; id < count; id++) {
      const answer = decodeResponse(Fetch, 11, (await late.receive())!);
      expect(answer.correlationId).toBe(id);
      expect(answer.body.responses[0]!.partitions[0]!.records!.length).toBeGreaterThan(700_000);
    }
    late.close();
    other.close();
  });

  test("what a producer without acks sent before it left is appended", async () => {
    await start();
    const watcher = await live.connect();
    await createTopic(watcher, "parting", 1);
    const leaver = await live.connect();
    for (let count = 0; count < 5; count++) {
      const parts = encodeRequest(
        Produce,
        9,
        count,
        "x",
        produceOf("parting", [batchOf(50, 1)], 0),
      );
      for (const part of parts) await leaver.sendBytes(part);
    }
    leaver.close();
    let endOffset = 0;
    for (let tries = 0; endOffset < 5 && tries < 2000; tries++) {
      const answer = await watcher.ask(ListOffsets, 4, {
        replicaId: -1,
        topics: [{ name: "parting", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
      });
      endOffset = answer.topics[0]!.partitions[0]!.offset;
    }
    expect(endOffset).toBe(5);
    watcher.close();
  });

  test("stopping ends parked fetches and open connections, and takes no new ones", async () => {
    await start();
    const client = await live.connect();
    await createTopic(client, "stop", 1);
    // Behind a request that is answered, in one write: with the answer, the fetch is known to be parked.
    await client.sendBytes(
      joined([
        ...encodeRequest(ApiVersions, 4, 8, "x", SOFTWARE),
        ...encodeRequest(Fetch, 11, 9, "x", {
          ...fetchOf("stop", 1, 1000),
          maxWaitMs: 60_000,
          minBytes: 1,
        }),
      ]),
    );
    expect(await client.receive()).not.toBe(null);
    // Far below its 60 s of waiting: the parked fetch is answered, then the connection ends.
    await live.broker.stop(30_000);
    expect(await client.receive()).not.toBe(null);
    expect(await client.receive()).toBe(null);
    await expect(live.connect()).rejects.toBeDefined();
  });
});
