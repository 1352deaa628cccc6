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

/**
 * For answers that are about to be made, or were and were not yet taken by the host. Nothing is read without room for
 * what it may become: it is the bound on all connections together.
 */
export class ReplyMemory {
  readonly #limitBytes: number;
  /** Who waits for room, first come first served: waking all for each answer would cost more than the answers. */
  readonly #line = new Set<() => void>();
  /** Made, and about to be. */
  #madeBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Whether answers are used up, so that whoever does not read them has to go. */
  get isScarce(): boolean {
    return this.#madeBytes >= this.#limitBytes || this.#line.size > 0;
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
    if (sizeBytes > 0) this.wakeNext();
  }

  /** Has `wake` called once, when it is its turn to look for room. */
  enter(wake: () => void): void {
    this.#line.add(wake);
  }

  leave(wake: () => void): void {
    this.#line.delete(wake);
  }

  /** For whoever was woken and took room, or needs none any more: there may be some for the next one. */
  wakeNext(): void {
    for (const wake of this.#line) {
      this.#line.delete(wake);
      wake();
      return;
    }
  }
}

/** From this size on, memory is freed by hand: the collector does not know how much hangs on a small object. */
const FREED_BYTES_MIN = 16 * 1024;

/** Frees the memory under bytes that nobody looks at any more. They must be all that is in it. */
export function freeBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer.byteLength < FREED_BYTES_MIN) return;
  // Node 20 has to wait for the collector.
  (buffer as ArrayBuffer).transfer?.(0);
}
