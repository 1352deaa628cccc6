// The group coordinator of a broker: its shards lie in __consumer_offsets, and hear of topics that are made and deleted.
// Kafka: GroupCoordinatorService.

import type { Random, Runtime } from "../../contracts/runtime.ts";
import { type Outcome, refuse } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { GROUP_VERSION } from "../cluster/features.ts";
import { GROUP_TOPIC } from "../cluster/topic_names.ts";
import type { GroupRecord } from "../coordinator/group/group_record.ts";
import { groupRecordSerde } from "../coordinator/group/group_record_serde.ts";
import type { GroupRequests } from "../coordinator/group/group_requests.ts";
import { GroupShard } from "../coordinator/group/group_shard.ts";
import type { AppendedToLog, EndMarker } from "../coordinator/runtime/coordinator_log.ts";
import type { Decide, Producer } from "../coordinator/runtime/shard.ts";
import type { TransactionGate } from "../coordinator/transaction/ports.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { Settings } from "../settings/dynamic.ts";
import { BrokerGroupSettings } from "./broker_group_settings.ts";
import { ClusterTopicView } from "./cluster_topic_view.ts";
import { CoordinatorShards, type InternalTopic } from "./coordinator_shards.ts";

/** Requests that may wait on one shard. A member that joins waits with one. */
const PENDING_MAX = 100_000;
const SEGMENT_BYTES_MIN = 1_048_576;
/** Asking a shard that still loads costs nothing; one that has just loaded answers with offsets of deleted topics so long. */
const FORGET_RETRY_MS = 50;

export interface GroupCoordinatorOptions {
  readonly cluster: Cluster;
  readonly logs: LogManager;
  readonly settings: Settings;
  readonly runtime: Runtime;
  /** What is set on a group itself, by Kafka's name; null where nothing is. */
  readonly groupConfig: (groupId: string, name: string) => string | null;
  /** Asked before a transaction's first offsets in a partition. */
  readonly transactionGate: TransactionGate;
}

/** The transaction that a request belongs to. */
export interface GroupTransaction extends Producer {
  readonly transactionalId: string;
  /** The group's partition joins the transaction, where it has not been added before. */
  readonly adds: boolean;
}

export type GroupDecide<Response> = Decide<GroupRequests, GroupRecord, Response>;

export class GroupCoordinator {
  readonly #options: GroupCoordinatorOptions;
  readonly #shards: CoordinatorShards<GroupShard, GroupRecord>;
  readonly #topics: ClusterTopicView;
  readonly #settings: BrokerGroupSettings;
  readonly #random: Random;
  /** Streams of randomness, one for each shard, which go on when a shard is loaded again. */
  readonly #randoms = new Map<number, Random>();
  readonly #endFollowing: () => void;

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options;
    const { cluster, logs, runtime, settings } = options;
    this.#topics = new ClusterTopicView(cluster, settings);
    this.#settings = new BrokerGroupSettings(settings, options.groupConfig, () =>
      cluster.featureLevel(GROUP_VERSION),
    );
    this.#random = runtime.random.fork("group_coordinator");
    this.#shards = new CoordinatorShards({
      cluster,
      logs,
      settings,
      runtime,
      topicName: GROUP_TOPIC,
      newTopic: () => newGroupTopic(settings),
      notMadeEvent: "group_topic_not_made",
      hostOptions: (partition, _leaderEpoch, { log }) => ({
        serde: groupRecordSerde,
        makeShard: (timers) =>
          new GroupShard({
            timers,
            topics: () => this.#topics,
            settings: this.#settings,
            random: this.#randomOf(partition),
            log,
          }),
        codec: () => this.#settings.codec,
        pendingMax: PENDING_MAX,
      }),
    });
    this.#endFollowing = cluster.follow({
      topicChanged: (topic) => {
        this.#topics.changed(topic);
        this.#shards.topicChanged(topic);
      },
      topicDeleted: (topic) => {
        this.#topics.changed(topic);
        if (!this.#shards.topicDeleted(topic)) this.topicsDeleted([topic.name]);
      },
      partitionsChanged: (topic, partitions) => {
        if (!this.#shards.partitionsChanged(topic, partitions)) return;
        // Once all have been told, and the partitions have taken it up.
        runtime.scheduler.spawn("group_warm_up", () => this.#shards.warmUp());
      },
    });
  }

  /** Runs a request on the shard of a group. The topic is made when it is not there. See ShardHost.run. */
  run<Response>(
    groupId: string,
    decide: GroupDecide<Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    return this.#shards.run(groupId, decide, signal);
  }

  /** Runs a request whose records belong to a transaction, which its coordinator is asked about. See ShardHost.runInTransaction. */
  runInTransaction<Response>(
    groupId: string,
    transaction: GroupTransaction,
    decide: GroupDecide<Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    const { transactionalId, producerId, producerEpoch, adds } = transaction;
    const { transactionGate } = this.#options;
    const producer = { producerId, producerEpoch };
    return this.#shards.withShard(groupId, (partition) => {
      const refusal = this.#shards.refusalOf(partition);
      if (refusal !== null) return Promise.resolve(refuse(refusal));
      const place = { topic: GROUP_TOPIC, partition };
      const admit = () =>
        transactionGate.admit(transactionalId, producerId, producerEpoch, [place], adds);
      return this.#shards.runtime.runInTransaction(partition, { producer, admit }, decide, signal);
    });
  }

  /** Ends a producer's transaction in a partition of the topic. See ShardHost.endTransaction. */
  endTransaction(partition: number, marker: EndMarker): Outcome<AppendedToLog> {
    return this.#shards.runtime.endTransaction(partition, marker);
  }

  /** Runs a request on every shard that holds anything. Nothing is made for it. */
  runAll<Response>(
    decide: GroupDecide<Response>,
    signal: AbortSignal,
  ): Promise<readonly Outcome<Response>[]> {
    return this.#shards.runAll(decide, signal);
  }

  /** The shard number of a group; null when its topic cannot be made. Loading it begins. */
  find(groupId: string): Promise<number | null> {
    return this.#shards.find(groupId);
  }

  /** The broker that leads a shard; -1: nobody, at the moment. */
  leaderOf(partition: number): number {
    return this.#shards.leaderOf(partition);
  }

  /** The shard number of a group when the topic is there; for splitting requests. */
  shardOf(groupId: string): number {
    return this.#shards.shardOf(groupId);
  }

  /** Loads the shards that hold anything, one after the other: their timers run only then. */
  warmUp(): Promise<void> {
    return this.#shards.warmUp();
  }

  /** Drops all shards, for good: who waits is told not_coordinator. Idempotent. */
  close(): void {
    this.#endFollowing();
    this.#shards.close();
  }

  #randomOf(partition: number): Random {
    const known = this.#randoms.get(partition);
    if (known !== undefined) return known;
    const random = this.#random.fork(String(partition));
    this.#randoms.set(partition, random);
    return random;
  }

  /**
   * Those topics are gone: no group keeps offsets of theirs. It falls before this returns, or before whatever else waits
   * for a shard that is loading: a topic of the same name, made later, keeps what is committed to it.
   */
  topicsDeleted(names: readonly string[]): void {
    if (names.length === 0) return;
    const { runtime } = this.#options;
    const signal = this.#shards.stopping;
    const outcomes = this.#forgetTopics(names);
    runtime.scheduler.spawn("group_topic_deletion", async () => {
      for (const outcome of await outcomes) {
        if (outcome.ok || signal.aborted) continue;
        const { code } = outcome.error;
        if (code === "coordinator_load_in_progress") {
          this.#forgetTopicsLater(names);
          return;
        }
        runtime.log.warn("group_offsets_kept", { topics: names.length, code });
      }
    });
  }

  #forgetTopics(names: readonly string[]): Promise<readonly Outcome<number>[]> {
    return this.runAll<number>(
      (shard, now, reply) => shard.topicsDeleted(names, now, reply),
      this.#shards.stopping,
    );
  }

  /** A shard takes longer to load than requests wait: what it has of those topics goes once it is there. */
  #forgetTopicsLater(names: readonly string[]): void {
    const signal = this.#shards.stopping;
    if (signal.aborted) return;
    const again = () => {
      signal.removeEventListener("abort", stop);
      this.topicsDeleted(names);
    };
    const timer = this.#options.runtime.scheduler.after(
      FORGET_RETRY_MS,
      "group_topic_deletion",
      again,
    );
    const stop = () => timer.cancel();
    signal.addEventListener("abort", stop, { once: true });
  }
}

/** __consumer_offsets, as it is made. */
export function newGroupTopic(settings: Settings): InternalTopic {
  const segmentBytes = settings.number("offsets.topic.segment.bytes");
  return {
    name: GROUP_TOPIC,
    partitionCount: settings.number("offsets.topic.num.partitions"),
    replicationFactor: settings.number("offsets.topic.replication.factor"),
    configs: [
      { name: "cleanup.policy", value: "compact" },
      { name: "compression.type", value: "producer" },
      { name: "segment.bytes", value: String(Math.max(segmentBytes, SEGMENT_BYTES_MIN)) },
    ],
  };
}
