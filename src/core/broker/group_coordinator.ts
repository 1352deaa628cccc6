// The group coordinator of a broker: which shard a group falls on, the internal topic they lie in, and when shards are
// loaded. Invariant: __consumer_offsets is made once, when somebody first asks for a group, and never by a start.
// Kafka: GroupCoordinatorService, AutoTopicCreationManager.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Random, Runtime } from "../../contracts/runtime.ts";
import { type Outcome, refuse } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { GROUP_VERSION } from "../cluster/features.ts";
import type { TopicImage } from "../cluster/image.ts";
import { GROUP_TOPIC } from "../cluster/topic_names.ts";
import type { GroupRecord } from "../coordinator/group/group_record.ts";
import { groupRecordSerde } from "../coordinator/group/group_record_serde.ts";
import type { GroupRequests } from "../coordinator/group/group_requests.ts";
import { GroupShard } from "../coordinator/group/group_shard.ts";
import type { AppendedToLog, EndMarker } from "../coordinator/runtime/coordinator_log.ts";
import { CoordinatorRuntime } from "../coordinator/runtime/coordinator_runtime.ts";
import { type Decide, NO_DECISION, type Producer } from "../coordinator/runtime/shard.ts";
import type { TransactionGate } from "../coordinator/transaction/ports.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { Settings } from "../settings/dynamic.ts";
import { BrokerGroupSettings } from "./broker_group_settings.ts";
import { ClusterTopicView } from "./cluster_topic_view.ts";
import { PartitionCoordinatorLog } from "./partition_coordinator_log.ts";

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
  /** Absent: there are no transactions, and nobody commits offsets in one. */
  readonly transactionGate?: TransactionGate;
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
  readonly #shards: CoordinatorRuntime<GroupShard, GroupRecord>;
  readonly #topics: ClusterTopicView;
  readonly #settings: BrokerGroupSettings;
  readonly #random: Random;
  /** Streams of randomness, one for each shard, which go on when a shard is loaded again. */
  readonly #randoms = new Map<number, Random>();
  readonly #stopping = new AbortController();
  readonly #endFollowing: () => void;
  /** Fixed when the topic is first seen: groups must not move to other partitions while the broker runs. */
  #partitionCount: number | null = null;
  #topicId: string | null = null;
  #making: Promise<boolean> | null = null;

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options;
    const { cluster, runtime, settings } = options;
    this.#topics = new ClusterTopicView(cluster, settings);
    this.#settings = new BrokerGroupSettings(settings, options.groupConfig, () =>
      cluster.featureLevel(GROUP_VERSION),
    );
    this.#random = runtime.random.fork("group_coordinator");
    this.#shards = new CoordinatorRuntime({
      openLog: (partition) => this.#openLog(partition),
      hostOptions: (partition) => ({
        serde: groupRecordSerde,
        runtime: {
          ...runtime,
          log: runtime.log.child({ topic: GROUP_TOPIC, partition }),
        },
        makeShard: (timers) =>
          new GroupShard({
            timers,
            topics: () => this.#topics,
            settings: this.#settings,
            random: this.#randomOf(partition),
            log: runtime.log.child({ topic: GROUP_TOPIC, partition }),
          }),
        codec: () => this.#settings.codec,
        pendingMax: PENDING_MAX,
      }),
    });
    this.#endFollowing = cluster.follow({
      topicChanged: (topic) => this.#topicChanged(topic),
      topicDeleted: (topic) => this.#topicDeleted(topic),
    });
  }

  /** Runs a request on the shard of a group. The topic is made when it is not there. See ShardHost.run. */
  run<Response>(
    groupId: string,
    decide: GroupDecide<Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    const count = this.#partitionCount;
    if (count !== null) return this.#shards.run(partitionOfGroup(groupId, count), decide, signal);
    return this.#make().then((isMade) =>
      isMade ? this.run(groupId, decide, signal) : refuse("coordinator_not_available"),
    );
  }

  /** Runs a request whose records belong to a transaction, which its coordinator is asked about. See ShardHost.runInTransaction. */
  runInTransaction<Response>(
    groupId: string,
    transaction: GroupTransaction,
    decide: GroupDecide<Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    const count = this.#partitionCount;
    if (count === null) {
      return this.#make().then((isMade) =>
        isMade
          ? this.runInTransaction(groupId, transaction, decide, signal)
          : refuse("coordinator_not_available"),
      );
    }
    const { transactionalId, producerId, producerEpoch, adds } = transaction;
    const gate = this.#options.transactionGate;
    const partition = partitionOfGroup(groupId, count);
    const place = { topic: GROUP_TOPIC, partition };
    const admit = () =>
      gate?.admit(transactionalId, producerId, producerEpoch, place, adds) ??
      refuse("coordinator_not_available");
    const producer = { producerId, producerEpoch };
    return this.#shards.runInTransaction(partition, { producer, admit }, decide, signal);
  }

  /** Ends a producer's transaction in a partition of the topic. See ShardHost.endTransaction. */
  endTransaction(partition: number, marker: EndMarker): Outcome<AppendedToLog> {
    return this.#shards.endTransaction(partition, marker);
  }

  /** Runs a request on every shard that holds anything. Nothing is made for it. */
  runAll<Response>(
    decide: GroupDecide<Response>,
    signal: AbortSignal,
  ): Promise<readonly Outcome<Response>[]> {
    const partitions = this.#occupied();
    return Promise.all(partitions.map((partition) => this.#shards.run(partition, decide, signal)));
  }

  /** The shard number of a group; null when its topic cannot be made. Loading it begins. */
  async find(groupId: string): Promise<number | null> {
    if (this.#partitionCount === null && !(await this.#make())) return null;
    const partition = partitionOfGroup(groupId, this.#partitionCount!);
    this.#shards.load(partition);
    return partition;
  }

  /** The shard number of a group when the topic is there; for splitting requests. */
  shardOf(groupId: string): number {
    return this.#partitionCount === null ? 0 : partitionOfGroup(groupId, this.#partitionCount);
  }

  /** Drops all shards, for good: who waits is told not_coordinator. Idempotent. */
  close(): void {
    this.#endFollowing();
    this.#stopping.abort();
    this.#shards.close();
  }

  /** Numbers of the partitions that have records, or a shard. */
  #occupied(): number[] {
    const topic =
      this.#topicId === null ? undefined : this.#options.logs.topicWithId(this.#topicId);
    const found: number[] = [];
    for (let partition = 0; partition < (this.#partitionCount ?? 0); partition++) {
      const log = topic?.logs.get(partition);
      const hasRecords = log !== undefined && log.logEndOffset > log.logStartOffset;
      if (hasRecords || this.#shards.isActive(partition)) found.push(partition);
    }
    return found;
  }

  /** Loads the shards that hold anything, one after the other: their timers run only then. */
  async warmUp(): Promise<void> {
    for (const partition of this.#occupied()) {
      if (this.#stopping.signal.aborted) return;
      // What is refused has been said in the log.
      await this.#shards.run(
        partition,
        (_shard, _now, reply) => ({ ...NO_DECISION, answers: [{ reply, response: null }] }),
        this.#stopping.signal,
      );
    }
  }

  #openLog(partition: number): PartitionCoordinatorLog | null {
    const { logs, runtime } = this.#options;
    const topic = this.#topicId === null ? undefined : logs.topicWithId(this.#topicId);
    const log = topic === undefined ? null : logs.logIn(topic, partition);
    return log === null ? null : new PartitionCoordinatorLog(logs, runtime, log);
  }

  #randomOf(partition: number): Random {
    const known = this.#randoms.get(partition);
    if (known !== undefined) return known;
    const random = this.#random.fork(String(partition));
    this.#randoms.set(partition, random);
    return random;
  }

  #topicChanged(topic: TopicImage): void {
    this.#topics.changed(topic);
    if (topic.name !== GROUP_TOPIC) return;
    if (this.#topicId !== topic.id) {
      this.#shards.dropAll();
      this.#topicId = topic.id;
      this.#partitionCount = topic.partitionCount;
    }
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      this.#shards.led(partition, topic.leaderEpoch);
    }
  }

  #topicDeleted(topic: TopicImage): void {
    this.#topics.changed(topic);
    if (topic.id === this.#topicId) {
      this.#topicId = null;
      this.#partitionCount = null;
      this.#shards.dropAll();
      return;
    }
    this.topicsDeleted([topic.name]);
  }

  /**
   * Those topics are gone: no group keeps offsets of theirs. It falls before this returns, or before whatever else waits
   * for a shard that is loading: a topic of the same name, made later, keeps what is committed to it.
   */
  topicsDeleted(names: readonly string[]): void {
    if (names.length === 0) return;
    const { runtime } = this.#options;
    const { signal } = this.#stopping;
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
      this.#stopping.signal,
    );
  }

  /** A shard takes longer to load than requests wait: what it has of those topics goes once it is there. */
  #forgetTopicsLater(names: readonly string[]): void {
    const { signal } = this.#stopping;
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

  /** Makes the topic; many who ask at once share one making. False when that failed. */
  #make(): Promise<boolean> {
    this.#making ??= this.#makeOnce().finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #makeOnce(): Promise<boolean> {
    const { cluster, settings, runtime } = this.#options;
    const segmentBytes = settings.number("offsets.topic.segment.bytes");
    try {
      const decision = await cluster.createTopic({
        name: GROUP_TOPIC,
        numPartitions: settings.number("offsets.topic.num.partitions"),
        replicationFactor: Math.min(
          settings.number("offsets.topic.replication.factor"),
          cluster.brokerIds.length,
        ),
        assignments: [],
        configs: [
          { name: "cleanup.policy", value: "compact" },
          { name: "compression.type", value: "producer" },
          { name: "segment.bytes", value: String(Math.max(segmentBytes, SEGMENT_BYTES_MIN)) },
        ],
      });
      if (decision.ok) {
        runtime.log.info("topic_created", {
          topic: GROUP_TOPIC,
          id: decision.value.id,
          partitions: decision.value.partitionCount,
        });
      } else if (decision.refusal.code !== "topic_already_exists") {
        const { code, message } = decision.refusal;
        runtime.log.error("group_topic_not_made", { code, message });
      }
    } catch (error) {
      if (!(error instanceof MetadataStoreError)) throw error;
      runtime.log.error("group_topic_not_made", { code: error.code, message: error.message });
    }
    return this.#partitionCount !== null;
  }
}

/** The partition of a group, as Kafka counts it: by the hash that Java has for strings. */
export function partitionOfGroup(groupId: string, partitionCount: number): number {
  let hash = 0;
  for (let i = 0; i < groupId.length; i++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(i)) | 0;
  // Kafka's Utils.abs: the smallest int has no positive counterpart.
  return (hash === -0x8000_0000 ? 0 : Math.abs(hash)) % partitionCount;
}
