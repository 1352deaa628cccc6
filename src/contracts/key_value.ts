// The small store under storage-kv and its metadata store: ordered keys, values of bytes, commits that are
// all or nothing. SQLite is one, a Durable Object's storage another. It knows nothing of segments or topics.

/** What one store can take in one commit. */
export interface KeyValueBounds {
  /** Largest value, in bytes. */
  readonly valueBytesMax: number;
  /** Most operations in one commit. */
  readonly operationsMax: number;
  /** Most bytes of keys and values in one commit. */
  readonly commitBytesMax: number;
}

/** One step of a commit, done in the order given. */
export type KeyValueOperation =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: "remove"; readonly key: string }
  /** Every key from `from` (inclusive) to `to` (exclusive). */
  | { readonly kind: "remove_range"; readonly from: string; readonly to: string };

/** A condition of a commit: the value that the key must have, byte for byte; null: none. */
export interface KeyValueCheck {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A key and its value. */
export interface KeyValueEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Which entries of a range to list: ascending by the bytes of the key. */
export interface KeyValueRange {
  /** Inclusive. */
  readonly from: string;
  /** Exclusive. */
  readonly to: string;
  readonly limit: number;
  /** Greatest key first. Default false. */
  readonly reverse?: boolean;
}

/**
 * Keys are ASCII without control characters, at most 512 characters. Every failure is a StorageError; after
 * "io" or "full" from commit or sync, nothing committed since the last sync may be trusted again: the store
 * takes no more commits and no more syncs, and still answers reads.
 * Answers come as plain values where the store can answer at once: callers look at the type on hot paths.
 * It need not keep a second opener out: who needs that commits with a check (see storage-kv's owner key).
 */
export interface KeyValueStore {
  readonly bounds: KeyValueBounds;
  /** The caller owns the bytes. Null: there is no such key. */
  get(key: string): Uint8Array | null | Promise<Uint8Array | null>;
  /** A page of entries; shorter than `limit` only at the end of the range. */
  list(range: KeyValueRange): readonly KeyValueEntry[] | Promise<readonly KeyValueEntry[]>;
  /** As `list`, keys and sizes of values alone. */
  listSizes(
    range: KeyValueRange,
  ):
    | readonly { readonly key: string; readonly sizeBytes: number }[]
    | Promise<readonly { readonly key: string; readonly sizeBytes: number }[]>;
  /**
   * Does all operations, or none: at once for every reader, and after a crash too. Not yet durable: see `sync`.
   * Values are not looked at any more once it has returned (or resolved). A process that is killed loses no
   * commit that had returned, where the store can: then only a power loss needs `sync`.
   *
   * @returns false, and nothing is done, when a check does not hold as things stood before the first operation
   */
  commit(
    operations: readonly KeyValueOperation[],
    checks?: readonly KeyValueCheck[],
  ): boolean | Promise<boolean>;
  /** Once it resolves, every commit that had returned before the call survives a crash of the machine. Commits survive in order. */
  sync(): Promise<void>;
  /** Syncs nothing. Later calls fail with "closed". */
  close(): Promise<void>;
}
