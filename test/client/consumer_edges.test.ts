// Where a consumer stood still, grew, or showed what it should not: each was a bug, over both ways.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client, ConsumerOptions, StartAt } from "../../src/client/mod.ts";
import { createClient } from "../../src/client/mod.ts";
import type { Compression } from "../../src/record/compression.ts";
import { Rig, ways } from "./ports.ts";
import { text } from "./rig.ts";

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.stop());

for (const way of ways) {
  describe(`a consumer over ${way}`, () => {
    let client: Client;
    beforeEach(() => {
      client = rig.client(way);
    });

    const fill = async (
      partitions: number,
      counts: readonly number[],
      value = "x".repeat(1000),
    ) => {
      await client.admin.createTopic({ name: "t", partitions });
      const producer = client.producer();
      for (let partition = 0; partition < counts.length; partition++) {
        for (let i = 0; i < counts[partition]!; i++) {
          await producer.send({ topic: "t", partition, value });
        }
      }
      return producer;
    };
    const read = async (options: ConsumerOptions) => {
      const offsets: number[] = [];
      const signal = AbortSignal.timeout(5_000);
      for await (const { offset } of client.consumer({ untilEnd: true, signal, ...options })) {
        offsets.push(offset);
      }
      return offsets;
    };

    test("goes on behind a batch that alone fills the buffer", async () => {
      await fill(1, [3]);
      const options = { topics: ["t"], bufferBytesMax: 500, partitionBytesMax: 1_100 };
      expect(await read(options)).toEqual([0, 1, 2]);
    });

    test("that wants the last offsets is given what is left of them", async () => {
      await fill(1, [10], "x");
      await client.admin.deleteRecords([{ topic: "t", partition: 0, beforeOffset: 7 }]);
      expect(await read({ topics: ["t"], from: { lastOffsets: 5 } })).toEqual([7, 8, 9]);
    });

    test("reads on while a paused partition fills the buffer", async () => {
      const producer = await fill(2, [20]);
      const signal = AbortSignal.timeout(5_000);
      const consumer = client.consumer({ topics: ["t"], bufferBytesMax: 2_000, signal });
      const found: number[] = [];
      for await (const { partition } of consumer) {
        found.push(partition);
        if (partition === 1) break;
        if (found.length > 1) continue;
        consumer.pause("t", 0);
        await producer.send({ topic: "t", partition: 1, value: "y" });
      }
      expect(found.at(-1)).toBe(1);
    });

    test("decompresses what is taken, not what is fetched", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      const producer = client.producer({ compression: "gzip" });
      for (let i = 0; i < 20; i++) {
        await producer.send({ topic: "t", value: "z".repeat(100_000) });
      }
      let opened = 0;
      const { runtime } = rig;
      const compression: Compression = {
        ...runtime.compression,
        decompress(...args: Parameters<Compression["decompress"]>) {
          opened++;
          return runtime.compression.decompress(...args);
        },
      };
      const own = createClient({ ...runtime, compression }, { port: rig.port(way) });
      let taken = 0;
      for await (const batch of own.consumer({ topics: ["t"], untilEnd: true }).batches()) {
        expect(batch.records().length).toBe(1);
        expect(opened).toBe(++taken);
      }
      expect(taken).toBe(20);
      await own.close();
    });

    test("that was sent elsewhere at any moment gives nothing from before", async () => {
      await fill(1, [10], "x");
      for (let turns = 0; turns < 40; turns++) {
        const signal = AbortSignal.timeout(5_000);
        const consumer = client.consumer({ topics: ["t"], partitionBytesMax: 100, signal });
        const iterator = consumer[Symbol.asyncIterator]();
        await iterator.next();
        const next = iterator.next();
        for (let i = 0; i < turns; i++) await null;
        let isGiven = false;
        void next.then(() => {
          isGiven = true;
        });
        await null;
        const wasGiven = isGiven;
        consumer.seek("t", 0, 7);
        const after = wasGiven ? await iterator.next() : await next;
        expect(wasGiven ? [7] : [7, 1]).toContain(after.done === true ? -1 : after.value.offset);
        if (after.done !== true && after.value.offset === 1) {
          // It was on its way to the caller already: the next is of the new place.
          const then = await iterator.next();
          expect(then.done === true ? -1 : then.value.offset).toBe(7);
        }
        await iterator.return(undefined);
      }
    });

    test("refuses a start that there is not, by name", () => {
      const wrong: unknown[] = [
        "earliest",
        null,
        5,
        {},
        { offset: -1 },
        { offset: 1, timestampMs: 2 },
      ];
      for (const from of [...wrong, { lastOffsets: 0.5 }, { timestampMs: new Date(0) }]) {
        const start = from as StartAt;
        expect(() => client.consumer({ topics: ["t"], from: start })).toThrow(/^from must be/);
        const partitions = [{ topic: "t", partition: 0, from: start }];
        expect(() => client.consumer({ partitions })).toThrow(TypeError);
      }
    });

    test("does not go on at the old offset of a topic that was made anew", async () => {
      for (const outOfRange of ["earliest", "error"] as const) {
        const producer = await fill(1, [3], "old");
        const signal = AbortSignal.timeout(5_000);
        const consumer = client.consumer({ topics: ["t"], outOfRange, signal });
        const found: string[] = [];
        const reading = (async () => {
          for await (const { offset, value } of consumer) {
            found.push(`${offset} ${text(value)}`);
            if (found.length === 3) {
              await client.admin.deleteTopic("t");
              await fill(1, [5], "new");
            }
            if (found.length === 8) break;
          }
        })();
        if (outOfRange === "error") {
          await expect(reading).rejects.toMatchObject({ code: "unknown_topic_id" });
          expect(found.length).toBe(3);
        } else {
          await reading;
          expect(found).toEqual([
            ...["0 old", "1 old", "2 old"],
            ...["0 new", "1 new", "2 new", "3 new", "4 new"],
          ]);
        }
        await producer.close();
        await client.admin.deleteTopic("t");
      }
    });

    test("reads on where records are deleted before it, with every codec", async () => {
      await client.admin.createTopic({ name: "t", partitions: 1 });
      for (const compression of ["none", "gzip", "zstd", "snappy", "lz4"] as const) {
        const producer = client.producer({ compression, batchBytesMax: 300 });
        const values = Array.from({ length: 40 }, (_, i) => `${compression} ${i}`);
        await producer.sendAll(values.map((value) => ({ topic: "t", value })));
      }
      const signal = AbortSignal.timeout(5_000);
      const consumer = client.consumer({
        topics: ["t"],
        untilEnd: true,
        outOfRange: "earliest",
        bufferBytesMax: 400,
        partitionBytesMax: 400,
        signal,
      });
      const offsets: number[] = [];
      for await (const { offset, value } of consumer) {
        expect(text(value)).toMatch(new RegExp(` ${offset % 40}$`));
        if (offsets.length === 5) {
          await client.admin.deleteRecords([{ topic: "t", partition: 0, beforeOffset: 123 }]);
        }
        offsets.push(offset);
      }
      expect(offsets.at(-1)).toBe(199);
      expect(offsets.slice(-77)).toEqual(Array.from({ length: 77 }, (_, i) => 123 + i));
      expect([...offsets].sort((a, b) => a - b)).toEqual(offsets);
    });
  });
}
