// A disk as the file calls of a store leave it: inodes with their writes, folders with their entries, and
// which of them a sync has made durable by when.
// Invariant: an operation counts as durable at a point only if a sync of its file or folder began after
// it had ended and was over by that point. All else may be there, or not, after a power loss.

/** The unit in which a disk writes: a torn write is torn at these. */
export const SECTOR_BYTES = 512;

/** The number of an event of the recording, from 0. A power loss at point p finds the events below p. */
export type Point = number;

/** A change of a file's bytes. */
export type ByteChange =
  | {
      readonly kind: "write";
      readonly at: Point;
      /** When the call returned; Infinity while it runs. */
      endedAt: Point;
      readonly position: number;
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: "truncate";
      readonly at: Point;
      endedAt: Point;
      readonly sizeBytes: number;
    };

/** A sync that was over at `endedAt` and covers what had ended before `at`. */
export interface FinishedSync {
  readonly at: Point;
  readonly endedAt: Point;
  /** A "data" sync brings bytes and a grown size, not a truncation. */
  readonly what: "data" | "all";
}

/** A file's bytes, and how they came about. */
export class FileNode {
  readonly kind = "file";
  /** What was durable when the recording began. */
  readonly before: Uint8Array;
  readonly changes: ByteChange[] = [];
  readonly syncs: FinishedSync[] = [];
  readonly content: GrowingBytes;

  constructor(before: Uint8Array = new Uint8Array(0)) {
    this.before = before;
    this.content = new GrowingBytes(before);
  }

  /** Changes that had ended before this are durable at `point`; -1 when none is. */
  durableBefore(point: Point, kind: ByteChange["kind"]): Point {
    return lastSync(this.syncs, point, kind === "truncate");
  }
}

export type Node = FileNode | FolderNode;

/** A change of a folder's entries: puts a name, takes one away, or both as one step (a rename). */
export interface EntryChange {
  readonly at: Point;
  readonly set: { readonly name: string; readonly node: Node } | null;
  readonly clear: string | null;
  /** For each half of a rename from one folder to another: the whole. */
  readonly move: Move | null;
}

/** A rename across folders: each keeps its own half, and the file may be under both names or neither. */
export interface Move {
  readonly from: FolderNode;
  readonly to: FolderNode;
  readonly at: Point;
}

/** A folder's entries, and how they came about. */
export class FolderNode {
  readonly kind = "folder";
  /** What was durable when the recording began. */
  readonly before: ReadonlyMap<string, Node>;
  readonly changes: EntryChange[] = [];
  readonly syncs: FinishedSync[] = [];
  /** What a reader sees now. */
  readonly entries: Map<string, Node>;

  constructor(before: ReadonlyMap<string, Node> = new Map()) {
    this.before = before;
    this.entries = new Map(before);
  }

  apply(change: EntryChange): void {
    this.changes.push(change);
    applyEntryChange(this.entries, change);
  }

  /** Changes before this are durable at `point`; -1 when none is. */
  durableBefore(point: Point): Point {
    return lastSync(this.syncs, point, false);
  }
}

/** When the last sync began that was over at `point`. */
function lastSync(syncs: readonly FinishedSync[], point: Point, needsAll: boolean): Point {
  let last = -1;
  for (const sync of syncs) {
    if (sync.endedAt < point && sync.at > last && (!needsAll || sync.what === "all"))
      last = sync.at;
  }
  return last;
}

/** Puts and clears names as one step. */
export function applyEntryChange(entries: Map<string, Node>, change: EntryChange): void {
  if (change.clear !== null) entries.delete(change.clear);
  if (change.set !== null) entries.set(change.set.name, change.set.node);
}

/** Bytes that can be written anywhere: what is skipped is zero. */
export class GrowingBytes {
  #bytes: Uint8Array;
  #sizeBytes: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes.slice();
    this.#sizeBytes = bytes.byteLength;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** A view that the next `put` may make stale. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#sizeBytes);
  }

  put(position: number, bytes: Uint8Array): void {
    this.grow(position + bytes.byteLength);
    this.#bytes.set(bytes, position);
  }

  /** Makes the size at least `sizeBytes`, with zeros. */
  grow(sizeBytes: number): void {
    if (sizeBytes > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(sizeBytes, this.#bytes.byteLength * 2, 4096));
      larger.set(this.view());
      this.#bytes = larger;
    }
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes);
  }

  resize(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) this.#bytes.fill(0, sizeBytes, this.#sizeBytes);
    else this.grow(sizeBytes);
    this.#sizeBytes = sizeBytes;
  }
}
