// What a coordinator needs of the partition that holds its records: given by the broker, scripted in tests.
// Invariant: appends are committed in the order of their calls.

/** A partition of an internal topic, led by this broker. */
export interface CoordinatorLog {
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly logStartOffset: number;
  /** Exclusive. */
  readonly logEndOffset: number;
  /** Exclusive end of what is committed. */
  readonly highWatermark: number;
  /** Most bytes of one batch (max.message.bytes of the topic). */
  readonly batchBytesMax: number;
  /**
   * Appends one batch and gives it its offsets at once; null when it was refused (the folder is offline, the topic gone).
   * `committed` resolves with whether it ever will be.
   */
  append(
    batch: Uint8Array,
  ): { readonly endOffset: number; readonly committed: Promise<boolean> } | null;
  /** Whole batches from `offset` on, at least one where there is any; empty at the end. Borrowed until `release`. */
  read(
    offset: number,
    bytesMax: number,
  ): Promise<
    | { readonly ok: true; readonly batches: Uint8Array; release(): void }
    | { readonly ok: false; readonly reason: string }
  >;
}
