// What a coordinator needs of the partition that holds its records: given by the broker, scripted in tests.
// Invariant: appends are committed in the order of their calls.

/** A partition of an internal topic, led by this broker. */
export interface CoordinatorLog {
  readonly partition: number;
  readonly leaderEpoch: number;
  /** False once the folder is offline or the topic is gone: nothing can be appended or loaded any more. */
  readonly isOnline: boolean;
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
  /** Resolves once all that was appended so far, by whomever, is committed (true), or never will be (false). */
  settled(): Promise<boolean>;
  /** Whole batches from `offset` to the high watermark, at least one where there is any. Borrowed until `release`. */
  read(
    offset: number,
    bytesMax: number,
  ): Promise<
    | { readonly ok: true; readonly batches: Uint8Array; release(): void }
    | { readonly ok: false; readonly reason: string }
  >;
}
