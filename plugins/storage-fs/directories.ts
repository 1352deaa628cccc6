// The folders under the data directory, and whether their entries are durable.
// Invariant: a folder is made right before something is put into it, and its own entry is synced with
// what it holds: `syncUp` goes from a folder to the parent of the data directory. What an earlier
// process left is synced once more, since that process may have died before its sync.

import { codeOf, type FileLayer, parentOf } from "../../src/files/file_layer.ts";
import { storageErrorOf } from "./fs_errors.ts";
import { SyncGate } from "./sync_gate.ts";

/** One folder. */
export interface Folder {
  readonly path: string;
  readonly parent: Folder | null;
  readonly entries: SyncGate;
  /** Removals of its files that are under way: until they are durable the folder stays. */
  removals: number;
}

/** All folders this process has met. */
export class Directories {
  readonly #files: FileLayer;
  readonly #folders = new Map<string, Folder>();

  constructor(files: FileLayer) {
    this.#files = files;
  }

  /**
   * Makes `path` and what is missing above it, and answers for it.
   * @param path Absolute or relative, without a trailing slash.
   */
  makeRoot(path: string): Folder {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const above = parentOf(path);
    const made = this.#makeUnlessMissingAbove(path);
    if (made === "no parent" && above !== null) {
      const parent = this.makeRoot(above);
      this.#files.makeDirectory(path);
      parent.entries.mark();
      return this.#add(path, parent);
    }
    // The folder above is not ours and may not be readable: its sync is then left out (see #sync).
    return this.#add(path, above === null ? null : this.#add(above, null));
  }

  /** The folder `name` of `parent`, made when it is not there. */
  make(parent: Folder, name: string): Folder {
    const path = `${parent.path}/${name}`;
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    if (this.#files.makeDirectory(path)) parent.entries.mark();
    return this.#add(path, parent);
  }

  /** The folder of a file with this relative name under `root`, made on demand. */
  ofFile(root: Folder, name: string): Folder {
    let folder = root;
    let from = 0;
    for (let slash = name.indexOf("/"); slash !== -1; slash = name.indexOf("/", from)) {
      folder = this.make(folder, name.slice(from, slash));
      from = slash + 1;
    }
    return folder;
  }

  /** Makes every entry from this folder up to the data directory's own durable. */
  async syncUp(folder: Folder): Promise<void> {
    const syncs: Promise<void>[] = [];
    for (let at: Folder | null = folder; at !== null; at = at.parent) {
      if (!at.entries.isClean) syncs.push(at.entries.sync());
    }
    if (syncs.length > 0) await Promise.all(syncs);
  }

  /**
   * Removes a folder that has become empty; one that is in use stays. Needs no sync: were it back after
   * a power loss, it would hold nothing.
   */
  removeIfEmpty(folder: Folder): void {
    if (folder.removals > 0 || !folder.entries.isClean) return;
    try {
      this.#files.removeDirectory(folder.path);
      this.#folders.delete(folder.path);
    } catch (error) {
      const code = codeOf(error);
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") {
        throw storageErrorOf(error, `remove folder "${folder.path}"`);
      }
    }
  }

  #add(path: string, parent: Folder | null): Folder {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const isOurs = parent !== null;
    const folder = {
      path,
      parent,
      entries: new SyncGate(() => this.#sync(path, isOurs)),
      removals: 0,
    };
    this.#folders.set(path, folder);
    return folder;
  }

  async #sync(path: string, isOurs: boolean): Promise<void> {
    try {
      await this.#files.syncDirectory(path);
    } catch (error) {
      const code = codeOf(error);
      // Above the data directory lies what the operator made; we may lack the right to open it.
      if (!isOurs && (code === "EACCES" || code === "EPERM")) return;
      throw storageErrorOf(error, `sync folder "${path}"`);
    }
  }

  #makeUnlessMissingAbove(path: string): "made" | "there" | "no parent" {
    try {
      return this.#files.makeDirectory(path) ? "made" : "there";
    } catch (error) {
      if (codeOf(error) === "ENOENT") return "no parent";
      throw storageErrorOf(error, `make folder "${path}"`);
    }
  }
}
