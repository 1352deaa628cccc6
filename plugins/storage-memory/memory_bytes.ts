// A growing byte sequence in pages, so that appending never copies what is there already.
// Invariant: every page but the last is full; a page is PAGE_BYTES long, the first one smaller while
// it is the only one, so that a small file costs little.

const PAGE_BYTES = 64 * 1024;
const FIRST_PAGE_BYTES = 512;

/** Bytes that grow at the end and are cut there. */
export class MemoryBytes {
  readonly #pages: Uint8Array<ArrayBuffer>[] = [];
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Copies `chunk` to the end. */
  append(chunk: Uint8Array): void {
    let taken = 0;
    while (taken < chunk.byteLength) {
      const index = Math.floor(this.#sizeBytes / PAGE_BYTES);
      const at = this.#sizeBytes % PAGE_BYTES;
      const page = this.#pageFor(index, at, chunk.byteLength - taken);
      const length = Math.min(page.byteLength - at, chunk.byteLength - taken);
      page.set(chunk.subarray(taken, taken + length), at);
      taken += length;
      this.#sizeBytes += length;
    }
  }

  /** Fills `target` from `position`; the count of bytes, fewer than asked only at the end. */
  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.byteLength, this.#sizeBytes - position));
    let filled = 0;
    while (filled < length) {
      const page = this.#pages[Math.floor((position + filled) / PAGE_BYTES)]!;
      const at = (position + filled) % PAGE_BYTES;
      const part = page.subarray(at, Math.min(page.byteLength, at + length - filled));
      target.set(part, filled);
      filled += part.byteLength;
    }
    return filled;
  }

  /** Drops everything from `sizeBytes` on; it must not be beyond the end. */
  cut(sizeBytes: number): void {
    this.#sizeBytes = sizeBytes;
    this.#pages.length = Math.ceil(sizeBytes / PAGE_BYTES);
  }

  #pageFor(index: number, usedBytes: number, wantedBytes: number): Uint8Array<ArrayBuffer> {
    let page = this.#pages[index];
    if (page === undefined) {
      page = new Uint8Array(index === 0 ? FIRST_PAGE_BYTES : PAGE_BYTES);
      this.#pages.push(page);
    }
    if (page.byteLength < PAGE_BYTES && page.byteLength < usedBytes + wantedBytes) {
      let sizeBytes = page.byteLength;
      while (sizeBytes < PAGE_BYTES && sizeBytes < usedBytes + wantedBytes) sizeBytes *= 2;
      const larger = new Uint8Array(sizeBytes);
      larger.set(page);
      this.#pages[index] = larger;
      page = larger;
    }
    return page;
  }
}
