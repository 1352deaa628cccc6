// Groups under simulation: members of both protocols that join, commit, leave and vanish while the broker is killed, loses
// its power and its disk fails. Nobody owns what somebody else owns in the same epoch, no committed offset goes back, every
// group settles; and one seed is one trace. SIMULATION_SEEDS says how many; scripts/simulate.ts --groups runs many.

import { describe, expect, test } from "bun:test";
import { runSeed } from "../../src/testing/simulator/simulator.ts";

const FROM = 1;
const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 6);

describe("groups in simulation", () => {
  test(`${SEEDS} seeds hold, and run the same way twice`, async () => {
    let commits = 0;
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const first = await runSeed({ seed, withGroups: true });
      expect([seed, first.failure]).toEqual([seed, null]);
      commits += first.counts.acked;
      if (seed % 3 !== 0) continue;
      const second = await runSeed({ seed, withGroups: true, isVerbose: true });
      expect([seed, second.hash]).toEqual([seed, first.hash]);
    }
    expect(commits).toBeGreaterThan(100 * SEEDS);
  }, 180_000);
});
