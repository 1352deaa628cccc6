// The cluster as one broker sees it: the image, who follows it, and what changes it. Invariant: when a
// change resolves, the image has it and those who follow have been told.
// Kafka: MetadataCache, BrokerMetadataPublisher, and of the controller what one broker needs.

import { randomUuid } from "../../base/uuid.ts";
import { MetadataStoreError } from "../../contracts/errors.ts";
import type { CommitResult, MetadataStore, Transaction } from "../../contracts/metadata_store.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { allTopicSettings } from "../settings/definitions.ts";
import type { Settings } from "../settings/dynamic.ts";
import type { TopicSettings } from "../settings/topic_settings.ts";
import { CommitQueue } from "./commit_queue.ts";
import { type AlterRequest, ConfigResource, decideAlterConfigs } from "./config_controller.ts";
import {
  type ControllerContext,
  type CreatePartitionsOfTopic,
  type CreateTopicRequest,
  decideCreatePartitions,
  decideCreateTopic,
  decideDeleteTopic,
} from "./controller.ts";
import type { Decide, Decision, TopicDecision } from "./decision.ts";
import { CLUSTER_ID_KEY, decodeClusterId, encodeClusterId } from "./entries.ts";
import { decideUpdateFeatures, type FeatureUpdate, levelOf } from "./features.ts";
import type { ClusterImage, ConfigsImage, PartitionImage, TopicImage } from "./image.ts";
import type { ImageStep } from "./image_changes.ts";
import { ImageLoader } from "./image_loader.ts";
import type { Membership } from "./membership.ts";
import { ProducerIds } from "./producer_ids.ts";
import type { SharedCluster } from "./shared_cluster.ts";

/** Hears of topics. Called synchronously, in the order of the changes; must not throw. */
export interface TopicListener {
  /** The topic exists (found or made), or it, its settings or its partition count changed. */
  topicChanged(topic: TopicImage, settings: TopicSettings): void;
  /** The topic is gone, as it was. A topic of the same name made later has another id. */
  topicDeleted(topic: TopicImage): void;
  /** Partitions of a topic, by ascending index, are new or changed in any field; after `topicChanged`. Only where the cluster is shared. */
  partitionsChanged?(topic: TopicImage, indexes: readonly number[]): void;
  /** A broker came, went or registered anew, or this one's membership changed. Only where the cluster is shared. */
  brokersChanged?(): void;
}

export interface ClusterOptions {
  readonly metadata: MetadataStore;
  readonly runtime: Runtime;
  /** The cluster keeps its dynamic layers up to date. */
  readonly settings: Settings;
  readonly brokerId: number;
  /** Used for a new cluster; refused where the store belongs to another one. Left out: made at random. */
  readonly clusterId?: string;
  /** Whether several brokers have the store open: MetadataStorePlugin.isShared. Default false. */
  readonly isShared?: boolean;
}

/**
 * Opens the cluster's memory: makes the cluster's id at the first start, reads the image and follows it.
 *
 * @throws {MetadataStoreError} when the store cannot be read, holds what this release does not know, or
 *   belongs to another cluster than `clusterId`
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  await ensureClusterId(options);
  const cluster = await Cluster.open(options);
  if (options.isShared !== true) return cluster;
  try {
    // Only a cluster needs it.
    const { SharedCluster } = await import("./shared_cluster.ts");
    cluster.share(await SharedCluster.open(cluster, options));
  } catch (error) {
    cluster.close();
    throw error;
  }
  return cluster;
}

/** Whether the store belongs to a cluster already. @throws {MetadataStoreError} when it cannot be read */
export async function hasCluster(metadata: MetadataStore): Promise<boolean> {
  const { entries } = await metadata.read(CLUSTER_ID_KEY);
  return entries.some((each) => each.key === CLUSTER_ID_KEY);
}

async function ensureClusterId(options: ClusterOptions): Promise<void> {
  const { metadata, runtime } = options;
  for (;;) {
    const { entries } = await metadata.read(CLUSTER_ID_KEY);
    const entry = entries.find((each) => each.key === CLUSTER_ID_KEY);
    if (entry !== undefined) {
      const found = decodeClusterId(entry);
      if (options.clusterId !== undefined && options.clusterId !== found) {
        throw new MetadataStoreError(
          "corrupt",
          `Cannot start in cluster "${options.clusterId}" as the metadata store belongs to cluster "${found}"`,
        );
      }
      return;
    }
    const clusterId = options.clusterId ?? randomUuid(runtime.random.fork("cluster_id"));
    await metadata.commit({
      conditions: [{ key: CLUSTER_ID_KEY, revision: 0 }],
      writes: [{ key: CLUSTER_ID_KEY, value: encodeClusterId(clusterId) }],
    });
    // Whether ours was taken or another broker's: the next turn reads it.
  }
}

/** Made by `openCluster`. */
export class Cluster {
  readonly #settings: Settings;
  readonly #brokerId: number;
  readonly #loader: ImageLoader;
  readonly #queue: CommitQueue;
  readonly #topicIds: { uint32(): number };
  readonly #listeners = new Set<TopicListener>();
  readonly #endSettings: () => void;
  readonly producerIds: ProducerIds;
  #shared: SharedCluster | null = null;

  static async open(options: ClusterOptions): Promise<Cluster> {
    // Steps arrive only after the first await below, when the cluster is there to take them.
    let cluster: Cluster | null = null;
    const loader = await ImageLoader.open({
      metadata: options.metadata,
      runtime: options.runtime,
      onStep: (step) => {
        if (cluster !== null) cluster.#onStep(step);
      },
    });
    cluster = new Cluster(options, loader);
    return cluster;
  }

  private constructor(options: ClusterOptions, loader: ImageLoader) {
    this.#settings = options.settings;
    this.#brokerId = options.brokerId;
    this.#loader = loader;
    this.#topicIds = options.runtime.random.fork("topic_ids");
    this.#queue = new CommitQueue({
      image: () => loader.image,
      commit: (transaction) => loader.commit(transaction),
      reached: (revision) => loader.reached(revision),
    });
    this.producerIds = new ProducerIds(options.metadata, (transaction) =>
      loader.commit(transaction),
    );
    this.#setDynamic(loader.image.brokerConfigs);
    this.#endSettings = options.settings.onChange((changed) => this.#onSettings(changed));
  }

  /** The newest image. Read it anew after every wait. */
  get image(): ClusterImage {
    return this.#loader.image;
  }

  get clusterId(): string {
    return this.#loader.image.clusterId;
  }

  /** Of the broker whose view this is. */
  get brokerId(): number {
    return this.#brokerId;
  }

  /** Ids of the registered brokers, in ascending order: this one, where it has the store for itself. */
  get brokerIds(): readonly number[] {
    return this.#shared === null ? [this.#brokerId] : Array.from(this.image.brokers.keys());
  }

  /** Whether several brokers share the store: then partitions have entries, and this broker a membership. */
  get isShared(): boolean {
    return this.#shared !== null;
  }

  /** What only a cluster has: membership, leadership, in-sync sets, reassignment; null where there is one broker. */
  get shared(): SharedCluster | null {
    return this.#shared;
  }

  /** This broker's membership; null before `shared.join`, and where there is one broker. */
  get membership(): Membership | null {
    return this.#shared?.membership ?? null;
  }

  /** A partition as the cluster has agreed on it; null where there is none, or there is one broker. */
  partition(topicId: string, index: number): PartitionImage | null {
    return this.image.partitions.get(topicId)?.[index] ?? null;
  }

  /** Makes it shared; called by `openCluster`. */
  share(shared: SharedCluster): void {
    this.#shared = shared;
  }

  /** Tells `listener` of every topic there is, then of every change. @returns what ends it */
  follow(listener: TopicListener): () => void {
    this.#listeners.add(listener);
    for (const topic of this.image.topicsByName.values()) {
      listener.topicChanged(topic, this.topicSettings(topic));
      const count = this.image.partitions.get(topic.id)?.length ?? 0;
      if (count > 0)
        listener.partitionsChanged?.(
          topic,
          Array.from({ length: count }, (_, i) => i),
        );
    }
    return () => void this.#listeners.delete(listener);
  }

  /** The settings in force of a topic. */
  topicSettings(topic: TopicImage): TopicSettings {
    return this.#settings.topicSettings(topic.configs);
  }

  /**
   * Makes a topic. Each method here resolves once the image has what it did; the answer is the topic as
   * it is then, or why not.
   *
   * @throws {MetadataStoreError} when the store could not commit; so do the methods below
   */
  createTopic(request: CreateTopicRequest, validateOnly = false): Promise<TopicDecision> {
    // One id for all tries: deciding anew must not draw again, or a seed would not replay.
    let id: string | null = null;
    return this.submit((image) =>
      decideCreateTopic(
        image,
        request,
        this.#context(() => (id ??= randomUuid(this.#topicIds))),
        validateOnly,
      ),
    );
  }

  /** Deletes a topic; the answer is the topic as it was. */
  deleteTopic(by: { readonly name: string } | { readonly id: string }): Promise<TopicDecision> {
    return this.submit((image) => decideDeleteTopic(image, by, this.#context()));
  }

  /** Gives a topic more partitions. */
  createPartitions(request: CreatePartitionsOfTopic, validateOnly = false): Promise<TopicDecision> {
    return this.submit((image) =>
      decideCreatePartitions(image, request, this.#context(), validateOnly),
    );
  }

  /** Changes what is set on a topic, a group or a broker; the answer is what it has set then. */
  alterConfigs(
    request: AlterRequest,
    validateOnly = false,
  ): Promise<Decision<ReadonlyMap<string, string>>> {
    return this.submit((image) =>
      decideAlterConfigs(
        image,
        request,
        {
          brokerIds: this.brokerIds,
          effectiveText: (type, name) => this.#effectiveText(type, name),
        },
        validateOnly,
      ),
    );
  }

  /** The level in force of a feature (features.ts). It may change at any time. */
  featureLevel(name: string): number {
    return levelOf(this.image.features, name);
  }

  /** Changes levels of features, all of those named or none; the answer is what has been set then. */
  updateFeatures(
    updates: readonly FeatureUpdate[],
    validateOnly = false,
  ): Promise<Decision<ReadonlyMap<string, number>>> {
    return this.submit((image) => decideUpdateFeatures(image, updates, validateOnly));
  }

  /** Decides from the image, commits, and resolves once the image has it: for what is decided elsewhere in this room. */
  submit<T>(decide: Decide<T>): Promise<Decision<T>> {
    return this.#queue.submit(decide);
  }

  /** Tells those who follow that brokers, or this one's membership, have changed. */
  brokersChanged(): void {
    for (const listener of this.#listeners) listener.brokersChanged?.();
  }

  /** The value in force of a topic's setting, as text. */
  topicText(topic: TopicImage, name: string): string | null {
    return this.#settings.topicText(topic.configs, name);
  }

  /** Commits something else that lies in the metadata store; resolves once the image has passed it. */
  commit(transaction: Transaction): Promise<CommitResult> {
    return this.#loader.commit(transaction);
  }

  /** Ends following the store. Idempotent. Does not close the store. */
  close(): void {
    this.#shared?.close();
    this.#endSettings();
    this.#loader.close();
    this.#listeners.clear();
  }

  #context(newTopicId: () => string = () => randomUuid(this.#topicIds)): ControllerContext {
    const settings = this.#settings;
    return {
      brokerIds: this.brokerIds,
      isRegistered: (id) =>
        this.#shared === null ? id === this.#brokerId : this.image.knownBrokers.has(id),
      partitionCountDefault: settings.number("num.partitions"),
      replicationFactorDefault: settings.number("default.replication.factor"),
      partitionerDefault: settings.text("partitioner") ?? "",
      mayDeleteTopics: settings.boolean("delete.topic.enable"),
      topicDefault: (name) => settings.topicText(NO_CONFIGS, name),
      blocks: this.#shared?.blocks ?? null,
      newTopicId,
    };
  }

  /** Of a resource that has no value of its own. */
  #effectiveText(resourceType: number, name: string): string | null {
    switch (resourceType) {
      case ConfigResource.topic:
        return this.#settings.topicText(NO_CONFIGS, name);
      case ConfigResource.group:
        return this.#settings.groupText(NO_CONFIGS, name);
      default:
        return this.#settings.text(name);
    }
  }

  #onStep(step: ImageStep): void {
    if (step.haveBrokerConfigsChanged) this.#setDynamic(step.image.brokerConfigs);
    for (const listener of this.#listeners) {
      for (const topic of step.topicsDeleted) listener.topicDeleted(topic);
      for (const topic of step.topicsChanged) {
        listener.topicChanged(topic, this.topicSettings(topic));
      }
      if (step.haveBrokersChanged) listener.brokersChanged?.();
      for (const [topicId, indexes] of step.partitionsChanged) {
        const topic = step.image.topicsById.get(topicId);
        if (topic !== undefined) listener.partitionsChanged?.(topic, indexes);
      }
    }
    this.#shared?.onStep(step);
  }

  #setDynamic(configs: ReadonlyMap<string, ConfigsImage>): void {
    this.#settings.setDynamic(
      configs.get("")?.configs ?? NO_CONFIGS,
      configs.get(String(this.#brokerId))?.configs ?? NO_CONFIGS,
    );
  }

  /** A broker setting that gives topics their default has changed: all of them are told. */
  #onSettings(changed: ReadonlySet<string>): void {
    let concernsTopics = false;
    for (const each of allTopicSettings()) {
      if (each.synonyms.some((name) => changed.has(name))) concernsTopics = true;
    }
    if (!concernsTopics) return;
    for (const listener of this.#listeners) {
      for (const topic of this.image.topicsByName.values()) {
        listener.topicChanged(topic, this.topicSettings(topic));
      }
    }
  }
}

const NO_CONFIGS: ReadonlyMap<string, string> = new Map();
