// Memory of requests that are still arriving, apart from the budget of those in progress: a peer that
// begins a large request and stalls must not keep whole requests of others from being served.
// Invariant: at most limitBytes are held, and one frame beyond them: so some frame can always finish.
// Kafka: SimpleMemoryPool, which lets one allocation overdraw it as well.

/** Who holds memory: the reader of one connection, with at most one frame at a time. */
export type ArrivalHolder = object;

interface Waiting {
  readonly sizeBytes: number;
  readonly holder: ArrivalHolder;
  readonly admit: () => void;
}

export class ArrivalMemory {
  readonly #limitBytes: number;
  readonly #line: Waiting[] = [];
  #heldBytes = 0;
  /** The one holder that may go beyond the limit, until its frame is done. */
  #overdrawn: ArrivalHolder | null = null;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** True while somebody waits: whoever holds memory and dawdles is in the way. */
  get isContended(): boolean {
    return this.#line.length > 0;
  }

  /** Takes at once where there is room, or where nobody else overdraws. */
  tryTake(sizeBytes: number, holder: ArrivalHolder): boolean {
    const hasRoom = this.#line.length === 0 && this.#heldBytes + sizeBytes <= this.#limitBytes;
    if (!hasRoom && this.#overdrawn !== holder) {
      if (this.#overdrawn !== null) return false;
      this.#overdrawn = holder;
    }
    this.#heldBytes += sizeBytes;
    return true;
  }

  /** Resolves when the bytes are taken, first come first served. */
  async take(sizeBytes: number, holder: ArrivalHolder): Promise<void> {
    if (this.tryTake(sizeBytes, holder)) return;
    await new Promise<void>((admit) => this.#line.push({ sizeBytes, holder, admit }));
  }

  /** Gives back all that `holder` took: its frame is whole and counted elsewhere, or dropped. */
  give(sizeBytes: number, holder: ArrivalHolder): void {
    this.#heldBytes -= sizeBytes;
    if (this.#overdrawn === holder) this.#overdrawn = null;
    while (this.#line.length > 0) {
      const next = this.#line[0]!;
      if (this.#heldBytes + next.sizeBytes > this.#limitBytes) {
        if (this.#overdrawn !== null) return;
        this.#overdrawn = next.holder;
      }
      this.#line.shift();
      this.#heldBytes += next.sizeBytes;
      next.admit();
    }
  }
}
