// What is asked of a table, and what it tells.

import type { CodecChoice } from "../codec.ts";
import type { ProducerOptions } from "../producer_record.ts";

/** How a table is kept. Everything may be left out. */
export interface TableOptions<
  K extends CodecChoice = CodecChoice,
  V extends CodecChoice = CodecChoice,
> {
  /** What keys are. Default "bytes". */
  readonly key?: K;
  /** What values are. Default "bytes". */
  readonly value?: V;
  /**
   * `values` (default): in memory, as many as `bytesMax` has room for; those written longest ago, and
   * those of more than a quarter of it, are read from the log. `offsets`: only keys and places are in memory, and every value is read from the log.
   */
  readonly keep?: "values" | "offsets";
  /** Keys, places and values in memory. Where not even keys and places fit, the table ends with "buffer_full". Default 128 MiB. */
  readonly bytesMax?: number;
  /** Default "read_committed": what was aborted is never seen. */
  readonly isolation?: "read_uncommitted" | "read_committed";
  /** Takes a topic that is not compacted too: its keys go when retention takes their records. Default false. */
  readonly mayBeUncompacted?: boolean;
  /** How long an unknown topic may take to appear, in ms. Default 0. */
  readonly unknownWaitMs?: number;
  /** What one compressed batch may become. Default 256 MiB. */
  readonly batchBytesMax?: number;
  /** Fetched and not yet taken in, compressed as it came. Default 8 MiB. */
  readonly bufferBytesMax?: number;
  /** Of the producer behind `put` and `delete`. */
  readonly producer?: Omit<ProducerOptions, "acks" | "mayCreateTopics">;
}

/** A key's newest record. */
export interface TableEntry<K, V> {
  readonly key: K;
  readonly value: V;
  readonly partition: number;
  readonly offset: number;
  /** -1 for none. */
  readonly timestampMs: number;
}

/** Which keys, in the order of their bytes. */
export interface ScanOptions<K> {
  /** Keys whose bytes begin so. Not beside `from` and `to`. */
  readonly prefix?: K;
  /** Inclusive. */
  readonly from?: K;
  /** Exclusive. */
  readonly to?: K;
  /** At most so many. */
  readonly limit?: number;
  /** The last one first. Default false. */
  readonly reverse?: boolean;
}

/** What to be told of. */
export interface WatchOptions<K> {
  /** One key; every key when this and `prefix` are left out. */
  readonly key?: K;
  /** Keys whose bytes begin so. */
  readonly prefix?: K;
  /** `now` (default): changes from here on; `snapshot`: first what is there, as puts, then "loaded", then changes. */
  readonly from?: "now" | "snapshot";
  /**
   * Of keys and former values that wait to be told, in bytes. Beyond it former values are read from the log; where
   * the keys alone take more, the watch ends with "buffer_full". Default 16 MiB.
   */
  readonly bufferBytesMax?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/** A change of a key, or of several in a row that nobody was there to be told of one by one. */
export type TableChange<K, V> =
  | (TableEntry<K, V> & { readonly type: "put" } & Former<V>)
  | ({ readonly type: "delete"; readonly key: K } & Former<V>)
  /** What was there has been told; only after `from: "snapshot"`. */
  | { readonly type: "loaded" };

export interface Former<V> {
  /** What the key had before, as far as this watch was told; undefined for nothing. */
  readonly old: V | undefined;
  /** False where the key had a value before that nobody can tell any more: compaction has taken it. */
  readonly isOldKnown: boolean;
}

/** What a table is made of just now. */
export interface TableStats {
  /** Keys that have a value. */
  readonly keys: number;
  /** Of them, those whose values are read from the log. */
  readonly inLogOnly: number;
  /** Memory of keys, places and values. */
  readonly bytes: number;
  /** Records taken in so far, tombstones included. */
  readonly records: number;
  /** Records without a key, which are passed over. */
  readonly keyless: number;
  /** By partition: the next offset to be taken in. */
  readonly positions: readonly number[];
}
