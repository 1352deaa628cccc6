import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient } from "../../src/client/mod.ts";
import { clientRuntime, failureOf, type Rig, startRig } from "./rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
  rig.cluster.addTopic("t", 1);
});
afterAll(() => rig.stop());

// biome-ignore lint/suspicious/noExplicitAny: what callers without types may come with.
const wrong = (options: unknown) => options as any;

describe("what cannot be is refused where it is given", () => {
  test.each([
    [{ lingerMs: -1 }, "lingerMs must be a number from 0 on: found -1"],
    [{ lingerMs: "5" }, 'lingerMs must be a number from 0 on: found "5"'],
    [{ batchBytesMax: 0 }, "batchBytesMax must be a number from 1 on: found 0"],
    [{ bufferBytesMax: Number.NaN }, "bufferBytesMax must be a number from 1 on: found NaN"],
    [{ acks: 2 }, "acks must be one of all, 1, 0: found 2"],
    [{ compression: "brotli" }, "compression must be one of none, gzip"],
  ])("of a producer: %p", (options, message) => {
    expect(() => rig.client.producer(wrong(options))).toThrow(TypeError);
    expect(() => rig.client.producer(wrong(options))).toThrow(message);
  });

  test.each([
    [{}, "A consumer reads topics or partitions: found neither"],
    [{ topics: ["t"], bytesMax: 0 }, "bytesMax must be a number from 1 on: found 0"],
    [{ topics: ["t"], recordsMax: -1 }, "recordsMax must be a number from 0 on: found -1"],
    [{ topics: ["t"], isolation: "none" }, "isolation must be one of read_uncommitted"],
  ])("of a consumer: %p", (options, message) => {
    expect(() => rig.client.consumer(wrong(options))).toThrow(TypeError);
    expect(() => rig.client.consumer(wrong(options))).toThrow(message);
  });

  test("of a client, and a partitioner that nobody knows", async () => {
    const make = () => createClient(clientRuntime(rig.network), { timeoutMs: Number.NaN });
    expect(make).toThrow("timeoutMs must be a number from 1 on: found NaN");
    const producer = rig.client.producer(wrong({ partitioner: "crc32" }));
    const failure = await failureOf(producer.send({ topic: "t", value: "x" }));
    expect(failure.message).toBe('There is no partitioner "crc32"');
  });

  test("and what is left out, or has no bound, passes", () => {
    const producer = rig.client.producer({ lingerMs: 0, deliveryTimeoutMs: Infinity });
    expect(producer.stats.records).toBe(0);
    expect(rig.client.consumer({ topics: [], recordsMax: Infinity }).isClosed).toBe(false);
  });
});
