// Segments on a key-value store beyond the suite: commits that are all or nothing at every point, fences,
// bounded removals, what a failure leaves, how chunks lie.

import { describe, expect, test } from "bun:test";
import type { OpenKeyValue } from "../../../plugins/storage-kv/mod.ts";
import type { KeyValueOperation, KeyValueStore } from "../../../src/contracts/key_value.ts";
import { type MemoryKeyValue, memoryKeyValue } from "../../../src/testing/memory_key_value.ts";
import { bytes, codeOf, contents, isSame, joined, type Model, opened } from "./kv_rig.ts";

const SMALL = { valueBytesMax: 500, operationsMax: 5, commitBytesMax: 1_500 };

describe("a change of several commits", () => {
  /** What the store holds after a power loss at each point of `change`. */
  async function* states(
    memory: MemoryKeyValue,
    change: () => Promise<void>,
  ): AsyncIterable<Model> {
    const from = memory.points();
    await change();
    expect(memory.points() - from).toBeGreaterThan(4);
    for (let point = from; point <= memory.points(); point++) {
      for (const survivors of ["nothing", "everything"] as const) {
        const left = memory.rebuild(point, survivors);
        const { segments } = await opened(left.open);
        yield await contents(segments);
        // And what comes after it is not mixed with what was left.
        const before = (await contents(segments)).get("a") ?? new Uint8Array(0);
        const file = await segments.open("a", { create: true });
        await file.append([bytes(10, 99)]);
        await file.close();
        const expected = joined([before, bytes(10, 99)]);
        for (const store of [segments, (await opened(left.open)).segments]) {
          expect(Buffer.compare((await contents(store)).get("a")!, expected)).toBe(0);
        }
      }
    }
  }

  test("commit() over the bounds is there whole or not at all, at every point", async () => {
    const memory = memoryKeyValue({ bounds: SMALL });
    const { segments } = await opened(memory.open);
    const a = await segments.open("a", { create: true });
    const b = await segments.open("b", { create: true });
    await segments.commit([{ file: a, chunks: [bytes(100, 1)] }]);
    const before = new Map([
      ["a", bytes(100, 1)],
      ["b", new Uint8Array(0)],
    ]);
    const after = new Map([
      ["a", joined([bytes(100, 1), bytes(3_000, 2), bytes(20, 4)])],
      ["b", bytes(2_500, 3)],
    ]);
    const counts = { before: 0, after: 0 };
    const change = () =>
      segments.commit([
        { file: a, chunks: [bytes(3_000, 2)] },
        { file: b, chunks: [bytes(2_500, 3)] },
        { file: a, chunks: [bytes(20, 4)] },
      ]);
    for await (const found of states(memory, change)) {
      if (isSame(found, before)) counts.before++;
      else if (isSame(found, after)) counts.after++;
      else throw new Error(`half of it: ${[...found].map(([name, held]) => name + held.length)}`);
    }
    expect(counts.before).toBeGreaterThan(0);
    expect(counts.after).toBeGreaterThan(0);
    expect(
      await contents((await opened(memory.rebuild(memory.points(), "nothing").open)).segments),
    ).toEqual(new Map([...after].sort()));
  });

  test("a long truncation is done whole or not at all, at every point", async () => {
    const memory = memoryKeyValue();
    const { segments } = await opened(memory.open);
    const a = await segments.open("a", { create: true });
    for (let i = 0; i < 80; i++) await a.append([bytes(130_000, i)]);
    await a.sync();
    const sizes = new Set<number>();
    for await (const found of states(memory, () => a.truncate(1_000))) {
      sizes.add(found.get("a")!.length);
    }
    expect([...sizes].sort((x, y) => x - y)).toEqual([1_000, 80 * 130_000]);
    expect(memory.entries().filter(({ key }) => key.startsWith("log/c/")).length).toBe(1);
  }, 60_000);
});

describe("removing", () => {
  test("is bounded in each commit, and goes on at the next opening", async () => {
    let removedMax = 0;
    const memory = memoryKeyValue();
    const chunks = () => memory.entries().filter(({ key }) => key.startsWith("log/c/")).length;
    const counting: OpenKeyValue = () => {
      const kv = memory.open();
      return wrapped(kv, (operations, checks) => {
        const before = chunks();
        const done = kv.commit(operations, checks);
        removedMax = Math.max(removedMax, before - chunks());
        return done;
      });
    };
    const first = await opened(counting);
    const file = await first.segments.open("large", { create: true });
    for (let i = 0; i < 200; i++) await file.append([bytes(64 * 1024, i)]);
    await file.close();
    await first.segments.remove("large");
    // It is gone before its bytes are.
    expect(await first.segments.list("")).toEqual([]);
    await first.close();
    expect(chunks()).toBeGreaterThan(100);
    const second = await opened(counting);
    while (chunks() > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await second.close();
    expect(removedMax).toBeLessThan(40);
    const left = memory.entries().map(({ key }) => key);
    expect(left).toEqual(["log/format", "log/owner"]);
  });
});

describe("a second opener", () => {
  test("fences the first off: its next write fails with locked, and nothing of it is there", async () => {
    for (const answersLater of [false, true]) {
      const memory = memoryKeyValue({ answersLater });
      const first = await opened(memory.open);
      const file = await first.segments.open("a", { create: true });
      await file.append([bytes(10, 1)]);
      const second = await opened(memory.open);
      expect(await codeOf(() => file.append([bytes(10, 2)]))).toBe("locked");
      expect(await codeOf(() => file.sync())).toBe("locked");
      expect(await codeOf(() => first.segments.remove("b"))).toBe("locked");
      expect(await codeOf(() => first.segments.open("new", { create: true }))).toBe("locked");
      const own = await second.segments.open("a", { create: false });
      await own.append([bytes(5, 3)]);
      await own.sync();
      await first.close();
      await own.close();
      expect(await contents(second.segments)).toEqual(
        new Map([["a", joined([bytes(10, 1), bytes(5, 3)])]]),
      );
    }
  });

  test("that comes at the same time: one of them goes on", async () => {
    for (let round = 0; round < 20; round++) {
      const memory = memoryKeyValue({ answersLater: true });
      const outcomes = await Promise.allSettled([opened(memory.open), opened(memory.open)]);
      const stores = outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
      const wrote: string[] = [];
      for (const { segments } of stores) {
        wrote.push(await codeOf(() => segments.open("a", { create: true })));
      }
      expect(wrote.filter((code) => code === "none").length).toBe(1);
    }
  });
});

describe("after a failed commit or sync", () => {
  for (const fault of ["fail", "full", "fail_after"] as const) {
    test(`(${fault}) everything but reads and close() is refused`, async () => {
      for (const failing of ["commit", "sync"] as const) {
        let isFailing = false;
        const memory = memoryKeyValue({
          onCall: (call) => (isFailing && call === failing ? fault : undefined),
        });
        const { segments, close } = await opened(memory.open);
        const file = await segments.open("a", { create: true });
        const other = await segments.open("b", { create: true });
        await file.append([bytes(100, 1)]);
        isFailing = true;
        const expected = fault === "full" ? "full" : "io";
        const write = () => (failing === "commit" ? file.append([bytes(5, 2)]) : file.sync());
        expect(await codeOf(write)).toBe(expected);
        isFailing = false;
        expect(await codeOf(() => file.append([bytes(5, 2)]))).toBe("io");
        expect(await codeOf(() => file.sync())).toBe("io");
        expect(await codeOf(() => other.append([bytes(5, 2)]))).toBe("io");
        expect(await codeOf(() => other.truncate(0))).toBe("io");
        expect(await codeOf(() => segments.commit([{ file: other, chunks: [] }]))).toBe("io");
        const found = new Uint8Array(100);
        expect(await file.readInto(found, 0)).toBe(100);
        expect([...found]).toEqual([...bytes(100, 1)]);
        await close();
      }
    });
  }
});

describe("the keys", () => {
  test("of a newer format are refused, damaged and foreign ones too", async () => {
    const cases: readonly [string, string, string][] = [
      ["log/format", "2", "version"],
      ["log/format", "x", "corrupt"],
      ["log/owner", "nobody", "corrupt"],
      ["log/f/a", "{}", "corrupt"],
      ["log/f/a", "not JSON", "corrupt"],
    ];
    for (const [key, text, code] of cases) {
      const memory = memoryKeyValue();
      await (await opened(memory.open)).close();
      const kv = memory.open();
      await kv.commit([{ kind: "put", key, value: new TextEncoder().encode(text) }]);
      expect([key, await codeOf(() => opened(memory.open))]).toEqual([key, code]);
    }
    const memory = memoryKeyValue();
    await memory.open().commit([{ kind: "put", key: "log/f/a", value: bytes(3, 1) }]);
    expect(await codeOf(() => opened(memory.open))).toBe("corrupt");
  });

  test("a missing chunk is damage, not the end of a file", async () => {
    const memory = memoryKeyValue();
    const { segments } = await opened(memory.open);
    const file = await segments.open("a", { create: true });
    for (let i = 0; i < 3; i++) await file.append([bytes(10_000, i)]);
    const [, second] = memory.entries().filter(({ key }) => key.startsWith("log/c/"));
    await memory.open().commit([{ kind: "remove", key: second!.key }]);
    const target = new Uint8Array(30_000);
    expect(await codeOf(async () => await file.readInto(target, 0))).toBe("corrupt");
    expect(await codeOf(async () => await file.readInto(target, 15_000))).toBe("corrupt");
  });
});

describe("chunks", () => {
  test("small appends rewrite little, and large ones nothing", async () => {
    const puts: number[] = [];
    const memory = memoryKeyValue();
    const { segments } = await opened(() => {
      const kv = memory.open();
      return wrapped(kv, (operations, checks) => {
        for (const each of operations) if (each.kind === "put") puts.push(each.value.byteLength);
        return kv.commit(operations, checks);
      });
    });
    const file = await segments.open("a", { create: true });
    await file.append([bytes(200_000, 1)]);
    puts.length = 0;
    for (let i = 0; i < 100; i++) await file.append([bytes(300, i)]);
    expect(puts.length).toBe(100);
    expect(Math.max(...puts)).toBeLessThanOrEqual(4_096);
    const chunks = memory.entries().filter(({ key }) => key.startsWith("log/c/"));
    expect(chunks.length).toBeLessThan(4 + 100 / 10);
  });

  test("reads answer with plain numbers where the store answers at once", async () => {
    const { segments } = await opened(memoryKeyValue().open);
    const file = await segments.open("a", { create: true });
    await file.append([bytes(200_000, 1)]);
    await file.append([bytes(10, 2)]);
    for (const position of [0, 65_530, 199_995, 200_000, 200_005]) {
      expect(file.readInto(new Uint8Array(100_000), position)).toBe(
        Math.min(100_000, 200_010 - position),
      );
    }
    const later = await opened(memoryKeyValue({ answersLater: true }).open);
    const slow = await later.segments.open("a", { create: true });
    await slow.append([bytes(200_000, 1)]);
    expect(slow.readInto(new Uint8Array(10), 5)).toBeInstanceOf(Promise);
  });

  test("belong to the store once an append has answered", async () => {
    const memory = memoryKeyValue();
    const { segments } = await opened(memory.open);
    const file = await segments.open("a", { create: true });
    const chunk = bytes(10, 1);
    await file.append([chunk]);
    chunk.fill(9);
    await file.append([chunk]);
    chunk.fill(8);
    const found = new Uint8Array(20);
    await file.readInto(found, 0);
    expect(Buffer.compare(found, joined([bytes(10, 1), bytes(10, 9)]))).toBe(0);
    await file.close();
    expect(Buffer.compare((await contents(segments)).get("a")!, found)).toBe(0);
  });

  test("that come while a sync runs are covered by the next one", async () => {
    for (const answersLater of [false, true]) {
      const memory = memoryKeyValue({ answersLater });
      const { segments } = await opened(memory.open);
      const file = await segments.open("a", { create: true });
      await file.append([bytes(10, 1)]);
      const first = file.sync();
      const appending = file.append([bytes(10, 2)]);
      await Promise.all([first, appending]);
      await file.sync();
      const left = await opened(memory.rebuild(memory.points(), "nothing").open);
      expect((await contents(left.segments)).get("a")!.length).toBe(20);
    }
  });

  test("those who wait share a sync", async () => {
    let syncs = 0;
    const memory = memoryKeyValue({
      onCall(call) {
        if (call === "sync") syncs++;
        return undefined;
      },
    });
    const { segments } = await opened(memory.open);
    const files = await Promise.all(
      Array.from({ length: 50 }, (_, i) => segments.open(`f${i}`, { create: true })),
    );
    syncs = 0;
    await Promise.all(
      files.map(async (file) => {
        await file.append([bytes(10, 1)]);
        await file.sync();
      }),
    );
    expect(syncs).toBeLessThan(4);
    await files[0]!.sync();
    expect(syncs).toBeLessThan(4);
  });
});

/** A store whose commits go through `commit`. */
function wrapped(
  kv: KeyValueStore,
  commit: (
    operations: readonly KeyValueOperation[],
    checks: Parameters<KeyValueStore["commit"]>[1],
  ) => boolean | Promise<boolean>,
): KeyValueStore {
  return {
    bounds: kv.bounds,
    get: (key) => kv.get(key),
    list: (range) => kv.list(range),
    listSizes: (range) => kv.listSizes(range),
    commit,
    sync: () => kv.sync(),
    close: () => kv.close(),
  };
}
