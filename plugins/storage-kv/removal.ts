// Taking bytes out of the store, however many there are, a bounded number of them in one commit.
// Invariant: what a file loses it loses in one commit (its entry goes, or names a smaller size); the chunks
// follow in commits of their own, and a start that finds some left removes them.

import { StorageError } from "../../src/contracts/errors.ts";
import type { KeyValueOperation } from "../../src/contracts/key_value.ts";
import type { Scheduler } from "../../src/contracts/runtime.ts";
import type { FencedStore } from "./fenced_store.ts";
import {
  chunkKey,
  chunksEnd,
  encodeEntry,
  garbageKey,
  nameKey,
  positionOf,
} from "./segment_keys.ts";

/** Chunks that one commit removes: up to 2 MiB. */
const CHUNKS_MAX = 32;
/** A tail that goes in one commit with the new size. */
const TAIL_BYTES_MAX = 1024 * 1024;

/** Removes, one after the other and behind everybody's back, the chunks of files that nobody points to. */
export class Sweeper {
  readonly #store: FencedStore;
  readonly #scheduler: Scheduler;
  readonly #waiting: number[] = [];
  /** A task runs, or will: hosts may begin it later. */
  #isSpawned = false;
  #running: Promise<void> | null = null;

  constructor(store: FencedStore, scheduler: Scheduler) {
    this.#store = store;
    this.#scheduler = scheduler;
  }

  /** @param id Its mark is committed: should this process end before, the next one finds it. */
  add(id: number): void {
    this.#waiting.push(id);
    if (this.#isSpawned) return;
    this.#isSpawned = true;
    this.#scheduler.spawn("storage_kv_sweep", () => {
      this.#running = this.#run();
      return this.#running;
    });
  }

  /** Ends after the commit that runs; what is left is for the next opening. */
  async stop(): Promise<void> {
    this.#waiting.length = 0;
    await this.#running;
  }

  /** Never rejects: the store remembers a failure, and its next call throws it. */
  async #run(): Promise<void> {
    try {
      for (let id = this.#waiting[0]; id !== undefined; id = this.#waiting[0]) {
        await this.#scheduler.yieldNow();
        const isDone = this.#waiting.length === 0 || (await removeSome(this.#store, id));
        if (isDone) this.#waiting.shift();
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#waiting.length = 0;
    } finally {
      this.#isSpawned = false;
      this.#running = null;
    }
  }
}

/** Removes some chunks of a file, and its mark with the last ones; whether those were the last. */
async function removeSome(store: FencedStore, id: number): Promise<boolean> {
  const range = { from: chunkKey(id, 0), to: chunksEnd(id), limit: CHUNKS_MAX };
  const page = await store.kv.listSizes(range);
  const isLast = page.length < CHUNKS_MAX;
  const operations: KeyValueOperation[] = [];
  if (page.length > 0) {
    const to = chunkKey(id, positionOf(page[page.length - 1]!.key) + 1);
    operations.push({ kind: "remove_range", from: range.from, to });
  }
  if (isLast) operations.push({ kind: "remove", key: garbageKey(id) });
  await store.commit(operations);
  return isLast;
}

/** Cuts a file from `fromBytes` to `sizeBytes`. A long tail is first declared void, then removed from its end. */
export async function truncateChunks(
  store: FencedStore,
  file: { readonly name: string; readonly id: number },
  sizeBytes: number,
  fromBytes: number,
  scheduler: Scheduler,
): Promise<void> {
  const { name, id } = file;
  const entry = (size: number | null): KeyValueOperation => ({
    kind: "put",
    key: nameKey(name),
    value: encodeEntry({ id, sizeBytes: size }),
  });
  if (fromBytes - sizeBytes > TAIL_BYTES_MAX) {
    await store.commit([entry(sizeBytes)]);
    await removeFromEnd(store, id, sizeBytes, scheduler);
  }
  const operations: KeyValueOperation[] = [entry(null)];
  // The chunk over the cut keeps its first part.
  const over = await store.kv.list({
    from: chunkKey(id, 0),
    to: chunkKey(id, sizeBytes),
    limit: 1,
    reverse: true,
  });
  for (const { key, value } of over) {
    const kept = sizeBytes - positionOf(key);
    if (kept < value.byteLength) {
      operations.push({ kind: "put", key, value: value.slice(0, kept) });
    }
  }
  operations.push({ kind: "remove_range", from: chunkKey(id, sizeBytes), to: chunksEnd(id) });
  await store.commit(operations);
}

/** Until at most one commit's worth of chunks is left behind `sizeBytes`. */
async function removeFromEnd(
  store: FencedStore,
  id: number,
  sizeBytes: number,
  scheduler: Scheduler,
): Promise<void> {
  const range = { from: chunkKey(id, sizeBytes), to: chunksEnd(id), limit: CHUNKS_MAX };
  for (;;) {
    const page = await store.kv.listSizes({ ...range, reverse: true });
    if (page.length < CHUNKS_MAX) return;
    const from = page[page.length - 1]!.key;
    await store.commit([{ kind: "remove_range", from, to: range.to }]);
    await scheduler.yieldNow();
    store.mustTakeCommits();
  }
}
