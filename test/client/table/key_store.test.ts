import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { KeyStore } from "../../../src/client/table/key_store.ts";
import { afterPrefix, following } from "../../../src/client/table/table_watch.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytesOf = (text: string) => encoder.encode(text);
const textOf = (bytes: Uint8Array) => decoder.decode(bytes);

function put(
  store: KeyStore,
  key: string,
  value: string | null,
  place: { partition?: number; offset: number; timestampMs?: number },
  keepsDeleted = false,
): number {
  const keyBytes = bytesOf(key);
  const valueBytes = bytesOf(value ?? "");
  const bytes = new Uint8Array(keyBytes.length + valueBytes.length);
  bytes.set(keyBytes);
  bytes.set(valueBytes, keyBytes.length);
  const keyEnd = keyBytes.length;
  const valueLength = value === null ? -1 : valueBytes.length;
  return store.put(
    { bytes, keyStart: 0, keyEnd, valueStart: keyEnd, valueLength },
    { partition: 0, timestampMs: 0, ...place },
    keepsDeleted,
  );
}

function valueIn(store: KeyStore, key: string): string | null | undefined {
  const slot = store.find(bytesOf(key));
  if (slot < 0) return undefined;
  const value = store.valueOf(slot);
  return value === null ? null : textOf(value);
}

const storeOf = (keep: "values" | "offsets" = "values", bytesMax = 1 << 26, seed = "store") =>
  new KeyStore({ keep, bytesMax, random: SeededRandom.of(seed) });

const keysIn = (store: KeyStore, ...range: Parameters<KeyStore["order"]["range"]>) =>
  store.order.range(...range).map((slot) => textOf(store.keyOf(slot)));

describe("the key store", () => {
  test("takes values that are longer than its pages, beside short ones", () => {
    const store = storeOf();
    const lengths = [10, 300, 600_000, 20, 900_000, 262_136, 3, 5_000_000, 40];
    for (let round = 0; round < 3; round++) {
      for (const [i, length] of lengths.entries()) {
        put(store, `k${i}`, String(round).repeat(length), { offset: round * 100 + i });
      }
      for (const [i, length] of lengths.entries()) {
        expect(valueIn(store, `k${i}`) === String(round).repeat(length)).toBe(true);
      }
    }
    const live = lengths.reduce((sum, length) => sum + length);
    expect(store.sizeBytes).toBeLessThan(3 * live);
    expect(store.spilled).toBe(0);
  });

  for (const keep of ["values", "offsets"] as const) {
    for (let seed = 1; seed <= 6; seed++) {
      test(`keep ${keep}: holds what a Map holds, in order, seed ${seed}`, () => {
        const random = SeededRandom.of(`model ${seed}`);
        const store = storeOf(keep, 1 << 26, `hash ${seed}`);
        const model = new Map<string, { value: string; offset: number }>();
        const changes: string[] = [];
        store.onChange = (slot, record) => {
          const key = textOf(store.keyOf(slot));
          const isThere = store.isLive(slot);
          expect(isThere).toBe(model.has(key));
          if (isThere) expect(store.placeOf(slot).offset).toBe(model.get(key)!.offset);
          changes.push(`${key} ${record === null ? "gone" : record.valueLength}`);
        };
        const keyCount = 1 + random.below(3000);
        for (let offset = 0; offset < 12_000; offset++) {
          const key = `k${random.below(keyCount)}`;
          const kind = random.below(10);
          const value = kind < 3 ? null : "x".repeat(random.below(kind === 9 ? 3000 : 40));
          const before = changes.length;
          put(store, key, value, { offset });
          expect(changes.length - before).toBe(value === null && !model.has(key) ? 0 : 1);
          if (value === null) model.delete(key);
          else model.set(key, { value, offset });
          // An older one changes nothing.
          if (kind === 5 && offset > 0) put(store, key, "old", { offset: offset - 1 });
          if (random.below(2000) === 0) {
            store.dropBefore(0, offset - 500);
            for (const [held, each] of model) if (each.offset < offset - 500) model.delete(held);
          }
        }
        expect(store.size).toBe(model.size);
        for (const [key, { value, offset }] of model) {
          const slot = store.find(bytesOf(key));
          expect(store.placeOf(slot)).toEqual({ partition: 0, offset, timestampMs: 0 });
          expect(valueIn(store, key)).toBe(keep === "values" ? value : null);
        }
        const sorted = [...model.keys()].sort();
        expect(keysIn(store, null, null, 1 << 20, false)).toEqual(sorted);
        expect(keysIn(store, null, null, 1 << 20, true)).toEqual([...sorted].reverse());
        expect(keysIn(store, bytesOf("k1"), bytesOf("k2"), 5, false)).toEqual(
          sorted.filter((key) => key >= "k1" && key < "k2").slice(0, 5),
        );
        // The order is kept up once it was asked for.
        for (let offset = 20_000; offset < 22_000; offset++) {
          const key = `k${random.below(keyCount * 2)}`;
          const isDelete = random.below(2) === 0;
          put(store, key, isDelete ? null : "v", { offset });
          if (isDelete) model.delete(key);
          else model.set(key, { value: "v", offset });
        }
        expect(keysIn(store, null, null, 1 << 20, false)).toEqual([...model.keys()].sort());
        expect(store.spilled).toBe(keep === "values" ? 0 : model.size);
      });
    }
  }

  test("values give way within the bound, the oldest first, and keys never do", () => {
    const bytesMax = 1 << 20;
    const store = storeOf("values", bytesMax);
    for (let i = 0; i < 4000; i++) {
      put(store, `key ${i}`, `${i}`.padEnd(1000), { offset: i });
      expect(store.fit()).toBe(true);
      expect(store.sizeBytes).toBeLessThanOrEqual(bytesMax);
    }
    expect(store.size).toBe(4000);
    expect(store.spilled).toBeGreaterThan(3000);
    expect(valueIn(store, "key 0")).toBeNull();
    expect(valueIn(store, "key 3999")).toBe("3999".padEnd(1000));
    let held = 0;
    for (let i = 0; i < 4000; i++) if (valueIn(store, `key ${i}`) !== null) held++;
    expect(held).toBe(4000 - store.spilled);
    // One that gave way comes back when it is written again; deleted ones no longer count.
    put(store, "key 0", "again", { offset: 5000 });
    expect(valueIn(store, "key 0")).toBe("again");
    for (let i = 0; i < 4000; i++) put(store, `key ${i}`, null, { offset: 6000 + i });
    expect([store.size, store.spilled]).toEqual([0, 0]);
  });

  test("where the keys alone are too many it says so", () => {
    const store = storeOf("offsets", 100_000);
    let count = 0;
    do put(store, `key ${count}`, "v", { offset: count });
    while (store.fit() && ++count < 100_000);
    expect(count).toBeGreaterThan(500);
    expect(count).toBeLessThan(3000);
  });

  test("what is overwritten for ever takes no more than what is there", () => {
    const store = storeOf("values", 1 << 26);
    for (let offset = 0; offset < 200_000; offset++) {
      put(store, `key ${offset % 100}`, "x".repeat(offset % 300), { offset });
    }
    expect(store.sizeBytes).toBeLessThan(1 << 20);
    for (let i = 0; i < 50_000; i++) {
      put(store, `other ${i}`, "v", { offset: 300_000 + i });
      put(store, `other ${i}`, null, { offset: 400_000 + i });
    }
    expect(store.size).toBe(100);
    expect(store.sizeBytes).toBeLessThan(3 << 20);
  });

  test("of two partitions the later time is newer, and a tombstone is remembered while one may come", () => {
    const store = storeOf();
    put(store, "a", "new", { partition: 1, offset: 5, timestampMs: 200 });
    put(store, "a", "old", { partition: 0, offset: 900, timestampMs: 100 });
    expect(valueIn(store, "a")).toBe("new");
    const slot = put(store, "a", null, { partition: 1, offset: 6, timestampMs: 300 }, true);
    expect(slot).toBeGreaterThanOrEqual(0);
    put(store, "a", "old", { partition: 0, offset: 901, timestampMs: 250 });
    expect(valueIn(store, "a")).toBeUndefined();
    expect(store.size).toBe(0);
    store.forget(slot, 1, 6);
    put(store, "a", "back", { partition: 0, offset: 902, timestampMs: 250 });
    expect(valueIn(store, "a")).toBe("back");
    // The same time: the same choice, whichever is read first.
    put(store, "b", "one", { partition: 1, offset: 0, timestampMs: 7 });
    put(store, "b", "zero", { partition: 0, offset: 0, timestampMs: 7 });
    put(store, "c", "zero", { partition: 0, offset: 1, timestampMs: 7 });
    put(store, "c", "one", { partition: 1, offset: 1, timestampMs: 7 });
    expect([valueIn(store, "b"), valueIn(store, "c")]).toEqual(["one", "one"]);
  });

  test("keys are bytes: empty ones, high ones, and those that begin alike", () => {
    const store = storeOf();
    const keys = [[], [0], [0, 0], [0x7f], [0x80], [0xff], [0xff, 0], [0xff, 0xff]];
    for (const [i, key] of [...keys].reverse().entries()) {
      const bytes = new Uint8Array(key);
      const record = { bytes, keyStart: 0, keyEnd: key.length, valueStart: 0, valueLength: 0 };
      store.put(record, { partition: 0, offset: i, timestampMs: 0 }, false);
    }
    const all = store.order.range(null, null, 100, false).map((slot) => [...store.keyOf(slot)]);
    expect(all).toEqual(keys);
    expect(afterPrefix(new Uint8Array([0x61, 0xff, 0xff]))).toEqual(new Uint8Array([0x62]));
    expect(afterPrefix(new Uint8Array([0xff]))).toBeNull();
    expect(following(new Uint8Array([0xff]))).toEqual(new Uint8Array([0xff, 0]));
  });

  test("what is not met again goes, and nothing else", () => {
    const store = storeOf();
    for (let i = 0; i < 10; i++) put(store, `k${i}`, "v", { offset: i });
    put(store, "other", "v", { partition: 1, offset: 3 });
    store.beginSweep(0);
    for (const i of [1, 4, 7]) {
      const bytes = bytesOf(`k${i}`);
      store.meet({ bytes, keyStart: 0, keyEnd: 2, valueStart: 2, valueLength: 0 }, 0, i);
    }
    // Its record has gone: another one was met.
    const stale = bytesOf("k2");
    store.meet({ bytes: stale, keyStart: 0, keyEnd: 2, valueStart: 2, valueLength: 0 }, 0, 1);
    put(store, "late", "v", { offset: 12 });
    store.endSweep(0, 10);
    expect(keysIn(store, null, null, 100, false)).toEqual(["k1", "k4", "k7", "late", "other"]);
  });
});
