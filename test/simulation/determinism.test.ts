// One seed, one trace: run twice here, and once on the other runtime, every seed has the same hash.
// A few seeds by default; SIMULATION_SEEDS says how many (.ci/run takes 50).

import { describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runSeed } from "../../src/testing/simulator/simulator.ts";

const FROM = 1;
const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 6);
/** They take longer. */
const WITH_TRANSACTIONS = Math.ceil(SEEDS / 2);
const isDeno = "Deno" in globalThis;
const root = fileURLToPath(new URL("../../", import.meta.url).href);

/** Hashes by seed, as scripts/simulate.ts prints them on the other runtime. */
async function hashesElsewhere(seeds: number, flags: string[]): Promise<Map<number, string>> {
  const args = [`--from=${FROM}`, `--seeds=${seeds}`, "--hashes", "--keep-going", "--quiet"];
  args.push(...flags);
  const script = `${root}scripts/simulate.ts`;
  const { stdout } = isDeno
    ? await promisify(execFile)(`${root}node_modules/.bin/bun`, [script, ...args], { cwd: root })
    : await promisify(execFile)(
        `${root}node_modules/.bin/deno`,
        ["run", "-A", "--no-check", script, ...args],
        { cwd: root },
      );
  const hashes = new Map<number, string>();
  for (const [, seed, hash] of stdout.matchAll(/^hash (\d+) ([0-9a-f]{16})$/gm)) {
    hashes.set(Number(seed), hash!);
  }
  return hashes;
}

describe("simulation", () => {
  test(`runs ${SEEDS} seeds the same way twice, and the same way on the other runtime`, async () => {
    const elsewhere = hashesElsewhere(SEEDS, []);
    const hashes = new Map<number, string>();
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const first = await runSeed({ seed });
      const second = await runSeed({ seed, isVerbose: true });
      expect(first.failure).toBeNull();
      expect(first.eventCount).toBeGreaterThan(50);
      expect([seed, second.hash]).toEqual([seed, first.hash]);
      hashes.set(seed, first.hash);
    }
    expect(new Set(hashes.values()).size).toBe(SEEDS);
    expect([...(await elsewhere)]).toEqual([...hashes]);
  }, 180_000);

  // That they run the same way twice is for transactions.test.ts.
  test(`runs ${WITH_TRANSACTIONS} seeds with transactions the same way on the other runtime`, async () => {
    const elsewhere = hashesElsewhere(WITH_TRANSACTIONS, ["--transactions"]);
    const hashes = new Map<number, string>();
    for (let seed = FROM; seed < FROM + WITH_TRANSACTIONS; seed++) {
      const { failure, hash } = await runSeed({ seed, withTransactions: true });
      expect([seed, failure]).toEqual([seed, null]);
      hashes.set(seed, hash);
    }
    expect([...(await elsewhere)]).toEqual([...hashes]);
  }, 180_000);
});
