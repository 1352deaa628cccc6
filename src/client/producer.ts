// Takes records, gathers them into batches by partition, and says where each has come to lie.
// Invariant: records of one partition keep the order of the calls; what waits and is under way stays within
// `bufferBytesMax`, and callers beyond it wait in line.
// Kafka: KafkaProducer, RecordAccumulator.

import { ClientError, isRetriable } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import { type Partitioner, partitionerFor } from "./partitioner.ts";
import {
  type Delivery,
  type DeliveryWaiter,
  PartitionQueue,
  ProducerBatch,
} from "./producer_batch.ts";
import {
  bytesOf,
  headersOf,
  type ProducerOptions,
  type ProducerRecord,
  type ProducerStats,
  RECORD_OVERHEAD_BYTES,
  sizeOf,
} from "./producer_record.ts";
import { ProducerSender } from "./producer_sender.ts";

const IN_FLIGHT_MAX_IDEMPOTENT = 5;

interface WaitingRecord {
  readonly record: ProducerRecord;
  readonly sizeBytes: number;
  readonly waiter: DeliveryWaiter | null;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What the producer knows of a topic. */
interface TopicState {
  readonly name: string;
  readonly queues: PartitionQueue[];
  readonly waiting: WaitingRecord[];
  isReady: boolean;
  isLoading: boolean;
  partitionCount: number;
  partitioner: Partitioner | null;
  /** Why records without a partition cannot be placed. */
  partitionerError: ClientError | null;
  batchBytesMax: number;
}

/** Made by `Client.producer`. Send, or enqueue and flush. */
export class Producer {
  readonly #context: ClientContext;
  readonly #options: Required<Omit<ProducerOptions, "compressionLevel">> & ProducerOptions;
  readonly #sender: ProducerSender;
  readonly #topics = new Map<string, TopicState>();
  readonly #batches = new Set<ProducerBatch>();
  readonly #onClose: () => void;
  #bufferedBytes = 0;
  #waitingBytes = 0;
  #failure: ClientError | null = null;
  #closing: Promise<void> | null = null;
  #isClosed = false;
  #records = 0;
  #delivered = 0;
  #failed = 0;
  #bytes = 0;

  /** Made by `Client.producer`. */
  constructor(context: ClientContext, options: ProducerOptions, onClose: () => void) {
    this.#context = context;
    this.#onClose = onClose;
    const acks = options.acks ?? "all";
    const idempotent = options.idempotent ?? acks === "all";
    if (idempotent && acks !== "all") {
      throw new ClientError("invalid_required_acks", 'An idempotent producer needs acks "all"');
    }
    this.#options = {
      ...options,
      acks,
      idempotent,
      compression: options.compression ?? "none",
      partitioner: options.partitioner ?? "topic",
      lingerMs: options.lingerMs ?? 0,
      batchBytesMax: options.batchBytesMax ?? 1_000_000,
      requestBytesMax: options.requestBytesMax ?? 8 * 1024 * 1024,
      bufferBytesMax: options.bufferBytesMax ?? 64 * 1024 * 1024,
      deliveryTimeoutMs: options.deliveryTimeoutMs ?? 120_000,
      inFlightMax: options.inFlightMax ?? IN_FLIGHT_MAX_IDEMPOTENT,
      mayCreateTopics: options.mayCreateTopics ?? true,
      unknownTopicWaitMs: options.unknownTopicWaitMs ?? 3_000,
    };
    const { inFlightMax } = this.#options;
    this.#sender = new ProducerSender(context, {
      acks: acks === "all" ? -1 : acks,
      isIdempotent: idempotent,
      lingerMs: this.#options.lingerMs,
      deliveryTimeoutMs: this.#options.deliveryTimeoutMs,
      requestBytesMax: this.#options.requestBytesMax,
      inFlightMax: idempotent ? Math.min(inFlightMax, IN_FLIGHT_MAX_IDEMPOTENT) : inFlightMax,
      versionMin: this.#options.compression === "zstd" ? 7 : 3,
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
   * @throws {ClientError} "message_too_large", "unknown_topic_or_partition", "request_timed_out", …;
   *   "buffer_full" when twice `bufferBytesMax` wait already because nobody awaited
   */
  send(record: ProducerRecord): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      this.#add(record, { resolve, reject })?.catch(reject);
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
   * @throws {ClientError} the first failure of a record that was only enqueued, once
   */
  async flush(): Promise<void> {
    const admitted: Promise<void>[] = [];
    for (const { waiting } of this.#topics.values()) {
      const last = waiting.length - 1;
      if (last < 0) continue;
      const { record, sizeBytes, waiter, resolve, reject } = waiting[last]!;
      admitted.push(
        new Promise((done) => {
          waiting[last] = {
            record,
            sizeBytes,
            waiter,
            resolve: () => {
              resolve();
              done();
            },
            reject: (error) => {
              reject(error);
              done();
            },
          };
        }),
      );
    }
    await Promise.all(admitted);
    for (const { queues } of this.#topics.values()) {
      for (const queue of queues) {
        if (queue?.open == null) continue;
        queue.close();
        this.#sender.wake(queue);
      }
    }
    await Promise.all([...this.#batches].map((batch) => batch.whenSettled()));
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
  }

  /** Flushes, then takes no more. Idempotent. @throws what `flush` throws */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const flushed = this.flush();
    this.#isClosed = true;
    try {
      await flushed;
    } finally {
      const error = new ClientError("closed", "The producer was closed");
      this.#sender.close(error);
      for (const topic of this.#topics.values()) this.#rejectWaiting(topic, error);
      this.#onClose();
    }
  }

  #add(record: ProducerRecord, waiter: DeliveryWaiter | null): Promise<void> | null {
    if (this.#isClosed) {
      return Promise.reject(new ClientError("closed", "The producer is closed"));
    }
    let topic = this.#topics.get(record.topic);
    if (topic === undefined) {
      topic = this.#newTopic(record.topic);
      this.#topics.set(record.topic, topic);
    }
    const { bufferBytesMax } = this.#options;
    if (topic.isReady && topic.waiting.length === 0 && this.#bufferedBytes < bufferBytesMax) {
      const error = this.#append(topic, record, waiter);
      return error === null ? null : Promise.reject(error);
    }
    const sizeBytes = sizeOf(record);
    if (this.#waitingBytes > 0 && this.#waitingBytes + sizeBytes > bufferBytesMax) {
      const text = `More than ${bufferBytesMax} bytes wait for room: await the records sent before`;
      return Promise.reject(new ClientError("buffer_full", text));
    }
    if (!topic.isReady && !topic.isLoading) void this.#load(topic);
    this.#waitingBytes += sizeBytes;
    const { waiting } = topic;
    return new Promise((resolve, reject) => {
      waiting.push({ record, sizeBytes, waiter, resolve, reject });
    });
  }

  /** Puts a record into the open batch of its partition; an error when it has no place. */
  #append(
    topic: TopicState,
    record: ProducerRecord,
    waiter: DeliveryWaiter | null,
  ): ClientError | null {
    const key = bytesOf(record.key);
    const value = bytesOf(record.value);
    const headers = headersOf(record.headers);
    let partition = record.partition;
    if (partition === undefined) {
      if (topic.partitioner === null) return topic.partitionerError!;
      partition = topic.partitioner.partition(key, topic.partitionCount);
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
    batch.append(timestampMs, key, value, headers, waiter);
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
    if (own !== undefined && known !== null) own.partitionCount = known.partitions.length;
    this.#batches.delete(batch);
    this.#bufferedBytes -= batch.chargedBytes;
    if (error === null) this.#delivered += batch.count;
    else {
      this.#failed += batch.count;
      if (batch.hasUnwaited) this.#failure ??= error;
    }
    for (const topic of this.#topics.values()) {
      if (topic.waiting.length > 0) this.#admit(topic);
    }
  }

  /** Lets waiting records in, in order, while there is room. */
  #admit(topic: TopicState): void {
    if (!topic.isReady) return;
    const { waiting } = topic;
    let count = 0;
    while (count < waiting.length && this.#bufferedBytes < this.#options.bufferBytesMax) {
      const { record, sizeBytes, waiter, resolve, reject } = waiting[count++]!;
      this.#waitingBytes -= sizeBytes;
      const error = this.#append(topic, record, waiter);
      if (error === null) resolve();
      else reject(error);
    }
    waiting.splice(0, count);
  }

  #rejectWaiting(topic: TopicState, error: unknown): void {
    for (const { sizeBytes, reject } of topic.waiting.splice(0)) {
      this.#waitingBytes -= sizeBytes;
      reject(error);
    }
  }

  #newTopic(name: string): TopicState {
    return {
      name,
      queues: [],
      waiting: [],
      isReady: false,
      isLoading: false,
      partitionCount: 0,
      partitioner: null,
      partitionerError: null,
      batchBytesMax: this.#options.batchBytesMax,
    };
  }

  /** Learns how many partitions the topic has, and what it asks of its producers. */
  async #load(topic: TopicState): Promise<void> {
    topic.isLoading = true;
    try {
      const info = await this.#context.metadata.topic(topic.name, {
        mayCreate: this.#options.mayCreateTopics,
        unknownWaitMs: this.#options.unknownTopicWaitMs,
      });
      topic.partitionCount = info.partitions.length;
      await this.#loadSettings(topic);
      topic.isReady = true;
    } catch (error) {
      this.#rejectWaiting(topic, error);
      // The next record asks again: the topic may be there by then.
      this.#topics.delete(topic.name);
      return;
    } finally {
      topic.isLoading = false;
    }
    this.#admit(topic);
  }

  async #loadSettings(topic: TopicState): Promise<void> {
    const { admin, runtime } = this.#context;
    let choice = this.#options.partitioner;
    try {
      const names = ["max.message.bytes", "partitioner"];
      const configs = await admin.describeConfigs({ type: "topic", name: topic.name }, names);
      const settingOf = (name: string) => configs.find((each) => each.name === name)?.value ?? null;
      const messageBytesMax = Number(settingOf("max.message.bytes") ?? Number.POSITIVE_INFINITY);
      topic.batchBytesMax = Math.min(topic.batchBytesMax, messageBytesMax);
      // A broker that has no such setting is not ours: there Java's choice is everybody's.
      if (choice === "topic") choice = settingOf("partitioner") === "xxhash" ? "xxhash" : "murmur2";
    } catch (error) {
      if (!(error instanceof ClientError) || isRetriable(error)) throw error;
      if (choice === "topic" && error.code !== "unsupported_version") {
        topic.partitionerError = error;
        return;
      }
      if (choice === "topic") choice = "murmur2";
    }
    topic.partitioner = await partitionerFor(choice, topic.name, runtime.random);
  }
}
