// An immutable map with cheap next versions: the newest version owns one real Map, each older one only
// what the next changed. Invariant: a version never shows another content than it was made with, except
// to an iterator that was left open while a newer version was made. Method: Baker's shallow binding.

const ABSENT = Symbol("absent");

/**
 * A ReadonlyMap of which `with` and `without` make the next version in O(1). Reading the newest version
 * costs one Map look-up; an older one first walks the changes made since. Old versions are not kept alive.
 */
export class VersionedMap<V> implements ReadonlyMap<string, V> {
  /** The real map, in the newest version only. */
  #map: Map<string, V> | null;
  #next: VersionedMap<V> | null = null;
  /** What this version has differently from #next. */
  #key = "";
  #value: V | typeof ABSENT = ABSENT;
  readonly size: number;

  /** Takes ownership of `map`. */
  constructor(map: Map<string, V> = new Map<string, V>()) {
    this.#map = map;
    this.size = map.size;
  }

  /** The next version, with `key` set. */
  with(key: string, value: V): VersionedMap<V> {
    const map = this.#take();
    this.#key = key;
    this.#value = map.has(key) ? map.get(key)! : ABSENT;
    map.set(key, value);
    return this.#handOn(map);
  }

  /** The next version, without `key`; this one when it has no such key. */
  without(key: string): VersionedMap<V> {
    if (!this.has(key)) return this;
    const map = this.#take();
    this.#key = key;
    this.#value = map.get(key)!;
    map.delete(key);
    return this.#handOn(map);
  }

  get(key: string): V | undefined {
    if (this.#map !== null) return this.#map.get(key);
    let version: VersionedMap<V> = this;
    while (version.#map === null) {
      if (version.#key === key) return version.#value === ABSENT ? undefined : version.#value;
      version = version.#next!;
    }
    return version.#map.get(key);
  }

  has(key: string): boolean {
    if (this.#map !== null) return this.#map.has(key);
    let version: VersionedMap<V> = this;
    while (version.#map === null) {
      if (version.#key === key) return version.#value !== ABSENT;
      version = version.#next!;
    }
    return version.#map.has(key);
  }

  forEach(callback: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this.#content()) callback(value, key, this);
  }

  entries(): MapIterator<[string, V]> {
    return this.#content().entries();
  }

  keys(): MapIterator<string> {
    return this.#content().keys();
  }

  values(): MapIterator<V> {
    return this.#content().values();
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  /** The map to build the next version in: a copy where this is not the newest. */
  #take(): Map<string, V> {
    if (this.#map !== null) return this.#map;
    // A branch off an old version: it keeps what it is, and becomes the owner of a copy.
    this.#map = this.#content();
    this.#next = null;
    return this.#map;
  }

  #handOn(map: Map<string, V>): VersionedMap<V> {
    const next = new VersionedMap<V>(map);
    this.#map = null;
    this.#next = next;
    return next;
  }

  /** The content as one Map: the real one, or a copy for an older version. */
  #content(): Map<string, V> {
    if (this.#map !== null) return this.#map;
    const changes: VersionedMap<V>[] = [];
    let version: VersionedMap<V> = this;
    while (version.#map === null) {
      changes.push(version);
      version = version.#next!;
    }
    const copy = new Map(version.#map);
    for (let i = changes.length - 1; i >= 0; i--) {
      const change = changes[i]!;
      if (change.#value === ABSENT) copy.delete(change.#key);
      else copy.set(change.#key, change.#value);
    }
    return copy;
  }
}
