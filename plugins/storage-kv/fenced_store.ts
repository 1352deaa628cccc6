// A part of a key-value store (a prefix) in the hands of one opener: its format, its owner key, and one
// sync for all who wait. Invariant: every commit carries the check that the owner key is still ours, so
// that whoever opens later fences us off before our next commit; after any failure there is no other commit.

import { InvariantError } from "../../src/base/assert.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type {
  KeyValueCheck,
  KeyValueOperation,
  KeyValueStore,
} from "../../src/contracts/key_value.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";

/** The newest layout of keys this code reads and writes. */
export const FORMAT_VERSION = 1;
/** Sorts behind every character of a key that we make. */
export const LAST = "~";

const ascii = new TextEncoder();
const DONE: Promise<void> = Promise.resolve();
const OWNER = /^(\d+)-[0-9a-z]+$/;

/** How a prefix is opened. */
export interface FencedOptions {
  /** Every key begins with it, e.g. "log/". */
  readonly prefix: string;
  /** What messages call it, e.g. "the log". */
  readonly what: string;
}

export class FencedStore {
  readonly kv: KeyValueStore;
  readonly #what: string;
  readonly #checks: readonly KeyValueCheck[];
  #failure: StorageError | null = null;
  #isClosed = false;
  #commitCount = 0;
  #syncedCount = 0;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  /** Commits that have not answered yet, of stores that answer later. */
  readonly #pending = new Set<Promise<unknown>>();

  private constructor(kv: KeyValueStore, what: string, owner: KeyValueCheck) {
    this.kv = kv;
    this.#what = what;
    this.#checks = [owner];
  }

  /**
   * Checks the format and takes the prefix over from whoever had it, durably.
   * @throws {StorageError} "version", "corrupt", "locked" when another opener was quicker
   */
  static async open(
    kv: KeyValueStore,
    { prefix, what }: FencedOptions,
    { runtime }: PluginContext,
  ): Promise<FencedStore> {
    const formatKey = `${prefix}format`;
    const key = `${prefix}owner`;
    const format = await kv.get(formatKey);
    const found = await kv.get(key);
    if (format === null) {
      const strangers = await kv.listSizes({ from: prefix, to: prefix + LAST, limit: 1 });
      if (strangers.length > 0) throw damaged(what, `it has keys but no "${formatKey}"`);
    } else checkFormat(textOf(format), formatKey, what);
    const turn = found === null ? 0 : Number(OWNER.exec(textOf(found))?.[1] ?? Number.NaN);
    if (Number.isNaN(turn)) throw damaged(what, `"${key}" is damaged`);
    const value = ascii.encode(`${turn + 1}-${runtime.random.uint32().toString(36)}`);
    const operations: KeyValueOperation[] = [{ kind: "put", key, value }];
    if (format === null) {
      const version = ascii.encode(String(FORMAT_VERSION));
      operations.unshift({ kind: "put", key: formatKey, value: version });
    }
    if (!(await kv.commit(operations, [{ key, value: found }]))) {
      throw new StorageError("locked", `Cannot open ${what} as another opener was quicker`);
    }
    await kv.sync();
    return new FencedStore(kv, what, { key, value });
  }

  /** As KeyValueStore.commit, if nobody has opened the prefix since. `checks` that fail fence us off too. */
  commit(
    operations: readonly KeyValueOperation[],
    checks: readonly KeyValueCheck[] = [],
  ): void | Promise<void> {
    this.mustTakeCommits();
    let done: boolean | Promise<boolean>;
    try {
      done = this.kv.commit(
        operations,
        checks.length === 0 ? this.#checks : [...this.#checks, ...checks],
      );
    } catch (error) {
      throw this.#failed(error);
    }
    if (typeof done === "boolean") this.#committed(done);
    else return this.#commitLater(done);
  }

  /** Every commit that had answered before the call survives a power loss. Those who wait share one sync. */
  sync(): Promise<void> {
    try {
      this.mustTakeCommits();
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#syncedCount === this.#commitCount) return DONE;
    if (this.#running === null) return this.#run();
    this.#next ??= this.#afterRunning(this.#running);
    return this.#next;
  }

  mustTakeCommits(): void {
    this.mustBeOpen();
    if (this.#failure === null) return;
    throw new StorageError(
      this.#failure.code === "locked" ? "locked" : "io",
      `Cannot use ${this.#what} as an earlier commit or sync failed: ${this.#failure.message}`,
      { cause: this.#failure },
    );
  }

  /** Looks whether nobody has opened the prefix since. @throws {StorageError} "locked" */
  async mustBeOurs(): Promise<void> {
    this.mustBeOpen();
    const { key, value } = this.#checks[0]!;
    const found = await this.kv.get(key);
    if (found !== null && textOf(found) === textOf(value!)) return;
    throw this.#failed(fencedOff(this.#what));
  }

  mustBeOpen(): void {
    if (this.#isClosed) {
      throw new StorageError("closed", `Cannot use ${this.#what} after its close`);
    }
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Waits for what was begun, and closes the key-value store. Syncs nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled([...this.#pending]);
    if (this.#running !== null) await Promise.allSettled([this.#running]);
    await this.kv.close();
  }

  async #commitLater(done: Promise<boolean>): Promise<void> {
    this.#pending.add(done);
    let isDone: boolean;
    try {
      isDone = await done;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#pending.delete(done);
    }
    this.#committed(isDone);
  }

  #committed(isDone: boolean): void {
    if (!isDone) {
      throw this.#failed(fencedOff(this.#what));
    }
    this.#commitCount++;
  }

  #run(): Promise<void> {
    const running = this.#syncOnce();
    this.#running = running;
    return running;
  }

  async #syncOnce(): Promise<void> {
    const covered = this.#commitCount;
    try {
      await this.kv.sync();
      this.#syncedCount = Math.max(this.#syncedCount, covered);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#running = null;
    }
  }

  /** One more sync for all who asked while one was running. */
  async #afterRunning(running: Promise<void>): Promise<void> {
    try {
      await running;
    } finally {
      this.#next = null;
    }
    this.mustTakeCommits();
    // One that began meanwhile began after all of us had asked.
    await (this.#running ?? this.#run());
  }

  #failed(error: unknown): StorageError {
    // A defect of ours is not the store's.
    if (error instanceof InvariantError) throw error;
    const failure =
      error instanceof StorageError
        ? error
        : new StorageError("io", `Cannot write ${this.#what}: ${error}`, { cause: error });
    this.#failure ??= failure;
    return failure;
  }
}

function fencedOff(what: string): StorageError {
  return new StorageError(
    "locked",
    `Cannot use ${what} as somebody else has opened it since: only one broker may have it, stop the other one`,
  );
}

function checkFormat(text: string, key: string, what: string): void {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw damaged(what, `"${key}" is damaged`);
  if (Number(text) > FORMAT_VERSION) {
    throw new StorageError(
      "version",
      `Cannot open ${what} as its format is ${text} and this Millrace reads up to ${FORMAT_VERSION}: start a newer Millrace on it`,
    );
  }
}

/** What only a foreign hand or a failing disk leaves. */
export function damaged(what: string, how: string): StorageError {
  return new StorageError(
    "corrupt",
    `Cannot open ${what}: ${how}; put back a copy from a backup, or begin with an empty store`,
  );
}

export function textOf(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}
