// Seeds that found something, run again. A seed means another run once the scenario draws differently, so each
// of these bugs also has an ordinary test where it can have one; here they cost little and may find the next.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runSeed } from "../../../src/testing/simulator/simulator.ts";

interface Found {
  readonly seed: number;
  readonly commit: string;
  readonly checker: string;
  readonly what: string;
}

const found = JSON.parse(
  readFileSync(fileURLToPath(new URL("./found.json", import.meta.url).href), "utf8"),
) as readonly Found[];

describe("seeds that found something", () => {
  for (const { seed, what } of found) {
    test(`${seed} passes (${what})`, async () => {
      const { failure, counts } = await runSeed({ seed });
      expect(failure).toBeNull();
      expect(counts.audited).toBeGreaterThan(0);
    }, 60_000);
  }
});
