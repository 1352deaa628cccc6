// The batch that a shard's decisions of one turn go into, and the answers that wait for it.
// Invariant: a decision's records are in one batch unless they may be split; no batch passes its bound.

import type { Crc32c, Runtime } from "../../../contracts/runtime.ts";
import { BATCH_HEADER_BYTES } from "../../../record/batch_header.ts";
import type { Codec } from "../../../record/compression.ts";
import { RecordBatchBuilder } from "../../../record/record_builder.ts";
import type { PendingReply } from "./pending_replies.ts";

/** Attributes, deltas and lengths of a record at their largest: 4 varints of 5 bytes, one of 10, and 2 bytes. */
const RECORD_OVERHEAD_BYTES = 32;

export interface EncodedRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Most bytes that a record takes in a batch that is not compressed. */
export function recordBytesMax({ key, value }: EncodedRecord): number {
  return key.length + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
}

export class AppendBatch {
  readonly #builder: RecordBatchBuilder;
  readonly #answers: { readonly reply: PendingReply; readonly response: unknown }[] = [];

  constructor(codec: Codec, runtime: Runtime) {
    const crc32c: Crc32c | undefined = runtime.crc32c;
    this.#builder = new RecordBatchBuilder({
      codec,
      compression: runtime.compression,
      ...(crc32c === undefined ? {} : { crc32c }),
    });
  }

  get count(): number {
    return this.#builder.count;
  }

  /** Whether `sizeBytes` more fit into a batch of `batchBytesMax`. */
  hasRoom(sizeBytes: number, batchBytesMax: number): boolean {
    return this.#builder.sizeBytes + sizeBytes <= batchBytesMax;
  }

  append(record: EncodedRecord, wallMs: number): void {
    this.#builder.append(wallMs, record.key, record.value);
  }

  build(): Uint8Array {
    return this.#builder.build();
  }

  /** The answer is given once this batch is committed. */
  park(reply: PendingReply, response: unknown): void {
    this.#answers.push({ reply, response });
  }

  giveAnswers(): void {
    for (const { reply, response } of this.#answers) reply.answer(response);
    this.#answers.length = 0;
  }
}

/**
 * How far records may fill a batch that takes `batchBytesMax` bytes at most. What cannot be compressed grows a little: by
 * less than a hundredth with every codec.
 */
export function plainBytesMax(batchBytesMax: number, codec: Codec): number {
  return codec === "none" ? batchBytesMax : batchBytesMax - Math.ceil(batchBytesMax / 64) - 64;
}

/** Whether records of that size fit into an empty batch. */
export function fitsBatch(sizeBytes: number, batchBytesMax: number): boolean {
  return BATCH_HEADER_BYTES + sizeBytes <= batchBytesMax;
}
