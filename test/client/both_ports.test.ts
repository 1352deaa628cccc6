// One suite for both ways to a broker: what is written against the client's types does not see which it has.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SeededRandom } from "../../src/base/prng.ts";
import type { Client, ConsumedRecord, ConsumerOptions } from "../../src/client/mod.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { type Fault, Rig, ways } from "./ports.ts";
import { failureOf, text } from "./rig.ts";

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.stop());

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

async function all(client: Client, options: ConsumerOptions): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = [];
  for await (const record of client.consumer({ untilEnd: true, ...options })) records.push(record);
  return records;
}

async function valuesOf(client: Client, topic: string): Promise<(string | null)[]> {
  return (await all(client, { topics: [topic] })).map(({ value }) => text(value));
}

for (const way of ways) {
  describe(`over ${way}`, () => {
    let client: Client;
    beforeEach(() => {
      client = rig.client(way);
    });

    test("keys, headers, nulls, times and codecs come out as they went in", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      for (const compression of ["none", "gzip", "zstd", "snappy", "lz4"] as const) {
        const producer = client.producer({ compression });
        await producer.sendAll([
          { topic: "t", key: "k", value: "v".repeat(600), timestampMs: 42, headers: { a: "1" } },
          { topic: "t", key: null, value: null, timestampMs: 43, headers: { b: null } },
        ]);
        await producer.close();
      }
      const records = await all(client, { topics: ["t"] });
      expect(records.length).toBe(10);
      for (let i = 0; i < 10; i += 2) {
        expect(records[i]).toMatchObject({ topic: "t", partition: 0, offset: i, timestampMs: 42 });
        expect([text(records[i]!.key), text(records[i]!.value)]).toEqual(["k", "v".repeat(600)]);
        expect(text(records[i]!.headers[0]!.value)).toBe("1");
        expect([records[i + 1]!.key, records[i + 1]!.value]).toEqual([null, null]);
      }
    });

    test("sendAll tells where each lies in the order given, over partitions", async () => {
      await client.admin.createTopic({ name: "t", partitions: 3 });
      const records = numbers(60).map((value) => {
        return { topic: "t", partition: Number(value) % 3, value };
      });
      const deliveries = await client.producer({ lingerMs: 1 }).sendAll(records);
      expect(deliveries.map(({ partition, offset }) => [partition, offset])).toEqual(
        numbers(60).map((value) => [Number(value) % 3, Math.floor(Number(value) / 3)]),
      );
    });

    test("what waits is sent, and fetched by who waited for it", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const consumer = client.consumer({ topics: ["t"], from: "end", recordsMax: 3 });
      const reading = (async () => {
        const found: (string | null)[] = [];
        for await (const { value } of consumer) found.push(text(value));
        return found;
      })();
      while (rig.faults.fetches === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      const producer = client.producer();
      for (const value of ["a", "b", "c"]) await producer.send({ topic: "t", value });
      expect(await reading).toEqual(["a", "b", "c"]);
    });

    test("acks 1 and acks 0 arrive as well", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const one = client.producer({ acks: 1 });
      expect((await one.send({ topic: "t", value: "a" })).offset).toBe(0);
      const none = client.producer({ acks: 0 });
      expect((await none.send({ topic: "t", value: "b" })).offset).toBe(-1);
      await none.close();
      while ((await valuesOf(client, "t")).length < 2) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      expect(await valuesOf(client, "t")).toEqual(["a", "b"]);
    });

    test("a consumer begins at an offset, a time, and so many from the end", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const producer = client.producer();
      for (const value of numbers(10)) {
        await producer.send({ topic: "t", value, timestampMs: 1_000 + Number(value) });
      }
      const from = async (start: ConsumerOptions["from"]) =>
        (await all(client, { topics: ["t"], ...(start === undefined ? {} : { from: start }) })).map(
          ({ value }) => text(value),
        );
      expect(await from({ offset: 7 })).toEqual(["7", "8", "9"]);
      expect(await from({ timestampMs: 1_008 })).toEqual(["8", "9"]);
      expect(await from({ lastOffsets: 1 })).toEqual(["9"]);
      expect(await from("end")).toEqual([]);
      const failure = await failureOf(
        all(client, { topics: ["t"], from: { offset: 99 }, untilEnd: false }),
      );
      expect(failure).toMatchObject({ name: "ClientError", code: "offset_out_of_range" });
    });

    test("topics are made, listed, described, altered, grown, emptied and deleted", async () => {
      const { admin } = client;
      const made = await admin.createTopic({
        name: "t",
        partitions: 2,
        configs: { "retention.ms": "1000" },
      });
      expect(made).toMatchObject({ name: "t", partitions: 2, replicationFactor: 1 });
      expect((await admin.listTopics()).map(({ name }) => name)).toEqual(["t"]);
      await admin.alterConfigs({ type: "topic", name: "t" }, [
        { name: "retention.ms", operation: "delete" },
        { name: "max.message.bytes", operation: "set", value: "2000" },
      ]);
      const { configs, topicId } = await admin.describeTopic("t");
      expect(topicId).toBe(made.topicId);
      expect(configs.find(({ name }) => name === "max.message.bytes")).toMatchObject({
        value: "2000",
        source: "topic",
      });
      await admin.createPartitions("t", 4);
      expect((await admin.topic("t")).partitions.map(({ leader }) => leader)).toEqual([7, 7, 7, 7]);
      await client
        .producer()
        .sendAll(numbers(5).map((value) => ({ topic: "t", partition: 0, value })));
      const [start] = await admin.deleteRecords([{ topic: "t", partition: 0, beforeOffset: 3 }]);
      expect(start).toEqual({ ok: true, value: 3 });
      const offsets = await admin.offsets([
        { topic: "t", partition: 0, at: "earliest" },
        { topic: "t", partition: 0, at: "latest" },
        { topic: "t", partition: 9, at: "latest" },
      ]);
      expect(offsets.map((each) => (each.ok ? each.value.offset : each.error.code))).toEqual([
        3,
        5,
        "unknown_topic_or_partition",
      ]);
      expect(await admin.describeCluster()).toMatchObject({
        clusterId: rig.broker.clusterId,
        controllerId: 7,
      });
      await admin.deleteTopic("t");
      expect(await admin.listTopics()).toEqual([]);
    });

    test("refusals have the broker's names", async () => {
      const { admin } = client;
      await admin.createTopic({
        name: "t",
        partitions: 1,
        configs: { "max.message.bytes": "300" },
      });
      const codes = await Promise.all(
        [
          admin.createTopic({ name: "t" }),
          admin.createTopic({ name: "no/slash" }),
          admin.createTopic({ name: "u", configs: { "retention.ms": "soon" } }),
          admin.deleteTopic("missing"),
          admin.createPartitions("t", 1),
          admin.describeTopic("missing"),
          admin.alterConfigs({ type: "topic", name: "t" }, [
            { name: "no.such", operation: "set", value: "1" },
          ]),
          client.producer().send({ topic: "t", value: "x".repeat(500) }),
          client.producer({ unknownTopicWaitMs: 0, mayCreateTopics: false }).send({
            topic: "missing",
            value: "x",
          }),
          all(client, { topics: ["missing"] }),
          // What no request can hold is refused before it is sent.
          admin.createTopic({ name: "u", partitions: 2 ** 40 }),
        ].map(async (refused) => (await failureOf(refused)).code),
      );
      expect(codes).toEqual([
        "topic_already_exists",
        "invalid_topic_exception",
        "invalid_config",
        "unknown_topic_or_partition",
        "invalid_partitions",
        "unknown_topic_or_partition",
        "invalid_config",
        "message_too_large",
        "unknown_topic_or_partition",
        "unknown_topic_or_partition",
        "invalid_request",
      ]);
    });

    test("a record that cannot be is refused alone, whatever it holds", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const producer = client.producer({ partitioner: () => 0 });
      const good = { topic: "t", value: "good" };
      // biome-ignore lint/suspicious/noExplicitAny: what callers without types may come with.
      const bad: any[] = [
        { topic: 5, value: "x" },
        { topic: "t", value: 5 },
        { topic: "t", key: {}, value: "x" },
        { topic: "t", value: [1, 2] },
        { topic: "t", value: new ArrayBuffer(4) },
        { topic: "t", timestampMs: Number.NaN },
        { topic: "t", timestampMs: 1.5 },
        { topic: "t", timestampMs: 2 ** 60 },
        { topic: "t", headers: "a" },
        { topic: "t", headers: null },
        { topic: "t", headers: [null] },
        { topic: "t", headers: [{ key: 1, value: "x" }] },
        { topic: "t", headers: { a: 1 } },
        { topic: "t", partition: 1.5 },
        { topic: "t", partition: -1 },
        { topic: "t", partition: "0" },
      ];
      const ended = await Promise.all(
        bad.map(async (record) => {
          const refused = failureOf(producer.send(record));
          const { offset } = await producer.send(good);
          return [(await refused).code, offset];
        }),
      );
      expect(ended.map(([, offset]) => offset)).toEqual(bad.map((_, index) => index));
      expect(ended.slice(0, -3).every(([code]) => code === "invalid_record")).toBe(true);
      expect(ended.slice(-3).every(([code]) => code === "unknown_topic_or_partition")).toBe(true);
      const wild = client.producer({ partitioner: () => Number.NaN });
      expect((await failureOf(wild.send(good))).code).toBe("unknown_topic_or_partition");
      const throwing = client.producer({
        partitioner: () => {
          throw new Error("no idea");
        },
      });
      const lost = [0, 1, 2].map(() => failureOf(throwing.send(good)));
      for (const { message } of await Promise.all(lost)) expect(message).toBe("no idea");
      await throwing.close();
      expect(await valuesOf(client, "t")).toEqual(bad.map(() => "good"));
    });

    const faults: readonly Fault[] = [
      "break_before",
      "break_after",
      "no_answer",
      "slow",
      "not_leader",
      "twice",
    ];
    for (const fault of faults) {
      test(`every third append meets "${fault}": all records arrive once and in order`, async () => {
        await client.admin.createTopic({ name: "t", partitions: 1 });
        rig.faults.append = () => (rig.faults.appends % 3 === 1 ? fault : null);
        const impatient = rig.client(way, { requestTimeoutMs: 40 });
        const producer = impatient.producer({ batchBytesMax: 150 });
        const sent = await Promise.all(
          numbers(60).map((value) => producer.send({ topic: "t", value })),
        );
        expect(rig.faults.appends).toBeGreaterThan(5);
        rig.faults.append = () => null;
        expect(await valuesOf(client, "t")).toEqual(numbers(60));
        expect(sent.map(({ offset }) => offset)).toEqual(numbers(60).map(Number));
      });

      test(`every third fetch meets "${fault}": all records are read once and in order`, async () => {
        await client.admin.createTopic({ name: "t", partitions: 1 });
        const producer = client.producer({ batchBytesMax: 150 });
        await producer.sendAll(numbers(60).map((value) => ({ topic: "t", value })));
        rig.faults.fetch = () => (rig.faults.fetches % 3 === 1 ? fault : null);
        const values: (string | null)[] = [];
        const impatient = rig.client(way, { requestTimeoutMs: 40 });
        const options = { topics: ["t"], untilEnd: true, bytesMax: 300, waitMsMax: 10 };
        for await (const { value } of impatient.consumer(options)) {
          values.push(text(value));
        }
        expect(values).toEqual(numbers(60));
        expect(rig.faults.fetches).toBeGreaterThan(3);
      });
    }

    test("of one partition several batches are under way, and never more than five", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const producer = client.producer({ batchBytesMax: 100, inFlightMax: 64 });
      await producer.send({ topic: "t", value: "0" });
      expect(rig.faults.appendsAtOnceMax).toBe(1);
      rig.faults.append = () => "slow";
      const values = numbers(61).slice(1);
      await Promise.all(values.map((value) => producer.send({ topic: "t", value })));
      expect(rig.faults.appendsAtOnceMax).toBe(5);
      expect(await valuesOf(client, "t")).toEqual(numbers(61));
    });

    test("any mixture of faults leaves each partition with every record once, in order", async () => {
      await client.admin.createTopic({ name: "t", partitions: 3 });
      const random = SeededRandom.of(11);
      const any = (): Fault | null => {
        const draw = random.uint32() % 12;
        return faults[draw] ?? null;
      };
      rig.faults.append = any;
      rig.faults.fetch = () => {
        const fault = any();
        return fault === "no_answer" ? "slow" : fault;
      };
      const impatient = rig.client(way, { requestTimeoutMs: 40 });
      const producer = impatient.producer({ batchBytesMax: 200, lingerMs: 1 });
      const reading = (async () => {
        const found: string[][] = [[], [], []];
        let left = 300;
        for await (const { partition, value } of impatient.consumer({
          topics: ["t"],
          waitMsMax: 20,
        })) {
          found[partition]!.push(text(value)!);
          if (--left === 0) break;
        }
        return found;
      })();
      for (let at = 0; at < 300; at += 10) {
        await Promise.all(
          numbers(10).map((_, index) => {
            const value = String(at + index);
            return producer.send({ topic: "t", partition: (at + index) % 3, value });
          }),
        );
      }
      const expected = [0, 1, 2].map((rest) => numbers(300).filter((n) => Number(n) % 3 === rest));
      expect(await reading).toEqual(expected);
      expect(producer.stats).toMatchObject({ delivered: 300, failed: 0 });
    });

    test("a record that cannot be delivered in time fails, and says why", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      rig.faults.append = () => "not_leader";
      const producer = client.producer({ deliveryTimeoutMs: 60 });
      const failure = await failureOf(producer.send({ topic: "t", value: "a" }));
      expect(failure.code).toBe("request_timed_out");
      expect(failure.message).toMatch(/within 60 ms.*NOT_LEADER_OR_FOLLOWER/);
    });

    test("a signal ends the wait of a send; one that has no place yet is never sent", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const producer = client.producer({ bufferBytesMax: 100 });
      await producer.send({ topic: "t", value: "first" });
      rig.faults.append = () => "slow";
      const controller = new AbortController();
      const { signal } = controller;
      const big = producer.send({ topic: "t", value: "x".repeat(90) });
      const waiting = producer.send({ topic: "t", value: "dropped" }, { signal });
      const behind = producer.send({ topic: "t", value: "behind" });
      controller.abort();
      expect((await failureOf(waiting)).code).toBe("aborted");
      expect((await failureOf(producer.send({ topic: "t" }, { signal }))).code).toBe("aborted");
      expect((await failureOf(producer.sendAll([{ topic: "t" }], { signal }))).code).toBe(
        "aborted",
      );
      await Promise.all([big, behind]);
      expect(await valuesOf(client, "t")).toEqual(["first", "x".repeat(90), "behind"]);
    });

    test("who finds no room waits so long as was said", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      rig.faults.append = () => "no_answer";
      const options = { bufferBytesMax: 100, bufferWaitMsMax: 30, deliveryTimeoutMs: 300 };
      const producer = rig.client(way, { requestTimeoutMs: 200 }).producer(options);
      const first = producer.send({ topic: "t", value: "x".repeat(200) });
      // The first look-up of the topic does not count: wait until the record has its place.
      while (rig.faults.appends === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      expect((await failureOf(producer.send({ topic: "t", value: "a" }))).code).toBe("buffer_full");
      rig.faults.append = () => null;
      await first;
      await producer.send({ topic: "t", value: "b" });
      const refusing = client.producer({ bufferBytesMax: 10, bufferWaitMsMax: 0 });
      await refusing.send({ topic: "t", value: "c" });
      const taken = refusing.send({ topic: "t", value: "x".repeat(20) });
      expect((await failureOf(refusing.send({ topic: "t", value: "d" }))).code).toBe("buffer_full");
      await taken;
      expect((await valuesOf(client, "t")).slice(1)).toEqual(["b", "c", "x".repeat(20)]);
    });

    test("closing sends what is left, or gives up after its grace", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const producer = client.producer({ lingerMs: 60_000 });
      const sent = producer.send({ topic: "t", value: "a" });
      await producer.close();
      expect((await sent).offset).toBe(0);
      rig.faults.append = () => "not_leader";
      const stuck = client.producer();
      const lost = failureOf(stuck.send({ topic: "t", value: "b" }));
      expect((await failureOf(stuck.close(30))).code).toBe("request_timed_out");
      expect((await lost).code).toBe("closed");
    });

    test("a consumer seeks, pauses and resumes while it runs", async () => {
      await client.admin.createTopic({ name: "t", partitions: 2 });
      const producer = client.producer();
      for (const partition of [0, 1]) {
        await producer.sendAll(numbers(20).map((value) => ({ topic: "t", partition, value })));
      }
      const consumer = client.consumer({ topics: ["t"], waitMsMax: 5 });
      const seen: string[] = [];
      let hasSought = false;
      for await (const { partition, offset, value } of consumer) {
        if (seen.length === 0) consumer.pause("t", 1 - partition);
        expect(text(value)).toBe(String(offset));
        seen.push(`${partition}:${offset}`);
        if (offset === 9 && !hasSought) {
          hasSought = true;
          consumer.seek("t", partition, 3);
        }
        if (seen.length === 27) consumer.resume("t", 1 - partition);
        if (seen.length === 47) break;
      }
      const first = seen[0]![0]!;
      const other = first === "0" ? "1" : "0";
      const line = (partition: string, from: number, end: number) =>
        numbers(end)
          .slice(from)
          .map((offset) => `${partition}:${offset}`);
      expect(seen).toEqual([...line(first, 0, 10), ...line(first, 3, 20), ...line(other, 0, 20)]);
      expect(() => consumer.seek("t", 5, 0)).toThrow("it is not among those read");
      expect(() => consumer.seek("t", 0, -1)).toThrow("whole number");
    });

    test("closing the client ends everything under way", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const port = rig.port(way);
      const { topicId } = await client.admin.topic("t");
      const fetching = port.send(Fetch, fetchOf(topicId!, 0, 60_000));
      while (rig.faults.fetches === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      port.close();
      expect((await failureOf(fetching)).code).toBe("closed");
      expect((await failureOf(port.send(Metadata, { topics: null }))).code).toBe("closed");
      await client.close();
      expect((await failureOf(client.admin.listTopics())).code).toBe("closed");
    });
  });
}

function fetchOf(topicId: string, fetchOffset: number, maxWaitMs: number) {
  return {
    maxWaitMs,
    minBytes: 1,
    topics: [
      {
        topic: "t",
        topicId,
        partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }],
      },
    ],
  };
}
