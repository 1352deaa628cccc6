// One segment file over the file layer.
// Invariant: bytes [0, sizeBytes) are what was appended, whatever lies behind them on disk (a recycled
// file is longer); every write names its position. After a failed write or sync the file is poisoned:
// nothing is appended or synced any more, since what is on disk is unknown.

import { assert } from "../../src/base/assert.ts";
import type { BufferPool } from "../../src/base/buffer_pool.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type { SegmentFile } from "../../src/contracts/storage.ts";
import type { FileLayer } from "../../src/files/file_layer.ts";
import type { Directories, Folder } from "./directories.ts";
import { isOutOfSpace, storageErrorOf } from "./fs_errors.ts";
import { gather, partsAfter, smallBytesOf } from "./gather.ts";
import type { HandleOwner, Handles } from "./handles.ts";
import { SyncGate } from "./sync_gate.ts";

/** Appends up to this many bytes are written at once: some 20 µs, less than a trip to another thread. */
export const WRITE_NOW_BYTES_MAX = 64 * 1024;
/** Most small chunks that an append off the loop copies together. */
const STAGING_BYTES_MAX = 1024 * 1024;
const DONE: Promise<void> = Promise.resolve();

/** What the files of one store share. */
export interface FileSurroundings {
  readonly files: FileLayer;
  readonly handles: Handles;
  readonly directories: Directories;
  /** For writes that finish before they return. */
  readonly staging: Uint8Array;
  readonly pool: BufferPool;
  readonly warmReadBytes: number;
  readonly freedAtOnceBytes: number;
  /** Frees at once what removed files still hold; false when they hold nothing. */
  freeSpaceNow(): Promise<boolean>;
  /** The file has closed its handle. */
  onClosed(file: FsFile): void;
}

export interface FoundFile {
  readonly sizeBytes: number;
  /** Position from which all bytes were written by this process, and so are in the page cache. */
  readonly warmFrom: number;
  readonly nameIsDurable: boolean;
}

export class FsFile implements SegmentFile, HandleOwner {
  readonly name: string;
  readonly path: string;
  fd = -1;
  pins = 0;
  readonly #around: FileSurroundings;
  readonly #folder: Folder;
  readonly #gate: SyncGate;
  #sizeBytes: number;
  #warmFrom: number;
  #nameIsDurable: boolean;
  /** Whether this process has written: only then can a handle be dirty. */
  #hasWritten = false;
  #isAppending = false;
  /** Calls that wait for a handle or run on it. */
  #calls = 0;
  #onIdle: (() => void) | null = null;
  #needsFullSync = false;
  #poison: StorageError | null = null;
  #closing: Promise<void> | null = null;

  constructor(name: string, folder: Folder, found: FoundFile, around: FileSurroundings) {
    this.name = name;
    this.path = `${folder.path}/${name.slice(name.lastIndexOf("/") + 1)}`;
    this.#folder = folder;
    this.#around = around;
    this.#sizeBytes = found.sizeBytes;
    this.#warmFrom = found.warmFrom;
    this.#nameIsDurable = found.nameIsDurable;
    this.#gate = new SyncGate(() => this.#syncOnce());
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get isDirty(): boolean {
    return this.#hasWritten && this.#poison === null && !this.#gate.isClean;
  }

  async append(chunks: readonly Uint8Array[]): Promise<number> {
    this.#mustTakeBytes();
    assert(!this.#isAppending, "one append at a time");
    const position = this.#sizeBytes;
    let total = 0;
    for (const chunk of chunks) total += chunk.byteLength;
    if (total === 0) return position;
    this.#isAppending = true;
    try {
      try {
        if (total <= WRITE_NOW_BYTES_MAX && this.#around.handles.tryOpen(this)) {
          this.#hasWritten = true;
          this.#writeNow(chunks, total, position);
          this.#gate.mark();
        } else {
          await this.#writeLater(chunks, total, position);
        }
      } catch (error) {
        if (!isOutOfSpace(error)) throw error;
        await this.#writeOnceFreed(chunks, total, position, error);
      }
    } catch (error) {
      throw this.#poisoned(error, `append ${total} bytes to segment "${this.name}"`);
    } finally {
      this.#isAppending = false;
    }
    this.#sizeBytes = position + total;
    return position;
  }

  readInto(target: Uint8Array, position: number): number | Promise<number> {
    this.#mustBeOpen();
    const length = Math.min(target.byteLength, this.#sizeBytes - position);
    if (length <= 0) return 0;
    const wanted = length === target.byteLength ? target : target.subarray(0, length);
    const { handles, warmReadBytes } = this.#around;
    const isWarm = position >= this.#warmFrom && position >= this.#sizeBytes - warmReadBytes;
    try {
      if (!isWarm || !handles.tryOpen(this)) return this.#readLater(wanted, position);
      return this.#readNow(wanted, position);
    } catch (error) {
      throw storageErrorOf(error, `read segment "${this.name}"`);
    }
  }

  sync(): Promise<void> {
    if (this.#closing !== null || this.#poison !== null) {
      return Promise.reject(this.#refusal());
    }
    if (this.#nameIsDurable) return this.#gate.isClean ? DONE : this.#gate.sync();
    return this.#syncWithName();
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#mustTakeBytes();
    assert(!this.#isAppending, "no truncation while an append runs");
    if (sizeBytes > this.#sizeBytes || sizeBytes < 0) {
      throw new StorageError(
        "range",
        `Cannot truncate segment "${this.name}" to ${sizeBytes} bytes: current size is ${this.#sizeBytes}`,
      );
    }
    this.#isAppending = true;
    const before = this.#sizeBytes;
    // Nobody reads from here on what is about to go.
    this.#sizeBytes = sizeBytes;
    try {
      await this.#onHandle(async () => {
        this.#hasWritten = true;
        await this.#cut(sizeBytes);
        // Only now: a sync that began meanwhile need not have brought it.
        this.#needsFullSync = true;
        this.#gate.mark();
      });
    } catch (error) {
      this.#sizeBytes = before;
      throw this.#poisoned(error, `truncate segment "${this.name}"`);
    } finally {
      this.#isAppending = false;
    }
    this.#warmFrom = Math.min(this.#warmFrom, sizeBytes);
    await this.sync();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async clean(): Promise<void> {
    try {
      await this.#gate.sync();
    } catch {
      // The gate keeps the failure, and the file's own next call throws it.
    }
  }

  #writeNow(chunks: readonly Uint8Array[], total: number, position: number): void {
    const { files, staging } = this.#around;
    let parts = chunks.length === 1 ? chunks : gather(chunks, staging);
    let written = files.write(this.fd, parts, position);
    while (written < total) {
      parts = partsAfter(chunks, written);
      written += mustProgress(files.write(this.fd, parts, position + written));
    }
  }

  #writeLater(chunks: readonly Uint8Array[], total: number, position: number): Promise<void> {
    const { files, pool } = this.#around;
    return this.#onHandle(async () => {
      this.#hasWritten = true;
      const smallBytes = chunks.length === 1 ? 0 : smallBytesOf(chunks);
      const staging =
        smallBytes === 0 ? null : pool.acquire(Math.min(smallBytes, STAGING_BYTES_MAX));
      try {
        let parts = staging === null ? chunks : gather(chunks, staging);
        for (let written = 0; written < total; ) {
          const count = mustProgress(await files.writeLater(this.fd, parts, position + written));
          written += count;
          if (written < total) parts = partsAfter(parts, count);
        }
      } finally {
        if (staging !== null) pool.release(staging);
      }
      this.#gate.mark();
    });
  }

  /** What a full disk has refused, once more: what removed files still hold may be what is missing. */
  #writeOnceFreed(
    chunks: readonly Uint8Array[],
    total: number,
    position: number,
    refusal: unknown,
  ): Promise<void> {
    return this.#call(async () => {
      if (!(await this.#around.freeSpaceNow())) throw refusal;
      await this.#writeLater(chunks, total, position);
    });
  }

  /** Steps, as in the removal of a file: what a recycled file has behind its end may be all of it. */
  async #cut(sizeBytes: number): Promise<void> {
    const { files, freedAtOnceBytes } = this.#around;
    let at = files.sizeOf(this.path) ?? sizeBytes;
    do {
      at = Math.max(sizeBytes, at - freedAtOnceBytes);
      await files.truncateLater(this.fd, at);
    } while (at > sizeBytes);
  }

  #readNow(target: Uint8Array, position: number): number {
    const { files } = this.#around;
    let filled = files.read(this.fd, target, position);
    while (filled < target.byteLength) {
      const count = files.read(this.fd, target.subarray(filled), position + filled);
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  async #readLater(target: Uint8Array, position: number): Promise<number> {
    const { files } = this.#around;
    try {
      return await this.#onHandle(async () => {
        let filled = 0;
        while (filled < target.byteLength) {
          const rest = filled === 0 ? target : target.subarray(filled);
          const count = await files.readLater(this.fd, rest, position + filled);
          if (count === 0) break;
          filled += count;
        }
        return filled;
      });
    } catch (error) {
      throw storageErrorOf(error, `read segment "${this.name}"`);
    }
  }

  async #syncWithName(): Promise<void> {
    await Promise.all([this.#gate.sync(), this.#around.directories.syncUp(this.#folder)]);
    this.#nameIsDurable = true;
  }

  async #syncOnce(): Promise<void> {
    try {
      await this.#onHandle(() => {
        const what = this.#needsFullSync ? "all" : "data";
        this.#needsFullSync = false;
        return this.#around.files.sync(this.fd, what);
      });
    } catch (error) {
      throw this.#poisoned(error, `sync segment "${this.name}"`);
    }
  }

  /** Runs `call` with an open handle that stays open meanwhile, and lets close() wait for it. */
  #onHandle<T>(call: () => Promise<T>): Promise<T> {
    const { handles } = this.#around;
    return this.#call(async () => {
      await handles.pin(this);
      try {
        return await call();
      } finally {
        handles.unpin(this);
      }
    });
  }

  /** Lets close() wait for `call`. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await call();
    } finally {
      this.#calls--;
      if (this.#calls === 0) this.#onIdle?.();
    }
  }

  async #close(): Promise<void> {
    // Whatever was begun ends first: a handle must not be closed under a running call.
    await this.#gate.settled();
    while (this.#calls > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      await this.#gate.settled();
    }
    try {
      this.#around.handles.close(this);
    } catch (error) {
      throw storageErrorOf(error, `close segment "${this.name}"`);
    } finally {
      this.#around.onClosed(this);
    }
  }

  #poisoned(error: unknown, action: string): StorageError {
    const failure = storageErrorOf(error, action);
    this.#poison ??= failure;
    return failure;
  }

  #mustTakeBytes(): void {
    if (this.#closing !== null || this.#poison !== null) throw this.#refusal();
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw this.#refusal();
  }

  #refusal(): StorageError {
    if (this.#closing !== null) {
      return new StorageError("closed", `Cannot use segment "${this.name}" after its close`);
    }
    return new StorageError(
      "io",
      `Cannot use segment "${this.name}" as an earlier write or sync failed: ${this.#poison?.message}`,
      { cause: this.#poison },
    );
  }
}

/** A write that takes nothing and reports nothing would loop for ever. */
function mustProgress(count: number): number {
  if (count <= 0) throw new Error("the file system took no bytes");
  return count;
}
