// Tables beside a model that is a Map: random writes by several hands, transactions, cleaning, tables that are opened
// anew, and a broker that is ended and started again under way.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { type Client, ClientError, type Table } from "../../../src/client/mod.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import { pause, until } from "../../support/waiting.ts";
import { type Way, ways } from "../ports.ts";
import { Lives, transaction } from "./lives.ts";

const TEXT = { key: "text", value: "text" } as const;
const SEEDS = isFullTestRun ? 20 : 2;
const STEPS = isFullTestRun ? 600 : 220;

type Model = Map<string, string>;
type TextTable = Table<string, string>;

const sorted = (model: Model) => [...model].sort(([a], [b]) => (a < b ? -1 : 1));

async function contents(table: TextTable, reverse = false): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const { key, value } of table.scan({ reverse })) found.push([key, value]);
  return reverse ? found.reverse() : found;
}

/** A Map that follows a watch, and holds the watch to what it says was there before. */
function mirrored(table: TextTable): { readonly map: Model; stop(): Promise<void> } {
  const map: Model = new Map();
  const watch = table.watch({ from: "snapshot" });
  const reading = (async () => {
    for await (const change of watch) {
      if (change.type === "loaded") continue;
      if (change.isOldKnown) expect(change.old).toBe(map.get(change.key));
      if (change.type === "put") map.set(change.key, change.value);
      else map.delete(change.key);
      // Slow at times.
      if (map.size % 7 === 0) await pause(1);
    }
  })();
  return {
    map,
    async stop() {
      watch.close();
      await reading;
    },
  };
}

async function run(way: Way, seed: number): Promise<void> {
  const random = SeededRandom.of(`table lives ${seed}`);
  const lives = new Lives();
  try {
    await lives.start();
    const client = lives.client(way);
    const other = lives.client("wire");
    const partitions = 1 + (seed % 3);
    await client.admin.createTopic({
      name: "t",
      partitions,
      configs: {
        "cleanup.policy": "compact",
        "internal.segment.bytes": "1500",
        "min.cleanable.dirty.ratio": "0.01",
      },
    });
    const model: Model = new Map();
    const producer = other.producer();
    const open = (own: Client, keep: "values" | "offsets", bytesMax = 1 << 26) =>
      own.table("t", { ...TEXT, keep, bytesMax });
    const tables = [
      await open(client, "values"),
      await open(client, "offsets"),
      await open(other, "values", 60_000),
    ];
    let mirrors = tables.map(mirrored);
    let writer = await transaction(lives.port(), "t");
    const partitionOf = new Map<string, number>();
    const keyOf = () => `k${random.below(60)}`;
    const valueAt = (step: number) => `${step}`.padEnd(random.below(200), ".");
    const write = async (key: string, value: string | null) => {
      const hand = random.below(3);
      const table = tables[random.below(2)]!;
      if (hand === 0) {
        const { partition } = await producer.send({ topic: "t", key, value });
        partitionOf.set(key, partition);
      } else {
        const done = value === null ? table.delete(key) : table.put(key, value);
        partitionOf.set(key, (await done).partition);
        // What was written is there at once, in this table.
        expect(await table.get(key)).toBe(value ?? undefined);
      }
      if (value === null) model.delete(key);
      else model.set(key, value);
    };
    const check = async () => {
      for (const table of tables) {
        await table.upToDate();
        expect(table.size).toBe(model.size);
        expect(await contents(table, random.below(2) === 0)).toEqual(sorted(model));
        const key = keyOf();
        expect(await table.get(key)).toBe(model.get(key));
        expect(await table.has(key)).toBe(model.has(key));
      }
      for (const { map } of mirrors) {
        const isSame = () => map.size === model.size && sorted(map).join() === sorted(model).join();
        // What is missing then is said by the expectation.
        await until(isSame, "what a watch tells", 5_000).catch(() => {});
        expect(sorted(map)).toEqual(sorted(model));
      }
    };
    let ending: Promise<void> | null = null;
    for (let step = 0; step < STEPS; step++) {
      const kind = random.below(100);
      if (kind < 60) await write(keyOf(), valueAt(step));
      else if (kind < 75) await write(keyOf(), null);
      else if (kind < 85) {
        // Of keys whose partition is known; what is aborted is nobody's.
        await ending;
        ending = null;
        const isCommit = random.below(2) === 0;
        const known = [...partitionOf.keys()];
        const chosen = new Map<string, string | null>();
        for (let i = random.below(4); i >= 0 && known.length > 0; i--) {
          const value = random.below(4) === 0 ? null : valueAt(step);
          chosen.set(known[random.below(known.length)]!, value);
        }
        for (const [key, value] of chosen) {
          await writer.send({ key, value, partition: partitionOf.get(key)! });
        }
        if (chosen.size > 0) await writer.end(isCommit);
        for (const [key, value] of isCommit ? chosen : []) {
          if (value === null) model.delete(key);
          else model.set(key, value);
        }
      } else if (kind < 90) {
        const at = random.below(2);
        await mirrors[at]!.stop();
        await tables[at]!.close();
        tables[at] = await open(client, at === 0 ? "values" : "offsets");
        mirrors[at] = mirrored(tables[at]!);
      } else if (kind < 93) {
        await ending;
        // Who writes and reads meanwhile waits, and loses nothing.
        ending = (async () => {
          await lives.end();
          await lives.start();
          writer = await transaction(lives.port(), "t");
        })();
      } else if (kind < 97) {
        await Promise.all(
          Array.from({ length: 10 }, (_, i) => {
            const key = `batch${i}`;
            model.set(key, `${step}`);
            return tables[i % 2]!.put(key, `${step}`);
          }),
        );
      } else await check();
    }
    await ending;
    await check();
    // Loaded anew, before and behind the cleaner, it is the same again.
    for (const keep of ["values", "offsets"] as const) {
      const fresh = await open(lives.client(way), keep);
      expect(await contents(fresh)).toEqual(sorted(model));
    }
    for (const mirror of mirrors) await mirror.stop();
    mirrors = [];
    let records = 0;
    for await (const _ of other.consumer({ topics: ["t"], untilEnd: true })) records++;
    // The cleaner has been there, or none of this says anything about it.
    const ends = tables[0]!.stats.positions.reduce((sum, end) => sum + end, 0);
    expect(records).toBeLessThan(ends * 0.9);
  } finally {
    await lives.stop();
  }
}

for (const way of ways) {
  describe(`over ${way}`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      test(`tables hold what a Map holds, seed ${seed}`, () => run(way, seed), 120_000);
    }

    for (const finds of ["reading again", "a read of the log"] as const) {
      const isLong = finds === "reading again";
      test(`what was deleted while it was away, tombstone and all, is found by ${finds}`, async () => {
        const lives = new Lives();
        try {
          await lives.start();
          let aheadMs = 0;
          let isAway = false;
          const { clock } = lives.runtime;
          const own = lives.port();
          const runtime = {
            ...lives.runtime,
            clock: {
              wallMs: () => clock.wallMs() + aheadMs,
              monotonicMs: () => clock.monotonicMs() + aheadMs,
            },
          };
          const port = {
            ...own,
            send: (async (api, request, options) => {
              const answer = await own.send(api, request, options);
              if (!isAway) return answer;
              // What comes while it is away is lost on the way.
              while (isAway) await pause(2);
              throw new ClientError("network_exception", "It was away");
            }) as typeof own.send,
          };
          const client = lives.client(way, { port }, runtime);
          const other = lives.client(way);
          await other.admin.createTopic({
            name: "t",
            partitions: 3,
            configs: {
              "cleanup.policy": "compact",
              "internal.segment.bytes": "1200",
              "min.cleanable.dirty.ratio": "0.01",
              "delete.retention.ms": "0",
            },
          });
          const producer = other.producer();
          const write = async (key: string, value: string | null) => {
            for (const partition of [0, 1, 2]) {
              await producer.send({ topic: "t", partition, key: `${key}${partition}`, value });
            }
          };
          for (const key of ["a", "b", "c", "gone"]) await write(key, "1");
          const table = await client.table("t", { ...TEXT, keep: isLong ? "values" : "offsets" });
          expect(await contents(table)).toHaveLength(12);
          const mirror = mirrored(table);
          await until(() => mirror.map.size === 12, "the snapshot is told");
          isAway = true;
          await write("gone", null);
          await write("b", "2");
          const records = async () => {
            let seen = "";
            for await (const record of other.consumer({ topics: ["t"], untilEnd: true })) {
              seen += `${String.fromCharCode(...record.key!)} `;
            }
            return seen;
          };
          // Writes on until the tombstones have been cleaned away.
          for (let i = 0; i < 600 && (await records()).includes("gone"); i++) {
            // In pauses, as the cleaner gives way to who appends.
            if (i % 20 === 0) for (let j = 0; j < 8; j++) await write("other", `${i}`.padEnd(300));
            else await pause(10);
          }
          expect(await records()).not.toContain("gone");
          aheadMs = isLong ? 3_600_000 : 2_000;
          isAway = false;
          await table.upToDate();
          if (!isLong) expect(await table.get("gone0")).toBeUndefined();
          const expected = ["a,1", "b,2", "c,1"].flatMap((each) =>
            [0, 1, 2].map((partition) => each.replace(",", `${partition},`)),
          );
          const all = (await contents(table)).map((each) => each.join());
          expect(all.filter((each) => !each.startsWith("other"))).toEqual(expected);
          expect(table.size).toBe(12);
          // Partitions are read one after the other, in any order; what never comes is said by the expectation.
          const wanted = await contents(table);
          const isTold = () => JSON.stringify(sorted(mirror.map)) === JSON.stringify(wanted);
          await until(isTold, "all that changed is told", 5_000).catch(() => {});
          expect(sorted(mirror.map)).toEqual(wanted);
          await mirror.stop();
        } finally {
          await lives.stop();
        }
      }, 60_000);
    }
  });
}
