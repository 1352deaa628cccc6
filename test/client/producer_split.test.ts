// Batches that a broker finds too large: over both ways against a real broker, and byte by byte against a scripted one.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/mod.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { baseSequenceAt, producerIdAt, recordCountAt } from "../../src/record/batch_header.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { RESET } from "../../src/testing/scripted_broker.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf, type Rig as ScriptedRig, startRig, text } from "./rig.ts";
import { refuseAll } from "./scripts.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

for (const way of ways) {
  describe(`over ${way}, a topic that takes less than it did`, () => {
    let rig: Rig;
    let client: Client;
    beforeEach(async () => {
      rig = await Rig.start();
      client = rig.client(way);
      await client.admin.createTopic({ name: "t", partitions: 1 });
    });
    afterEach(() => rig.stop());

    async function shrinkTo(bytes: number): Promise<void> {
      const change = { name: "max.message.bytes", operation: "set", value: String(bytes) } as const;
      await rig.client(way).admin.alterConfigs({ type: "topic", name: "t" }, [change]);
    }
    async function valuesOf(): Promise<(string | null)[]> {
      const values: (string | null)[] = [];
      const consumer = rig.client(way).consumer({ topics: ["t"], untilEnd: true });
      for await (const { value } of consumer) values.push(text(value));
      return values;
    }

    for (const compression of ["none", "gzip", "lz4"] as const) {
      test(`gets its ${compression} batches split: every record once, in order, where it was said to lie`, async () => {
        const producer = client.producer({ compression, batchBytesMax: 4_000 });
        await producer.send({ topic: "t", value: "before" });
        await shrinkTo(300);
        // Bytes that no codec makes smaller; several full batches are under way when the first is refused.
        let state = 7;
        const noise = () => {
          let value = "";
          while (value.length < 60) {
            state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
            value += state.toString(36);
          }
          return value;
        };
        const values = Array.from({ length: 400 }, (_, index) => `${index}:${noise()}`);
        const deliveries = await Promise.all(
          values.map((value) => producer.send({ topic: "t", value, headers: { h: "1" } })),
        );
        expect(deliveries.map(({ offset }) => offset)).toEqual(values.map((_, index) => index + 1));
        expect(await valuesOf()).toEqual(["before", ...values]);
        expect(producer.stats).toMatchObject({ records: 401, delivered: 401, failed: 0 });
      });
    }

    test("fails for one record that is too large alone, and for no other of its batch", async () => {
      const producer = client.producer();
      await producer.send({ topic: "t", value: "before" });
      await shrinkTo(300);
      const large = new Set([3, 17, 59]);
      const values = numbers(60).map((value, index) => value.padEnd(large.has(index) ? 400 : 20));
      const results = await Promise.allSettled(
        values.map((value) => producer.send({ topic: "t", value })),
      );
      const failed = results.flatMap((result, index) => {
        return result.status === "rejected" ? [[index, result.reason.code]] : [];
      });
      expect(failed).toEqual([...large].map((index) => [index, "message_too_large"]));
      const kept = values.filter((_, index) => !large.has(index));
      expect(await valuesOf()).toEqual(["before", ...kept]);
    });

    test("lets flush wait until all parts are there, and tell of the one that is not", async () => {
      const producer = client.producer({ idempotent: false, acks: 1 });
      await producer.send({ topic: "t", value: "before" });
      await shrinkTo(300);
      for (const value of numbers(40))
        void producer.enqueue({ topic: "t", value: value.padEnd(50) });
      await producer.flush();
      expect((await valuesOf()).length).toBe(41);
      await shrinkTo(200);
      for (const value of numbers(9))
        void producer.enqueue({ topic: "t", value: value.padEnd(60) });
      void producer.enqueue({ topic: "t", value: "x".repeat(250) });
      expect((await failureOf(producer.flush())).code).toBe("message_too_large");
      expect((await valuesOf()).length).toBe(50);
    });
  });
}

describe("what a broker sees of a split", () => {
  let rig: ScriptedRig;
  beforeEach(async () => {
    rig = await startRig();
    rig.cluster.addTopic("t", 1);
  });
  afterEach(() => rig.stop());
  const log = () => rig.cluster.topics.get("t")!.partitions[0]!;
  const values = () =>
    log()
      .records(hostCompression)
      .map(({ value }) => text(value));

  test("is halves, where the topic's settings say nothing new, under the sequences of the whole", async () => {
    const producer = rig.client.producer({ batchBytesMax: 300 });
    await producer.send({ topic: "t", value: "before" });
    rig.brokers[0]!.once(Produce, refuseAll(18));
    await Promise.all(numbers(60).map((value) => producer.send({ topic: "t", value })));
    expect(values()).toEqual(["before", ...numbers(60)]);
    const batches = log().batches.map(({ bytes }) => ({
      id: producerIdAt(bytes, 0),
      sequence: baseSequenceAt(bytes, 0),
      count: recordCountAt(bytes, 0),
    }));
    expect(new Set(batches.map(({ id }) => id)).size).toBe(1);
    let sequence = 0;
    for (const batch of batches) {
      expect(batch.sequence).toBe(sequence);
      sequence += batch.count;
    }
    const [, left, right] = batches;
    expect(Math.abs(left!.count - right!.count)).toBeLessThan(5);
    expect(left!.count + right!.count).toBeGreaterThan(20);
    expect(rig.brokers[0]!.count(InitProducerId)).toBe(1);
  });

  test("is nothing, where the batch may lie there already: parts would double it", async () => {
    const producer = rig.client.producer();
    await producer.send({ topic: "t", value: "before" });
    rig.brokers[0]!.once(Produce, (call) => {
      call.model();
      return RESET;
    });
    rig.brokers[0]!.once(Produce, refuseAll(10));
    const sent = numbers(5).map((value) => failureOf(producer.send({ topic: "t", value })));
    for (const failure of await Promise.all(sent)) expect(failure.code).toBe("message_too_large");
    expect(values()).toEqual(["before", ...numbers(5)]);
  });
});
