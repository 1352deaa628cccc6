// The judge of exactly once finds what it is there for.

import { expect, test } from "bun:test";
import { faultOf, type Seen } from "./judge.ts";

const PARTITIONS = 2;
const seen = (...values: string[]): Seen[] =>
  values.map((value, offset) => ({ partition: Number(value.slice(2)) % 2, offset, value }));

test("each input once, in order by partition, is right", () => {
  expect(faultOf(seen("c:0", "c:1", "c:3", "c:2"), 4, PARTITIONS)).toBe(null);
});

test("what is missing, twice, out of order or aborted is found", () => {
  expect(faultOf(seen("c:0", "c:1", "c:3"), 4, PARTITIONS)).toBe("3 of 4 inputs are there");
  expect(faultOf(seen("c:0", "c:1", "c:1"), 2, PARTITIONS)).toContain("1 comes after 1");
  expect(faultOf(seen("c:2", "c:0", "c:1", "c:3"), 4, PARTITIONS)).toContain("0 comes after 2");
  expect(faultOf(seen("c:0", "a:1", "c:1"), 2, PARTITIONS)).toBe("a:1 was aborted, and is seen");
  const elsewhere = [...seen("c:0", "c:1"), { partition: 1, offset: 9, value: "c:0" }];
  expect(faultOf(elsewhere, 2, PARTITIONS)).toContain("0 comes after 1");
  const twice = [{ partition: 1, offset: 8, value: "c:0" }, ...seen("c:0", "c:1")];
  expect(faultOf(twice, 2, PARTITIONS)).toBe("1 inputs came twice, as c:0");
});
