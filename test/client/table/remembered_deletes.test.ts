import { expect, test } from "bun:test";
import { type Progress, RememberedDeletes } from "../../../src/client/table/remembered_deletes.ts";

const at = (partition: number, answers: number, applied: number, end = applied): Progress => {
  return { partition, answers, applied, end };
};

test("a deleted key is forgotten once no older record of it can come", () => {
  const deletes = new RememberedDeletes();
  const forgotten: number[][] = [];
  const look = (...partitions: Progress[]) =>
    deletes.look(partitions, (...each) => forgotten.push(each));
  expect(deletes.isEmpty).toBe(true);
  deletes.add(5, 0, 10);
  deletes.add(6, 1, 3);
  // The first look only begins to count; an answer that was under way says nothing.
  look(at(0, 7, 11), at(1, 4, 4));
  look(at(0, 8, 11), at(1, 5, 4));
  look(at(0, 9, 11), at(1, 5, 4));
  expect(forgotten).toEqual([]);
  // The second one was asked for since, and told of records that are not read yet.
  look(at(0, 9, 11), at(1, 6, 4, 9));
  look(at(0, 10, 11), at(1, 7, 8, 12));
  expect(forgotten).toEqual([]);
  // Those are read; that there are more by now is nothing to wait for.
  look(at(0, 10, 11), at(1, 8, 9, 20));
  expect(forgotten).toEqual([
    [5, 0, 10],
    [6, 1, 3],
  ]);
  expect(deletes.isEmpty).toBe(true);
});

test("the table's own tombstone stays until its partition was read through it", () => {
  const deletes = new RememberedDeletes();
  const forgotten: number[] = [];
  const look = (answers: number, applied: number) =>
    deletes.look([at(0, answers, applied)], (slot) => forgotten.push(slot));
  deletes.add(1, 0, 100);
  for (let answers = 1; answers < 20; answers++) look(answers, 50);
  expect(forgotten).toEqual([]);
  expect(deletes.isEmpty).toBe(false);
  for (let answers = 20; answers < 30; answers++) look(answers, 101);
  expect(forgotten).toEqual([1]);
  expect(deletes.isEmpty).toBe(true);
});

test("a partition that was added holds nothing older than itself; one that is gone is not waited for", () => {
  const deletes = new RememberedDeletes();
  const forgotten: number[] = [];
  deletes.add(1, 1, 5);
  const look = (...partitions: Progress[]) =>
    deletes.look(partitions, (slot) => forgotten.push(slot));
  look(at(0, 1, 1), at(1, 1, 6));
  look(at(0, 3, 1), at(2, 0, 0, 1000));
  expect(forgotten).toEqual([1]);
});
