// The batch that a shard's decisions of one turn go into, and the answers that wait for it.
// Invariant: a decision's records are in one batch unless they may be split; no batch passes its bound; what belongs to a
// transaction shares a batch with nothing else.

import type { Crc32c, Runtime } from "../../../contracts/runtime.ts";
import { BATCH_HEADER_BYTES } from "../../../record/batch_header.ts";
import type { Codec } from "../../../record/compression.ts";
import { RecordBatchBuilder } from "../../../record/record_builder.ts";
import type { PendingReply } from "./pending_replies.ts";
import type { Producer } from "./shard.ts";

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

/** Answers to what rests on something appended, and what follows from it, until that is committed. */
export class ParkedAnswers {
  readonly #answers: { readonly reply: PendingReply; readonly response: unknown }[] = [];
  readonly #followUps: (() => void)[] = [];

  park(reply: PendingReply, response: unknown): void {
    this.#answers.push({ reply, response });
  }

  /** Runs once the answers are given. */
  afterwards(followUp: () => void): void {
    this.#followUps.push(followUp);
  }

  give(): void {
    for (const { reply, response } of this.#answers) reply.answer(response);
    this.#answers.length = 0;
    for (const followUp of this.#followUps.splice(0)) followUp();
  }
}

export class AppendBatch {
  /** Given once this batch is committed. */
  readonly answers = new ParkedAnswers();
  /** Run once it is appended. */
  readonly followUps: (() => void)[] = [];
  readonly #builder: RecordBatchBuilder;

  /** @param producer Whose transaction it is part of; null: of none. */
  constructor(codec: Codec, runtime: Runtime, producer: Producer | null) {
    const crc32c: Crc32c | undefined = runtime.crc32c;
    this.#builder = new RecordBatchBuilder({
      codec,
      compression: runtime.compression,
      // Coordinators count no sequences: Kafka's write 0.
      ...(producer === null ? {} : { ...producer, baseSequence: 0, isTransactional: true }),
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
