// Many small byte strings in a few large pages, each with the number of its owner, so that a million of them
// cost no object each and what they take is known to the byte.
// Invariant: the owner's address is the only reference to a string; what was freed is overtaken by moving what is
// left of a page elsewhere, so pages hold at most about twice what lives in them.
// Kafka: none (its stores are RocksDB's).

/** Owners' addresses, read and written when strings move. */
export interface Owners {
  /** Of the owner's string in this arena; NOWHERE for none. */
  addressOf(owner: number): number;
  moved(owner: number, address: number): void;
}

/** The address of nothing. */
export const NOWHERE = 0xffff_ffff;

const UNIT_BYTES = 4;
const PAGE_BYTES_MIN = 4 * 1024;
/** What 16 bits of units can name. */
const PAGE_BYTES_MAX = 256 * 1024;
/** Owner and length. */
const HEADER_BYTES = 8;
const PAGES_MAX = 0xffff;

interface Page {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the next string goes. */
  end: number;
  /** Of strings that are somebody's. */
  liveBytes: number;
}

export class ByteArena {
  readonly #owners: Owners;
  /** By id; an id is used again once its page is gone. */
  readonly #pages: (Page | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** Oldest first. */
  readonly #order = new Set<Page>();
  #current: Page | null = null;
  #isTidying = false;
  /** What the pages take, in bytes. */
  sizeBytes = 0;
  /** Of it, strings that are somebody's, with their headers. */
  liveBytes = 0;

  constructor(owners: Owners) {
    this.#owners = owners;
  }

  /** Copies `bytes[start, end)` in. @returns its address, which is the owner's to keep */
  add(owner: number, bytes: Uint8Array, start: number, end: number): number {
    const itemBytes = itemBytesOf(end - start);
    let page = this.#current;
    if (page === null || page.end + itemBytes > page.bytes.length) page = this.#newPage(itemBytes);
    const at = page.end;
    page.view.setUint32(at, owner, true);
    page.view.setUint32(at + 4, end - start, true);
    copy(bytes, start, end, page.bytes, at + HEADER_BYTES);
    page.end += itemBytes;
    page.liveBytes += itemBytes;
    this.liveBytes += itemBytes;
    return ((page.id << 16) | (at / UNIT_BYTES)) >>> 0;
  }

  /** The owner's address must name something else by the time anything is added. */
  free(address: number): void {
    const page = this.#pages[address >>> 16]!;
    const at = (address & 0xffff) * UNIT_BYTES;
    const itemBytes = itemBytesOf(page.view.getUint32(at + 4, true));
    page.liveBytes -= itemBytes;
    this.liveBytes -= itemBytes;
    if (page.liveBytes === 0 && page !== this.#current) this.#drop(page);
  }

  /** A view, good until something is added. */
  get(address: number): Uint8Array {
    const page = this.#pages[address >>> 16]!;
    const at = (address & 0xffff) * UNIT_BYTES;
    const start = at + HEADER_BYTES;
    return page.bytes.subarray(start, start + page.view.getUint32(at + 4, true));
  }

  /** Whether the string is `bytes[start, end)`. */
  equals(address: number, bytes: Uint8Array, start: number, end: number): boolean {
    const page = this.#pages[address >>> 16]!;
    const at = (address & 0xffff) * UNIT_BYTES;
    const length = end - start;
    if (page.view.getUint32(at + 4, true) !== length) return false;
    const own = page.bytes;
    const ownAt = at + HEADER_BYTES;
    for (let i = 0; i < length; i++) if (own[ownAt + i] !== bytes[start + i]) return false;
    return true;
  }

  /** Below zero, zero or above as the string comes before `bytes`, is it, or comes behind it. */
  compare(address: number, bytes: Uint8Array): number {
    const page = this.#pages[address >>> 16]!;
    const at = (address & 0xffff) * UNIT_BYTES;
    const length = page.view.getUint32(at + 4, true);
    const own = page.bytes;
    const ownAt = at + HEADER_BYTES;
    const both = Math.min(length, bytes.length);
    for (let i = 0; i < both; i++) {
      const difference = own[ownAt + i]! - bytes[i]!;
      if (difference !== 0) return difference;
    }
    return length - bytes.length;
  }

  /** As `compare`, of two that are here. */
  compareBoth(left: number, right: number): number {
    const a = this.#pages[left >>> 16]!;
    const b = this.#pages[right >>> 16]!;
    const leftAt = (left & 0xffff) * UNIT_BYTES + HEADER_BYTES;
    const rightAt = (right & 0xffff) * UNIT_BYTES + HEADER_BYTES;
    const leftLength = a.view.getUint32(leftAt - 4, true);
    const rightLength = b.view.getUint32(rightAt - 4, true);
    const both = Math.min(leftLength, rightLength);
    for (let i = 0; i < both; i++) {
      const difference = a.bytes[leftAt + i]! - b.bytes[rightAt + i]!;
      if (difference !== 0) return difference;
    }
    return leftLength - rightLength;
  }

  /** Moves what is left of the emptiest pages, until what was freed is a third of the whole at most. */
  #tidy(): void {
    while (this.sizeBytes > 1.5 * this.liveBytes + 2 * PAGE_BYTES_MAX) {
      let emptiest: Page | null = null;
      let share = 1;
      for (const page of this.#order) {
        const own = page.liveBytes / page.bytes.length;
        if (page === this.#current || own >= share) continue;
        emptiest = page;
        share = own;
      }
      if (emptiest === null) return;
      const page = emptiest;
      this.#each(page, (owner, start, end) => {
        const address = this.add(owner, page.bytes, start, end);
        this.#owners.moved(owner, address);
      });
      this.liveBytes -= page.liveBytes;
      this.#drop(page);
    }
  }

  /**
   * Gives the oldest page up, with all that is in it. Owners are told that their strings are nowhere.
   *
   * @returns how many lived there; -1 when there is no page left
   */
  dropOldest(): number {
    for (const page of this.#order) {
      let count = 0;
      this.#each(page, (owner) => {
        count++;
        this.#owners.moved(owner, NOWHERE);
      });
      this.liveBytes -= page.liveBytes;
      if (page === this.#current) this.#current = null;
      this.#drop(page);
      return count;
    }
    return -1;
  }

  #each(page: Page, visit: (owner: number, start: number, end: number) => void): void {
    for (let at = 0; at < page.end; ) {
      const owner = page.view.getUint32(at, true);
      const length = page.view.getUint32(at + 4, true);
      const address = ((page.id << 16) | (at / UNIT_BYTES)) >>> 0;
      const start = at + HEADER_BYTES;
      if (this.#owners.addressOf(owner) === address) visit(owner, start, start + length);
      at += itemBytesOf(length);
    }
  }

  #newPage(bytesMin: number): Page {
    // Before there is a new one, which may be made to measure: what is moved must not take its room.
    if (!this.#isTidying) {
      this.#isTidying = true;
      this.#tidy();
      this.#isTidying = false;
      const current = this.#current as Page | null;
      if (current !== null && current.end + bytesMin <= current.bytes.length) return current;
    }
    const before = this.#current;
    const id = this.#freeIds.pop() ?? this.#pages.length;
    if (id > PAGES_MAX - 1) throw new RangeError("The table is too large: 16 GiB");
    // A small table takes little: pages grow with what there is.
    const grown = Math.min(Math.max(this.sizeBytes, PAGE_BYTES_MIN), PAGE_BYTES_MAX);
    const bytes = new Uint8Array(Math.max(grown, bytesMin));
    const view = new DataView(bytes.buffer);
    const page: Page = { id, bytes, view, end: 0, liveBytes: 0 };
    this.#pages[id] = page;
    this.#order.add(page);
    this.#current = page;
    this.sizeBytes += bytes.length;
    if (before !== null && before.liveBytes === 0) this.#drop(before);
    return page;
  }

  #drop(page: Page): void {
    this.#pages[page.id] = undefined;
    this.#freeIds.push(page.id);
    this.#order.delete(page);
    this.sizeBytes -= page.bytes.length;
  }
}

function itemBytesOf(length: number): number {
  return HEADER_BYTES + Math.ceil(length / UNIT_BYTES) * UNIT_BYTES;
}

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  // Short ones, which most are, are quicker by hand than by a view and a call.
  if (end - start > 64) to.set(from.subarray(start, end), at);
  else for (let i = start; i < end; i++) to[at++] = from[i]!;
}
