// Readers of what is committed: aborted batches and markers never surface, ends and lag are those of the last stable offset.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client, TransactionalProducer } from "../../../src/client/mod.ts";
import { until } from "../../support/waiting.ts";
import { ways } from "../ports.ts";
import { text } from "../rig.ts";
import { type Rig, read, startRig, valuesOf } from "./rig.ts";

for (const way of ways) {
  describe(`over ${way}`, () => {
    let rig: Rig;
    let client: Client;
    let producer: TransactionalProducer;
    beforeEach(async () => {
      rig = await startRig(2);
      client = rig.client(way);
      await client.admin.createTopic({ name: "t", partitions: 1 });
      producer = client.producer({ transactionalId: "one" });
    });
    afterEach(() => rig.stop());

    const send = (value: string) => producer.send({ topic: "t", partition: 0, value });
    const run = async (isCommit: boolean, ...values: string[]) => {
      await producer.begin();
      for (const value of values) await send(value);
      await (isCommit ? producer.commit() : producer.abort());
    };

    test("markers are for nobody, and their offsets are passed", async () => {
      await run(true, "a");
      await run(false, "b");
      await run(true, "c");
      const own = { topics: ["t"], isolation: "read_committed" } as const;
      const records = await read(client, own);
      expect(records.map(({ offset, value }) => [offset, text(value)])).toEqual([
        [0, "a"],
        [4, "c"],
      ]);
      const all = await read(client, { topics: ["t"] });
      expect(all.map(({ offset }) => offset)).toEqual([0, 2, 4]);
    });

    test("an answer of nothing but aborted batches and markers leads on", async () => {
      for (let round = 0; round < 30; round++) await run(false, `no ${round}`);
      await run(true, "yes");
      // Every answer holds a batch or two.
      const small = { partitionBytesMax: 120, bytesMax: 120, topics: ["t"] };
      const records = await read(client, { ...small, isolation: "read_committed" });
      expect(records.map(({ value }) => text(value))).toEqual(["yes"]);
      for (let round = 0; round < 5; round++) await run(false, `end ${round}`);
      expect(await valuesOf(client, "t")).toEqual(["yes"]);
    });

    test("begun in the middle of an aborted transaction, nothing of it is shown", async () => {
      await run(false, "a", "b", "c");
      await run(true, "d");
      for (const offset of [0, 1, 2, 3, 4]) {
        const from = { offset };
        const own = { topics: ["t"], from, isolation: "read_committed" } as const;
        expect((await read(client, own)).map(({ value }) => text(value))).toEqual(["d"]);
      }
    });

    test("ends and lag are those of the last stable offset", async () => {
      await run(true, "a");
      await producer.begin();
      await send("b");
      await client.producer().send({ topic: "t", partition: 0, value: "c" });
      const ends = async (isolation: "read_committed" | "read_uncommitted") => {
        const query = { topic: "t", partition: 0, at: "latest" } as const;
        const [found] = await client.admin.offsets([query], { isolation });
        return found!.ok ? found!.value.offset : null;
      };
      expect([await ends("read_committed"), await ends("read_uncommitted")]).toEqual([2, 4]);
      expect(await valuesOf(client, "t")).toEqual(["a"]);
      expect(await valuesOf(client, "t", "read_uncommitted")).toEqual(["a", "b", "c"]);
      for (const [isolation, lag] of [
        ["read_committed", 1],
        ["read_uncommitted", 3],
      ] as const) {
        const plain = client.consumer({ topics: ["t"], isolation });
        for await (const _ of plain) {
          expect(plain.lag("t", 0)).toBe(lag);
          break;
        }
        const member = client.consumer({ group: `g-${isolation}`, topics: ["t"], isolation });
        for await (const _ of member) {
          expect(member.lag("t", 0)).toBe(lag);
          break;
        }
      }
      await producer.commit();
      expect(await valuesOf(client, "t")).toEqual(["a", "b", "c"]);
    });

    test("one that follows gets what was open once it is committed, and its lag goes to nothing", async () => {
      const ending = new AbortController();
      const consumer = client.consumer({
        topics: ["t"],
        isolation: "read_committed",
        waitMsMax: 20,
        signal: ending.signal,
      });
      const seen: (string | null)[] = [];
      const reading = (async () => {
        for await (const { value } of consumer) seen.push(text(value));
      })();
      await producer.begin();
      await send("a");
      await client.producer().send({ topic: "t", partition: 0, value: "b" });
      await until(() => consumer.positions().length > 0 && consumer.lag("t", 0) === 0);
      expect(seen).toEqual([]);
      await producer.commit();
      await until(() => seen.length === 2);
      expect(seen).toEqual(["a", "b"]);
      await until(() => consumer.lag("t", 0) === 0);
      // Behind the marker.
      expect(consumer.positions()[0]!.offset).toBe(3);
      ending.abort();
      await reading;
    });

    test("operators see transactions, their producers, and what hangs", async () => {
      const { admin } = client;
      await producer.begin();
      await send("a");
      const [described] = await admin.describeTransactions(["one"]);
      expect(described).toMatchObject({
        ok: true,
        value: { state: "Ongoing", timeoutMs: 60_000, partitions: [{ topic: "t", partition: 0 }] },
      });
      const [unknown] = await admin.describeTransactions(["two"]);
      expect(unknown).toMatchObject({ ok: false, error: { code: "transactional_id_not_found" } });
      const [listed] = await admin.listTransactions();
      expect(listed).toMatchObject({ transactionalId: "one", state: "Ongoing", coordinator: 7 });
      expect(await admin.listTransactions({ states: ["Empty"] })).toEqual([]);
      expect((await admin.listTransactions({ pattern: "o.e" })).length).toBe(1);
      expect(await admin.listTransactions({ openMs: 60_000 })).toEqual([]);
      const wrong = admin.listTransactions({ states: ["Nowhere"] });
      await expect(wrong).rejects.toMatchObject({ code: "invalid_request" });
      const place = { topic: "t", partition: 0 };
      const [producers] = await admin.describeProducers([place]);
      expect(producers).toMatchObject({ ok: true, value: [{ transactionStartOffset: 0 }] });
      // It is open, and its coordinator knows: nothing hangs.
      expect(await admin.findHangingTransactions({ idleMs: 0 })).toEqual([]);
      await expect(admin.abortTransaction({ ...place, startOffset: 5 })).rejects.toMatchObject({
        code: "transactional_id_not_found",
      });
      const ended = await admin.abortTransaction({ ...place, startOffset: 0 });
      expect(ended).toMatchObject({ ...place, transactionStartOffset: 0 });
      const [left] = await admin.describeProducers([place]);
      expect(left).toMatchObject({ ok: true, value: [{ transactionStartOffset: null }] });
      expect(await valuesOf(client, "t")).toEqual([]);
    });
  });
}
