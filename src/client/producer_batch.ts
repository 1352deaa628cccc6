// Records on their way to one partition: the batch being filled, those that wait, those under way.
// Invariant: `pending` ascends by `order`, and a batch that failed goes back to its place, so that what is
// sent first is always the oldest; sequences follow the same order.
// Kafka: ProducerBatch, RecordAccumulator's deques, TransactionManager.TopicPartitionEntry.

import { assert } from "../base/assert.ts";
import { sizeOfVarint } from "../base/varint.ts";
import { baseTimestampAt, patchProducer, sequenceAfter } from "../record/batch_header.ts";
import { RecordBatch } from "../record/record_batch.ts";
import { openRecords, type RecordBlock } from "../record/record_block.ts";
import { type BatchOptions, RecordBatchBuilder } from "../record/record_builder.ts";
import { RecordCursor, type RecordHeader } from "../record/record_reader.ts";

/** Where a record has come to lie. */
export interface Delivery {
  readonly topic: string;
  readonly partition: number;
  /** -1 when the broker does not say: with acks 0, or for a duplicate it no longer remembers. */
  readonly offset: number;
  /** The record's, or the broker's where the topic stamps on append; -1 for none. */
  readonly timestampMs: number;
}

/** Who wants to know of one record. */
export interface DeliveryWaiter {
  resolve(delivery: Delivery): void;
  reject(error: unknown): void;
}
/** A record taken out of a batch again. */
export interface UnpackedRecord {
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  readonly waiter: DeliveryWaiter | null;
  /** Whether its partition was named rather than chosen. */
  readonly isNamed: boolean;
}
interface PlacedWaiter {
  readonly waiter: DeliveryWaiter;
  readonly delta: number;
  readonly timestampMs: number;
}

/** What an idempotent producer says of itself. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

type Sequenced = BatchOptions & {
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
};

/** Some records of one partition that live or die together. */
export class ProducerBatch {
  order: number;
  readonly createdMs: number;
  readonly builder: RecordBatchBuilder;
  /** Bytes that count against the producer's memory. */
  chargedBytes = 0;
  attempts = 0;
  /** The broker may have it although it did not say so. */
  mayBeAppended = false;
  /** Its time ran out while it was under way: who waited has been told, and the answer changes nothing. */
  isGivenUp = false;
  bytes: Uint8Array<ArrayBuffer> | null = null;
  lastError: unknown = null;
  readonly #options: Sequenced;
  readonly #waiters: PlacedWaiter[] = [];
  /** Records whose partition was named, where there are any. */
  #named: Set<number> | null = null;
  readonly #settled: (() => void)[] = [];

  constructor(order: number, createdMs: number, options: BatchOptions) {
    this.order = order;
    this.createdMs = createdMs;
    this.#options = { ...options, producerId: -1, producerEpoch: -1, baseSequence: -1 };
    this.builder = new RecordBatchBuilder(this.#options);
  }

  get count(): number {
    return this.builder.count;
  }

  /** Records that have nobody who waits: their failure is told at the next flush. */
  get unwaited(): number {
    return this.count - this.#waiters.length;
  }

  append(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
    waiter: DeliveryWaiter | null,
    isNamed: boolean,
  ): void {
    const delta = this.builder.append(timestampMs, key, value, headers);
    if (isNamed) {
      this.#named ??= new Set();
      this.#named.add(delta);
    }
    if (waiter !== null) this.#waiters.push({ waiter, delta, timestampMs });
  }

  /** The bytes for the wire, under the identity and sequence given; null for a producer without one. */
  seal(identity: ProducerIdentity | null, baseSequence: number): void {
    if (identity !== null) {
      // The builder looks at these when it builds, which saves a second checksum.
      this.#options.producerId = identity.producerId;
      this.#options.producerEpoch = identity.producerEpoch;
      this.#options.baseSequence = baseSequence;
    }
    if (this.bytes === null) this.bytes = this.builder.build();
    else if (identity !== null) {
      const { crc32c } = this.#options;
      patchProducer(this.bytes, 0, this.bytes.length, { ...identity, baseSequence }, crc32c);
    }
  }

  /** @param baseOffset -1 when the broker does not say */
  succeed(topic: string, partition: number, baseOffset: number, logAppendTimeMs: number): void {
    for (const { waiter, delta, timestampMs } of this.#waiters) {
      waiter.resolve({
        topic,
        partition,
        offset: baseOffset < 0 ? -1 : baseOffset + delta,
        timestampMs: logAppendTimeMs < 0 ? timestampMs : logAppendTimeMs,
      });
    }
    for (const tell of this.#settled) tell();
  }

  /**
   * The same records in the same order in smaller batches, sealed: each record keeps its sequence, so that nothing
   * changes for the batches behind, and no part can be taken for another batch. This one is of no use any more.
   *
   * @param sizeBytesMax of a part, before compression; a single record may be larger. Never fewer than two parts.
   */
  split(sizeBytesMax: number): readonly ProducerBatch[] {
    assert(
      this.bytes !== null && this.count > 1,
      "only a sealed batch of several records is split",
    );
    const cursor = this.#cursor();
    const baseTimestampMs = baseTimestampAt(this.bytes!, 0);
    const recordBytes = () => {
      const bodyBytes = cursor.bodyEnd - cursor.bodyStart;
      return sizeOfVarint(bodyBytes) + bodyBytes;
    };
    const parts: ProducerBatch[] = [];
    const sizeBytesHint = Math.min(sizeBytesMax, this.builder.sizeBytes);
    let { chargedBytes } = this;
    let at = 0;
    let placed = 0;
    let hasMore = cursor.next();
    while (hasMore) {
      const options = { ...this.#options, sizeBytesHint };
      const part = new ProducerBatch(this.order + parts.length, this.createdMs, options);
      const first = at;
      // The last record begins a part of its own rather than be the end of an only one.
      const end = parts.length === 0 ? this.count - 1 : this.count;
      do {
        const own = this.#waiters[placed];
        const waiter = own?.delta === at ? own.waiter : null;
        if (waiter !== null) placed++;
        const timestampMs = baseTimestampMs + cursor.timestampDelta;
        const isNamed = this.#named?.has(at) ?? false;
        part.append(timestampMs, cursor.key(), cursor.value(), cursor.headers()!, waiter, isNamed);
        at++;
        hasMore = cursor.next();
      } while (hasMore && at < end && part.builder.sizeBytes + recordBytes() <= sizeBytesMax);
      part.attempts = this.attempts;
      part.lastError = this.lastError;
      part.chargedBytes = Math.floor((this.chargedBytes * part.count) / this.count);
      chargedBytes -= part.chargedBytes;
      const { producerId, producerEpoch, baseSequence } = this.#options;
      const identity = producerId < 0 ? null : { producerId, producerEpoch };
      part.seal(identity, identity === null ? -1 : sequenceAfter(baseSequence, first));
      parts.push(part);
    }
    parts[0]!.chargedBytes += chargedBytes;
    this.becomes(new Set(parts));
    return parts;
  }

  /** Its records are in others now: when these are settled, it is. */
  becomes(batches: ReadonlySet<ProducerBatch>): void {
    let left = batches.size;
    const oneIsSettled = () => {
      if (--left > 0) return;
      for (const tell of this.#settled) tell();
    };
    for (const batch of batches) batch.#settled.push(oneIsSettled);
    if (left === 0) oneIsSettled();
  }

  /** Its records in order, for other batches. This one is of no use any more. */
  unpack(): readonly UnpackedRecord[] {
    if (this.bytes === null) this.seal(null, -1);
    const cursor = this.#cursor();
    const baseTimestampMs = baseTimestampAt(this.bytes!, 0);
    const records: UnpackedRecord[] = [];
    let placed = 0;
    for (let at = 0; cursor.next(); at++) {
      const own = this.#waiters[placed];
      const waiter = own?.delta === at ? own.waiter : null;
      if (waiter !== null) placed++;
      records.push({
        timestampMs: baseTimestampMs + cursor.timestampDelta,
        key: cursor.key(),
        value: cursor.value(),
        headers: cursor.headers()!,
        waiter,
        isNamed: this.#named?.has(at) ?? false,
      });
    }
    return records;
  }

  #cursor(): RecordCursor {
    const sent = new RecordBatch(this.bytes!, 0, this.bytes!.length);
    const block = openRecords(sent, {
      compression: this.#options.compression!,
      sizeBytesMax: this.builder.sizeBytes,
    });
    assert(typeof block !== "string", `a batch of our own cannot be read: ${block}`);
    return new RecordCursor(block as RecordBlock);
  }

  fail(error: unknown): void {
    for (const { waiter } of this.#waiters) waiter.reject(error);
    for (const tell of this.#settled) tell();
  }

  /** Resolves when the batch has succeeded or failed. */
  whenSettled(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled.push(resolve);
    });
  }
}

/** The batches of one partition. */
export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  /** The batch that takes records, the last in order; null when there is none. */
  open: ProducerBatch | null = null;
  readonly pending: ProducerBatch[] = [];
  readonly inFlight: ProducerBatch[] = [];
  nextOrder = 0;
  /** The last in order that was acknowledged: what stands before it and is not there has been overtaken. */
  ackedOrder = -1;
  /** The topic that the sequences belong to; null while unknown. */
  topicId: string | null = null;
  /** Attempts in a row that failed, and when the next may be made. */
  failures = 0;
  retryAtMs = 0;
  identity: ProducerIdentity | null = null;
  nextSequence = 0;
  /** The broker has acknowledged a batch under this identity: from then on it insists on the order of sequences. */
  isIdentityKnown = false;
  /** Sequences have a hole, or the broker has forgotten them: a new identity is needed. */
  needsIdentity = true;
  isGettingIdentity = false;
  /** Batches that wait to be split: nothing is sent before. */
  splitting = 0;
  /** Bytes of the last full batch: what the next one reserves. */
  sizeBytesHint = 0;

  readonly #onClosed: () => void;

  /** @param onClosed the open batch takes no more */
  constructor(topic: string, partition: number, onClosed: () => void) {
    this.topic = topic;
    this.partition = partition;
    this.#onClosed = onClosed;
  }

  get isIdle(): boolean {
    return this.open === null && this.pending.length === 0 && this.inFlight.length === 0;
  }

  /** Whether the oldest batch was sent before. */
  get isRetrying(): boolean {
    return (
      (this.pending[0]?.attempts ?? 0) > 0 || this.inFlight.some(({ attempts }) => attempts > 1)
    );
  }

  /** Ends the open batch: it waits to be sent. */
  close(): void {
    if (this.open === null) return;
    this.sizeBytesHint = this.open.builder.sizeBytes;
    this.pending.push(this.open);
    this.open = null;
    this.#onClosed();
  }

  /** The batch at the head goes under way, with its sequence when it has none yet. */
  take(): ProducerBatch {
    const batch = this.pending.shift()!;
    if (batch.bytes === null) {
      batch.seal(this.identity, this.nextSequence);
      if (this.identity !== null) this.nextSequence = sequenceAfter(this.nextSequence, batch.count);
    }
    batch.attempts++;
    this.inFlight.push(batch);
    return batch;
  }

  /** No longer under way. */
  landed(batch: ProducerBatch): void {
    const at = this.inFlight.indexOf(batch);
    if (at >= 0) this.inFlight.splice(at, 1);
  }

  /** Back to its place among those that wait. */
  requeue(batch: ProducerBatch): void {
    let at = 0;
    while (at < this.pending.length && this.pending[at]!.order < batch.order) at++;
    this.pending.splice(at, 0, batch);
  }

  /** A batch that waits gives its place to its parts. */
  replace(batch: ProducerBatch, parts: readonly ProducerBatch[]): void {
    this.pending.splice(this.pending.indexOf(batch), 1, ...parts);
    const more = parts.length - 1;
    this.nextOrder += more;
    if (this.ackedOrder > batch.order) this.ackedOrder += more;
    const rest = [...this.inFlight, ...this.pending, ...(this.open === null ? [] : [this.open])];
    for (const each of rest) {
      if (each.order > batch.order && !parts.includes(each)) each.order += more;
    }
  }

  /** Whether no older batch is unsettled. */
  isOldest(batch: ProducerBatch): boolean {
    const isOlder = (other: ProducerBatch) => other.order < batch.order;
    return !this.inFlight.some(isOlder) && !this.pending.some(isOlder);
  }

  /** A topic of the same name that was made again knows none of our sequences. */
  belongsTo(topicId: string): void {
    if (this.topicId !== null && this.topicId !== topicId && this.identity !== null) {
      this.needsIdentity = true;
    }
    this.topicId = topicId;
  }

  /** Takes out everything, for other partitions: this one is there no more. */
  takeAll(): readonly ProducerBatch[] {
    this.close();
    this.identity = null;
    this.needsIdentity = true;
    this.isIdentityKnown = false;
    return this.pending.splice(0);
  }

  /** Takes out those that wait and that a later one has overtaken: under new sequences they would lie behind it. */
  takeOvertaken(): readonly ProducerBatch[] {
    let count = 0;
    while (count < this.pending.length && this.pending[count]!.order < this.ackedOrder) count++;
    return this.pending.splice(0, count);
  }

  /** Begins the sequences anew: what waits and was sealed before gets its place in the new ones. */
  renew(identity: ProducerIdentity): void {
    this.identity = identity;
    this.needsIdentity = false;
    this.isIdentityKnown = false;
    this.nextSequence = 0;
    for (const batch of this.pending) {
      if (batch.bytes === null) continue;
      batch.seal(identity, this.nextSequence);
      this.nextSequence = sequenceAfter(this.nextSequence, batch.count);
    }
  }
}
