// What a coordinator needs of the partition that holds its records: given by the broker, scripted in tests.
// Invariant: appends are committed in the order of their calls.

import type { KafkaErrorName } from "../../../protocol/errors.ts";
import type { Producer, TransactionEnd } from "./shard.ts";

/** A marker as it is to be written. Kafka: TxnMarkerEntry; transaction/ports.ts has it as TransactionMarker. */
export interface EndMarker extends TransactionEnd {
  readonly coordinatorEpoch: number;
  /** 2: the epoch has to be newer than that of the batches it ends. */
  readonly transactionVersion: number;
}

/** What was appended, and has its offsets. */
export interface AppendedToLog {
  readonly endOffset: number;
  /** Resolves with whether it ever will be committed. */
  readonly committed: Promise<boolean>;
}

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
   * One that is transactional opens its producer's transaction here, unless it is open; `refusalOf` was asked before.
   */
  append(batch: Uint8Array): AppendedToLog | null;
  /** Appends a marker, whether the producer has anything open here or not; `refusalOfMarker` was asked before. */
  appendMarker(marker: EndMarker): AppendedToLog | null;
  /** Why a transactional batch of that producer would be refused now; null when it would not. */
  refusalOf(producer: Producer): KafkaErrorName | null;
  /** Why the marker would be refused now; null when it would not. */
  refusalOfMarker(marker: EndMarker): KafkaErrorName | null;
  /** Whether the producer has a transaction open in this partition, under that epoch. */
  isOpen(producer: Producer): boolean;
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
