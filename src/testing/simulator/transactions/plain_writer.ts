// A producer without transactions beside those with: its records wait behind open transactions for read_committed readers,
// and are never hidden. Invariant: an idempotent one sends a batch until it is acknowledged; a plain one sends it once.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { Produce } from "../../../protocol/messages/00_produce.ts";
import { InitProducerId } from "../../../protocol/messages/22_init_producer_id.ts";
import { ConnectionGone, type SimClient } from "../sim_client.ts";
import { batchBytes } from "./batches.ts";
import type { Author, ModelPartition, SentRecord, TransactionModel } from "./model.ts";

const CHECKER = "transaction_answers";
const PRODUCE_FROM = 3;
const AGAIN = new Set(["kafka_storage_error", "not_leader_or_follower", "request_timed_out"]);

export interface PlainWriterOptions {
  readonly client: SimClient;
  readonly model: TransactionModel;
  readonly author: Author;
  readonly random: SeededRandom;
  readonly partitions: readonly ModelPartition[];
  readonly batchCount: number;
  readonly recordsMax: number;
  readonly valueBytesMax: number;
  readonly thinkUsMax: number;
  readonly mustStop: () => boolean;
  readonly recordsFor: (partition: ModelPartition, count: number) => readonly SentRecord[];
}

export class PlainWriter {
  isDone = false;
  readonly #options: PlainWriterOptions;
  readonly #sequences = new Map<ModelPartition, number>();
  #producerId = -1;

  constructor(options: PlainWriterOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { client, author, random, partitions, batchCount, thinkUsMax, mustStop } = this.#options;
    if (author.isIdempotent) await this.#initialise();
    for (let i = 0; i < batchCount && !mustStop(); i++) {
      await this.#write(partitions[random.below(partitions.length)]!);
      await client.options.process.sleep(random.below(thinkUsMax), `${client.name}_think`);
    }
    client.close();
    this.isDone = true;
  }

  async #initialise(): Promise<void> {
    this.#producerId = await this.#options.client.persist(async (connection) => {
      const version = connection.versionOf(InitProducerId);
      const response = await connection.request(InitProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
      });
      return response.errorCode === 0 ? response.producerId : "again";
    });
  }

  async #write(partition: ModelPartition): Promise<void> {
    const { client, model, author, random, recordsMax, valueBytesMax } = this.#options;
    const count = 1 + random.below(recordsMax);
    const sent = author.sent.get(partition) ?? [];
    const first = sent.length;
    sent.push(...this.#options.recordsFor(partition, count));
    author.sent.set(partition, sent);
    const baseSequence = this.#sequences.get(partition) ?? 0;
    this.#sequences.set(partition, baseSequence + count);
    const { isIdempotent } = author;
    const bytes = batchBytes(model.world, random, valueBytesMax, author, partition, first, {
      producerId: this.#producerId,
      producerEpoch: isIdempotent ? 0 : -1,
      baseSequence: isIdempotent ? baseSequence : -1,
      isTransactional: false,
    });
    await client.persist(async (connection) => {
      try {
        const version = connection.versionOf(Produce, PRODUCE_FROM);
        const { topic, index } = partition;
        const response = await connection.request(Produce, version, {
          transactionalId: null,
          acks: -1,
          timeoutMs: 30_000,
          topicData: [
            {
              name: topic.shape.name,
              topicId: topic.id,
              partitionData: [{ index, records: bytes }],
            },
          ],
        });
        const answer = response.responses[0]!.partitionResponses[0]!;
        const code = errorByCode(answer.errorCode)?.code;
        if (code === undefined) {
          model.acked(author, partition, first, count, answer.baseOffset);
          return null;
        }
        if (!AGAIN.has(code)) model.fail(CHECKER, `${client.name}: Produce: ${code}`);
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      return isIdempotent ? "again" : null;
    });
  }
}
