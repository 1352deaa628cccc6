// Commits growing offsets for a group without members, to its coordinator wherever that is, and asks for them again.
// Invariant: one commit at a time, so that what it may be told lies between the last acknowledged and the last asked for.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { OffsetCommit } from "../../../protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../../protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../../protocol/messages/10_find_coordinator.ts";
import type { TopicHistory } from "../history.ts";
import { ConnectionGone } from "../sim_client.ts";
import type { ClusterClient } from "./cluster_client.ts";

const CHECKER = "committer_answers";

const AGAIN: ReadonlySet<string> = new Set([
  "coordinator_not_available",
  "not_coordinator",
  "coordinator_load_in_progress",
  "request_timed_out",
  "kafka_storage_error",
  "unknown_topic_or_partition",
  "unknown_topic_id",
]);

export interface ClusterCommitterOptions {
  readonly client: ClusterClient;
  readonly groupId: string;
  readonly random: SeededRandom;
  readonly topic: TopicHistory;
  readonly commitsMax: number;
  readonly mustStop: () => boolean;
}

export class ClusterCommitter {
  isDone = false;
  readonly #options: ClusterCommitterOptions;
  #coordinator: number | null = null;
  #acked = -1;
  #asked = -1;

  constructor(options: ClusterCommitterOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { client, random, mustStop, commitsMax } = this.#options;
    for (let i = 0; i < commitsMax && !mustStop(); i++) {
      this.#asked++;
      await this.#persist(() => this.#commit());
      if (random.below(3) === 0) await this.#persist(() => this.#fetch());
      await client.options.process.sleep(random.below(300_000), `${client.name}_think`);
    }
    // Once more when all is quiet.
    while (!mustStop()) await client.options.process.sleep(200_000, `${client.name}_wait`);
    await this.#persist(() => this.#fetch());
    client.close();
    this.isDone = true;
  }

  async #persist(act: () => Promise<string | null>): Promise<void> {
    const { client } = this.#options;
    for (;;) {
      try {
        const code = await act();
        if (code === null) return;
        if (!AGAIN.has(code)) {
          client.world.fail(CHECKER, `${client.name}: ${code} from ${this.#coordinator}`);
          return;
        }
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      this.#coordinator = null;
      await client.backOff();
    }
  }

  async #connection() {
    const { client, groupId } = this.#options;
    if (this.#coordinator !== null) return await client.connectedTo(this.#coordinator);
    const { connection } = await client.anyConnection();
    const response = await connection.request(FindCoordinator, FindCoordinator.highestStable, {
      coordinatorKeys: [groupId],
    });
    const found = response.coordinators[0];
    if (found === undefined || found.errorCode !== 0) return null;
    this.#coordinator = found.nodeId;
    return await client.connectedTo(found.nodeId);
  }

  async #commit(): Promise<string | null> {
    const { client, groupId, topic } = this.#options;
    const connection = await this.#connection();
    if (connection === null) return "coordinator_not_available";
    const response = await connection.request(
      OffsetCommit,
      OffsetCommit.highestStable,
      {
        groupId,
        memberId: "",
        topics: [
          {
            name: topic.name,
            topicId: topic.id,
            partitions: [
              { partitionIndex: 0, committedOffset: this.#asked, committedMetadata: null },
            ],
          },
        ],
      },
      10_000,
    );
    const code = codeOf(response.topics[0]?.partitions[0]?.errorCode ?? -1);
    if (code === null) {
      this.#acked = this.#asked;
      client.options.history.offsetCommitted(groupId, this.#acked);
    }
    return code;
  }

  async #fetch(): Promise<string | null> {
    const { client, groupId, topic } = this.#options;
    const connection = await this.#connection();
    if (connection === null) return "coordinator_not_available";
    const floor = this.#acked;
    const response = await connection.request(OffsetFetch, OffsetFetch.highestStable, {
      groups: [
        { groupId, topics: [{ name: topic.name, topicId: topic.id, partitionIndexes: [0] }] },
      ],
      requireStable: true,
    });
    const group = response.groups[0];
    const code = codeOf(group?.errorCode ?? -1);
    if (code !== null) return code;
    const found = group?.topics[0]?.partitions[0];
    const inner = codeOf(found?.errorCode ?? -1);
    if (inner !== null) return inner;
    const offset = found?.committedOffset ?? -1;
    client.options.history.offsetFetched(groupId, offset, floor, this.#asked);
    return null;
  }
}

function codeOf(errorCode: number): string | null {
  return errorCode === 0 ? null : (errorByCode(errorCode)?.code ?? `error ${errorCode}`);
}
