// The newest record of every key: a hash table over columns, with the keys in one arena and, while there is room,
// the values in another.
// Invariant: what it takes stays within `bytesMax`: values give way first, the oldest before the others, and are
// then read from the log; keys and places never do. A record never replaces a newer one.
// Kafka: KeyValueStore, GlobalStateUpdateTask.

import { halfSipHash, hashLow } from "../../base/halfsiphash.ts";
import type { Random } from "../../contracts/runtime.ts";
import { ByteArena, NOWHERE } from "./byte_arena.ts";
import { KeyOrder } from "./key_order.ts";

/** Where a record lies, and when it was written. */
export interface Place {
  readonly partition: number;
  readonly offset: number;
  /** -1 for none. */
  readonly timestampMs: number;
}

/** A record as it comes, in a larger buffer. */
export interface Incoming {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  /** -1 for a tombstone. */
  readonly valueLength: number;
}

/** @param record null when the key's record has gone without another one */
export type ChangeListener = (slot: number, record: Incoming | null) => void;

const SLOTS_MIN = 64;
const GROWTH = 1.5;
/** Of the places of the hash table, at most. */
const LOAD_MAX = 0.7;

const FREE = 0;
const LIVE = 1;
/** A key that was deleted, kept until no older record of it can come any more. */
const DELETED = 2;

export class KeyStore {
  readonly #bytesMax: number;
  readonly #key0: number;
  readonly #key1: number;
  readonly #keys: ByteArena;
  readonly #values: ByteArena | null;
  /** Built by the first who wants keys in order. */
  #order: KeyOrder | null = null;
  /** Slot + 1 by place; 0 for none. */
  #places = new Int32Array(128);
  #hashes = new Int32Array(SLOTS_MIN);
  #states = new Uint8Array(SLOTS_MIN);
  #keyAt = new Uint32Array(SLOTS_MIN);
  #valueAt: Uint32Array;
  #partitions = new Int32Array(SLOTS_MIN);
  #offsets = new Float64Array(SLOTS_MIN);
  #timestamps = new Float64Array(SLOTS_MIN);
  /** Slots from here on were never used. */
  #slotsEnd = 0;
  readonly #freeSlots: number[] = [];
  #used = 0;
  #live = 0;
  #spilled = 0;
  /** By partition that is being swept: slots whose records were met again. */
  readonly #sweeps = new Map<number, Uint8Array>();
  /** Told of every change of what keys have, before it is made; a slot that is not live had nothing. */
  onChange: ChangeListener | null = null;

  constructor(options: {
    readonly keep: "values" | "offsets";
    readonly bytesMax: number;
    readonly random: Random;
  }) {
    this.#bytesMax = options.bytesMax;
    this.#key0 = options.random.uint32() | 0;
    this.#key1 = options.random.uint32() | 0;
    this.#keys = new ByteArena({
      addressOf: (slot) => (this.#states[slot] === FREE ? NOWHERE : this.#keyAt[slot]!),
      moved: (slot, address) => {
        this.#keyAt[slot] = address;
      },
    });
    this.#valueAt = new Uint32Array(options.keep === "values" ? SLOTS_MIN : 0);
    this.#values =
      options.keep === "offsets"
        ? null
        : new ByteArena({
            addressOf: (slot) => this.#valueAt[slot]!,
            moved: (slot, address) => {
              this.#valueAt[slot] = address;
            },
          });
  }

  /** Keys that have a value. */
  get size(): number {
    return this.#live;
  }

  /** Of them, those whose values are in the log alone. */
  get spilled(): number {
    return this.#values === null ? this.#live : this.#spilled;
  }

  /** What keys, places and values take, in bytes. */
  get sizeBytes(): number {
    const slots = this.#hashes.length;
    const columns = slots * (4 + 1 + 4 + 4 + 8 + 8) + this.#valueAt.byteLength;
    const order = this.#order === null ? 0 : this.#order.sizeBytes;
    const arenas = this.#keys.sizeBytes + (this.#values?.sizeBytes ?? 0);
    return columns + this.#places.byteLength + arenas + order;
  }

  /** The slot of a key that has a value, or -1. Good until something is changed. */
  find(key: Uint8Array): number {
    const slot = this.#find(key, 0, key.length, this.#hash(key, 0, key.length));
    return slot >= 0 && this.#states[slot] === LIVE ? slot : -1;
  }

  /** A copy. */
  keyOf(slot: number): Uint8Array {
    return this.#keys.get(this.#keyAt[slot]!).slice();
  }

  placeOf(slot: number): Place {
    return {
      partition: this.#partitions[slot]!,
      offset: this.#offsets[slot]!,
      timestampMs: this.#timestamps[slot]!,
    };
  }

  isAt(slot: number, place: Place): boolean {
    return this.#partitions[slot] === place.partition && this.#offsets[slot] === place.offset;
  }

  /** A view, good until something is changed; null when the value is in the log alone. */
  valueOf(slot: number): Uint8Array | null {
    if (this.#values === null) return null;
    const address = this.#valueAt[slot]!;
    return address === NOWHERE ? null : this.#values.get(address);
  }

  isLive(slot: number): boolean {
    return this.#states[slot] === LIVE;
  }

  hasKey(slot: number, key: Uint8Array): boolean {
    return this.#keys.equals(this.#keyAt[slot]!, key, 0, key.length);
  }

  /** Below zero, zero or above as the slot's key comes before `key`, is it, or comes behind it. */
  compareKey(slot: number, key: Uint8Array): number {
    return this.#keys.compare(this.#keyAt[slot]!, key);
  }

  startsWith(slot: number, prefix: Uint8Array): boolean {
    const key = this.#keys.get(this.#keyAt[slot]!);
    if (key.length < prefix.length) return false;
    for (let i = 0; i < prefix.length; i++) if (key[i] !== prefix[i]) return false;
    return true;
  }

  /**
   * Takes a record, unless a newer one of its key is here.
   *
   * @param keepsDeleted whether an older record of the key may still come, so that a tombstone must be remembered
   * @returns the slot of a tombstone that is remembered, for `forget`; -1 otherwise
   */
  put(record: Incoming, place: Place, keepsDeleted: boolean): number {
    const { bytes, keyStart, keyEnd } = record;
    const isDelete = record.valueLength < 0;
    const hash = this.#hash(bytes, keyStart, keyEnd);
    let slot = this.#find(bytes, keyStart, keyEnd, hash);
    if (slot < 0) {
      if (isDelete && !keepsDeleted) return -1;
      slot = this.#add(bytes, keyStart, keyEnd, hash);
      this.#states[slot] = DELETED;
    } else if (!this.#isOlder(slot, place)) return -1;
    const wasLive = this.#states[slot] === LIVE;
    if (wasLive || !isDelete) this.onChange?.(slot, record);
    this.#partitions[slot] = place.partition;
    this.#offsets[slot] = place.offset;
    this.#timestamps[slot] = place.timestampMs;
    if (wasLive) this.#dropValue(slot);
    if (!isDelete) {
      if (!wasLive) this.#revive(slot);
      if (this.#values !== null) this.#putValue(slot, record);
      return -1;
    }
    if (wasLive) this.#bury(slot);
    if (keepsDeleted) return slot;
    this.#remove(slot);
    return -1;
  }

  /** Takes a key's record away without another one: it is not in the log any more. */
  drop(slot: number): void {
    if (this.#states[slot] !== LIVE) return;
    this.onChange?.(slot, null);
    this.#dropValue(slot);
    this.#bury(slot);
    this.#remove(slot);
  }

  /** Takes away what lies in a partition before an offset. */
  dropBefore(partition: number, offset: number): void {
    for (let slot = 0; slot < this.#slotsEnd; slot++) {
      if (this.#partitions[slot] !== partition || this.#offsets[slot]! >= offset) continue;
      if (this.#states[slot] === LIVE) this.drop(slot);
      else if (this.#states[slot] === DELETED) this.#remove(slot);
    }
  }

  /** What lies in a partition now is to be met again before `endSweep`, or goes. */
  beginSweep(partition: number): void {
    this.#sweeps.set(partition, new Uint8Array(this.#slotsEnd));
  }

  /** A record was met again: it says nothing new. */
  meet(record: Incoming, partition: number, offset: number): void {
    const met = this.#sweeps.get(partition);
    const { bytes, keyStart, keyEnd } = record;
    const slot = this.#find(bytes, keyStart, keyEnd, this.#hash(bytes, keyStart, keyEnd));
    if (slot < 0 || met === undefined || slot >= met.length) return;
    if (this.#partitions[slot] === partition && this.#offsets[slot] === offset) met[slot] = 1;
  }

  /** Takes away what was not met again of what lies before `offset`; nothing when that is left out. */
  endSweep(partition: number, offset = 0): void {
    const met = this.#sweeps.get(partition);
    this.#sweeps.delete(partition);
    for (let slot = 0; met !== undefined && slot < met.length; slot++) {
      if (this.#states[slot] !== LIVE || this.#partitions[slot] !== partition) continue;
      if (this.#offsets[slot]! < offset && met[slot] === 0) this.drop(slot);
    }
  }

  /** Forgets a deleted key, if nothing was heard of it since. */
  forget(slot: number, partition: number, offset: number): void {
    if (this.#states[slot] !== DELETED) return;
    if (this.#partitions[slot] === partition && this.#offsets[slot] === offset) this.#remove(slot);
  }

  /** Makes room. False when the keys alone do not fit. */
  fit(): boolean {
    while (this.sizeBytes > this.#bytesMax) {
      const dropped = this.#values === null ? -1 : this.#values.dropOldest();
      if (dropped < 0) return false;
      this.#spilled += dropped;
    }
    return true;
  }

  /** Slots of keys that have a value, in the order of their keys' bytes. */
  get order(): KeyOrder {
    if (this.#order === null) {
      const slots: number[] = [];
      for (let slot = 0; slot < this.#slotsEnd; slot++) {
        if (this.#states[slot] === LIVE) slots.push(slot);
      }
      this.#order = new KeyOrder((slot, key) => this.#keys.compare(this.#keyAt[slot]!, key));
      const keys = this.#keys;
      const keyAt = this.#keyAt;
      this.#order.fill(slots.sort((a, b) => keys.compareBoth(keyAt[a]!, keyAt[b]!)));
    }
    return this.#order;
  }

  #hash(bytes: Uint8Array, start: number, end: number): number {
    // Keyed, so that nobody can make up keys that lie in one place.
    halfSipHash(bytes, start, end, this.#key0, this.#key1, 1, 3);
    return hashLow;
  }

  #find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const places = this.#places;
    const mask = places.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const slot = places[at]! - 1;
      if (slot < 0) return -1;
      if (this.#hashes[slot] !== hash) continue;
      if (this.#keys.equals(this.#keyAt[slot]!, bytes, start, end)) return slot;
    }
  }

  /** Of one partition the later offset is newer; of two, whose order nobody knows, the later time. */
  #isOlder(slot: number, place: Place): boolean {
    if (this.#partitions[slot] === place.partition) return this.#offsets[slot]! < place.offset;
    const apartMs = place.timestampMs - this.#timestamps[slot]!;
    return apartMs === 0 ? place.partition > this.#partitions[slot]! : apartMs > 0;
  }

  #add(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slot = this.#freeSlots.pop() ?? this.#slotsEnd++;
    if (slot >= this.#hashes.length) this.#grow();
    if (this.#used + 1 > this.#places.length * LOAD_MAX) this.#rehash();
    this.#used++;
    this.#keyAt[slot] = NOWHERE;
    if (this.#values !== null) this.#valueAt[slot] = NOWHERE;
    this.#hashes[slot] = hash;
    this.#states[slot] = DELETED;
    this.#place(slot);
    this.#keyAt[slot] = this.#keys.add(slot, bytes, start, end);
    return slot;
  }

  #revive(slot: number): void {
    this.#states[slot] = LIVE;
    this.#live++;
    if (this.#values !== null) this.#spilled++;
    this.#order?.add(slot, this.#keys.get(this.#keyAt[slot]!));
  }

  #putValue(slot: number, { bytes, valueStart, valueLength }: Incoming): void {
    // It would drive out all others, and itself in the end.
    if (valueLength > this.#bytesMax / 4) return;
    this.#valueAt[slot] = this.#values!.add(slot, bytes, valueStart, valueStart + valueLength);
    this.#spilled--;
  }

  /** The value in memory is no longer wanted; counts as spilled from here. */
  #dropValue(slot: number): void {
    if (this.#values === null) return;
    const address = this.#valueAt[slot]!;
    if (address === NOWHERE) return;
    this.#valueAt[slot] = NOWHERE;
    this.#values.free(address);
    this.#spilled++;
  }

  #bury(slot: number): void {
    this.#order?.remove(slot, this.#keys.get(this.#keyAt[slot]!));
    this.#states[slot] = DELETED;
    this.#live--;
    if (this.#values !== null) this.#spilled--;
  }

  #remove(slot: number): void {
    this.#unplace(slot);
    const address = this.#keyAt[slot]!;
    this.#states[slot] = FREE;
    this.#keyAt[slot] = NOWHERE;
    this.#keys.free(address);
    this.#freeSlots.push(slot);
    this.#used--;
  }

  #place(slot: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let at = this.#hashes[slot]! & mask;
    while (places[at] !== 0) at = (at + 1) & mask;
    places[at] = slot + 1;
  }

  /** Takes a slot out, and moves up those that were put behind it for want of its place. */
  #unplace(slot: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let hole = this.#hashes[slot]! & mask;
    while (places[hole] !== slot + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; places[at] !== 0; at = (at + 1) & mask) {
      const wanted = this.#hashes[places[at]! - 1]! & mask;
      if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
      places[hole] = places[at]!;
      hole = at;
    }
    places[hole] = 0;
  }

  #rehash(): void {
    this.#places = new Int32Array(this.#places.length * 2);
    for (let slot = 0; slot < this.#slotsEnd; slot++) {
      if (this.#states[slot] !== FREE) this.#place(slot);
    }
  }

  #grow(): void {
    const length = Math.ceil(this.#hashes.length * GROWTH);
    const grown = <A extends Int32Array | Uint32Array | Uint8Array | Float64Array>(
      into: A,
      from: A,
    ) => {
      into.set(from);
      return into;
    };
    this.#hashes = grown(new Int32Array(length), this.#hashes);
    this.#states = grown(new Uint8Array(length), this.#states);
    this.#keyAt = grown(new Uint32Array(length), this.#keyAt);
    if (this.#values !== null) this.#valueAt = grown(new Uint32Array(length), this.#valueAt);
    this.#partitions = grown(new Int32Array(length), this.#partitions);
    this.#offsets = grown(new Float64Array(length), this.#offsets);
    this.#timestamps = grown(new Float64Array(length), this.#timestamps);
  }
}
