// One bound on request bytes in flight over all transports (decision 13). Over it, readers wait in
// line. A lone request larger than the whole budget is let through, or it would wait for ever.

import type { MemoryBudget } from "../../contracts/transport.ts";

export class RequestMemory implements MemoryBudget {
  readonly sizeBytesMax: number;
  #heldBytes = 0;
  readonly #line: { readonly sizeBytes: number; readonly admit: () => void }[] = [];

  constructor(sizeBytesMax: number) {
    this.sizeBytesMax = sizeBytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  tryTake(sizeBytes: number): boolean {
    if (this.#line.length > 0 || !this.#hasRoom(sizeBytes)) return false;
    this.#heldBytes += sizeBytes;
    return true;
  }

  async take(sizeBytes: number): Promise<void> {
    if (this.tryTake(sizeBytes)) return;
    await new Promise<void>((admit) => this.#line.push({ sizeBytes, admit }));
  }

  give(sizeBytes: number): void {
    this.#heldBytes -= sizeBytes;
    while (this.#line.length > 0 && this.#hasRoom(this.#line[0]!.sizeBytes)) {
      const next = this.#line.shift()!;
      this.#heldBytes += next.sizeBytes;
      next.admit();
    }
  }

  #hasRoom(sizeBytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + sizeBytes <= this.sizeBytesMax;
  }
}
