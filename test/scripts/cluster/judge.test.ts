// The judge of the cluster checks finds what it is there for: a history that is right, and the same one with each fault planted.

import { expect, test } from "bun:test";
import { History } from "../../../scripts/cluster/history.ts";
import { faultsOf, RULES, type Rule } from "../../../scripts/cluster/judge.ts";

/** Two partitions, a producer, transactions that were committed, aborted and of unknown end, and a group. */
const RIGHT: readonly string[] = [
  "g all read_uncommitted",
  "g only read_committed",
  ...["s 1 p u 0 0 0", "s 2 p u 0 1 0", "s 3 q u 0 0 0", "s 4 p u 0 2 0", "s 5 p u 0 3 0"],
  ...["a 6 p u 0 0 0", "a 7 p u 0 1 1", "a 8 q u 0 0 2", "x 9 p u 0 2 TimeoutException"],
  "a 10 p u 0 3 3",
  ...["b 20 t 1", "s 21 t x 0 0 1", "s 22 t x 1 0 1", "a 23 t x 0 0 0", "a 23 t x 1 0 0"],
  ...["c 24 t 1", "C 25 t 1"],
  ...["b 30 t 2", "s 31 t x 0 1 2", "a 32 t x 0 1 2", "v 33 t 2", "V 34 t 2"],
  ...["b 40 t 3", "s 41 t x 0 2 3", "s 41 t x 1 1 3", "a 42 t x 0 2 4", "a 42 t x 1 1 2"],
  ...["c 43 t 3", "u 44 t 3"],
  ...["j 50 m all u 0 0", "r 51 m all u 0 0 p 0", "r 51 m all u 0 1 p 1", "O 52 53 m all u 0 2"],
  ...["l 54 m all u 0", "j 55 n all u 0 2", "r 56 n all u 0 2 q 0", "r 56 n all u 0 3 p 3"],
  "O 57 58 n all u 0 4",
  ...[
    "j 60 k only x 0 0",
    "r 61 k only x 0 0 t 0",
    "r 61 k only x 0 4 t 2",
    "O 62 63 k only x 0 6",
  ],
  ...["F u 0 0 p 0", "F u 0 1 p 1", "F u 0 2 q 0", "F u 0 3 p 3"],
  ...["E u 0 0 p 0", "E u 0 1 p 1", "E u 0 2 q 0", "E u 0 3 p 3", "Z F u 0 4"],
  ...["F x 0 0 t 0", "F x 0 2 t 1", "F x 0 4 t 2", "F x 1 0 t 0", "F x 1 2 t 1"],
  ...["E x 0 0 t 0", "E x 0 4 t 2", "E x 1 0 t 0", "E x 1 2 t 1", "Z F x 0 6", "Z F x 1 4"],
  ...["G all u 0 4", "G only x 0 6"],
];

function judged(lines: readonly string[]): { rules: Rule[]; texts: string } {
  const history = new History();
  for (const line of lines) history.line(line);
  const faults = faultsOf(history);
  return {
    rules: [...new Set(faults.map(({ rule }) => rule))].sort(),
    texts: faults.map(({ text }) => text).join("\n"),
  };
}

/** The history with some lines gone, others in their place, and more at its end. */
function planted(changes: Readonly<Record<string, string | null>>, ...more: string[]): string[] {
  for (const line of Object.keys(changes)) expect(RIGHT).toContain(line);
  const lines = RIGHT.map((line) => (line in changes ? changes[line]! : line));
  return [...lines.filter((line) => line !== null), ...more];
}

const broken = new Set<Rule>();

function blames(lines: readonly string[], rule: Rule, text: string): void {
  const { rules, texts } = judged(lines);
  broken.add(rule);
  expect(rules).toContain(rule);
  expect(texts).toContain(text);
}

test("a history that is right has no fault", () => {
  expect(judged(RIGHT)).toEqual({ rules: [], texts: "" });
});

test("an acknowledged record that is nowhere is lost, also at the end of the log", () => {
  blames(
    planted({ "F u 0 3 p 3": null, "E u 0 3 p 3": null }),
    "nothing_acknowledged_is_lost",
    "p 3 was acknowledged at 3; there is nothing; it is nowhere",
  );
  const lost = planted({ "F x 0 2 t 1": null });
  blames(lost, "nothing_acknowledged_is_lost", "t 1 was acknowledged at 2");
});

test("an acknowledged record at another offset than was said is a fault", () => {
  const moved = planted({ "a 10 p u 0 3 3": "a 10 p u 0 3 7" });
  blames(moved, "nothing_acknowledged_is_lost", "acknowledged at 7; there is nothing; it is at 3");
});

test("a record outside transactions that who reads what is committed is not shown is lost", () => {
  const hidden = planted({ "E u 0 3 p 3": null });
  blames(hidden, "nothing_acknowledged_is_lost", "p 3 at 3 is not shown");
});

test("two leaders that acknowledge different records at one offset are found", () => {
  const two = planted({ "a 8 q u 0 0 2": "a 8 q u 0 0 1" });
  blames(two, "one_record_an_offset", "were both acknowledged at 1");
});

test("readers that see different records at one offset are found", () => {
  const two = planted({ "E u 0 2 q 0": "E u 0 2 p 2" });
  blames(two, "one_record_an_offset", "2 is p 2 to one reader, q 0 to one");
});

test("a record that is there twice is found, acknowledged or not", () => {
  const twice = planted({}, "F u 0 4 p 1", "E u 0 4 p 1");
  blames(twice, "nothing_is_written_twice", "p 1 is at 1 and at 4");
  const failed = planted({}, "F u 0 4 p 2", "F u 0 5 p 2", "E u 0 4 p 2", "E u 0 5 p 2");
  blames(failed, "nothing_is_written_twice", "p 2 is at 4 and at 5");
});

test("a write that failed may be there once", () => {
  const late = planted({}, "F u 0 4 p 2", "E u 0 4 p 2");
  expect(judged(late).rules).toEqual([]);
});

test("records of a producer that changed places are found", () => {
  const changes = {
    "a 6 p u 0 0 0": "a 6 p u 0 0 1",
    "a 7 p u 0 1 1": "a 7 p u 0 1 0",
    "F u 0 0 p 0": "F u 0 0 p 1",
    "F u 0 1 p 1": "F u 0 1 p 0",
    "E u 0 0 p 0": "E u 0 0 p 1",
    "E u 0 1 p 1": "E u 0 1 p 0",
  };
  blames(planted(changes), "order_is_kept", "p 1 at 0 is before p 0");
});

test("what nobody sent, and what is damaged, is found", () => {
  const strange = planted({}, "F u 0 4 z 9");
  blames(strange, "nothing_is_invented", "z 9 at 4 was never sent");
  const damaged = planted({}, "F u 0 4 ? garbage");
  blames(damaged, "nothing_is_invented", "? garbage at 4");
});

test("aborted records are found where a reader of what is committed sees them", () => {
  const shown = planted({}, "E x 0 2 t 1");
  blames(shown, "aborted_is_never_seen", "t 2 (aborted): t 1 in x/0 is seen");
  const read = [...RIGHT];
  read.splice(read.indexOf("r 61 k only x 0 4 t 2"), 0, "r 61 k only x 0 2 t 1");
  blames(read, "aborted_is_never_seen", "k read t 1 at 2, which is not committed");
});

test("a transaction nobody asked to commit is never seen", () => {
  const changes = { "c 43 t 3": "v 43 t 3" };
  blames(planted(changes), "aborted_is_never_seen", "t 3 (unknown)");
});

test("a transaction that is not whole is found, committed or of unknown end", () => {
  const torn = planted({ "E x 1 0 t 0": null });
  blames(torn, "transactions_are_whole", "t 1 (committed): 1 of 2 seen, not t 0 in x/1");
  const gone = planted({ "E x 1 0 t 0": null, "E x 0 0 t 0": null });
  blames(gone, "transactions_are_whole", "t 1 (committed): 0 of 2 seen");
  const unknown = planted({ "E x 1 2 t 1": null });
  blames(unknown, "transactions_are_whole", "t 3 (unknown): 1 of 2 seen");
});

test("an unknown transaction that is not there at all is right", () => {
  const changes = {
    "E x 1 2 t 1": null,
    "E x 0 4 t 2": null,
    "r 61 k only x 0 4 t 2": null,
  };
  expect(judged(planted(changes)).rules).toEqual([]);
});

test("what a consumer read and is gone or another record now is found", () => {
  const gone = planted({}, "r 70 n all u 0 4 p 2");
  blames(gone, "what_was_read_stays", "n read p 2 at 4, where now nothing is");
  const other = planted({ "r 56 n all u 0 2 q 0": "r 56 n all u 0 2 p 2" });
  blames(other, "what_was_read_stays", "n read p 2 at 2, where now q 0 is");
});

test("a record that a reader passed over is found", () => {
  const passed = planted({ "r 51 m all u 0 0 p 0": null });
  blames(passed, "readers_skip_nothing", "m was given 1, and not 0 before it");
  const never = planted({ "r 56 n all u 0 3 p 3": null });
  blames(never, "readers_skip_nothing", "all is at 4, and nobody read 1, as 3");
});

test("a reader that is given a record again in one session is found", () => {
  const again = planted({}, "r 70 n all u 0 2 q 0");
  blames(again, "order_is_kept", "n was given 2 after 3");
});

test("offsets of a group that go back are found: in commits, at a start, in the end", () => {
  const back = planted({ "O 57 58 n all u 0 4": "O 57 58 n all u 0 1" }, "O 59 60 n all u 0 4");
  blames(back, "group_offsets_never_go_back", "n committed 1 after 2 of m was");
  const start = planted({ "j 55 n all u 0 2": "j 55 n all u 0 0" });
  blames(start, "group_offsets_never_go_back", "n began at 0, where 2 of m was committed");
  const first = planted({
    "j 55 n all u 0 2": "j 55 n all u 0 -1",
    "r 56 n all u 0 2 q 0": "r 56 n all u 0 1 p 1",
  });
  blames(first, "group_offsets_never_go_back", "n began at 1, where 2 of m was committed");
  const end = planted({ "G all u 0 4": "G all u 0 3" });
  blames(end, "group_offsets_never_go_back", "3 in the end, where 4 was committed");
  const past = planted({ "G all u 0 4": "G all u 0 5" });
  blames(past, "group_offsets_never_go_back", "5 in the end, past the log's end at 4");
  const gone = planted({ "G all u 0 4": null });
  blames(gone, "group_offsets_never_go_back", "-1 in the end, where 4 was committed");
});

test("commits that were under way together may come in any order", () => {
  const together = planted({}, "O 56 59 m all u 0 3");
  expect(judged(together).rules).toEqual([]);
});

test("every rule has been broken above", () => {
  expect([...broken].sort()).toEqual([...RULES].sort());
});

test("a line that no history has is refused", () => {
  const history = new History();
  expect(() => history.line("nonsense 1 2")).toThrow("no such line: nonsense 1 2");
  expect(() => history.line("F u 0 one p 0")).toThrow('a number here, not "one"');
  expect(() => history.line("s 1 t x 0 0 9")).toThrow("sent in no transaction");
  expect(() => history.line("a 1 p u 0 0 0")).toThrow("was not sent");
});
