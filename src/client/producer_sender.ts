// Sends batches to the leaders of their partitions, and decides what an answer means: delivered, again, or
// lost for good.
// Invariant: of one partition at most `inFlightMax` batches are under way, the oldest first. With sequences
// (KIP-98) a batch that may have been appended is sent again unchanged until a broker says what became of
// it; only then may the partition's sequences begin anew.
// Kafka: Sender, TransactionManager.canRetry, KIP-360.

import { ZERO_UUID } from "../base/uuid.ts";
import type { Timer } from "../contracts/runtime.ts";
import type { KafkaError, KafkaErrorName } from "../protocol/errors.ts";
import { Produce, type ProduceResponse } from "../protocol/messages/00_produce.ts";
import { InitProducerId } from "../protocol/messages/22_init_producer_id.ts";
import { BATCH_HEADER_BYTES } from "../record/batch_header.ts";
import { ClientError, isRetriable, kafkaErrorOf, refusal, requireNone } from "./client_error.ts";
import type { ClientContext } from "./context.ts";
import type { PartitionInfo } from "./metadata.ts";
import type { PartitionQueue, ProducerBatch, ProducerIdentity } from "./producer_batch.ts";
import { backoffDelayMs, retrying } from "./waiting.ts";

/** What a producer of transactions has a say in: the transaction that is open now. */
export interface SenderTransaction {
  readonly transactionalId: string;
  /** Of the protocol that the cluster has settled on: from 12 on a batch takes its partition into the transaction. */
  readonly produceVersions: { readonly versionMin: number; readonly versionMax: number };
  /** Under which batches go now: another object where sequences begin anew. */
  readonly identity: ProducerIdentity;
  /** Why nothing is sent any more of what was taken; null while it may. */
  readonly failure: ClientError | null;
  /** Whether batches of a partition may go; if not, the sender is woken when they may. */
  admits(topic: string, partition: number): boolean;
  /** A batch is lost. @returns what to say of it */
  lost(error: unknown): unknown;
}

export interface SenderOptions {
  readonly acks: -1 | 0 | 1;
  readonly isIdempotent: boolean;
  readonly lingerMs: number;
  readonly deliveryTimeoutMs: number;
  readonly requestBytesMax: number;
  /** Batches of one partition, and requests to one broker, under way. */
  readonly inFlightMax: number;
  /** Below it brokers refuse the batches: 7 for zstd. */
  readonly versionMin: number;
  /** Null for a producer without. */
  readonly transaction: SenderTransaction | null;
  /** Somebody waits for room: open batches are sent before they have lingered. */
  readonly isCrowded: () => boolean;
  /** What a batch of the topic may take, asked for now; never rejects. */
  readonly batchBytesMaxOf: (topic: string) => Promise<number>;
  /** The topic has no such partition, as far as is known. */
  readonly onMissing: (queue: PartitionQueue) => void;
  /** A batch has become several. */
  readonly onSplit: (batch: ProducerBatch, parts: readonly ProducerBatch[]) => void;
  /** A batch is delivered (null) or lost. */
  readonly onSettled: (
    queue: PartitionQueue,
    batch: ProducerBatch,
    error: ClientError | null,
  ) => void;
}

/** After these the batch may have been appended all the same. */
const UNSURE: ReadonlySet<string> = new Set<KafkaErrorName>([
  "network_exception",
  "request_timed_out",
  "not_enough_replicas_after_append",
  "unknown_server_error",
]);
/** A smaller batch may pass. */
const TOO_LARGE: ReadonlySet<string> = new Set<KafkaErrorName>([
  "message_too_large",
  "record_list_too_large",
]);
/** The broker has no use for our sequences any more. */
const IDENTITY_LOST: ReadonlySet<string> = new Set<KafkaErrorName>([
  "unknown_producer_id",
  "invalid_producer_epoch",
  "invalid_producer_id_mapping",
]);

/** Later versions of Produce name topics by their ids. */
const BY_NAME_MAX = 12;
const ANY = Number.POSITIVE_INFINITY;

interface Sending {
  readonly queue: PartitionQueue;
  readonly batch: ProducerBatch;
}

let lanes = 0;

export class ProducerSender {
  readonly #context: ClientContext;
  readonly #options: SenderOptions;
  readonly #active = new Set<PartitionQueue>();
  readonly #requests = new Map<number, number>();
  readonly #refreshing = new Set<string>();
  readonly #closing = new AbortController();
  /** Producers of one client do not wait for each other's answers. */
  readonly #lane = `produce-${++lanes}`;
  #identity: Promise<ProducerIdentity> | null = null;
  #isWoken = false;
  #timer: Timer | null = null;
  #timerAtMs = Number.POSITIVE_INFINITY;

  constructor(context: ClientContext, options: SenderOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** The partition has something to send; looked at once the caller has finished its turn. */
  wake(queue: PartitionQueue): void {
    this.#active.add(queue);
    this.#wakeAll();
  }

  /** As `wake`, but the open batch may still grow until it has lingered. */
  linger(queue: PartitionQueue, untilMs: number): void {
    this.#active.add(queue);
    this.#wakeAt(untilMs);
  }

  /** Looks at everything again: there is no room for more. */
  hurry(): void {
    this.#wakeAll();
  }

  /** Fails what is not under way; what is fails with its answer, unless it is delivered, and is not sent again. */
  abandon(error: ClientError): void {
    for (const queue of this.#active) this.#failWaiting(queue, error);
    this.#wakeAll();
  }

  /** Fails whatever is left with `error`; answers that still come are ignored. */
  close(error: ClientError): void {
    this.#closing.abort();
    this.#timer?.cancel();
    for (const queue of this.#active) {
      queue.close();
      const left = [...queue.inFlight.splice(0), ...queue.pending.splice(0)];
      for (const batch of left) if (!batch.isGivenUp) this.#settle(queue, batch, error);
    }
    this.#active.clear();
  }

  #wakeAll(): void {
    if (this.#isWoken || this.#closing.signal.aborted) return;
    this.#isWoken = true;
    void Promise.resolve().then(() => {
      this.#isWoken = false;
      this.#drain();
    });
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#timerAtMs || this.#closing.signal.aborted) return;
    const { clock, scheduler } = this.#context.runtime;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = scheduler.after(Math.max(atMs - clock.monotonicMs(), 0), "producer_wake", () => {
      this.#timer = null;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#drain();
    });
  }

  /** Forms requests out of what is ready, one batch a partition in each, and sends them. */
  #drain(): void {
    if (this.#closing.signal.aborted) return;
    const nowMs = this.#context.runtime.clock.monotonicMs();
    const requests = new Map<number, { sendings: Sending[]; sizeBytes: number }>();
    let isMore = false;
    for (const queue of [...this.#active]) {
      this.#expire(queue, nowMs);
      if (queue.isIdle) {
        this.#active.delete(queue);
        continue;
      }
      const leader = this.#leaderOf(queue);
      if (leader === null || !this.#isReady(queue, nowMs)) continue;
      if ((this.#requests.get(leader.leader) ?? 0) >= this.#options.inFlightMax) continue;
      const request = requests.get(leader.leader) ?? { sendings: [], sizeBytes: 0 };
      // Its turn comes with the next request.
      this.#active.delete(queue);
      this.#active.add(queue);
      const aheadBytes = queue.pending[0]!.builder.sizeBytes;
      if (
        request.sendings.length > 0 &&
        request.sizeBytes + aheadBytes > this.#options.requestBytesMax
      ) {
        isMore = true;
        continue;
      }
      const batch = queue.take();
      request.sendings.push({ queue, batch });
      request.sizeBytes += batch.bytes!.length;
      requests.set(leader.leader, request);
      if (queue.pending.length > 0) isMore = true;
    }
    for (const [leader, { sendings }] of requests) void this.#send(leader, sendings);
    if (isMore && requests.size > 0) this.#wakeAll();
  }

  /** Whether the head of the queue may go now; otherwise something else will wake us. */
  #isReady(queue: PartitionQueue, nowMs: number): boolean {
    const { isIdempotent, lingerMs, inFlightMax } = this.#options;
    if (queue.splitting > 0) return false;
    const { transaction } = this.#options;
    const failure = transaction?.failure ?? null;
    if (failure !== null) {
      this.#failWaiting(queue, failure);
      return false;
    }
    if (queue.retryAtMs > nowMs) {
      this.#wakeAt(queue.retryAtMs);
      return false;
    }
    // Without sequences a second batch could overtake the retry of the first. With them a retry goes alone:
    // a broker remembers five batches, and must not get five more before it is asked again for this one. And
    // so does the first of an identity, since a broker takes whatever sequence it sees first.
    const mayOverlap = isIdempotent && queue.isIdentityKnown && !queue.isRetrying;
    if (queue.inFlight.length >= (mayOverlap ? inFlightMax : 1)) return false;
    // Counted from the oldest without an answer, as answers may come in any order.
    const [oldest] = queue.inFlight;
    const next = queue.pending[0] ?? queue.open;
    if (oldest !== undefined && next !== null && next.order - oldest.order >= inFlightMax) {
      return false;
    }
    const { open } = queue;
    if (queue.pending.length === 0 && open !== null) {
      const dueMs = open.createdMs + lingerMs;
      if (dueMs > nowMs && !this.#options.isCrowded()) {
        this.#wakeAt(dueMs);
        return false;
      }
      queue.close();
    }
    if (queue.pending.length === 0) return false;
    if (transaction !== null) return this.#isAdmitted(queue, transaction);
    if (!isIdempotent || !queue.needsIdentity) return true;
    if (queue.inFlight.length > 0) return false;
    // Where the fate of a batch is open, its old sequence is what finds it out.
    // Also where the topic was made again: a request for the old one that broke off may have reached the new one.
    const unsure = queue.pending.findIndex((batch) => batch.mayBeAppended);
    if (unsure >= 0) {
      const [batch] = queue.pending.splice(unsure, 1);
      queue.pending.unshift(batch!);
      return true;
    }
    void this.#renew(queue);
    return false;
  }

  /** Sequences of a transaction begin anew with its epoch alone: a hole in them spoils it. */
  #isAdmitted(queue: PartitionQueue, transaction: SenderTransaction): boolean {
    const { identity } = transaction;
    if (queue.identity !== identity) queue.renew(identity);
    return transaction.admits(queue.topic, queue.partition);
  }

  #leaderOf(queue: PartitionQueue): PartitionInfo | null {
    const info = this.#context.metadata.known(queue.topic);
    if (info === null) {
      void this.#refresh(queue.topic);
      return null;
    }
    if (info.topicId !== null) queue.belongsTo(info.topicId);
    const partition = info.partitions[queue.partition];
    if (partition !== undefined && partition.leader >= 0) return partition;
    if (partition === undefined) this.#options.onMissing(queue);
    this.#context.metadata.invalidate(queue.topic);
    this.#retryLater(queue);
    return null;
  }

  async #refresh(topic: string): Promise<void> {
    if (this.#refreshing.has(topic)) return;
    this.#refreshing.add(topic);
    const { metadata } = this.#context;
    try {
      await metadata.topic(topic, { signal: this.#closing.signal, unknownWaitMs: 5_000 });
    } catch (error) {
      const queues = [...this.#active].filter((queue) => queue.topic === topic);
      for (const queue of queues) {
        if (isRetriable(error)) this.#retryLater(queue);
        else this.#failWaiting(queue, error as ClientError);
      }
    } finally {
      this.#refreshing.delete(topic);
    }
    this.#wakeAll();
  }

  async #send(leader: number, sendings: readonly Sending[]): Promise<void> {
    this.#requests.set(leader, (this.#requests.get(leader) ?? 0) + 1);
    const { port, metadata, requestTimeoutMs } = this.#context;
    const { acks, transaction } = this.#options;
    const transactionalId = transaction?.transactionalId ?? null;
    const versions = transaction?.produceVersions;
    const versionMin = Math.max(versions?.versionMin ?? 0, this.#options.versionMin);
    const topics = new Map<string, { index: number; records: Uint8Array }[]>();
    for (const { queue, batch } of sendings) {
      const partitions = topics.get(queue.topic) ?? [];
      topics.set(queue.topic, partitions);
      partitions.push({ index: queue.partition, records: batch.bytes! });
    }
    let haveIds = true;
    const topicData = [...topics].map(([name, partitionData]) => {
      const topicId = metadata.known(name)?.topicId ?? ZERO_UUID;
      if (topicId === ZERO_UUID) haveIds = false;
      return { name, topicId, partitionData };
    });
    try {
      const response = await port.send(
        Produce,
        { transactionalId, acks, timeoutMs: requestTimeoutMs, topicData },
        {
          to: leader,
          lane: this.#lane,
          isAnswered: acks !== 0,
          versionMin,
          versionMax: Math.min(versions?.versionMax ?? ANY, haveIds ? ANY : BY_NAME_MAX),
        },
      );
      if (this.#closing.signal.aborted) return;
      for (const sending of sendings) this.#answered(sending, response, topicData);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      // A port rejects with ClientErrors; a defect must not leave the batches under way for ever.
      const failure =
        error instanceof ClientError
          ? error
          : new ClientError("unknown_server_error", `Produce failed: ${error}`, { cause: error });
      for (const { queue, batch } of sendings) {
        if (queue.inFlight.includes(batch)) this.#failed(queue, batch, failure);
      }
    } finally {
      this.#requests.set(leader, this.#requests.get(leader)! - 1);
      this.#wakeAll();
    }
  }

  #answered(
    { queue, batch }: Sending,
    response: ProduceResponse | null,
    sent: readonly { readonly name: string; readonly topicId: string }[],
  ): void {
    if (response === null) {
      // acks 0: nobody will tell.
      queue.landed(batch);
      this.#delivered(queue, batch, -1, -1);
      return;
    }
    const topicId = sent.find((each) => each.name === queue.topic)!.topicId;
    const topic = response.responses.find((each) =>
      each.name === "" ? each.topicId === topicId : each.name === queue.topic,
    );
    const result = topic?.partitionResponses.find((each) => each.index === queue.partition);
    if (result === undefined) {
      const text = `The answer leaves out ${queue.topic}-${queue.partition}`;
      this.#failed(queue, batch, new ClientError("unknown_server_error", text));
      return;
    }
    const detail = result.recordErrors[0]?.batchIndexErrorMessage ?? result.errorMessage;
    const error = kafkaErrorOf(result.errorCode, detail);
    // A duplicate has been appended, once; which offsets it got is forgotten.
    if (error === null || error.code === "duplicate_sequence_number") {
      queue.landed(batch);
      const baseOffset = error === null ? result.baseOffset : -1;
      this.#delivered(queue, batch, baseOffset, result.logAppendTimeMs);
    } else this.#failed(queue, batch, error);
  }

  #delivered(
    queue: PartitionQueue,
    batch: ProducerBatch,
    baseOffset: number,
    logAppendTimeMs: number,
  ): void {
    queue.failures = 0;
    queue.isIdentityKnown = true;
    queue.ackedOrder = Math.max(queue.ackedOrder, batch.order);
    if (batch.isGivenUp) return;
    batch.succeed(queue.topic, queue.partition, baseOffset, logAppendTimeMs);
    this.#options.onSettled(queue, batch, null);
  }

  /** An attempt came to nothing: once more, or never again. */
  #failed(queue: PartitionQueue, batch: ProducerBatch, cause: KafkaError | ClientError): void {
    queue.landed(batch);
    const doing = `Cannot produce to ${queue.topic}-${queue.partition}`;
    const error = cause instanceof ClientError ? cause : refusal(cause, doing);
    batch.lastError = error;
    // What an earlier attempt left open, a later refusal does not answer.
    batch.mayBeAppended ||= UNSURE.has(error.code);
    if (error.retriable) this.#context.metadata.invalidate(queue.topic);
    const { isIdempotent, transaction } = this.#options;
    const failure = transaction?.failure ?? null;
    // In a transaction sequences do not begin anew: whether one was out of order for another's sake is all that matters.
    const hasOwnSequences = isIdempotent && transaction === null;
    const isOutOfOrder = error.code === "out_of_order_sequence_number";
    const isBehind = transaction !== null && isOutOfOrder && !queue.isOldest(batch);
    if (batch.isGivenUp) {
      // Its sequences are a hole, as those of one that was given up while it waited.
      queue.needsIdentity = true;
      this.#retryLater(queue);
    } else if (failure !== null) {
      // Nothing is sent again of a transaction that is to be aborted.
      this.#lost(queue, batch, failure);
    } else if (hasOwnSequences && this.#isSequenceTrouble(queue, batch, error.code)) {
      queue.requeue(batch);
      this.#retryLater(queue);
    } else if (error.retriable || isBehind) {
      queue.requeue(batch);
      this.#retryLater(queue);
      this.#expire(queue, this.#context.runtime.clock.monotonicMs());
    } else if (TOO_LARGE.has(error.code) && this.#mayBeSplit(batch)) {
      queue.requeue(batch);
      void this.#split(queue, batch);
    } else this.#lost(queue, batch, error);
  }

  /** Whether the refusal is about sequences alone, and the batch is to be sent again. */
  #isSequenceTrouble(queue: PartitionQueue, batch: ProducerBatch, code: string): boolean {
    if (IDENTITY_LOST.has(code)) {
      batch.mayBeAppended = false;
      queue.needsIdentity = true;
      return true;
    }
    if (code !== "out_of_order_sequence_number") return false;
    // The broker knows the last five batches and looks there first: this one is not among them.
    batch.mayBeAppended = false;
    // Behind a batch that is still to be sent again it had to fail. As the oldest it says that the broker
    // misses one that was given up, or lost one: nothing of it is there, so it may come under new sequences.
    if (queue.isOldest(batch)) queue.needsIdentity = true;
    return true;
  }

  /** Of a batch that may lie there already, parts would come under sequences that the broker takes for a gap. */
  #mayBeSplit(batch: ProducerBatch): boolean {
    return batch.count > 1 && !(this.#options.isIdempotent && batch.mayBeAppended);
  }

  /** By what the topic takes now; where that would let the batch pass as it is, in two. */
  async #split(queue: PartitionQueue, batch: ProducerBatch): Promise<void> {
    queue.splitting++;
    const batchBytesMax = await this.#options.batchBytesMaxOf(queue.topic);
    queue.splitting--;
    if (this.#closing.signal.aborted) return;
    // It may have been given up meanwhile.
    if (queue.pending.includes(batch)) {
      const { sizeBytes } = batch.builder;
      const halfBytes = Math.ceil((sizeBytes + BATCH_HEADER_BYTES) / 2);
      const parts = batch.split(batchBytesMax < sizeBytes ? batchBytesMax : halfBytes);
      queue.replace(batch, parts);
      this.#options.onSplit(batch, parts);
    }
    this.#active.add(queue);
    this.#wakeAll();
  }

  #retryLater(queue: PartitionQueue): void {
    const { runtime, backoff } = this.#context;
    const nowMs = runtime.clock.monotonicMs();
    // Several batches that fail together are one failure.
    if (queue.retryAtMs <= nowMs) {
      queue.failures++;
      queue.retryAtMs = nowMs + backoffDelayMs(runtime, backoff, queue.failures);
    }
    this.#active.add(queue);
    this.#wakeAt(queue.retryAtMs);
  }

  /** Gives up what has waited longer than it may. */
  #expire(queue: PartitionQueue, nowMs: number): void {
    const { deliveryTimeoutMs } = this.#options;
    const isLate = (batch: ProducerBatch) => batch.createdMs + deliveryTimeoutMs <= nowMs;
    if (queue.open !== null && isLate(queue.open)) queue.close();
    for (const batch of queue.inFlight) {
      if (batch.isGivenUp || !isLate(batch)) continue;
      batch.isGivenUp = true;
      this.#settle(queue, batch, this.#tooLate(queue, batch));
    }
    for (const batch of [...queue.pending]) {
      if (!isLate(batch)) break;
      queue.pending.splice(queue.pending.indexOf(batch), 1);
      this.#lost(queue, batch, this.#tooLate(queue, batch));
    }
    const oldest =
      queue.inFlight.find(({ isGivenUp }) => !isGivenUp) ?? queue.pending[0] ?? queue.open;
    if (oldest !== null) this.#wakeAt(oldest.createdMs + deliveryTimeoutMs);
  }

  #tooLate({ topic, partition }: PartitionQueue, { lastError: cause }: ProducerBatch): ClientError {
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    const text = `Cannot produce to ${topic}-${partition} within ${this.#options.deliveryTimeoutMs} ms${why}`;
    return new ClientError("request_timed_out", text, { cause });
  }

  #lost(queue: PartitionQueue, batch: ProducerBatch, error: ClientError): void {
    // Its sequences are a hole that no later batch may jump.
    if (batch.bytes !== null) queue.needsIdentity = true;
    this.#settle(queue, batch, error);
  }

  #failWaiting(queue: PartitionQueue, error: ClientError): void {
    queue.close();
    for (const batch of queue.pending.splice(0)) this.#lost(queue, batch, error);
  }

  #settle(queue: PartitionQueue, batch: ProducerBatch, error: ClientError): void {
    const { transaction } = this.#options;
    batch.fail(transaction === null ? error : transaction.lost(error));
    this.#options.onSettled(queue, batch, error);
  }

  /** A first identity is shared by all partitions; one whose sequences broke gets its own. */
  async #renew(queue: PartitionQueue): Promise<void> {
    if (queue.isGettingIdentity) return;
    queue.isGettingIdentity = true;
    try {
      let identity: ProducerIdentity;
      if (queue.identity !== null) identity = await this.#newIdentity();
      else {
        this.#identity ??= this.#newIdentity();
        identity = await this.#identity;
      }
      for (const batch of queue.takeOvertaken())
        this.#settle(queue, batch, overtaken(queue, batch));
      queue.renew(identity);
    } catch (error) {
      this.#identity = null;
      if (this.#closing.signal.aborted) return;
      if (isRetriable(error)) this.#retryLater(queue);
      else this.#failWaiting(queue, error as ClientError);
    } finally {
      queue.isGettingIdentity = false;
    }
    this.#wakeAll();
  }

  #newIdentity(): Promise<ProducerIdentity> {
    const { runtime, backoff, port, timeoutMs } = this.#context;
    const options = { ...backoff, timeoutMs, signal: this.#closing.signal };
    return retrying(runtime, options, async () => {
      const request = { transactionalId: null, transactionTimeoutMs: 0x7fffffff };
      const response = await port.send(InitProducerId, request);
      requireNone(response.errorCode, "Cannot get a producer id");
      return { producerId: response.producerId, producerEpoch: response.producerEpoch };
    });
  }
}

/** A broker takes the first sequence it sees in a new log: a batch refused just before is late then. */
function overtaken({ topic, partition }: PartitionQueue, { lastError: cause }: ProducerBatch) {
  const text = `Cannot produce to ${topic}-${partition}: the log was made anew, and took later records before these`;
  return new ClientError("out_of_order_sequence_number", text, { cause, retriable: false });
}
