// The few file calls that plugins make, as an interface: node:fs beneath it in a broker, and in tests a
// layer that records every call and rebuilds what a power loss may leave (millrace/testing).
// Errors are those of node:fs: thrown, with a `code` such as "ENOENT" or "ENOSPC".

/** File calls. Those that return a promise may wait for the disk; the others take microseconds. */
export interface FileLayer {
  /** Opens a file: an existing one to read, or to read and write ("update"), or a new one ("create"). */
  open(path: string, mode: "read" | "update" | "create"): number;
  close(fd: number): void;
  /** Size of the file at `path`; null when there is none. */
  sizeOf(path: string): number | null;
  /** Reads at `position`; the count of bytes, 0 at the end. */
  read(fd: number, target: Uint8Array, position: number): number;
  /** The same off the event loop. */
  readLater(fd: number, target: Uint8Array, position: number): Promise<number>;
  /** Writes `parts` back to back at `position`; the count of bytes taken, which may be short. */
  write(fd: number, parts: readonly Uint8Array[], position: number): number;
  /** The same, letting the event loop go on where the host can. */
  writeLater(fd: number, parts: readonly Uint8Array[], position: number): Promise<number>;
  truncate(fd: number, sizeBytes: number): void;
  /** The same off the event loop: to free a large file takes tens of milliseconds. */
  truncateLater(fd: number, sizeBytes: number): Promise<void>;
  /** "data": fdatasync, which also brings a size that has grown. "all": fsync. */
  sync(fd: number, what: "data" | "all"): Promise<void>;
  /** Makes what was created, renamed and removed in this folder durable. */
  syncDirectory(path: string): Promise<void>;
  /** Whether a name leads to the file of this handle: its own, or a hard link that somebody made. */
  hasName(fd: number): boolean;
  rename(from: string, to: string): void;
  unlink(path: string): Promise<void>;
  /** Makes one folder; false when it is there already. */
  makeDirectory(path: string): boolean;
  /** Removes an empty folder. */
  removeDirectory(path: string): void;
  /** What a folder holds, in any order; null when there is none. */
  list(path: string): readonly FolderEntry[] | null;
  /** Size and free space of the volume that holds `path`, in bytes; left out where nobody knows. */
  volume?(path: string): Promise<{ readonly totalBytes: number; readonly usableBytes: number }>;
  /** Names this process among all that ever ran here, with its id first: "PID-START-BOOT". */
  ownProcess(): string;
  /** Whether the process of that name still runs. True when the host will not say. */
  isRunning(process: string): boolean;
}

/** A file or folder in a folder. */
export interface FolderEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** The `code` of an error of node:fs, or "" for any other. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** The path above, "." for a bare name, null for the top. */
export function parentOf(path: string): string | null {
  if (path === "/" || path === "." || path === "") return null;
  const slash = path.lastIndexOf("/");
  if (slash === -1) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
