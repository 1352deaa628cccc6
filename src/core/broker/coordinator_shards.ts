// The shards of one coordinator on this broker: which of them a key falls on, the internal topic they lie in, and when they are
// loaded. Invariant: the topic is made once, when somebody first asks for a key, and never by a start; keys do not move to other
// partitions while the broker runs; a shard is here only while this broker leads its partition.
// Kafka: CoordinatorRuntime with AutoTopicCreationManager.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Runtime, Timer } from "../../contracts/runtime.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { TopicImage } from "../cluster/image.ts";
import { CoordinatorRuntime } from "../coordinator/runtime/coordinator_runtime.ts";
import {
  type Decide,
  type Decision,
  NO_DECISION,
  type Now,
  type Shard,
} from "../coordinator/runtime/shard.ts";
import type { ShardHostOptions } from "../coordinator/runtime/shard_host.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { Settings } from "../settings/dynamic.ts";
import { PartitionCoordinatorLog } from "./partition_coordinator_log.ts";
import { isLedHere, leadershipOf, leadsNow, mayAnswer } from "./partition_leaders.ts";

/** A leadership is known before the partition has taken it up: until its shard is looked for again. */
const TAKE_UP_MS = 50;

/** An internal topic, as it is made. */
export interface InternalTopic {
  readonly name: string;
  readonly partitionCount: number;
  /** Never more are asked for than there are brokers. */
  readonly replicationFactor: number;
  readonly configs: readonly { readonly name: string; readonly value: string }[];
}

export interface CoordinatorShardsOptions<S extends Shard<R>, R> {
  readonly cluster: Cluster;
  readonly logs: LogManager;
  readonly settings: Settings;
  readonly runtime: Runtime;
  readonly topicName: string;
  /** Asked when it is to be made. */
  readonly newTopic: () => InternalTopic;
  /** The event that says why the topic is not there. */
  readonly notMadeEvent: string;
  /** Called with each shard that is there when its topic goes. */
  readonly abandon?: (shard: S) => void;
  /** What a shard's host is made of; the runtime's logger names the topic and the partition. */
  readonly hostOptions: (
    partition: number,
    leaderEpoch: number,
    runtime: Runtime,
  ) => Omit<ShardHostOptions<S, R>, "log" | "runtime">;
}

export class CoordinatorShards<S extends Shard<R>, R> {
  readonly runtime: CoordinatorRuntime<S, R>;
  readonly #options: CoordinatorShardsOptions<S, R>;
  readonly #stopping = new AbortController();
  /** As it was when it was first seen. */
  #topic: TopicImage | null = null;
  #takeUpTimer: Timer | null = null;
  #making: Promise<boolean> | null = null;

  constructor(options: CoordinatorShardsOptions<S, R>) {
    this.#options = options;
    const { topicName, hostOptions, runtime } = options;
    this.runtime = new CoordinatorRuntime({
      openLog: (partition) => this.#openLog(partition),
      hostOptions: (partition) => {
        const log = runtime.log.child({ topic: topicName, partition });
        const own = { ...runtime, log };
        const { leaderEpoch } = leadershipOf(options.cluster, this.#topic!, partition);
        return { ...hostOptions(partition, leaderEpoch, own), runtime: own };
      },
    });
  }

  /** Null while there is no topic. */
  get partitionCount(): number | null {
    return this.#topic?.partitionCount ?? null;
  }

  /** Fires when the broker stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** The shard of a key; 0 while there is no topic. */
  shardOf(key: string): number {
    return this.#topic === null ? 0 : partitionOfKey(key, this.#topic.partitionCount);
  }

  /** Runs a request on the shard of a key. The topic is made when it is not there. See ShardHost.run. */
  run<Response>(
    key: string,
    decide: Decide<S, R, Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    return this.withShard(key, (partition) => {
      const refusal = this.refusalOf(partition);
      if (refusal !== null) return Promise.resolve(refuse(refusal));
      return this.runtime.run(partition, decide, signal);
    });
  }

  /** Calls with the shard of a key, at once when the topic is there; else it is made first. */
  withShard<Response>(
    key: string,
    call: (partition: number) => Promise<Outcome<Response>>,
  ): Promise<Outcome<Response>> {
    if (this.#topic !== null) return call(this.shardOf(key));
    return this.make().then((isMade) =>
      isMade ? this.withShard(key, call) : refuse("coordinator_not_available"),
    );
  }

  /**
   * Why a request may not be run on a shard now: this broker does not lead it for certain, or what it decides could not be kept by
   * as many replicas as the topic asks for (of those that it has). Null: it may.
   */
  refusalOf(partition: number): KafkaErrorName | null {
    if (!this.mayAnswer) return "not_coordinator";
    const { cluster, settings } = this.#options;
    const topic = this.#topic;
    const placed = topic === null ? undefined : cluster.image.partitions.get(topic.id)?.[partition];
    if (topic === null || placed === undefined) return null;
    const { replicas, isr } = placed;
    const inSyncMin = Number(settings.topicText(topic.configs, "min.insync.replicas") ?? 1);
    return isr.length < Math.min(inSyncMin, replicas.length) ? "coordinator_not_available" : null;
  }

  /** As `run`, where nothing is made: without the topic it is refused with not_coordinator. */
  runIfThere<Response>(
    key: string,
    decide: Decide<S, R, Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    if (this.#topic === null) return Promise.resolve(refuse("not_coordinator"));
    return this.run(key, decide, signal);
  }

  /** See ShardHost.decideAtOnce. Null too where there is no topic. */
  decideAtOnce<Result>(
    key: string,
    decide: (shard: S, now: Now) => { readonly decision: Decision<R>; readonly result: Result },
  ): Result | null {
    if (this.#topic === null || !this.mayAnswer) return null;
    return this.runtime.decideAtOnce(this.shardOf(key), decide);
  }

  /** Runs a request on every shard of this broker that holds anything. Nothing is made for it. */
  async runAll<Response>(
    decide: Decide<S, R, Response>,
    signal: AbortSignal,
  ): Promise<readonly Outcome<Response>[]> {
    const partitions = this.mayAnswer ? this.#occupied() : [];
    const outcomes = await Promise.all(
      partitions.map((each) => this.runtime.run(each, decide, signal)),
    );
    // What has become another's meanwhile is for that one to say.
    return outcomes.filter(
      (each, i) => each.ok || each.error.code !== "not_coordinator" || this.isHere(partitions[i]!),
    );
  }

  /** The shard of a key; null when the topic cannot be made. Loading it begins. */
  async find(key: string): Promise<number | null> {
    if (this.#topic === null && !(await this.make())) return null;
    const partition = this.shardOf(key);
    this.runtime.load(partition);
    return partition;
  }

  /** Whether this broker leads the partition. */
  isHere(partition: number): boolean {
    return this.#topic !== null && isLedHere(this.#options.cluster, this.#topic, partition);
  }

  /** The broker that leads a shard; -1: nobody, at the moment. */
  leaderOf(partition: number): number {
    if (this.#topic === null) return -1;
    return leadershipOf(this.#options.cluster, this.#topic, partition).leader;
  }

  /** False once others may have been given what this broker leads. */
  get mayAnswer(): boolean {
    return mayAnswer(this.#options.cluster, this.#options.runtime.clock);
  }

  /**
   * Loads the shards that hold anything, one after the other: their timers run only then. What this broker is to lead and has not
   * taken up yet comes when it has.
   */
  async warmUp(): Promise<void> {
    const { signal } = this.#stopping;
    for (const partition of this.#occupied()) {
      if (signal.aborted) return;
      if (!this.#isTakenUp(partition) || !this.mayAnswer) {
        this.#warmUpLater();
        continue;
      }
      // What is refused has been said in the log.
      await this.runtime.run(
        partition,
        (_shard, _now, reply) => ({ ...NO_DECISION, answers: [{ reply, response: null }] }),
        signal,
      );
    }
  }

  #isTakenUp(partition: number): boolean {
    const { cluster, logs } = this.#options;
    const log = this.#topic === null ? null : logs.log(this.#topic.id, partition);
    if (log === null) return false;
    return leadsNow(cluster, log, leadershipOf(cluster, this.#topic!, partition).leaderEpoch);
  }

  #warmUpLater(): void {
    if (this.#takeUpTimer !== null || this.#stopping.signal.aborted) return;
    const { scheduler } = this.#options.runtime;
    this.#takeUpTimer = scheduler.after(TAKE_UP_MS, "coordinator_take_up", () => {
      this.#takeUpTimer = null;
      scheduler.spawn("coordinator_take_up", () => this.warmUp());
    });
  }

  /** Drops all shards, for good: who waits is told not_coordinator. Idempotent. */
  close(): void {
    this.#stopping.abort();
    this.#takeUpTimer?.cancel();
    this.runtime.close();
  }

  /** To be told of every topic that is there or changes. @returns whether it has taken the place of this one, which is gone */
  topicChanged(topic: TopicImage): boolean {
    if (topic.name !== this.#options.topicName) return false;
    const isOther = this.#topic !== null && this.#topic.id !== topic.id;
    if (this.#topic?.id !== topic.id) {
      this.runtime.dropAll(this.#options.abandon);
      this.#topic = topic;
    }
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      this.#placed(topic, partition);
    }
    return isOther;
  }

  /**
   * To be told of every change of who leads partitions. Shards that this broker does not lead any more, or leads anew, are dropped.
   *
   * @returns whether this broker leads one of them, which may want to be loaded
   */
  partitionsChanged(topic: TopicImage, partitions: readonly number[]): boolean {
    if (this.#topic?.id !== topic.id) return false;
    let leadsAny = false;
    for (const partition of partitions) {
      if (this.#placed(topic, partition) && !this.runtime.isActive(partition)) leadsAny = true;
    }
    return leadsAny;
  }

  #placed(topic: TopicImage, partition: number): boolean {
    const { cluster, logs } = this.#options;
    const { leader, leaderEpoch } = leadershipOf(cluster, topic, partition);
    if (leader === cluster.brokerId) {
      this.runtime.led(partition, leaderEpoch);
      return true;
    }
    this.runtime.drop(partition);
    // What was appended by the shard waits to be committed, which it may never be.
    logs.topicWithId(topic.id)?.logs.get(partition)?.wakeWaiters();
    return false;
  }

  /** To be told of every topic that goes. @returns whether it was this one */
  topicDeleted(topic: TopicImage): boolean {
    if (this.#topic?.id !== topic.id) return false;
    this.#topic = null;
    this.runtime.dropAll(this.#options.abandon);
    return true;
  }

  /** Makes the topic; many who ask at once share one making. False when that failed. */
  make(): Promise<boolean> {
    this.#making ??= this.#makeOnce().finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #makeOnce(): Promise<boolean> {
    const { cluster, runtime, newTopic, notMadeEvent } = this.#options;
    const { name, partitionCount, replicationFactor, configs } = newTopic();
    try {
      const decision = await cluster.createTopic({
        name,
        numPartitions: partitionCount,
        replicationFactor: Math.min(replicationFactor, cluster.brokerIds.length),
        assignments: [],
        configs,
      });
      if (decision.ok) {
        runtime.log.info("topic_created", {
          topic: name,
          id: decision.value.id,
          partitions: decision.value.partitionCount,
        });
      } else if (decision.refusal.code !== "topic_already_exists") {
        const { code, message } = decision.refusal;
        runtime.log.error(notMadeEvent, { code, message });
      }
    } catch (error) {
      if (!(error instanceof MetadataStoreError)) throw error;
      runtime.log.error(notMadeEvent, { code: error.code, message: error.message });
    }
    return this.#topic !== null;
  }

  /** Numbers of the partitions led here that have records, or a shard. */
  #occupied(): number[] {
    const topic = this.#topic === null ? undefined : this.#options.logs.topicWithId(this.#topic.id);
    const found: number[] = [];
    for (let partition = 0; partition < (this.partitionCount ?? 0); partition++) {
      if (!this.isHere(partition)) continue;
      const log = topic?.logs.get(partition);
      const hasRecords = log !== undefined && log.logEndOffset > log.logStartOffset;
      if (hasRecords || this.runtime.isActive(partition)) found.push(partition);
    }
    return found;
  }

  #openLog(partition: number): PartitionCoordinatorLog | null {
    const { cluster, logs, runtime } = this.#options;
    if (this.#topic === null || !this.isHere(partition)) return null;
    const { leaderEpoch } = leadershipOf(cluster, this.#topic, partition);
    const log = logs.log(this.#topic.id, partition);
    // The image is ahead of the partition: it is asked for again.
    if (log === null || !leadsNow(cluster, log, leaderEpoch)) return null;
    return new PartitionCoordinatorLog(logs, runtime, log, cluster);
  }
}

/** The partition of a key, as Kafka counts it: by the hash that Java has for strings. */
export function partitionOfKey(key: string, partitionCount: number): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  // Kafka's Utils.abs: the smallest int has no positive counterpart.
  return (hash === -0x8000_0000 ? 0 : Math.abs(hash)) % partitionCount;
}
