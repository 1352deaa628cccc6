// A sorted map whose every change has a revision, with conditional commits and watches over a bounded
// history: what the metadata stores that live in one process have in common.
// Invariant: one `apply` is one revision, seen whole or not at all by reads and watches; a watch either
// sees every revision after its start or yields "reset". Shaped like contracts/metadata_store.ts.

import { assert } from "./assert.ts";

/** A key, its value and the revision that wrote it. The value must not be changed. */
export interface RevisionEntry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

/** A write: `value: null` deletes; `owner` names the session the entry goes with, null for none. */
export interface RevisionWrite {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly owner: string | null;
}

/** What one revision changed under a prefix. */
export interface RevisionStep {
  readonly revision: number;
  readonly puts: readonly RevisionEntry[];
  readonly deletes: readonly string[];
}

interface Row extends RevisionEntry {
  readonly owner: string | null;
}

/** How much of the past a table remembers for watches that lag. */
export interface RevisionHistoryBounds {
  readonly revisionsMax: number;
  readonly bytesMax: number;
}

/** Steps left out at once when the history is over its bound: moving an array one by one is dear. */
const HISTORY_TRIM_SHARE = 0.25;

/** A map with revisions. */
export class RevisionTable {
  readonly #rows = new Map<string, Row>();
  /** The keys of #rows in ascending order. */
  #keys: string[] = [];
  #revision = 0;
  #liveBytes = 0;
  readonly #bounds: RevisionHistoryBounds;
  /** Steps in ascending revision; all after #compactedRevision are here. */
  #history: RevisionStep[] = [];
  #historyBytes = 0;
  #compactedRevision = 0;
  /** Wake-ups of watches that have seen everything so far. */
  readonly #waiting = new Set<() => void>();
  #closedWith: Error | null = null;

  constructor(bounds: RevisionHistoryBounds) {
    this.#bounds = bounds;
  }

  /** The last revision applied; 0 before the first. */
  get revision(): number {
    return this.#revision;
  }

  /** Bytes of keys and values of all entries. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  get entryCount(): number {
    return this.#rows.size;
  }

  /** The revision that last wrote `key`; 0 when absent. */
  revisionOf(key: string): number {
    return this.#rows.get(key)?.revision ?? 0;
  }

  /** Every entry under `prefix` in ascending key order. */
  read(prefix: string): RevisionEntry[] {
    const found: RevisionEntry[] = [];
    for (let i = this.#indexOf(prefix); i < this.#keys.length; i++) {
      const key = this.#keys[i]!;
      if (!key.startsWith(prefix)) break;
      const { value, revision } = this.#rows.get(key)!;
      found.push({ key, value, revision });
    }
    return found;
  }

  /** Every entry with its owner, in ascending key order: what a snapshot holds. */
  *rows(): IterableIterator<RevisionEntry & { readonly owner: string | null }> {
    for (const key of this.#keys) yield this.#rows.get(key)!;
  }

  /** Keys that go with `owner`, or with any owner at all. */
  keysOwned(owner?: string): string[] {
    const found: string[] = [];
    for (const row of this.#rows.values()) {
      if (row.owner !== null && (owner === undefined || row.owner === owner)) found.push(row.key);
    }
    return found;
  }

  /**
   * Applies `writes` as one revision, which must be later than all before, and wakes the watches.
   * Keeps the values as they are: hand in copies.
   */
  apply(revision: number, writes: readonly RevisionWrite[]): void {
    assert(revision > this.#revision, "a revision must be later than all before");
    const puts: RevisionEntry[] = [];
    const deletes: string[] = [];
    for (const { key, value, owner } of writes) {
      if (value === null) {
        if (this.#drop(key)) deletes.push(key);
      } else {
        this.#put({ key, value, revision, owner });
        puts.push({ key, value, revision });
      }
    }
    this.#revision = revision;
    if (puts.length > 0 || deletes.length > 0) {
      const step = { revision, puts, deletes };
      this.#history.push(step);
      this.#historyBytes += stepBytesOf(step);
      this.#trimHistory();
    }
    this.#wake();
  }

  /** Puts one entry of a snapshot; only before the first `apply`, and without history. */
  restore(row: RevisionEntry & { readonly owner: string | null }): void {
    this.#put(row);
    this.#restoredTo(row.revision);
  }

  /** Says that the table is as of `revision`, of which it remembers no history. */
  restoredAt(revision: number): void {
    this.#restoredTo(revision);
  }

  /** Follows the contract of MetadataStore.watch. Ends when `signal` aborts; throws when closed. */
  async *watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncGenerator<RevisionStep | "reset", void, void> {
    let seen = revision;
    while (!signal.aborted) {
      if (this.#closedWith !== null) throw this.#closedWith;
      if (seen < this.#compactedRevision) {
        yield "reset";
        return;
      }
      const next = this.#nextAfter(seen, prefix);
      if (next === null) {
        seen = Math.max(seen, this.#revision);
        await this.#change(signal);
      } else {
        seen = next.revision;
        yield next;
      }
    }
  }

  /** Ends every watch with `error`, now and later. */
  close(error: Error): void {
    this.#closedWith = error;
    this.#wake();
  }

  /** The first step after `seen` that touches `prefix`, narrowed to it; null when there is none. */
  #nextAfter(seen: number, prefix: string): RevisionStep | null {
    let low = 0;
    let high = this.#history.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#history[middle]!.revision <= seen) low = middle + 1;
      else high = middle;
    }
    for (let i = low; i < this.#history.length; i++) {
      const step = this.#history[i]!;
      const puts = step.puts.filter((entry) => entry.key.startsWith(prefix));
      const deletes = step.deletes.filter((key) => key.startsWith(prefix));
      if (puts.length > 0 || deletes.length > 0) return { revision: step.revision, puts, deletes };
    }
    return null;
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #restoredTo(revision: number): void {
    if (revision > this.#revision) this.#revision = revision;
    this.#compactedRevision = this.#revision;
    this.#history = [];
    this.#historyBytes = 0;
  }

  #put(row: Row): void {
    const older = this.#rows.get(row.key);
    if (older === undefined) {
      this.#keys.splice(this.#indexOf(row.key), 0, row.key);
      this.#liveBytes += row.key.length;
    } else {
      this.#liveBytes -= older.value.byteLength;
    }
    this.#liveBytes += row.value.byteLength;
    this.#rows.set(row.key, row);
  }

  #drop(key: string): boolean {
    const row = this.#rows.get(key);
    if (row === undefined) return false;
    this.#rows.delete(key);
    this.#keys.splice(this.#indexOf(key), 1);
    this.#liveBytes -= key.length + row.value.byteLength;
    return true;
  }

  /** Where `key` is in #keys, or where it would be. */
  #indexOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #trimHistory(): void {
    const { revisionsMax, bytesMax } = this.#bounds;
    if (this.#history.length <= revisionsMax && this.#historyBytes <= bytesMax) return;
    const keptBytesMax = bytesMax * (1 - HISTORY_TRIM_SHARE);
    const keptMax = Math.floor(revisionsMax * (1 - HISTORY_TRIM_SHARE));
    let dropped = 0;
    while (
      dropped < this.#history.length &&
      (this.#history.length - dropped > keptMax || this.#historyBytes > keptBytesMax)
    ) {
      const step = this.#history[dropped++]!;
      this.#historyBytes -= stepBytesOf(step);
      this.#compactedRevision = step.revision;
    }
    this.#history.splice(0, dropped);
  }
}

function stepBytesOf(step: RevisionStep): number {
  let sizeBytes = 0;
  for (const entry of step.puts) sizeBytes += entry.key.length + entry.value.byteLength;
  for (const key of step.deletes) sizeBytes += key.length;
  return sizeBytes;
}
