// The conformance suite of segment stores: what contracts/storage.ts promises, case by case, over any
// plugin. A plugin author calls it in a `describe`; a case that cannot hold is skipped with a reason.
// Cases about power losses run where the harness can make one.

import { StorageError, type StorageErrorCode } from "../../contracts/errors.ts";
import type { SegmentFile, SegmentStore, Storage, StoragePlugin } from "../../contracts/storage.ts";
import { pluginContext } from "./plugin_context.ts";
import { afterEach, beforeEach, describe, expect, test } from "./test_api.ts";

/** A plugin over a fresh place, made for one case. */
export interface StorageUnderTest {
  /** Opening it again after a close finds what was there. */
  readonly plugin: StoragePlugin;
  /** Removes the place. */
  dispose?(): void | Promise<void>;
}

/** Cases left out, and why. */
export interface SkippedCases {
  readonly reason: string;
  /** Names of cases, exactly. */
  readonly cases: readonly string[];
}

/** What the suite of segment stores is told about one plugin. */
export interface SegmentStoreConformance<Under extends StorageUnderTest> {
  /** Whether the storage forgets by its nature, and has to say so (`Storage.isVolatile`). Default false. */
  readonly isVolatile?: boolean;
  /** Called once a case. */
  open(): Under | Promise<Under>;
  /**
   * A power loss while the plugin is open: the harshest one, in which everything goes that was not
   * synced. The plugin returned is opened on what is left; the old store is never touched again.
   * Without it the cases about power losses are not declared.
   */
  crash?(under: Under): StoragePlugin | Promise<StoragePlugin>;
  readonly skip?: readonly SkippedCases[];
}

/** The open store of the running case. */
interface Bench {
  store: SegmentStore;
  restart(): Promise<SegmentStore>;
}

/** Declares the cases; call it at the top of a test file or in a `describe`. */
export function segmentStoreConformance<Under extends StorageUnderTest>(
  options: SegmentStoreConformance<Under>,
): void {
  const skipped = new Set((options.skip ?? []).flatMap(({ cases }) => [...cases]));
  const crash = options.crash?.bind(options);
  let under: Under;
  let plugin: StoragePlugin;
  let storage: Storage;
  const bench = {} as Bench;

  async function start(): Promise<SegmentStore> {
    storage = await plugin.open(pluginContext());
    if (storage.segments === undefined) throw new Error("the plugin offers no segment store");
    bench.store = storage.segments;
    return bench.store;
  }

  describe("segment store", () => {
    beforeEach(async () => {
      under = await options.open();
      plugin = under.plugin;
      bench.restart = async () => {
        await storage.close();
        return await start();
      };
      await start();
    });
    afterEach(async () => {
      await storage.close();
      await under.dispose?.();
    });

    for (const [name, run] of Object.entries(cases)) {
      (skipped.has(name) ? test.skip : test)(name, () => run(bench));
    }
    for (const [name, run] of Object.entries(powerLossCases)) {
      if (crash === undefined) break;
      const losePower = async () => {
        plugin = await crash(under);
        return await start();
      };
      (skipped.has(name) ? test.skip : test)(name, () => run(bench, losePower));
    }
    test("says by isVolatile whether it forgets by its nature, as the broker takes it at its word", () => {
      expect(storage.isVolatile ?? false).toBe(options.isVolatile ?? false);
    });
    test("every skipped case is a case", () => {
      const known = new Set([...Object.keys(cases), ...Object.keys(powerLossCases)]);
      expect([...skipped].filter((name) => !known.has(name))).toEqual([]);
    });
  });
}

const cases: Record<string, (bench: Bench) => Promise<void>> = {
  "append() answers with the position and readInto() finds the bytes, synced or not": async ({
    store,
  }) => {
    const file = await store.open("a", { create: true });
    expect(file.sizeBytes).toBe(0);
    expect(await file.append([bytes(10, 1)])).toBe(0);
    expect(await file.append([bytes(5, 2), bytes(0, 0), bytes(7, 3)])).toBe(10);
    expect(file.sizeBytes).toBe(22);
    expect(await readAll(file)).toEqual([...bytes(10, 1), ...bytes(5, 2), ...bytes(7, 3)]);
  },

  "append() of no bytes changes nothing": async ({ store }) => {
    const file = await store.open("a", { create: true });
    await file.append([bytes(3, 1)]);
    expect(await file.append([])).toBe(3);
    expect(await file.append([new Uint8Array(0)])).toBe(3);
    expect(file.sizeBytes).toBe(3);
  },

  "append() has taken the chunks when it resolves": async ({ store }) => {
    const file = await store.open("a", { create: true });
    for (const sizeBytes of [100, 9_000, 300_000]) {
      const chunks = [bytes(sizeBytes, 7), bytes(40, 8), bytes(50, 9)];
      const position = await file.append(chunks);
      for (const chunk of chunks) chunk.fill(0);
      const found = new Uint8Array(sizeBytes + 90);
      expect(await file.readInto(found, position)).toBe(found.length);
      expect(found[0]).toBe(7);
      expect(found[sizeBytes]).toBe(8);
      expect(found[sizeBytes + 89]).toBe(9);
    }
  },

  "append() keeps the order of chunks of every size": async ({ store }) => {
    const file = await store.open("a", { create: true });
    const sizes = [1, 4_000, 4_000, 70_000, 10, 0, 8_191, 8_192, 8_193, 200_000, 3, 5];
    const chunks = sizes.map((sizeBytes, i) => bytes(sizeBytes, i + 1));
    await file.append(chunks.slice(0, 3));
    await file.append(chunks.slice(3));
    const many = Array.from({ length: 3_000 }, (_, i) => bytes(100, i & 0xff));
    await file.append(many);
    const expected = concat([...chunks, ...many]);
    expect(file.sizeBytes).toBe(expected.length);
    const found = new Uint8Array(expected.length);
    await file.readInto(found, 0);
    expect(Buffer.compare(found, expected)).toBe(0);
  },

  "readInto() fills from any position, with fewer bytes only at the end": async ({ store }) => {
    const file = await store.open("a", { create: true });
    await file.append([counting(100_000)]);
    const target = new Uint8Array(1_000);
    expect(await file.readInto(target, 65_000)).toBe(1_000);
    expect([target[0], target[999]]).toEqual([65_000 % 251, 65_999 % 251]);
    expect(await file.readInto(target, 99_900)).toBe(100);
    expect(await file.readInto(target, 100_000)).toBe(0);
    expect(await file.readInto(target, 200_000)).toBe(0);
    expect(await file.readInto(new Uint8Array(0), 10)).toBe(0);
  },

  "readInto() leaves what is behind the bytes read alone": async ({ store }) => {
    const file = await store.open("a", { create: true });
    await file.append([bytes(10, 1)]);
    const target = bytes(20, 9);
    expect(await file.readInto(target, 0)).toBe(10);
    expect([...target.subarray(10)]).toEqual([...bytes(10, 9)]);
  },

  "appends may overlap a running sync, and syncs one another": async ({ store }) => {
    const file = await store.open("a", { create: true });
    const syncs: Promise<void>[] = [];
    for (let i = 0; i < 50; i++) {
      await file.append([bytes(1_000, i)]);
      syncs.push(file.sync());
    }
    await Promise.all(syncs);
    expect(file.sizeBytes).toBe(50_000);
    const found = await readAll(file);
    expect([found[0], found[25_500], found[49_999]]).toEqual([0, 25, 49]);
  },

  "open() fails with not_found when absent and create is false": async ({ store }) => {
    await expectCode("not_found", () => store.open("a", { create: false }));
    await expectCode("not_found", () => store.open("b/c", { create: false }));
    expect(await store.list("")).toEqual([]);
  },

  "open() refuses names outside the rule": async ({ store }) => {
    const wrong = ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a b", "ä", "a\\b", "~a"];
    for (const name of [...wrong, "x".repeat(201)]) {
      await expectCode("invalid_name", () => store.open(name, { create: true }));
      await expectCode("invalid_name", () => store.remove(name));
    }
    const right = ["a.log", "A-b_c.9", ".a", "..a", "a/b/c/d", "x".repeat(200)];
    for (const name of right) await (await store.open(name, { create: true })).close();
    expect((await store.list("")).map(({ name }) => name)).toEqual([...right].sort());
  },

  "open() refuses a name that is open, until it is closed": async ({ store }) => {
    const file = await store.open("a", { create: true });
    await expectCode("locked", () => store.open("a", { create: false }));
    await file.close();
    await (await store.open("a", { create: false })).close();
  },

  "a file opened again has its size and bytes": async ({ store, restart }) => {
    const first = await store.open("p/a", { create: true });
    await first.append([counting(70_000)]);
    await first.close();
    const second = await store.open("p/a", { create: true });
    expect(second.sizeBytes).toBe(70_000);
    expect(await second.append([bytes(10, 5)])).toBe(70_000);
    await second.sync();
    const third = await (await restart()).open("p/a", { create: false });
    expect(third.sizeBytes).toBe(70_010);
    expect(await readAll(third)).toEqual([...counting(70_000), ...bytes(10, 5)]);
  },

  "a closed file answers closed, and closing twice is fine": async ({ store }) => {
    const file = await store.open("a", { create: true });
    await file.append([bytes(1, 1)]);
    await file.close();
    await file.close();
    await expectCode("closed", () => file.append([bytes(1, 1)]));
    await expectCode("closed", () => file.sync());
    await expectCode("closed", () => file.truncate(0));
    await expectCode("closed", async () => await file.readInto(new Uint8Array(1), 0));
  },

  "a closed store answers closed": async ({ store, restart }) => {
    const file = await store.open("a", { create: true });
    await restart();
    await expectCode("closed", () => store.open("a", { create: true }));
    await expectCode("closed", () => store.list(""));
    await expectCode("closed", () => store.remove("a"));
    await expectCode("closed", () => file.append([bytes(1, 1)]));
  },

  "list() names what is under a prefix, in byte order, with sizes": async ({ store }) => {
    for (const name of ["t/b", "t/a.10", "t/a", "u", "t-1/x", "t/a/b2", "Z"].reverse()) {
      if (name === "t/a/b2") continue;
      const file = await store.open(name, { create: true });
      await file.append([bytes(name.length, 1)]);
      await file.close();
    }
    const names = async (prefix: string) => (await store.list(prefix)).map(({ name }) => name);
    expect(await names("")).toEqual(["Z", "t-1/x", "t/a", "t/a.10", "t/b", "u"]);
    expect(await names("t/")).toEqual(["t/a", "t/a.10", "t/b"]);
    expect(await names("t")).toEqual(["t-1/x", "t/a", "t/a.10", "t/b"]);
    expect(await names("t/a")).toEqual(["t/a", "t/a.10"]);
    expect(await names("nothing/here")).toEqual([]);
    expect(await store.list("t-")).toEqual([{ name: "t-1/x", sizeBytes: 5 }]);
  },

  "list() sees the size of an open file": async ({ store }) => {
    const file = await store.open("a", { create: true });
    await file.append([bytes(10, 1)]);
    expect(await store.list("")).toEqual([{ name: "a", sizeBytes: 10 }]);
    await file.truncate(4);
    expect(await store.list("")).toEqual([{ name: "a", sizeBytes: 4 }]);
  },

  "truncate() cuts the end, and appends go on there": async ({ store, restart }) => {
    const file = await store.open("a", { create: true });
    await file.append([counting(100_000)]);
    await file.truncate(66_000);
    expect(file.sizeBytes).toBe(66_000);
    expect(await file.readInto(new Uint8Array(10), 65_995)).toBe(5);
    await expectCode("range", () => file.truncate(66_001));
    expect(await file.append([bytes(3, 200)])).toBe(66_000);
    await file.truncate(66_003);
    const found = await (await restart()).open("a", { create: false });
    expect(await readAll(found)).toEqual([...counting(66_000), 200, 200, 200]);
    await found.truncate(0);
    expect(await readAll(found)).toEqual([]);
  },

  "replace() puts one file in the place of another": async ({ store }) => {
    await write(store, "dir/new", [bytes(3, 1)]);
    await write(store, "old", [bytes(9, 2)]);
    await store.replace("dir/new", "old");
    expect(await store.list("")).toEqual([{ name: "old", sizeBytes: 3 }]);
    await write(store, "x", [bytes(4, 4)]);
    await store.replace("x", "other/y");
    expect((await store.list("")).map(({ name }) => name)).toEqual(["old", "other/y"]);
    await expectCode("not_found", () => store.replace("absent", "old"));
    expect(await readNamed(store, "old")).toEqual([1, 1, 1]);
  },

  "remove() removes, also what is not there": async ({ store }) => {
    await write(store, "p/a", [bytes(3, 1)]);
    await write(store, "p/b", [bytes(3, 1)]);
    await store.remove("p/a");
    await store.remove("p/a");
    await store.remove("q/r/s");
    expect(await store.list("")).toEqual([{ name: "p/b", sizeBytes: 3 }]);
    await store.remove("p/b");
    const file = await store.open("p/a", { create: true });
    expect(file.sizeBytes).toBe(0);
    await file.append([bytes(2, 6)]);
    await file.sync();
    expect(await readAll(file)).toEqual([6, 6]);
  },

  "many names of one folder are removed at once": async ({ store }) => {
    const names = Array.from({ length: 20 }, (_, i) => `p/${i}`);
    for (const name of names) await write(store, name, [bytes(1, 1)]);
    await Promise.all(names.map((name) => store.remove(name)));
    expect(await store.list("")).toEqual([]);
  },

  "commit() appends to several files, each in the order given": async ({ store, restart }) => {
    const a = await store.open("a", { create: true });
    const b = await store.open("p/b", { create: true });
    await a.append([bytes(2, 1)]);
    await store.commit([
      { file: a, chunks: [bytes(3, 2)] },
      { file: b, chunks: [bytes(1, 3), bytes(1, 4)] },
      { file: a, chunks: [bytes(1, 5)] },
    ]);
    await store.commit([]);
    expect(a.sizeBytes).toBe(6);
    const again = await restart();
    expect(await readNamed(again, "a")).toEqual([1, 1, 2, 2, 2, 5]);
    expect(await readNamed(again, "p/b")).toEqual([3, 4]);
  },

  "recycle() gives an empty file under the new name": async ({ store }) => {
    await write(store, "old", [bytes(1_000, 1)]);
    await write(store, "other", [bytes(1, 1)]);
    await expectCode("exists", () => store.recycle("old", "other"));
    await expectCode("not_found", () => store.recycle("absent", "new"));
    const file = await store.recycle("old", "p/new");
    expect([file.name, file.sizeBytes]).toEqual(["p/new", 0]);
    expect(await file.readInto(new Uint8Array(10), 0)).toBe(0);
    expect(await file.append([bytes(10, 2)])).toBe(0);
    expect(await file.append([bytes(10, 3)])).toBe(10);
    await file.sync();
    expect(await readAll(file)).toEqual([...bytes(10, 2), ...bytes(10, 3)]);
    expect((await store.list("")).map(({ name }) => name)).toEqual(["other", "p/new"]);
    await file.truncate(15);
    await file.close();
    expect(await readNamed(store, "p/new")).toEqual([...bytes(10, 2), ...bytes(5, 3)]);
  },

  "a recycled file opened again begins with what was appended": async ({ store, restart }) => {
    await write(store, "old", [bytes(1_000, 1)]);
    const file = await store.recycle("old", "new");
    await file.append([bytes(10, 2)]);
    await file.sync();
    const found = await (await restart()).open("new", { create: false });
    expect(found.sizeBytes).toBeGreaterThanOrEqual(10);
    const start = new Uint8Array(10);
    expect(await found.readInto(start, 0)).toBe(10);
    expect([...start]).toEqual([...bytes(10, 2)]);
  },

  "a thousand files are open at once": async ({ store }) => {
    const files: SegmentFile[] = [];
    for (let i = 0; i < 1_000; i++) {
      files.push(await store.open(`many/${i}`, { create: true }));
    }
    await Promise.all(files.map((file, i) => file.append([bytes(10, i & 0xff)])));
    for (let i = 0; i < 1_000; i += 7) await files[i]!.append([bytes(5, (i + 1) & 0xff)]);
    const target = new Uint8Array(15);
    expect(await files[7]!.readInto(target, 0)).toBe(15);
    expect([target[0], target[14]]).toEqual([7, 8]);
    expect(await files[999]!.readInto(target, 0)).toBe(10);
    expect(target[0]).toBe(999 & 0xff);
    await Promise.all(files.map((file) => file.close()));
    expect((await store.list("many/")).length).toBe(1_000);
  },
};

type PowerLossCase = (bench: Bench, losePower: () => Promise<SegmentStore>) => Promise<void>;

const powerLossCases: Record<string, PowerLossCase> = {
  "power loss: synced bytes and their name survive": async ({ store }, losePower) => {
    const file = await store.open("p/q/a", { create: true });
    await file.append([counting(100_000)]);
    await file.append([bytes(10, 3)]);
    await file.sync();
    const after = await losePower();
    const found = await readNamed(after, "p/q/a");
    expect(found.slice(0, 100_010)).toEqual([...counting(100_000), ...bytes(10, 3)]);
  },

  "power loss: sync() covers what was appended before, again and again": async (
    { store },
    losePower,
  ) => {
    const file = await store.open("a", { create: true });
    for (let i = 0; i < 5; i++) {
      await file.append([bytes(1_000, i)]);
      await file.sync();
    }
    await file.append([bytes(1_000, 9)]);
    const found = await readNamed(await losePower(), "a");
    for (let i = 0; i < 5; i++) expect(found[i * 1_000]).toBe(i);
    expect(found.length).toBeGreaterThanOrEqual(5_000);
  },

  "power loss: every file of a commit survives": async ({ store }, losePower) => {
    const a = await store.open("a", { create: true });
    const b = await store.open("p/b", { create: true });
    await a.append([bytes(2, 1)]);
    await store.commit([
      { file: a, chunks: [bytes(3, 2)] },
      { file: b, chunks: [bytes(4, 3)] },
    ]);
    const after = await losePower();
    expect(await readNamed(after, "a")).toEqual([1, 1, 2, 2, 2]);
    expect(await readNamed(after, "p/b")).toEqual([3, 3, 3, 3]);
  },

  "power loss: a truncation stays done": async ({ store }, losePower) => {
    const file = await store.open("a", { create: true });
    await file.append([bytes(5_000, 1)]);
    await file.sync();
    await file.truncate(1_234);
    expect((await readNamed(await losePower(), "a")).length).toBe(1_234);
  },

  "power loss: a replaced file is the new one, whole": async ({ store }, losePower) => {
    await write(store, "old", [bytes(9, 2)]);
    const file = await store.open("p/new", { create: true });
    await file.append([bytes(3_000, 1)]);
    await file.close();
    await store.replace("p/new", "old");
    const after = await losePower();
    expect(await readNamed(after, "old")).toEqual([...bytes(3_000, 1)]);
    expect((await after.list("")).map(({ name }) => name)).toEqual(["old"]);
  },

  "power loss: a removed file stays away": async ({ store }, losePower) => {
    await write(store, "p/a", [bytes(3, 1)]);
    await write(store, "p/b", [bytes(3, 1)]);
    await store.remove("p/a");
    const after = await losePower();
    expect((await after.list("")).map(({ name }) => name)).toEqual(["p/b"]);
  },

  "power loss: a recycled file has its new name only, and what was synced": async (
    { store },
    losePower,
  ) => {
    await write(store, "p/old", [bytes(5_000, 1)]);
    const file = await store.recycle("p/old", "q/new");
    await file.append([bytes(600, 2)]);
    await file.sync();
    await file.append([bytes(600, 3)]);
    const after = await losePower();
    expect((await after.list("")).map(({ name }) => name)).toEqual(["q/new"]);
    expect((await readNamed(after, "q/new")).slice(0, 600)).toEqual([...bytes(600, 2)]);
  },

  "power loss: a file that came from an earlier opening is covered by its next sync": async (
    { store, restart },
    losePower,
  ) => {
    const file = await store.open("p/a", { create: true });
    await file.append([bytes(700, 1)]);
    await file.close();
    const again = await (await restart()).open("p/a", { create: false });
    await again.sync();
    expect(await readNamed(await losePower(), "p/a")).toEqual([...bytes(700, 1)]);
  },

  "power loss: the store goes on from what is left": async ({ store }, losePower) => {
    const file = await store.open("a", { create: true });
    await file.append([bytes(10, 1)]);
    await file.sync();
    await file.append([bytes(10, 2)]);
    const left = await (await losePower()).open("a", { create: false });
    await left.truncate(10);
    await left.append([bytes(5, 3)]);
    await left.sync();
    expect(await readNamed(await losePower(), "a")).toEqual([...bytes(10, 1), ...bytes(5, 3)]);
  },
};

function bytes(sizeBytes: number, value: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(value);
}

function counting(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes).map((_, i) => i % 251);
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

async function readAll(file: SegmentFile): Promise<number[]> {
  const target = new Uint8Array(file.sizeBytes);
  expect(await file.readInto(target, 0)).toBe(target.length);
  return [...target];
}

async function readNamed(store: SegmentStore, name: string): Promise<number[]> {
  const file = await store.open(name, { create: false });
  const found = await readAll(file);
  await file.close();
  return found;
}

async function write(
  store: SegmentStore,
  name: string,
  chunks: readonly Uint8Array[],
): Promise<void> {
  const file = await store.open(name, { create: true });
  await file.append(chunks);
  await file.sync();
  await file.close();
}

async function expectCode(code: StorageErrorCode, call: () => Promise<unknown>): Promise<void> {
  let error: unknown = null;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(StorageError);
  expect((error as StorageError).code).toBe(code);
}
