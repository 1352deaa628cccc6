// A topic that is deleted and made anew with fewer partitions, under producers that knew the old one: nothing hangs, what was for a
// partition that is gone is placed anew in order, and what names one is refused.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/mod.ts";
import { pause } from "../support/waiting.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf, text } from "./rig.ts";

for (const way of ways) {
  describe(`over ${way}`, () => {
    let rig: Rig;
    let client: Client;
    beforeEach(async () => {
      rig = await Rig.start();
      client = rig.client(way);
      await client.admin.createTopic({ name: "t", partitions: 4 });
    });
    afterEach(() => rig.stop());
    const keys = Array.from({ length: 12 }, (_, i) => `key ${i}`);
    const remake = async (partitions: number) => {
      const { admin } = rig.client(way);
      await admin.deleteTopic("t");
      await admin.createTopic({ name: "t", partitions });
    };
    const lying = async () => {
      const found: { key: string; value: string; partition: number }[] = [];
      for await (const { key, value, partition } of rig
        .client(way)
        .consumer({ topics: ["t"], untilEnd: true })) {
        found.push({ key: text(key)!, value: text(value)!, partition });
      }
      return found;
    };

    for (const lingerMs of [0, 20]) {
      test(`records go where the new topic has room for them, in order, lingering ${lingerMs} ms`, async () => {
        const producer = client.producer({ lingerMs, batchBytesMax: 300, compression: "gzip" });
        await producer.sendAll(keys.map((key) => ({ topic: "t", key, value: "old" })));
        await remake(2);
        const headers = { source: "bar" };
        const sent = [];
        for (let i = 0; i < 5; i++) {
          for (const key of keys) {
            const record = { topic: "t", key, value: String(i), headers, timestampMs: 7 };
            sent.push(producer.send(record));
          }
        }
        void producer.enqueue({ topic: "t", key: "unwaited", value: "0" });
        await producer.flush();
        for (const { partition, offset, timestampMs } of await Promise.all(sent)) {
          expect([partition < 2, offset >= 0, timestampMs]).toEqual([true, true, 7]);
        }
        const found = await lying();
        for (const key of keys) {
          const own = found.filter((each) => each.key === key);
          expect(own.map(({ value }) => value).sort()).toEqual(["0", "1", "2", "3", "4"]);
        }
        expect(found.filter(({ key }) => key === "unwaited")).toHaveLength(1);
        const { records, delivered, failed } = producer.stats;
        expect([records, delivered, failed]).toEqual([73, 73, 0]);
        // From then on equal keys lie together again, in order.
        const later = await producer.sendAll(
          [...keys, ...keys].map((key) => ({ topic: "t", key, value: "later" })),
        );
        for (const [i] of keys.entries()) {
          expect(later[i + keys.length]!.partition).toBe(later[i]!.partition);
        }
      });
    }

    test("of partitions that are gone every key keeps its order", async () => {
      const producer = client.producer();
      await producer.sendAll(keys.map((key) => ({ topic: "t", key, value: "old" })));
      await remake(1);
      const sent = [];
      for (let i = 0; i < 8; i++) {
        for (const key of keys) sent.push(producer.send({ topic: "t", key, value: String(i) }));
        await pause(1);
      }
      await Promise.all(sent);
      const found = await lying();
      for (const key of keys) {
        const own = found.filter((each) => each.key === key).map(({ value }) => value);
        expect(own).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
      }
    });

    test("who names a partition that is gone is told at once, and so is a flush", async () => {
      const producer = client.producer();
      await producer.send({ topic: "t", partition: 3, value: "old" });
      await remake(1);
      const startMs = Date.now();
      void producer.enqueue({ topic: "t", partition: 3, value: "unwaited" });
      const failure = await failureOf(producer.send({ topic: "t", partition: 3, value: "new" }));
      expect(failure.code).toBe("unknown_topic_or_partition");
      expect(failure.message).toContain('Topic "t" has the partitions 0 to 0: found 3');
      expect((await failureOf(producer.flush())).code).toBe("unknown_topic_or_partition");
      expect(Date.now() - startMs).toBeLessThan(3_000);
      expect(producer.stats.failed).toBe(2);
    });

    test("a transaction goes on in the new topic", async () => {
      const send = (value: string) =>
        client.transaction(async (tx) => {
          await tx.sendAll(keys.map((key) => ({ topic: "t", key, value })));
        });
      await send("old");
      await remake(1);
      await send("new");
      expect((await lying()).map(({ value }) => value)).toEqual(keys.map(() => "new"));
    });
  });
}
