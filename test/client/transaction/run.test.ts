// `Client.transaction` on a real broker: read-process-write in a few lines, whichever way and whichever protocol.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import type {
  Client,
  ClientError,
  GroupConsumer,
  GroupConsumerOptions,
} from "../../../src/client/mod.ts";
import { until } from "../../support/waiting.ts";
import { failureOf, text } from "../rig.ts";
import { cases, type Rig, startRig, valuesOf } from "./rig.ts";

for (const { way, level } of cases) {
  describe(`over ${way}, transaction.version ${level}`, () => {
    let rig: Rig;
    let client: Client;
    beforeEach(async () => {
      rig = await startRig(level, {
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 20,
        "group.consumer.min.heartbeat.interval.ms": 50,
        "group.consumer.heartbeat.interval.ms": 50,
      });
      client = rig.client(way, { requestTimeoutMs: 300 });
      for (const name of ["in", "out"]) await client.admin.createTopic({ name, partitions: 2 });
    });
    afterEach(() => rig.stop());

    const member = (options: Partial<GroupConsumerOptions> = {}): GroupConsumer =>
      client.consumer({
        group: "g",
        topics: ["in"],
        autoCommit: false,
        isolation: "read_committed",
        waitMsMax: 20,
        ...options,
      });
    const fill = (count: number, from = 0) =>
      client.producer({ batchBytesMax: 150 }).sendAll(
        Array.from({ length: count }, (_, at) => {
          return { topic: "in", partition: (from + at) % 2, value: String(from + at) };
        }),
      );
    const committed = async () =>
      (await client.admin.listGroupOffsets("g")).reduce((sum, { offset }) => sum + offset!, 0);
    const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at)).sort();

    test("commits what the body sent, and gives what it gave", async () => {
      const given = await client.transaction(async (tx) => {
        void tx.send({ topic: "out", partition: 0, value: "a" });
        void tx.sendAll([{ topic: "out", partition: 1, value: "b" }]);
        void tx.enqueue({ topic: "out", partition: 1, value: "c" });
        void tx.commitOffsets("h", [{ topic: "in", partition: 0, offset: 5 }]);
        expect(tx.transactionalId).toStartWith("millrace-");
        return 42;
      });
      expect(given).toBe(42);
      expect((await valuesOf(client, "out")).sort()).toEqual(["a", "b", "c"]);
      expect((await client.admin.listGroupOffsets("h"))[0]!.offset).toBe(5);
    });

    test("what cannot be sent or committed keeps the transaction from being committed, and is said", async () => {
      const place = { topic: "in", partition: 0 };
      // biome-ignore lint/suspicious/noExplicitAny: what callers without types may do
      const wrongs: [(tx: any) => void, RegExp][] = [
        [(tx) => void tx.send(null), /must be an object with a topic/],
        [(tx) => void tx.sendAll(undefined), /wants a list of records/],
        [(tx) => void tx.sendAll([null]), /must be an object with a topic/],
        [(tx) => void tx.enqueue(undefined), /must be an object with a topic/],
        [(tx) => void tx.commitOffsets("h", [place]), /whole number from 0: found undefined/],
        [(tx) => void tx.commitOffsets("h", [{ ...place, offset: -5 }]), /found -5 for in-0/],
        [(tx) => void tx.commitOffsets("h", [null]), /has a topic and a partition/],
        [(tx) => void tx.commitOffsets("h", 5), /list of \{ topic, partition, offset \}: found 5/],
        [(tx) => void tx.commitOffsets(5, []), /for a group: its name.*found 5/],
      ];
      for (const [wrong, said] of wrongs) {
        const failure = await failureOf(
          client.transaction((tx) => {
            void tx.send({ topic: "out", value: "never" });
            wrong(tx);
          }),
        );
        expect(failure.message).toMatch(said);
        expect((failure as ClientError).remedy).toBe("abort");
      }
      expect(await valuesOf(client, "out")).toEqual([]);
      expect(await client.admin.listGroupOffsets("h")).toEqual([]);
      const none = client.transaction(null as never);
      expect((await none.catch((error: unknown) => error)) as Error).toBeInstanceOf(TypeError);
      for (const transactionTimeoutMs of [2.5, 1e12]) {
        const late = client.transaction(() => {}, { transactionTimeoutMs });
        expect(String(await late.catch((error: unknown) => error))).toContain(
          "TypeError: transactionTimeoutMs must be whole milliseconds",
        );
      }
    });

    test("what is awaited in the body says what is to be done, too", async () => {
      const transactionalId = "late";
      const failures = [
        client.transaction(async (tx) => {
          await tx.send({ topic: "out", value: 5 as never });
        }),
        client.transaction(async (tx) => {
          await tx.send({ topic: "out", value: "x".repeat(2_000_000) });
        }),
        client.transaction(
          async (tx) => {
            await tx.send({ topic: "out", partition: 0, value: "never" });
            await until(async () => {
              const [found] = await client.admin.describeTransactions([transactionalId]);
              return found!.ok && found!.value.state === "CompleteAbort";
            });
            await tx.send({ topic: "out", partition: 0, value: "never" });
          },
          { transactionalId, transactionTimeoutMs: 100 },
        ),
      ].map(failureOf);
      for (const failure of await Promise.all(failures)) {
        expect((failure as ClientError).remedy).toMatch(/^(abort|close)$/);
      }
      expect(await valuesOf(client, "out")).toEqual([]);
    });

    test("each has the time-out it asks for, whatever the one before had", async () => {
      const timeouts = async (id: string) => {
        const [found] = await client.admin.describeTransactions([id]);
        return found!.ok ? found!.value.timeoutMs : found!.error.code;
      };
      for (const transactionalId of [undefined, "named"]) {
        const named = transactionalId === undefined ? {} : { transactionalId };
        for (const transactionTimeoutMs of [5_000, 30_000, undefined, 5_000]) {
          const own = transactionTimeoutMs === undefined ? {} : { transactionTimeoutMs };
          await client.transaction(
            async (tx) => {
              await tx.send({ topic: "out", value: "x" });
              expect(await timeouts(tx.transactionalId)).toBe(transactionTimeoutMs ?? 60_000);
            },
            { ...named, ...own },
          );
        }
      }
      expect(await valuesOf(client, "out")).toHaveLength(8);
    });

    test("a body that throws is aborted, and its error rethrown as it is", async () => {
      const wrong = new Error("as it is");
      let kept: unknown;
      const failure = await failureOf(
        client.transaction(
          async (tx) => {
            kept = tx;
            await tx.send({ topic: "out", partition: 0, value: "a" });
            await tx.commitOffsets("h", [{ topic: "in", partition: 0, offset: 5 }]);
            throw wrong;
          },
          { transactionalId: "one" },
        ),
      );
      expect(failure).toBe(wrong);
      const send = (kept as { send(record: unknown): Promise<unknown> }).send.bind(kept);
      await client.transaction(
        async (tx) => {
          await tx.send({ topic: "out", partition: 0, value: "b" });
          // What an earlier body kept does not get into this one.
          const late = await failureOf(send({ topic: "out", partition: 0, value: "late" }));
          expect(late.code).toBe("invalid_txn_state");
        },
        { transactionalId: "one" },
      );
      expect(await valuesOf(client, "out")).toEqual(["b"]);
      expect(await client.admin.listGroupOffsets("h")).toEqual([]);
    });

    test("what could not be delivered is told by the transaction, though nobody waited", async () => {
      const failure = await failureOf(
        client.transaction((tx) => {
          void tx.send({ topic: "out", partition: 0, value: "a" });
          void tx.send({ topic: "out", partition: 7, value: "b" });
        }),
      );
      expect(failure).toMatchObject({ code: "unknown_topic_or_partition", remedy: "abort" });
      expect(await valuesOf(client, "out")).toEqual([]);
      // The producer is as good as new.
      await client.transaction((tx) => void tx.send({ topic: "out", partition: 0, value: "c" }));
      expect(await valuesOf(client, "out")).toEqual(["c"]);
    });

    test("one of a transactional id runs at a time; without one, as many as are begun", async () => {
      const own = { transactionalId: "one" };
      await client.transaction(async () => {
        const second = await failureOf(client.transaction(() => {}, own));
        expect(second).toMatchObject({ code: "concurrent_transactions", retriable: false });
        expect(second.message).toContain('"one" runs already');
      }, own);
      await client.transaction(() => {}, own);
      const ids = await Promise.all(
        numbers(5).map((value) =>
          client.transaction(async (tx) => {
            await tx.send({ topic: "out", partition: 0, value });
            return tx.transactionalId;
          }),
        ),
      );
      expect(new Set(ids).size).toBe(5);
      expect((await valuesOf(client, "out")).sort()).toEqual(numbers(5));
      const again = await client.transaction((tx) => tx.transactionalId);
      expect(ids).toContain(again);
    });

    test("each input comes out once, over aborts, members that change and a fault now and then", async () => {
      await fill(60);
      const random = SeededRandom.of(7);
      const isUnlucky = (one: number) => random.uint32() % one === 0;
      let faults = 12;
      rig.faults.call = (name) =>
        (name === "endTxn" || name === "txnOffsetCommit") && isUnlucky(5) && faults-- > 0
          ? "break_after"
          : null;
      const ending = new AbortController();
      const transform = async (name: string, mostBatches: number) => {
        const consumer = member({ bytesMax: 200, signal: ending.signal });
        let batches = 0;
        for await (const batch of consumer.batches()) {
          const run = client.transaction(
            async (tx) => {
              tx.commitOffsets(consumer);
              for (const { value } of batch.records()) void tx.send({ topic: "out", value });
              if (isUnlucky(4)) throw new Error("unlucky");
            },
            { transactionalId: name },
          );
          await run.catch((error: Error & { remedy?: string }) => {
            if (error.message !== "unlucky" && error.remedy === undefined) throw error;
          });
          if (++batches >= mostBatches) break;
        }
      };
      // One of them leaves in the middle.
      const both = [transform("a", 8), transform("b", Number.POSITIVE_INFINITY)];
      await fill(60, 60);
      const areOut = async () => (await valuesOf(client, "out")).length >= 120;
      await until(areOut, "every input is out", 50_000);
      ending.abort();
      await Promise.all(both);
      expect((await valuesOf(client, "out")).sort()).toEqual(numbers(120));
      await until(async () => (await committed()) === 120, "the last commit");
    }, 60_000);

    test("after an abort the consumer goes on where it had committed", async () => {
      await fill(6);
      const consumer = member({ untilEnd: true });
      const tries: string[][] = [];
      let isFirst = true;
      for await (const batch of consumer.batches()) {
        const values = batch.records().map(({ value }) => text(value)!);
        tries.push(values);
        const isSpoiled = isFirst;
        isFirst = false;
        await client
          .transaction((tx) => {
            tx.commitOffsets(consumer);
            for (const value of values) void tx.send({ topic: "out", partition: 0, value });
            if (isSpoiled) throw new Error("spoiled");
          })
          .catch((error: Error) => expect(error.message).toBe("spoiled"));
      }
      expect(tries.filter((values) => values.join() === tries[0]!.join()).length).toBe(2);
      expect((await valuesOf(client, "out")).sort()).toEqual(numbers(6));
      expect(await committed()).toBe(6);
    });

    test("a loop inside the body is one transaction, offsets of the whole of it included", async () => {
      await fill(10);
      await client.transaction(async (tx) => {
        const consumer = member({ untilEnd: true });
        tx.commitOffsets(consumer);
        for await (const { value } of consumer) void tx.send({ topic: "out", value });
        expect(await valuesOf(client, "out")).toEqual([]);
      });
      expect((await valuesOf(client, "out")).sort()).toEqual(numbers(10));
      expect(await committed()).toBe(10);
      await failureOf(
        client.transaction(async (tx) => {
          await fill(2, 10);
          const consumer = member({ untilEnd: true });
          tx.commitOffsets(consumer);
          for await (const { value } of consumer) await tx.send({ topic: "out", value });
          throw new Error("spoiled");
        }),
      );
      expect([(await valuesOf(client, "out")).length, await committed()]).toEqual([10, 10]);
    });

    test("a member that is out of its group cannot commit for it", async () => {
      await fill(4);
      const consumer = member({ maxPollIntervalMs: 40 });
      for await (const batch of consumer.batches()) {
        const failure = await failureOf(
          client.transaction(async (tx) => {
            tx.commitOffsets(consumer);
            for (const { value } of batch.records()) void tx.send({ topic: "out", value });
            await until(() => consumer.assignment().length === 0 || isOut(consumer));
          }),
        );
        expect(failure.code).toBe("unknown_member_id");
        break;
      }
      expect(await valuesOf(client, "out")).toEqual([]);
      expect(await client.admin.listGroupOffsets("g")).toEqual([]);
    });

    test("offsets of a zombie are refused by its old generation", async () => {
      await fill(4);
      const consumer = member();
      for await (const _ of consumer.batches()) break;
      const producer = client.producer({ transactionalId: "zombie" });
      await producer.begin();
      const zombie = { groupId: "g", generation: 1, memberId: "gone", instanceId: null };
      const offsets = [{ topic: "in", partition: 0, offset: 2 }];
      const refused = await failureOf(producer.sendOffsets(offsets, zombie));
      expect(refused).toMatchObject({ code: "unknown_member_id", remedy: "abort" });
      expect(await failureOf(producer.commit())).toMatchObject({ remedy: "abort" });
      await producer.abort();
      expect(await client.admin.listGroupOffsets("g")).toEqual([]);
    });

    test("a consumer that commits by itself is refused, and one that is in another transaction", async () => {
      const auto = member({ autoCommit: true });
      const failure = await failureOf(client.transaction((tx) => tx.commitOffsets(auto)));
      expect(failure.message).toContain("autoCommit: false");
      const own = member();
      await client.transaction(async (tx) => {
        tx.commitOffsets(own);
        tx.commitOffsets(own);
        const second = await failureOf(client.transaction((other) => other.commitOffsets(own)));
        expect(second.message).toContain("is in another transaction");
      });
      await client.transaction((tx) => tx.commitOffsets(own));
    });

    for (const fault of ["break_before", "break_after"] as const) {
      test(`a commit without an answer (${fault}): whoever reads on finds out, and nothing is doubled`, async () => {
        await fill(4);
        let isAnswered = false;
        rig.faults.call = (name) => (name === "endTxn" && !isAnswered ? fault : null);
        const outcomes: string[] = [];
        const round = async () => {
          const consumer = member({ untilEnd: true });
          for await (const batch of consumer.batches()) {
            const run = client.transaction(
              (tx) => {
                tx.commitOffsets(consumer);
                for (const { value } of batch.records()) void tx.send({ topic: "out", value });
              },
              { transactionalId: "one", timeoutMs: isAnswered ? 10_000 : 700 },
            );
            await run.then(
              () => outcomes.push("done"),
              (error: { remedy: string }) => outcomes.push(error.remedy),
            );
          }
        };
        expect(await failureOf(round())).toMatchObject({ remedy: "retry" });
        expect(outcomes).toEqual(["retry"]);
        isAnswered = true;
        // As the next start of the program would.
        await client.transaction(() => {}, { transactionalId: "one" });
        await round();
        expect(outcomes.slice(1).every((outcome) => outcome === "done")).toBe(true);
        expect((await valuesOf(client, "out")).sort()).toEqual(numbers(4));
        expect(await committed()).toBe(4);
      });
    }

    test("what one without a name left open is nothing to the next", async () => {
      rig.faults.call = (name) => (name === "endTxn" ? "no_answer" : null);
      const unknown = client.transaction((tx) => void tx.send({ topic: "out", value: "a" }), {
        timeoutMs: 200,
      });
      expect(await failureOf(unknown)).toMatchObject({ remedy: "retry" });
      rig.faults.call = () => null;
      await client.transaction((tx) => void tx.send({ topic: "out", value: "b" }));
      // The first was committed, though nobody had heard of it, or is now.
      await until(async () => (await valuesOf(client, "out")).length === 2);
    });

    test("a transaction that was fenced is refused, and the next one takes the id over", async () => {
      const own = { transactionalId: "one" };
      const fenced = await failureOf(
        client.transaction(async (tx) => {
          await tx.send({ topic: "out", partition: 0, value: "a" });
          const [outcome] = await client.admin.fenceProducers(["one"]);
          expect(outcome!.ok).toBe(true);
        }, own),
      );
      expect(fenced).toMatchObject({ remedy: "close" });
      await client.transaction((tx) => void tx.send({ topic: "out", value: "b" }), own);
      expect(await valuesOf(client, "out")).toEqual(["b"]);
    });
  });
}

function isOut(consumer: GroupConsumer): boolean {
  try {
    consumer.groupMetadata();
    return false;
  } catch {
    return true;
  }
}
