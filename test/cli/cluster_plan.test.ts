import { expect, test } from "bun:test";
import { SeededRandom } from "../../src/base/prng.ts";
import { type Lying, type Place, Plan } from "../../src/cli/cluster_plan.ts";

const places = (count: number, racks = 0): Place[] =>
  Array.from({ length: count }, (_, at) => {
    return { id: at + 1, rack: racks === 0 ? null : `r${at % racks}` };
  });
const topic = (...replicas: number[][]): Lying[] =>
  replicas.map((each, partition) => ({ topic: "t", partition, replicas: each }));
const spread = (counts: Map<number, number>) => {
  const values = [...counts.values()];
  return Math.max(...values) - Math.min(...values);
};

test("a drained broker has nothing left, and its replicas go to who has fewest, in its place", () => {
  const plan = new Plan(places(4), topic([1, 2], [2, 1], [1, 3]));
  expect(plan.drain(1)).toBe(null);
  expect(plan.moves.map(({ to }) => to)).toEqual([
    [4, 2],
    [2, 3],
    [4, 3],
  ]);
  expect(plan.loads().get(1)).toBe(0);
});

test("a rack that has the partition already is taken last", () => {
  const plan = new Plan(places(4, 2), topic([1, 2], [4, 3], [3, 4]));
  // 1 and 3 are in r0, 2 and 4 in r1: though 4 has no more than 3, 3 keeps two racks.
  expect(plan.drain(1)).toBe(null);
  expect(plan.moves.map(({ to }) => to)).toEqual([[3, 2]]);
});

test("where there are too few others, the partition is named", () => {
  const plan = new Plan(places(3), topic([2, 3], [1, 2, 3]));
  expect(plan.drain(1)).toMatchObject({ partition: 1 });
});

test("an empty broker gets its share with as few moves as that takes", () => {
  const plan = new Plan(places(3), topic([1], [2], [1], [2], [1], [2]));
  plan.spreadReplicas();
  expect([...plan.loads().values()]).toEqual([2, 2, 2]);
  expect(plan.moves.length).toBe(2);
});

test("leaders are evened out over others where no two brokers can swap", () => {
  // 1 leads two and 3 none, and they share no partition: 2 gives one on.
  const plan = new Plan(places(3), topic([1, 2], [1, 2], [2, 3]));
  plan.spreadLeaders();
  expect([...plan.leads().values()]).toEqual([1, 1, 1]);
});

test("what is even is left alone", () => {
  const plan = new Plan(places(3), topic([1, 2], [2, 3], [3, 1]));
  plan.spreadReplicas();
  plan.spreadLeaders();
  expect(plan.moves).toEqual([]);
});

test("whatever lies wherever: factors stay, nothing lies twice on a broker, racks are kept, all is evened out", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = SeededRandom.of(seed);
    const draw = (max: number) => random.uint32() % max;
    const count = 3 + draw(6);
    const factor = 1 + draw(3);
    const all = places(count, draw(2) * factor);
    const partitions = topic(
      ...Array.from({ length: draw(60) }, () => {
        // Skewed on purpose: low ids have most.
        const ids = new Set<number>();
        while (ids.size < factor) ids.add(1 + Math.min(draw(count), draw(count)));
        return [...ids];
      }),
    );
    const plan = new Plan(all, partitions);
    plan.spreadReplicas();
    plan.spreadLeaders();
    const racksOf = (ids: readonly number[]) =>
      new Set(ids.map((id) => all[id - 1]!.rack).filter((rack) => rack !== null)).size;
    for (const { from, to } of plan.moves) {
      expect([seed, new Set(to).size, to.length]).toEqual([seed, from.length, from.length]);
      expect(racksOf(to)).toBeGreaterThanOrEqual(racksOf(from));
    }
    if (all[0]!.rack === null) expect([seed, spread(plan.loads()) < 2]).toEqual([seed, true]);
    // Nobody who leads much shares a partition with somebody who leads much less.
    const after = new Map(plan.moves.map(({ partition, to }) => [partition, to]));
    const leads = plan.leads();
    for (const { partition, replicas } of partitions) {
      const [first, ...others] = after.get(partition) ?? replicas;
      for (const id of others) {
        expect([seed, leads.get(first!)! - leads.get(id)! < 2]).toEqual([seed, true]);
      }
    }
    const drained = 1 + draw(count);
    const lost = plan.drain(drained);
    if (factor < count) {
      expect([seed, lost, plan.loads().get(drained)]).toEqual([seed, null, 0]);
    }
  }
});
