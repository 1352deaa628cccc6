// What a failure cost is counted from records that were sent after it, partition by partition.

import { expect, test } from "bun:test";
import { failedWrites, recoveries, spreadOf } from "../../../scripts/cluster/figures.ts";
import { History } from "../../../scripts/cluster/history.ts";

test("a spread has the middle, the last hundredth and the most", () => {
  expect(spreadOf([])).toBe(undefined);
  expect(spreadOf([7])).toEqual({ count: 1, p50: 7, p99: 7, max: 7 });
  const hundred = Array.from({ length: 200 }, (_, i) => 200 - i);
  expect(spreadOf(hundred)).toEqual({ count: 200, p50: 100, p99: 198, max: 200 });
});

function history(...lines: string[]): History {
  const made = new History();
  for (const line of lines) made.line(line);
  return made;
}

test("an answer to what was sent before the blow is no recovery", () => {
  const seen = history(
    ...["s 90 p u 0 0 0", "s 110 p u 0 1 0", "s 120 p u 0 2 0", "s 105 p u 1 0 0"],
    ...["a 101 p u 0 0 0", "a 450 p u 0 1 1", "a 440 p u 0 2 2", "a 108 p u 1 0 0"],
  );
  const blow = { kind: "kill", atMs: 100, led: new Set(["u/0"]) };
  expect(recoveries(seen, [blow])).toEqual([{ kind: "kill", led: [340], others: [8], never: 0 }]);
});

test("a partition that never acknowledges again is counted as such", () => {
  const seen = history("s 90 p u 0 0 0", "s 110 p u 0 1 0", "a 95 p u 0 0 0");
  const blow = { kind: "cut", atMs: 100, led: new Set(["u/0"]) };
  expect(recoveries(seen, [blow])).toEqual([{ kind: "cut", led: [], others: [], never: 1 }]);
});

test("writes that failed are counted, but for those of transactions, which are tried again", () => {
  const seen = history(
    ...["s 1 p u 0 0 0", "s 2 p u 0 1 0", "b 3 t 1", "s 4 t u 0 0 1"],
    ...["a 5 p u 0 0 0", "x 6 p u 0 1 TimeoutException", "x 7 t u 0 0 TransactionAborted"],
  );
  expect(failedWrites(seen)).toEqual({ failed: 1, acknowledged: 1 });
});
