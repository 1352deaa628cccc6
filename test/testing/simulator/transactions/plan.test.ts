// What seeds draw for transactions lets a run come to its end.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import { drawScenario } from "../../../../src/testing/simulator/scenario.ts";
import { drawTransactions } from "../../../../src/testing/simulator/transactions/plan.ts";

describe("drawTransactions()", () => {
  // Seed 3210: ids of 100 ms behind a network of 15 ms were mostly forgotten before the first batch of their producer.
  test("an id lives for twenty ways to the broker", () => {
    const lives = new Set<number>();
    for (let seed = 1; seed <= 400; seed++) {
      const random = SeededRandom.of(seed);
      const scenario = drawScenario(random);
      const { settings, model } = drawTransactions(random.fork("transactions"), scenario);
      if (!model.idsExpire) continue;
      const lifeMs = settings["transactional.id.expiration.ms"] as number;
      expect([seed, lifeMs >= (20 * scenario.network.latencyUsMax) / 1000]).toEqual([seed, true]);
      expect(Number.isInteger(lifeMs)).toBe(true);
      lives.add(lifeMs);
    }
    expect([...lives].sort()).toEqual([100, 300, 500]);
  });
});
