import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ConsumerOptions } from "../../src/client/mod.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { CONTROL_ABORT, CONTROL_COMMIT, controlKey } from "../../src/record/control_record.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { RESET, type ScriptedBroker } from "../../src/testing/scripted_broker.ts";
import type { ScriptedLog } from "../../src/testing/scripted_log.ts";
import { failureOf, type Rig, startRig, text, utf8 } from "./rig.ts";

let rig: Rig;
let broker: ScriptedBroker;
beforeEach(async () => {
  rig = await startRig({ brokers: 2 });
  broker = rig.brokers[0]!;
});
afterEach(() => rig.stop());

/** Appends batches of the sizes given; values count from the log's end. */
function fill(
  log: ScriptedLog,
  sizes: readonly number[],
  codec: "none" | "gzip" | "snappy" | "lz4" | "zstd" = "none",
): void {
  for (const size of sizes) {
    const builder = new RecordBatchBuilder({ codec, compression: hostCompression });
    for (let index = 0; index < size; index++) {
      const offset = log.endOffset + index;
      builder.append(1_000 + offset, utf8(`k${offset}`), utf8(`v${offset}`));
    }
    log.append(builder.build());
  }
}

async function read(options: ConsumerOptions): Promise<string[]> {
  const found: string[] = [];
  for await (const record of rig.client.consumer(options)) {
    found.push(`${record.partition}:${record.offset}=${text(record.value)}`);
  }
  return found;
}

const range = (from: number, end: number, partition = 0) =>
  Array.from({ length: end - from }, (_, index) => `${partition}:${from + index}=v${from + index}`);

describe("where reading begins and ends", () => {
  beforeEach(() => fill(rig.cluster.addTopic("t", 1).partitions[0]!, [3, 5, 1, 4]));

  test("from the beginning to the end, batch by batch", async () => {
    expect(await read({ topics: ["t"], untilEnd: true })).toEqual(range(0, 13));
  });

  test("at any offset, also within a batch", async () => {
    for (let offset = 0; offset <= 13; offset++) {
      expect(await read({ topics: ["t"], from: { offset }, untilEnd: true })).toEqual(
        range(offset, 13),
      );
    }
  });

  test("a number of offsets from the end, a time, the end itself", async () => {
    expect(await read({ topics: ["t"], from: { lastOffsets: 2 }, untilEnd: true })).toEqual(
      range(11, 13),
    );
    expect(await read({ topics: ["t"], from: { lastOffsets: 99 }, untilEnd: true })).toEqual(
      range(0, 13),
    );
    expect(await read({ topics: ["t"], from: { timestampMs: 1_008 }, untilEnd: true })).toEqual(
      range(8, 13),
    );
    expect(await read({ topics: ["t"], from: { timestampMs: 9_999 }, untilEnd: true })).toEqual([]);
    expect(await read({ topics: ["t"], from: "end", untilEnd: true })).toEqual([]);
  });

  test("after so many records", async () => {
    for (const recordsMax of [0, 1, 3, 4, 13, 99]) {
      expect(await read({ topics: ["t"], recordsMax, untilEnd: true })).toEqual(
        range(0, Math.min(recordsMax, 13)),
      );
    }
  });

  test('what comes after the start does not belong to "until the end"', async () => {
    const log = rig.cluster.topics.get("t")!.partitions[0]!;
    broker.once(Fetch, (call) => {
      fill(log, [10]);
      return call.model();
    });
    expect(await read({ topics: ["t"], untilEnd: true })).toEqual(range(0, 13));
  });

  test("without an end it goes on with what comes, until it is closed", async () => {
    const log = rig.cluster.topics.get("t")!.partitions[0]!;
    const consumer = rig.client.consumer({ topics: ["t"], from: "end" });
    const found: number[] = [];
    const reading = (async () => {
      for await (const { offset } of consumer) {
        found.push(offset);
        if (offset < 15) {
          fill(log, [1]);
          rig.cluster.notify();
        } else consumer.close();
      }
    })();
    while (broker.count(Fetch) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    fill(log, [1]);
    rig.cluster.notify();
    await reading;
    expect(found).toEqual([13, 14, 15]);
  });

  test("a signal ends it without an error, also before it began", async () => {
    const abort = new AbortController();
    const reading = read({ topics: ["t"], from: "end", signal: abort.signal });
    while (broker.count(Fetch) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    abort.abort();
    expect(await reading).toEqual([]);
    expect(await read({ topics: ["t"], signal: abort.signal })).toEqual([]);
  });

  test("leaving the loop ends the fetching", async () => {
    for await (const record of rig.client.consumer({ topics: ["t"] })) {
      if (record.offset === 4) break;
    }
    const count = broker.count(Fetch);
    rig.cluster.notify();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(broker.count(Fetch) - count).toBeLessThanOrEqual(1);
  });

  test("it is iterated once", async () => {
    const consumer = rig.client.consumer({ topics: ["t"], untilEnd: true });
    for await (const _ of consumer);
    expect((await failureOf(consumer[Symbol.asyncIterator]().next())).code).toBe("closed");
  });
});

describe("what comes", () => {
  test("with every codec is the same", async () => {
    for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
      fill(rig.cluster.addTopic(codec, 1).partitions[0]!, [10, 20], codec);
      expect(await read({ topics: [codec], untilEnd: true })).toEqual(range(0, 30));
    }
  });

  test("from brokers of every version, by name and by topic id", async () => {
    fill(rig.cluster.addTopic("t", 1).partitions[0]!, [3]);
    for (let version = Fetch.lowest; version <= Fetch.highestStable; version++) {
      broker.offered.set(Fetch.apiKey, [4, version]);
      expect(await read({ topics: ["t"], untilEnd: true })).toEqual(range(0, 3));
    }
    const versions = broker.requests
      .filter(({ api }) => api === "Fetch")
      .map((each) => each.version);
    expect(new Set(versions).size).toBe(Fetch.highestStable - Fetch.lowest + 1);
  });

  test("from several partitions on two brokers keeps the order of each", async () => {
    const { partitions } = rig.cluster.addTopic("t", 5);
    for (const [index, log] of partitions.entries()) {
      fill(
        log,
        Array.from({ length: 10 }, (_, at) => 1 + ((at * 7 + index) % 5)),
      );
    }
    const found = await read({ topics: ["t"], untilEnd: true, partitionBytesMax: 300 });
    for (const [index, log] of partitions.entries()) {
      const own = found.filter((each) => each.startsWith(`${index}:`));
      expect(own).toEqual(range(0, log.endOffset, index));
    }
    expect(rig.brokers[1]!.count(Fetch)).toBeGreaterThan(0);
  });

  test("of named partitions, each from its own place, is only theirs", async () => {
    const { partitions } = rig.cluster.addTopic("t", 3);
    for (const log of partitions) fill(log, [4]);
    const found = await read({
      partitions: [
        { topic: "t", partition: 1, from: { offset: 2 } },
        { topic: "t", partition: 2 },
      ],
      untilEnd: true,
    });
    expect(found.sort()).toEqual([...range(2, 4, 1), ...range(0, 4, 2)]);
    const failure = await failureOf(read({ partitions: [{ topic: "t", partition: 3 }] }));
    expect(failure.message).toContain("0 to 2");
  });

  test("fetched and not taken stays within the buffer", async () => {
    const log = rig.cluster.addTopic("t", 1).partitions[0]!;
    fill(
      log,
      Array.from({ length: 100 }, () => 10),
    );
    const batchBytes = log.batches[0]!.bytes.length;
    const consumer = rig.client.consumer({
      topics: ["t"],
      untilEnd: true,
      partitionBytesMax: 2 * batchBytes,
      bufferBytesMax: 6 * batchBytes,
    });
    let records = 0;
    for await (const batch of consumer.batches()) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      records += batch.records().length;
      const { offset } = consumer.positions()[0]!;
      // Six batches of buffer, one answer of two batches on top, and the one in hand.
      expect(offset - records).toBeLessThanOrEqual(100);
    }
    expect(records).toBe(1_000);
  });

  test("damaged is refused, never shown", async () => {
    const log = rig.cluster.addTopic("t", 1).partitions[0]!;
    fill(log, [2, 2]);
    log.batches[1]!.bytes[70]! ^= 1;
    const found: number[] = [];
    const failure = await failureOf(
      (async () => {
        for await (const { offset } of rig.client.consumer({ topics: ["t"], untilEnd: true })) {
          found.push(offset);
        }
      })(),
    );
    expect(failure.code).toBe("corrupt_message");
    expect(failure.message).toContain("offset 2");
    expect(found.every((offset) => offset < 2)).toBe(true);
  });

  test("without control batches, and without what was aborted when only committed records count", async () => {
    const log = rig.cluster.addTopic("t", 1).partitions[0]!;
    const transactional = (producerId: number, value: string) => {
      const builder = new RecordBatchBuilder({
        producerId,
        producerEpoch: 0,
        baseSequence: -1,
        isTransactional: true,
      });
      builder.append(1, null, utf8(value));
      const bytes = builder.build();
      const baseOffset = log.endOffset;
      appendRaw(log, bytes);
      return baseOffset;
    };
    const marker = (producerId: number, type: number) => {
      const builder = new RecordBatchBuilder({
        producerId,
        producerEpoch: 0,
        isTransactional: true,
        isControl: true,
      });
      builder.append(1, controlKey(type), new Uint8Array(6));
      appendRaw(log, builder.build());
    };
    const firstOffset = transactional(7, "aborted");
    transactional(8, "committed");
    marker(7, CONTROL_ABORT);
    transactional(7, "second try");
    marker(7, CONTROL_COMMIT);
    marker(8, CONTROL_COMMIT);
    broker.always(Fetch, (call) => {
      const answer = call.model();
      const partitions = answer.responses.map((topic) => ({
        ...topic,
        partitions: topic.partitions.map((each) => ({
          ...each,
          abortedTransactions: [{ producerId: 7, firstOffset }],
        })),
      }));
      return { ...answer, responses: partitions };
    });
    const values = async (isolation: "read_committed" | "read_uncommitted") => {
      return (await read({ topics: ["t"], untilEnd: true, isolation })).map(
        (each) => each.split("=")[1]!,
      );
    };
    expect(await values("read_uncommitted")).toEqual(["aborted", "committed", "second try"]);
    expect(await values("read_committed")).toEqual(["committed", "second try"]);
  });
});

describe("trouble", () => {
  test("breaks and moves of leaders on the way lose and double nothing", async () => {
    const { partitions } = rig.cluster.addTopic("t", 4);
    for (const log of partitions)
      fill(
        log,
        Array.from({ length: 30 }, () => 3),
      );
    let count = 0;
    for (const each of rig.brokers) {
      each.always(Fetch, (call) => {
        count++;
        if (count % 5 === 0) return RESET;
        if (count % 7 === 0) rig.cluster.moveLeader("t", count % 4, 1 + (count % 2));
        return call.model();
      });
    }
    const found = await read({ topics: ["t"], untilEnd: true, partitionBytesMax: 250 });
    for (let partition = 0; partition < 4; partition++) {
      expect(found.filter((each) => each.startsWith(`${partition}:`))).toEqual(
        range(0, 90, partition),
      );
    }
    expect(count).toBeGreaterThan(20);
  });

  test("an offset that retention took away is an error, or a new beginning", async () => {
    const log = rig.cluster.addTopic("t", 1).partitions[0]!;
    fill(log, [5, 5]);
    log.startOffset = 5;
    const from = { offset: 2 };
    const failure = await failureOf(read({ topics: ["t"], from, untilEnd: true }));
    expect(failure.code).toBe("offset_out_of_range");
    expect(failure.message).toContain("5 to 10");
    expect(await read({ topics: ["t"], from, outOfRange: "earliest", untilEnd: true })).toEqual(
      range(5, 10),
    );
    expect(await read({ topics: ["t"], from, outOfRange: "latest", untilEnd: true })).toEqual([]);
  });

  test("a topic that is not there, or may not be read, is an error", async () => {
    expect((await failureOf(read({ topics: ["nope"] }))).code).toBe("unknown_topic_or_partition");
    fill(rig.cluster.addTopic("t", 1).partitions[0]!, [1]);
    broker.always(Fetch, ({ request }) => ({
      errorCode: 0,
      sessionId: 0,
      responses: request.topics.map(({ topic, topicId, partitions }) => ({
        topic,
        topicId,
        partitions: partitions.map(({ partition }) => ({
          partitionIndex: partition,
          errorCode: 29,
          highWatermark: -1,
          abortedTransactions: null,
          records: null,
        })),
      })),
    }));
    expect((await failureOf(read({ topics: ["t"] }))).code).toBe("topic_authorization_failed");
  });
});

/** Past the model's check of sequences, which transactions of this test do not have. */
function appendRaw(log: ScriptedLog, bytes: Uint8Array): void {
  const baseOffset = log.endOffset;
  const copy = bytes.slice();
  new DataView(copy.buffer).setBigInt64(0, BigInt(baseOffset));
  log.batches.push({ bytes: copy, baseOffset, endOffset: baseOffset + 1 });
}
