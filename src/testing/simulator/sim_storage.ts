// The SegmentStore of a simulated process over a simulated disk: every call takes time, may fail by
// plan, and is left half done when the process dies.
// Invariant: what contracts/storage.ts promises, and not a byte more; a caller that breaks its side of
// the contract (two appends at once, removal of an open file) fails the run.

import { crc32c } from "../../base/crc32c.ts";
import type { SeededRandom } from "../../base/prng.ts";
import { StorageError } from "../../contracts/errors.ts";
import type {
  FileAppend,
  SegmentFile,
  SegmentStore,
  Storage,
  StoragePlugin,
  StoredFile,
} from "../../contracts/storage.ts";
import type { SimDisk, SimFile } from "./sim_disk.ts";
import type { SimProcess, World } from "./world.ts";

/** How the disk behaves, drawn from the seed, and what is wrong with it now. */
export interface StorageConditions {
  readonly syncUsMin: number;
  readonly syncUsMax: number;
  readonly appendUsMax: number;
  readonly readUsMax: number;
  /** How many of 100 reads answer later instead of at once. */
  readonly asyncReadPercent: number;
  /** Syncs begun before this (virtual time) take `slowSyncUs` longer. */
  slowUntilUs: number;
  slowSyncUs: number;
  /** The next append or sync fails with this code. */
  failNextAppend: "io" | "full" | null;
  failNextSync: "io" | null;
  /** Called when one of these fails: what was not synced may be gone. */
  readonly onFailedWrite: () => void;
  /** How many of 1000 reads fail. */
  readErrorPermille: number;
  /** A mutation: this many of 100 syncs say that they are done and have done nothing. */
  lyingSyncPercent: number;
  /** A mutation: a recycled file keeps its old bytes when it is truncated. */
  readonly leavesOldBytes: boolean;
  /** Called at each begun call, e.g. to crash at a chosen one. */
  onCall: ((label: string) => void) | null;
}

/** A call that has not ended. */
interface PendingCall {
  /** What a crash of the process leaves of it. */
  readonly abandon: (random: SeededRandom) => void;
}

export class SimSegmentStore implements SegmentStore {
  readonly commitIsAtomic = false;
  readonly prefersRecycling = true;
  readonly world: World;
  readonly conditions: StorageConditions;
  readonly random: SeededRandom;
  readonly disk: SimDisk;
  readonly #process: SimProcess;
  readonly #pending = new Set<PendingCall>();
  readonly #claimed = new Set<string>();
  readonly #open = new Map<string, SimSegmentFile>();

  constructor(
    process: SimProcess,
    disk: SimDisk,
    random: SeededRandom,
    conditions: StorageConditions,
  ) {
    this.#process = process;
    this.world = process.world;
    this.disk = disk;
    this.random = random;
    this.conditions = conditions;
  }

  /** As a plugin that opens this store once. */
  plugin(): StoragePlugin {
    return {
      kind: "storage",
      name: "simulated",
      contract: 1,
      open: async (): Promise<Storage> => ({ segments: this, close: async () => {} }),
    };
  }

  /** The process is gone: calls that had not ended are left half done. */
  processDied(random: SeededRandom): void {
    for (const call of this.#pending) call.abandon(random);
    this.#pending.clear();
  }

  open(name: string, { create }: { readonly create: boolean }): Promise<SegmentFile> {
    return this.#changing([name], "open", this.random.below(100), () => {
      if (this.#open.has(name)) {
        throw new StorageError("locked", `Cannot open segment "${name}" as it is open already`);
      }
      let file = this.disk.names.get(name);
      if (file === undefined) {
        if (!create) throw new StorageError("not_found", `There is no segment "${name}"`);
        file = this.disk.create(name);
      }
      return this.#opened(name, file, file.cacheBytes);
    });
  }

  list(prefix: string): Promise<readonly StoredFile[]> {
    return this.call("list", this.random.below(100), () => {
      const found: StoredFile[] = [];
      for (const [name, file] of this.disk.names) {
        if (name.startsWith(prefix)) found.push({ name, sizeBytes: file.cacheBytes });
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  replace(from: string, to: string): Promise<void> {
    this.#mustBeClosed("replace", from);
    this.#mustBeClosed("replace", to);
    return this.#changing(
      [from, to],
      "replace",
      this.#syncUs(),
      () => {
        const file = this.disk.names.get(from);
        if (file === undefined)
          throw new StorageError("not_found", `There is no segment "${from}"`);
        this.disk.rename(from, to);
        this.disk.syncNames();
        file.syncSucceeded(file.beginSync());
      },
      (random) => {
        if (random.below(2) === 0 && this.disk.names.has(from)) this.disk.rename(from, to);
      },
    );
  }

  remove(name: string): Promise<void> {
    this.#mustBeClosed("remove", name);
    return this.#changing(
      [name],
      "remove",
      this.random.below(200),
      () => {
        this.disk.remove(name);
        this.disk.syncNames();
      },
      (random) => {
        if (random.below(2) === 0) this.disk.remove(name);
      },
    );
  }

  async commit(appends: readonly FileAppend[]): Promise<void> {
    for (const { file, chunks } of appends) {
      if (chunks.length > 0) await file.append(chunks);
    }
    for (const { file } of appends) await file.sync();
  }

  async recycle(from: string, to: string): Promise<SegmentFile> {
    this.#mustBeClosed("recycle", from);
    return await this.#changing(
      [from, to],
      "recycle",
      this.#syncUs(),
      () => {
        if (this.disk.names.has(to)) throw new StorageError("exists", `"${to}" exists`);
        if (!this.disk.names.has(from)) throw new StorageError("not_found", `No "${from}"`);
        const file = this.disk.rename(from, to);
        this.disk.syncNames();
        file.recycled();
        const opened = this.#opened(to, file, 0);
        opened.isRecycled = true;
        return opened;
      },
      (random) => {
        if (random.below(2) === 0 && this.disk.names.has(from)) this.disk.rename(from, to);
      },
    );
  }

  /** As `call`, of a name that nobody else may change or open meanwhile. */
  async #changing<T>(
    names: readonly string[],
    label: string,
    delayUs: number,
    complete: () => T,
    abandon?: (random: SeededRandom) => void,
  ): Promise<T> {
    for (const name of names) {
      if (this.#claimed.has(name)) {
        this.world.fail("storage_contract", `two calls change the name "${name}"`);
      }
      this.#claimed.add(name);
    }
    try {
      return await this.call(label, delayUs, complete, abandon);
    } finally {
      for (const name of names) this.#claimed.delete(name);
    }
  }

  /** Runs `complete` after `delayUs`; a crash before leaves what `abandon` does. */
  call<T>(
    label: string,
    delayUs: number,
    complete: () => T,
    abandon: (random: SeededRandom) => void = () => {},
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending = { abandon };
      this.#pending.add(pending);
      this.world.after(delayUs, `disk_${label}`, this.#process, () => {
        this.#pending.delete(pending);
        try {
          resolve(complete());
        } catch (error) {
          reject(error);
        }
      });
      this.conditions.onCall?.(label);
    });
  }

  appendUs(sizeBytes: number): number {
    return 5 + this.random.below(this.conditions.appendUsMax) + sizeBytes / 1000;
  }

  syncUs(): number {
    return this.#syncUs();
  }

  closed(name: string): void {
    this.#open.delete(name);
  }

  #syncUs(): number {
    const { syncUsMin, syncUsMax, slowUntilUs, slowSyncUs } = this.conditions;
    const normalUs = syncUsMin + this.random.below(syncUsMax - syncUsMin + 1);
    return this.world.nowUs < slowUntilUs ? normalUs + this.random.below(slowSyncUs) : normalUs;
  }

  #opened(name: string, file: SimFile, sizeBytes: number): SimSegmentFile {
    const opened = new SimSegmentFile(this, name, file, sizeBytes);
    this.#open.set(name, opened);
    return opened;
  }

  #mustBeClosed(what: string, name: string): void {
    if (this.#open.has(name)) this.world.fail("storage_contract", `${what} of open "${name}"`);
  }
}

class SimSegmentFile implements SegmentFile {
  readonly name: string;
  sizeBytes: number;
  isRecycled = false;
  readonly #store: SimSegmentStore;
  readonly #file: SimFile;
  #isAppending = false;
  #isClosed = false;

  constructor(store: SimSegmentStore, name: string, file: SimFile, sizeBytes: number) {
    this.#store = store;
    this.name = name;
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  append(chunks: readonly Uint8Array[]): Promise<number> {
    this.#mustBeOpen();
    if (this.#isAppending) {
      this.#store.world.fail("storage_contract", `two appends at once to "${this.name}"`);
    }
    this.#isAppending = true;
    let sizeBytes = 0;
    for (const chunk of chunks) sizeBytes += chunk.length;
    const { conditions } = this.#store;
    const position = this.sizeBytes;
    const failure = sizeBytes > 0 ? conditions.failNextAppend : null;
    if (failure !== null) conditions.failNextAppend = null;
    return this.#store.call(
      "append",
      this.#store.appendUs(sizeBytes),
      () => {
        this.#isAppending = false;
        // The chunks are looked at as late as the contract allows: who reuses them early is found out.
        if (failure !== null) {
          this.#land(position, chunks, this.#store.random.below(sizeBytes));
          conditions.onFailedWrite();
          throw new StorageError(failure, `Cannot append to "${this.name}": ${failure}`);
        }
        this.#land(position, chunks, sizeBytes);
        this.sizeBytes = position + sizeBytes;
        return position;
      },
      (random) => {
        const choice = random.below(3);
        const landed = choice === 0 ? 0 : choice === 1 ? sizeBytes : random.below(sizeBytes + 1);
        this.#land(position, chunks, landed);
      },
    );
  }

  readInto(target: Uint8Array, position: number): number | Promise<number> {
    this.#mustBeOpen();
    const { conditions, random } = this.#store;
    const isFailing = conditions.readErrorPermille > random.below(1000);
    if (!isFailing && random.below(100) >= conditions.asyncReadPercent) {
      return this.#copy(target, position);
    }
    return this.#store.call("read", 5 + random.below(conditions.readUsMax), () => {
      this.#mustBeOpen();
      if (isFailing) throw new StorageError("io", `Cannot read "${this.name}"`);
      return this.#copy(target, position);
    });
  }

  sync(): Promise<void> {
    this.#mustBeOpen();
    const { conditions, random, disk } = this.#store;
    const failure = conditions.failNextSync;
    conditions.failNextSync = null;
    const isLie = random.below(100) < conditions.lyingSyncPercent;
    const file = this.#file;
    const ranges = file.beginSync();
    return this.#store.call(
      "sync",
      this.#store.syncUs(),
      () => {
        if (failure !== null) {
          file.syncFailed(ranges);
          conditions.onFailedWrite();
          throw new StorageError(failure, `Cannot sync "${this.name}"`);
        }
        if (isLie) {
          file.syncForgotten(ranges);
          return;
        }
        file.syncSucceeded(ranges);
        if (!file.isNameSynced) disk.syncNames();
      },
      (dice) => {
        if (dice.below(3) === 0) file.syncSucceeded(ranges);
        else file.syncForgotten(ranges);
      },
    );
  }

  truncate(sizeBytes: number): Promise<void> {
    this.#mustBeOpen();
    if (this.#isAppending) {
      this.#store.world.fail("storage_contract", `truncate beside append of "${this.name}"`);
    }
    return this.#store.call(
      "truncate",
      this.#store.syncUs(),
      () => {
        if (sizeBytes > this.sizeBytes) {
          throw new StorageError("range", `Cannot truncate "${this.name}" to ${sizeBytes}`);
        }
        if (!this.isRecycled || !this.#store.conditions.leavesOldBytes) this.#file.cut(sizeBytes);
        this.sizeBytes = sizeBytes;
      },
      (random) => {
        if (random.below(2) === 0) this.#file.cut(sizeBytes);
      },
    );
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#store.closed(this.name);
  }

  #copy(target: Uint8Array, position: number): number {
    const end = Math.min(position + target.length, this.sizeBytes);
    if (end <= position) return 0;
    target.set(this.#file.cache.subarray(position, end));
    return end - position;
  }

  /** The first `sizeBytes` of the chunks reach the cache. */
  #land(position: number, chunks: readonly Uint8Array[], sizeBytes: number): void {
    let at = position;
    let leftBytes = sizeBytes;
    const { trace } = this.#store.world;
    for (const chunk of chunks) {
      const part = chunk.length <= leftBytes ? chunk : chunk.subarray(0, leftBytes);
      if (part.length === 0) break;
      trace.add("disk_bytes", crc32c(part, 0, part.length), at);
      this.#file.write(at, part);
      at += part.length;
      leftBytes -= part.length;
    }
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new StorageError("closed", `"${this.name}" is closed`);
  }
}
