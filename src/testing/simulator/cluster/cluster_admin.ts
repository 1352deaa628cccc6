// The operator of a simulated cluster: makes the topics, moves replicas, and knows when everything is in sync.
// Invariant: what it asks for is asked again until somebody answers.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { CreateTopics } from "../../../protocol/messages/19_create_topics.ts";
import { AlterPartitionReassignments } from "../../../protocol/messages/45_alter_partition_reassignments.ts";
import type { TopicHistory } from "../history.ts";
import { ConnectionGone, type SimConnection } from "../sim_client.ts";
import type { ClusterClient } from "./cluster_client.ts";
import type { ClusterTopicPlan } from "./plan.ts";

const CHECKER = "admin_answers";

const AGAIN: ReadonlySet<string> = new Set([
  "request_timed_out",
  "kafka_storage_error",
  "not_controller",
  "coordinator_not_available",
  // Before all brokers have registered.
  "invalid_replication_factor",
  "broker_not_available",
]);

export class ClusterAdmin {
  readonly client: ClusterClient;

  constructor(client: ClusterClient) {
    this.client = client;
  }

  async createTopic(
    topic: TopicHistory,
    plan: ClusterTopicPlan,
    configs: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.#persist(async (connection) => {
      const response = await connection.request(CreateTopics, CreateTopics.highestStable, {
        topics: [
          {
            name: topic.name,
            numPartitions: plan.partitionCount,
            replicationFactor: plan.replicationFactor,
            assignments: [],
            configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
          },
        ],
        validateOnly: false,
      });
      const code = codeOf(response.topics[0]?.errorCode ?? -1);
      return code === "topic_already_exists" ? null : code;
    });
    await this.client.refreshUntil([topic], () => true);
  }

  /** Gives one partition other replicas, in another order. What is refused is left. @throws {ConnectionGone} */
  async reassign(topic: TopicHistory, brokerCount: number, random: SeededRandom): Promise<void> {
    const partition = topic.partition(random.below(topic.partitionCount));
    const told = this.client.toldOf(partition);
    if (told === null) return;
    const ids = Array.from({ length: brokerCount }, (_, id) => id);
    const replicas: number[] = [];
    while (replicas.length < told.replicas.length) {
      replicas.push(...ids.splice(random.below(ids.length), 1));
    }
    this.client.world.say(() => `${partition.label} is to go to ${replicas}`);
    const { connection } = await this.client.anyConnection();
    const { highestStable } = AlterPartitionReassignments;
    await connection.request(AlterPartitionReassignments, highestStable, {
      topics: [
        { name: topic.name, partitions: [{ partitionIndex: partition.partition, replicas }] },
      ],
    });
  }

  /** Waits until every replica of every partition is in sync, and its preferred one leads. */
  async waitUntilInSync(topics: readonly TopicHistory[], isPreferred: boolean): Promise<void> {
    const partitions = () =>
      topics.flatMap((topic) =>
        Array.from({ length: topic.partitionCount }, (_, i) => topic.partition(i)),
      );
    await this.client.refreshUntil(topics, () =>
      partitions().every((partition) => {
        const told = this.client.toldOf(partition);
        if (told === null || told.isr.length !== told.replicas.length) return false;
        return isPreferred ? told.leader === told.replicas[0] : told.leader >= 0;
      }),
    );
  }

  async #persist(act: (connection: SimConnection) => Promise<string | null>): Promise<void> {
    const { client } = this;
    for (;;) {
      try {
        const { connection } = await client.anyConnection();
        const code = await act(connection);
        if (code === null) return;
        if (!AGAIN.has(code)) client.world.fail(CHECKER, `${client.name}: ${code}`);
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      await client.backOff();
    }
  }
}

function codeOf(errorCode: number): string | null {
  return errorCode === 0 ? null : (errorByCode(errorCode)?.code ?? `error ${errorCode}`);
}
