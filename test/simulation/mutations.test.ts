// The checkers can fail: every way of being wrong that mutations.ts knows is caught by the checker it is for,
// within a few seeds; between them all checkers have their turn. Seeds in which another one was first are passed over.

import { describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { allCheckers } from "../../src/testing/simulator/checkers/all_checkers.ts";
import { MUTATIONS, type Mutation } from "../../src/testing/simulator/mutations.ts";
import { runSeed } from "../../src/testing/simulator/simulator.ts";

const SEEDS_MAX = 200;
const FROM = 1;

/** What is wrong, and who has to notice. */
const CASES: readonly (readonly [Mutation, string])[] = [
  ["sync_lies", "high_watermark_monotonic"],
  ["acks_before_sync", "high_watermark_monotonic"],
  ["drops_batches", "acked_records_survive"],
  ["reorders_appends", "producer_order_kept"],
  ["appends_twice", "no_duplicates"],
  ["forgets_producers", "no_duplicates"],
  ["high_watermark_goes_back", "high_watermark_monotonic"],
  ["ignores_delete_records", "log_start_monotonic"],
  ["changes_bytes", "bytes_are_right"],
  ["skips_batches", "offsets_contiguous"],
  ["serves_an_older_batch", "reads_agree"],
  ["never_answers", "answered_or_closed"],
  ["ignores_delete_topics", "deleted_topics_stay_gone"],
  ["offsets_by_timestamp_off_by_one", "offsets_by_timestamp"],
  ["gives_producer_ids_twice", "producer_ids_unique"],
  ["disk_rots", "false_alarm"],
  ["leaves_old_bytes", "false_alarm"],
  ["reads_the_host_clock", "traps"],
];

/** Runs scripts/simulate.ts on this runtime. */
function simulate(args: readonly string[]): Promise<{ status: number; stdout: string }> {
  const script = fileURLToPath(new URL("../../scripts/simulate.ts", import.meta.url).href);
  const before = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  return new Promise((resolve) => {
    execFile(process.execPath, [...before, script, ...args], (error, stdout) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout });
    });
  });
}

describe("mutation", () => {
  for (const [mutation, checker] of CASES) {
    test(`"${mutation}" is caught by ${checker}`, async () => {
      const caughtBy: string[] = [];
      for (let seed = FROM; seed < FROM + SEEDS_MAX && !caughtBy.includes(checker); seed++) {
        const { failure } = await runSeed({ seed, mutation });
        if (failure !== null) caughtBy.push(failure.checker);
      }
      expect(caughtBy).toContain(checker);
    }, 120_000);
  }

  // Test runners take unhandled rejections for themselves, so this one runs in the script.
  test('"leaves_a_rejection" is caught, and the script says how to see it again', async () => {
    const args = ["--from=1", "--seeds=2", "--mutation=leaves_a_rejection", "--quiet"];
    const { status, stdout } = await simulate(args);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^not ok seed 1: unhandled_rejection: /m);
    expect(stdout).toMatch(/^replay: .*--seed 1 --mutation leaves_a_rejection {3}# at /m);
    expect(stdout).toMatch(/^0 passed, 1 failed$/m);
  }, 60_000);

  test("every mutation and every checker has a case", () => {
    const mutations = new Set<Mutation>(["leaves_a_rejection"]);
    for (const [mutation] of CASES) mutations.add(mutation);
    expect([...mutations].sort()).toEqual([...MUTATIONS].sort());
    const checkers = new Set(CASES.map(([, checker]) => checker));
    for (const { name } of allCheckers()) expect(checkers.has(name)).toBe(true);
  });
});
