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

/**
 * For answers that were made, or are about to be, and were not yet taken by the host. Grants only shrink: a parked
 * fetch must not hold up others. What was read is admitted, or thrown away again until others have read theirs.
 */
export class ReplyMemory {
  readonly #limitBytes: number;
  readonly #waiting = new Set<() => void>();
  /** Made and granted. */
  heldBytes = 0;
  /** Made alone. */
  #madeBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** How much of `wantedBytes` the next answer may have, where `heldBytes` are held of `limitBytes` of its own. */
  grant(wantedBytes: number, heldBytes: number, limitBytes: number): number {
    const roomBytes = Math.min(limitBytes - heldBytes, this.#limitBytes - this.heldBytes);
    return Math.min(wantedBytes, Math.max(SCARCE_BYTES, roomBytes));
  }

  /** Whether answers are used up, so that whoever does not read them has to go. */
  get isScarce(): boolean {
    return this.#madeBytes >= this.#limitBytes;
  }

  /** Whether an answer may be made; the only one of a connection may go beyond the limit, up to its double. */
  hasRoom(sizeBytes: number, isOnly: boolean): boolean {
    if (this.#madeBytes === 0) return true;
    return this.#madeBytes + sizeBytes <= (isOnly ? 2 : 1) * this.#limitBytes;
  }

  made(sizeBytes: number): void {
    this.#madeBytes += sizeBytes;
  }

  sent(sizeBytes: number): void {
    this.#madeBytes -= sizeBytes;
    if (sizeBytes === 0 || this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once, after the next answer was sent, whoever's. */
  whenSent(wake: () => void): void {
    this.#waiting.add(wake);
  }
}
