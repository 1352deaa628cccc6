// What every assignor owes: each partition to one reader of its topic, loads as even as the subscriptions allow, and no
// move without need. Seeded groups and topics.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../../src/base/prng.ts";
import {
  type AssignedMember,
  type AssignorInput,
  NO_PARTITIONS,
  type TopicPartitions,
} from "../../../../../src/core/coordinator/group/assignors/assignor.ts";
import {
  ASSIGNORS,
  assignorNamed,
  uniformAssignor,
} from "../../../../../src/core/coordinator/group/assignors/assignors.ts";
import { rangeAssignor } from "../../../../../src/core/coordinator/group/assignors/range.ts";

interface World {
  readonly counts: Map<string, number>;
  members: AssignedMember[];
}

function inputOf({ counts, members }: World): AssignorInput {
  const first = [...(members[0]?.topicIds ?? [])].sort().join();
  const isHomogeneous = members.every(({ topicIds }) => [...topicIds].sort().join() === first);
  return { members, isHomogeneous, partitionCount: (topicId) => counts.get(topicId) ?? 0 };
}

function member(
  memberId: string,
  topicIds: readonly string[],
  target: TopicPartitions = NO_PARTITIONS,
  instanceId: string | null = null,
): AssignedMember {
  return { memberId, instanceId, topicIds: new Set(topicIds), target };
}

function randomWorld(random: SeededRandom, areEqual: boolean): World {
  const counts = new Map<string, number>();
  const topicCount = 1 + random.below(6);
  for (let topic = 0; topic < topicCount; topic++) counts.set(`t${topic}`, random.below(12));
  const all = [...counts.keys()];
  const members = Array.from({ length: 1 + random.below(9) }, (_, index) =>
    member(`m${index}`, areEqual ? all : all.filter(() => random.below(3) > 0)),
  );
  return { counts, members };
}

/** The same members with new targets. */
function withTargets(world: World, targets: ReadonlyMap<string, TopicPartitions>): World {
  return {
    counts: world.counts,
    members: world.members.map((each) => ({
      ...each,
      target: targets.get(each.memberId) ?? NO_PARTITIONS,
    })),
  };
}

/** Some come, some go, topics grow. */
function changed(random: SeededRandom, world: World, areEqual: boolean): World {
  const counts = new Map(world.counts);
  for (const [topicId, count] of counts) {
    if (random.below(4) === 0) counts.set(topicId, count + 1 + random.below(3));
  }
  const all = [...counts.keys()];
  let members = world.members.filter(() => random.below(4) > 0);
  if (random.below(2) === 0) {
    members.push(
      member(`n${random.uint32()}`, areEqual ? all : all.filter(() => random.below(2) > 0)),
    );
  }
  if (!areEqual) {
    members = members.map((each) =>
      random.below(4) > 0
        ? each
        : { ...each, topicIds: new Set(all.filter(() => random.below(2) > 0)) },
    );
  }
  return { counts, members: members.length > 0 ? members : world.members };
}

function ownersOf(targets: ReadonlyMap<string, TopicPartitions>): Map<string, string> {
  const owners = new Map<string, string>();
  for (const [memberId, target] of targets) {
    for (const [topicId, partitions] of target) {
      expect(partitions.length).toBeGreaterThan(0);
      expect([...partitions]).toEqual([...new Set(partitions)].sort((a, b) => a - b));
      for (const partition of partitions) {
        const key = `${topicId} ${partition}`;
        expect({ key, owner: owners.get(key) }).toEqual({ key, owner: undefined });
        owners.set(key, memberId);
      }
    }
  }
  return owners;
}

function sizeOf(targets: ReadonlyMap<string, TopicPartitions>, memberId: string): number {
  let size = 0;
  for (const partitions of targets.get(memberId)?.values() ?? []) size += partitions.length;
  return size;
}

/** Every partition of a topic with readers is with one of them, and nothing else is assigned. */
function checkWhole(world: World, targets: ReadonlyMap<string, TopicPartitions>): void {
  const owners = ownersOf(targets);
  let expectedCount = 0;
  for (const [topicId, count] of world.counts) {
    const readers = world.members.filter(({ topicIds }) => topicIds.has(topicId));
    if (readers.length === 0) continue;
    expectedCount += count;
    for (let partition = 0; partition < count; partition++) {
      const owner = owners.get(`${topicId} ${partition}`);
      expect(readers.some(({ memberId }) => memberId === owner)).toBe(true);
    }
  }
  expect(owners.size).toBe(expectedCount);
}

describe("every assignor", () => {
  for (const assignor of ASSIGNORS) {
    for (const areEqual of [true, false]) {
      test(`${assignor.name}, ${areEqual ? "equal" : "different"} subscriptions: each partition once, to a reader`, () => {
        for (let seed = 0; seed < 150; seed++) {
          const random = SeededRandom.of(`${assignor.name} ${areEqual} ${seed}`);
          let world = randomWorld(random, areEqual);
          for (let step = 0; step < 4; step++) {
            const targets = assignor.assign(inputOf(world));
            checkWhole(world, targets);
            // Equal input, equal output.
            expect([...assignor.assign(inputOf(world))]).toEqual([...targets]);
            world = changed(random, withTargets(world, targets), areEqual);
          }
        }
      });
    }

    test(`${assignor.name}: nobody and nothing`, () => {
      expect(assignor.assign(inputOf({ counts: new Map(), members: [] })).size).toBe(0);
      const idle = { counts: new Map(), members: [member("m1", [])] };
      expect(sizeOf(assignor.assign(inputOf(idle)), "m1")).toBe(0);
    });
  }

  test("they are found by name", () => {
    expect(assignorNamed("uniform")).toBe(uniformAssignor);
    expect(assignorNamed("range")).toBe(rangeAssignor);
    expect(assignorNamed("sticky")).toBeUndefined();
  });
});

describe("uniform", () => {
  test("equal subscriptions: loads differ by one at most, and no more moves than that takes", () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = SeededRandom.of(`uniform ${seed}`);
      let world = randomWorld(random, true);
      for (let step = 0; step < 4; step++) {
        const targets = uniformAssignor.assign(inputOf(world));
        const sizes = world.members.map(({ memberId }) => sizeOf(targets, memberId));
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        checkSticky(world, targets, sizes);
        world = changed(random, withTargets(world, targets), true);
      }
    }
  });

  /** Everybody keeps as much of what it had as its new share allows. */
  function checkSticky(
    world: World,
    targets: ReadonlyMap<string, TopicPartitions>,
    sizes: readonly number[],
  ): void {
    for (const [index, { memberId, target }] of world.members.entries()) {
      let hadCount = 0;
      let keptCount = 0;
      for (const [topicId, partitions] of target) {
        const now = new Set(targets.get(memberId)?.get(topicId));
        hadCount += partitions.length;
        keptCount += partitions.filter((partition) => now.has(partition)).length;
      }
      expect(keptCount).toBe(Math.min(hadCount, sizes[index]!));
    }
  }

  test("different subscriptions: no single move would make two readers of a topic more even", () => {
    let unevenCount = 0;
    for (let seed = 0; seed < 300; seed++) {
      const random = SeededRandom.of(`uneven ${seed}`);
      let world = randomWorld(random, false);
      for (let step = 0; step < 3; step++) {
        const targets = uniformAssignor.assign(inputOf(world));
        for (const { memberId, topicIds } of world.members) {
          for (const other of world.members) {
            const gap = sizeOf(targets, memberId) - sizeOf(targets, other.memberId);
            if (gap <= 1) continue;
            const shared = [...topicIds].some(
              (topicId) =>
                other.topicIds.has(topicId) && targets.get(memberId)?.has(topicId) === true,
            );
            if (shared) unevenCount++;
          }
        }
        world = changed(random, withTargets(world, targets), false);
      }
    }
    expect(unevenCount).toBe(0);
  });

  test("different subscriptions: what is balanced already stays where it is", () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = SeededRandom.of(`still ${seed}`);
      const world = randomWorld(random, false);
      const targets = uniformAssignor.assign(inputOf(world));
      const again = uniformAssignor.assign(inputOf(withTargets(world, targets)));
      expect(ownersOf(again)).toEqual(ownersOf(targets));
    }
  });

  test("a member that reads one topic alone is not given another's", () => {
    const world: World = {
      counts: new Map([
        ["t", 4],
        ["u", 4],
      ]),
      members: [member("m1", ["t", "u"]), member("m2", ["u"])],
    };
    const targets = uniformAssignor.assign(inputOf(world));
    expect(targets.get("m1")!.get("t")).toEqual([0, 1, 2, 3]);
    expect(targets.get("m2")!.get("u")).toEqual([0, 1, 2, 3]);
  });
});

describe("range", () => {
  test("neighbouring partitions, the first members one more", () => {
    const world = {
      counts: new Map([
        ["t", 7],
        ["u", 2],
      ]),
      members: ["c", "a", "b"].map((memberId) => member(memberId, ["t", "u"])),
    };
    const targets = rangeAssignor.assign(inputOf(world));
    expect(targets.get("a")!.get("t")).toEqual([0, 1, 2]);
    expect(targets.get("b")!.get("t")).toEqual([3, 4]);
    expect(targets.get("c")!.get("t")).toEqual([5, 6]);
    expect(targets.get("b")!.get("u")).toEqual([1]);
    expect(targets.get("c")!.has("u")).toBe(false);
  });

  test("static members come first, by their names, whatever their ids", () => {
    const world = {
      counts: new Map([["t", 3]]),
      members: [
        member("a", ["t"]),
        member("z", ["t"], NO_PARTITIONS, "i1"),
        member("y", ["t"], NO_PARTITIONS, "i2"),
      ],
    };
    const targets = rangeAssignor.assign(inputOf(world));
    expect(["z", "y", "a"].map((id) => targets.get(id)!.get("t"))).toEqual([[0], [1], [2]]);
  });

  test("topics with as many readers and partitions go together", () => {
    const world = {
      counts: new Map([
        ["t", 5],
        ["u", 5],
      ]),
      members: ["a", "b"].map((memberId) => member(memberId, ["t", "u"])),
    };
    for (const target of rangeAssignor.assign(inputOf(world)).values()) {
      expect(target.get("t")).toEqual(target.get("u")!);
    }
  });
});

test("ten thousand partitions for a thousand members take no time to speak of", () => {
  const counts = new Map(Array.from({ length: 100 }, (_, index) => [`t${index}`, 100] as const));
  const members = Array.from({ length: 1_000 }, (_, index) =>
    member(`m${index}`, [...counts.keys()]),
  );
  for (const isHomogeneous of [true, false]) {
    const targets = uniformAssignor.assign({ ...inputOf({ counts, members }), isHomogeneous });
    expect(new Set(members.map(({ memberId }) => sizeOf(targets, memberId)))).toEqual(
      new Set([10]),
    );
  }
});
