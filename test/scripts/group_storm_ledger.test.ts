// The rules by which scripts/group_storm.ts judges have to find each kind of fault, and nothing else.
import { describe, expect, test } from "bun:test";
import { Ledger } from "../../scripts/group_storm/ledger.ts";

describe("the ledger of a storm", () => {
  test("has nothing against members that take turns", () => {
    const ledger = new Ledger(2, 3000);
    ledger.take("a", 1, 0, 0);
    ledger.take("a", 1, 0, 0); // told again
    ledger.committed("a", 0, 1, { acked: -1, owner: "a" });
    ledger.release("a", 0);
    ledger.take("b", 2, 0, 0);
    ledger.found("b", 0, 1, 1);
    ledger.committed("b", 0, 2, { acked: 1, owner: "b" });
    ledger.abandon("b");
    ledger.take("c", 3, 0, 0);
    expect(ledger.violations).toEqual([]);
    expect(ledger.acked).toEqual([2, -1]);
    expect([ledger.commits, ledger.epochs]).toEqual([2, 3]);
  });

  test("finds two owners at one time", () => {
    const ledger = new Ledger(1, 3000);
    ledger.take("a", 1, 0, 0);
    ledger.take("b", 2, 0, 0);
    expect(ledger.violations).toEqual(["b was given 0 in 2 while a owns it"]);
  });

  test("finds two owners while the first is in its session, and not when it was too slow", () => {
    const ledger = new Ledger(1, 3000);
    ledger.heard("a", 1000);
    ledger.take("a", 1, 0, 1500);
    ledger.take("b", 2, 0, 3999);
    expect(ledger.violations).toEqual(["b was given 0 in 2 while a owns it"]);
    ledger.heard("b", 4000);
    ledger.take("c", 3, 0, 7000);
    expect([ledger.violations.length, ledger.expired]).toEqual([1, 1]);
  });

  test("finds two owners in one epoch, also one after the other", () => {
    const ledger = new Ledger(1, 3000);
    ledger.take("a", 1, 0, 0);
    ledger.release("a", 0);
    ledger.take("b", 1, 0, 0);
    expect(ledger.violations).toEqual(["0 belongs to a and to b in 1"]);
  });

  test("finds an offset that goes back, and one that is lost", () => {
    const ledger = new Ledger(1, 3000);
    ledger.take("a", 1, 0, 0);
    ledger.committed("a", 0, 7, { acked: -1, owner: "a" });
    ledger.committed("a", 0, 7, { acked: 7, owner: "a" });
    ledger.found("a", 0, 6, 7);
    expect(ledger.violations).toEqual([
      "a set 0 to 7, where 7 was committed",
      "a found 6 for 0, where 7 was acknowledged",
    ]);
  });

  test("finds a commit by who no longer owns the partition", () => {
    const ledger = new Ledger(1, 3000);
    ledger.take("a", 1, 0, 0);
    ledger.abandon("a");
    ledger.take("b", 2, 0, 0);
    ledger.committed("a", 0, 3, { acked: -1, owner: "b" });
    expect(ledger.violations).toEqual(["a committed 3 of 0, which is b's"]);
  });
});
