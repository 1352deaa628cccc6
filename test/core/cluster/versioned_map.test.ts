import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { VersionedMap } from "../../../src/core/cluster/versioned_map.ts";

const content = (map: ReadonlyMap<string, number>) => Object.fromEntries([...map].sort());

describe("VersionedMap", () => {
  test("every version keeps what it was made with, also where an old one is changed again", () => {
    const a = new VersionedMap(new Map([["x", 1]]));
    const b = a.with("y", 2);
    const c = b.with("x", 3);
    const d = c.without("y");
    const branch = b.with("z", 9);
    expect(content(a)).toEqual({ x: 1 });
    expect(content(b)).toEqual({ x: 1, y: 2 });
    expect(content(c)).toEqual({ x: 3, y: 2 });
    expect(content(d)).toEqual({ x: 3 });
    expect(content(branch)).toEqual({ x: 1, y: 2, z: 9 });
    expect([a.size, b.size, c.size, d.size, branch.size]).toEqual([1, 2, 2, 1, 3]);
    expect([a.get("y"), b.get("y"), c.get("x"), d.has("y"), branch.get("x")]).toEqual([
      undefined,
      2,
      3,
      false,
      1,
    ]);
    expect(d.without("nope")).toBe(d);
  });

  test("agrees with plain maps under random changes to random versions", () => {
    const random = SeededRandom.of(7);
    const versions = [{ map: new VersionedMap<number>(), plain: new Map<string, number>() }];
    for (let step = 0; step < 2000; step++) {
      // Mostly the newest, now and then an old one.
      const at = random.uint32() % 4 > 0 ? versions.length - 1 : random.uint32() % versions.length;
      const { map, plain } = versions[at]!;
      const key = `k${random.uint32() % 20}`;
      const next = new Map(plain);
      if (random.uint32() % 3 === 0) {
        next.delete(key);
        versions.push({ map: map.without(key), plain: next });
      } else {
        next.set(key, step);
        versions.push({ map: map.with(key, step), plain: next });
      }
      const seen = versions[random.uint32() % versions.length]!;
      expect(seen.map.size).toBe(seen.plain.size);
      const asked = `k${random.uint32() % 20}`;
      expect(seen.map.get(asked)).toBe(seen.plain.get(asked)!);
      expect(seen.map.has(asked)).toBe(seen.plain.has(asked));
      if (step % 100 === 0) {
        for (const each of versions) expect(content(each.map)).toEqual(content(each.plain));
      }
    }
  });
});
