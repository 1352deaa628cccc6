// One file kept ready for the journal's next one: a file that was given up, or one filled with zeros while
// the disk has time. To sync bytes that overwrite others costs half of what growing a file does (ADR 22).
// Invariant: nothing in the spare is believed: a taken file is told from what it held by number and salt.

import type { Logger, Scheduler, Timer } from "../../contracts/runtime.ts";
import type { SegmentFile, SegmentStore } from "../../contracts/storage.ts";

/** Not the name of a journal file: recovery passes over it. */
export const SPARE_NAME = "journal/spare";
/** Zeros written ahead, at most; what a file needs beyond them it grows by. */
export const PREPARED_BYTES = 64 * 1024 * 1024;
const SLICE_BYTES = 256 * 1024;
const SLICES_PER_SYNC = 4;
/** Between two syncs of the filling: those who wait for an acknowledgement come first. */
const PAUSE_MS = 5;

export interface JournalSpareOptions {
  readonly store: SegmentStore;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** A smaller file is not worth keeping. */
  readonly keptBytesMin: number;
}

export class JournalSpare {
  readonly #options: JournalSpareOptions;
  #state: "none" | "busy" | "ready" = "none";
  #isStopped = false;
  #hasFailed = false;
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
    const { store, keptBytesMin } = this.#options;
    const found = (await store.list(SPARE_NAME)).find(({ name }) => name === SPARE_NAME);
    if (found === undefined) return;
    if (store.prefersRecycling === true && found.sizeBytes >= keptBytesMin) this.#state = "ready";
    else await store.remove(SPARE_NAME);
  }

  /** Makes the spare the file `name`; null when there is none. */
  async take(name: string): Promise<SegmentFile | null> {
    if (this.#state !== "ready") return null;
    this.#state = "none";
    return await this.#options.store.recycle(SPARE_NAME, name);
  }

  /** Removes the closed file `name`, or keeps it as the spare. Durable when it resolves. */
  async removeOrKeep(name: string, sizeBytes: number): Promise<void> {
    const { store, keptBytesMin } = this.#options;
    const isWanted =
      store.prefersRecycling === true && this.#state === "none" && sizeBytes >= keptBytesMin;
    if (!isWanted || this.#isStopped) {
      await store.remove(name);
      return;
    }
    this.#state = "busy";
    const file = await store.recycle(name, SPARE_NAME);
    await file.close();
    this.#state = "ready";
  }

  /**
   * Fills a spare with zeros in the background, where there is none and the store gains by it.
   *
   * @param onReady called once it can be taken
   */
  prepare(sizeBytes: number, onReady: () => void): void {
    if (this.#state !== "none" || this.#isStopped || this.#hasFailed) return;
    if (this.#options.store.prefersRecycling !== true) return;
    this.#state = "busy";
    this.#options.scheduler.spawn("journal_spare", async () => {
      this.#filling = this.#fill(sizeBytes);
      await this.#filling;
      this.#filling = null;
      if (this.isReady && !this.#isStopped) onReady();
    });
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
    const { store, log } = this.#options;
    let file: SegmentFile | null = null;
    try {
      file = await store.open(SPARE_NAME, { create: true });
      const zeros = new Uint8Array(SLICE_BYTES);
      for (let slices = 1; file.sizeBytes < sizeBytes && !this.#isStopped; slices++) {
        await file.append([zeros.subarray(0, Math.min(SLICE_BYTES, sizeBytes - file.sizeBytes))]);
        if (slices % SLICES_PER_SYNC === 0) await file.sync();
        await this.#pause();
      }
      await file.sync();
      const isWhole = file.sizeBytes >= sizeBytes;
      await file.close();
      if (!isWhole) await store.remove(SPARE_NAME);
      this.#state = isWhole ? "ready" : "none";
    } catch (error) {
      // A full disk, most likely: the space is better used for what clients send.
      this.#hasFailed = true;
      this.#state = "none";
      log.warn("journal_spare_failed", { error: String(error) });
      await file?.close().catch(() => {}); // The first error is the one that was told.
      await store.remove(SPARE_NAME).catch(() => {}); // The next start tries again.
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#options.scheduler.after(PAUSE_MS, "journal_spare", resolve);
    });
  }
}
