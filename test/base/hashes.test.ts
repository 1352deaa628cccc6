// murmur2 and xxHash: partitions of keys that strangers must be able to reproduce.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { murmur2, murmur2Partition } from "../../src/base/murmur2.ts";
import { xxh32 } from "../../src/base/xxh32.ts";
import { loadXxhash, xxhashOnDemand } from "../../src/base/xxhash.ts";
import { fromHex, loadVectors } from "../record/vectors.ts";

interface Murmur2Vector {
  readonly key: string;
  readonly murmur2: number;
  readonly partition: Readonly<Record<string, number>>;
}

describe("murmur2()", () => {
  test("equals Java's on all vectors, and so do the partitions", () => {
    const vectors = loadVectors<Murmur2Vector>("murmur2");
    expect(vectors.length).toBe(149);
    for (const vector of vectors) {
      const key = fromHex(vector.key);
      expect(murmur2(key)).toBe(vector.murmur2);
      for (const [count, partition] of Object.entries(vector.partition)) {
        expect(murmur2Partition(key, Number(count))).toBe(partition);
      }
    }
  });

  test("does not depend on where the key lies", () => {
    const bytes = fromHex("00000068656c6c6f20776f726c6400");
    expect(murmur2(bytes.subarray(3, 14))).toBe(murmur2(bytes.slice(3, 14)));
  });
});

describe("loadXxhash()", () => {
  const text = (value: string) => new TextEncoder().encode(value);

  test("gives XXH32 with seed 0: the published check values", async () => {
    const { hash32 } = await loadXxhash();
    expect(hash32(text(""))).toBe(0x02cc5d05);
    expect(hash32(text("a"))).toBe(0x550d7456);
    expect(hash32(text("abc"))).toBe(0x32d153ff);
    expect(hash32(text("Nobody inspects the spammish repetition"))).toBe(0xe2293b2f);
  });

  test("partition() is the unsigned hash modulo the count", async () => {
    const { partition } = await loadXxhash();
    expect(partition(text("Nobody inspects the spammish repetition"), 12)).toBe(0xe2293b2f % 12);
    expect(partition(text("a"), 1)).toBe(0);
  });

  test("equals the plain XXH32 of the lz4 frames, for any bytes", async () => {
    const { hash32 } = await loadXxhash();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 300 }), (bytes) => {
        expect(hash32(bytes)).toBe(xxh32(bytes));
      }),
    );
    const large = Uint8Array.from({ length: 200_001 }, (_, i) => i ^ (i >> 5));
    expect(hash32(large)).toBe(xxh32(large));
    expect(xxh32(large, 17, 1000)).toBe(hash32(large.subarray(17, 1000)));
  });

  test("is made once", () => {
    expect(loadXxhash()).toBe(loadXxhash());
  });
});

describe("xxhashOnDemand()", () => {
  test("gives the same partition before, while and after WebAssembly loads", async () => {
    const onDemand = xxhashOnDemand();
    const key = new TextEncoder().encode("Nobody inspects the spammish repetition");
    const first = onDemand.partition(key, 12);
    expect(first).toBe(0xe2293b2f % 12);
    expect(onDemand.hash32(key)).toBe(0xe2293b2f);
    await loadXxhash();
    await Promise.resolve();
    expect(onDemand.partition(key, 12)).toBe(first);
    const { hash32 } = await loadXxhash();
    for (let length = 0; length < 64; length++) {
      expect(onDemand.hash32(key.subarray(0, length))).toBe(hash32(key.subarray(0, length)));
    }
  });
});
