// A disk behind a page cache: what a running system reads, what would be there after a power loss, and
// every state between the two that a power loss may leave.
// What it may do to bytes and names that were not synced: keep each 512-byte sector, drop it (what was
// there before, or zeros, comes back), or tear it; keep or drop each created, renamed or removed name;
// leave the file shorter, or longer than its data. What it may never do: touch what was synced.

import type { SeededRandom } from "../../base/prng.ts";

const SECTOR_BYTES = 512;

interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export class SimFile {
  /** As the running system reads it. */
  cache = new Uint8Array(4096);
  cacheBytes = 0;
  /** As the platters have it. Zeros beyond `durableBytes`. */
  durable = new Uint8Array(0);
  durableBytes = 0;
  /** Written and not synced. */
  dirty: ByteRange[] = [];
  /** A sync of these failed: the system takes them for clean, and they are not on the platters. */
  poisoned: ByteRange[] = [];
  isNameSynced = false;
  readonly #syncing = new Set<readonly ByteRange[]>();
  /** Synced sizes after the last syncs, oldest first: what later entries can vouch for. */
  readonly syncedSizes: number[] = [];
  /** End of what was written and synced since the file was made or recycled. */
  #syncedEnd = 0;

  /** Taken into use again from its start, with its old bytes in place. */
  recycled(): void {
    this.syncedSizes.length = 0;
    this.#syncedEnd = 0;
  }

  write(position: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.cache = grown(this.cache, end);
    this.cache.set(bytes, position);
    this.cacheBytes = Math.max(this.cacheBytes, end);
    this.dirty.push({ start: position, end });
  }

  /** Takes what is dirty into a sync that begins now, and what others that still run took before. */
  beginSync(): readonly ByteRange[] {
    const ranges = this.dirty;
    this.dirty = [];
    const all = [...ranges];
    for (const running of this.#syncing) all.push(...running);
    this.#syncing.add(all);
    return all;
  }

  /** What another sync failed to write meanwhile stays unwritten, and this one does not say so. */
  syncSucceeded(ranges: readonly ByteRange[]): void {
    this.#syncing.delete(ranges);
    for (const range of ranges) {
      const { start, end } = range;
      const last = Math.min(end, this.cacheBytes);
      if (last <= start || this.poisoned.includes(range)) continue;
      this.durable = grown(this.durable, last);
      this.durable.set(this.cache.subarray(start, last), start);
      this.durableBytes = Math.max(this.durableBytes, last);
      this.#syncedEnd = Math.max(this.#syncedEnd, last);
    }
    this.syncedSizes.push(this.#syncedEnd);
    if (this.syncedSizes.length > 4) this.syncedSizes.shift();
  }

  /** The ranges are as unsynced as before: the sync never ended, or it lied. */
  syncForgotten(ranges: readonly ByteRange[]): void {
    this.#syncing.delete(ranges);
    this.dirty = [...ranges, ...this.dirty];
  }

  syncFailed(ranges: readonly ByteRange[]): void {
    this.#syncing.delete(ranges);
    this.poisoned.push(...ranges);
  }

  cut(sizeBytes: number): void {
    this.cache.fill(0, sizeBytes, this.cacheBytes);
    this.cacheBytes = Math.min(this.cacheBytes, sizeBytes);
    this.durable.fill(0, Math.min(sizeBytes, this.durableBytes), this.durableBytes);
    this.durableBytes = Math.min(this.durableBytes, sizeBytes);
    this.#syncedEnd = Math.min(this.#syncedEnd, sizeBytes);
    this.dirty = clipped(this.dirty, sizeBytes);
    this.poisoned = clipped(this.poisoned, sizeBytes);
  }

  /** Pages whose write failed are evicted sooner or later: what is read then is what is on the platters. */
  evictPoisoned(random: SeededRandom, keepPercent: number): void {
    if (this.poisoned.length === 0) return;
    const ranges = this.poisoned;
    this.poisoned = [];
    this.#settle(ranges, random, keepPercent);
    this.syncSucceeded(ranges);
  }

  losePower(random: SeededRandom, keepPercent: number): void {
    const unsafe = [...this.dirty, ...this.poisoned];
    this.dirty = [];
    this.poisoned = [];
    if (unsafe.length === 0) return;
    this.#settle(unsafe, random, keepPercent);
    // The size is written on its own: it may be that of before, of now, or of somewhere between.
    const choice = random.below(4);
    let sizeBytes = this.cacheBytes;
    const grownBytes = this.cacheBytes - this.durableBytes;
    if (choice === 0) sizeBytes = this.durableBytes;
    else if (choice === 1 && grownBytes > 0)
      sizeBytes = this.durableBytes + random.below(grownBytes);
    sizeBytes = Math.max(sizeBytes, this.durableBytes);
    this.cache.fill(0, sizeBytes, this.cacheBytes);
    this.cacheBytes = sizeBytes;
    this.durable = this.cache.slice(0, sizeBytes);
    this.durableBytes = sizeBytes;
  }

  flipBit(position: number, bit: number): void {
    this.cache[position]! ^= 1 << bit;
    if (position < this.durableBytes) this.durable[position]! ^= 1 << bit;
  }

  /** Gives every sector of the ranges, in the cache, its fate. */
  #settle(ranges: readonly ByteRange[], random: SeededRandom, keepPercent: number): void {
    const settled = new Set<number>();
    for (const { start, end } of ranges) {
      const last = Math.min(end, this.cacheBytes);
      for (let sector = Math.floor(start / SECTOR_BYTES); sector * SECTOR_BYTES < last; sector++) {
        if (settled.has(sector)) continue;
        settled.add(sector);
        if (random.below(100) < keepPercent) continue;
        const from = sector * SECTOR_BYTES;
        const to = Math.min(from + SECTOR_BYTES, this.cacheBytes);
        // Torn: some of its bytes are the new ones. Dropped: none.
        const keptBytes = random.below(2) === 0 ? 0 : random.below(SECTOR_BYTES);
        const isFrontKept = random.below(2) === 0;
        const goneFrom = isFrontKept ? Math.min(from + keptBytes, to) : from;
        const goneTo = isFrontKept ? to : Math.max(to - keptBytes, from);
        this.#restore(ranges, goneFrom, goneTo);
      }
    }
  }

  /** Bytes of [from, to) that are in one of the ranges become what the platters have. */
  #restore(ranges: readonly ByteRange[], from: number, to: number): void {
    for (const { start, end } of ranges) {
      const first = Math.max(start, from);
      const last = Math.min(end, to, this.cacheBytes);
      for (let at = first; at < last; at++) {
        this.cache[at] = at < this.durableBytes ? this.durable[at]! : 0;
      }
    }
  }
}

/** A change of names that a power loss may undo. */
interface NameChange {
  /** Makes the change on the platters. */
  readonly apply: (names: Map<string, SimFile>) => void;
}

export class SimDisk {
  readonly names = new Map<string, SimFile>();
  #durableNames = new Map<string, SimFile>();
  #changes: NameChange[] = [];

  create(name: string): SimFile {
    const file = new SimFile();
    this.names.set(name, file);
    this.#changes.push({ apply: (names) => names.set(name, file) });
    return file;
  }

  remove(name: string): void {
    this.names.delete(name);
    this.#changes.push({ apply: (names) => names.delete(name) });
  }

  rename(from: string, to: string): SimFile {
    const file = this.names.get(from)!;
    // Whoever crashes before the folder is synced, and finds it by its new name, syncs that again.
    file.isNameSynced = false;
    this.names.delete(from);
    this.names.set(to, file);
    this.#changes.push({
      apply: (names) => {
        names.delete(from);
        names.set(to, file);
      },
    });
    return file;
  }

  /** Directory entries are synced: every change so far stays. */
  syncNames(): void {
    for (const change of this.#changes) change.apply(this.#durableNames);
    this.#changes = [];
    for (const file of this.names.values()) file.isNameSynced = true;
  }

  /** After a kill: the cache survives, but for pages whose write had failed. */
  processDied(random: SeededRandom, keepPercent: number): void {
    for (const file of this.names.values()) file.evictPoisoned(random, keepPercent);
  }

  /** @param keepPercent How likely each unsynced sector, and each change of names, survives. */
  losePower(random: SeededRandom, keepPercent: number): void {
    for (const change of this.#changes) {
      if (random.below(100) < keepPercent) change.apply(this.#durableNames);
    }
    this.#changes = [];
    this.names.clear();
    const sorted = [...this.#durableNames].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, file] of sorted) this.names.set(name, file);
    this.#durableNames = new Map(this.names);
    for (const file of this.names.values()) {
      file.isNameSynced = true;
      file.losePower(random, keepPercent);
    }
  }

  /**
   * Flips one bit of what was synced long enough ago that something synced later vouches for it.
   *
   * @returns What was hit; null when there is nothing old enough.
   */
  flipBit(random: SeededRandom): { readonly name: string; readonly position: number } | null {
    const candidates = [...this.names].filter(
      ([, file]) =>
        file.syncedSizes.length === 4 && Math.min(file.syncedSizes[0]!, file.cacheBytes) > 64,
    );
    if (candidates.length === 0) return null;
    const [name, file] = candidates[random.below(candidates.length)]!;
    const position = 64 + random.below(Math.min(file.syncedSizes[0]!, file.cacheBytes) - 64);
    file.flipBit(position, random.below(8));
    return { name, position };
  }
}

function clipped(ranges: readonly ByteRange[], end: number): ByteRange[] {
  return ranges
    .map((range) => ({ start: range.start, end: Math.min(range.end, end) }))
    .filter((range) => range.start < range.end);
}

function grown(bytes: Uint8Array<ArrayBuffer>, sizeBytes: number): Uint8Array<ArrayBuffer> {
  if (sizeBytes <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(sizeBytes, bytes.length * 2));
  larger.set(bytes);
  return larger;
}
