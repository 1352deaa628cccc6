// A first-in first-out queue of fixed capacity that refuses when full.
// Invariant: never holds more than `capacity` items; a slot that was left holds no reference.

import { assert } from "./assert.ts";

/** A bounded queue over one array. */
export class RingBuffer<T> {
  readonly capacity: number;
  readonly #slots: (T | undefined)[];
  #head = 0;
  #size = 0;

  /** @param capacity Most items it holds; at least 1. */
  constructor(capacity: number) {
    assert(Number.isInteger(capacity) && capacity >= 1, "ring buffer capacity must be at least 1");
    this.capacity = capacity;
    this.#slots = new Array<T | undefined>(capacity).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size === this.capacity;
  }

  /** Adds at the end. Returns false, and changes nothing, when full. */
  push(item: T): boolean {
    if (this.#size === this.capacity) return false;
    this.#slots[this.#slotOf(this.#size)] = item;
    this.#size++;
    return true;
  }

  /** Removes and returns the oldest item, or undefined when empty. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = this.#slotOf(1);
    this.#size--;
    return item;
  }

  /** The item at `index` (0 is the oldest), or undefined outside [0, size). */
  at(index: number): T | undefined {
    return index >= 0 && index < this.#size ? this.#slots[this.#slotOf(index)] : undefined;
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#head = 0;
    this.#size = 0;
  }

  /** Oldest first. Do not change the buffer while iterating. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.#size; i++) yield this.#slots[this.#slotOf(i)] as T;
  }

  #slotOf(index: number): number {
    const slot = this.#head + index;
    return slot < this.capacity ? slot : slot - this.capacity;
  }
}
