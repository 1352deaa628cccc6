// storage-memory: segment files in memory, and the reference of what the storage contract means.
// Invariant: what a file promises after a power loss is exactly its synced prefix under a durable name;
// `loseUnsynced` leaves that and nothing else. Content lives as long as the plugin object, so that
// closing and opening again is a restart.

import { assert } from "../../src/base/assert.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";
import type {
  FileAppend,
  SegmentFile,
  SegmentStore,
  Storage,
  StoragePlugin,
  StoredFile,
} from "../../src/contracts/storage.ts";
import { MemoryBytes } from "./memory_bytes.ts";

/** The storage plugin of tests and of brokers that may forget. */
export interface MemoryStoragePlugin extends StoragePlugin {
  /**
   * A power loss at its harshest: the open store and its files are gone ("closed"), every byte and name
   * that was not synced with them. The next `open` finds the rest.
   */
  loseUnsynced(): void;
}

/** What a name stands for, open or not. */
interface StoredBytes {
  readonly bytes: MemoryBytes;
  /** Bytes before this survive a power loss. */
  syncedBytes: number;
  /** False until the first sync after creation. */
  nameIsDurable: boolean;
}

/** Letters, digits, dot, underscore and hyphen in parts between slashes; no part is "." or "..". */
const NAME = /^(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)*$/;
const NAME_CHARACTERS_MAX = 200;

/** Segment files in memory. Each call makes an independent place; opening it twice at once is "locked". */
export function storageMemory(): MemoryStoragePlugin {
  const files = new Map<string, StoredBytes>();
  let opened: MemorySegments | null = null;
  return {
    kind: "storage",
    name: "memory",
    contract: 1,
    async open(_context: PluginContext): Promise<Storage> {
      if (opened !== null) {
        throw new StorageError(
          "locked",
          "Cannot open storage-memory as this object is open already",
        );
      }
      const segments = new MemorySegments(files);
      opened = segments;
      return {
        segments,
        isVolatile: true,
        close: async () => {
          segments.shut();
          if (opened === segments) opened = null;
        },
      };
    },
    loseUnsynced(): void {
      opened?.shut();
      opened = null;
      for (const [name, stored] of files) {
        if (!stored.nameIsDurable) files.delete(name);
        else if (stored.bytes.sizeBytes > stored.syncedBytes) stored.bytes.cut(stored.syncedBytes);
      }
    },
  };
}

class MemorySegments implements SegmentStore {
  readonly commitIsAtomic = true;
  readonly #files: Map<string, StoredBytes>;
  readonly #open = new Map<string, MemoryFile>();
  #isShut = false;

  constructor(files: Map<string, StoredBytes>) {
    this.#files = files;
  }

  async open(name: string, options: { readonly create: boolean }): Promise<SegmentFile> {
    this.#check(name);
    if (this.#open.has(name)) {
      throw new StorageError("locked", `Cannot open segment "${name}" as it is open already`);
    }
    let stored = this.#files.get(name);
    if (stored === undefined) {
      if (!options.create) {
        throw new StorageError("not_found", `Cannot open segment "${name}" as there is none`);
      }
      stored = { bytes: new MemoryBytes(), syncedBytes: 0, nameIsDurable: false };
      this.#files.set(name, stored);
    }
    return this.#opened(name, stored);
  }

  async list(prefix: string): Promise<readonly StoredFile[]> {
    this.#mustBeOpen();
    const found: StoredFile[] = [];
    for (const [name, stored] of this.#files) {
      if (name.startsWith(prefix)) found.push({ name, sizeBytes: stored.bytes.sizeBytes });
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async replace(from: string, to: string): Promise<void> {
    this.#check(from);
    this.#check(to);
    assert(!this.#open.has(from) && !this.#open.has(to), "replace() of a segment that is open");
    const stored = this.#files.get(from);
    if (stored === undefined) {
      throw new StorageError("not_found", `Cannot replace "${to}" by "${from}" as there is none`);
    }
    markDurable(stored);
    this.#files.delete(from);
    this.#files.set(to, stored);
  }

  async remove(name: string): Promise<void> {
    this.#check(name);
    assert(!this.#open.has(name), "remove() of a segment that is open");
    this.#files.delete(name);
  }

  async commit(appends: readonly FileAppend[]): Promise<void> {
    this.#mustBeOpen();
    for (const { file } of appends) (file as MemoryFile).mustBeOpen();
    for (const { file, chunks } of appends) (file as MemoryFile).take(chunks);
    for (const { file } of appends) (file as MemoryFile).markDurable();
  }

  async recycle(from: string, to: string): Promise<SegmentFile> {
    this.#check(from);
    this.#check(to);
    assert(!this.#open.has(from), "recycle() of a segment that is open");
    if (this.#files.has(to)) {
      throw new StorageError("exists", `Cannot recycle "${from}" as "${to}" exists`);
    }
    if (!this.#files.delete(from)) {
      throw new StorageError("not_found", `Cannot recycle segment "${from}" as there is none`);
    }
    const stored = { bytes: new MemoryBytes(), syncedBytes: 0, nameIsDurable: true };
    this.#files.set(to, stored);
    return this.#opened(to, stored);
  }

  /** The end of this opening: every file of it answers "closed" from here on. */
  shut(): void {
    this.#isShut = true;
    for (const file of this.#open.values()) file.shut();
    this.#open.clear();
  }

  #opened(name: string, stored: StoredBytes): MemoryFile {
    const file = new MemoryFile(name, stored, () => this.#open.delete(name));
    this.#open.set(name, file);
    return file;
  }

  #check(name: string): void {
    this.#mustBeOpen();
    if (name.length > NAME_CHARACTERS_MAX || !NAME.test(name)) {
      throw new StorageError(
        "invalid_name",
        `Cannot use segment name ${JSON.stringify(name)}: at most ${NAME_CHARACTERS_MAX} of [a-zA-Z0-9._-] in parts between "/"`,
      );
    }
  }

  #mustBeOpen(): void {
    if (this.#isShut) throw new StorageError("closed", "Cannot use storage-memory after its close");
  }
}

class MemoryFile implements SegmentFile {
  readonly name: string;
  readonly #stored: StoredBytes;
  readonly #onClose: () => void;
  #isShut = false;

  constructor(name: string, stored: StoredBytes, onClose: () => void) {
    this.name = name;
    this.#stored = stored;
    this.#onClose = onClose;
  }

  get sizeBytes(): number {
    return this.#stored.bytes.sizeBytes;
  }

  async append(chunks: readonly Uint8Array[]): Promise<number> {
    this.mustBeOpen();
    return this.take(chunks);
  }

  readInto(target: Uint8Array, position: number): number {
    this.mustBeOpen();
    return this.#stored.bytes.read(target, position);
  }

  async sync(): Promise<void> {
    this.mustBeOpen();
    this.markDurable();
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.mustBeOpen();
    const stored = this.#stored;
    if (sizeBytes > stored.bytes.sizeBytes) {
      throw new StorageError(
        "range",
        `Cannot truncate segment "${this.name}" to ${sizeBytes} bytes: current size is ${stored.bytes.sizeBytes}`,
      );
    }
    stored.bytes.cut(sizeBytes);
    markDurable(stored);
  }

  async close(): Promise<void> {
    if (this.#isShut) return;
    this.#isShut = true;
    this.#onClose();
  }

  /** Appends at once; the position of the first byte. */
  take(chunks: readonly Uint8Array[]): number {
    const position = this.#stored.bytes.sizeBytes;
    for (const chunk of chunks) this.#stored.bytes.append(chunk);
    return position;
  }

  markDurable(): void {
    markDurable(this.#stored);
  }

  shut(): void {
    this.#isShut = true;
  }

  mustBeOpen(): void {
    if (this.#isShut) {
      throw new StorageError("closed", `Cannot use segment "${this.name}" after its close`);
    }
  }
}

function markDurable(stored: StoredBytes): void {
  stored.syncedBytes = stored.bytes.sizeBytes;
  stored.nameIsDurable = true;
}
