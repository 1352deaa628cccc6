// The producer under drawn faults, over both ways: a few seeds that change from day to day, thousands when asked
// (MILLRACE_TEST_FULL=1). A failure names its seed: MILLRACE_TEST_SEED=n begins there.

import { expect, test } from "bun:test";
import process from "node:process";
import { isFullTestRun } from "../support/test_scale.ts";
import { ways } from "./ports.ts";
import { stressRound } from "./stress_round.ts";

const FIRST = Number(
  process.env["MILLRACE_TEST_SEED"] ?? Math.floor(Date.now() / 86_400_000) * 10_000,
);
const COUNT = Number(process.env["MILLRACE_TEST_COUNT"] ?? (isFullTestRun ? 2_000 : 24));
const AT_ONCE = 12;

for (const way of ways) {
  test(`over ${way}: acknowledged once and in order, failed at most once, and nothing hangs`, async () => {
    const wrong: string[] = [];
    let next = FIRST;
    const work = async () => {
      while (next < FIRST + COUNT) {
        const seed = next++;
        const faults = await stressRound(seed, way);
        if (faults.length > 0) wrong.push(`seed ${seed}: ${faults.slice(0, 3).join("; ")}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    expect(wrong).toEqual([]);
  }, 600_000);
}
