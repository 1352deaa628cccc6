// Syncs a file that grows, a step at a time, beside those who fill it: what has gathered is written while more is made.
// Invariant: one sync at a time; a failed one is told to who writes next, or asks for the end. Kafka: none, it leaves that to the kernel.

export class GatheredSync {
  #unsyncedBytes = 0;
  #running: Promise<void> | null = null;

  /**
   * Takes note of bytes that were written, and starts a sync where enough have gathered.
   *
   * @param mustWait Whether to wait for it, too: for who may not take more of the disk than that at a time.
   * @throws what a sync has failed with since the last call
   */
  async wrote(
    sizeBytes: number,
    stepBytes: number,
    mustWait: boolean,
    sync: () => Promise<void>,
  ): Promise<void> {
    this.#unsyncedBytes += sizeBytes;
    if (this.#unsyncedBytes >= stepBytes) {
      await this.settled();
      this.#unsyncedBytes = 0;
      this.#running = sync();
      // Told by `settled`.
      this.#running.catch(() => {});
    }
    if (mustWait) await this.settled();
  }

  /** Waits for the sync under way, if there is one. What was written after it began is not synced by it. */
  async settled(): Promise<void> {
    const running = this.#running;
    this.#running = null;
    await running;
  }
}
