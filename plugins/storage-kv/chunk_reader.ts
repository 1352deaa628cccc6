// Reads across the chunks of one file: at once while the store answers at once, else by promise.
// Invariant: what is read lies before the size the caller knows, so a missing byte is damage.

import { StorageError } from "../../src/contracts/errors.ts";
import type { KeyValueEntry, KeyValueStore } from "../../src/contracts/key_value.ts";
import { chunkKey, positionOf } from "./segment_keys.ts";

/** Chunks asked for at once: with the largest ones 1 MiB. */
const CHUNKS_MAX = 16;

type Page = readonly KeyValueEntry[];

/** Fills all of `target` from `position`; the count of its bytes. */
export function readChunks(
  kv: KeyValueStore,
  id: number,
  target: Uint8Array,
  position: number,
): number | Promise<number> {
  const read = new ChunkRead(kv, id, target, position);
  while (!read.isDone) {
    const page = read.next();
    if (page instanceof Promise) return readLater(read, page);
    read.take(page);
  }
  return target.byteLength;
}

async function readLater(read: ChunkRead, first: Promise<Page>): Promise<number> {
  read.take(await first);
  while (!read.isDone) read.take(await read.next());
  return read.target.byteLength;
}

class ChunkRead {
  readonly target: Uint8Array;
  readonly #kv: KeyValueStore;
  readonly #id: number;
  readonly #position: number;
  #filled = 0;
  #hasBegun = false;

  constructor(kv: KeyValueStore, id: number, target: Uint8Array, position: number) {
    this.#kv = kv;
    this.#id = id;
    this.target = target;
    this.#position = position;
  }

  get isDone(): boolean {
    return this.#filled === this.target.byteLength;
  }

  next(): Page | Promise<Page> {
    const at = this.#position + this.#filled;
    if (!this.#hasBegun) {
      // The chunk that holds the first byte: the last one that begins at or before it.
      this.#hasBegun = true;
      const range = { from: chunkKey(this.#id, 0), to: chunkKey(this.#id, at + 1) };
      return this.#kv.list({ ...range, limit: 1, reverse: true });
    }
    const end = this.#position + this.target.byteLength;
    return this.#kv.list({
      from: chunkKey(this.#id, at),
      to: chunkKey(this.#id, end),
      limit: CHUNKS_MAX,
    });
  }

  take(page: Page): void {
    if (page.length === 0) throw this.#missing();
    for (const { key, value } of page) {
      const skipped = this.#position + this.#filled - positionOf(key);
      if (skipped < 0 || skipped >= value.byteLength) throw this.#missing();
      const wanted = this.target.byteLength - this.#filled;
      const part =
        skipped === 0 && value.byteLength <= wanted
          ? value
          : value.subarray(skipped, skipped + wanted);
      this.target.set(part, this.#filled);
      this.#filled += part.byteLength;
      if (this.isDone) return;
    }
  }

  #missing(): StorageError {
    return new StorageError(
      "corrupt",
      `Cannot read byte ${this.#position + this.#filled} of file ${this.#id} in the key-value store: its chunk is missing`,
    );
  }
}
