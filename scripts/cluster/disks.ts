// A small disk for each broker, in memory, that can be filled to its last bytes and freed again. Invariant: whatever was mounted
// is unmounted when the program ends.

import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const FILLER = "filler";

export class Disk {
  readonly #folder: string;
  #isMounted = true;

  /** @throws {Error} when it cannot be mounted */
  constructor(folder: string, sizeMb: number) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    const words = ["-t", "tmpfs", "-o", `size=${sizeMb}m`, "tmpfs", folder];
    const done = spawnSync("mount", words, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`Cannot mount a disk in memory: ${done.stderr.trim()}`);
    process.on("exit", () => this.close());
  }

  /** @param spareBytes What is left, at most: a write may fail in its middle. @throws {Error} when it cannot be filled */
  fill(spareBytes: number): void {
    const { bavail, bsize } = statfsSync(this.#folder);
    const bytes = Math.max(bsize, bavail * bsize - spareBytes);
    const words = ["-l", String(bytes), join(this.#folder, FILLER)];
    const done = spawnSync("fallocate", words, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`Cannot fill a disk: ${done.stderr.trim()}`);
  }

  free(): void {
    rmSync(join(this.#folder, FILLER), { force: true });
  }

  get usedBytes(): number {
    const { blocks, bfree, bsize } = statfsSync(this.#folder);
    return (blocks - bfree) * bsize;
  }

  /** Idempotent; lazily, as a process that was killed may hold it for a moment. */
  close(): void {
    if (!this.#isMounted) return;
    this.#isMounted = false;
    spawnSync("umount", ["-l", this.#folder]);
  }
}
