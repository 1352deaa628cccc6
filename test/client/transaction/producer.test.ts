// Producers of transactions on a real broker: either way to it, either protocol.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Client, ClientError } from "../../../src/client/mod.ts";
import { pause, until } from "../../support/waiting.ts";
import { failureOf } from "../rig.ts";
import { cases, type Rig, read, startRig, valuesOf } from "./rig.ts";

for (const { way, level } of cases) {
  describe(`over ${way}, transaction.version ${level}`, () => {
    let rig: Rig;
    let client: Client;
    beforeEach(async () => {
      rig = await startRig(level, {
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 20,
      });
      client = rig.client(way, { requestTimeoutMs: 300 });
      await client.admin.createTopic({ name: "t", partitions: 2 });
    });
    afterEach(() => rig.stop());

    test("what is committed is seen whole, what is aborted never", async () => {
      const producer = client.producer({ transactionalId: "one" });
      expect(producer.phase).toBe("new");
      for (const round of [0, 1, 2, 3]) {
        await producer.begin();
        expect(producer.phase).toBe("open");
        const deliveries = await producer.sendAll(
          ["a", "b", "c"].map((value, at) => {
            return { topic: "t", partition: at % 2, value: `${value}${round}` };
          }),
        );
        expect(deliveries.every(({ offset }) => offset >= 0)).toBe(true);
        const before = await valuesOf(client, "t");
        expect(before.filter((value) => value!.endsWith(String(round)))).toEqual([]);
        await (round % 2 === 0 ? producer.commit() : producer.abort());
        expect(producer.phase).toBe("ready");
      }
      expect((await valuesOf(client, "t")).sort()).toEqual(["a0", "a2", "b0", "b2", "c0", "c2"]);
      expect((await valuesOf(client, "t", "read_uncommitted")).length).toBe(12);
    });

    test("records and offsets of a group stand together", async () => {
      const producer = client.producer({ transactionalId: "one" });
      const offsetsOf = async () =>
        (await client.admin.listGroupOffsets("g")).map(({ offset, metadata }) => [
          offset,
          metadata,
        ]);
      await producer.begin();
      void producer.send({ topic: "t", partition: 0, value: "a" });
      await producer.sendOffsets([{ topic: "t", partition: 1, offset: 7, metadata: "m" }], "g");
      await producer.abort();
      expect([await valuesOf(client, "t"), await offsetsOf()]).toEqual([[], []]);
      await producer.begin();
      void producer.send({ topic: "t", partition: 0, value: "b" });
      void producer.sendOffsets([{ topic: "t", partition: 1, offset: 8, metadata: "n" }], "g");
      await producer.commit();
      expect([await valuesOf(client, "t"), await offsetsOf()]).toEqual([["b"], [[8, "n"]]]);
      // Offsets alone make a transaction, too.
      await producer.begin();
      await producer.sendOffsets([{ topic: "t", partition: 1, offset: 9 }], "g");
      await producer.commit();
      expect(await offsetsOf()).toEqual([[9, ""]]);
    });

    test("a second producer of the id fences the first, and aborts what it left open", async () => {
      const first = client.producer({ transactionalId: "one" });
      await first.begin();
      await first.send({ topic: "t", partition: 0, value: "first" });
      const second = client.producer({ transactionalId: "one" });
      await second.begin();
      await second.send({ topic: "t", partition: 0, value: "second" });
      await second.commit();
      const late = await failureOf(first.commit());
      expect(late).toMatchObject({ code: "producer_fenced", remedy: "close", retriable: false });
      expect(late.message).toContain("Close this producer");
      expect(first.phase).toBe("closed");
      for (const call of [() => first.begin(), () => first.abort(), () => first.init()]) {
        expect(await failureOf(call())).toMatchObject({ code: "producer_fenced", remedy: "close" });
      }
      const sent = await failureOf(first.send({ topic: "t", value: "no" }));
      expect(sent).toMatchObject({ code: "producer_fenced" });
      expect(await valuesOf(client, "t")).toEqual(["second"]);
      await first.close();
    });

    test("one that is fenced while it sends hears of it, and so does its commit", async () => {
      const first = client.producer({ transactionalId: "one" });
      await first.begin();
      await first.send({ topic: "t", partition: 0, value: "first" });
      await client.producer({ transactionalId: "one" }).init();
      const refused = await failureOf(first.send({ topic: "t", partition: 0, value: "late" }));
      expect(refused.code).toBe("invalid_producer_epoch");
      const spoiled = (await failureOf(first.commit())) as ClientError;
      expect(spoiled).toMatchObject({ code: "invalid_producer_epoch", remedy: "abort" });
      expect(await failureOf(first.abort())).toMatchObject({
        code: "producer_fenced",
        remedy: "close",
      });
      expect(await valuesOf(client, "t")).toEqual([]);
    });

    test("what could not be delivered keeps the transaction from being committed", async () => {
      await client.admin.createTopic({
        name: "small",
        partitions: 1,
        configs: { "max.message.bytes": "500" },
      });
      const producer = client.producer({ transactionalId: "one" });
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "a" });
      // Nobody waits for it.
      void producer.send({ topic: "small", value: "x".repeat(5_000) });
      const spoiled = await failureOf(producer.commit());
      expect(spoiled).toMatchObject({ code: "message_too_large", remedy: "abort" });
      expect(spoiled.message).toContain("Abort the transaction");
      expect(producer.phase).toBe("open");
      expect(await failureOf(producer.send({ topic: "t", value: "b" }))).toMatchObject({
        remedy: "abort",
      });
      expect(await failureOf(producer.commit())).toMatchObject({ remedy: "abort" });
      await producer.abort();
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "c" });
      await producer.send({ topic: "small", value: "y" });
      await producer.commit();
      expect(await valuesOf(client, "t")).toEqual(["c"]);
      expect(await valuesOf(client, "small")).toEqual(["y"]);
    });

    test("a record that cannot be spoils it as well; one given up by its signal does not", async () => {
      const producer = client.producer({ transactionalId: "one" });
      await producer.begin();
      const gone = producer.send(
        { topic: "none yet", value: "a" },
        { signal: AbortSignal.abort() },
      );
      expect(await failureOf(gone)).toMatchObject({ code: "aborted" });
      await producer.send({ topic: "t", partition: 0, value: "a" });
      await producer.commit();
      await producer.begin();
      void producer.enqueue({ topic: "t", partition: 9, value: "a" });
      expect(await failureOf(producer.commit())).toMatchObject({
        code: "unknown_topic_or_partition",
        remedy: "abort",
      });
      await producer.abort();
      expect(await valuesOf(client, "t")).toEqual(["a"]);
    });

    test("calls that do not fit where it stands are refused, and change nothing", async () => {
      const producer = client.producer({ transactionalId: "one" });
      const misplaced = { code: "invalid_txn_state", retriable: false, remedy: null };
      expect(await failureOf(producer.send({ topic: "t", value: "a" }))).toMatchObject(misplaced);
      expect(await failureOf(producer.commit())).toMatchObject(misplaced);
      expect(await failureOf(producer.abort())).toMatchObject(misplaced);
      const offsets = [{ topic: "t", partition: 0, offset: 1 }];
      expect(await failureOf(producer.sendOffsets(offsets, "g"))).toMatchObject(misplaced);
      await producer.begin();
      expect(await failureOf(producer.begin())).toMatchObject(misplaced);
      void producer.send({ topic: "t", partition: 0, value: "a" });
      const committing = producer.commit();
      expect(producer.phase).toBe("open");
      expect(await failureOf(producer.commit())).toMatchObject(misplaced);
      await committing;
      expect(await failureOf(producer.send({ topic: "t", value: "b" }))).toMatchObject(misplaced);
      expect(await valuesOf(client, "t")).toEqual(["a"]);
    });

    test("an empty transaction is free; closing aborts one that is open", async () => {
      const producer = client.producer({ transactionalId: "one" });
      await producer.begin();
      await producer.commit();
      await producer.begin();
      await producer.abort();
      expect(rig.faults.calls.filter((name) => name === "endTxn")).toEqual([]);
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "a" });
      await producer.close();
      expect(await failureOf(producer.begin())).toMatchObject({ code: "closed" });
      await client.producer().send({ topic: "t", partition: 0, value: "b" });
      expect(await valuesOf(client, "t")).toEqual(["b"]);
    });

    test("what passes is tried again, and no longer than it may take", async () => {
      const load = 14;
      const notCoordinator = 16;
      const concurrent = 51;
      const seen = new Map<string, number>();
      rig.faults.refuse = (name) => {
        if (name === "findCoordinator") return null;
        const count = seen.get(name) ?? 0;
        seen.set(name, count + 1);
        return [load, notCoordinator, concurrent][count] ?? null;
      };
      const producer = client.producer({ transactionalId: "one" });
      await producer.begin();
      void producer.send({ topic: "t", partition: 0, value: "a" });
      await producer.sendOffsets([{ topic: "t", partition: 1, offset: 3 }], "g");
      await producer.commit();
      const asked = ["initProducerId", "txnOffsetCommit", "endTxn"];
      if (level !== 2) asked.push("addPartitionsToTxn", "addOffsetsToTxn");
      for (const name of asked) expect([name, seen.get(name)]).toEqual([name, 4]);
      expect(await valuesOf(client, "t")).toEqual(["a"]);
      rig.faults.refuse = (name) => (name === "endTxn" ? concurrent : null);
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "b" });
      const startMs = performance.now();
      expect(await failureOf(producer.commit({ timeoutMs: 50 }))).toMatchObject({
        remedy: "retry",
      });
      expect(performance.now() - startMs).toBeLessThan(2_000);
      rig.faults.refuse = () => null;
      await producer.commit();
      expect(await valuesOf(client, "t")).toEqual(["a", "b"]);
    });

    test("refusals that an abort mends, and those that end the producer, are told apart", async () => {
      const cases = [
        ["txnOffsetCommit", 30, "group_authorization_failed", "abort"],
        ["txnOffsetCommit", 82, "fenced_instance_id", "abort"],
        ["txnOffsetCommit", 120, "transaction_abortable", "abort"],
        ["txnOffsetCommit", 53, "transactional_id_authorization_failed", "close"],
        ["txnOffsetCommit", 47, "producer_fenced", "close"],
        ["endTxn", 120, "transaction_abortable", "abort"],
        ["endTxn", 90, "producer_fenced", "close"],
        ["endTxn", 48, "invalid_txn_state", "close"],
        ["endTxn", 49, "invalid_producer_id_mapping", "close"],
        ["initProducerId", 53, "transactional_id_authorization_failed", "close"],
      ] as const;
      for (const [at, [method, wireCode, code, remedy]] of cases.entries()) {
        const producer = client.producer({ transactionalId: `id-${at}` });
        rig.faults.refuse = (name) => (name === method ? wireCode : null);
        const run = async () => {
          await producer.begin();
          await producer.send({ topic: "t", partition: 0, value: "no" });
          await producer.sendOffsets([{ topic: "t", partition: 1, offset: 3 }], "g");
          await producer.commit();
        };
        expect(await failureOf(run())).toMatchObject({ code, remedy });
        rig.faults.refuse = () => null;
        if (remedy === "close") expect(producer.phase).toBe("closed");
        else await producer.abort();
        await client.producer({ transactionalId: `id-${at}` }).init();
      }
      expect(await valuesOf(client, "t")).toEqual([]);
    });

    test("an end whose answer is lost is asked for again, and done once", async () => {
      const producer = client.producer({ transactionalId: "one" });
      for (const [at, fault] of (["break_after", "break_before", "no_answer"] as const).entries()) {
        for (const isCommit of [true, false]) {
          await producer.begin();
          await producer.send({ topic: "t", partition: 0, value: `${at}${isCommit}` });
          let left = 1;
          rig.faults.call = (name) => (name === "endTxn" && left-- > 0 ? fault : null);
          await (isCommit ? producer.commit() : producer.abort());
          expect(left).toBeLessThan(0);
          expect(producer.phase).toBe("ready");
        }
      }
      expect(await valuesOf(client, "t")).toEqual(["0true", "1true", "2true"]);
      const markers = await read(client, { topics: ["t"], isolation: "read_uncommitted" });
      // A record and one marker each.
      expect(markers.map(({ offset }) => offset)).toEqual([0, 2, 4, 6, 8, 10]);
    });

    test("a commit that nobody answers is not known, and found out by the next call", async () => {
      const producer = client.producer({ transactionalId: "one" });
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "a" });
      rig.faults.call = (name) => (name === "endTxn" ? "break_after" : null);
      const unknown = await failureOf(producer.commit({ timeoutMs: 60 }));
      expect(unknown).toMatchObject({ remedy: "retry", retriable: true });
      expect(unknown.message).toContain("commit() again");
      expect(producer.phase).toBe("committing");
      expect(await failureOf(producer.abort())).toMatchObject({ code: "invalid_txn_state" });
      expect(await failureOf(producer.begin())).toMatchObject({ code: "invalid_txn_state" });
      rig.faults.call = () => null;
      await producer.commit();
      expect(await valuesOf(client, "t")).toEqual(["a"]);
      await producer.begin();
      await producer.abort();
    });

    test("a coordinator that hangs is given up after the time-out, and no sooner blocks an end", async () => {
      const producer = client.producer({ transactionalId: "one" });
      rig.faults.call = (name) => (name === "initProducerId" ? "no_answer" : null);
      const startMs = performance.now();
      expect(await failureOf(producer.begin({ timeoutMs: 80 }))).toMatchObject({
        code: "request_timed_out",
      });
      expect(performance.now() - startMs).toBeLessThan(1_500);
      rig.faults.call = () => null;
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "a" });
      rig.faults.call = (name) => (name === "endTxn" ? "no_answer" : null);
      expect(await failureOf(producer.abort({ timeoutMs: 50 }))).toMatchObject({ remedy: "retry" });
      expect(producer.phase).toBe("aborting");
      rig.faults.call = () => null;
      await producer.abort();
      expect(await valuesOf(client, "t")).toEqual([]);
    });

    test("a commit whose records are not answered is given up, and goes on or is aborted", async () => {
      const producer = client.producer({ transactionalId: "one" });
      for (const isAborted of [true, false]) {
        await producer.begin();
        rig.faults.append = () => "break_before";
        void producer.send({ topic: "t", partition: 0, value: `${isAborted}` });
        const waiting = await failureOf(producer.commit({ timeoutMs: 60 }));
        expect(waiting).toMatchObject({ code: "request_timed_out", remedy: "retry" });
        expect(producer.phase).toBe("committing");
        rig.faults.append = () => null;
        await (isAborted ? producer.abort() : producer.commit());
      }
      expect(await valuesOf(client, "t")).toEqual(["false"]);
    });

    test("an abort does not wait for records longer than it may, and closing neither", async () => {
      const producer = client.producer({ transactionalId: "one" });
      await producer.begin();
      await producer.send({ topic: "t", partition: 1, value: "a" });
      rig.faults.append = () => "no_answer";
      void producer.send({ topic: "t", partition: 0, value: "b" });
      await until(() => rig.faults.appends > 1);
      expect(await failureOf(producer.abort({ timeoutMs: 20 }))).toMatchObject({
        remedy: "retry",
      });
      rig.faults.append = () => null;
      await producer.abort();
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "c" });
      const committing = producer.commit();
      await Promise.resolve();
      await producer.close();
      await committing;
      expect(await valuesOf(client, "t")).toEqual(["c"]);
    });

    test("a transaction that takes longer than its time-out is fenced by the broker", async () => {
      const producer = client.producer({ transactionalId: "one", transactionTimeoutMs: 400 });
      await producer.begin();
      await producer.send({ topic: "t", partition: 0, value: "a" });
      await until(async () => {
        const [own] = await client.admin.describeTransactions(["one"]);
        return own!.ok && own!.value.state.startsWith("Complete");
      });
      const late = await failureOf(producer.commit());
      // With the second protocol the epoch that was asked with is the last one, and its transaction over.
      const code = level === 2 ? "invalid_txn_state" : "producer_fenced";
      expect(late).toMatchObject({ code, remedy: "close" });
      expect(late.message).toContain("400 ms (transactionTimeoutMs)");
      expect(await valuesOf(client, "t")).toEqual([]);
    });

    test("a time-out that the broker does not allow, and options that cannot be, are refused", async () => {
      const producer = client.producer({ transactionalId: "one", transactionTimeoutMs: 1e9 });
      expect(await failureOf(producer.begin())).toMatchObject({
        code: "invalid_transaction_timeout",
        remedy: "close",
      });
      expect(() => client.producer({ transactionalId: "" })).toThrow(TypeError);
      expect(() => client.producer({ transactionalId: "a", transactionTimeoutMs: 0 })).toThrow(
        TypeError,
      );
      const own = { transactionalId: "a", acks: 1 };
      expect(() => client.producer(own as never)).toThrow(ClientError);
    });

    test("batches are retried within a transaction, and none is doubled", async () => {
      let count = 0;
      const faults = ["break_after", "not_leader", "break_before", "refused_after"] as const;
      rig.faults.append = () => (++count % 3 === 0 ? faults[count % faults.length]! : null);
      const producer = client.producer({ transactionalId: "one" });
      const wanted: string[] = [];
      for (let round = 0; round < 6; round++) {
        await producer.begin();
        for (let each = 0; each < 20; each++) {
          void producer.send({ topic: "t", partition: each % 2, value: `${round}-${each}` });
          if (each % 5 === 4) await pause(1);
          if (round % 3 !== 1) wanted.push(`${round}-${each}`);
        }
        await (round % 3 === 1 ? producer.abort() : producer.commit());
      }
      rig.faults.append = () => null;
      expect((await valuesOf(client, "t")).sort()).toEqual(wanted.sort());
    });
  });
}
