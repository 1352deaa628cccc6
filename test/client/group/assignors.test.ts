import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import {
  assign,
  isCooperative,
  type PartitionCounts,
} from "../../../src/client/group/assignors.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type MemberSubscription,
} from "../../../src/client/group/consumer_protocol.ts";
import { keyOf, type TopicPartition } from "../../../src/client/group/partition_key.ts";
import { sticky } from "../../../src/client/group/sticky_assignor.ts";

function member(memberId: string, topics: string[], more: Partial<MemberSubscription> = {}) {
  return { memberId, instanceId: null, topics, owned: [], generation: -1, ...more };
}

const shown = (assigned: Map<string, TopicPartition[]>) =>
  Object.fromEntries([...assigned].map(([id, places]) => [id, places.map(keyOf).join(" ")]));

describe("range", () => {
  test("each topic in pieces, the first members have more, as in Kafka's own example", () => {
    const members = [member("b", ["t", "u"]), member("a", ["t", "u"])];
    const counts = new Map([
      ["t", 3],
      ["u", 3],
    ]);
    expect(shown(assign("range", members, counts))).toEqual({
      a: "t-0 t-1 u-0 u-1",
      b: "t-2 u-2",
    });
  });

  test("static members come first, by their names; topics nobody reads are left alone", () => {
    const members = [member("a", ["t"]), member("z", ["t"], { instanceId: "one" })];
    const counts = new Map([
      ["t", 3],
      ["v", 9],
    ]);
    expect(shown(assign("range", members, counts))).toEqual({ z: "t-0 t-1", a: "t-2" });
  });
});

test("roundrobin passes over members that do not read a topic", () => {
  const members = [member("a", ["t"]), member("b", ["t", "u"]), member("c", ["t", "u", "v"])];
  const counts = new Map([
    ["t", 1],
    ["u", 2],
    ["v", 3],
  ]);
  expect(shown(assign("roundrobin", members, counts))).toEqual({
    a: "t-0",
    b: "u-0",
    c: "u-1 v-0 v-1 v-2",
  });
});

describe("sticky", () => {
  const places = (topic: string, numbers: number[]) =>
    numbers.map((partition) => ({ topic, partition }));

  test("a member that comes takes from the fullest, and nothing else moves", () => {
    const members = [
      member("a", ["t"], { owned: places("t", [0, 1, 2]), generation: 4 }),
      member("b", ["t"], { owned: places("t", [3, 4, 5]), generation: 4 }),
      member("c", ["t"]),
    ];
    expect(shown(sticky(members, new Map([["t", 6]])))).toEqual({
      a: "t-0 t-1",
      b: "t-3 t-4",
      c: "t-2 t-5",
    });
  });

  test("cooperative: what is to move is unassigned in this round", () => {
    const members = [
      member("a", ["t"], { owned: places("t", [0, 1]), generation: 4 }),
      member("b", ["t"]),
    ];
    const counts = new Map([["t", 3]]);
    expect(shown(assign("cooperative-sticky", members, counts))).toEqual({
      a: "t-0 t-1",
      b: "t-2",
    });
    const more = assign("cooperative-sticky", [...members, member("c", ["t"])], counts);
    expect(shown(more)).toEqual({ a: "t-0", b: "", c: "t-2" });
  });

  test("of two claims the later generation is right; of two equal ones neither", () => {
    const members = [
      member("a", ["t"], { owned: places("t", [0, 1]), generation: 3 }),
      member("b", ["t"], { owned: places("t", [0, 1]), generation: 4 }),
    ];
    expect(shown(sticky(members, new Map([["t", 2]])))).toEqual({ a: "t-1", b: "t-0" });
  });

  test("an uneven start is evened out through members in between", () => {
    const members = [
      member("a", ["t"], { owned: places("t", [0, 1, 2]), generation: 1 }),
      member("b", ["t", "u"], { owned: places("u", [0, 1]), generation: 1 }),
      member("c", ["u"]),
    ];
    const counts = new Map([
      ["t", 3],
      ["u", 2],
    ]);
    const sizes = [...sticky(members, counts).values()].map(({ length }) => length);
    expect(sizes.sort()).toEqual([1, 2, 2]);
  });
});

test("seeded groups: every partition is read once, by a subscriber, evenly, and again the same", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = SeededRandom.of(seed);
    const below = (limit: number) => random.uint32() % limit;
    const topics = ["t", "u", "v"].slice(0, 1 + below(3));
    const counts: PartitionCounts = new Map(topics.map((topic) => [topic, below(9)]));
    const isUniform = below(2) === 0;
    let members: MemberSubscription[] = Array.from({ length: 1 + below(7) }, (_, at) => {
      const own = isUniform ? topics : topics.filter(() => below(3) > 0);
      return member(`m${at}`, own);
    });
    for (let round = 1; round <= 4; round++) {
      for (const name of ["range", "roundrobin", "cooperative-sticky"] as const) {
        const assigned =
          name === "cooperative-sticky" ? sticky(members, counts) : assign(name, members, counts);
        const all = [...assigned.values()].flat().map(keyOf);
        const read = topics.filter((topic) => members.some((each) => each.topics.includes(topic)));
        const total = read.reduce((sum, topic) => sum + counts.get(topic)!, 0);
        expect([seed, name, new Set(all).size, all.length]).toEqual([seed, name, total, total]);
        for (const { memberId, topics: own } of members) {
          expect(assigned.get(memberId)!.every(({ topic }) => own.includes(topic))).toBe(true);
        }
        const sizes = [...assigned.values()].map(({ length }) => length);
        if (isUniform && name !== "range") {
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        }
        if (name === "cooperative-sticky") {
          const again = members.map((each) => {
            return { ...each, owned: assigned.get(each.memberId)!, generation: round };
          });
          // Who has what it should keeps it.
          expect(shown(sticky(again, counts))).toEqual(shown(assigned));
          members = again;
        }
      }
      if (below(2) === 0) members = members.slice(1);
      if (members.length === 0 || below(2) === 0) members.push(member(`n${round}`, topics));
    }
  }
});

test("the group is cooperative only when every assignor is", () => {
  expect(isCooperative(["cooperative-sticky"])).toBe(true);
  expect(isCooperative(["range", "cooperative-sticky"])).toBe(false);
});

test("what members tell one another comes back, also in versions before and after ours", () => {
  const owned = [
    { topic: "t", partition: 1 },
    { topic: "t", partition: 4 },
  ];
  const bytes = encodeSubscription(["t", "u"], owned, 7, "rack");
  expect(decodeSubscription("m", null, bytes)).toEqual({
    memberId: "m",
    instanceId: null,
    topics: ["t", "u"],
    owned,
    generation: 7,
  });
  expect(decodeAssignment(encodeAssignment(owned))).toEqual(owned);
  expect(decodeAssignment(new Uint8Array(0))).toEqual([]);
  const later = Uint8Array.from([...bytes, 1, 2, 3]);
  later[1] = 9;
  expect(decodeSubscription("m", null, later).owned).toEqual(owned);
  // Version 1 tells its generation in the assignor's own bytes.
  const old = Uint8Array.from([0, 1, 0, 0, 0, 1, 0, 1, 116, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0]);
  expect(decodeSubscription("m", "i", old)).toMatchObject({ topics: ["t"], generation: 5 });
});
