// Takes records, gathers them into batches by partition, and says where each has come to lie.
// Invariant: records of one partition keep the order of the calls; what waits and is under way stays within
// `bufferBytesMax`, and callers beyond it wait in line.
// Kafka: KafkaProducer, RecordAccumulator.

import type { Timer } from "../contracts/runtime.ts";
import { aborted, ClientError } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import {
  type Delivery,
  type DeliveryWaiter,
  PartitionQueue,
  ProducerBatch,
} from "./producer_batch.ts";
import { ProducerLine } from "./producer_line.ts";
import {
  bytesOf,
  faultOf,
  headersOf,
  type ProducerOptions,
  type ProducerRecord,
  type ProducerStats,
  RECORD_OVERHEAD_BYTES,
  sizeOf,
} from "./producer_record.ts";
import { ProducerSender, type SenderTransaction } from "./producer_sender.ts";
import { type ProducerSettings, producerSettings } from "./producer_settings.ts";
import { learn, newTopic, type TopicState, topicRules } from "./producer_topic.ts";

/** After these, what is known of a topic is no longer true. */
const OUTDATED: ReadonlySet<string> = new Set([
  "message_too_large",
  "record_list_too_large",
  "unknown_topic_or_partition",
  "unknown_topic_id",
]);

/** What transactions add to a producer. */
export interface ProducerTransaction extends SenderTransaction {
  /** Why no record is taken now; null in a transaction that is well. */
  refusal(): ClientError | null;
}

/** Made by `Client.producer`. Send, or enqueue and flush. */
export class Producer {
  readonly #context: ClientContext;
  readonly #options: ProducerSettings;
  readonly #sender: ProducerSender;
  readonly #transaction: ProducerTransaction | null;
  readonly #topics = new Map<string, TopicState>();
  readonly #batches = new Set<ProducerBatch>();
  readonly #onClose: () => void;
  /** While records are placed anew: the batches that took them. */
  #filled: Set<ProducerBatch> | null = null;
  #bufferedBytes = 0;
  #waitingBytes = 0;
  #lineTimer: Timer | null = null;
  /** The first failure of a record that nobody waits for, and how many there were, since the last flush. */
  #failure: ClientError | null = null;
  #untold = 0;
  #closing: Promise<void> | null = null;
  #isClosed = false;
  #records = 0;
  #delivered = 0;
  #failed = 0;
  #bytes = 0;

  /** Made by `Client.producer`. */
  constructor(
    context: ClientContext,
    options: ProducerOptions,
    onClose: () => void,
    transaction: ProducerTransaction | null = null,
  ) {
    this.#context = context;
    this.#transaction = transaction;
    this.#onClose = onClose;
    this.#options = producerSettings(options);
    const { acks, idempotent } = this.#options;
    this.#sender = new ProducerSender(context, {
      acks: acks === "all" ? -1 : acks,
      isIdempotent: idempotent,
      lingerMs: this.#options.lingerMs,
      deliveryTimeoutMs: this.#options.deliveryTimeoutMs,
      requestBytesMax: this.#options.requestBytesMax,
      inFlightMax: this.#options.inFlightMax,
      versionMin: this.#options.compression === "zstd" ? 7 : 3,
      transaction,
      isCrowded: () =>
        this.#waitingBytes > 0 && this.#bufferedBytes >= this.#options.bufferBytesMax,
      batchBytesMaxOf: async (name) => {
        const topic = this.#topics.get(name);
        if (topic !== undefined) await this.#load(topic);
        return topic?.batchBytesMax ?? this.#options.batchBytesMax;
      },
      onMissing: (queue) => this.#missing(queue),
      onSplit: (batch, parts) => {
        this.#batches.delete(batch);
        for (const part of parts) this.#batches.add(part);
      },
      onSettled: (queue, batch, error) => this.#settled(queue, batch, error),
    });
  }

  get stats(): ProducerStats {
    return {
      records: this.#records,
      delivered: this.#delivered,
      failed: this.#failed,
      bytes: this.#bytes,
    };
  }

  /**
   * Sends a record and says where it lies.
   *
   * @param options `signal` ends the waiting: a record without a place yet is not sent; one that is in a batch
   *   already may be delivered all the same
   * @throws {ClientError} "message_too_large", "unknown_topic_or_partition", "request_timed_out", …;
   *   "buffer_full" after `bufferWaitMsMax` without room, or when twice `bufferBytesMax` wait already because
   *   nobody awaited; "aborted"
   */
  send(
    record: ProducerRecord,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Delivery> {
    const { signal } = options;
    const sent =
      signal === undefined
        ? new Promise<Delivery>((resolve, reject) => {
            this.#add(record, { resolve, reject })?.catch(reject);
          })
        : this.#sendUntil(record, signal);
    // Whoever does not wait for it is told by the commit.
    if (this.#transaction !== null) sent.catch(() => {});
    return sent;
  }

  /**
   * Sends records, waiting for room where there is none, and says where each lies, in the order given: one
   * promise for all of them. They are not one transaction: when it rejects, some may have been delivered.
   *
   * @throws {ClientError} the first failure; what was not taken by then is not sent
   */
  async sendAll(
    records: readonly ProducerRecord[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<readonly Delivery[]> {
    const { signal } = options;
    if (!Array.isArray(records)) {
      const text = `sendAll wants a list of records: found ${records}`;
      const fault = new ClientError("invalid_record", text);
      this.#transaction?.lost(fault);
      throw fault;
    }
    if (records.length === 0) return [];
    const deliveries: Delivery[] = new Array(records.length);
    let left = records.length;
    let isOver = false;
    /** The one that waits in line, if any. */
    let last: { readonly topic: string; readonly waiter: DeliveryWaiter } | null = null;
    return await new Promise((resolve, reject) => {
      const onAbort = () => fail(aborted());
      const fail = (error: unknown) => {
        isOver = true;
        signal?.removeEventListener("abort", onAbort);
        if (last !== null) this.#topics.get(last.topic)?.line.drop(last.waiter, error);
        reject(error);
      };
      const addAll = async () => {
        for (let i = 0; i < records.length && !isOver; i++) {
          const waiter: DeliveryWaiter = {
            resolve(delivery) {
              deliveries[i] = delivery;
              if (--left > 0 || isOver) return;
              signal?.removeEventListener("abort", onAbort);
              resolve(deliveries);
            },
            reject: fail,
          };
          const took = this.#add(records[i]!, waiter);
          if (took === null) continue;
          last = { topic: records[i]!.topic, waiter };
          await took;
          last = null;
        }
      };
      if (signal?.aborted === true) {
        fail(aborted());
        return;
      }
      signal?.addEventListener("abort", onAbort, { once: true });
      addAll().catch(fail);
    });
  }

  /**
   * Takes a record for sending: null when there is room for more, else a promise to wait for before the
   * next one. Whether all was delivered is told by `flush`. The way for millions of records.
   */
  enqueue(record: ProducerRecord): Promise<void> | null {
    return this.#add(record, null);
  }

  /**
   * Sends what was taken so far, and waits until each record is delivered or lost.
   *
   * @throws {ClientError} the first failure of a record that was only enqueued, and how many there were since the
   *   last flush, once. What has a promise of its own is told by that alone.
   */
  async flush(): Promise<void> {
    await Promise.all([...this.#topics.values()].map(({ line }) => line.whenThrough()));
    for (const { queues } of this.#topics.values()) {
      for (const queue of queues) {
        if (queue?.open == null) continue;
        queue.close();
        this.#sender.wake(queue);
      }
    }
    await Promise.all([...this.#batches].map((batch) => batch.whenSettled()));
    const failure = this.#failure;
    const count = this.#untold;
    this.#failure = null;
    this.#untold = 0;
    if (failure === null) return;
    if (count === 1) throw failure;
    const { code, retriable } = failure;
    const text = `${count} enqueued records were not delivered, the first since: ${failure.message}`;
    throw new ClientError(code, text, { cause: failure, retriable });
  }

  /**
   * Flushes, then takes no more. Idempotent. It has ended when the promise is settled, whether it resolves or not.
   *
   * @param graceMs what is not delivered by then is lost, in ms; the delivery timeout alone bounds it when left out
   * @throws what `flush` throws; {ClientError} "request_timed_out" after `graceMs`
   */
  close(graceMs?: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number | undefined): Promise<void> {
    const { scheduler } = this.#context.runtime;
    const ends = [this.flush()];
    this.#isClosed = true;
    let timer: Timer | null = null;
    if (graceMs !== undefined) {
      const late = new Promise<never>((_, reject) => {
        timer = scheduler.after(graceMs, "producer_close", () => {
          const left = this.#records - this.#delivered - this.#failed;
          const text = `Not everything was delivered within ${graceMs} ms of closing: ${left} records are given up`;
          reject(new ClientError("request_timed_out", text));
        });
      });
      ends.push(late);
    }
    try {
      await Promise.race(ends);
    } finally {
      (timer as Timer | null)?.cancel();
      this.#lineTimer?.cancel();
      const error = new ClientError("closed", "The producer was closed");
      // The lines first: what the sender gives up makes room, into which nobody may be let any more.
      for (const topic of this.#topics.values()) topic.line.close(error);
      this.#sender.close(error);
      this.#onClose();
    }
  }

  /**
   * Of transactions: gives up what is not sent, and resolves when what was sent is answered. Nothing of it is told by a flush.
   */
  protected async abandon(error: ClientError): Promise<void> {
    for (const { line } of this.#topics.values()) line.close(error);
    this.#sender.abandon(error);
    await Promise.all([...this.#batches].map((batch) => batch.whenSettled()));
    this.#failure = null;
    this.#untold = 0;
  }

  /** Of transactions: batches that were held back may go. */
  protected wake(): void {
    this.#sender.hurry();
  }

  #sendUntil(record: ProducerRecord, signal: AbortSignal): Promise<Delivery> {
    if (signal.aborted) return Promise.reject(aborted());
    return new Promise((resolve, reject) => {
      const forget = () => signal.removeEventListener("abort", onAbort);
      const waiter: DeliveryWaiter = {
        resolve(delivery) {
          forget();
          resolve(delivery);
        },
        reject(error) {
          forget();
          reject(error);
        },
      };
      const onAbort = () => {
        const error = aborted();
        this.#topics.get(record.topic)?.line.drop(waiter, error);
        reject(error);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#add(record, waiter)?.catch(waiter.reject);
    });
  }

  #add(record: ProducerRecord, waiter: DeliveryWaiter | null): Promise<void> | null {
    if (this.#isClosed) {
      return Promise.reject(new ClientError("closed", "The producer is closed"));
    }
    const transaction = this.#transaction;
    if (transaction === null) return this.#take(record, waiter);
    const refusal = transaction.refusal();
    if (refusal !== null) return refused(refusal);
    const taken = this.#take(record, waiter);
    // What was handed over and is not taken is missing; who has given it up by a signal knows.
    const told = taken?.catch((error: unknown) => {
      throw error instanceof ClientError && error.code === "aborted"
        ? error
        : transaction.lost(error);
    });
    told?.catch(() => {});
    return told ?? null;
  }

  #take(record: ProducerRecord, waiter: DeliveryWaiter | null): Promise<void> | null {
    // Before anything is counted: what is wrong with one record must not wedge the rest.
    const fault = faultOf(record);
    if (fault !== null) {
      return Promise.reject(new ClientError("invalid_record", `Cannot send a record: ${fault}`));
    }
    let topic = this.#topics.get(record.topic);
    if (topic === undefined) {
      const line = new ProducerLine((deltaBytes) => {
        this.#waitingBytes += deltaBytes;
      });
      topic = newTopic(record.topic, line, this.#options.batchBytesMax);
      this.#topics.set(record.topic, topic);
    }
    const { bufferBytesMax, bufferWaitMsMax } = this.#options;
    if (
      topic.isReady &&
      record.partition !== undefined &&
      record.partition >= topic.partitionCount
    ) {
      // It may have been added since.
      this.#context.metadata.invalidate(topic.name);
      void this.#load(topic);
    }
    if (topic.isReady && topic.line.isEmpty && this.#bufferedBytes < bufferBytesMax) {
      const error = this.#append(topic, record, waiter);
      return error === null ? null : Promise.reject(error);
    }
    if (topic.isReady && bufferWaitMsMax <= 0) return Promise.reject(this.#noRoom());
    const sizeBytes = sizeOf(record);
    if (this.#waitingBytes > 0 && this.#waitingBytes + sizeBytes > bufferBytesMax) {
      const text = `More than ${bufferBytesMax} bytes wait for room: await the records sent before`;
      return Promise.reject(new ClientError("buffer_full", text));
    }
    if (!topic.isReady && topic.loading === null) void this.#load(topic);
    const nowMs = this.#context.runtime.clock.monotonicMs();
    const admitted = topic.line.join(record, sizeBytes, waiter, nowMs + bufferWaitMsMax);
    if (topic.isReady) this.#sender.hurry();
    this.#watchLines();
    return admitted;
  }

  /** Puts a record into the open batch of its partition; an error when it has no place. */
  #append(topic: TopicState, record: ProducerRecord, waiter: DeliveryWaiter | null): Error | null {
    const key = bytesOf(record.key);
    const value = bytesOf(record.value);
    const headers = headersOf(record.headers);
    let partition = record.partition;
    if (partition === undefined) {
      if (topic.partitioner === null) return topic.partitionerError!;
      try {
        partition = topic.partitioner.partition(key, topic.partitionCount);
      } catch (error) {
        // A rule of the caller's own: what it throws is that record's affair.
        return error instanceof Error ? error : new Error(String(error));
      }
    }
    if (!(Number.isInteger(partition) && partition >= 0 && partition < topic.partitionCount)) {
      const text = `Topic "${topic.name}" has the partitions 0 to ${topic.partitionCount - 1}: found ${partition}`;
      return new ClientError("unknown_topic_or_partition", text, { retriable: false });
    }
    let queue = topic.queues[partition];
    if (queue === undefined) {
      const at = partition;
      queue = new PartitionQueue(topic.name, at, () => {
        topic.partitioner?.batchClosed(at, topic.partitionCount);
      });
      topic.queues[partition] = queue;
    }
    const { runtime } = this.#context;
    let payloadBytes = (key?.length ?? 0) + (value?.length ?? 0);
    for (const header of headers) payloadBytes += header.key.length + (header.value?.length ?? 0);
    const sizeBytes = payloadBytes + RECORD_OVERHEAD_BYTES;
    let batch = queue.open;
    if (batch !== null && batch.builder.sizeBytes + sizeBytes > topic.batchBytesMax) {
      this.#closeBatch(queue);
      batch = null;
    }
    if (batch === null) {
      batch = this.#newBatch(queue, topic);
      const { lingerMs } = this.#options;
      if (lingerMs > 0) this.#sender.linger(queue, batch.createdMs + lingerMs);
      else this.#sender.wake(queue);
    }
    const timestampMs = record.timestampMs ?? runtime.clock.wallMs();
    batch.append(timestampMs, key, value, headers, waiter, record.partition !== undefined);
    this.#filled?.add(batch);
    batch.chargedBytes += sizeBytes;
    this.#bufferedBytes += sizeBytes;
    this.#records++;
    this.#bytes += payloadBytes;
    if (batch.builder.sizeBytes >= topic.batchBytesMax) this.#closeBatch(queue);
    return null;
  }

  #newBatch(queue: PartitionQueue, topic: TopicState): ProducerBatch {
    const { runtime } = this.#context;
    const { compression, compressionLevel } = this.#options;
    const batch = new ProducerBatch(queue.nextOrder++, runtime.clock.monotonicMs(), {
      isTransactional: this.#transaction !== null,
      codec: compression,
      compression: runtime.compression,
      sizeBytesHint: Math.min(Math.max(queue.sizeBytesHint, 512), topic.batchBytesMax),
      ...(compressionLevel === undefined ? {} : { compressionLevel }),
      ...(runtime.crc32c === undefined ? {} : { crc32c: runtime.crc32c }),
    });
    queue.open = batch;
    this.#batches.add(batch);
    return batch;
  }

  #closeBatch(queue: PartitionQueue): void {
    queue.close();
    this.#sender.wake(queue);
  }

  #settled(queue: PartitionQueue, batch: ProducerBatch, error: ClientError | null): void {
    // Partitions may have been added since.
    const own = this.#topics.get(queue.topic);
    const known = this.#context.metadata.known(queue.topic);
    const isOther = own !== undefined && known !== null && learn(own, known);
    // The topic was made again, or allows less: it is asked for anew, and who comes meanwhile waits in line.
    const isOutdated = isOther || (error !== null && OUTDATED.has(error.code));
    if (isOutdated && own?.isReady === true) void this.#load(own);
    this.#batches.delete(batch);
    this.#bufferedBytes -= batch.chargedBytes;
    if (error === null) this.#delivered += batch.count;
    else {
      this.#failed += batch.count;
      if (batch.unwaited > 0) this.#failure ??= error;
      this.#untold += batch.unwaited;
    }
    for (const topic of this.#topics.values()) {
      if (!topic.line.isEmpty) this.#admit(topic);
    }
  }

  /** Lets waiting records in, in order, while there is room. */
  #admit(topic: TopicState): void {
    if (!topic.isReady) return;
    topic.line.admit(
      () => this.#bufferedBytes < this.#options.bufferBytesMax,
      (record, waiter) => this.#append(topic, record, waiter),
    );
    if (!topic.line.isEmpty) this.#sender.hurry();
    this.#watchLines();
  }

  /** Wakes when the first that waits for room has waited too long; a topic's look-up has its own bound. */
  #watchLines(): void {
    if (this.#lineTimer !== null || this.#isClosed) return;
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const { isReady, line } of this.#topics.values()) {
      if (isReady) deadlineMs = Math.min(deadlineMs, line.deadlineMs);
    }
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    const { clock, scheduler } = this.#context.runtime;
    const delayMs = Math.max(deadlineMs - clock.monotonicMs(), 0);
    this.#lineTimer = scheduler.after(delayMs, "producer_room", () => {
      this.#lineTimer = null;
      const nowMs = clock.monotonicMs();
      for (const { isReady, line } of this.#topics.values()) {
        if (isReady) line.expire(nowMs, () => this.#noRoom());
      }
      this.#watchLines();
    });
  }

  #noRoom(): ClientError {
    const { bufferBytesMax, bufferWaitMsMax } = this.#options;
    const text = `${bufferBytesMax} bytes are on their way, and no room came within ${bufferWaitMsMax} ms`;
    return new ClientError("buffer_full", text, { retriable: true });
  }

  /** Learns how many partitions the topic has, and what it asks of its producers. */
  #load(topic: TopicState): Promise<void> {
    topic.isReady = false;
    topic.loading ??= this.#loadNow(topic);
    return topic.loading;
  }

  async #loadNow(topic: TopicState): Promise<void> {
    try {
      const info = await this.#context.metadata.topic(topic.name, {
        mayCreate: this.#options.mayCreateTopics,
        unknownWaitMs: this.#options.unknownTopicWaitMs,
      });
      learn(topic, info);
      Object.assign(topic, await topicRules(this.#context, topic.name, this.#options));
      topic.isReady = true;
    } catch (error) {
      topic.line.close(error);
      // The next record asks again: the topic may be there by then. Where something was sent, sequences go on.
      if (topic.queues.length === 0) this.#topics.delete(topic.name);
      return;
    } finally {
      topic.loading = null;
    }
    this.#moveMissing(topic);
    this.#admit(topic);
  }

  /** A partition that records wait for is not there. */
  #missing({ topic: name }: PartitionQueue): void {
    const topic = this.#topics.get(name);
    const known = this.#context.metadata.known(name);
    if (topic === undefined || known === null || known.topicId === null) return;
    if (learn(topic, known)) void this.#load(topic);
    else if (topic.isReady) this.#moveMissing(topic);
  }

  /** The topic was made anew with fewer partitions: what was for one that is gone is placed anew, in order. */
  #moveMissing(topic: TopicState): void {
    for (const queue of topic.queues.slice(topic.partitionCount)) {
      // What is under way comes back first.
      if (topic.topicId === null || queue === undefined || queue.inFlight.length > 0) continue;
      for (const batch of queue.takeAll()) this.#placeAnew(topic, queue.partition, batch);
    }
  }

  #placeAnew(topic: TopicState, partition: number, batch: ProducerBatch): void {
    this.#batches.delete(batch);
    this.#bufferedBytes -= batch.chargedBytes;
    this.#bytes -= batch.chargedBytes - RECORD_OVERHEAD_BYTES * batch.count;
    this.#records -= batch.count;
    const filled = new Set<ProducerBatch>();
    this.#filled = filled;
    for (const { isNamed, waiter, ...record } of batch.unpack()) {
      const place = isNamed ? { topic: topic.name, partition } : { topic: topic.name };
      const error = this.#append(topic, { ...record, ...place }, waiter);
      if (error !== null) this.#lost(error, waiter);
    }
    this.#filled = null;
    batch.becomes(filled);
  }

  /** A record that was taken has no place any more. */
  #lost(error: Error, waiter: DeliveryWaiter | null): void {
    this.#records++;
    this.#failed++;
    this.#transaction?.lost(error);
    if (waiter !== null) {
      waiter.reject(error);
      return;
    }
    this.#untold++;
    this.#failure ??=
      error instanceof ClientError
        ? error
        : new ClientError("invalid_record", error.message, { cause: error });
  }
}

/** A rejection that need not be looked at: the commit tells of it too. */
function refused(error: ClientError): Promise<never> {
  const refusal = Promise.reject(error);
  refusal.catch(() => {});
  return refusal;
}
