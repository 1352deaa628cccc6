// One segment file as chunks under a number.
// Invariant: the chunks [0, sizeBytes) are committed; sizeBytes grows when a commit has answered. Where an
// entry in the store names a size, what lies behind it does not count, and is removed at the next opening.

import { assert } from "../../src/base/assert.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type { Scheduler } from "../../src/contracts/runtime.ts";
import type { SegmentFile } from "../../src/contracts/storage.ts";
import { type AppendPlan, type FileEnd, grouped, planAppend } from "./append_plan.ts";
import { readChunks } from "./chunk_reader.ts";
import type { FencedStore } from "./fenced_store.ts";
import { truncateChunks } from "./removal.ts";

/** What the files of one store share. */
export interface FileSurroundings {
  readonly store: FencedStore;
  readonly scheduler: Scheduler;
  onClosed(file: KvFile): void;
}

export class KvFile implements SegmentFile {
  readonly name: string;
  readonly id: number;
  readonly #around: FileSurroundings;
  #end: FileEnd;
  #isWriting = false;
  #isClosed = false;

  constructor(name: string, id: number, sizeBytes: number, around: FileSurroundings) {
    this.name = name;
    this.id = id;
    this.#around = around;
    this.#end = { sizeBytes, tail: null };
  }

  get sizeBytes(): number {
    return this.#end.sizeBytes;
  }

  get end(): FileEnd {
    return this.#end;
  }

  async append(chunks: readonly Uint8Array[]): Promise<number> {
    this.#mustTakeBytes();
    const position = this.#end.sizeBytes;
    const plan = this.plan(chunks, this.#end);
    if (plan.operations.length === 0) return position;
    this.beginWriting();
    try {
      const { store } = this.#around;
      for (const group of grouped(plan.operations, store.kv.bounds)) {
        const committing = store.commit(group);
        if (committing !== undefined) await committing;
      }
      this.#end = plan.end;
    } finally {
      this.endWriting();
    }
    return position;
  }

  readInto(target: Uint8Array, position: number): number | Promise<number> {
    if (this.#isClosed) throw this.#refusal();
    const { store } = this.#around;
    const { sizeBytes, tail } = this.#end;
    const length = Math.min(target.byteLength, sizeBytes - position);
    if (length <= 0) return 0;
    const wanted = length === target.byteLength ? target : target.subarray(0, length);
    if (tail !== null) {
      const skipped = position - (sizeBytes - tail.byteLength);
      if (skipped >= 0) {
        wanted.set(tail.subarray(skipped, skipped + length));
        return length;
      }
    }
    return readChunks(store.kv, this.id, wanted, position);
  }

  sync(): Promise<void> {
    return this.#isClosed ? Promise.reject(this.#refusal()) : this.#around.store.sync();
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#mustTakeBytes();
    const from = this.#end.sizeBytes;
    if (sizeBytes > from || sizeBytes < 0) {
      throw new StorageError(
        "range",
        `Cannot truncate segment "${this.name}" to ${sizeBytes} bytes: current size is ${from}`,
      );
    }
    this.beginWriting();
    try {
      const { store, scheduler } = this.#around;
      if (sizeBytes < from) await truncateChunks(store, this, sizeBytes, from, scheduler);
      this.#end = { sizeBytes, tail: null };
    } finally {
      this.endWriting();
    }
    await this.sync();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#around.onClosed(this);
  }

  /** What an append would write, were the file to end like this. */
  plan(chunks: readonly Uint8Array[], end: FileEnd): AppendPlan {
    return planAppend(this.id, end, chunks, this.#around.store.kv.bounds);
  }

  /** A commit of several files begins: nobody else may write this one until it ends. */
  beginWriting(): void {
    this.#mustTakeBytes();
    assert(!this.#isWriting, "one append or truncation at a time");
    this.#isWriting = true;
  }

  endWriting(): void {
    this.#isWriting = false;
  }

  /** A commit of several files has answered. */
  committed(end: FileEnd): void {
    this.#end = end;
  }

  #mustTakeBytes(): void {
    if (this.#isClosed) throw this.#refusal();
    this.#around.store.mustTakeCommits();
  }

  #refusal(): StorageError {
    return new StorageError("closed", `Cannot use segment "${this.name}" after its close`);
  }
}
