// The metadata store on a key-value store beyond the suite: fences, failures, keys of every kind, one sync
// for many, and what a power loss leaves of a life.

import { describe, expect, test } from "bun:test";
import { metadataKv } from "../../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { MetadataStoreError } from "../../../src/contracts/errors.ts";
import type { MetadataStore } from "../../../src/contracts/metadata_store.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import {
  type MemoryKeyValue,
  type MemoryKeyValueOptions,
  memoryKeyValue,
} from "../../../src/testing/memory_key_value.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const opened = ({ open }: MemoryKeyValue) => metadataKv({ open }).open(pluginContext());
const value = (text: string) => new TextEncoder().encode(text);
const put = (store: MetadataStore, key: string, text: string) =>
  store.commit({ conditions: [], writes: [{ key, value: value(text) }] });

async function valuesOf(store: MetadataStore): Promise<Record<string, string>> {
  const { entries } = await store.read("");
  return Object.fromEntries(
    entries.map(({ key, value: found }) => [key, new TextDecoder().decode(found)]),
  );
}

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return (error as MetadataStoreError).code;
  }
  return "none";
}

describe("a second opener", () => {
  test("fences the first off: locked, its sessions lost, nothing of it written", async () => {
    for (const answersLater of [false, true]) {
      const memory = memoryKeyValue({ answersLater });
      const first = await opened(memory);
      await put(first, "a", "1");
      const session = await first.session(1_000);
      await first.commit({ conditions: [], writes: [{ key: "s", value: value("2"), session }] });
      const second = await opened(memory);
      expect(await valuesOf(second)).toEqual({ a: "1" });
      expect(await codeOf(() => put(first, "a", "late"))).toBe("locked");
      expect(session.lost.aborted).toBe(true);
      expect(await codeOf(() => put(first, "b", "later"))).toBe("locked");
      await put(second, "a", "3");
      await first.close();
      await second.close();
      expect(await valuesOf(await opened(memory))).toEqual({ a: "3" });
    }
  });

  test("ends the reads of the first, which could be stale", async () => {
    const memory = memoryKeyValue();
    const first = await opened(memory);
    const session = await first.session(1_000);
    const second = await opened(memory);
    await put(second, "a", "1");
    for (let i = 0; i < 2; i++) expect(await codeOf(() => first.read(""))).toBe("locked");
    expect(session.lost.aborted).toBe(true);
    expect(await codeOf(() => put(first, "a", "late"))).toBe("locked");
    expect(await valuesOf(second)).toEqual({ a: "1" });
  });

  test("that only wrote the revision is noticed too", async () => {
    const memory = memoryKeyValue();
    const store = await opened(memory);
    await put(store, "a", "1");
    await memory.open().commit([{ kind: "put", key: "meta/revision", value: value("77") }]);
    expect(await codeOf(() => put(store, "a", "2"))).toBe("locked");
  });
});

describe("after a failed commit or sync", () => {
  test("nothing is committed any more, reads go on, and a new opening finds what was answered", async () => {
    for (const failing of ["commit", "sync"] as const) {
      for (const fault of ["fail", "full", "fail_after"] as const) {
        let isFailing = false;
        const memory = memoryKeyValue({
          onCall: (call) => (isFailing && call === failing ? fault : undefined),
        });
        const store = await opened(memory);
        await put(store, "a", "1");
        isFailing = true;
        const codes = await Promise.all(
          ["b", "c", "a"].map((key) => codeOf(() => put(store, key, "2"))),
        );
        expect(codes).toEqual(["unavailable", "unavailable", "unavailable"]);
        isFailing = false;
        expect(await codeOf(() => put(store, "d", "3"))).toBe("unavailable");
        expect(await valuesOf(store)).toEqual({ a: "1" });
        await store.close();
        const left = memory.rebuild(memory.points(), "nothing");
        const found = await valuesOf(await opened(left));
        const legal: Record<string, string>[] = [{ a: "1" }, { a: "2", b: "2", c: "2" }];
        expect(legal).toContainEqual(found);
      }
    }
  });
});

describe("commits", () => {
  test("of one turn share a sync", async () => {
    let syncs = 0;
    const memory = memoryKeyValue({
      onCall(call) {
        if (call === "sync") syncs++;
        return undefined;
      },
    });
    const store = await opened(memory);
    syncs = 0;
    await Promise.all(Array.from({ length: 500 }, (_, i) => put(store, `k${i}`, String(i))));
    expect(syncs).toBe(1);
    expect((await store.read("")).revision).toBe(500);
  });

  test("take keys of every kind, and refuse those that a store cannot hold", async () => {
    const memory = memoryKeyValue();
    const store = await opened(memory);
    const keys = ["", " ", "~", "%", "%41", "a/b", "ä", "日本", "\u0000\n", "😀", "x".repeat(400)];
    for (const key of keys) await put(store, key, `of ${key}`);
    await store.close();
    const again = await opened(memory);
    const found = await valuesOf(again);
    expect(Object.keys(found).sort()).toEqual([...keys].sort());
    for (const key of keys) expect(found[key]).toBe(`of ${key}`);
    await again.commit({ conditions: [], writes: keys.map((key) => ({ key, value: null })) });
    expect(await codeOf(() => put(again, "x".repeat(600), "1"))).toBe("too_large");
    await put(again, "b", "2");
    await again.close();
    expect(await valuesOf(await opened(memory))).toEqual({ b: "2" });
  });

  test("of a newer format, or damaged, are refused", async () => {
    const cases: readonly [string, string, string][] = [
      ["meta/format", "2", "version"],
      ["meta/format", "", "corrupt"],
      ["meta/owner", "x", "corrupt"],
      ["meta/revision", "many", "corrupt"],
      ["meta/e/a", "short", "corrupt"],
      ["meta/e/%zz", "0123456789", "corrupt"],
    ];
    for (const [key, text, code] of cases) {
      const memory = memoryKeyValue();
      await (await opened(memory)).close();
      await memory.open().commit([{ kind: "put", key, value: value(text) }]);
      expect([key, await codeOf(() => opened(memory))]).toEqual([key, code]);
    }
  });
});

/** Commits at random; what was answered when, by point. */
async function life(
  options: MemoryKeyValueOptions,
  seed: string,
): Promise<{
  memory: MemoryKeyValue;
  states: { point: number; entries: Record<string, string> }[];
}> {
  const random = SeededRandom.of(seed);
  const memory = memoryKeyValue(options);
  const store = await opened(memory);
  const states = [{ point: memory.points(), entries: {} as Record<string, string> }];
  for (let i = 0; i < 60; i++) {
    const writes = new Map<string, Uint8Array | null>();
    for (let n = random.below(3); n >= 0; n--) {
      writes.set(`k${random.below(5)}`, random.below(4) === 0 ? null : value(`${i}.${n}`));
    }
    await store.commit({
      conditions: [],
      writes: [...writes].map(([key, found]) => ({ key, value: found })),
    });
    states.push({ point: memory.points(), entries: await valuesOf(store) });
  }
  return { memory, states };
}

/** The first point at which a power loss leaves less than was answered, or half of a commit. */
async function brokenPoint(options: MemoryKeyValueOptions, seed: string): Promise<number | null> {
  const { memory, states } = await life(options, seed);
  for (let point = 0; point <= memory.points(); point++) {
    for (const survivors of ["nothing", "everything"] as const) {
      const found = JSON.stringify(await valuesOf(await opened(memory.rebuild(point, survivors))));
      const answered = states.findLastIndex((state) => state.point <= point);
      const legal = states.slice(Math.max(0, answered), Math.max(0, answered) + 2);
      if (!legal.some(({ entries }) => JSON.stringify(entries) === found)) return point;
    }
  }
  return null;
}

describe("a power loss", () => {
  test("at any point leaves what was answered, and whole commits", async () => {
    for (let seed = 0; seed < (isFullTestRun ? 200 : 10); seed++) {
      expect([seed, await brokenPoint({}, `metadata ${seed}`)]).toEqual([seed, null]);
    }
  }, 600_000);

  test("breaks a promise where any one sync was left out", async () => {
    const { memory } = await life({}, "metadata drop");
    // The first sync is that of the opening.
    const syncCount = Math.floor(memory.points() / 2);
    expect(syncCount).toBeGreaterThan(50);
    for (let dropped = 1; dropped < syncCount; dropped += 7) {
      const options: MemoryKeyValueOptions = {
        onCall: (call, index) => (call === "sync" && index === dropped ? "skip" : undefined),
      };
      expect(await brokenPoint(options, "metadata drop")).not.toBe(null);
    }
  });
});
