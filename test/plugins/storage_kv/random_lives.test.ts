// Random lives of segments on key-value stores against a model: with power losses in memory, and opened again
// and again on SQLite and on a Durable Object's storage.

import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  durableObjectKeyValue,
  type OpenKeyValue,
  sqliteKeyValue,
} from "../../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { SegmentFile, SegmentStore } from "../../../src/contracts/storage.ts";
import { memoryKeyValue } from "../../../src/testing/memory_key_value.ts";
import { durableObjectStorage } from "../../support/durable_object_storage.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import { bytes, contents, isSame, joined, type Model, opened } from "./kv_rig.ts";

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
