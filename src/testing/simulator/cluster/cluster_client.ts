// A simulated client of a cluster: one connection a broker, and who leads what, as Metadata has told it.
// Invariant: of two answers about a partition the one with the larger leader epoch is believed.

import type { SeededRandom } from "../../../base/prng.ts";
import { Metadata } from "../../../protocol/messages/03_metadata.ts";
import type { PartitionHistory, TopicHistory } from "../history.ts";
import { ConnectionGone, SimClient, type SimConnection } from "../sim_client.ts";
import type { SimNetwork } from "../sim_network.ts";
import type { SimProcess, World } from "../world.ts";
import type { ClusterHistory, PartitionTold } from "./cluster_history.ts";
import { PORT_BASE } from "./machine.ts";

export interface ClusterClientOptions {
  readonly name: string;
  readonly process: SimProcess;
  readonly network: SimNetwork;
  readonly random: SeededRandom;
  readonly timeoutMs: number;
  readonly brokerCount: number;
  readonly history: ClusterHistory;
}

export class ClusterClient {
  readonly options: ClusterClientOptions;
  readonly #clients = new Map<number, SimClient>();
  readonly #opening = new Map<number, Promise<SimConnection>>();
  readonly #told = new Map<PartitionHistory, PartitionTold>();

  constructor(options: ClusterClientOptions) {
    this.options = options;
  }

  get world(): World {
    return this.options.process.world;
  }

  get name(): string {
    return this.options.name;
  }

  /** The connection to a broker, one for all who ask at once. @throws {ConnectionGone} */
  connectedTo(brokerId: number): Promise<SimConnection> {
    const opening = this.#opening.get(brokerId);
    if (opening !== undefined) return opening;
    const opened = this.#clientOf(brokerId)
      .connected()
      .finally(() => this.#opening.delete(brokerId));
    this.#opening.set(brokerId, opened);
    return opened;
  }

  /** Ids are 0 … brokerCount−1. @throws {ConnectionGone} */
  async anyConnection(): Promise<{
    readonly brokerId: number;
    readonly connection: SimConnection;
  }> {
    const brokerId = this.options.random.below(this.options.brokerCount);
    return { brokerId, connection: await this.connectedTo(brokerId) };
  }

  /** How it was told last; null before. */
  toldOf(partition: PartitionHistory): PartitionTold | null {
    return this.#told.get(partition) ?? null;
  }

  /** Who leads it; null when nobody does, as far as is known. */
  leaderOf(partition: PartitionHistory): number | null {
    const leader = this.#told.get(partition)?.leader ?? -1;
    return leader < 0 ? null : leader;
  }

  /** Asks some broker about topics. @returns Whether it answered, of all of them. @throws {ConnectionGone} */
  async refresh(topics: readonly TopicHistory[]): Promise<boolean> {
    const { connection } = await this.anyConnection();
    const response = await connection.request(Metadata, Metadata.highestStable, {
      topics: topics.map(({ name }) => ({ name })),
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    });
    let isWhole = response.errorCode === 0;
    for (const found of response.topics) {
      const topic = topics.find(({ name }) => name === found.name);
      if (topic === undefined || found.errorCode !== 0) {
        isWhole = false;
        continue;
      }
      topic.id = found.topicId;
      if (found.partitions.length < topic.partitionCount) isWhole = false;
      for (const each of found.partitions) {
        if (each.partitionIndex >= topic.partitionCount) continue;
        this.#take(topic.partition(each.partitionIndex), {
          leader: each.leaderId,
          leaderEpoch: each.leaderEpoch,
          replicas: each.replicaNodes,
          isr: each.isrNodes,
        });
      }
    }
    return isWhole;
  }

  /** Finds the leader, asking around. */
  async refreshUntil(topics: readonly TopicHistory[], isEnough: () => boolean): Promise<void> {
    for (;;) {
      try {
        if ((await this.refresh(topics)) && isEnough()) return;
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      await this.backOff();
    }
  }

  async backOff(): Promise<void> {
    const { process, random, name } = this.options;
    await process.sleep(2000 + random.below(150_000), `${name}_back_off`);
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #take(partition: PartitionHistory, told: PartitionTold): void {
    this.options.history.described(partition, told);
    const known = this.#told.get(partition);
    if (known !== undefined && told.leaderEpoch < known.leaderEpoch) return;
    this.#told.set(partition, told);
  }

  #clientOf(brokerId: number): SimClient {
    let client = this.#clients.get(brokerId);
    if (client === undefined) {
      const { name, process, network, random, timeoutMs } = this.options;
      client = new SimClient({
        name: `${name}@${brokerId}`,
        process,
        network: network.of(process),
        random: random.fork(`broker ${brokerId}`),
        timeoutMs,
        readDelayUs: 0,
        port: PORT_BASE + brokerId,
      });
      this.#clients.set(brokerId, client);
    }
    return client;
  }
}
