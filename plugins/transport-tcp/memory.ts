// Memory that connections share: of frames that are still arriving, and of answers that wait to be read.
// Invariant: arriving frames hold at most the limit and one frame beyond it, so some frame can always
// finish; what is held is given back once.

interface Waiting {
  readonly sizeBytes: number;
  readonly holder: object;
  readonly admit: () => void;
}

/** For frames that have begun to arrive; whole ones are held by the broker's request memory. */
export class ArrivalMemory {
  readonly #limitBytes: number;
  readonly #line: Waiting[] = [];
  #heldBytes = 0;
  /** The one that may go beyond the limit until its frame is done. */
  #overdrawn: object | null = null;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Resolves when the bytes are taken, first come first served. */
  async take(sizeBytes: number, holder: object): Promise<void> {
    const isFirst = this.#line.length === 0;
    if (this.#overdrawn === holder || (isFirst && this.#mayTake(sizeBytes, holder))) {
      this.#heldBytes += sizeBytes;
      return;
    }
    await new Promise<void>((admit) => this.#line.push({ sizeBytes, holder, admit }));
  }

  /** Gives back all that `holder` took. */
  give(sizeBytes: number, holder: object): void {
    this.#heldBytes -= sizeBytes;
    if (this.#overdrawn === holder) this.#overdrawn = null;
    while (this.#line.length > 0) {
      const next = this.#line[0]!;
      if (!this.#mayTake(next.sizeBytes, next.holder)) return;
      this.#line.shift();
      this.#heldBytes += next.sizeBytes;
      next.admit();
    }
  }

  #mayTake(sizeBytes: number, holder: object): boolean {
    if (this.#heldBytes + sizeBytes <= this.#limitBytes) return true;
    if (this.#overdrawn !== null) return false;
    this.#overdrawn = holder;
    return true;
  }
}

/** What a fetch gets where answers hold all there is: a small batch. */
const SCARCE_BYTES = 64 * 1024;

/** For answers that were made, or are about to be, and were not yet taken by the host. Never refuses, only shrinks. */
export class ReplyMemory {
  readonly #limitBytes: number;
  heldBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** How much of `wantedBytes` the next answer may have, where `heldBytes` are held of `limitBytes` of its own. */
  grant(wantedBytes: number, heldBytes: number, limitBytes: number): number {
    const roomBytes = Math.min(limitBytes - heldBytes, this.#limitBytes - this.heldBytes);
    return Math.min(wantedBytes, Math.max(SCARCE_BYTES, roomBytes));
  }
}
