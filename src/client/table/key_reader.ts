// What keys have, out of memory or out of the log, wherever it is.
// Invariant: what is told was the key's newest record at some moment after the question; a record that compaction has
// taken is not an error but a sign that there is a newer one, which is then told.
// Kafka: ReadOnlyKeyValueStore.get.

import { ClientError } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import type { KeyStore, Place } from "./key_store.ts";
import type { FoundRecord, RecordLookup } from "./record_lookup.ts";
import type { TableEntry } from "./table_options.ts";
import type { TableReader } from "./table_reader.ts";

/** A key's record with its value, as bytes that are the caller's. */
export interface Stored extends Place {
  readonly value: Uint8Array;
}

/** From bytes to what the program has. */
export interface Decoder<K, V> {
  key(bytes: Uint8Array): K;
  value(bytes: Uint8Array): V;
  entry(key: Uint8Array, stored: Stored): TableEntry<K, V>;
}

/** A key that is asked for, and where in the answer it goes. */
interface Wanted {
  readonly index: number;
  readonly key: Uint8Array;
}

/** One that is still looked for, and where it is said to be. */
interface Missing extends Wanted {
  readonly place: Place;
}

/** So often a place may turn out to be old, before something else must be wrong. */
const ROUNDS_MAX = 100;

export class KeyReader {
  readonly #context: ClientContext;
  readonly #store: KeyStore;
  readonly #lookup: RecordLookup;
  readonly #reader: TableReader;

  constructor(context: ClientContext, store: KeyStore, lookup: RecordLookup, reader: TableReader) {
    this.#context = context;
    this.#store = store;
    this.#lookup = lookup;
    this.#reader = reader;
  }

  /** What a key has; null for nothing. @throws {ClientError} what reading the log throws */
  async read(key: Uint8Array): Promise<Stored | null> {
    return (await this.readAll([key]))[0]!;
  }

  /** What several keys have, in order. */
  async readAll(keys: readonly Uint8Array[]): Promise<readonly (Stored | null)[]> {
    const found: (Stored | null)[] = new Array(keys.length).fill(null);
    const wanted = keys.map((key, index) => ({ index, key }));
    let missing = this.#fromMemory(wanted, found);
    for (let round = 0; missing.length > 0; round++) {
      if (round === ROUNDS_MAX) {
        const { partition, offset } = missing[0]!.place;
        const text = `A record that should be at offset ${offset} of partition ${partition} is not there`;
        throw new ClientError("unknown_server_error", text);
      }
      const gone = await this.#fromLog(missing, found);
      if (gone.length === 0) break;
      await this.#passBy(gone);
      missing = this.#fromMemory(gone, found);
    }
    return found;
  }

  /** The value that lay at a place; null when it is not there any more. */
  async readAt(key: Uint8Array, { partition, offset }: Place): Promise<Uint8Array | null> {
    const record = (await this.#lookup.read(partition, [offset])).get(offset);
    return record !== undefined && isOf(key, record) ? record.value!.slice() : null;
  }

  /** Fills in what is in memory. @returns those that are in the log alone; what has no value stays null */
  #fromMemory(wanted: readonly Wanted[], found: (Stored | null)[]): readonly Missing[] {
    const store = this.#store;
    const missing: Missing[] = [];
    for (const { index, key } of wanted) {
      const slot = store.find(key);
      if (slot < 0) continue;
      const place = store.placeOf(slot);
      const value = store.valueOf(slot);
      if (value === null) missing.push({ index, key, place });
      else found[index] = { ...place, value: value.slice() };
    }
    return missing;
  }

  /** Reads a partition's records in the order of their offsets. @returns those that are not there */
  async #fromLog(
    missing: readonly Missing[],
    found: (Stored | null)[],
  ): Promise<readonly Missing[]> {
    const partitions = new Map<number, Missing[]>();
    for (const each of missing) {
      const own = partitions.get(each.place.partition) ?? [];
      partitions.set(each.place.partition, own);
      own.push(each);
    }
    const gone: Missing[] = [];
    const read = async ([partition, own]: [number, Missing[]]) => {
      own.sort((a, b) => a.place.offset - b.place.offset);
      const offsets = own.map(({ place }) => place.offset);
      const records = await this.#lookup.read(partition, offsets);
      for (const each of own) {
        const record = records.get(each.place.offset);
        if (record === undefined || !isOf(each.key, record)) gone.push(each);
        else found[each.index] = { ...each.place, value: record.value!.slice() };
      }
    };
    await Promise.all([...partitions].map(read));
    return gone;
  }

  /** Compaction goes only by what is decided: the newer record, or the tombstone, lies before the end. */
  async #passBy(gone: readonly Missing[]): Promise<void> {
    const partitions = new Set(gone.map(({ place }) => place.partition));
    const { timeoutMs } = this.#context;
    await this.#reader.catchUp([...partitions], timeoutMs);
    for (const { key, place } of gone) {
      const slot = this.#store.find(key);
      // Nothing newer, and the record is gone: so is the tombstone that took it, or retention did.
      if (slot >= 0 && this.#store.isAt(slot, place)) this.#store.drop(slot);
    }
  }
}

function isOf(key: Uint8Array, record: FoundRecord): boolean {
  if (record.value === null || record.key?.length !== key.length) return false;
  for (let i = 0; i < key.length; i++) if (record.key[i] !== key[i]) return false;
  return true;
}
