// What the client knows of the cluster: brokers, topics, and who leads each partition.
// Invariant: an older leader epoch never replaces a newer one of the same topic; one request for one set of
// topics runs at a time.
// Kafka: Metadata, MetadataCache, metadata.max.age.ms.

import { ZERO_UUID } from "../base/uuid.ts";
import {
  Metadata as MetadataApi,
  type MetadataResponse,
} from "../protocol/messages/03_metadata.ts";
import { ClientError, kafkaErrorOf, refusal, requireNone } from "./client_error.ts";
import type { BrokerAddress, ClientPort } from "./port.ts";
import { type BackoffOptions, type ClientRuntime, retrying, unlessAborted } from "./waiting.ts";

/** A partition as the cluster tells of it. */
export interface PartitionInfo {
  readonly partition: number;
  /** Node id of the leader, or -1 when there is none for now. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly offlineReplicas: readonly number[];
}

/** A topic as the cluster tells of it. */
export interface TopicInfo {
  readonly name: string;
  /** Null from brokers that have no topic ids. */
  readonly topicId: string | null;
  readonly isInternal: boolean;
  /** By ascending number, from 0. */
  readonly partitions: readonly PartitionInfo[];
}

/** The cluster as of the last answer. */
export interface ClusterInfo {
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly brokers: readonly BrokerAddress[];
}

export interface MetadataOptions extends BackoffOptions {
  /** After so many ms a topic is asked for again. */
  readonly maxAgeMs: number;
  /** A call that needs an answer waits so long for a broker or a leader, in ms. */
  readonly timeoutMs: number;
}

/** How a topic is looked up. */
export interface TopicLookup {
  /** Whether the broker may create the topic if its settings allow that. Default false. */
  readonly mayCreate?: boolean;
  /** How long an unknown topic may take to appear, in ms. Default 0. */
  readonly unknownWaitMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Until the call gives up, retries included, in ms; the client's `timeoutMs` when left out. */
  readonly timeoutMs?: number | undefined;
}

interface CachedTopic {
  readonly info: TopicInfo;
  readonly atMs: number;
  isStale: boolean;
}

/** The cache. */
export class ClusterMetadata {
  readonly #runtime: ClientRuntime;
  readonly #port: ClientPort;
  readonly #options: MetadataOptions;
  readonly #topics = new Map<string, CachedTopic>();
  readonly #running = new Map<string, Promise<MetadataResponse>>();
  #cluster: ClusterInfo | null = null;

  constructor(runtime: ClientRuntime, port: ClientPort, options: MetadataOptions) {
    this.#runtime = runtime;
    this.#port = port;
    this.#options = options;
  }

  /** The cluster as of the last answer; asks when there was none yet. */
  async cluster(signal?: AbortSignal, timeoutMs = this.#options.timeoutMs): Promise<ClusterInfo> {
    if (this.#cluster === null) {
      const options = { ...this.#options, signal, timeoutMs };
      await retrying(this.#runtime, options, () => this.#fetch([], false, signal));
    }
    return this.#cluster!;
  }

  /** One attempt to reach the cluster. @throws {ClientError} the reason, at once */
  async connect(signal?: AbortSignal): Promise<ClusterInfo> {
    await this.#fetch([], false, signal);
    return this.#cluster!;
  }

  /** What is known of a topic without asking; null when nothing is, or it is stale. */
  known(topic: string): TopicInfo | null {
    const cached = this.#topics.get(topic);
    if (cached === undefined || cached.isStale) return null;
    if (this.#runtime.clock.monotonicMs() - cached.atMs > this.#options.maxAgeMs) return null;
    return cached.info;
  }

  /**
   * A topic, from the cache or from a broker.
   *
   * @throws {ClientError} "unknown_topic_or_partition", "invalid_topic_exception", "topic_authorization_failed", …
   */
  async topic(name: string, lookup: TopicLookup = {}): Promise<TopicInfo> {
    const known = this.known(name);
    if (known !== null) return known;
    const startMs = this.#runtime.clock.monotonicMs();
    const { signal, timeoutMs = this.#options.timeoutMs } = lookup;
    return retrying(this.#runtime, { ...this.#options, signal, timeoutMs }, async () => {
      const response = await this.#fetch([name], lookup.mayCreate ?? false, signal);
      const topic = response.topics.find((each) => each.name === name);
      const error = kafkaErrorOf(topic?.errorCode ?? 3);
      const info = this.#topics.get(name)?.info;
      if (error === null && info !== undefined) return info;
      // Another answer may have said meanwhile that it is gone.
      if (error !== null && error.code !== "unknown_topic_or_partition") {
        throw refusal(error, `Cannot use topic "${name}"`);
      }
      const waitedMs = this.#runtime.clock.monotonicMs() - startMs;
      throw new ClientError("unknown_topic_or_partition", `There is no topic "${name}"`, {
        retriable: waitedMs < (lookup.unknownWaitMs ?? 0),
      });
    });
  }

  /** Every topic of the cluster, asked for now. */
  async allTopics(
    signal?: AbortSignal,
    timeoutMs = this.#options.timeoutMs,
  ): Promise<readonly TopicInfo[]> {
    const options = { ...this.#options, signal, timeoutMs };
    const response = await retrying(this.#runtime, options, () => this.#fetch(null, false, signal));
    const topics: TopicInfo[] = [];
    for (const each of response.topics) {
      const cached = each.name === null ? undefined : this.#topics.get(each.name);
      if (each.errorCode === 0 && cached !== undefined) topics.push(cached.info);
    }
    return topics;
  }

  /** Marks a topic as out of date: its next look-up asks. */
  invalidate(topic: string): void {
    const cached = this.#topics.get(topic);
    if (cached !== undefined) cached.isStale = true;
  }

  /** Forgets who the controller is, after somebody denied being it. */
  invalidateCluster(): void {
    this.#cluster = null;
  }

  async #fetch(
    names: readonly string[] | null,
    mayCreate: boolean,
    signal?: AbortSignal,
  ): Promise<MetadataResponse> {
    const key = `${mayCreate ? "+" : "-"}${names === null ? "*" : names.join(",")}`;
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.#ask(names, mayCreate).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    // Others may wait for the same answer.
    return unlessAborted(running, signal);
  }

  async #ask(names: readonly string[] | null, mayCreate: boolean): Promise<MetadataResponse> {
    const response = await this.#port.send(
      MetadataApi,
      (version) => ({
        // In version 0 an empty list means all topics; from 1 on null does, and an empty list means none.
        topics:
          names === null
            ? version === 0
              ? []
              : null
            : names.map((name) => ({ topicId: ZERO_UUID, name })),
        ...(version >= 4 ? { allowAutoTopicCreation: mayCreate } : {}),
      }),
      names === null || names.length > 0 ? {} : { versionMin: 1 },
    );
    requireNone(response.errorCode, "Cannot read the cluster's metadata");
    this.#take(response);
    return response;
  }

  #take(response: MetadataResponse): void {
    const atMs = this.#runtime.clock.monotonicMs();
    const { clusterId, controllerId, brokers } = response;
    this.#cluster = { clusterId, controllerId, brokers };
    this.#port.learn(brokers);
    for (const topic of response.topics) {
      const name = topic.name;
      if (name === null) continue;
      if (topic.errorCode !== 0) {
        if (topic.errorCode === 3) this.#topics.delete(name);
        continue;
      }
      const topicId = topic.topicId === ZERO_UUID ? null : topic.topicId;
      const before = this.#topics.get(name)?.info;
      const old = before?.topicId === topicId ? before.partitions : [];
      const partitions = topic.partitions
        .map((each): PartitionInfo => {
          const last = old[each.partitionIndex];
          if (last !== undefined && each.leaderEpoch < last.leaderEpoch) return last;
          return {
            partition: each.partitionIndex,
            leader: each.errorCode === 5 ? -1 : each.leaderId,
            leaderEpoch: each.leaderEpoch,
            replicas: each.replicaNodes,
            inSyncReplicas: each.isrNodes,
            offlineReplicas: each.offlineReplicas,
          };
        })
        .sort((a, b) => a.partition - b.partition);
      const info = { name, topicId, isInternal: topic.isInternal, partitions };
      this.#topics.set(name, { info, atMs, isStale: false });
    }
  }
}
