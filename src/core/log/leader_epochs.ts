// Leader epochs of one partition: each with the first offset written under it, so that a reader or
// follower with an old epoch learns where its history ends (KIP-101, KIP-320).
// Invariant: epochs and start offsets both ascend strictly. Kafka: LeaderEpochFileCache.

export interface EpochStart {
  readonly epoch: number;
  readonly startOffset: number;
}

export class LeaderEpochs {
  #starts: EpochStart[] = [];

  get starts(): readonly EpochStart[] {
    return this.#starts;
  }

  /** The newest epoch a batch was written under; -1 when nothing was written. */
  get latest(): number {
    return this.#starts.at(-1)?.epoch ?? -1;
  }

  /** Takes in a batch's epoch; only a newer one adds an entry. */
  assign(epoch: number, startOffset: number): void {
    const last = this.#starts.at(-1);
    if (last !== undefined && epoch <= last.epoch) return;
    if (last !== undefined && last.startOffset === startOffset) this.#starts.pop();
    this.#starts.push({ epoch, startOffset });
  }

  restore(starts: readonly EpochStart[]): void {
    this.#starts = [...starts];
  }

  /** Epoch of the batch that holds `offset`; -1 when unknown. */
  epochAt(offset: number): number {
    for (let i = this.#starts.length - 1; i >= 0; i--) {
      const start = this.#starts[i]!;
      if (start.startOffset <= offset) return start.epoch;
    }
    return -1;
  }

  /**
   * The largest known epoch at most `epoch`, and the exclusive end of what was written under it.
   * Null when none is that old.
   */
  endOf(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } | null {
    if (epoch < 0) return null;
    if (epoch === this.latest) return { epoch, endOffset: logEndOffset };
    if (epoch > this.latest) return null;
    for (let i = this.#starts.length - 1; i >= 0; i--) {
      const start = this.#starts[i]!;
      if (start.epoch <= epoch) {
        return { epoch: start.epoch, endOffset: this.#starts[i + 1]?.startOffset ?? logEndOffset };
      }
    }
    return { epoch, endOffset: this.#starts[0]!.startOffset };
  }

  truncateFromEnd(endOffset: number): void {
    this.#starts = this.#starts.filter((start) => start.startOffset < endOffset);
  }

  /** Records before `logStartOffset` are gone: the epoch in force there now starts there. */
  truncateFromStart(logStartOffset: number): void {
    let keep = 0;
    while (
      keep + 1 < this.#starts.length &&
      this.#starts[keep + 1]!.startOffset <= logStartOffset
    ) {
      keep++;
    }
    if (keep > 0) this.#starts = this.#starts.slice(keep);
    const first = this.#starts[0];
    if (first !== undefined && first.startOffset < logStartOffset) {
      this.#starts[0] = { epoch: first.epoch, startOffset: logStartOffset };
    }
  }
}
