// MinHeap, Lru and BufferPool against their simplest models.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { InvariantError } from "../../src/base/assert.ts";
import { BufferPool, POOLED_BYTES_MAX, POOLED_BYTES_MIN } from "../../src/base/buffer_pool.ts";
import { Lru } from "../../src/base/lru.ts";
import { MinHeap } from "../../src/base/min_heap.ts";

describe("MinHeap", () => {
  test("pops in order whatever was pushed, popped and compacted before", () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer() }),
      fc.constant("pop" as const),
      fc.constant("compact" as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new MinHeap<number>((a, b) => a - b);
        let model: number[] = [];
        for (const act of steps) {
          if (act === "pop") {
            expect(heap.pop()).toBe(model.shift());
          } else if (act === "compact") {
            heap.compact((item) => item % 2 === 0);
            model = model.filter((item) => item % 2 === 0);
          } else {
            heap.push(act.push);
            model = [...model, act.push].sort((a, b) => a - b);
          }
          expect(heap.size).toBe(model.length);
          expect(heap.peek()).toBe(model[0]);
        }
        expect(Array.from({ length: heap.size }, () => heap.pop())).toEqual(model);
      }),
    );
  });
});

describe("Lru", () => {
  test("pushes out the least recently used until the bytes fit", () => {
    const evicted: string[] = [];
    const lru = new Lru<string, number>(10, (key) => evicted.push(key));
    expect(lru.set("a", 1, 4)).toBe(true);
    expect(lru.set("b", 2, 4)).toBe(true);
    expect(lru.get("a")).toBe(1);
    expect(lru.set("c", 3, 5)).toBe(true);
    expect(evicted).toEqual(["b"]);
    expect([...lru.keys()]).toEqual(["a", "c"]);
    expect(lru.sizeBytes).toBe(9);
    expect(lru.peek("a")).toBe(1);
    lru.set("d", 4, 5);
    expect(evicted).toEqual(["b", "a"]);
    expect(lru.delete("c")).toBe(true);
    expect(lru.delete("c")).toBe(false);
    expect(lru.sizeBytes).toBe(5);
    lru.clear();
    expect([lru.sizeBytes, lru.count]).toEqual([0, 0]);
  });

  test("does not keep what alone is over the bound, and counts a replaced value once", () => {
    const evicted: number[] = [];
    const lru = new Lru<string, number>(10, (_, value) => evicted.push(value));
    lru.set("a", 1, 6);
    lru.set("a", 2, 7);
    expect([lru.sizeBytes, lru.count, lru.get("a")]).toEqual([7, 1, 2]);
    expect(lru.set("a", 3, 11)).toBe(false);
    expect([lru.sizeBytes, lru.get("a")]).toEqual([0, undefined]);
    expect(evicted).toEqual([1, 2]);
  });

  test("never weighs more than its bound", () => {
    const entry = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 60 }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), (entries) => {
        const lru = new Lru<number, number>(100);
        const sizes = new Map<number, number>();
        for (const [key, size] of entries) {
          lru.set(key, size, size);
          sizes.set(key, size);
          expect(lru.sizeBytes).toBeLessThanOrEqual(100);
          const kept = [...lru.keys()].reduce((sum, each) => sum + lru.peek(each)!, 0);
          expect(lru.sizeBytes).toBe(kept);
          for (const each of lru.keys()) expect(lru.peek(each)).toBe(sizes.get(each)!);
        }
      }),
    );
  });
});

describe("BufferPool", () => {
  test("lends the smallest class that fits, and the same buffer again", () => {
    const pool = new BufferPool({ idleBytesMax: 1 << 20 });
    const small = pool.acquire(1);
    expect(small.length).toBe(POOLED_BYTES_MIN);
    expect(pool.acquire(4097).length).toBe(8192);
    expect(pool.acquire(65536).length).toBe(65536);
    expect(pool.acquire(0).length).toBe(POOLED_BYTES_MIN);
    pool.release(small);
    expect(pool.idleBytes).toBe(4096);
    expect(pool.acquire(4096)).toBe(small);
    expect(pool.idleBytes).toBe(0);
  });

  test("keeps idle buffers only while they and the lent ones are within heldBytesMax", () => {
    const pool = new BufferPool({ idleBytesMax: 1 << 20, heldBytesMax: 24 * 1024 });
    const [small, large] = [pool.acquire(4096), pool.acquire(16_384)];
    pool.release(small);
    expect(pool.idleBytes).toBe(4096);
    // A fresh one makes the idle ones go, and is lent even where that is not enough.
    const more = pool.acquire(8192);
    expect([pool.idleBytes, pool.lentBytes]).toEqual([0, 24_576]);
    expect(small.length).toBe(0);
    const beyond = pool.acquire(8192);
    pool.release(beyond);
    expect([pool.idleBytes, beyond.length]).toEqual([0, 0]);
    pool.release(more);
    expect([pool.idleBytes, more.length]).toEqual([8192, 8192]);
    pool.release(large);
    expect([pool.idleBytes, pool.lentBytes]).toEqual([24_576, 0]);
  });

  test("keeps no more than its bound, and nothing above the largest class", () => {
    const pool = new BufferPool({ idleBytesMax: 10_000 });
    const lent = [pool.acquire(4096), pool.acquire(4096), pool.acquire(4096)];
    for (const buffer of lent) pool.release(buffer);
    expect(pool.idleBytes).toBe(8192);
    expect(pool.lentBytes).toBe(0);
    const huge = pool.acquire(POOLED_BYTES_MAX + 1);
    expect(huge.length).toBe(POOLED_BYTES_MAX + 1);
    expect(pool.lentBytes).toBe(POOLED_BYTES_MAX + 1);
    pool.release(huge);
    expect(pool.idleBytes).toBe(8192);
    pool.trim(4096);
    expect(pool.idleBytes).toBe(4096);
    pool.trim();
    expect(pool.idleBytes).toBe(0);
  });

  test("asserts on a second release, a view, and a stranger's buffer", () => {
    const pool = new BufferPool({ idleBytesMax: 1 << 20 });
    const buffer = pool.acquire(5000);
    expect(() => pool.release(buffer.subarray(0, 4096))).toThrow(InvariantError);
    pool.release(buffer);
    expect(() => pool.release(buffer)).toThrow(InvariantError);
    expect(() => pool.release(new Uint8Array(4096))).toThrow(InvariantError);
    const kept = pool.acquire(5000);
    pool.forget(kept);
    expect(pool.lentBytes).toBe(0);
    expect(() => pool.release(kept)).toThrow(InvariantError);
  });

  test("accounts for every byte whatever is lent and released", () => {
    const step = fc.record({ bytes: fc.integer({ min: 0, max: 300_000 }), release: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const pool = new BufferPool({ idleBytesMax: 200_000 });
        const lent: Uint8Array<ArrayBuffer>[] = [];
        for (const { bytes, release } of steps) {
          const buffer = pool.acquire(bytes);
          expect(buffer.length).toBeGreaterThanOrEqual(bytes);
          expect(lent).not.toContain(buffer);
          lent.push(buffer);
          if (release % 3 > 0) pool.release(lent.splice(release % lent.length, 1)[0]!);
          expect(pool.idleBytes).toBeLessThanOrEqual(200_000);
          expect(pool.lentBytes).toBe(lent.reduce((sum, each) => sum + each.length, 0));
        }
      }),
      { numRuns: 50 },
    );
  });
});
