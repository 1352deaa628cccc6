// Where bytes rest. A storage plugin knows nothing of topics, offsets, groups or transactions: it
// keeps named byte sequences, and the core builds journals, segments and logs out of them.
// It has no sync policy of its own (decision 1): the core says when to sync.

import type { PluginContext } from "./plugin.ts";

/** A place for bytes: a folder, memory, a bucket. */
export interface StoragePlugin {
  readonly kind: "storage";
  readonly name: string;
  readonly contract: 1;
  /** @throws {StorageError} "locked" when another process holds it, "version" when its format is newer */
  open(context: PluginContext): Promise<Storage>;
}

/** It offers either store, or both. */
export interface Storage {
  /** Appendable files: needed by `storage.mode=replicated`. */
  readonly segments?: SegmentStore;
  /** Immutable objects: needed by `storage.mode=diskless`, and by tiering. */
  readonly objects?: ObjectStore;
  /** Where it lies, as DescribeLogDirs shows it; left out where there is no such place. */
  readonly location?: {
    readonly path: string;
    /** Of the volume, in bytes; −1 where nobody knows. */
    volume(): Promise<{ readonly totalBytes: number; readonly usableBytes: number }>;
  };
  /**
   * True where it forgets by its nature, as memory does. Where it is left out or false, and the metadata says that
   * there are logs, a store that is found empty is taken for the wrong one, and the start is refused.
   */
  readonly isVolatile?: boolean;
  close(): Promise<void>;
}

/**
 * Named, growing files. Names are relative, `/`-separated, of `[a-zA-Z0-9._-]`, at most 200 characters.
 * Every failure is a StorageError; after one with code "io" or "full" from append, sync or commit the
 * caller must not trust any unsynced byte of that file again. "locked" from these: somebody else has opened
 * the store since and goes on with it; nothing more can be written here. While `open`, `replace`, `remove` or
 * `recycle` runs on a name, no other of these may be called with it.
 */
export interface SegmentStore {
  /**
   * Opens a file for reading and appending. Its name, created or found, is durable once the first `sync()` on the
   * file has resolved (the store syncs directory entries by then).
   * @throws {StorageError} code "not_found" when absent and `create` is false
   */
  open(name: string, options: { readonly create: boolean }): Promise<SegmentFile>;
  /** Names under `prefix` with their sizes, in ascending byte order of the name. */
  list(prefix: string): Promise<readonly StoredFile[]>;
  /** Atomic, and durable when it resolves: readers see all of the old file or all of the new one. */
  replace(from: string, to: string): Promise<void>;
  /** Durable when it resolves. Removing an absent name is not an error. Open handles must be closed before. */
  remove(name: string): Promise<void>;
  /**
   * Appends to several files and syncs them all: when it resolves, everything appended to them before
   * and by this call survives a crash. Atomic (all or nothing after a crash) where `commitIsAtomic`.
   */
  commit(appends: readonly FileAppend[]): Promise<void>;
  readonly commitIsAtomic: boolean;
  /**
   * Takes a file out of use and opens it again under a new name with `sizeBytes` 0, keeping its
   * space where the store can (overwriting warm pages is cheaper than growing a file). After a crash
   * the file may be longer than what was appended since, with its old bytes there: readers must not
   * trust bytes they cannot tell apart. Stores without reuse remove and create.
   */
  recycle(from: string, to: string): Promise<SegmentFile>;
  /** True where a recycled file is cheaper to write and sync than a new one; the core then keeps one at hand. */
  readonly prefersRecycling?: boolean;
}

/** A file as a listing shows it; the size counts bytes appended, synced or not. */
export interface StoredFile {
  readonly name: string;
  readonly sizeBytes: number;
}

/** What one commit appends to one file: the chunks back to back, which may be reused once it resolves. */
export interface FileAppend {
  readonly file: SegmentFile;
  readonly chunks: readonly Uint8Array[];
}

/** An open file that only grows at its end. Every failure is a StorageError; after `close` its code is "closed". */
export interface SegmentFile {
  readonly name: string;
  /** Bytes appended so far, synced or not. After opening: the size found. */
  readonly sizeBytes: number;
  /**
   * Appends the chunks back to back; resolves with the position of the first byte, once the store has
   * taken them (chunks may be reused). One append at a time, but it may overlap a running sync.
   */
  append(chunks: readonly Uint8Array[]): Promise<number>;
  /**
   * Fills `target` from `position`; the count of bytes read, fewer than asked only at the end.
   * Unsynced bytes are readable. Returns a plain number where the store can answer at once: callers
   * on the hot path look at the type instead of awaiting.
   */
  readInto(target: Uint8Array, position: number): number | Promise<number>;
  /** After it resolves, every byte whose append had resolved before the call survives a crash of the machine. */
  sync(): Promise<void>;
  /** Durable when it resolves. @throws {StorageError} code "range" when beyond the end */
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** Whole objects by key, written once: a bucket. Every failure is a StorageError. Keys are bounded as file names are. */
export interface ObjectStore {
  /** Durable when it resolves. @throws {StorageError} code "exists" when `ifAbsent` and the key is taken */
  put(
    key: string,
    chunks: readonly Uint8Array[],
    options: { readonly ifAbsent: boolean },
  ): Promise<void>;
  /** `length` bytes from `position`, or the whole object; null when absent. */
  get(
    key: string,
    range?: { readonly position: number; readonly length: number },
  ): Promise<Uint8Array | null>;
  /** One page in ascending byte order of the key, starting after `after`. */
  list(
    prefix: string,
    page: { readonly after?: string; readonly limit: number },
  ): Promise<readonly { readonly key: string; readonly sizeBytes: number }[]>;
  remove(keys: readonly string[]): Promise<void>;
}
