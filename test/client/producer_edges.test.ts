// Where a producer hung, came late, or lost what it could have sent: each was a bug, over both ways.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/mod.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf } from "./rig.ts";

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.stop());

for (const way of ways) {
  describe(`a producer over ${way}`, () => {
    let client: Client;
    beforeEach(async () => {
      client = rig.client(way, { requestTimeoutMs: 5_000 });
      await client.admin.createTopic({ name: "t", partitions: 1 });
    });

    test("that gives up on closing lets nobody wait who had no room", async () => {
      const producer = client.producer({ bufferBytesMax: 300 });
      await producer.send({ topic: "t", value: "first" });
      rig.faults.append = () => "no_answer";
      const sends = Array.from({ length: 6 }, () => {
        return failureOf(producer.send({ topic: "t", value: "x".repeat(100) }));
      });
      await new Promise((resolve) => setTimeout(resolve, 5));
      const closed = failureOf(producer.close(10));
      expect((await closed).message).toMatch(/within 10 ms of closing/);
      for (const send of sends) expect((await send).code).toMatch(/^(closed|buffer_full)$/);
    });

    test("gives a record up when its time is over, not when the request's is", async () => {
      const producer = client.producer({ deliveryTimeoutMs: 100 });
      await producer.send({ topic: "t", value: "a" });
      rig.faults.append = () => "no_answer";
      const startMs = performance.now();
      const failure = await failureOf(producer.send({ topic: "t", value: "b" }));
      expect(failure.code).toBe("request_timed_out");
      expect(performance.now() - startMs).toBeLessThan(1_500);
    });

    test("sends before it has lingered when there is no room for more", async () => {
      const producer = client.producer({ lingerMs: 60_000, bufferBytesMax: 300 });
      for (let i = 0; i < 30; i++) {
        const room = producer.enqueue({ topic: "t", value: "y".repeat(100) });
        if (room !== null) await room;
      }
      await producer.flush();
      expect(producer.stats).toMatchObject({ delivered: 30, failed: 0 });
    });

    test("learns from a refusal that the topic takes less, and that it has grown", async () => {
      const producer = client.producer();
      await producer.send({ topic: "t", value: "a" });
      const name = "max.message.bytes";
      const set = { name, operation: "set", value: "1000" } as const;
      await rig.client(way).admin.alterConfigs({ type: "topic", name: "t" }, [set]);
      const many = () =>
        producer.sendAll(Array.from({ length: 60 }, () => ({ topic: "t", value: "y".repeat(50) })));
      expect((await many()).length).toBe(60);
      expect((await many()).length).toBe(60);
      await rig.client(way).admin.createPartitions("t", 2);
      const { partition } = await producer.send({ topic: "t", partition: 1, value: "b" });
      expect(partition).toBe(1);
      const failure = await failureOf(producer.send({ topic: "t", partition: 2, value: "c" }));
      expect(failure.message).toMatch(/partitions 0 to 1: found 2/);
    });

    test("goes on in a topic that was made again, with fewer partitions or by itself", async () => {
      await client.admin.createPartitions("t", 4);
      const producer = client.producer({ partitioner: "round_robin", deliveryTimeoutMs: 100 });
      for (let i = 0; i < 8; i++) await producer.send({ topic: "t", value: "a" });
      await client.admin.deleteTopic("t");
      await client.admin.createTopic({ name: "t", partitions: 1 });
      let failed = 0;
      for (let i = 0; i < 12; i++)
        await producer.send({ topic: "t", value: "b" }).catch(() => failed++);
      expect(failed).toBeLessThan(5);
      expect(await producer.send({ topic: "t", value: "c" })).toMatchObject({ partition: 0 });
    });

    test("counts headers among what waits for room", async () => {
      const producer = client.producer({ bufferBytesMax: 5_000 });
      await producer.send({ topic: "t", value: "a" });
      rig.faults.append = () => "no_answer";
      const record = { topic: "t", value: "a", headers: { h: "x".repeat(4_000) } };
      const sends = Array.from({ length: 6 }, () => failureOf(producer.send(record)));
      expect((await sends[5]!).code).toBe("buffer_full");
      await producer.close(0).catch(() => {});
      await Promise.all(sends);
    });

    test("sends nothing of sendAll any more that had no place when its signal fired", async () => {
      const producer = client.producer({ bufferBytesMax: 100 });
      await producer.send({ topic: "t", value: "a" });
      rig.faults.append = () => "slow";
      const controller = new AbortController();
      const records = Array.from({ length: 3 }, () => ({ topic: "t", value: "y".repeat(100) }));
      const all = failureOf(producer.sendAll(records, { signal: controller.signal }));
      controller.abort();
      expect((await all).code).toBe("aborted");
      await producer.flush();
      expect(producer.stats.records).toBe(2);
    });
  });
}
