// A binary heap with the smallest item on top: timers and purgatories.
// Invariant: no item compares below its parent. Equal items leave in no particular order; a caller
// that needs one compares an insertion number too.

/** A heap ordered by `compare`. */
export class MinHeap<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  /** @param compare Negative when `a` comes before `b`. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The smallest item, or undefined when empty. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#siftUp(this.#items.length - 1);
  }

  /** Removes and returns the smallest item, or undefined when empty. */
  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length > 0) {
      items[0] = last as T;
      this.#siftDown(0);
    }
    return top;
  }

  /** Drops every item that `keep` refuses, in linear time; for heaps that cancel lazily. */
  compact(keep: (item: T) => boolean): void {
    const items = this.#items;
    let kept = 0;
    for (const item of items) {
      if (keep(item)) items[kept++] = item;
    }
    items.length = kept;
    for (let i = (kept >>> 1) - 1; i >= 0; i--) this.#siftDown(i);
  }

  clear(): void {
    this.#items.length = 0;
  }

  #siftUp(start: number): void {
    const items = this.#items;
    const item = items[start] as T;
    let at = start;
    while (at > 0) {
      const parentAt = (at - 1) >>> 1;
      const parent = items[parentAt] as T;
      if (this.#compare(item, parent) >= 0) break;
      items[at] = parent;
      at = parentAt;
    }
    items[at] = item;
  }

  #siftDown(start: number): void {
    const items = this.#items;
    const item = items[start] as T;
    const firstLeaf = items.length >>> 1;
    let at = start;
    while (at < firstLeaf) {
      let childAt = 2 * at + 1;
      const right = childAt + 1;
      if (right < items.length && this.#compare(items[right] as T, items[childAt] as T) < 0) {
        childAt = right;
      }
      const child = items[childAt] as T;
      if (this.#compare(child, item) >= 0) break;
      items[at] = child;
      at = childAt;
    }
    items[at] = item;
  }
}
