import { describe, expect, test } from "bun:test";
import { placeReplicas } from "../../../src/core/cluster/placement.ts";

const broker = (id: number, rack: string | null = null) => ({ id, rack });

function leadersOf(placed: readonly (readonly number[])[]): number[] {
  const counts = new Map<number, number>();
  for (const [leader] of placed) counts.set(leader!, (counts.get(leader!) ?? 0) + 1);
  return Array.from(counts.values());
}

describe("placeReplicas()", () => {
  test("leaders and replicas are even, and replicas of one partition distinct", () => {
    for (let brokers = 1; brokers <= 7; brokers++) {
      const all = Array.from({ length: brokers }, (_, i) => broker(i * 3));
      for (let factor = 1; factor <= brokers; factor++) {
        const placed = placeReplicas(all, 84, factor, 4_000_000_001);
        const leaders = leadersOf(placed);
        expect(leaders.length).toBe(brokers);
        expect(Math.max(...leaders) - Math.min(...leaders)).toBeLessThan(2);
        for (const replicas of placed) expect(new Set(replicas).size).toBe(factor);
      }
    }
  });

  test("replicas are on distinct racks as long as there are racks", () => {
    const all = [broker(1, "a"), broker(2, "a"), broker(3, "b"), broker(4, "b"), broker(5, "c")];
    const rackOf = new Map(all.map(({ id, rack }) => [id, rack]));
    for (const replicas of placeReplicas(all, 50, 3, 7)) {
      expect(new Set(replicas.map((id) => rackOf.get(id))).size).toBe(3);
    }
    for (const replicas of placeReplicas(all, 50, 4, 7)) {
      expect(new Set(replicas.map((id) => rackOf.get(id))).size).toBe(3);
    }
  });

  test("partitions added later go on where the others ended", () => {
    const all = [broker(1), broker(2), broker(3)];
    const whole = placeReplicas(all, 10, 2, 5);
    expect([...placeReplicas(all, 4, 2, 5), ...placeReplicas(all, 6, 2, 5, 4)]).toEqual(whole);
  });
});
