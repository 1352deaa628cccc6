// Transactions under simulation: writers of both protocols, some of them zombies, loops alone and in groups, and readers of both
// isolations, while the broker is killed, loses its power and its disk fails. Every transaction is committed or aborted as a
// whole for everybody, every input has one output, nothing is left open; and one seed is one trace.
// SIMULATION_SEEDS says how many; scripts/simulate.ts --transactions runs many.

import { describe, expect, test } from "bun:test";
import { runSeed } from "../../src/testing/simulator/simulator.ts";

const FROM = 1;
const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 6);

describe("transactions in simulation", () => {
  test(`${SEEDS} seeds hold, and run the same way twice`, async () => {
    let committed = 0;
    let aborted = 0;
    let audited = 0;
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const first = await runSeed({ seed, withTransactions: true });
      expect([seed, first.failure]).toEqual([seed, null]);
      committed += first.transactions!.committed;
      aborted += first.transactions!.aborted;
      audited += first.transactions!.audited;
      if (seed % 3 !== 0) continue;
      const second = await runSeed({ seed, withTransactions: true, isVerbose: true });
      expect([seed, second.hash]).toEqual([seed, first.hash]);
    }
    expect(committed).toBeGreaterThan(2 * SEEDS);
    expect(aborted).toBeGreaterThan(0);
    expect(audited).toBeGreaterThan(10 * SEEDS);
  }, 180_000);
});
