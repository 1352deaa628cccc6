// A file layer in memory that records every write, truncation, sync and change of a folder, and rebuilds
// what a power loss at any point may leave (decision 4): fits the `files` option of storage-fs and
// metadata-file. Taking out one sync by `dropSync` proves that a test would notice.
// Invariant: a call that fails changes nothing; a handle is never given twice, so use after close is EBADF.

import {
  type EntryChange,
  FileNode,
  FolderNode,
  type Move,
  type Node,
  type Point,
} from "./disk_model.ts";
import { rebuildTree, type Survivors } from "./rebuild.ts";

/** A sync that was asked for. */
export interface RecordedSync {
  /** From 0, in the order of the calls. */
  readonly index: number;
  /** What was synced: a file's bytes, all of a file, or a folder's entries. */
  readonly what: "data" | "all" | "directory";
  readonly path: string;
}

/** How a recording is made. */
export interface RecordingOptions {
  /** Syncs that report success and do nothing: the one of this index, or all that it says. */
  readonly dropSync?: number | ((sync: RecordedSync) => boolean);
  /** Awaited inside calls that may wait for a disk, so that others go on meanwhile. Default: one microtask. */
  readonly pause?: () => Promise<void>;
}

/** The file calls of a recording: the shape that storage-fs and metadata-file take as `files`. */
export interface RecordedFiles {
  open(path: string, mode: "read" | "update" | "create"): number;
  close(fd: number): void;
  sizeOf(path: string): number | null;
  read(fd: number, target: Uint8Array, position: number): number;
  readLater(fd: number, target: Uint8Array, position: number): Promise<number>;
  write(fd: number, parts: readonly Uint8Array[], position: number): number;
  writeLater(fd: number, parts: readonly Uint8Array[], position: number): Promise<number>;
  truncate(fd: number, sizeBytes: number): void;
  truncateLater(fd: number, sizeBytes: number): Promise<void>;
  sync(fd: number, what: "data" | "all"): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  hasName(fd: number): boolean;
  rename(from: string, to: string): void;
  unlink(path: string): Promise<void>;
  makeDirectory(path: string): boolean;
  removeDirectory(path: string): void;
  list(path: string): readonly { readonly name: string; readonly isDirectory: boolean }[] | null;
  ownProcess(): string;
  isRunning(process: string): boolean;
}

/** File calls that are recorded, and what a power loss at any point of them may leave. */
export interface Recording {
  /** A plain object: a test may spread it and replace single calls by failing ones. */
  readonly layer: RecordedFiles;
  /** The point that is now. Every point from 0 to this one can be rebuilt. */
  points(): Point;
  /** Every sync asked for so far, dropped ones too. */
  syncs(): readonly RecordedSync[];
  /** A machine started again after a power loss at `point`, itself recording. */
  rebuild(point: Point, survivors: Survivors, options?: RecordingOptions): Recording;
  /** The process is killed (`kill -9`) and another started: handles are gone, the page cache stays. */
  restartProcess(): void;
}

/** An empty disk. */
export function recordingFiles(options: RecordingOptions = {}): Recording {
  return record(new FolderNode(), options, 1);
}

function record(root: FolderNode, options: RecordingOptions, boot: number): Recording {
  const files = new Files(root, options, boot);
  return {
    layer: files.layer(),
    points: () => files.now,
    syncs: () => files.syncs,
    rebuild: (point, survivors, next = {}) =>
      record(rebuildTree(root, point, survivors), next, boot + 1),
    restartProcess: () => files.restartProcess(),
  };
}

interface Handle {
  readonly file: FileNode;
  readonly path: string;
  readonly isWritable: boolean;
}

class Files {
  /** Number of the next event. */
  now: Point = 0;
  readonly syncs: RecordedSync[] = [];
  readonly #root: FolderNode;
  readonly #options: RecordingOptions;
  readonly #pause: () => Promise<void>;
  readonly #handles = new Map<number, Handle>();
  readonly #boot: number;
  #nextFd = 100;
  #pid = 1;

  constructor(root: FolderNode, options: RecordingOptions, boot: number) {
    this.#root = root;
    this.#options = options;
    this.#pause = options.pause ?? (() => Promise.resolve());
    this.#boot = boot;
  }

  layer(): RecordedFiles {
    return {
      open: (path, mode) => this.#open(path, mode),
      close: (fd) => this.#close(fd),
      sizeOf: (path) => {
        const node = this.#findOrNull(path);
        if (node === null) return null;
        return node.kind === "file" ? node.content.sizeBytes : 0;
      },
      read: (fd, target, position) => this.#read(fd, target, position),
      readLater: async (fd, target, position) => {
        this.#handle(fd);
        await this.#pause();
        return this.#read(fd, target, position);
      },
      write: (fd, parts, position) => this.#write(fd, parts, position),
      writeLater: (fd, parts, position) => this.#writeLater(fd, parts, position),
      truncate: (fd, sizeBytes) => this.#truncate(fd, sizeBytes),
      truncateLater: (fd, sizeBytes) => this.#truncateLater(fd, sizeBytes),
      sync: (fd, what) => {
        const { file, path } = this.#handle(fd);
        return this.#sync(file, what, path);
      },
      syncDirectory: (path) => this.#syncDirectory(path),
      hasName: (fd) => isIn(this.#root, this.#handle(fd).file),
      rename: (from, to) => this.#rename(from, to),
      unlink: (path) => this.#unlink(path),
      makeDirectory: (path) => this.#makeDirectory(path),
      removeDirectory: (path) => this.#removeDirectory(path),
      list: (path) => this.#list(path),
      ownProcess: () => this.#process(),
      isRunning: (process) => process === this.#process(),
    };
  }

  restartProcess(): void {
    this.#pid++;
    this.#handles.clear();
  }

  #process(): string {
    return `${this.#pid}-1-${this.#boot}`;
  }

  #open(path: string, mode: "read" | "update" | "create"): number {
    const { folder, name } = this.#place(path);
    let node = folder.entries.get(name);
    if (mode === "create") {
      if (node !== undefined) throw failure("EEXIST", path);
      node = new FileNode();
      this.#change(folder, { set: { name, node }, clear: null });
    }
    if (node === undefined) throw failure("ENOENT", path);
    if (node.kind === "folder") throw failure("EISDIR", path);
    const fd = this.#nextFd++;
    this.#handles.set(fd, { file: node, path, isWritable: mode !== "read" });
    return fd;
  }

  #close(fd: number): void {
    this.#handle(fd);
    this.#handles.delete(fd);
  }

  #read(fd: number, target: Uint8Array, position: number): number {
    const found = this.#handle(fd).file.content.view().subarray(position);
    const part = found.subarray(0, target.byteLength);
    target.set(part);
    return part.byteLength;
  }

  #write(fd: number, parts: readonly Uint8Array[], position: number): number {
    const { file } = this.#writable(fd);
    const bytes = joined(parts);
    const at = this.now++;
    file.changes.push({ kind: "write", at, endedAt: at, position, bytes });
    file.content.put(position, bytes);
    return bytes.byteLength;
  }

  async #writeLater(fd: number, parts: readonly Uint8Array[], position: number): Promise<number> {
    const { file } = this.#writable(fd);
    const change = {
      kind: "write" as const,
      at: this.now++,
      endedAt: Number.POSITIVE_INFINITY,
      position,
      bytes: joined(parts),
    };
    file.changes.push(change);
    await this.#pause();
    file.content.put(position, change.bytes);
    change.endedAt = this.now++;
    return change.bytes.byteLength;
  }

  #truncate(fd: number, sizeBytes: number): void {
    const { file } = this.#writable(fd);
    const at = this.now++;
    file.changes.push({ kind: "truncate", at, endedAt: at, sizeBytes });
    file.content.resize(sizeBytes);
  }

  async #truncateLater(fd: number, sizeBytes: number): Promise<void> {
    const { file } = this.#writable(fd);
    const change = {
      kind: "truncate" as const,
      at: this.now++,
      endedAt: Number.POSITIVE_INFINITY,
      sizeBytes,
    };
    file.changes.push(change);
    await this.#pause();
    file.content.resize(sizeBytes);
    change.endedAt = this.now++;
  }

  async #syncDirectory(path: string): Promise<void> {
    const node = this.#find(path);
    if (node.kind === "file") throw failure("ENOTDIR", path);
    await this.#sync(node, "directory", path);
  }

  async #sync(node: Node, what: RecordedSync["what"], path: string): Promise<void> {
    const sync = { index: this.syncs.length, what, path };
    this.syncs.push(sync);
    const { dropSync } = this.#options;
    const isDropped = typeof dropSync === "function" ? dropSync(sync) : dropSync === sync.index;
    const at = this.now++;
    await this.#pause();
    const endedAt = this.now++;
    if (!isDropped) node.syncs.push({ at, endedAt, what: what === "data" ? "data" : "all" });
  }

  #rename(fromPath: string, toPath: string): void {
    const from = this.#place(fromPath);
    const to = this.#place(toPath);
    const node = from.folder.entries.get(from.name);
    if (node === undefined) throw failure("ENOENT", fromPath);
    if (to.folder.entries.get(to.name)?.kind === "folder") throw failure("EISDIR", toPath);
    const set = { name: to.name, node };
    if (from.folder === to.folder) {
      if (from.name !== to.name) this.#change(to.folder, { set, clear: from.name });
      return;
    }
    const at = this.now++;
    const move: Move = { from: from.folder, to: to.folder, at };
    to.folder.apply({ at, set, clear: null, move });
    from.folder.apply({ at, set: null, clear: from.name, move });
  }

  async #unlink(path: string): Promise<void> {
    const { folder, name } = this.#place(path);
    const node = folder.entries.get(name);
    if (node === undefined) throw failure("ENOENT", path);
    if (node.kind === "folder") throw failure("EISDIR", path);
    this.#change(folder, { set: null, clear: name });
    await this.#pause();
  }

  #makeDirectory(path: string): boolean {
    const { folder, name } = this.#place(path);
    if (folder.entries.has(name)) return false;
    this.#change(folder, { set: { name, node: new FolderNode() }, clear: null });
    return true;
  }

  #removeDirectory(path: string): void {
    const { folder, name } = this.#place(path);
    const node = folder.entries.get(name);
    if (node === undefined) throw failure("ENOENT", path);
    if (node.kind === "file") throw failure("ENOTDIR", path);
    if (node.entries.size > 0) throw failure("ENOTEMPTY", path);
    this.#change(folder, { set: null, clear: name });
  }

  #list(path: string): { name: string; isDirectory: boolean }[] | null {
    const node = this.#findOrNull(path);
    if (node === null) return null;
    if (node.kind === "file") throw failure("ENOTDIR", path);
    return [...node.entries].map(([name, entry]) => ({
      name,
      isDirectory: entry.kind === "folder",
    }));
  }

  #change(folder: FolderNode, change: Pick<EntryChange, "set" | "clear">): void {
    folder.apply({ ...change, at: this.now++, move: null });
  }

  #find(path: string): Node {
    let node: Node = this.#root;
    for (const part of partsOf(path)) {
      if (node.kind === "file") throw failure("ENOTDIR", path);
      const next: Node | undefined = node.entries.get(part);
      if (next === undefined) throw failure("ENOENT", path);
      node = next;
    }
    return node;
  }

  #findOrNull(path: string): Node | null {
    try {
      return this.#find(path);
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return null;
      throw error;
    }
  }

  /** The folder a path's last part is, or would be, in. */
  #place(path: string): { folder: FolderNode; name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw failure("EEXIST", path);
    const folder = this.#find(parts.join("/"));
    if (folder.kind === "file") throw failure("ENOTDIR", path);
    return { folder, name };
  }

  #handle(fd: number): Handle {
    const handle = this.#handles.get(fd);
    if (handle === undefined) throw failure("EBADF", `handle ${fd}`);
    return handle;
  }

  #writable(fd: number): Handle {
    const handle = this.#handle(fd);
    if (!handle.isWritable) throw failure("EBADF", handle.path);
    return handle;
  }
}

function isIn(folder: FolderNode, file: FileNode): boolean {
  for (const entry of folder.entries.values()) {
    if (entry === file || (entry.kind === "folder" && isIn(entry, file))) return true;
  }
  return false;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** An error as node:fs throws it. */
function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: "${path}"`), { code });
}
