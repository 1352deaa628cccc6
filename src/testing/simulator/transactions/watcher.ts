// Somebody who looks on: ends of partitions at both isolations, committed offsets, what the coordinator says of transactional
// ids; and an operator who deletes records. Everything it is told is held against the model.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { DeleteTopics } from "../../../protocol/messages/20_delete_topics.ts";
import { DeleteRecords } from "../../../protocol/messages/21_delete_records.ts";
import { UpdateFeatures } from "../../../protocol/messages/57_update_features.ts";
import { DescribeTransactions } from "../../../protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../../protocol/messages/66_list_transactions.ts";
import { ConnectionGone, type SimClient, type SimConnection } from "../sim_client.ts";
import {
  DESCRIBED,
  type ModelPartition,
  type ModelTopic,
  type ModelTransaction,
  type TransactionModel,
} from "./model.ts";
import { LATEST, listOffsetOf, READ_COMMITTED, READ_UNCOMMITTED } from "./reads.ts";
import { offsetsOf } from "./transform.ts";

export interface WatcherOptions {
  readonly client: SimClient;
  readonly model: TransactionModel;
  readonly random: SeededRandom;
  readonly thinkUsMax: number;
  readonly mustStop: () => boolean;
  /** The faults have ended. */
  readonly isQuiet: () => boolean;
  readonly changesLevel: boolean;
}

const TRANSACTION_VERSION = "transaction.version";
const UPGRADE = 1;
const UNSAFE_DOWNGRADE = 3;

/** Sets the level of the protocol, whatever it is. */
export async function changeLevel(
  client: SimClient,
  model: TransactionModel,
  level: number,
): Promise<void> {
  let upgradeType = UNSAFE_DOWNGRADE;
  let refusals = 0;
  await client.persist(async (connection) => {
    const { errorCode, errorMessage } = await connection.request(UpdateFeatures, 1, {
      featureUpdates: [{ feature: TRANSACTION_VERSION, maxVersionLevel: level, upgradeType }],
      validateOnly: false,
    });
    const code = errorByCode(errorCode)?.code;
    if (code === undefined) return null;
    if (code === "invalid_update_version") {
      // It is lower than that, or it is that already.
      if (++refusals === 2) return null;
      upgradeType = upgradeType === UPGRADE ? UNSAFE_DOWNGRADE : UPGRADE;
    } else if (code !== "request_timed_out" && code !== "kafka_storage_error") {
      model.fail("admin_answers", `UpdateFeatures: ${code}: ${errorMessage}`);
    }
    return "again";
  });
}

/** Deletes a topic that transactions are open in. */
export async function deleteTopic(
  client: SimClient,
  model: TransactionModel,
  topic: ModelTopic,
): Promise<void> {
  topic.isDeletionAsked = true;
  await client.persist(async (connection) => {
    const response = await connection.request(DeleteTopics, DeleteTopics.highestStable, {
      topics: [{ name: null, topicId: topic.id }],
      topicNames: [],
      timeoutMs: 10_000,
    });
    const code = errorByCode(response.responses[0]!.errorCode)?.code;
    if (code === undefined || code === "unknown_topic_id") return null;
    if (code !== "request_timed_out" && code !== "kafka_storage_error") {
      model.fail("admin_answers", `DeleteTopics: ${code}`);
    }
    return "again";
  });
}

export class Watcher {
  isDone = false;
  readonly #options: WatcherOptions;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { client, model, random, thinkUsMax, mustStop } = this.#options;
    while (!mustStop()) {
      if (this.#options.changesLevel && !this.#options.isQuiet() && random.below(4) === 0) {
        await changeLevel(client, model, random.below(3));
      }
      await client.options.process.sleep(random.below(thinkUsMax), `${client.name}_think`);
      try {
        await this.#look(await client.connected());
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
    }
    client.close();
    this.isDone = true;
  }

  async #look(connection: SimConnection): Promise<void> {
    const { client, model, random } = this.#options;
    const partitions = model.topics.flatMap((topic) => topic.partitions);
    const partition = partitions[random.below(partitions.length)]!;
    const { groups } = model;
    // At the end nobody asks coordinators for anything: what is open there has to end by itself.
    switch (random.below(this.#options.isQuiet() ? 4 : 7)) {
      case 0:
        await listOffsetOf(connection, model, partition, LATEST, READ_UNCOMMITTED);
        break;
      case 1:
      case 2:
        await listOffsetOf(connection, model, partition, LATEST, READ_COMMITTED);
        break;
      case 3: {
        if (groups.length === 0) break;
        const group = groups[random.below(groups.length)]!;
        const all = group.input.partitions.map(({ index }) => index);
        await offsetsOf(client, { model, group }, all, random.below(2) === 0);
        break;
      }
      case 4:
        await this.#describe(connection);
        break;
      case 5:
        await this.#list(connection);
        break;
      default:
        await this.#deleteRecords(connection, partition);
        break;
    }
  }

  async #describe(connection: SimConnection): Promise<void> {
    const { model } = this.#options;
    const open = new Map<string, { transaction: ModelTransaction; joined: ModelPartition[] }>();
    for (const transaction of model.transactions) {
      const joined = [...transaction.joined];
      if (joined.length > 0 && model.isSurelyOpen(transaction)) {
        open.set(transaction.id.name, { transaction, joined });
      }
    }
    const response = await connection.request(DescribeTransactions, 0, {
      transactionalIds: [...open.keys()],
    });
    for (const each of response.transactionStates) {
      const { transaction, joined } = open.get(each.transactionalId)!;
      // Errors are of coordinators that are not there yet.
      if (each.errorCode !== 0 || !model.isSurelyOpen(transaction)) continue;
      const { producerId, producerEpoch, label } = transaction;
      const is = `${each.transactionState}, producer ${each.producerId}, epoch ${each.producerEpoch}`;
      const isSame = each.producerId === producerId && each.producerEpoch === producerEpoch;
      if (each.transactionState !== "Ongoing" || !isSame) {
        model.fail(DESCRIBED, `${label} is open, and described as ${is}`);
      }
      const told = new Set(
        each.topics.flatMap(({ topic, partitions }) => partitions.map((p) => `${topic}/${p}`)),
      );
      const missing = joined.find((partition) => !told.has(partition.label));
      if (missing !== undefined) {
        model.fail(DESCRIBED, `${label} is described without ${missing.label}`);
      }
    }
  }

  async #list(connection: SimConnection): Promise<void> {
    const { model } = this.#options;
    const open = model.transactions.filter(
      (transaction) => transaction.joined.size > 0 && model.isSurelyOpen(transaction),
    );
    const response = await connection.request(ListTransactions, 0, {
      stateFilters: ["Ongoing"],
      producerIdFilters: [],
    });
    if (response.errorCode !== 0) return;
    const listed = new Set(response.transactionStates.map((each) => each.transactionalId));
    for (const transaction of open) {
      if (listed.has(transaction.id.name) || !model.isSurelyOpen(transaction)) continue;
      model.fail(DESCRIBED, `${transaction.label} is open, and not listed`);
    }
  }

  async #deleteRecords(connection: SimConnection, partition: ModelPartition): Promise<void> {
    const { model, random, client } = this.#options;
    const { shape } = partition.topic;
    if (!shape.expires || shape.isCompacted || partition.highWatermark === 0) return;
    const offset = 1 + random.below(partition.highWatermark);
    partition.deletionAskedFor = Math.max(partition.deletionAskedFor, offset);
    const version = connection.versionOf(DeleteRecords);
    const response = await connection.request(DeleteRecords, version, {
      topics: [{ name: shape.name, partitions: [{ partitionIndex: partition.index, offset }] }],
      timeoutMs: 10_000,
    });
    const code = errorByCode(response.topics[0]!.partitions[0]!.errorCode)?.code;
    if (code === undefined || code === "kafka_storage_error" || code === "request_timed_out")
      return;
    if (code === "offset_out_of_range") return;
    model.fail(
      "transaction_answers",
      `${client.name}: DeleteRecords of ${partition.label}: ${code}`,
    );
  }
}
