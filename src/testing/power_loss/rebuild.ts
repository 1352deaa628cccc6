// What a disk may hold after a power loss at some point of a recording.
// Invariant: what was durable by then is there, in order; each other change is there, not there, or (a
// write) there in some of its sectors, a grown size perhaps without its bytes. A rename is never half done
// within a folder; across two, the file may be lost unless the new folder was synced first.

import type { SeededRandom } from "../../base/prng.ts";
import {
  applyEntryChange,
  FileNode,
  FolderNode,
  GrowingBytes,
  type Move,
  type Node,
  type Point,
  SECTOR_BYTES,
} from "./disk_model.ts";

/**
 * Which of the legal states: the two extremes ("nothing" unsynced survives, "everything" does), or one
 * drawn at random.
 */
export type Survivors = "nothing" | "everything" | SeededRandom;

/** The folder tree as it may be found after a power loss at `point`; the recording stays as it is. */
export function rebuildTree(root: FolderNode, point: Point, survivors: Survivors): FolderNode {
  return new Rebuild(point, survivors).folder(root);
}

class Rebuild {
  readonly #point: Point;
  readonly #survivors: Survivors;
  /** Share of what is not durable that survives, out of 100: differs between draws. */
  readonly #share: number;
  readonly #moves = new Map<Move, { readonly set: boolean; readonly clear: boolean }>();
  /** A file under two names stays one file. */
  readonly #done = new Map<Node, Node>();

  constructor(point: Point, survivors: Survivors) {
    this.#point = point;
    this.#survivors = survivors;
    this.#share = typeof survivors === "string" ? 0 : [10, 50, 50, 90][survivors.below(4)]!;
  }

  folder(folder: FolderNode): FolderNode {
    const entries = new Map(folder.before);
    const durableBefore = folder.durableBefore(this.#point);
    for (const change of folder.changes) {
      if (change.at >= this.#point) break;
      const survives =
        change.move === null
          ? change.at < durableBefore || this.#flip()
          : this.#moved(change.move)[change.set === null ? "clear" : "set"];
      if (survives) applyEntryChange(entries, change);
    }
    const rebuilt = new Map<string, Node>();
    for (const [name, node] of entries) rebuilt.set(name, this.#node(node));
    return new FolderNode(rebuilt);
  }

  #node(node: Node): Node {
    const known = this.#done.get(node);
    if (known !== undefined) return known;
    const rebuilt = node.kind === "file" ? new FileNode(this.#bytes(node)) : this.folder(node);
    this.#done.set(node, rebuilt);
    return rebuilt;
  }

  #moved(move: Move): { readonly set: boolean; readonly clear: boolean } {
    let fate = this.#moves.get(move);
    if (fate === undefined) {
      const isDurable = (folder: FolderNode) => move.at < folder.durableBefore(this.#point);
      const set = isDurable(move.to) || this.#flip();
      fate = { set, clear: isDurable(move.from) || (set && this.#flip()) };
      this.#moves.set(move, fate);
    }
    return fate;
  }

  #bytes(file: FileNode): Uint8Array {
    const content = new GrowingBytes(file.before);
    const durableBefore = {
      write: file.durableBefore(this.#point, "write"),
      truncate: file.durableBefore(this.#point, "truncate"),
    };
    for (const change of file.changes) {
      if (change.at >= this.#point) break;
      const survives = change.endedAt < durableBefore[change.kind] || this.#flip();
      if (change.kind === "truncate") {
        if (survives) content.resize(change.sizeBytes);
      } else if (survives) {
        content.put(change.position, change.bytes);
      } else if (typeof this.#survivors !== "string" && this.#survivors.below(2) === 0) {
        this.#tear(content, change.position, change.bytes);
      }
    }
    return content.view();
  }

  /** Some sectors of a write, and perhaps its whole size. */
  #tear(content: GrowingBytes, position: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const sectorEnd = SECTOR_BYTES - ((position + at) % SECTOR_BYTES);
      const part = bytes.subarray(at, at + sectorEnd);
      if (this.#flip()) content.put(position + at, part);
      at += part.byteLength;
    }
    if (this.#flip()) content.grow(position + bytes.byteLength);
  }

  #flip(): boolean {
    if (this.#survivors === "nothing") return false;
    if (this.#survivors === "everything") return true;
    return this.#survivors.below(100) < this.#share;
  }
}
