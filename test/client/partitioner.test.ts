import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SeededRandom } from "../../src/base/prng.ts";
import { loadXxhash } from "../../src/base/xxhash.ts";
import { partitionerFor } from "../../src/client/partitioner.ts";
import { DescribeConfigs } from "../../src/protocol/messages/32_describe_configs.ts";
import { fromHex, loadVectors } from "../record/vectors.ts";
import { failureOf, type Rig, startRig, utf8 } from "./rig.ts";

/** From Java's own partitioner: test/vectors/records. */
interface Murmur2Vector {
  readonly key: string;
  readonly partition: Readonly<Record<string, number>>;
}

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
});
afterEach(() => rig.stop());

const random = SeededRandom.of(7);

describe("keys", () => {
  test("of a murmur2 topic go where Java's clients send them", async () => {
    const vectors = loadVectors<Murmur2Vector>("murmur2");
    const counts = Object.keys(vectors[0]!.partition).map(Number);
    for (const count of counts)
      rig.cluster.addTopic(`t${count}`, count, { partitioner: "murmur2" });
    const producer = rig.client.producer();
    for (const count of counts) {
      const deliveries = await Promise.all(
        vectors.map(({ key }) => {
          return producer.send({ topic: `t${count}`, key: fromHex(key), value: "v" });
        }),
      );
      expect(deliveries.map(({ partition }) => partition)).toEqual(
        vectors.map(({ partition }) => partition[count]!),
      );
    }
  });

  test("of a topic of ours go where our broker sends them", async () => {
    rig.cluster.addTopic("t", 7, { partitioner: "xxhash" });
    const { partition } = await loadXxhash();
    const producer = rig.client.producer();
    for (const key of ["a", "b", "", "schlüssel", "x".repeat(100)]) {
      const delivery = await producer.send({ topic: "t", key, value: "v" });
      expect(delivery.partition).toBe(partition(utf8(key), 7));
    }
  });

  test("on a broker without that setting go where Java sends them", async () => {
    rig.cluster.addTopic("t", 50);
    const producer = rig.client.producer();
    const explicit = rig.client.producer({ partitioner: "murmur2" });
    for (const key of ["a", "b", "c", "d"]) {
      const [ours, javas] = [
        await producer.send({ topic: "t", key, value: "v" }),
        await explicit.send({ topic: "t", key, value: "v" }),
      ];
      expect(ours.partition).toBe(javas.partition);
    }
  });

  test("are not guessed at where the topic's settings may not be read", async () => {
    rig.cluster.addTopic("t", 3);
    rig.brokers[0]!.always(DescribeConfigs, ({ request }) => ({
      throttleTimeMs: 0,
      results: request.resources.map(({ resourceType, resourceName }) => {
        return { errorCode: 29, errorMessage: null, resourceType, resourceName, configs: [] };
      }),
    }));
    const producer = rig.client.producer();
    const failure = await failureOf(producer.send({ topic: "t", key: "k", value: "v" }));
    expect(failure.code).toBe("topic_authorization_failed");
    // Whoever says where it goes needs no settings.
    expect((await producer.send({ topic: "t", partition: 1, value: "v" })).partition).toBe(1);
    const told = rig.client.producer({ partitioner: "xxhash" });
    expect((await told.send({ topic: "t", key: "k", value: "v" })).topic).toBe("t");
  });
});

describe("records without a key", () => {
  test("fill one partition's batch, then another's", async () => {
    rig.cluster.addTopic("t", 5, { partitioner: "xxhash" });
    const producer = rig.client.producer({ batchBytesMax: 400 });
    const deliveries = await Promise.all(
      Array.from({ length: 200 }, () => producer.send({ topic: "t", value: "0123456789" })),
    );
    const used = new Set(deliveries.map(({ partition }) => partition));
    expect(used.size).toBe(5);
    let changes = 0;
    for (let at = 1; at < deliveries.length; at++) {
      if (deliveries[at]!.partition !== deliveries[at - 1]!.partition) changes++;
    }
    expect(changes).toBeLessThan(40);
  });

  test("go round in turn, keys or not, when asked to", async () => {
    const partitioner = partitionerFor("round_robin", "t", random);
    const first = partitioner.partition(null, 3);
    const next = [utf8("a"), null, utf8("a")].map((key) => partitioner.partition(key, 3));
    expect(next).toEqual([(first + 1) % 3, (first + 2) % 3, first]);
  });

  test("stick to a partition until its batch is closed, and then to any other", async () => {
    const partitioner = partitionerFor("sticky", "t", random);
    const seen = new Set<number>();
    for (let round = 0; round < 50; round++) {
      const partition = partitioner.partition(utf8(`key ${round}`), 4);
      expect(partitioner.partition(null, 4)).toBe(partition);
      partitioner.batchClosed((partition + 1) % 4, 4);
      expect(partitioner.partition(null, 4)).toBe(partition);
      partitioner.batchClosed(partition, 4);
      expect(partitioner.partition(null, 4)).not.toBe(partition);
      seen.add(partition);
    }
    expect(seen.size).toBe(4);
  });
});

test("a function of one's own is asked for each record", async () => {
  rig.cluster.addTopic("t", 4);
  const producer = rig.client.producer({
    partitioner: (key, count, topic) => (key!.length + topic.length) % count,
  });
  const deliveries = await Promise.all(
    ["", "a", "ab", "abc"].map((key) => producer.send({ topic: "t", key, value: "v" })),
  );
  expect(deliveries.map(({ partition }) => partition)).toEqual([1, 2, 3, 0]);
});
