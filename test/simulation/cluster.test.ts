// Clusters under one seed: nothing is found wrong, and a seed goes one way only, twice here and on the other runtime.
// A few seeds by default; SIMULATION_SEEDS says how many there are for one broker, of which half are taken.

import { describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runClusterSeed } from "../../src/testing/simulator/cluster/cluster_simulator.ts";

const FROM = 1;
const SEEDS = Math.ceil(Number(process.env["SIMULATION_SEEDS"] ?? 8) / 2);
const isDeno = "Deno" in globalThis;
const root = fileURLToPath(new URL("../../", import.meta.url).href);

/** Hashes by seed, as scripts/simulate.ts prints them on the other runtime. */
async function hashesElsewhere(): Promise<Map<number, string>> {
  const args = [`--from=${FROM}`, `--seeds=${SEEDS}`, "--cluster", "--hashes", "--keep-going"];
  const script = `${root}scripts/simulate.ts`;
  const [runtime, before] = isDeno ? ["bun", []] : ["deno", ["run", "-A", "--no-check"]];
  const { stdout } = await promisify(execFile)(
    `${root}node_modules/.bin/${runtime}`,
    [...before, script, ...args, "--quiet"],
    { cwd: root },
  );
  const hashes = new Map<number, string>();
  for (const [, seed, hash] of stdout.matchAll(/^hash (\d+) ([0-9a-f]{16})$/gm)) {
    hashes.set(Number(seed), hash!);
  }
  return hashes;
}

describe("a simulated cluster", () => {
  test(`finds nothing in ${SEEDS} seeds, and goes the same way twice and elsewhere`, async () => {
    const elsewhere = hashesElsewhere();
    const hashes = new Map<number, string>();
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const first = await runClusterSeed({ seed });
      expect([seed, first.failure]).toEqual([seed, null]);
      expect(first.counts.acked).toBeGreaterThan(0);
      expect(first.counts.audited).toBeGreaterThanOrEqual(first.counts.acked);
      const second = await runClusterSeed({ seed, isVerbose: true });
      expect([seed, second.hash]).toEqual([seed, first.hash]);
      hashes.set(seed, first.hash);
    }
    expect(new Set(hashes.values()).size).toBe(SEEDS);
    expect([...(await elsewhere)]).toEqual([...hashes]);
  }, 300_000);
});
