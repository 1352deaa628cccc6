// Segments on a key-value store beyond the suite: random lives against a model, with power losses; commits
// that are all or nothing at every point; fences; bounded removals; what a failure leaves.

import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  durableObjectKeyValue,
  type OpenKeyValue,
  sqliteKeyValue,
  storageKv,
} from "../../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { StorageError } from "../../../src/contracts/errors.ts";
import type { KeyValueOperation, KeyValueStore } from "../../../src/contracts/key_value.ts";
import type { SegmentFile, SegmentStore, Storage } from "../../../src/contracts/storage.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import { type MemoryKeyValue, memoryKeyValue } from "../../../src/testing/memory_key_value.ts";
import { durableObjectStorage } from "../../support/durable_object_storage.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

type Opened = Storage & { segments: SegmentStore };
type Model = ReadonlyMap<string, Uint8Array>;

const SMALL = { valueBytesMax: 500, operationsMax: 5, commitBytesMax: 1_500 };
const bytes = (sizeBytes: number, value: number) => new Uint8Array(sizeBytes).fill(value);

async function opened(open: OpenKeyValue): Promise<Opened> {
  return (await storageKv({ open }).open(pluginContext())) as Opened;
}

/** Every file there is, through the store alone. */
async function contents(store: SegmentStore): Promise<Model> {
  const found = new Map<string, Uint8Array>();
  for (const { name, sizeBytes } of await store.list("")) {
    const file = await store.open(name, { create: false });
    expect(file.sizeBytes).toBe(sizeBytes);
    const all = new Uint8Array(sizeBytes);
    expect(await file.readInto(all, 0)).toBe(sizeBytes);
    await file.close();
    found.set(name, all);
  }
  return found;
}

function isSame(a: Model, b: Model): boolean {
  if (a.size !== b.size) return false;
  for (const [name, held] of a) {
    const other = b.get(name);
    if (other === undefined || Buffer.compare(held, other) !== 0) return false;
  }
  return true;
}

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return (error as StorageError).code;
  }
  return "none";
}

/** A life of random calls, with what the store must hold after each. */
class RandomLife {
  readonly #random: SeededRandom;
  readonly #files = new Map<string, SegmentFile>();
  model = new Map<string, Uint8Array>();
  /** What was there after each call since the last that was durable, and after that one. */
  since: Model[] = [new Map()];
  store!: SegmentStore;

  constructor(seed: string) {
    this.#random = SeededRandom.of(seed);
  }

  begin(store: SegmentStore, model: Model): void {
    this.store = store;
    this.#files.clear();
    this.model = new Map(model);
    this.since = [new Map(model)];
  }

  async step(): Promise<void> {
    const name = `p/${"abcdef"[this.#random.below(6)]}`;
    const other = `q-${this.#random.below(3)}`;
    const isDurable = await this.#act(this.#random.below(12), name, other);
    if (isDurable) this.since = [];
    this.since.push(new Map(this.model));
  }

  /** Whether what is there is durable now. */
  async #act(kind: number, name: string, other: string): Promise<boolean> {
    const random = this.#random;
    const { store, model } = this;
    if (kind < 4) {
      const file = await this.#open(name);
      const chunks = this.#chunks();
      expect(await file.append(chunks)).toBe(model.get(name)!.length);
      model.set(name, joined([model.get(name)!, ...chunks]));
      return false;
    }
    if (kind === 4) {
      await (await this.#open(name)).sync();
      return true;
    }
    if (kind === 5) {
      const file = await this.#open(name);
      const sizeBytes = random.below(file.sizeBytes + 1);
      await file.truncate(sizeBytes);
      model.set(name, model.get(name)!.slice(0, sizeBytes));
      return true;
    }
    if (kind === 6) {
      const a = await this.#open(name);
      const b = await this.#open(other);
      const parts = [this.#chunks(), this.#chunks(), this.#chunks()] as const;
      await store.commit([
        { file: a, chunks: parts[0] },
        { file: b, chunks: parts[1] },
        { file: a, chunks: parts[2] },
      ]);
      model.set(name, joined([model.get(name)!, ...parts[0], ...parts[2]]));
      model.set(other, joined([model.get(other)!, ...parts[1]]));
      return true;
    }
    if (kind === 7) {
      await this.#close(name);
      await store.remove(name);
      model.delete(name);
      return true;
    }
    if (kind === 8) {
      if (!model.has(name)) return false;
      await this.#close(name);
      await this.#close(other);
      await store.replace(name, other);
      model.set(other, model.get(name)!);
      model.delete(name);
      return true;
    }
    if (kind === 9) {
      if (!model.has(name) || model.has(other)) return false;
      await this.#close(name);
      this.#files.set(other, await store.recycle(name, other));
      model.delete(name);
      model.set(other, new Uint8Array(0));
      return true;
    }
    if (kind === 10) {
      await this.#close(name);
      return false;
    }
    await this.#read(name);
    return false;
  }

  async #read(name: string): Promise<void> {
    const file = await this.#open(name);
    const held = this.model.get(name)!;
    const position = this.#random.below(held.length + 1);
    const target = bytes(this.#random.below(100_000), 0xee);
    const expected = held.subarray(position, position + target.length);
    expect(await file.readInto(target, position)).toBe(expected.length);
    expect(Buffer.compare(target.subarray(0, expected.length), expected)).toBe(0);
    expect(target.subarray(expected.length).every((byte) => byte === 0xee)).toBe(true);
  }

  async #open(name: string): Promise<SegmentFile> {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const file = await this.store.open(name, { create: true });
    this.#files.set(name, file);
    if (!this.model.has(name)) this.model.set(name, new Uint8Array(0));
    expect(file.sizeBytes).toBe(this.model.get(name)!.length);
    return file;
  }

  async #close(name: string): Promise<void> {
    await this.#files.get(name)?.close();
    this.#files.delete(name);
  }

  #chunks(): Uint8Array[] {
    const random = this.#random;
    const sizeMax = [40, 700, 5_000, 90_000][random.below(4)]!;
    return Array.from({ length: random.below(4) }, () =>
      bytes(random.below(sizeMax), random.below(251)),
    );
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

const SEEDS = isFullTestRun ? 1_000 : 25;

describe("random lives", () => {
  test("with power losses leave what there was after some call since the last durable one", async () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = SeededRandom.of(`losses ${seed}`);
      const life = new RandomLife(`life ${seed}`);
      let memory = memoryKeyValue({ answersLater: seed % 3 === 0 });
      life.begin((await opened(memory.open)).segments, new Map());
      for (let loss = 0; loss < 4; loss++) {
        const steps = random.below(40);
        for (let step = 0; step < steps; step++) await life.step();
        memory = memory.rebuild(memory.points(), random);
        const { segments } = await opened(memory.open);
        const found = await contents(segments);
        // A name that a call opened may come without what the call went on to do.
        const isKnown = life.since.some((each) => isSame(each, withoutEmpty(found, each)));
        expect([seed, loss, isKnown]).toEqual([seed, loss, true]);
        life.begin(segments, found);
      }
    }
  }, 3_600_000);

  const places: Record<string, () => { open: OpenKeyValue; dispose(): void }> = {
    SQLite: () => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-kv-"));
      return {
        open: () => sqliteKeyValue({ path: `${directory}/a.sqlite` }),
        dispose: () => fs.rmSync(directory, { recursive: true }),
      };
    },
    "a Durable Object": () => {
      const storage = durableObjectStorage();
      return { open: () => durableObjectKeyValue(storage), dispose: () => storage.dispose() };
    },
  };
  for (const [name, place] of Object.entries(places)) {
    test(`on ${name}, opened again and again, hold what the model holds`, async () => {
      for (let seed = 0; seed < (isFullTestRun ? 100 : 2); seed++) {
        const { open, dispose } = place();
        const life = new RandomLife(`${name} ${seed}`);
        let model: Model = new Map();
        for (let opening = 0; opening < 3; opening++) {
          const storage = await opened(open);
          life.begin(storage.segments, model);
          for (let step = 0; step < 60; step++) await life.step();
          await storage.close();
          const again = await opened(open);
          model = await contents(again.segments);
          expect([seed, opening, isSame(model, life.model)]).toEqual([seed, opening, true]);
          await again.close();
        }
        dispose();
      }
    }, 600_000);
  }
});

/** `found` without files that are empty and that `known` does not have. */
function withoutEmpty(found: Model, known: Model): Model {
  return new Map([...found].filter(([name, held]) => held.length > 0 || known.has(name)));
}

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
