// The FileLayer over node:fs, the same on Bun, Deno and Node.
// Invariant: writes and reads name their position, so no file has a hidden cursor; nothing is opened
// for appending, so that recycled files can be overwritten.

import fs from "node:fs";
import process from "node:process";
import { codeOf, type FileLayer, type FolderEntry } from "./file_layer.ts";

/** Deno is slow at writev. */
const HAS_FAST_WRITEV = !("Deno" in globalThis);
const SLICE_BYTES = 1024 * 1024;
/** Most parts of one writev: the kernel's bound is 1,024. */
const PARTS_MAX = 512;

/** File calls by node:fs. */
export function nodeFiles(): FileLayer {
  return {
    open: (path, mode) =>
      fs.openSync(path, mode === "read" ? "r" : mode === "update" ? "r+" : "wx+"),
    close: (fd) => fs.closeSync(fd),
    // Without a throw: to look for what is not there is the common case when segments are made.
    sizeOf: (path) => fs.statSync(path, { throwIfNoEntry: false })?.size ?? null,
    read: (fd, target, position) => fs.readSync(fd, target, 0, target.byteLength, position),
    readLater: (fd, target, position) =>
      new Promise((resolve, reject) =>
        fs.read(fd, target, 0, target.byteLength, position, (error, count) =>
          error === null ? resolve(count) : reject(error),
        ),
      ),
    write: writeNow,
    writeLater: writeInSlices,
    truncate: (fd, sizeBytes) => fs.ftruncateSync(fd, sizeBytes),
    truncateLater: (fd, sizeBytes) =>
      new Promise((resolve, reject) =>
        fs.ftruncate(fd, sizeBytes, (error) => (error ? reject(error) : resolve())),
      ),
    sync: (fd, what) =>
      new Promise((resolve, reject) =>
        (what === "data" ? fs.fdatasync : fs.fsync)(fd, (error) =>
          error ? reject(error) : resolve(),
        ),
      ),
    async syncDirectory(path) {
      const fd = fs.openSync(path, "r");
      try {
        await new Promise<void>((resolve, reject) =>
          fs.fsync(fd, (error) => (error ? reject(error) : resolve())),
        );
      } finally {
        fs.closeSync(fd);
      }
    },
    volume: (path) =>
      new Promise((resolve, reject) =>
        fs.statfs(path, (error, found) => {
          if (error) reject(error);
          else {
            const { bsize, blocks, bavail } = found;
            resolve({ totalBytes: bsize * blocks, usableBytes: bsize * bavail });
          }
        }),
      ),
    hasName: (fd) => fs.fstatSync(fd).nlink > 0,
    rename: (from, to) => fs.renameSync(from, to),
    unlink: (path) =>
      new Promise((resolve, reject) =>
        fs.unlink(path, (error) => (error ? reject(error) : resolve())),
      ),
    makeDirectory(path) {
      try {
        fs.mkdirSync(path);
        return true;
      } catch (error) {
        if (codeOf(error) === "EEXIST") return false;
        throw error;
      }
    },
    removeDirectory: (path) => fs.rmdirSync(path),
    list(path): FolderEntry[] | null {
      try {
        return fs
          .readdirSync(path, { withFileTypes: true })
          .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
      } catch (error) {
        if (codeOf(error) === "ENOENT") return null;
        throw error;
      }
    },
    ownProcess,
    isRunning,
  };
}

function writeNow(fd: number, parts: readonly Uint8Array[], position: number): number {
  if (parts.length === 1) {
    const part = parts[0]!;
    return fs.writeSync(fd, part, 0, part.byteLength, position);
  }
  if (HAS_FAST_WRITEV) return fs.writevSync(fd, parts.slice(0, PARTS_MAX), position);
  let written = 0;
  for (const part of parts) {
    const count = fs.writeSync(fd, part, 0, part.byteLength, position + written);
    written += count;
    if (count < part.byteLength) break;
  }
  return written;
}

/**
 * Writes on the event loop, a slice a turn. Deno does so in any case; on Bun the pool of two threads, where
 * a large write and a running sync meet, took twice the CPU time and gave half the throughput.
 */
async function writeInSlices(
  fd: number,
  parts: readonly Uint8Array[],
  position: number,
): Promise<number> {
  let written = 0;
  let sinceYieldBytes = 0;
  for (const part of parts) {
    for (let at = 0; at < part.byteLength; ) {
      if (sinceYieldBytes >= SLICE_BYTES) {
        sinceYieldBytes = 0;
        await new Promise((resolve) => setImmediate(resolve));
      }
      const length = Math.min(SLICE_BYTES - sinceYieldBytes, part.byteLength - at);
      const count = fs.writeSync(fd, part, at, length, position + written);
      written += count;
      at += count;
      sinceYieldBytes += count;
      if (count < length) return written;
    }
  }
  return written;
}

/** "0" stands for what the host does not tell, as Deno without --allow-all and hosts without /proc. */
const UNKNOWN = "0";

function ownProcess(): string {
  return `${process.pid}-${startOf(process.pid) || UNKNOWN}-${bootOf()}`;
}

function isRunning(mark: string): boolean {
  const [pidText, start, boot] = mark.split("-");
  const pid = Number(pidText);
  const ownBoot = bootOf();
  if (boot !== UNKNOWN && ownBoot !== UNKNOWN) {
    if (boot !== ownBoot) return false;
    const found = startOf(pid);
    if (found !== null) return found !== "" && (start === UNKNOWN || found === start);
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

/** When a process started, in clock ticks since the boot; "" when there is none, null when unknown. */
function startOf(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is a file name in brackets that may hold anything; state and start come after.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isGone = fields[0] === "Z" || fields[0] === "X";
    return isGone ? "" : (fields[19] ?? null);
  } catch (error) {
    return codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH" ? "" : null;
  }
}

/** Names this run of the machine, so that a lock from before a restart is known as stale. */
function bootOf(): string {
  try {
    return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
  } catch {
    // No /proc, or no permission: the process id alone has to do.
    return UNKNOWN;
  }
}
