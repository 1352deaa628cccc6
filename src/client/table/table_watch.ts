// Changes of keys, told one after another to somebody who may be slow: a key that changes again before it was told
// is told once, with what it has by then.
// Invariant: what waits is keys, and former values as far as there is room; what a key has is looked up when its turn
// comes, so the newest value always arrives. What is told as `old` is what was told as `value` before.
// Kafka: none (NATS KV's watchers, Kafka Streams' caches).

import { ClientError } from "../client_error.ts";
import type { Decoder, KeyReader, Stored } from "./key_reader.ts";
import type { Incoming, KeyStore, Place } from "./key_store.ts";
import type { TableChange, WatchOptions } from "./table_options.ts";

/** What a watch needs of its table. */
export interface Watched<K, V> {
  readonly store: KeyStore;
  readonly reader: KeyReader;
  readonly decoder: Decoder<K, V>;
  readonly ready: Promise<void>;
}

/** A key that has changed and waits to be told. */
interface Waiting {
  readonly key: Uint8Array;
  /** Of what it had when it was told last, or when the watch began; null for nothing. */
  oldPlace: Place | null;
  /** The value itself, while there is room for it. */
  oldValue: Uint8Array | null;
}

const BUFFER_BYTES_MAX = 16 * 1024 * 1024;
/** About what one that waits takes beside its bytes. */
const WAITING_BYTES = 160;
const CHUNK_KEYS = 64;

/** Made by `Table.watch`. Iterate it once; leaving the loop closes it. */
export class TableWatch<K, V> implements AsyncIterable<TableChange<K, V>> {
  readonly #table: Watched<K, V>;
  readonly #prefix: Uint8Array;
  readonly #isOneKey: boolean;
  readonly #bufferBytesMax: number;
  readonly #onClose: (self: TableWatch<K, V>) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.close();
  /** By the key's bytes as text, in the order of the first change. */
  readonly #waiting = new Map<string, Waiting>();
  #waitingBytes = 0;
  /** Keys up to here, inclusive, were told as what is there; null once all were. */
  #snapshotAt: Uint8Array | "start" | null;
  #isOn = false;
  #isIterated = false;
  #isClosed = false;
  #failure: unknown = null;
  #wake: (() => void) | null = null;

  /** Made by `Table.watch`. */
  constructor(
    table: Watched<K, V>,
    options: WatchOptions<K>,
    which: { readonly bytes: Uint8Array; readonly isOneKey: boolean },
    onClose: (self: TableWatch<K, V>) => void,
  ) {
    this.#table = table;
    this.#prefix = which.bytes;
    this.#isOneKey = which.isOneKey;
    this.#bufferBytesMax = options.bufferBytesMax ?? BUFFER_BYTES_MAX;
    this.#snapshotAt = options.from === "snapshot" ? "start" : null;
    this.#onClose = onClose;
    this.#signal = options.signal;
    table.ready.then(
      () => {
        this.#isOn = true;
      },
      () => {},
    );
    if (options.signal?.aborted === true) this.#isClosed = true;
    else options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws {ClientError} what ended the table; "buffer_full" when more keys wait than there is room for */
  async *[Symbol.asyncIterator](): AsyncGenerator<TableChange<K, V>, void, undefined> {
    if (this.#isIterated) throw new ClientError("closed", "A watch is iterated once");
    this.#isIterated = true;
    try {
      if (this.#isClosed) return;
      await this.#table.ready;
      if (this.#snapshotAt !== null) yield* this.#snapshot();
      for (;;) {
        if (this.#failure !== null) throw this.#failure;
        if (this.#isClosed) return;
        const change = await this.#next();
        if (change !== null && !this.#isClosed) yield change;
      }
    } catch (error) {
      // Closing is how an endless iteration is ended.
      if (!this.#isClosed || this.#failure !== null) throw error;
    } finally {
      this.close();
    }
  }

  /** Ends the iteration. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#waiting.clear();
    this.#onClose(this);
    this.#rouse();
  }

  /** Ends the iteration with an error. */
  fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#failure ??= error;
    this.#waiting.clear();
    this.#rouse();
  }

  /** A key is about to change. */
  onChange(slot: number, _record: Incoming | null): void {
    const { store } = this.#table;
    if (!this.#isOn || this.#failure !== null || this.#isBehindSnapshot(slot)) return;
    if (this.#isOneKey ? !store.hasKey(slot, this.#prefix) : !store.startsWith(slot, this.#prefix))
      return;
    const key = store.keyOf(slot);
    const id = textOf(key);
    if (this.#waiting.has(id)) return;
    const isThere = store.isLive(slot);
    const oldValue = isThere ? (store.valueOf(slot)?.slice() ?? null) : null;
    this.#waiting.set(id, { key, oldPlace: isThere ? store.placeOf(slot) : null, oldValue });
    this.#waitingBytes += bytesOf(key, oldValue);
    if (this.#waitingBytes > this.#bufferBytesMax) this.#shed();
    this.#rouse();
  }

  /** What the snapshot still comes to needs not be told before. */
  #isBehindSnapshot(slot: number): boolean {
    const at = this.#snapshotAt;
    if (at === null) return false;
    return at === "start" || this.#table.store.compareKey(slot, at) > 0;
  }

  /** Former values are in the log as well; keys are nowhere else. */
  #shed(): void {
    this.#waitingBytes = 0;
    for (const waiting of this.#waiting.values()) {
      waiting.oldValue = null;
      this.#waitingBytes += bytesOf(waiting.key, null);
    }
    if (this.#waitingBytes <= this.#bufferBytesMax) return;
    const text = `A watch is too slow: ${this.#waiting.size} changed keys take more than ${this.#bufferBytesMax} bytes: raise bufferBytesMax`;
    this.fail(new ClientError("buffer_full", text));
  }

  async *#snapshot(): AsyncGenerator<TableChange<K, V>, void, undefined> {
    const { store, reader } = this.#table;
    const to = this.#isOneKey ? following(this.#prefix) : afterPrefix(this.#prefix);
    let from = this.#prefix;
    for (;;) {
      const slots = store.order.range(from, to, CHUNK_KEYS, false);
      if (slots.length === 0) break;
      const keys = slots.map((slot) => store.keyOf(slot));
      const last = keys[keys.length - 1]!;
      this.#snapshotAt = last;
      from = following(last);
      const stored = await reader.readAll(keys);
      for (const [i, key] of keys.entries()) {
        if (this.#failure !== null) throw this.#failure;
        if (this.#isClosed) return;
        const found = stored[i]!;
        this.#told(key, found);
        if (found !== null) yield this.#put(key, found, undefined, true);
      }
    }
    this.#snapshotAt = null;
    yield { type: "loaded" };
  }

  async #next(): Promise<TableChange<K, V> | null> {
    const first = this.#waiting.entries().next();
    if (first.done === true) {
      this.#waitingBytes = 0;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      return null;
    }
    const [id, waiting] = first.value;
    const { key, oldPlace, oldValue } = waiting;
    this.#waiting.delete(id);
    this.#waitingBytes -= bytesOf(key, oldValue);
    const { reader, decoder } = this.#table;
    const former = oldValue ?? (oldPlace === null ? null : await reader.readAt(key, oldPlace));
    const found = await reader.read(key);
    this.#told(key, found);
    const isOldKnown = oldPlace === null || former !== null;
    const old = former === null ? undefined : decoder.value(former);
    if (found !== null) return this.#put(key, found, old, isOldKnown);
    // It came and went.
    if (oldPlace === null) return null;
    return { type: "delete", key: decoder.key(key), old, isOldKnown };
  }

  /** What is about to be told of a key may be newer than a change of it that came meanwhile. */
  #told(key: Uint8Array, found: Stored | null): void {
    const id = textOf(key);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waitingBytes -= bytesOf(key, waiting.oldValue);
    const { store } = this.#table;
    const slot = store.find(key);
    const isNewest = found === null ? slot < 0 : slot >= 0 && store.isAt(slot, found);
    if (isNewest) {
      this.#waiting.delete(id);
      return;
    }
    waiting.oldPlace = found;
    waiting.oldValue = found?.value ?? null;
    this.#waitingBytes += bytesOf(key, waiting.oldValue);
  }

  #put(key: Uint8Array, found: Stored, old: V | undefined, isOldKnown: boolean): TableChange<K, V> {
    const { decoder } = this.#table;
    return { type: "put", ...decoder.entry(key, found), old, isOldKnown };
  }

  #rouse(): void {
    this.#wake?.();
    this.#wake = null;
  }
}

/** The first key behind those that begin with `prefix`; null when there is none. */
export function afterPrefix(prefix: Uint8Array): Uint8Array | null {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return null;
  const next = prefix.slice(0, length);
  next[length - 1]!++;
  return next;
}

/** The first key behind `key`. */
export function following(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function bytesOf(key: Uint8Array, value: Uint8Array | null): number {
  return WAITING_BYTES + key.length * 2 + (value?.length ?? 0);
}

/** A character a byte. */
function textOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
