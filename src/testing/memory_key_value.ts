// A KeyValueStore in memory that remembers every commit and sync, can fail at any of them, and can be
// rebuilt as a power loss at any point may leave it. Invariant: commits survive in order and whole, so the
// legal states at a point are the first N commits, from those synced by then to those done by then.

import { assert } from "../base/assert.ts";
import type { SeededRandom } from "../base/prng.ts";
import { StorageError } from "../contracts/errors.ts";
import type {
  KeyValueBounds,
  KeyValueCheck,
  KeyValueEntry,
  KeyValueOperation,
  KeyValueRange,
  KeyValueStore,
} from "../contracts/key_value.ts";

/** What memoryKeyValue takes. */
export interface MemoryKeyValueOptions {
  /** Default: none that matter. */
  readonly bounds?: KeyValueBounds;
  /** Answer by promise, a turn later, also where the answer is there. Default false. */
  readonly answersLater?: boolean;
  /**
   * Called before each commit and sync, with how many of its kind there were before. "fail" and "full" throw
   * and do nothing; "fail_after" does it and throws all the same, as a store does whose answer is lost; "skip"
   * reports success and does nothing.
   */
  readonly onCall?: (call: "commit" | "sync", index: number) => KeyValueFault | undefined;
}

/** What a call does instead of its work. */
export type KeyValueFault = "fail" | "full" | "fail_after" | "skip";

/** What is there after a power loss: as little as may be, all, or as much as a draw says. */
export type SurvivingCommits = "nothing" | "everything" | SeededRandom;

/** The memory under any number of openings, one after the other or at once. */
export interface MemoryKeyValue {
  /** Another opening of the same memory: for the `open` of storageKv and metadataKv. */
  readonly open: () => KeyValueStore;
  /** How many commits and syncs there were: each is a point at which the power can go. */
  points(): number;
  /** A memory as a power loss may leave it that came when `point` of the calls had been done. */
  rebuild(point: number, survivors: SurvivingCommits): MemoryKeyValue;
  /** Every key with its value, in order. */
  entries(): readonly KeyValueEntry[];
}

/** A commit that was done, or a sync and how many commits were done when it began. */
type Event =
  | { readonly kind: "commit"; readonly operations: readonly KeyValueOperation[] }
  | { readonly kind: "sync"; readonly commitCount: number };

const NO_BOUNDS: KeyValueBounds = {
  valueBytesMax: 2 ** 31,
  operationsMax: 2 ** 31,
  commitBytesMax: 2 ** 31,
};
/** ASCII without control characters. */
const KEY = /^[\x20-\x7e]{1,512}$/;

/** A key-value store for tests and simulations. */
export function memoryKeyValue(options: MemoryKeyValueOptions = {}): MemoryKeyValue {
  return new Memory(options, []);
}

class Memory implements MemoryKeyValue {
  readonly options: MemoryKeyValueOptions;
  readonly #values = new Map<string, Uint8Array>();
  /** The keys of #values in ascending order. */
  readonly #keys: string[] = [];
  /** What was there before the first event. */
  readonly #before: readonly KeyValueEntry[];
  readonly #events: Event[] = [];
  readonly #calls = { commit: 0, sync: 0 };
  #commitCount = 0;

  constructor(options: MemoryKeyValueOptions, before: readonly KeyValueEntry[]) {
    this.options = options;
    this.#before = before;
    for (const { key, value } of before) this.#put(key, value);
  }

  readonly open = (): KeyValueStore => new MemoryOpening(this);

  points(): number {
    return this.#events.length;
  }

  get commitCount(): number {
    return this.#commitCount;
  }

  rebuild(point: number, survivors: SurvivingCommits): MemoryKeyValue {
    const done = this.#events.slice(0, point);
    const commits = done.filter((event) => event.kind === "commit");
    let synced = 0;
    for (const event of done) {
      if (event.kind === "sync") synced = Math.max(synced, event.commitCount);
    }
    const count =
      survivors === "nothing"
        ? synced
        : survivors === "everything"
          ? commits.length
          : synced + survivors.below(commits.length - synced + 1);
    const { onCall: _, ...options } = this.options;
    const state = new Memory(options, this.#before);
    for (const { operations } of commits.slice(0, count)) state.apply(operations);
    return new Memory(options, state.entries());
  }

  entries(): readonly KeyValueEntry[] {
    return this.#keys.map((key) => ({ key, value: this.#values.get(key)! }));
  }

  /** What the call shall do instead of its work. */
  fault(call: "commit" | "sync"): KeyValueFault | undefined {
    return this.options.onCall?.(call, this.#calls[call]++);
  }

  get(key: string): Uint8Array | null {
    return this.#values.get(key) ?? null;
  }

  /** Keys of a range in the order asked for. */
  keysIn({ from, to, limit, reverse }: KeyValueRange): string[] {
    const start = this.#indexOf(from);
    const end = Math.max(start, this.#indexOf(to));
    if (reverse !== true) return this.#keys.slice(start, Math.min(end, start + limit));
    return this.#keys.slice(Math.max(start, end - limit), end).reverse();
  }

  apply(operations: readonly KeyValueOperation[]): void {
    for (const operation of operations) {
      if (operation.kind === "put") this.#put(operation.key, operation.value);
      else if (operation.kind === "remove")
        this.#removeBetween(operation.key, `${operation.key}\0`);
      else this.#removeBetween(operation.from, operation.to);
    }
  }

  recordCommit(operations: readonly KeyValueOperation[]): void {
    this.#events.push({ kind: "commit", operations });
    this.#commitCount++;
  }

  recordSync(commitCount: number): void {
    this.#events.push({ kind: "sync", commitCount });
  }

  #put(key: string, value: Uint8Array): void {
    if (!this.#values.has(key)) this.#keys.splice(this.#indexOf(key), 0, key);
    this.#values.set(key, value);
  }

  #removeBetween(from: string, to: string): void {
    const start = this.#indexOf(from);
    const count = Math.max(0, this.#indexOf(to) - start);
    for (const key of this.#keys.splice(start, count)) this.#values.delete(key);
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
}

class MemoryOpening implements KeyValueStore {
  readonly bounds: KeyValueBounds;
  readonly #memory: Memory;
  #failure: StorageError | null = null;
  #isClosed = false;

  constructor(memory: Memory) {
    this.#memory = memory;
    this.bounds = memory.options.bounds ?? NO_BOUNDS;
  }

  get(key: string): Uint8Array | null | Promise<Uint8Array | null> {
    this.#mustBeOpen();
    return this.#answer(this.#memory.get(key)?.slice() ?? null);
  }

  list(range: KeyValueRange): readonly KeyValueEntry[] | Promise<readonly KeyValueEntry[]> {
    this.#mustBeOpen();
    const keys = this.#memory.keysIn(range);
    return this.#answer(keys.map((key) => ({ key, value: this.#memory.get(key)!.slice() })));
  }

  listSizes(
    range: KeyValueRange,
  ):
    | readonly { key: string; sizeBytes: number }[]
    | Promise<readonly { key: string; sizeBytes: number }[]> {
    this.#mustBeOpen();
    const keys = this.#memory.keysIn(range);
    return this.#answer(keys.map((key) => ({ key, sizeBytes: this.#memory.get(key)!.byteLength })));
  }

  commit(
    operations: readonly KeyValueOperation[],
    checks: readonly KeyValueCheck[] = [],
  ): boolean | Promise<boolean> {
    this.#mustTakeCommits();
    checkBounds(operations, this.bounds);
    if (this.#memory.options.answersLater !== true) return this.#commit(operations, checks);
    return Promise.resolve().then(() => this.#commit(operations, checks));
  }

  async sync(): Promise<void> {
    this.#mustTakeCommits();
    const fault = this.#memory.fault("sync");
    const covered = this.#memory.commitCount;
    await Promise.resolve();
    this.#failWhere(fault, "fail");
    if (fault !== "skip") this.#memory.recordSync(covered);
    this.#failWhere(fault, "fail_after");
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #commit(operations: readonly KeyValueOperation[], checks: readonly KeyValueCheck[]): boolean {
    for (const { key, value } of checks) {
      if (!isEqual(this.#memory.get(key), value)) return false;
    }
    const fault = this.#memory.fault("commit");
    this.#failWhere(fault, "fail");
    if (fault === "skip") return true;
    const copied = operations.map((operation) =>
      operation.kind === "put" ? { ...operation, value: operation.value.slice() } : operation,
    );
    this.#memory.apply(copied);
    this.#memory.recordCommit(copied);
    this.#failWhere(fault, "fail_after");
    return true;
  }

  #failWhere(fault: KeyValueFault | undefined, when: "fail" | "fail_after"): void {
    if (fault === when || (fault === "full" && when === "fail")) {
      this.#failure = new StorageError(fault === "full" ? "full" : "io", "the store says no");
      throw this.#failure;
    }
  }

  #answer<T>(value: T): T | Promise<T> {
    return this.#memory.options.answersLater === true ? Promise.resolve().then(() => value) : value;
  }

  #mustTakeCommits(): void {
    this.#mustBeOpen();
    if (this.#failure !== null) {
      throw new StorageError("io", "Cannot use memoryKeyValue after a failed commit or sync");
    }
  }

  #mustBeOpen(): void {
    if (this.#isClosed) {
      throw new StorageError("closed", "Cannot use memoryKeyValue after its close");
    }
  }
}

/** A commit over the bounds is a defect of the caller. */
function checkBounds(operations: readonly KeyValueOperation[], bounds: KeyValueBounds): void {
  assert(operations.length <= bounds.operationsMax, "a commit has too many operations");
  let sizeBytes = 0;
  for (const operation of operations) {
    if (operation.kind === "remove_range") continue;
    assert(KEY.test(operation.key), "a key is ASCII without control characters, at most 512 long");
    sizeBytes += operation.key.length;
    if (operation.kind !== "put") continue;
    assert(operation.value.byteLength <= bounds.valueBytesMax, "a value is too large");
    sizeBytes += operation.value.byteLength;
  }
  assert(sizeBytes <= bounds.commitBytesMax, "a commit is too large");
}

function isEqual(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}
