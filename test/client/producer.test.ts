import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { producerIdAt } from "../../src/record/batch_header.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { NO_ANSWER, RESET, type ScriptedBroker } from "../../src/testing/scripted_broker.ts";
import { failureOf, type Rig, startRig, text } from "./rig.ts";
import { refuseAll } from "./scripts.ts";

let rig: Rig;
let broker: ScriptedBroker;
beforeEach(async () => {
  rig = await startRig();
  broker = rig.brokers[0]!;
});
afterEach(() => rig.stop());

function valuesOf(topic: string, partition = 0): (string | null)[] {
  const log = rig.cluster.topics.get(topic)!.partitions[partition]!;
  return log.records(hostCompression).map(({ value }) => text(value));
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

describe("sending", () => {
  test("tells where each record lies, and keeps keys, headers, nulls and times", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer();
    const deliveries = await Promise.all([
      producer.send({ topic: "t", key: "k", value: "v", timestampMs: 42 }),
      producer.send({ topic: "t", value: null, headers: { a: "1", b: null } }),
      producer.send({ topic: "t", key: null, value: "", headers: [{ key: "a", value: "1" }] }),
    ]);
    expect(deliveries.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    expect(deliveries[0]).toEqual({ topic: "t", partition: 0, offset: 0, timestampMs: 42 });
    const [first, second, third] = rig.cluster.topics
      .get("t")!
      .partitions[0]!.records(hostCompression);
    expect([text(first!.key), text(first!.value), first!.timestampMs]).toEqual(["k", "v", 42]);
    expect([second!.key, second!.value]).toEqual([null, null]);
    expect(second!.headers.map(({ key, value }) => [key, text(value)])).toEqual([
      ["a", "1"],
      ["b", null],
    ]);
    expect([third!.key, third!.value!.length, third!.headers.length]).toEqual([null, 0, 1]);
  });

  test("records of one turn share a batch; a full batch begins the next", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ batchBytesMax: 1_000 });
    await Promise.all(numbers(100).map((value) => producer.send({ topic: "t", value })));
    expect(rig.cluster.topics.get("t")!.partitions[0]!.batches.length).toBeLessThan(10);
    expect(rig.cluster.topics.get("t")!.partitions[0]!.batches.length).toBeGreaterThan(1);
    expect(valuesOf("t")).toEqual(numbers(100));
  });

  test("batches stay below what the topic allows", async () => {
    rig.cluster.addTopic("t", 1, { "max.message.bytes": "500" });
    const producer = rig.client.producer();
    await Promise.all(numbers(200).map((value) => producer.send({ topic: "t", value })));
    for (const { bytes } of rig.cluster.topics.get("t")!.partitions[0]!.batches) {
      expect(bytes.length).toBeLessThanOrEqual(500);
    }
    expect(valuesOf("t")).toEqual(numbers(200));
  });

  test("every codec comes out as it went in", async () => {
    for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
      rig.cluster.addTopic(compression, 1);
      const producer = rig.client.producer({ compression });
      await Promise.all(numbers(300).map((value) => producer.send({ topic: compression, value })));
      expect(valuesOf(compression)).toEqual(numbers(300));
    }
  });

  test("works with brokers of every version, by name and by topic id", async () => {
    for (let version = Produce.lowest; version <= Produce.highestStable; version++) {
      broker.offered.set(Produce.apiKey, [0, version]);
      const topic = `v${version}`;
      rig.cluster.addTopic(topic, 2);
      broker.breakConnections();
      const producer = rig.client.producer();
      await producer.send({ topic, partition: 1, value: "x" });
      expect(valuesOf(topic, 1)).toEqual(["x"]);
      await producer.close();
    }
    const versions = broker.requests
      .filter(({ api }) => api === "Produce")
      .map((each) => each.version);
    expect(new Set(versions).size).toBe(Produce.highestStable - Produce.lowest + 1);
  });

  test("acks 0 is answered by nobody and delivered without an offset", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ acks: 0 });
    const delivery = await producer.send({ topic: "t", value: "x" });
    expect(delivery.offset).toBe(-1);
    await rig.client.admin.listTopics();
    await producer.send({ topic: "t", value: "y" });
    await rig.cluster.changed;
    expect(broker.count(InitProducerId)).toBe(0);
  });

  test("a topic that nobody makes is a failure of each record, and may come later", async () => {
    const producer = rig.client.producer();
    const unknown = failureOf(
      rig.client.producer({ unknownTopicWaitMs: 20 }).send({ topic: "nope", value: "x" }),
    );
    const sent = producer.send({ topic: "late", value: "x" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    rig.cluster.addTopic("late", 1);
    expect((await sent).offset).toBe(0);
    expect((await unknown).code).toBe("unknown_topic_or_partition");
  });

  test("a partition that is not there is refused by name", async () => {
    rig.cluster.addTopic("t", 2);
    const failure = await failureOf(
      rig.client.producer().send({ topic: "t", partition: 2, value: "x" }),
    );
    expect(failure.message).toContain("0 to 1");
  });
});

describe("trying again", () => {
  const retriable = {
    corrupt_message: 2,
    not_leader: 6,
    timed_out: 7,
    not_enough_replicas: 19,
    storage: 56,
  };
  for (const [name, errorCode] of Object.entries(retriable)) {
    test(`after ${name} all records arrive once and in order`, async () => {
      rig.cluster.addTopic("t", 1);
      const producer = rig.client.producer({ batchBytesMax: 200 });
      broker.once(Produce, refuseAll(errorCode));
      broker.once(Produce, refuseAll(errorCode));
      const deliveries = await Promise.all(
        numbers(60).map((value) => producer.send({ topic: "t", value })),
      );
      expect(valuesOf("t")).toEqual(numbers(60));
      expect(deliveries.map(({ offset }) => offset)).toEqual(numbers(60).map(Number));
    });
  }

  test("an answer that was lost after the append doubles nothing", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ batchBytesMax: 200 });
    for (let count = 0; count < 3; count++) {
      broker.once(Produce, (call) => {
        call.model();
        return RESET;
      });
    }
    const deliveries = await Promise.all(
      numbers(80).map((value) => producer.send({ topic: "t", value })),
    );
    expect(valuesOf("t")).toEqual(numbers(80));
    expect(deliveries.map(({ offset }) => offset)).toEqual(numbers(80).map(Number));
  });

  test("any mixture of faults leaves each partition with every record once, in order", async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const mixed = await startRig({ brokers: 2, seed });
      mixed.cluster.addTopic("t", 3);
      let state = seed * 2654435761;
      const below = (count: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * count);
      };
      let faults = 30;
      for (const each of mixed.brokers) {
        each.always(Produce, async (call) => {
          const fault = faults > 0 ? below(8) : 7;
          faults--;
          if (fault === 0) return RESET;
          if (fault === 1) {
            call.model();
            return RESET;
          }
          if (fault === 2) return refuseAll([2, 6, 7, 19, 56][below(5)]!)(call);
          if (fault === 3) {
            // Appended, and the broker says it timed out.
            call.model();
            return refuseAll(7)(call);
          }
          if (fault === 4) mixed.cluster.moveLeader("t", below(3), 1 + below(2));
          if (fault === 5) await new Promise((resolve) => setTimeout(resolve, below(4)));
          return call.model();
        });
      }
      const producer = mixed.client.producer({ batchBytesMax: 150, partitioner: "round_robin" });
      const sent = numbers(150).map((value) => producer.send({ topic: "t", value }));
      const deliveries = await Promise.all(sent);
      const logs = mixed.cluster.topics.get("t")!.partitions;
      for (let partition = 0; partition < 3; partition++) {
        const found = logs[partition]!.records(hostCompression).map(({ value }) => text(value));
        const wanted = deliveries.flatMap((delivery, index) => {
          return delivery.partition === partition ? [String(index)] : [];
        });
        expect(`seed ${seed}: ${found}`).toBe(`seed ${seed}: ${wanted}`);
      }
      await mixed.stop();
    }
  }, 30_000);

  test("without idempotence one batch at a time is under way, so that a retry is not overtaken", async () => {
    rig.cluster.addTopic("t", 1);
    let underWay = 0;
    let most = 0;
    broker.always(Produce, async (call) => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 1));
      underWay--;
      return call.model();
    });
    broker.once(Produce, refuseAll(19));
    const producer = rig.client.producer({ idempotent: false, batchBytesMax: 150 });
    await Promise.all(numbers(40).map((value) => producer.send({ topic: "t", value })));
    expect(most).toBe(1);
    expect(valuesOf("t")).toEqual(numbers(40));
  });

  test("with idempotence batches overlap, and what is held up keeps its order", async () => {
    rig.cluster.addTopic("t", 1);
    const hold = broker.hold(Produce);
    const producer = rig.client.producer({ batchBytesMax: 150 });
    const sent = numbers(60).map((value) => producer.send({ topic: "t", value }));
    await hold.held;
    await new Promise((resolve) => setTimeout(resolve, 5));
    hold.release();
    await Promise.all(sent);
    expect(valuesOf("t")).toEqual(numbers(60));
    expect(broker.count(Produce)).toBeGreaterThan(5);
  });

  test("the first batch of an identity goes alone: a broker takes any sequence it sees first", async () => {
    rig.cluster.addTopic("t", 1);
    const first = broker.hold(Produce);
    const producer = rig.client.producer({ batchBytesMax: 100 });
    const sending = Promise.all(numbers(40).map((value) => producer.send({ topic: "t", value })));
    await first.held;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(broker.count(Produce)).toBe(1);
    first.release();
    await sending;
    expect(valuesOf("t")).toEqual(numbers(40));
  });

  test("a record that cannot be delivered in time fails, and says why", async () => {
    rig.cluster.addTopic("t", 1);
    broker.always(Produce, refuseAll(19));
    const producer = rig.client.producer({ deliveryTimeoutMs: 60 });
    const failure = await failureOf(producer.send({ topic: "t", value: "x" }));
    expect(failure.code).toBe("request_timed_out");
    expect(failure.message).toContain("NOT_ENOUGH_REPLICAS");
  });

  test("a broker that never answers costs the request's time, and then another attempt", async () => {
    const hasty = await startRig({ client: { requestTimeoutMs: 30 } });
    hasty.cluster.addTopic("t", 1);
    hasty.brokers[0]!.once(Produce, () => NO_ANSWER);
    const delivery = await hasty.client.producer().send({ topic: "t", value: "x" });
    expect(delivery.offset).toBe(0);
    await hasty.stop();
  });
});

describe("sequences that broke", () => {
  test("a refused batch fails alone; what follows goes on under a new producer id, in order", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ batchBytesMax: 120 });
    await producer.send({ topic: "t", value: "before" });
    broker.once(Produce, refuseAll(87));
    const results = await Promise.allSettled(
      numbers(30).map((value) => producer.send({ topic: "t", value })),
    );
    const lost = results.filter(({ status }) => status === "rejected").length;
    expect(lost).toBeGreaterThan(0);
    expect(valuesOf("t")).toEqual(["before", ...numbers(30).slice(lost)]);
    const ids = rig.cluster.topics.get("t")!.partitions[0]!.batches.map(({ bytes }) => {
      return producerIdAt(bytes, 0);
    });
    expect(new Set(ids).size).toBe(2);
  });

  test("a broker that has forgotten the producer gets a new one, and nothing is lost", async () => {
    const [log] = rig.cluster.addTopic("t", 1).partitions;
    const producer = rig.client.producer();
    await producer.send({ topic: "t", value: "a" });
    log!.forgetProducers();
    await producer.send({ topic: "t", value: "b" });
    expect(valuesOf("t")).toEqual(["a", "b"]);
    expect(broker.count(InitProducerId)).toBe(2);
  });

  test("a batch given up after it may have been appended is not doubled by what follows", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ batchBytesMax: 120, deliveryTimeoutMs: 80 });
    let isDown = true;
    broker.always(Produce, (call) => {
      if (!isDown) return call.model();
      // All is appended, nothing is answered.
      call.model();
      return RESET;
    });
    const results = Promise.allSettled(
      numbers(20).map((value) => producer.send({ topic: "t", value })),
    );
    await results;
    isDown = false;
    await producer.send({ topic: "t", value: "after" });
    const found = valuesOf("t");
    expect(new Set(found).size).toBe(found.length);
    expect(found.at(-1)).toBe("after");
  });
});

describe("memory", () => {
  test("is bounded: who enqueues is made to wait, and goes on when there is room", async () => {
    rig.cluster.addTopic("t", 1);
    const value = "x".repeat(1_000);
    const producer = rig.client.producer({ bufferBytesMax: 20_000, batchBytesMax: 4_000 });
    await producer.send({ topic: "t", value });
    const hold = broker.hold(Produce);
    let taken = 0;
    let waiting: Promise<void> | null = null;
    while (waiting === null) {
      waiting = producer.enqueue({ topic: "t", value });
      taken++;
      expect(taken).toBeLessThan(30);
    }
    expect(taken).toBeGreaterThan(15);
    await hold.held;
    hold.release();
    await waiting;
    await producer.flush();
    expect(valuesOf("t").length).toBe(taken + 1);
  });

  test("who does not wait at all is refused in the end", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ bufferBytesMax: 10_000 });
    const results = await Promise.allSettled(
      numbers(100).map((value) => producer.send({ topic: "t", value: value.padEnd(1_000) })),
    );
    const refused = results.filter((result) => {
      return result.status === "rejected" && result.reason.code === "buffer_full";
    });
    expect(refused.length).toBeGreaterThan(50);
    const kept = results.length - refused.length;
    expect(valuesOf("t").map((value) => value!.trim())).toEqual(numbers(kept));
  });
});

describe("flush and close", () => {
  test("flush tells the first failure of enqueued records, once", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer();
    broker.once(Produce, refuseAll(87));
    await producer.enqueue({ topic: "t", value: "x" });
    expect((await failureOf(producer.flush())).code).toBe("invalid_record");
    await producer.flush();
    expect(producer.stats).toMatchObject({ records: 1, delivered: 0, failed: 1 });
  });

  test("close delivers what was taken, also while the topic was still being asked for", async () => {
    rig.cluster.addTopic("t", 1);
    const producer = rig.client.producer({ lingerMs: 10_000 });
    void producer.enqueue({ topic: "t", value: "a" });
    void producer.enqueue({ topic: "t", value: "b" });
    await producer.close();
    expect(valuesOf("t")).toEqual(["a", "b"]);
    expect((await failureOf(producer.send({ topic: "t", value: "c" }))).code).toBe("closed");
  });
});
