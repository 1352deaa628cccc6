// One suite for both ways to a broker.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  type Client,
  ClientError,
  jsonCodec,
  type TableChange,
  type TableOptions,
} from "../../../src/client/mod.ts";
import { until } from "../../support/waiting.ts";
import { Rig, ways } from "../ports.ts";
import { failureOf } from "../rig.ts";
import { transaction } from "./lives.ts";

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.stop());

const TEXT = { key: "text", value: "text" } as const;

async function compacted(
  client: Client,
  name = "users",
  partitions = 1,
  configs: Record<string, string> = {},
): Promise<void> {
  await client.admin.createTopic({
    name,
    partitions,
    configs: { "cleanup.policy": "compact", ...configs },
  });
}

async function all<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of entries) found.push(each);
  return found;
}

const told = (change: TableChange<string, string>) => {
  if (change.type === "loaded") return "loaded";
  const was = change.isOldKnown ? (change.old ?? "nothing") : "?";
  return change.type === "put"
    ? `${change.key}=${change.value} (${was})`
    : `-${change.key} (${was})`;
};

/** Small segments, cleaned at every look. */
const CLEANED = { "internal.segment.bytes": "300", "min.cleanable.dirty.ratio": "0.01" };

for (const way of ways) {
  describe(`over ${way}`, () => {
    let client: Client;
    beforeEach(() => {
      client = rig.client(way);
    });

    for (const keep of ["values", "offsets"] as const) {
      test(`keep ${keep}: what lies in the topic, what is written, what is deleted`, async () => {
        await compacted(client, "users", 3);
        const producer = client.producer();
        for (const [key, value] of [
          ["b", "1"],
          ["a", "2"],
          ["b", "3"],
          ["gone", "4"],
          ["gone", null],
        ] as const) {
          await producer.send({ topic: "users", key, value });
        }
        const table = await client.table("users", { ...TEXT, keep });
        expect(await table.get("b")).toBe("3");
        expect([table.size, await table.has("gone"), await table.get("gone")]).toEqual([
          2,
          false,
          undefined,
        ]);
        const { partition, offset } = await table.put("c", "5");
        expect(await table.get("c")).toBe("5");
        expect(await table.entry("c")).toMatchObject({ key: "c", value: "5", partition, offset });
        await table.delete("a");
        expect([await table.has("a"), await table.get("a")]).toEqual([false, undefined]);
        expect((await all(table.scan())).map(({ key, value }) => key + value)).toEqual([
          "b3",
          "c5",
        ]);
        await producer.send({ topic: "users", key: "d", value: "6" });
        await table.upToDate();
        expect(await table.get("d")).toBe("6");
        expect(table.stats).toMatchObject({
          keys: 3,
          inLogOnly: keep === "values" ? 0 : 3,
          records: 8,
          keyless: 0,
        });
        await table.close();
        expect(await failureOf(table.get("b"))).toMatchObject({ code: "closed" });
        expect(await failureOf(table.put("b", ""))).toMatchObject({ code: "closed" });
      });

      test(`keep ${keep}: scans by prefix, range, limit and backwards, in the order of bytes`, async () => {
        await compacted(client, "users", 4);
        const table = await client.table("users", { ...TEXT, keep });
        const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
        await Promise.all(["é", "A", "", ...keys].map((key) => table.put(key, `v${key}`)));
        const sorted = ["", "A", ...[...keys].sort(), "é"];
        const keysOf = async (options: Parameters<typeof table.scan>[0]) => {
          const entries = await all(table.scan(options));
          for (const { key, value } of entries) expect(value).toBe(`v${key}`);
          return entries.map(({ key }) => key);
        };
        expect(await keysOf({})).toEqual(sorted);
        expect(await keysOf({ reverse: true })).toEqual([...sorted].reverse());
        const some = sorted.filter((key) => key.startsWith("k1"));
        expect(await keysOf({ prefix: "k1" })).toEqual(some);
        expect(await keysOf({ prefix: "k1", reverse: true, limit: 3 })).toEqual(
          [...some].reverse().slice(0, 3),
        );
        expect(await keysOf({ from: "k2", to: "k3" })).toEqual(
          sorted.filter((key) => key >= "k2" && key < "k3"),
        );
        expect(await keysOf({ from: "k99" })).toEqual(["k99", "é"]);
        expect(await keysOf({ limit: 0 })).toEqual([]);
        expect(await keysOf({ prefix: "nothing" })).toEqual([]);
        expect(await failureOf(all(table.scan({ prefix: "a", from: "b" })))).toBeInstanceOf(
          TypeError,
        );
        for (const [options, message] of [
          [{ limit: 1.5 }, "limit must be a whole number from 0 on: found 1.5"],
          [{ prefixes: "a" }, 'There is no option "prefixes" of a scan: did you mean "prefix"'],
          [null, "The options of a scan must be an object: found null"],
        ] as const) {
          const failure = await failureOf(
            all(table.scan(options as unknown as { prefix?: string })),
          );
          expect(failure).toBeInstanceOf(TypeError);
          expect(failure.message).toBe(message);
        }
        const wait = { timeout: 5 } as unknown as { timeoutMs: number };
        expect((await failureOf(table.upToDate(wait))).message).toContain('mean "timeoutMs"');
        const watched = { keys: "a" } as unknown as { key: string };
        expect(() => table.watch(watched)).toThrow('option "keys" of a watch: did you mean "key"');
      });

      test(`keep ${keep}: watches from now, from a snapshot, one key and a prefix`, async () => {
        await compacted(client, "users", 2);
        const table = await client.table("users", { ...TEXT, keep });
        for (const key of ["a", "b", "user/1", "user/2"]) await table.put(key, "0");
        const signal = new AbortController();
        const watches = {
          now: table.watch({ signal: signal.signal }),
          snapshot: table.watch({ from: "snapshot", signal: signal.signal }),
          key: table.watch({ key: "user/1", from: "snapshot", signal: signal.signal }),
          prefix: table.watch({ prefix: "user/", signal: signal.signal }),
        };
        const seen: Record<string, string[]> = {};
        const reading = Object.entries(watches).map(async ([name, watch]) => {
          const changes: string[] = [];
          seen[name] = changes;
          for await (const change of watch) changes.push(told(change));
        });
        await until(() => seen["snapshot"]?.at(-1) === "loaded", "the snapshot is told");
        await until(() => seen["key"]?.at(-1) === "loaded", "the key's snapshot is told");
        // One at a time, so that nothing is told in one.
        const steps = [
          ["put", "a", "1"],
          ["put", "user/1", "1"],
          ["put", "user/1", "2"],
          ["delete", "user/1"],
          ["delete", "nobody"],
          ["put", "new", "1"],
        ] as const;
        let count = 0;
        for (const [kind, key, value] of steps) {
          if (kind === "put") await table.put(key, value);
          else await table.delete(key);
          if (key !== "nobody") count++;
          await until(() => seen["now"]!.length === count, `${count} changes`);
          await until(() => seen["snapshot"]!.length === 5 + count, `${count} changes behind`);
        }
        await until(() => seen["prefix"]!.length === 3 && seen["key"]!.length === 5, "the others");
        signal.abort();
        await Promise.all(reading);
        const changes = [
          "a=1 (0)",
          "user/1=1 (0)",
          "user/1=2 (1)",
          "-user/1 (2)",
          "new=1 (nothing)",
        ];
        const start = ["a", "b", "user/1", "user/2"].map((key) => `${key}=0 (nothing)`);
        expect(seen["now"]).toEqual(changes);
        expect(seen["snapshot"]).toEqual([...start, "loaded", ...changes]);
        expect(seen["prefix"]).toEqual(changes.slice(1, 4));
        expect(seen["key"]).toEqual([start[2]!, "loaded", ...changes.slice(1, 4)]);
      });

      test(`keep ${keep}: a slow watch is told the newest, and what it was told before`, async () => {
        await compacted(client);
        const table = await client.table("users", { ...TEXT, keep });
        for (const key of ["a", "b", "c"]) await table.put(key, "0");
        const watch = table.watch()[Symbol.asyncIterator]();
        const first = watch.next();
        await table.put("a", "1");
        expect(told((await first).value!)).toBe("a=1 (0)");
        for (let i = 2; i < 50; i++) await table.put("a", `${i}`);
        await table.delete("b");
        await table.put("c", "1");
        await table.delete("c");
        await table.put("c", "2");
        await table.put("brief", "1");
        await table.delete("brief");
        await table.put("last", "1");
        const found: string[] = [];
        while (found.at(-1) !== "last=1 (nothing)") found.push(told((await watch.next()).value!));
        expect(found).toEqual(["a=49 (1)", "-b (0)", "c=2 (0)", "last=1 (nothing)"]);
        await watch.return(undefined);
      });

      test(`keep ${keep}: what compaction takes is passed by, for reads, scans and watches`, async () => {
        await client.close();
        await rig.stop();
        rig = await Rig.start({ "log.cleaner.backoff.ms": 0 });
        client = rig.client(way);
        await compacted(client, "users", 1, { ...CLEANED, "delete.retention.ms": "0" });
        const table = await client.table("users", { ...TEXT, keep, bytesMax: 1 << 24 });
        const value = (round: number) => `${round}`.padEnd(80, ".");
        for (let i = 0; i < 10; i++) await table.put(`k${i}`, value(0));
        const watch = table.watch({ prefix: "k" })[Symbol.asyncIterator]();
        const first = watch.next();
        await table.put("k0", value(1));
        expect((await first).value).toMatchObject({ key: "k0", old: value(0), isOldKnown: true });
        const toldMs = performance.now();
        for (let round = 2; round < 8; round++) {
          for (let i = 0; i < 10; i++) await table.put(`k${i}`, value(round));
          // Reads go on while records go.
          for (let i = 0; i < 10; i++) expect(await table.get(`k${i}`)).toBe(value(round));
        }
        await table.delete("k9");
        for (let i = 0; i < 5; i++) await table.put("other", value(i));
        const isCleaned = async () => {
          const options = { topics: ["users"], untilEnd: true } as const;
          const left = await all(client.consumer(options));
          // With the values that the watch is going to ask for: cleaning may come in several goes.
          const texts = left.map((each) => new TextDecoder().decode(each.value ?? undefined));
          return left.length < 25 && !texts.includes(value(0)) && !texts.includes(value(1));
        };
        await until(isCleaned, "the log is cleaned");
        // What a table has read it keeps for a second, and tells from there.
        await until(() => performance.now() > toldMs + 1_100, "nothing is kept any more");
        expect(await all(table.scan({ prefix: "k" }))).toHaveLength(9);
        const entries = await all(table.scan({ reverse: true }));
        expect(entries.map((each) => each.key).join()).toBe("other,k8,k7,k6,k5,k4,k3,k2,k1,k0");
        const changes: string[] = [];
        for (let i = 0; i < 10; i++) {
          const change = (await watch.next()).value!;
          changes.push(told(change).replaceAll(".", ""));
        }
        // In memory the former value is at hand; in the log it is not any more.
        const was = keep === "values" ? ["1", "0"] : ["?", "?"];
        const expected = Array.from({ length: 9 }, (_, i) => `k${i}=7 (${was[i === 0 ? 0 : 1]})`);
        expect(changes.sort()).toEqual([`-k9 (${was[1]})`, ...expected].sort());
        // Loaded anew it is the same.
        const again = await client.table("users", { ...TEXT, keep });
        expect((await all(again.scan())).map((each) => each.key + each.value)).toEqual(
          [...entries].reverse().map((each) => each.key + each.value),
        );
      });
    }

    test("only what a key has that was committed is seen; others are not held up by what is open", async () => {
      await compacted(client);
      const writer = await transaction(rig.port(way), "users");
      const table = await client.table("users", TEXT);
      const dirty = await client.table("users", { ...TEXT, isolation: "read_uncommitted" });
      await table.put("a", "0");
      await writer.send({ key: "a", value: "aborted" });
      await dirty.upToDate();
      expect(await dirty.get("a")).toBe("aborted");
      expect(await table.get("a")).toBe("0");
      // Written behind an open transaction, and seen by who wrote it all the same.
      await table.put("b", "1");
      expect(await table.get("b")).toBe("1");
      expect(await failureOf(table.upToDate({ timeoutMs: 50 }))).toMatchObject({
        code: "request_timed_out",
      });
      // Who comes now need not wait for it either.
      const late = await client.table("users", TEXT);
      await late.ready;
      expect([await late.get("a"), await late.get("b")]).toEqual(["0", undefined]);
      const whenSeen = late.upToDate();
      await writer.end(false);
      await whenSeen;
      expect([await late.get("a"), await late.get("b")]).toEqual(["0", "1"]);
      await writer.send({ key: "a", value: "committed" });
      await writer.end(true);
      await Promise.all([table.upToDate(), late.upToDate()]);
      expect([await table.get("a"), await late.get("a")]).toEqual(["committed", "committed"]);
      expect(table.stats.positions).toEqual(late.stats.positions);
      // A topic that ends in markers alone is read to its end, too.
      const [end] = await client.admin.offsets([{ topic: "users", partition: 0, at: "latest" }]);
      expect(end).toMatchObject({ ok: true, value: { offset: table.stats.positions[0] } });
    });

    test("an early tombstone outlives older records that are read behind it", async () => {
      await compacted(client);
      const writer = await transaction(rig.port(way), "users");
      const table = await client.table("users", TEXT);
      await writer.send({ key: "x", value: "open" });
      await client.producer().send({ topic: "users", key: "a", value: "read late" });
      await table.delete("a");
      expect(await table.has("a")).toBe(false);
      const changes: string[] = [];
      const watch = table.watch();
      const reading = (async () => {
        for await (const change of watch) changes.push(told(change));
      })();
      await writer.end(true);
      await table.upToDate();
      expect([await table.get("a"), await table.get("x")]).toEqual([undefined, "open"]);
      expect(table.size).toBe(1);
      await until(() => changes.length > 0, "the commit is told");
      watch.close();
      await reading;
      expect(changes).toEqual(["x=open (nothing)"]);
    });

    test("refuses what is no table", async () => {
      await client.admin.createTopic({ name: "plain", partitions: 1 });
      const refused = await failureOf(client.table("plain"));
      expect(refused).toMatchObject({ code: "invalid_config" });
      expect(String(refused)).toContain("cleanup.policy=delete");
      expect(await failureOf(client.table("nowhere"))).toMatchObject({
        code: "unknown_topic_or_partition",
      });
      const wrong = [
        { keep: "all" },
        { bytesMax: 0 },
        { key: "xml" },
        { isolation: "serializable" },
        { producer: { compression: "brotli" } },
        { producer: { acks: 0 } },
        { producer: { transactionalId: "x" } },
      ] as unknown as TableOptions[];
      for (const options of wrong) {
        expect(await failureOf(client.table("plain", options))).toBeInstanceOf(TypeError);
      }
      expect(await failureOf(client.table(null as never))).toBeInstanceOf(TypeError);
      await compacted(client);
      const table = await client.table("users");
      expect(() => table.watch({ key: new Uint8Array(1), prefix: new Uint8Array(1) })).toThrow(
        TypeError,
      );
      expect(await failureOf(table.put("text" as never, new Uint8Array(0)))).toBeInstanceOf(
        TypeError,
      );
    });

    test("a topic that is not compacted: keyless records are passed by, and what retention takes goes", async () => {
      await client.admin.createTopic({ name: "plain", partitions: 1 });
      const producer = client.producer();
      for (const [key, value] of [
        ["a", "1"],
        [null, "keyless"],
        ["b", "1"],
        ["c", "1"],
        ["a", "2"],
      ] as const) {
        await producer.send({ topic: "plain", key, value });
      }
      for (const keep of ["values", "offsets"] as const) {
        const table = await client.table("plain", { ...TEXT, keep, mayBeUncompacted: true });
        await table.ready;
        expect(table.stats).toMatchObject({ keys: 3, keyless: 1, records: 5 });
        await table.close();
      }
      const table = await client.table("plain", { ...TEXT, mayBeUncompacted: true });
      const watch = table.watch({ from: "snapshot" });
      const changes: string[] = [];
      const reading = (async () => {
        for await (const change of watch) changes.push(told(change));
      })();
      await until(() => changes.includes("loaded"), "the snapshot is told");
      await client.admin.deleteRecords([{ topic: "plain", partition: 0, beforeOffset: 4 }]);
      await producer.send({ topic: "plain", key: "d", value: "1" });
      await until(() => table.size === 2 && changes.length > 6, "records go");
      watch.close();
      await reading;
      expect((await all(table.scan())).map(({ key, value }) => key + value)).toEqual(["a2", "d1"]);
      expect(changes.slice(4).sort()).toEqual(["-b (1)", "-c (1)", "d=1 (nothing)"]);
    });

    test("values beyond the bound are read from the log; keys beyond it end the table", async () => {
      await compacted(client);
      const table = await client.table("users", { ...TEXT, bytesMax: 600_000 });
      const value = (i: number) => `${i}`.padEnd(2000, "-");
      for (let i = 0; i < 600; i += 50) {
        await Promise.all(
          Array.from({ length: 50 }, (_, j) => table.put(`k${i + j}`, value(i + j))),
        );
      }
      expect(table.size).toBe(600);
      expect(table.stats.inLogOnly).toBeGreaterThan(250);
      expect(table.stats.bytes).toBeLessThanOrEqual(600_000);
      for (let i = 0; i < 600; i += 7) expect(await table.get(`k${i}`)).toBe(value(i));
      expect(await all(table.scan())).toHaveLength(600);
      const small = await client.table("users", { ...TEXT, keep: "offsets", bytesMax: 20_000 });
      const watch = small.watch();
      const failure = await failureOf(small.ready);
      expect(failure).toMatchObject({ code: "buffer_full" });
      expect(String(failure)).toContain("raise bytesMax");
      expect(await failureOf(small.get("k1"))).toBe(failure);
      expect(await failureOf(all(watch))).toBe(failure);
    });

    test("a watch that is too slow ends with an error, once keys alone are too many", async () => {
      await compacted(client);
      const table = await client.table("users", TEXT);
      await table.put("a", "before");
      const watch = table.watch({ bufferBytesMax: 3000 });
      await table.ready;
      await table.put("a", "after");
      await table.put("a2", "x".repeat(4000));
      await table.put("a2", "y");
      const iterator = watch[Symbol.asyncIterator]();
      // Former values give way first; they are in the log.
      expect(told((await iterator.next()).value!)).toBe("a=after (before)");
      for (let i = 0; i < 40; i++) await table.put(`k${i}`, "v");
      const failure = await failureOf(
        (async () => {
          for (;;) if ((await iterator.next()).done === true) return;
        })(),
      );
      expect(failure).toMatchObject({ code: "buffer_full" });
      expect(await table.get("k39")).toBe("v");
    });

    test("partitions that are added are read; a key that moved has its newest value", async () => {
      await compacted(client, "users", 1);
      const table = await client.table("users", TEXT);
      const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
      for (const key of keys) await table.put(key, "one");
      await client.admin.createPartitions("users", 4);
      const other = rig.client(way);
      const producer = other.producer();
      for (const key of keys) {
        await producer.send({ topic: "users", key, value: "two" });
      }
      await table.upToDate();
      expect(table.stats.positions.length).toBe(4);
      for (const key of keys) expect(await table.get(key)).toBe("two");
      await producer.send({ topic: "users", key: "k3", value: null });
      await table.upToDate();
      expect([table.size, await table.has("k3")]).toEqual([19, false]);
      const again = await other.table("users", TEXT);
      expect((await all(again.scan())).map((each) => each.key)).toEqual(
        keys.filter((key) => key !== "k3").sort(),
      );
      for (const { value } of await all(again.scan())) expect(value).toBe("two");
    });

    test("a topic that was made anew is read anew; one that is gone ends the table", async () => {
      await compacted(client, "users", 2);
      const table = await client.table("users", TEXT);
      const writer = rig.client(way).producer();
      await writer.sendAll(
        Array.from({ length: 10 }, (_, i) => ({ topic: "users", key: `old${i}`, value: "v" })),
      );
      await table.upToDate();
      const watch = table.watch();
      const changes: string[] = [];
      const reading = (async () => {
        for await (const change of watch) changes.push(told(change));
      })().catch((error: unknown) => error);
      await client.admin.deleteTopic("users");
      await compacted(client, "users", 1);
      await writer.send({ topic: "users", partition: 0, key: "new", value: "1" });
      await until(async () => (await table.get("new")) === "1" && table.size === 1, "the new one");
      expect(table.stats.positions).toEqual([1]);
      await until(() => changes.length === 11, "the changes are told");
      expect(changes.filter((each) => each.startsWith("-old"))).toHaveLength(10);
      expect(changes).toContain("new=1 (nothing)");
      await table.put("more", "2");
      expect((await all(table.scan())).map(({ key }) => key)).toEqual(["more", "new"]);
      await client.admin.deleteTopic("users");
      expect(await reading).toMatchObject({ code: "unknown_topic_or_partition" });
      expect(await failureOf(table.get("new"))).toMatchObject({
        code: "unknown_topic_or_partition",
      });
    }, 20_000);

    test("codecs: bytes unless told otherwise, JSON, and one's own; what they throw is told", async () => {
      await compacted(client);
      const bytes = await client.table("users");
      const key = new Uint8Array([1, 255]);
      await bytes.put(key, new Uint8Array([0, 128]));
      const value = (await bytes.get(key))!;
      value[0] = 9;
      expect(await bytes.get(key)).toEqual(new Uint8Array([0, 128]));
      const own = { encode: (n: number) => new Uint8Array([n]), decode: (b: Uint8Array) => b[0]! };
      const table = await client.table("users", { key: own, value: jsonCodec<{ n: number[] }>() });
      await table.put(7, { n: [1, 2] });
      const found = await table.get(7);
      expect(found?.n).toEqual([1, 2]);
      expect(await table.get(1)).toBeUndefined();
      await bytes.put(new Uint8Array([8]), new Uint8Array([123]));
      await table.upToDate();
      expect(await failureOf(table.get(8))).toBeInstanceOf(SyntaxError);
      expect(await table.has(8)).toBe(true);
    });

    test("closing ends watches and calls; closing the client closes its tables", async () => {
      await compacted(client);
      const table = await client.table("users", TEXT);
      await table.put("a", "1");
      const reading = all(table.watch());
      const waiting = table.upToDate().catch((error: unknown) => error);
      const putting = table.put("b", "2");
      await client.close();
      expect(await reading).toHaveLength(1);
      await waiting;
      await putting;
      expect(await failureOf(table.get("a"))).toMatchObject({ code: "closed" });
      expect(await failureOf(client.table("users"))).toBeInstanceOf(ClientError);
    });

    test("reads go on over fetches that break, are late, or come to the wrong broker", async () => {
      await compacted(client, "users", 2);
      const table = await client.table("users", { ...TEXT, keep: "offsets" });
      let count = 0;
      const faults = ["break_before", "not_leader", "slow", null, null] as const;
      rig.faults.fetch = () => faults[count++ % faults.length]!;
      for (let i = 0; i < 60; i++) {
        await table.put(`k${i % 9}`, `${i}`);
        expect(await table.get(`k${i % 9}`)).toBe(`${i}`);
      }
      await table.upToDate();
      expect(table.size).toBe(9);
    });
  });
}
