// A bounded set of open file handles behind any number of segment files.
// Invariant: at most `handlesMax` handles are open; one that is pinned (a call runs on it) or dirty (its
// file has unsynced bytes, whose write errors only this handle would report) is never closed here.

import { codeOf, type FileLayer } from "../../src/files/file_layer.ts";

/** A file that borrows a handle. */
export interface HandleOwner {
  readonly path: string;
  /** The open handle, or -1. */
  fd: number;
  /** Calls in flight on the handle. */
  pins: number;
  /** Whether closing the handle could hide a lost write. */
  readonly isDirty: boolean;
  /** Syncs, so that the handle can be closed; a failure stays with the file. */
  clean(): Promise<void>;
}

/** Least recently used handles are closed first. */
export class Handles {
  readonly #files: FileLayer;
  readonly #handlesMax: number;
  /** Owners with an open handle, least recently used first. */
  readonly #open = new Map<HandleOwner, true>();
  #newest: HandleOwner | null = null;
  #waiting: (() => void)[] = [];

  constructor(files: FileLayer, handlesMax: number) {
    this.#files = files;
    this.#handlesMax = handlesMax;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Whether `owner` has a handle now, opening one if that needs no waiting. */
  tryOpen(owner: HandleOwner): boolean {
    if (owner.fd >= 0) {
      this.#touch(owner);
      return true;
    }
    if (!this.makeRoom()) return false;
    try {
      owner.fd = this.#files.open(owner.path, "update");
    } catch (error) {
      if (!isOutOfHandles(error) || !this.#closeOldest()) throw error;
      owner.fd = this.#files.open(owner.path, "update");
    }
    this.#touch(owner);
    return true;
  }

  /** Takes the handle of a file that was just created; see `makeRoom`. */
  adopt(owner: HandleOwner, fd: number): void {
    owner.fd = fd;
    this.#touch(owner);
  }

  /** Whether one more handle may be opened now; closes the least recently used one if it must. */
  makeRoom(): boolean {
    return this.#open.size < this.#handlesMax || this.#closeOldest();
  }

  /** Waits for a handle to become closable: cleans the oldest dirty one, or awaits a pin's end. */
  async someRoom(): Promise<void> {
    for (const owner of this.#open.keys()) {
      if (owner.pins > 0) continue;
      await owner.clean();
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Opens and pins: until `unpin`, the handle stays. */
  async pin(owner: HandleOwner): Promise<void> {
    while (!this.tryOpen(owner)) await this.someRoom();
    owner.pins++;
  }

  unpin(owner: HandleOwner): void {
    owner.pins--;
    if (owner.pins === 0) this.#wakeWaiting();
  }

  /** Closes the owner's handle, pinned by nobody. */
  close(owner: HandleOwner): void {
    if (owner.fd < 0) return;
    const fd = owner.fd;
    owner.fd = -1;
    this.#open.delete(owner);
    if (this.#newest === owner) this.#newest = null;
    this.#wakeWaiting();
    this.#files.close(fd);
  }

  #touch(owner: HandleOwner): void {
    if (this.#newest === owner) return;
    this.#open.delete(owner);
    this.#open.set(owner, true);
    this.#newest = owner;
  }

  #closeOldest(): boolean {
    for (const owner of this.#open.keys()) {
      if (owner.pins > 0 || owner.isDirty) continue;
      this.close(owner);
      return true;
    }
    return false;
  }

  #wakeWaiting(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

function isOutOfHandles(error: unknown): boolean {
  const code = codeOf(error);
  return code === "EMFILE" || code === "ENFILE";
}
