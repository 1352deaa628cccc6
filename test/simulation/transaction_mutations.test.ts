// What judges transactions can fail: every way of being wrong that transactions/mutations.ts knows is caught by the checker it
// is for, within a few seeds. What was taken out of the core itself is in docs/SIMULATION.md.

import { describe, expect, test } from "bun:test";
import { runSeed } from "../../src/testing/simulator/simulator.ts";
import {
  TRANSACTION_MUTATIONS,
  type TransactionMutation,
} from "../../src/testing/simulator/transactions/mutations.ts";

const SEEDS_MAX = 40;
const FROM = 1;

/** What is wrong, and who has to notice. */
const CASES: readonly (readonly [TransactionMutation, string])[] = [
  ["hides_what_was_aborted", "transactions_are_whole"],
  ["reads_past_the_stable_offset", "stable_offset_waits"],
  ["commits_aborts", "transactions_are_whole"],
  ["answers_commits", "transactions_are_whole"],
  ["shows_what_is_pending", "offsets_go_with_transactions"],
  ["forgets_offsets", "offsets_go_with_transactions"],
  ["gives_epochs_twice", "fenced_producers_are_silent"],
  ["describes_none_as_open", "transactions_are_described"],
  ["drops_transactional_batches", "transactional_records_in_order"],
  ["says_nothing_is_stable", "stable_offset_waits"],
];

describe("a broker that is wrong about transactions", () => {
  for (const [mutation, checker] of CASES) {
    test(`"${mutation}" is caught by ${checker}`, async () => {
      const caughtBy: string[] = [];
      for (let seed = FROM; seed < FROM + SEEDS_MAX && !caughtBy.includes(checker); seed++) {
        const { failure } = await runSeed({ seed, mutation, withTransactions: true });
        if (failure !== null) caughtBy.push(failure.checker);
      }
      expect(caughtBy).toContain(checker);
    }, 120_000);
  }

  test("every mutation has a case", () => {
    expect(CASES.map(([mutation]) => mutation).sort()).toEqual([...TRANSACTION_MUTATIONS].sort());
  });
});
