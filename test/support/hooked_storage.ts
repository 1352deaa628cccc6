// A storage plugin around another whose every call first goes through a hook: it may wait, fail, or let
// only a part of an append through. For races and failing disks.

import type {
  SegmentFile,
  SegmentStore,
  Storage,
  StoragePlugin,
} from "../../src/contracts/storage.ts";

export type StorageCall =
  | "append"
  | "close"
  | "commit"
  | "list"
  | "open"
  | "read"
  | "recycle"
  | "remove"
  | "sync"
  | "truncate";

/** Called before each call. A rejection becomes the call's; `{ bytes }` of an append: write so much, then fail. */
export type StorageHook = (
  call: StorageCall,
  name: string,
) => Promise<void> | undefined | { readonly bytes: number; readonly error: Error };

export function hookedStorage(
  inner: StoragePlugin,
  hook: StorageHook,
  /** What the inner store says when left out. */
  options: { readonly prefersRecycling?: boolean } = {},
): StoragePlugin {
  return {
    ...inner,
    open: async (context) => {
      const storage = await inner.open(context);
      const segments = storage.segments!;
      const { prefersRecycling = segments.prefersRecycling === true } = options;
      return {
        ...storage,
        segments: new HookedStore(segments, hook, prefersRecycling),
      } satisfies Storage;
    },
  };
}

class HookedStore implements SegmentStore {
  readonly #inner: SegmentStore;
  readonly #hook: StorageHook;

  readonly prefersRecycling: boolean;

  constructor(inner: SegmentStore, hook: StorageHook, prefersRecycling: boolean) {
    this.#inner = inner;
    this.#hook = hook;
    this.prefersRecycling = prefersRecycling;
  }

  get commitIsAtomic(): boolean {
    return this.#inner.commitIsAtomic;
  }

  async open(name: string, options: { readonly create: boolean }): Promise<SegmentFile> {
    await this.#hook("open", name);
    return new HookedFile(await this.#inner.open(name, options), this.#hook);
  }

  async list(prefix: string) {
    await this.#hook("list", prefix);
    return await this.#inner.list(prefix);
  }

  replace(from: string, to: string): Promise<void> {
    return this.#inner.replace(from, to);
  }

  async remove(name: string): Promise<void> {
    await this.#hook("remove", name);
    await this.#inner.remove(name);
  }

  async commit(appends: Parameters<SegmentStore["commit"]>[0]): Promise<void> {
    await this.#hook("commit", appends.map(({ file }) => file.name).join(" "));
    await this.#inner.commit(
      appends.map(({ file, chunks }) => ({ file: (file as HookedFile).inner, chunks })),
    );
  }

  async recycle(from: string, to: string): Promise<SegmentFile> {
    await this.#hook("recycle", to);
    return new HookedFile(await this.#inner.recycle(from, to), this.#hook);
  }
}

class HookedFile implements SegmentFile {
  readonly inner: SegmentFile;
  readonly #hook: StorageHook;

  constructor(inner: SegmentFile, hook: StorageHook) {
    this.inner = inner;
    this.#hook = hook;
  }

  get name(): string {
    return this.inner.name;
  }

  get sizeBytes(): number {
    return this.inner.sizeBytes;
  }

  async append(chunks: readonly Uint8Array[]): Promise<number> {
    const verdict = this.#hook("append", this.name);
    if (verdict !== undefined && "bytes" in verdict) {
      await this.inner.append(firstBytes(chunks, verdict.bytes));
      throw verdict.error;
    }
    await verdict;
    return await this.inner.append(chunks);
  }

  readInto(target: Uint8Array, position: number): number | Promise<number> {
    const wait = this.#hook("read", this.name) as Promise<void> | undefined;
    if (wait === undefined) return this.inner.readInto(target, position);
    return this.#readLater(wait, target, position);
  }

  async sync(): Promise<void> {
    await this.#hook("sync", this.name);
    await this.inner.sync();
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#hook("truncate", this.name);
    await this.inner.truncate(sizeBytes);
  }

  async close(): Promise<void> {
    await this.#hook("close", this.name);
    await this.inner.close();
  }

  async #readLater(wait: Promise<void>, target: Uint8Array, position: number): Promise<number> {
    await wait;
    return await this.inner.readInto(target, position);
  }
}

function firstBytes(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  let left = bytes;
  for (const chunk of chunks) {
    if (left <= 0) break;
    out.push(chunk.subarray(0, left));
    left -= chunk.length;
  }
  return out;
}
