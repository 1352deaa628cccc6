import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { KEY_PLACE_BYTES, KeyOffsets } from "../../../src/core/log/cleaner_keys.ts";

const encoder = new TextEncoder();

function keysOf(sizeBytesMax: number, loadFactor = 0.9): KeyOffsets {
  const random = SeededRandom.of("keys");
  return new KeyOffsets(sizeBytesMax, loadFactor, () => random.uint32());
}

function put(keys: KeyOffsets, key: string, offset: number): boolean {
  const bytes = encoder.encode(`(${key})`);
  return keys.put(bytes, 1, bytes.length - 1, offset);
}

function latest(keys: KeyOffsets, key: string): number {
  const bytes = encoder.encode(`<${key}>`);
  return keys.latest(bytes, 1, bytes.length - 1);
}

describe("KeyOffsets", () => {
  test("agrees with a map", () => {
    const random = SeededRandom.of("walk");
    const keys = keysOf(64 * 1024 * 1024);
    const model = new Map<string, number>();
    for (let offset = 0; offset < 60_000; offset++) {
      const key = `${random.below(20_000)}`;
      expect(put(keys, key, offset)).toBe(true);
      model.set(key, offset);
    }
    expect(keys.count).toBe(model.size);
    for (const [key, offset] of model) expect(latest(keys, key)).toBe(offset);
    for (let i = 20_000; i < 21_000; i++) expect(latest(keys, `${i}`)).toBe(-1);
    expect(keys.sizeBytes).toBeLessThan(model.size * KEY_PLACE_BYTES * 5);
  });

  test("keeps to its bound, goes on with keys it has, and loses none", () => {
    const bound = 96 * 1024;
    const keys = keysOf(bound);
    let taken = 0;
    while (put(keys, `${taken}`, taken)) taken++;
    expect(taken).toBeGreaterThan(bound / KEY_PLACE_BYTES / 4);
    expect(keys.sizeBytes).toBeLessThanOrEqual(bound);
    expect(latest(keys, `${taken}`)).toBe(-1);
    for (let i = 0; i < taken; i++) {
      expect(latest(keys, `${i}`)).toBe(i);
      expect(put(keys, `${i}`, taken + i)).toBe(true);
    }
    expect(latest(keys, "0")).toBe(taken);
  });

  test("takes the first key whatever the bound, and the empty key", () => {
    const keys = keysOf(0);
    expect(put(keys, "", 7)).toBe(true);
    expect(latest(keys, "")).toBe(7);
    expect(latest(keys, "other")).toBe(-1);
  });

  test("gets as full as the load factor says before it grows", () => {
    const fitting = (loadFactor: number): number => {
      const keys = keysOf(256 * 64 * KEY_PLACE_BYTES, loadFactor);
      let taken = 0;
      for (let i = 0; i < 20_000; i++) if (put(keys, `key ${i}`, i)) taken++;
      expect(keys.sizeBytes).toBeLessThanOrEqual(256 * 64 * KEY_PLACE_BYTES);
      return taken;
    };
    const [half, full] = [fitting(0.5), fitting(0.9)];
    expect(half).toBeLessThanOrEqual(256 * 64 * 0.5);
    expect(full).toBeGreaterThan(half * 1.3);
  });
});
