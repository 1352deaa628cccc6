// One file kept ready for the journal's next one: a file that was given up, or one filled with zeros while
// the disk has time. To sync bytes that overwrite others costs half of what growing a file does (ADR 22).
// Invariant: nothing in the spare is believed: a taken file is told from what it held by number and salt.

import { StorageError } from "../../contracts/errors.ts";
import type { Logger, Scheduler, Timer } from "../../contracts/runtime.ts";
import type { SegmentFile, SegmentStore } from "../../contracts/storage.ts";

/** Not the name of a journal file: recovery passes over it. */
export const SPARE_NAME = "journal/spare";
/** Zeros written ahead, at most; what a file needs beyond them it grows by. */
export const PREPARED_BYTES = 64 * 1024 * 1024;
const SLICE_BYTES = 256 * 1024;
/** The file system's journal is written with each of these syncs, and others wait for that. */
const SLICES_PER_SYNC = 16;
/** How often the volume's free space is looked at. */
const SLICES_PER_LOOK = 4;
/** A volume with less free space than so many spares is left alone: what clients send needs it. */
const ROOMY_FACTOR = 4;
/** Between two syncs of the filling: those who wait for an acknowledgement come first. */
const PAUSE_MS = 5;

export interface JournalSpareOptions {
  readonly store: SegmentStore;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** A smaller file is not worth keeping. */
  readonly keptBytesMin: number;
  /** Nor is a larger one: a start after a crash looks through all of it. */
  readonly keptBytesMax: number;
  /** Whether a lot is being copied and synced: the filling waits for that, as it would hold up the journal's own syncs. */
  readonly isBusy: () => boolean;
  /** Free space of the volume, in bytes; −1 where nobody knows. */
  readonly usableBytes: () => Promise<number>;
}

export class JournalSpare {
  readonly #options: JournalSpareOptions;
  #state: "none" | "busy" | "ready" = "none";
  #isStopped = false;
  #hasFailed = false;
  /** Of the spare that is ready. */
  #sizeBytes = 0;
  #filling: Promise<void> | null = null;
  #timer: Timer | null = null;
  #wake: (() => void) | null = null;

  constructor(options: JournalSpareOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** Looks for what an earlier run left. */
  async find(): Promise<void> {
    const { store } = this.#options;
    try {
      const found = (await store.list(SPARE_NAME)).find(({ name }) => name === SPARE_NAME);
      if (found === undefined) return;
      if (this.#isWorthKeeping(found.sizeBytes)) {
        this.#state = "ready";
        this.#sizeBytes = found.sizeBytes;
      } else await store.remove(SPARE_NAME);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** A full disk, most likely: the space is better used for what clients send. The next start tries again. */
  #failed(error: unknown): void {
    this.#hasFailed = true;
    this.#state = "none";
    this.#options.log.warn("journal_spare_failed", { error: String(error) });
  }

  #isWorthKeeping(sizeBytes: number): boolean {
    const { store, keptBytesMin, keptBytesMax } = this.#options;
    return (
      store.prefersRecycling === true && sizeBytes >= keptBytesMin && sizeBytes <= keptBytesMax
    );
  }

  /** Makes the spare the file `name`; null when there is none. */
  async take(
    name: string,
  ): Promise<{ readonly file: SegmentFile; readonly sizeBytes: number } | null> {
    if (this.#state !== "ready") return null;
    // Until the name is free nobody may make the next one under it.
    this.#state = "busy";
    const sizeBytes = this.#sizeBytes;
    try {
      return { file: await this.#options.store.recycle(SPARE_NAME, name), sizeBytes };
    } catch (error) {
      // Somebody has tidied up by hand: that is no reason to stop.
      if (error instanceof StorageError && error.code === "not_found") return null;
      throw error;
    } finally {
      this.#state = "none";
    }
  }

  /** Removes the closed file `name`, or keeps it as the spare. Durable when it resolves. */
  async removeOrKeep(name: string, sizeBytes: number): Promise<void> {
    const isWanted = this.#state === "none" && !this.#hasFailed && this.#isWorthKeeping(sizeBytes);
    if (isWanted && !this.#isStopped) {
      this.#state = "busy";
      const isKept = await this.#keep(name, sizeBytes);
      this.#state = isKept ? "ready" : "none";
      if (isKept) return;
    }
    // What has to go goes, whatever became of the spare.
    await this.#options.store.remove(name);
  }

  async #keep(name: string, sizeBytes: number): Promise<boolean> {
    try {
      if (!(await this.#hasRoom(sizeBytes))) return false;
      const file = await this.#options.store.recycle(name, SPARE_NAME);
      await file.close();
      this.#sizeBytes = sizeBytes;
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /**
   * Fills a spare with zeros in the background, where there is none, the store gains by it and the volume
   * has room.
   */
  prepare(sizeBytes: number): void {
    if (this.#state !== "none" || this.#isStopped || this.#hasFailed) return;
    if (this.#options.store.prefersRecycling !== true) return;
    this.#state = "busy";
    const filling = this.#fill(sizeBytes);
    this.#filling = filling;
    this.#options.scheduler.spawn("journal_spare", () => filling);
  }

  /** Ends the filling; what is half done goes. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#wake?.();
    await this.#filling;
  }

  /** Never rejects: without a spare the journal grows its files, as ever. */
  async #fill(sizeBytes: number): Promise<void> {
    const { store } = this.#options;
    let file: SegmentFile | null = null;
    try {
      if (!(await this.#hasRoom(sizeBytes))) {
        this.#state = "none";
        return;
      }
      file = await store.open(SPARE_NAME, { create: true });
      const zeros = new Uint8Array(SLICE_BYTES);
      for (let slices = 1; file.sizeBytes < sizeBytes && !this.#isStopped; slices++) {
        await file.append([zeros.subarray(0, Math.min(SLICE_BYTES, sizeBytes - file.sizeBytes))]);
        if (slices % SLICES_PER_LOOK === 0 && !(await this.#hasRoom(sizeBytes))) break;
        if (slices % SLICES_PER_SYNC === 0) await file.sync();
        do await this.#pause();
        while (this.#options.isBusy() && !this.#isStopped);
      }
      await file.sync();
      const isWhole = file.sizeBytes >= sizeBytes;
      this.#sizeBytes = file.sizeBytes;
      await file.close();
      if (!isWhole) await store.remove(SPARE_NAME);
      this.#state = isWhole ? "ready" : "none";
    } catch (error) {
      this.#failed(error);
      await file?.close().catch(() => {}); // The first error is the one that was told.
      await store.remove(SPARE_NAME).catch(() => {}); // As far as that goes.
    }
  }

  /** Filling the last of a volume would fail the appends beside it, and with them the broker. */
  async #hasRoom(sizeBytes: number): Promise<boolean> {
    const usableBytes = await this.#options.usableBytes();
    return usableBytes < 0 || usableBytes >= sizeBytes * ROOMY_FACTOR;
  }

  #pause(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#options.scheduler.after(PAUSE_MS, "journal_spare", resolve);
    });
  }
}
