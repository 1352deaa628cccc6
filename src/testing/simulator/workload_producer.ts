// A simulated producer: rounds of pipelined requests to several partitions; what failed is sent again, in
// order, before anything new. Idempotent ones keep sequences as KIP-98 asks.
// Invariant: an idempotent batch is sent until it is acknowledged; sequences of a partition leave no gap.

import type { SeededRandom } from "../../base/prng.ts";
import { errorByCode } from "../../protocol/errors.ts";
import { Produce } from "../../protocol/messages/00_produce.ts";
import { InitProducerId } from "../../protocol/messages/22_init_producer_id.ts";
import { RecordBatchBuilder } from "../../record/record_builder.ts";
import type { History, PartitionHistory, SentBatch, TopicHistory } from "./history.ts";
import { recordValue } from "./record_values.ts";
import { PRODUCE_WITH_ZSTD, type ProducerPlan } from "./scenario.ts";
import { ConnectionGone, type SimClient, type SimConnection } from "./sim_client.ts";
import { simCompression } from "./sim_compression.ts";
import { WALL_START_MS } from "./sim_runtime.ts";

const CHECKER = "producer_answers";
/** Topic ids came with this version. */
const IDS_SINCE = 13;

interface OpenBatch extends SentBatch {
  readonly partition: PartitionHistory;
  readonly bytes: Uint8Array;
}

type Verdict = "acked" | "again" | "dropped";

/** Errors after which the same batch is sent again. */
const AGAIN = new Set([
  "kafka_storage_error",
  "request_timed_out",
  "not_leader_or_follower",
  "leader_not_available",
]);

export interface ProducerOptions {
  readonly client: SimClient;
  readonly number: number;
  readonly plan: ProducerPlan;
  readonly history: History;
  readonly random: SeededRandom;
  readonly topics: readonly TopicHistory[];
  /** Once true nothing new is begun; what is open is still finished. */
  readonly mustStop: () => boolean;
}

export class SimProducer {
  isDone = false;
  readonly #options: ProducerOptions;
  readonly #nextSequence = new Map<PartitionHistory, number>();
  #producerId = -1;
  #producerEpoch = -1;
  #batchesLeft: number;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#batchesLeft = options.plan.batchCount;
  }

  async run(): Promise<void> {
    const { client, plan, random, mustStop } = this.#options;
    if (plan.isIdempotent) await this.#initialise();
    while (this.#batchesLeft > 0 && !mustStop()) {
      const round: OpenBatch[][] = [];
      for (let i = random.below(plan.window); i >= 0; i--) round.push(this.#newRequest());
      let failed = await this.#sendRound(round);
      while (failed.length > 0) {
        await client.backOff();
        // One at a time and in order: a batch never passes one of its partition that was sent before it.
        const [first, ...rest] = failed;
        failed = [...(await this.#sendRound([[first!]])), ...rest];
      }
      if (plan.thinkUsMax > 0) {
        await client.options.process.sleep(random.below(plan.thinkUsMax), `${client.name}_think`);
      }
    }
    client.close();
    this.isDone = true;
  }

  async #initialise(): Promise<void> {
    const { client, history } = this.#options;
    await client.persist(async (connection) => {
      const version = connection.versionOf(InitProducerId);
      const response = await connection.request(InitProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
      });
      if (response.errorCode !== 0) return "again";
      history.producerIdGiven(response.producerId, response.producerEpoch);
      this.#producerId = response.producerId;
      this.#producerEpoch = response.producerEpoch;
      return null;
    });
  }

  /** One batch for each of a few partitions, with their places in the producer's order. */
  #newRequest(): OpenBatch[] {
    const { plan, random, topics, number } = this.#options;
    const batches: OpenBatch[] = [];
    const chosen = new Set<PartitionHistory>();
    for (let i = random.below(3); i >= 0; i--) {
      const topic = topics[random.below(topics.length)]!;
      chosen.add(topic.partition(random.below(topic.partitionCount)));
    }
    for (const partition of chosen) {
      this.#batchesLeft--;
      const firstSequence = this.#nextSequence.get(partition) ?? 0;
      const recordCount = 1 + random.below(plan.recordsMax);
      this.#nextSequence.set(partition, firstSequence + recordCount);
      const builder = new RecordBatchBuilder({
        codec: plan.codecs[random.below(plan.codecs.length)]!,
        compression: simCompression,
        producerId: this.#producerId,
        producerEpoch: this.#producerEpoch,
        baseSequence: plan.isIdempotent ? firstSequence : -1,
      });
      const nowMs = WALL_START_MS + Math.floor(this.#options.client.world.nowUs / 1000);
      for (let at = 0; at < recordCount; at++) {
        const identity = {
          topic: partition.topic.number,
          partition: partition.partition,
          producer: number,
          sequence: firstSequence + at,
        };
        const value = recordValue(identity, random.below(plan.valueBytesMax + 1));
        const key = random.below(3) === 0 ? null : value.subarray(16, 20);
        builder.append(nowMs - random.below(200), key, value);
      }
      const batch: OpenBatch = {
        producer: number,
        isIdempotent: plan.isIdempotent,
        firstSequence,
        recordCount,
        attempts: 0,
        connection: -1,
        partition,
        bytes: builder.build(),
      };
      partition.sent.set(number * 0x100000000 + firstSequence, batch);
      batches.push(batch);
    }
    return batches;
  }

  /** Sends requests back to back. @returns The batches that have to be sent again, in order. */
  async #sendRound(requests: readonly (readonly OpenBatch[])[]): Promise<OpenBatch[]> {
    const { client } = this.#options;
    const all = requests.flat();
    let connection: SimConnection;
    try {
      connection = await client.connected();
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
      return all;
    }
    const failedPartitions = new Set<PartitionHistory>();
    const outcomes = requests.map((batches) => this.#send(connection, batches, failedPartitions));
    const again: OpenBatch[] = [];
    for (const outcome of outcomes) again.push(...(await outcome));
    return again;
  }

  async #send(
    connection: SimConnection,
    batches: readonly OpenBatch[],
    failedPartitions: Set<PartitionHistory>,
  ): Promise<OpenBatch[]> {
    const { plan } = this.#options;
    const needsIds = batches.some(({ partition }) => partition.topic.name.startsWith("scratch"));
    const lowest = plan.codecs.includes("zstd") ? PRODUCE_WITH_ZSTD : Produce.lowest;
    const version = connection.versionOf(Produce, needsIds ? IDS_SINCE : lowest);
    const byTopic = new Map<TopicHistory, OpenBatch[]>();
    for (const batch of batches) {
      // By name while the id is not known: metadata may have been slow.
      const list = byTopic.get(batch.partition.topic) ?? [];
      list.push(batch);
      byTopic.set(batch.partition.topic, list);
      batch.attempts++;
      batch.connection = connection.number;
    }
    const sentAfterDeletion = new Map(
      batches.map((batch) => [batch, batch.partition.topic.isDeleted]),
    );
    const body = {
      transactionalId: null,
      acks: plan.acks,
      timeoutMs: 30_000,
      topicData: [...byTopic].map(([topic, list]) => ({
        name: topic.name,
        topicId: topic.id,
        partitionData: list.map(({ partition, bytes }) => ({
          index: partition.partition,
          // The broker patches what it is given; the network copies it, so ours stays as it is.
          records: bytes,
        })),
      })),
    };
    if (plan.acks === 0) {
      connection.tell(Produce, version, body);
      return [];
    }
    let response: Awaited<ReturnType<typeof connection.request<typeof Produce>>>;
    try {
      response = await connection.request(Produce, version, body);
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
      for (const { partition } of batches) failedPartitions.add(partition);
      return plan.retriesUnknown ? [...batches] : [];
    }
    const again: OpenBatch[] = [];
    for (const batch of batches) {
      const { topic, partition } = batch.partition;
      const answer = response.responses
        .find((each) =>
          version >= IDS_SINCE ? each.topicId === topic.id : each.name === topic.name,
        )
        ?.partitionResponses.find((each) => each.index === partition);
      if (answer === undefined) {
        this.#options.client.world.fail(CHECKER, `${batch.partition.label} was left unanswered`);
        continue;
      }
      const verdict = this.#judge(
        batch,
        answer.errorCode,
        answer.baseOffset,
        failedPartitions,
        sentAfterDeletion.get(batch) === true,
      );
      if (verdict === "again") again.push(batch);
    }
    return again;
  }

  #judge(
    batch: OpenBatch,
    errorCode: number,
    baseOffset: number,
    failedPartitions: Set<PartitionHistory>,
    wasDeletedBefore: boolean,
  ): Verdict {
    const { history, client } = this.#options;
    const { partition } = batch;
    if (errorCode === 0) {
      if (wasDeletedBefore) history.deletedTopicServed(partition.topic, "Produce");
      history.acked(partition, { batch, baseOffset });
      return "acked";
    }
    const code = errorByCode(errorCode)?.code ?? `error ${errorCode}`;
    const hasFailedBefore = failedPartitions.has(partition);
    failedPartitions.add(partition);
    if (AGAIN.has(code)) return "again";
    // A batch that overtook a failed one of its own partition is early, not wrong.
    if (code === "out_of_order_sequence_number" && hasFailedBefore) return "again";
    const isUnknown = code === "unknown_topic_or_partition" || code === "unknown_topic_id";
    if (isUnknown && partition.topic.isDeletionAsked) return "dropped";
    const isJudged = !partition.topic.isTainted && !history.hasFlippedBits;
    if (isJudged) {
      client.world.fail(
        CHECKER,
        `${client.name}: ${code} for ${partition.label}, sequence ${batch.firstSequence}, attempt ${batch.attempts}`,
      );
    }
    return "dropped";
  }
}
