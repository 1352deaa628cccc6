// A small disk for each broker, in memory, that can be filled to its last bytes and freed again. Invariant: whatever was mounted
// is unmounted when the program ends.

import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const FILLER = "filler";
const TRIES_MAX = 5;

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
    let complaint = "";
    // The broker writes meanwhile, and may have taken what was to be filled.
    for (let i = 0; i < TRIES_MAX; i++) {
      const { bavail, bsize } = statfsSync(this.#folder);
      const bytes = bavail * bsize - spareBytes;
      if (bytes < bsize) return;
      const words = ["-l", String(bytes), join(this.#folder, FILLER)];
      const done = spawnSync("fallocate", words, { encoding: "utf8" });
      if (done.status === 0) return;
      this.free();
      complaint = done.error?.message ?? done.stderr.trim();
    }
    throw new Error(`Cannot fill a disk: ${complaint}`);
  }

  free(): void {
    rmSync(join(this.#folder, FILLER), { force: true });
  }

  /** Idempotent; lazily, as a process that was killed may hold it for a moment. */
  close(): void {
    if (!this.#isMounted) return;
    this.#isMounted = false;
    spawnSync("umount", ["-l", this.#folder]);
  }
}
