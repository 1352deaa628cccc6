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
    [null, "The options of a producer must be an object: found null"],
    [7, "The options of a producer must be an object: found 7"],
    [{ lingerMS: 1 }, 'There is no option "lingerMS" of a producer: did you mean "lingerMs"'],
    [{ transactionalID: "a" }, 'of a producer: did you mean "transactionalId"'],
    [{ wibble: 1 }, 'There is no option "wibble" of a producer; there are acks, idempotent, '],
    [{ transactionalId: "a", acksss: 1 }, 'There is no option "acksss" of a producer: did you'],
    [{ acks: 2 }, "acks must be one of all, 1, 0: found 2"],
    [{ compression: "brotli" }, "compression must be one of none, gzip"],
  ])("of a producer: %p", (options, message) => {
    expect(() => rig.client.producer(wrong(options))).toThrow(TypeError);
    expect(() => rig.client.producer(wrong(options))).toThrow(message);
  });

  test.each([
    [undefined, "The options of a consumer must be an object: found undefined"],
    [null, "The options of a consumer must be an object: found null"],
    [["t"], "The options of a consumer must be an object: found a list"],
    [{ topics: "plain" }, 'topics must be a list of names: found "plain"'],
    [{ topics: ["t", 5] }, "topics must be names: found 5"],
    [{ topics: "plain", group: "g" }, 'topics must be a list of names: found "plain"'],
    [{ partitions: "t" }, "partitions must be a list of { topic, partition, from }"],
    [{ partitions: [null] }, "partitions must be a list of { topic, partition, from }"],
    [{ topic: ["t"] }, 'There is no option "topic" of a consumer: did you mean "topics"'],
    [
      { topics: ["t"], Group: "g" },
      'There is no option "Group" of a consumer: did you mean "group"',
    ],
    [
      { topics: ["t"], group: "g", autocommit: false },
      'of a member of a group: did you mean "auto',
    ],
    [{ topics: ["t"], recordsMax: 1.5 }, "recordsMax must be a whole number from 0 on: found 1.5"],
    [{}, "A consumer reads topics or partitions: found neither"],
    [{ topics: ["t"], bytesMax: 0 }, "bytesMax must be a number from 1 on: found 0"],
    [{ topics: ["t"], recordsMax: -1 }, "recordsMax must be a whole number from 0 on: found -1"],
    [{ topics: ["t"], isolation: "none" }, "isolation must be one of read_uncommitted"],
  ])("of a consumer: %p", (options, message) => {
    expect(() => rig.client.consumer(wrong(options))).toThrow(TypeError);
    expect(() => rig.client.consumer(wrong(options))).toThrow(message);
  });

  test.each([
    [null, "The options of a transaction must be an object: found null"],
    [{ transactionalid: "x" }, 'option "transactionalid" of a transaction: did you mean "transact'],
    [{ producer: null }, "A transaction's producer must be an object: found null"],
    [{ producer: { linger: 5 } }, 'There is no option "linger" of a producer: did you mean "ling'],
  ])("of a transaction: %p", async (options, message) => {
    const failure = await rig.client
      .transaction(() => {}, wrong(options))
      .then(
        () => null,
        (error: unknown) => error,
      );
    expect(failure).toBeInstanceOf(TypeError);
    expect((failure as TypeError).message).toContain(message);
  });

  test.each([
    [null, "The options of a table must be an object: found null"],
    [{ keys: "text" }, 'There is no option "keys" of a table: did you mean "key"'],
    [{ producer: null }, "A table's producer must be an object: found null"],
    [{ producer: { lingerS: 5 } }, 'There is no option "lingerS" of a producer'],
  ])("of a table: %p", async (options, message) => {
    const failure = await rig.client.table("t", wrong(options)).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(TypeError);
    expect((failure as TypeError).message).toContain(message);
  });

  test("and what is undefined is not there", () => {
    const options = { topics: ["t"], wibble: undefined };
    expect(rig.client.consumer(wrong(options)).isClosed).toBe(false);
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
