// The segment store over a key-value store: names, listing, replacing, recycling, commits.
// Invariant: every change of names is one commit, and durable when its call resolves; a name is handled by
// one KvFile at a time. Chunks that nobody points to are marked in the commit that let them go.

import { assert } from "../../src/base/assert.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type { KeyValueOperation } from "../../src/contracts/key_value.ts";
import type { Scheduler } from "../../src/contracts/runtime.ts";
import type {
  FileAppend,
  SegmentFile,
  SegmentStore,
  StoredFile,
} from "../../src/contracts/storage.ts";
import { type FileEnd, grouped } from "./append_plan.ts";
import type { FencedStore } from "./fenced_store.ts";
import { type FileSurroundings, KvFile } from "./kv_file.ts";
import { Sweeper, truncateChunks } from "./removal.ts";
import {
  chunkKey,
  chunksEnd,
  decodeEntry,
  encodeEntry,
  type FileEntry,
  garbageFrom,
  garbageKey,
  idOfGarbage,
  nameKey,
  nameOf,
  namesFrom,
  positionOf,
} from "./segment_keys.ts";

/** Letters, digits, dot, underscore and hyphen in parts between slashes; no part is "." or "..". */
const NAME = /^(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)*$/;
const NAME_CHARACTERS_MAX = 200;
/** Names asked for at once. */
const PAGE_ENTRIES = 200;

export class KvSegments implements SegmentStore {
  readonly commitIsAtomic = true;
  readonly #store: FencedStore;
  readonly #around: FileSurroundings;
  readonly #sweeper: Sweeper;
  readonly #open = new Map<string, KvFile>();
  /** Names that a call is about to open or change: nobody else may meanwhile. */
  readonly #claimed = new Set<string>();
  #nextId: number;

  private constructor(store: FencedStore, scheduler: Scheduler, sweeper: Sweeper, nextId: number) {
    this.#store = store;
    this.#sweeper = sweeper;
    this.#nextId = nextId;
    this.#around = { store, scheduler, onClosed: (file) => this.#open.delete(file.name) };
  }

  /** Goes on with what an earlier opening left half removed. */
  static async open(store: FencedStore, scheduler: Scheduler): Promise<KvSegments> {
    const sweeper = new Sweeper(store, scheduler);
    let highest = 0;
    for await (const [, entry] of entriesIn(store, "")) highest = Math.max(highest, entry.id);
    for (let after: string | null = null; ; ) {
      const page: readonly { readonly key: string }[] = await store.kv.listSizes(
        garbageFrom(after, PAGE_ENTRIES),
      );
      for (const { key } of page) {
        highest = Math.max(highest, idOfGarbage(key));
        sweeper.add(idOfGarbage(key));
        after = key;
      }
      if (page.length < PAGE_ENTRIES) break;
    }
    return new KvSegments(store, scheduler, sweeper, highest + 1);
  }

  async open(name: string, options: { readonly create: boolean }): Promise<SegmentFile> {
    this.#check(name);
    return await this.#claiming([name], async () => {
      if (this.#open.has(name)) {
        throw new StorageError("locked", `Cannot open segment "${name}" as it is open already`);
      }
      const entry = await this.#entryOf(name);
      if (entry !== null) return this.#opened(name, entry.id, await this.#settledSize(name, entry));
      if (!options.create) {
        throw new StorageError("not_found", `Cannot open segment "${name}" as there is none`);
      }
      const id = this.#nextId++;
      await this.#store.commit([put(name, { id, sizeBytes: null })]);
      return this.#opened(name, id, 0);
    });
  }

  async list(prefix: string): Promise<readonly StoredFile[]> {
    this.#store.mustBeOpen();
    const found: StoredFile[] = [];
    for await (const [name, entry] of entriesIn(this.#store, prefix)) {
      const sizeBytes = this.#open.get(name)?.sizeBytes ?? (await sizeOf(this.#store, entry));
      found.push({ name, sizeBytes });
    }
    return found;
  }

  async replace(from: string, to: string): Promise<void> {
    this.#check(from);
    this.#check(to);
    assert(!this.#open.has(from) && !this.#open.has(to), "replace() of a segment that is open");
    assert(from !== to, "replace() of a segment by itself");
    await this.#claiming([from, to], async () => {
      const entry = await this.#entryOf(from);
      if (entry === null) {
        throw new StorageError("not_found", `Cannot replace "${to}" by "${from}" as there is none`);
      }
      const old = await this.#entryOf(to);
      await this.#letGo(old, [{ kind: "remove", key: nameKey(from) }, put(to, entry)]);
    });
  }

  async remove(name: string): Promise<void> {
    this.#check(name);
    assert(!this.#open.has(name), "remove() of a segment that is open");
    await this.#claiming([name], async () => {
      const entry = await this.#entryOf(name);
      if (entry === null) await this.#store.sync();
      else await this.#letGo(entry, [{ kind: "remove", key: nameKey(name) }]);
    });
  }

  async commit(appends: readonly FileAppend[]): Promise<void> {
    this.#store.mustTakeCommits();
    const ends = new Map<KvFile, FileEnd>();
    const operations: KeyValueOperation[] = [];
    const files: KvFile[] = [];
    try {
      for (const { file: appended, chunks } of appends) {
        const file = appended as KvFile;
        if (!ends.has(file)) {
          file.beginWriting();
          files.push(file);
        }
        const plan = file.plan(chunks, ends.get(file) ?? file.end);
        operations.push(...plan.operations);
        ends.set(file, plan.end);
      }
      await this.#commitTogether(files, operations);
      for (const [file, end] of ends) file.committed(end);
    } finally {
      for (const file of files) file.endWriting();
    }
    await this.#store.sync();
  }

  async recycle(from: string, to: string): Promise<SegmentFile> {
    this.#check(from);
    this.#check(to);
    assert(!this.#open.has(from), "recycle() of a segment that is open");
    return await this.#claiming([from, to], async () => {
      if ((await this.#entryOf(to)) !== null) {
        throw new StorageError("exists", `Cannot recycle "${from}" as "${to}" exists`);
      }
      const old = await this.#entryOf(from);
      if (old === null) {
        throw new StorageError("not_found", `Cannot recycle segment "${from}" as there is none`);
      }
      const id = this.#nextId++;
      await this.#letGo(old, [
        { kind: "remove", key: nameKey(from) },
        put(to, { id, sizeBytes: null }),
      ]);
      return this.#opened(to, id, 0);
    });
  }

  /** Closes every file; what runs ends before the store closes. */
  async close(): Promise<void> {
    for (const file of [...this.#open.values()]) await file.close();
    await this.#sweeper.stop();
    await this.#store.close();
  }

  /** All operations or none, also where they are more than the store takes in one commit. */
  async #commitTogether(
    files: readonly KvFile[],
    operations: readonly KeyValueOperation[],
  ): Promise<void> {
    const groups = grouped(operations, this.#store.kv.bounds);
    if (groups.length === 0) return;
    if (groups.length === 1) {
      await this.#store.commit(groups[0]!);
      return;
    }
    // What is appended does not count until the last commit says so for all files at once.
    const entries = (size: (file: KvFile) => number | null) =>
      files.map((file) => put(file.name, { id: file.id, sizeBytes: size(file) }));
    await this.#store.commit(entries((file) => file.sizeBytes));
    for (const group of groups) await this.#store.commit(group);
    await this.#store.commit(entries(() => null));
  }

  /** Changes names and lets the bytes of `old` go, durably; they are removed later. */
  async #letGo(old: FileEntry | null, changes: readonly KeyValueOperation[]): Promise<void> {
    const mark: KeyValueOperation[] =
      old === null ? [] : [{ kind: "put", key: garbageKey(old.id), value: new Uint8Array(0) }];
    await this.#store.commit([...changes, ...mark]);
    await this.#store.sync();
    if (old !== null) this.#sweeper.add(old.id);
  }

  /** The size of a file that is about to be written; what an earlier opening left behind it goes. */
  async #settledSize(name: string, entry: FileEntry): Promise<number> {
    if (entry.sizeBytes === null) return await sizeOf(this.#store, entry);
    const { id, sizeBytes } = entry;
    const end = await sizeOf(this.#store, { id, sizeBytes: null });
    await truncateChunks(this.#store, { name, id }, sizeBytes, end, this.#around.scheduler);
    return sizeBytes;
  }

  async #entryOf(name: string): Promise<FileEntry | null> {
    const value = await this.#store.kv.get(nameKey(name));
    return value === null ? null : decodeEntry(value, name);
  }

  #opened(name: string, id: number, sizeBytes: number): KvFile {
    this.#store.mustBeOpen();
    const file = new KvFile(name, id, sizeBytes, this.#around);
    this.#open.set(name, file);
    return file;
  }

  async #claiming<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const name of names) assert(!this.#claimed.has(name), "two calls change one segment name");
    for (const name of names) this.#claimed.add(name);
    try {
      return await work();
    } finally {
      for (const name of names) this.#claimed.delete(name);
    }
  }

  #check(name: string): void {
    this.#store.mustBeOpen();
    if (name.length > NAME_CHARACTERS_MAX || !NAME.test(name)) {
      throw new StorageError(
        "invalid_name",
        `Cannot use segment name ${JSON.stringify(name)}: at most ${NAME_CHARACTERS_MAX} of [a-zA-Z0-9._-] in parts between "/"`,
      );
    }
  }
}

function put(name: string, entry: FileEntry): KeyValueOperation {
  return { kind: "put", key: nameKey(name), value: encodeEntry(entry) };
}

/** Names under `prefix` with their entries, in byte order, page by page. */
async function* entriesIn(
  store: FencedStore,
  prefix: string,
): AsyncIterable<readonly [string, FileEntry]> {
  for (let after: string | null = null; ; ) {
    const page: readonly { readonly key: string; readonly value: Uint8Array }[] =
      await store.kv.list(namesFrom(prefix, after, PAGE_ENTRIES));
    for (const { key, value } of page) {
      const name = nameOf(key);
      yield [name, decodeEntry(value, name)];
      after = name;
    }
    if (page.length < PAGE_ENTRIES) return;
  }
}

/** Where the last chunk that counts ends. */
async function sizeOf(store: FencedStore, { id, sizeBytes }: FileEntry): Promise<number> {
  if (sizeBytes !== null) return sizeBytes;
  const range = { from: chunkKey(id, 0), to: chunksEnd(id), limit: 1, reverse: true };
  for (const last of await store.kv.listSizes(range)) return positionOf(last.key) + last.sizeBytes;
  return 0;
}
