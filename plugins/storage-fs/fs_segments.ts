// The segment store over a folder: names, listing, replacing, recycling, commits.
// Invariant: a name is handled by one FsFile at a time; every change of the folder tree is followed by
// a sync of the folders it touched before the call resolves (a created name: before its first sync does).

import { assert } from "../../src/base/assert.ts";
import { BufferPool } from "../../src/base/buffer_pool.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type {
  FileAppend,
  SegmentFile,
  SegmentStore,
  StoredFile,
} from "../../src/contracts/storage.ts";
import { codeOf, type FileLayer } from "../../src/files/file_layer.ts";
import type { Directories, Folder } from "./directories.ts";
import { FORMAT_FILE } from "./folder_format.ts";
import { storageErrorOf } from "./fs_errors.ts";
import { type FileSurroundings, type FoundFile, FsFile, WRITE_NOW_BYTES_MAX } from "./fs_file.ts";
import { Handles } from "./handles.ts";
import type { Shrinker } from "./shrinker.ts";

/** Letters, digits, dot, underscore and hyphen in parts between slashes; no part is "." or "..". */
const NAME = /^(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)*$/;
const NAME_CHARACTERS_MAX = 200;
/** Staging buffers kept for reuse. */
const POOL_IDLE_BYTES_MAX = 4 * 1024 * 1024;

export interface FsSegmentsOptions {
  readonly handlesMax: number;
  readonly warmReadBytes: number;
  readonly freedAtOnceBytes: number;
}

export class FsSegments implements SegmentStore {
  /** A crash in the middle of a commit may leave any part of it. */
  readonly commitIsAtomic = false;
  /** To sync bytes that overwrite others changes no size and no map of blocks: half the time. */
  readonly prefersRecycling = true;
  readonly #files: FileLayer;
  readonly #root: Folder;
  readonly #directories: Directories;
  readonly #shrinker: Shrinker;
  readonly #around: FileSurroundings;
  readonly #open = new Map<string, FsFile>();
  /** Names that a call is about to open or change: nobody else may meanwhile. */
  readonly #claimed = new Set<string>();
  #isClosed = false;

  constructor(
    files: FileLayer,
    root: Folder,
    directories: Directories,
    shrinker: Shrinker,
    options: FsSegmentsOptions,
  ) {
    this.#files = files;
    this.#root = root;
    this.#directories = directories;
    this.#shrinker = shrinker;
    this.#around = {
      files,
      directories,
      handles: new Handles(files, options.handlesMax),
      staging: new Uint8Array(WRITE_NOW_BYTES_MAX),
      pool: new BufferPool({ idleBytesMax: POOL_IDLE_BYTES_MAX }),
      warmReadBytes: options.warmReadBytes,
      freedAtOnceBytes: options.freedAtOnceBytes,
      freeSpaceNow: () => shrinker.freeNow(),
      onClosed: (file) => this.#open.delete(file.name),
    };
  }

  async open(name: string, options: { readonly create: boolean }): Promise<SegmentFile> {
    this.#check(name);
    return await this.#claiming([name], `open segment "${name}"`, async () => {
      if (this.#open.has(name)) {
        throw new StorageError("locked", `Cannot open segment "${name}" as it is open already`);
      }
      const sizeBytes = this.#sizeOf(name);
      if (sizeBytes !== null) {
        const folder = this.#directories.ofFile(this.#root, name);
        return this.#opened(name, folder, { sizeBytes, warmFrom: sizeBytes, nameIsDurable: false });
      }
      if (!options.create) {
        throw new StorageError("not_found", `Cannot open segment "${name}" as there is none`);
      }
      const { handles } = this.#around;
      while (!handles.makeRoom()) await handles.someRoom();
      this.#mustBeOpen();
      const folder = this.#directories.ofFile(this.#root, name);
      const fd = this.#files.open(this.#pathOf(name), "create");
      folder.entries.mark();
      const file = this.#opened(name, folder, { sizeBytes: 0, warmFrom: 0, nameIsDurable: false });
      handles.adopt(file, fd);
      return file;
    });
  }

  async list(prefix: string): Promise<readonly StoredFile[]> {
    this.#mustBeOpen();
    const found: StoredFile[] = [];
    try {
      this.#listInto(found, "", prefix);
    } catch (error) {
      throw storageErrorOf(error, `list folder "${this.#root.path}"`);
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async replace(from: string, to: string): Promise<void> {
    this.#check(from);
    this.#check(to);
    assert(!this.#open.has(from) && !this.#open.has(to), "replace() of a segment that is open");
    await this.#claiming([from, to], `replace segment "${to}" by "${from}"`, async () => {
      if (this.#sizeOf(from) === null) {
        throw new StorageError("not_found", `Cannot replace "${to}" by "${from}" as there is none`);
      }
      await this.#syncContent(from);
      await this.#rename(from, to);
    });
  }

  async remove(name: string): Promise<void> {
    this.#check(name);
    assert(!this.#open.has(name), "remove() of a segment that is open");
    await this.#claiming([name], `remove segment "${name}"`, async () => {
      // No folder, no file: folders go only after their last file is gone durably.
      if (!this.#hasFolder(name)) return;
      const folder = this.#directories.ofFile(this.#root, name);
      folder.removals++;
      try {
        const sizeBytes = this.#sizeOf(name) ?? 0;
        if (this.#shrinker.isLarge(sizeBytes)) await this.#removeLarge(name, folder, sizeBytes);
        else await this.#removeNow(name, folder);
      } finally {
        folder.removals--;
      }
      for (let at = folder; at !== this.#root && at.parent !== null; at = at.parent) {
        this.#directories.removeIfEmpty(at);
      }
    });
  }

  async commit(appends: readonly FileAppend[]): Promise<void> {
    this.#mustBeOpen();
    const files = new Set<FsFile>();
    const running: Promise<unknown>[] = [];
    for (const { file, chunks } of appends) {
      // A file that comes twice takes its appends one after the other.
      if (files.has(file as FsFile)) await Promise.all(running);
      files.add(file as FsFile);
      running.push(file.append(chunks));
    }
    await allSettledOrThrow(running);
    await allSettledOrThrow([...files].map((file) => file.sync()));
  }

  async recycle(from: string, to: string): Promise<SegmentFile> {
    this.#check(from);
    this.#check(to);
    assert(!this.#open.has(from), "recycle() of a segment that is open");
    return await this.#claiming([from, to], `recycle segment "${from}" as "${to}"`, async () => {
      if (this.#sizeOf(to) !== null) {
        throw new StorageError("exists", `Cannot recycle "${from}" as "${to}" exists`);
      }
      if (this.#sizeOf(from) === null) {
        throw new StorageError("not_found", `Cannot recycle segment "${from}" as there is none`);
      }
      const folder = await this.#rename(from, to);
      this.#mustBeOpen();
      return this.#opened(to, folder, { sizeBytes: 0, warmFrom: 0, nameIsDurable: true });
    });
  }

  /** Closes every file. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closing = [...this.#open.values()].map((file) => file.close());
    await allSettledOrThrow([...closing, this.#shrinker.close()]);
  }

  #opened(name: string, folder: Folder, found: FoundFile): FsFile {
    const file = new FsFile(name, folder, found, this.#around);
    this.#open.set(name, file);
    return file;
  }

  /** Renames and syncs both folders; the folder of `to`. */
  async #rename(from: string, to: string): Promise<Folder> {
    const fromFolder = this.#directories.ofFile(this.#root, from);
    const toFolder = this.#directories.ofFile(this.#root, to);
    this.#files.rename(this.#pathOf(from), this.#pathOf(to));
    toFolder.entries.mark();
    if (fromFolder !== toFolder) fromFolder.entries.mark();
    // The new name first: a power loss between the two may then show both, but never neither.
    await this.#directories.syncUp(toFolder);
    if (fromFolder !== toFolder) await this.#directories.syncUp(fromFolder);
    return toFolder;
  }

  /** Syncs what a closed file holds: its bytes may have been appended without a sync. */
  async #syncContent(name: string): Promise<void> {
    const fd = this.#files.open(this.#pathOf(name), "update");
    try {
      await this.#files.sync(fd, "all");
    } finally {
      this.#files.close(fd);
    }
  }

  async #removeNow(name: string, folder: Folder): Promise<void> {
    await this.#unlink(name, folder);
    await this.#directories.syncUp(folder);
  }

  /** The name goes now, durably; the space step by step behind it. */
  async #removeLarge(name: string, folder: Folder, sizeBytes: number): Promise<void> {
    const held = await this.#shrinker.hold(this.#pathOf(name), sizeBytes);
    try {
      // It may have waited for others.
      this.#mustBeOpen();
      await this.#removeNow(name, folder);
    } catch (error) {
      if (held !== null) this.#shrinker.letGo(held);
      throw error;
    }
    if (held !== null) this.#shrinker.free(held);
  }

  async #unlink(name: string, folder: Folder): Promise<void> {
    try {
      await this.#files.unlink(this.#pathOf(name));
      folder.entries.mark();
    } catch (error) {
      // Absent is what was asked for; that it is so durably, the sync of the folder sees to.
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }

  #listInto(found: StoredFile[], under: string, prefix: string): void {
    const path = under === "" ? this.#root.path : `${this.#root.path}/${under.slice(0, -1)}`;
    for (const entry of this.#files.list(path) ?? []) {
      const name = under + entry.name;
      if (entry.isDirectory) {
        const folder = `${name}/`;
        if (folder.startsWith(prefix) || prefix.startsWith(folder)) {
          this.#listInto(found, folder, prefix);
        }
        continue;
      }
      if (!name.startsWith(prefix) || !isSegmentName(name)) continue;
      const sizeBytes = this.#open.get(name)?.sizeBytes ?? this.#sizeOf(name);
      if (sizeBytes !== null) found.push({ name, sizeBytes });
    }
  }

  #sizeOf(name: string): number | null {
    try {
      return this.#files.sizeOf(this.#pathOf(name));
    } catch (error) {
      // A part of the name is a file: nothing can be below it.
      if (codeOf(error) === "ENOTDIR") return null;
      throw error;
    }
  }

  #pathOf(name: string): string {
    return `${this.#root.path}/${name}`;
  }

  #hasFolder(name: string): boolean {
    const slash = name.lastIndexOf("/");
    return slash === -1 || this.#sizeOf(name.slice(0, slash)) !== null;
  }

  async #claiming<T>(names: readonly string[], action: string, work: () => Promise<T>): Promise<T> {
    for (const name of names) assert(!this.#claimed.has(name), "two calls change one segment name");
    for (const name of names) this.#claimed.add(name);
    try {
      return await work();
    } catch (error) {
      throw storageErrorOf(error, action);
    } finally {
      for (const name of names) this.#claimed.delete(name);
    }
  }

  #check(name: string): void {
    this.#mustBeOpen();
    if (!isSegmentName(name)) {
      throw new StorageError(
        "invalid_name",
        `Cannot use segment name ${JSON.stringify(name)}: at most ${NAME_CHARACTERS_MAX} of [a-zA-Z0-9._-] in parts between "/", and not "${FORMAT_FILE}"`,
      );
    }
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new StorageError("closed", "Cannot use storage-fs after its close");
  }
}

function isSegmentName(name: string): boolean {
  return name.length <= NAME_CHARACTERS_MAX && name !== FORMAT_FILE && NAME.test(name);
}

/** Waits for all to end, then throws the first failure: nothing goes on behind the caller's back. */
async function allSettledOrThrow(running: readonly Promise<unknown>[]): Promise<void> {
  if (running.length === 1) {
    await running[0];
    return;
  }
  for (const outcome of await Promise.allSettled(running)) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
}
