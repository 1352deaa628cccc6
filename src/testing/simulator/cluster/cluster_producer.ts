// A simulated producer of a cluster: a lane for each partition, which follows its leader; pipelined batches, and what failed is
// sent again in order before anything new. Invariant: an idempotent batch is sent until it is acknowledged.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { Produce } from "../../../protocol/messages/00_produce.ts";
import { InitProducerId } from "../../../protocol/messages/22_init_producer_id.ts";
import { RecordBatchBuilder } from "../../../record/record_builder.ts";
import type { PartitionHistory, SentBatch } from "../history.ts";
import { recordValue } from "../record_values.ts";
import { ConnectionGone, type SimConnection } from "../sim_client.ts";
import { simCompression } from "../sim_compression.ts";
import { WALL_START_MS } from "../sim_runtime.ts";
import type { ClusterClient } from "./cluster_client.ts";
import type { ClusterProducerPlan } from "./plan.ts";

const CHECKER = "producer_answers";

/** The same batch is sent again, to whoever leads by then. */
const AGAIN: ReadonlySet<string> = new Set([
  "kafka_storage_error",
  "request_timed_out",
  "not_leader_or_follower",
  "leader_not_available",
  "fenced_leader_epoch",
  "unknown_leader_epoch",
  "not_enough_replicas",
  "not_enough_replicas_after_append",
  "unknown_topic_or_partition",
  "unknown_topic_id",
  "network_exception",
]);

interface OpenBatch extends SentBatch {
  readonly bytes: Uint8Array;
}

export interface ClusterProducerOptions {
  readonly client: ClusterClient;
  readonly number: number;
  readonly plan: ClusterProducerPlan;
  readonly random: SeededRandom;
  readonly partitions: readonly PartitionHistory[];
  readonly mustStop: () => boolean;
}

export class ClusterProducer {
  isDone = false;
  readonly #options: ClusterProducerOptions;
  #producerId = -1;
  #producerEpoch = -1;

  constructor(options: ClusterProducerOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { plan, partitions, client } = this.#options;
    if (plan.isIdempotent) await this.#initialise();
    await Promise.all(partitions.map((partition) => this.#lane(partition)));
    client.close();
    this.isDone = true;
  }

  async #initialise(): Promise<void> {
    const { client } = this.#options;
    for (;;) {
      try {
        const { connection } = await client.anyConnection();
        const version = connection.versionOf(InitProducerId);
        const response = await connection.request(InitProducerId, version, {
          transactionalId: null,
          transactionTimeoutMs: 60_000,
        });
        if (response.errorCode === 0) {
          const { producerId, producerEpoch } = response;
          client.options.history.history.producerIdGiven(producerId, producerEpoch);
          this.#producerId = producerId;
          this.#producerEpoch = producerEpoch;
          return;
        }
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      await client.backOff();
    }
  }

  async #lane(partition: PartitionHistory): Promise<void> {
    const { plan, random: all, mustStop, client } = this.#options;
    const random = all.fork(partition.label);
    let left = 1 + Math.floor(plan.batchCount / this.#options.partitions.length);
    let next = 0;
    while (left > 0 && !mustStop()) {
      const round: OpenBatch[] = [];
      for (let i = random.below(plan.window); i >= 0; i--) {
        const recordCount = 1 + random.below(plan.recordsMax);
        round.push(this.#newBatch(partition, next, recordCount, random));
        next += recordCount;
        left--;
      }
      let failed = await this.#sendAll(partition, round);
      while (failed.length > 0) {
        await client.backOff();
        await this.#findLeader(partition);
        const [first, ...rest] = failed;
        failed = [...(await this.#sendAll(partition, [first!])), ...rest];
      }
      await client.options.process.sleep(random.below(plan.thinkUsMax), `${client.name}_think`);
    }
  }

  #newBatch(
    partition: PartitionHistory,
    firstSequence: number,
    recordCount: number,
    random: SeededRandom,
  ): OpenBatch {
    const { number, plan, client } = this.#options;
    const builder = new RecordBatchBuilder({
      codec: random.below(4) === 0 ? "lz4" : "none",
      compression: simCompression,
      producerId: this.#producerId,
      producerEpoch: this.#producerEpoch,
      baseSequence: plan.isIdempotent ? firstSequence : -1,
    });
    const nowMs = WALL_START_MS + Math.floor(client.world.nowUs / 1000);
    for (let at = 0; at < recordCount; at++) {
      const identity = {
        topic: partition.topic.number,
        partition: partition.partition,
        producer: number,
        sequence: firstSequence + at,
      };
      const value = recordValue(identity, random.below(plan.valueBytesMax + 1));
      builder.append(nowMs - random.below(200), null, value);
    }
    const batch: OpenBatch = {
      producer: number,
      isIdempotent: plan.isIdempotent,
      firstSequence,
      recordCount,
      attempts: 0,
      connection: -1,
      bytes: builder.build(),
    };
    partition.sent.set(number * 0x100000000 + firstSequence, batch);
    return batch;
  }

  async #findLeader(partition: PartitionHistory): Promise<void> {
    try {
      await this.#options.client.refresh([partition.topic]);
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
    }
  }

  /** Back to back over one connection. @returns What has to be sent again, in order. */
  async #sendAll(
    partition: PartitionHistory,
    batches: readonly OpenBatch[],
  ): Promise<readonly OpenBatch[]> {
    const { client, plan } = this.#options;
    const leader = client.leaderOf(partition);
    if (leader === null) return batches;
    let connection: SimConnection;
    try {
      connection = await client.connectedTo(leader);
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
      return batches;
    }
    const round = { hasFailed: false };
    const outcomes = batches.map(async (batch) => {
      let verdict: "acked" | "again" | "dropped";
      try {
        verdict = await this.#send(partition, batch, leader, connection, round);
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
        verdict = plan.acks === -1 || batch.attempts === 0 ? "again" : "dropped";
      }
      if (verdict === "again") round.hasFailed = true;
      return verdict;
    });
    const again: OpenBatch[] = [];
    for (let i = 0; i < batches.length; i++) {
      if ((await outcomes[i]) === "again") again.push(batches[i]!);
    }
    return again;
  }

  async #send(
    partition: PartitionHistory,
    batch: OpenBatch,
    leader: number,
    connection: SimConnection,
    round: { hasFailed: boolean },
  ): Promise<"acked" | "again" | "dropped"> {
    const { client, plan } = this.#options;
    const { topic } = partition;
    batch.attempts++;
    batch.connection = connection.number;
    const version = Produce.highestStable;
    const body = {
      transactionalId: null,
      acks: plan.acks,
      timeoutMs: 1000,
      topicData: [
        {
          name: topic.name,
          topicId: topic.id,
          partitionData: [{ index: partition.partition, records: batch.bytes }],
        },
      ],
    };
    if (plan.acks === 0) {
      connection.tell(Produce, version, body);
      return "dropped";
    }
    const sentUs = client.world.nowUs;
    const response = await connection.request(Produce, version, body, 1000);
    const answer = response.responses[0]?.partitionResponses[0];
    if (answer === undefined) {
      client.world.fail(CHECKER, `${partition.label} was left unanswered`);
      return "dropped";
    }
    if (answer.errorCode === 0) {
      // Of fewer acks nothing is promised beyond the leader that gave it.
      if (plan.acks === -1) {
        const { baseOffset } = answer;
        client.options.history.acked(partition, { batch, baseOffset }, leader, sentUs);
      }
      return "acked";
    }
    const code = errorByCode(answer.errorCode)?.code ?? `error ${answer.errorCode}`;
    // At once: answers of one round may come together, and this one explains the next.
    if (AGAIN.has(code)) round.hasFailed = true;
    if (round.hasFailed && (AGAIN.has(code) || code === "out_of_order_sequence_number")) {
      return "again";
    }
    client.world.fail(
      CHECKER,
      `${client.name}: ${code} for ${partition.label} from broker ${leader}, sequence ${batch.firstSequence}, attempt ${batch.attempts}`,
    );
    return "dropped";
  }
}
