// Frees the space of large removed files bit by bit: freed in one go, 128 MB hold up every sync of the
// volume for some 50 ms (ext4).
// Invariant: a file is shrunk only once its name is gone durably, through a handle opened before: no name
// leads to a file that is half freed, and whatever ends the process, the kernel frees the rest. So there is
// nothing to be swept by the next start, and nothing that an older release could take for data.

import type { Logger, Scheduler, Timer } from "../../src/contracts/runtime.ts";
import type { FileLayer } from "../../src/files/file_layer.ts";

/** Between two steps: those who wait for a sync come first. */
const PAUSE_MS = 2;
/** Files held at once, each with a handle. */
export const HELD_FILES_MAX = 16;
/** And their bytes, in steps: what a killed process has left is freed in one go before it is gone. */
export const HELD_STEPS_MAX = 128;
const CLOSE_WAIT_MS = 100;

/** A file that goes, and the handle that keeps its space until then. */
export interface HeldFile {
  readonly fd: number;
  readonly path: string;
  sizeBytes: number;
}

/** One file after the other, a step at a time, off the event loop. */
export class Shrinker {
  readonly #files: FileLayer;
  readonly #scheduler: Scheduler;
  readonly #log: Logger;
  readonly #stepBytes: number;
  readonly #queue: HeldFile[] = [];
  #heldCount = 0;
  #heldBytes = 0;
  #isRunning = false;
  #isClosing = false;
  #roomWaiters: (() => void)[] = [];
  #emptyWaiters: (() => void)[] = [];
  #timer: Timer | null = null;
  #wake: (() => void) | null = null;

  /** @param stepBytes Most bytes freed in one go; smaller files are none of ours. */
  constructor(files: FileLayer, scheduler: Scheduler, log: Logger, stepBytes: number) {
    this.#files = files;
    this.#scheduler = scheduler;
    this.#log = log;
    this.#stepBytes = stepBytes;
  }

  /** Bytes about to be freed. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether a file is better shrunk than freed in one go. */
  isLarge(sizeBytes: number): boolean {
    return sizeBytes > this.#stepBytes;
  }

  /**
   * Takes hold of a file that is about to be removed, waiting while too much is held; null for one that
   * cannot be held, which its removal frees. Exactly one of `free` and `letGo` follows.
   */
  async hold(path: string, sizeBytes: number): Promise<HeldFile | null> {
    while (!this.#hasRoomFor(sizeBytes)) {
      const room = new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
      this.#hurry();
      await room;
    }
    let fd: number;
    try {
      fd = this.#files.open(path, "update");
    } catch {
      // No handle left, no right to write, not a file: the removal itself says what there is to say.
      return null;
    }
    this.#heldCount++;
    this.#heldBytes += sizeBytes;
    return { fd, path, sizeBytes };
  }

  /** Its name is gone durably: from here it is freed in the background. */
  free(file: HeldFile): void {
    this.#queue.push(file);
    if (!this.#isRunning) void this.#run();
  }

  /** Its removal failed: it stays as it is. */
  letGo(file: HeldFile): void {
    this.#end(file);
  }

  /** Frees what is held without pauses. @returns Whether there was anything: then space has come free */
  async freeNow(): Promise<boolean> {
    if (this.#heldCount === 0) return false;
    const empty = new Promise<void>((resolve) => this.#emptyWaiters.push(resolve));
    this.#hurry();
    await empty;
    return true;
  }

  /** Goes on without pauses and waits for that, but not long: what is left has no name and needs no store. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#heldCount === 0) return;
    let timer: Timer | null = null;
    const late = new Promise<void>((resolve) => {
      timer = this.#scheduler.after(CLOSE_WAIT_MS, "storage_fs_close", resolve);
    });
    await Promise.race([this.freeNow(), late]);
    (timer as Timer | null)?.cancel();
  }

  #hasRoomFor(sizeBytes: number): boolean {
    if (this.#heldCount === 0) return true;
    const bytesMax = HELD_STEPS_MAX * this.#stepBytes;
    return this.#heldCount < HELD_FILES_MAX && this.#heldBytes + sizeBytes <= bytesMax;
  }

  /** Never rejects: a file that cannot be shrunk is freed by its close. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let file = this.#queue.shift(); file !== undefined; file = this.#queue.shift()) {
      try {
        await this.#shrink(file);
      } catch (error) {
        this.#log.warn("removed_file_not_shrunk", { path: file.path, error: String(error) });
      }
      this.#end(file);
      if (this.#queue.length > 0) await this.#pause();
    }
    this.#isRunning = false;
  }

  async #shrink(file: HeldFile): Promise<void> {
    // Somebody's hard link, a copy for safe keeping perhaps: then its removal frees nothing, nor do we.
    if (this.#files.hasName(file.fd)) return;
    while (file.sizeBytes > 0) {
      const sizeBytes = Math.max(0, file.sizeBytes - this.#stepBytes);
      await this.#files.truncateLater(file.fd, sizeBytes);
      this.#heldBytes -= file.sizeBytes - sizeBytes;
      file.sizeBytes = sizeBytes;
      if (sizeBytes > 0) await this.#pause();
    }
  }

  #end(file: HeldFile): void {
    this.#heldCount--;
    this.#heldBytes -= file.sizeBytes;
    try {
      this.#files.close(file.fd);
    } catch (error) {
      this.#log.warn("removed_file_not_closed", { path: file.path, error: String(error) });
    }
    this.#roomWaiters = wakeAll(this.#roomWaiters);
    if (this.#heldCount === 0) this.#emptyWaiters = wakeAll(this.#emptyWaiters);
  }

  #pause(): Promise<void> {
    const isHurried =
      this.#isClosing || this.#roomWaiters.length > 0 || this.#emptyWaiters.length > 0;
    if (isHurried) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#scheduler.after(PAUSE_MS, "storage_fs_shrink", resolve);
    });
  }

  #hurry(): void {
    this.#timer?.cancel();
    this.#wake?.();
  }
}

function wakeAll(waiters: readonly (() => void)[]): (() => void)[] {
  for (const wake of waiters) wake();
  return [];
}
