// Tables over TCP while the broker's process is killed at random and started again on the same port: what was
// acknowledged is there, nothing else is, and a watch has missed no last value.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, connect } from "../../mod.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { pause, until } from "../support/waiting.ts";
import { Program } from "./program.ts";

const TEXT = { key: "text", value: "text" } as const;
const ROUNDS = isFullTestRun ? 30 : 4;

test("tables outlive kill -9 of their broker", async () => {
  const random = SeededRandom.of("tables killed");
  const folder = mkdtempSync(join(tmpdir(), "millrace-table-killed-"));
  let program: Program | null = null;
  let client: Client | null = null;
  try {
    program = await Program.start(folder);
    const address = `127.0.0.1:${program.port}`;
    client = await connect(`kafka://${address}?backoffMsMax=100`);
    await client.admin.createTopic({
      name: "t",
      partitions: 2,
      configs: { "cleanup.policy": "compact" },
    });
    const tables = [
      await client.table("t", TEXT),
      await client.table("t", { ...TEXT, keep: "offsets" }),
    ];
    const model = new Map<string, string>();
    const mirror = new Map<string, string>();
    const watch = tables[1]!.watch();
    const watching = (async () => {
      for await (const change of watch) {
        if (change.type === "put") mirror.set(change.key, change.value);
        else if (change.type === "delete") mirror.delete(change.key);
      }
    })();
    for (let round = 0; round < ROUNDS; round++) {
      let isKilled = false;
      const killing = (async () => {
        await pause(random.below(120));
        await program!.kill();
        isKilled = true;
        program = await Program.start(folder, "--kafka", address);
      })();
      // Each hand has keys of its own, so that the last acknowledged one is known.
      const hands = [0, 1, 2].map(async (hand) => {
        for (let i = 0; i < 400 && !(isKilled && i > 20); i++) {
          const key = `${hand}/${(i * 7) % 30}`;
          const table = tables[hand % 2]!;
          if (i % 5 === 4) {
            await table.delete(key);
            model.delete(key);
          } else {
            await table.put(key, `${round}.${i}`);
            model.set(key, `${round}.${i}`);
          }
          if (i % 9 === 0) expect(await table.get(key)).toBe(model.get(key));
        }
      });
      await Promise.all([killing, ...hands]);
      const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      for (const table of tables) {
        await table.upToDate();
        const found: [string, string][] = [];
        for await (const { key, value } of table.scan()) found.push([key, value]);
        expect(found).toEqual(expected);
      }
      const isSame = () => JSON.stringify([...mirror].sort()) === JSON.stringify([...model].sort());
      // What is missing then is said by the expectation.
      await until(isSame, "what the watch tells", 5_000).catch(() => {});
      expect([...mirror].sort()).toEqual([...model].sort());
    }
    watch.close();
    await watching;
  } finally {
    await client?.close(100).catch(() => {});
    await (program as Program | null)?.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
