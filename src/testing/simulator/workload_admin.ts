// A simulated operator: makes and deletes scratch topics under few names, deletes records, asks for offsets
// and metadata, adds partitions.
// Invariant: a topic incarnation that it was told is deleted is never used rightly again, and is tried.

import type { SeededRandom } from "../../base/prng.ts";
import { errorByCode } from "../../protocol/errors.ts";
import { Metadata } from "../../protocol/messages/03_metadata.ts";
import { CreateTopics } from "../../protocol/messages/19_create_topics.ts";
import { DeleteTopics } from "../../protocol/messages/20_delete_topics.ts";
import { DeleteRecords } from "../../protocol/messages/21_delete_records.ts";
import { CreatePartitions } from "../../protocol/messages/37_create_partitions.ts";
import type { History, PartitionHistory, TopicHistory } from "./history.ts";
import type { TopicPlan } from "./scenario.ts";
import type { SimClient } from "./sim_client.ts";
import { listOffset } from "./workload_consumer.ts";

const CHECKER = "admin_answers";
const IDS_SINCE_METADATA = 10;
const PARTITIONS_MAX = 8;

const SCRATCH_PLAN = { partitionCount: 2, expires: false, isLossy: false, isStamped: false };

/** Creates a topic, or finds that an earlier try did; knows its id afterwards. */
export async function createTopic(
  client: SimClient,
  topic: TopicHistory,
  configs: Readonly<Record<string, string>>,
): Promise<void> {
  await client.persist(async (connection) => {
    const version = connection.versionOf(CreateTopics);
    const response = await connection.request(CreateTopics, version, {
      topics: [
        {
          name: topic.name,
          numPartitions: topic.partitionCount,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
        },
      ],
      validateOnly: false,
    });
    const { errorCode } = response.topics[0]!;
    const code = errorByCode(errorCode)?.code;
    if (code === undefined || code === "topic_already_exists") return null;
    if (!MAY_FAIL.has(code)) {
      client.world.fail(CHECKER, `CreateTopics of ${topic.name}: ${code}`);
    }
    return "again";
  });
  topic.id = await client.persist(async (connection) => {
    const version = connection.versionOf(Metadata, IDS_SINCE_METADATA);
    const response = await connection.request(Metadata, version, {
      topics: [{ name: topic.name }],
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    const found = response.topics[0]!;
    if (found.errorCode !== 0) {
      client.world.fail(
        CHECKER,
        `Metadata of ${topic.name}: ${errorByCode(found.errorCode)!.code} after it was created`,
      );
      return "again";
    }
    return found.topicId;
  });
  client.world.say(() => `topic ${topic.name} has id ${topic.id}`);
}

/** What a broker that is going down, or whose store is slow, may answer. */
const MAY_FAIL = new Set(["kafka_storage_error", "request_timed_out", "unknown_server_error"]);

export interface AdminOptions {
  readonly client: SimClient;
  readonly history: History;
  readonly random: SeededRandom;
  readonly topics: readonly { readonly topic: TopicHistory; readonly plan: TopicPlan }[];
  readonly mustStop: () => boolean;
  /** Produces a little to a scratch topic; resolves when acknowledged or hopeless. */
  readonly fill: (topic: TopicHistory) => Promise<void>;
}

export class SimAdmin {
  isDone = false;
  readonly #options: AdminOptions;
  readonly #scratch = new Map<string, TopicHistory>();

  constructor(options: AdminOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { client, random, mustStop } = this.#options;
    while (!mustStop()) {
      await client.options.process.sleep(random.below(120_000), "admin_think");
      switch (random.below(6)) {
        case 5:
          await this.#addPartition();
          break;
        case 0:
        case 1:
          await this.#deleteRecords();
          break;
        case 2:
          await this.#turnScratch();
          break;
        default:
          await this.#askForOffsets();
          break;
      }
    }
    client.close();
    this.isDone = true;
  }

  #somePartition(): PartitionHistory {
    const { topics, random } = this.#options;
    const { topic } = topics[random.below(topics.length)]!;
    return topic.partition(random.below(topic.partitionCount));
  }

  async #askForOffsets(): Promise<void> {
    const { client, history, random } = this.#options;
    const partition = this.#somePartition();
    await client.persist(async (connection) => {
      const which = [-1, -2, -3, 1_800_000_000_000 + random.below(1000)][random.below(4)]!;
      await listOffset(connection, history, partition, which);
      return null;
    });
  }

  /** Producers use it, and the audit reads it, once it was answered. */
  async #addPartition(): Promise<void> {
    const { client, topics, random } = this.#options;
    const { topic } = topics[random.below(topics.length)]!;
    const count = topic.partitionCount + 1;
    if (count > PARTITIONS_MAX) return;
    await client.persist(async (connection) => {
      const version = connection.versionOf(CreatePartitions);
      const response = await connection.request(CreatePartitions, version, {
        topics: [{ name: topic.name, count, assignments: null }],
        timeoutMs: 10_000,
        validateOnly: false,
      });
      const code = errorByCode(response.results[0]!.errorCode)?.code;
      // An earlier try, whose answer was lost, may have done it.
      if (code === undefined || code === "invalid_partitions") return null;
      if (!MAY_FAIL.has(code)) client.world.fail(CHECKER, `CreatePartitions: ${code}`);
      return "again";
    });
    topic.partitionCount = count;
  }

  async #deleteRecords(): Promise<void> {
    const { client, history, random, topics } = this.#options;
    const trimmed = topics.filter(({ plan }) => plan.isTrimmed);
    if (trimmed.length === 0) return;
    const { topic } = trimmed[random.below(trimmed.length)]!;
    const partition = topic.partition(random.below(topic.partitionCount));
    const known = partition.highWatermark;
    if (known === 0) return;
    const offset = 1 + random.below(known);
    partition.deletionAskedFor = Math.max(partition.deletionAskedFor, offset);
    await client.persist(async (connection) => {
      const version = connection.versionOf(DeleteRecords);
      const response = await connection.request(DeleteRecords, version, {
        topics: [
          { name: topic.name, partitions: [{ partitionIndex: partition.partition, offset }] },
        ],
        timeoutMs: 10_000,
      });
      const answer = response.topics[0]!.partitions[0]!;
      const code = errorByCode(answer.errorCode)?.code;
      if (code === undefined) {
        history.recordsDeleted(partition, answer.lowWatermark);
        return null;
      }
      if (MAY_FAIL.has(code)) return "again";
      const isJudged = !topic.isTainted && !history.hasFlippedBits;
      if (isJudged) client.world.fail(CHECKER, `DeleteRecords of ${partition.label}: ${code}`);
      return null;
    });
  }

  /** Makes a scratch topic and fills it a little, or deletes it, or tries one that is gone. */
  async #turnScratch(): Promise<void> {
    const { client, history, random, fill } = this.#options;
    const name = `scratch-${random.below(2)}`;
    const current = this.#scratch.get(name);
    if (current === undefined || current.isDeleted) {
      const gone = history.topics.filter((topic) => topic.isDeleted && topic.name === name);
      if (gone.length > 0 && random.below(2) === 0) {
        await fill(gone[random.below(gone.length)]!);
        return;
      }
      const topic = history.addTopic(name, SCRATCH_PLAN);
      await createTopic(client, topic, {});
      if (gone.some((each) => each.id === topic.id)) {
        history.deletedTopicServed(topic, "CreateTopics with an id that was used before");
      }
      this.#scratch.set(name, topic);
      const filling = fill(topic);
      // Sometimes the deletion meets appends on their way.
      if (random.below(2) === 0) await filling;
      return;
    }
    current.isDeletionAsked = true;
    await client.persist(async (connection) => {
      const version = connection.versionOf(DeleteTopics);
      const usesIds = version >= 6;
      const response = await connection.request(DeleteTopics, version, {
        topics: usesIds ? [{ name: null, topicId: current.id }] : [],
        topicNames: usesIds ? [] : [name],
        timeoutMs: 10_000,
      });
      const code = errorByCode(response.responses[0]!.errorCode)?.code;
      const isGone = code === "unknown_topic_or_partition" || code === "unknown_topic_id";
      if (code === undefined || isGone) return null;
      if (!MAY_FAIL.has(code)) client.world.fail(CHECKER, `DeleteTopics of ${name}: ${code}`);
      return "again";
    });
    current.isDeleted = true;
    client.world.say(() => `topic ${name} (${current.id}) is deleted`);
  }
}
