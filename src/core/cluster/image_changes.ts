// Steps from one image to the next. Invariant: a step applies all that one revision changed, or, after a
// full read, all that differs; the image before it stays as it was.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Entry, RevisionChanges } from "../../contracts/metadata_store.ts";
import {
  BROKER_PREFIX,
  brokerKey,
  decodeBroker,
  decodeKnownBroker,
  decodeSeat,
  KNOWN_BROKER_PREFIX,
  knownBrokerKey,
  PARTITION_PREFIX,
  SEAT_KEY,
} from "./cluster_entries.ts";
import { heldTopic } from "./coordinator_topics.ts";
import {
  BROKER_CONFIGS_PREFIX,
  brokerOfConfigsKey,
  CLUSTER_ID_KEY,
  decodeClusterId,
  decodeConfigs,
  decodeTopic,
  FEATURES_KEY,
  GROUP_CONFIGS_PREFIX,
  TOPIC_PREFIX,
} from "./entries.ts";
import { DEFAULT_FEATURES, featuresOf } from "./features.ts";
import type {
  BrokerImage,
  ClusterImage,
  ConfigsImage,
  ControllerImage,
  KnownBroker,
  TopicImage,
} from "./image.ts";
import { PartitionTable, partitionsBetween } from "./partition_table.ts";
import { collisionKey } from "./topic_names.ts";
import { VersionedMap } from "./versioned_map.ts";

/** What a step did, for those who follow it. */
export interface ImageStep {
  readonly image: ClusterImage;
  /** Topics made or changed, as they are now. */
  readonly topicsChanged: readonly TopicImage[];
  /** Topics gone, as they were; also one that was deleted and made again. */
  readonly topicsDeleted: readonly TopicImage[];
  readonly haveBrokerConfigsChanged: boolean;
  /** Whether a broker came, went or registered anew. */
  readonly haveBrokersChanged: boolean;
  readonly hasControllerChanged: boolean;
  /** By the id of a topic that is there: the partitions made or changed, in ascending order. */
  readonly partitionsChanged: ReadonlyMap<string, readonly number[]>;
}

/**
 * The image of a full read of the store.
 *
 * @throws {MetadataStoreError} "version" or "corrupt"
 */
export function imageOf(revision: number, entries: readonly Entry[]): ClusterImage {
  let clusterId = "";
  const byName = new Map<string, TopicImage>();
  const byId = new Map<string, TopicImage>();
  const byCollisionKey = new Map<string, string>();
  const brokerConfigs = new Map<string, ConfigsImage>();
  const groupConfigs = new Map<string, ConfigsImage>();
  let features = DEFAULT_FEATURES;
  const brokers: BrokerImage[] = [];
  const knownBrokers = new Map<number, KnownBroker>();
  let controller: ControllerImage | null = null;
  const partitions = new PartitionTable(null);
  for (const entry of entries) {
    if (entry.key.startsWith(TOPIC_PREFIX)) {
      const topic = heldTopic(decodeTopic(entry));
      byName.set(topic.name, topic);
      byId.set(topic.id, topic);
      const collision = collisionKey(topic.name);
      if (collision !== null) byCollisionKey.set(collision, topic.name);
    } else if (entry.key.startsWith(BROKER_CONFIGS_PREFIX)) {
      brokerConfigs.set(brokerOfConfigsKey(entry.key), configsOf(entry));
    } else if (entry.key.startsWith(GROUP_CONFIGS_PREFIX)) {
      groupConfigs.set(entry.key.slice(GROUP_CONFIGS_PREFIX.length), configsOf(entry));
    } else if (entry.key === CLUSTER_ID_KEY) {
      clusterId = decodeClusterId(entry);
    } else if (entry.key === FEATURES_KEY) {
      features = featuresOf(entry);
    } else if (entry.key.startsWith(PARTITION_PREFIX)) {
      partitions.put(entry);
    } else if (entry.key.startsWith(BROKER_PREFIX)) {
      brokers.push(decodeBroker(entry));
    } else if (entry.key.startsWith(KNOWN_BROKER_PREFIX)) {
      const broker = decodeKnownBroker(entry);
      knownBrokers.set(broker.id, broker);
    } else if (entry.key === SEAT_KEY) {
      controller = decodeSeat(entry);
    }
  }
  if (clusterId === "") {
    throw new MetadataStoreError(
      "corrupt",
      "Cannot use the metadata store as it has no cluster id",
    );
  }
  return {
    revision,
    clusterId,
    topicsByName: new VersionedMap(byName),
    topicsById: new VersionedMap(byId),
    topicsByCollisionKey: new VersionedMap(byCollisionKey),
    brokerConfigs,
    groupConfigs: new VersionedMap(groupConfigs),
    features,
    brokers: brokersById(brokers),
    knownBrokers,
    controller,
    partitions: partitions.partitions,
    blockRevisions: partitions.revisions,
  };
}

/**
 * Applies one revision's changes.
 *
 * @throws {MetadataStoreError} "version" or "corrupt"
 */
export function stepOf(image: ClusterImage, changes: RevisionChanges): ImageStep {
  let byName = versioned(image.topicsByName);
  let byId = versioned(image.topicsById);
  let byCollisionKey = versioned(image.topicsByCollisionKey);
  let brokerConfigs: Map<string, ConfigsImage> | null = null;
  let groupConfigs = versioned(image.groupConfigs);
  let { features, brokers, knownBrokers, controller } = image;
  const partitions = new PartitionTable(image);
  const topicsChanged: TopicImage[] = [];
  const topicsDeleted: TopicImage[] = [];

  for (const key of changes.deletes) {
    if (key.startsWith(TOPIC_PREFIX)) {
      const topic = byName.get(key.slice(TOPIC_PREFIX.length));
      if (topic === undefined) continue;
      topicsDeleted.push(topic);
      byName = byName.without(topic.name);
      byId = byId.without(topic.id);
      const collision = collisionKey(topic.name);
      if (collision !== null && byCollisionKey.get(collision) === topic.name) {
        byCollisionKey = byCollisionKey.without(collision);
      }
    } else if (key.startsWith(BROKER_CONFIGS_PREFIX)) {
      brokerConfigs ??= new Map(image.brokerConfigs);
      brokerConfigs.delete(brokerOfConfigsKey(key));
    } else if (key.startsWith(GROUP_CONFIGS_PREFIX)) {
      groupConfigs = groupConfigs.without(key.slice(GROUP_CONFIGS_PREFIX.length));
    } else if (key === FEATURES_KEY) {
      features = DEFAULT_FEATURES;
    } else if (key.startsWith(PARTITION_PREFIX)) {
      partitions.delete(key);
    } else if (key.startsWith(BROKER_PREFIX)) {
      brokers = brokersById(Array.from(brokers.values()).filter(({ id }) => brokerKey(id) !== key));
    } else if (key.startsWith(KNOWN_BROKER_PREFIX)) {
      knownBrokers = new Map(Array.from(knownBrokers).filter(([id]) => knownBrokerKey(id) !== key));
    } else if (key === SEAT_KEY) {
      controller = null;
    }
  }
  for (const entry of changes.puts) {
    if (entry.key.startsWith(TOPIC_PREFIX)) {
      const topic = heldTopic(decodeTopic(entry));
      const before = byName.get(topic.name);
      if (before !== undefined && before.id !== topic.id) {
        topicsDeleted.push(before);
        byId = byId.without(before.id);
      }
      topicsChanged.push(topic);
      byName = byName.with(topic.name, topic);
      byId = byId.with(topic.id, topic);
      const collision = collisionKey(topic.name);
      if (collision !== null && !byCollisionKey.has(collision)) {
        byCollisionKey = byCollisionKey.with(collision, topic.name);
      }
    } else if (entry.key.startsWith(BROKER_CONFIGS_PREFIX)) {
      brokerConfigs ??= new Map(image.brokerConfigs);
      brokerConfigs.set(brokerOfConfigsKey(entry.key), configsOf(entry));
    } else if (entry.key.startsWith(GROUP_CONFIGS_PREFIX)) {
      const groupId = entry.key.slice(GROUP_CONFIGS_PREFIX.length);
      groupConfigs = groupConfigs.with(groupId, configsOf(entry));
    } else if (entry.key === FEATURES_KEY) {
      features = featuresOf(entry);
    } else if (entry.key.startsWith(PARTITION_PREFIX)) {
      partitions.put(entry);
    } else if (entry.key.startsWith(BROKER_PREFIX)) {
      const broker = decodeBroker(entry);
      brokers = brokersById([...brokers.values(), broker]);
    } else if (entry.key.startsWith(KNOWN_BROKER_PREFIX)) {
      const broker = decodeKnownBroker(entry);
      knownBrokers = new Map(knownBrokers).set(broker.id, broker);
    } else if (entry.key === SEAT_KEY) {
      controller = decodeSeat(entry);
    }
  }
  return {
    image: {
      revision: changes.revision,
      clusterId: image.clusterId,
      topicsByName: byName,
      topicsById: byId,
      topicsByCollisionKey: byCollisionKey,
      brokerConfigs: brokerConfigs ?? image.brokerConfigs,
      groupConfigs,
      features,
      brokers,
      knownBrokers,
      controller,
      partitions: partitions.partitions,
      blockRevisions: partitions.revisions,
    },
    topicsChanged,
    topicsDeleted,
    haveBrokerConfigsChanged: brokerConfigs !== null,
    haveBrokersChanged: brokers !== image.brokers,
    hasControllerChanged: controller !== image.controller,
    partitionsChanged: partitions.changed(),
  };
}

/** The step from an image to a later one that was read anew. */
export function stepBetween(before: ClusterImage, after: ClusterImage): ImageStep {
  const topicsChanged: TopicImage[] = [];
  const topicsDeleted: TopicImage[] = [];
  for (const topic of after.topicsByName.values()) {
    const old = before.topicsByName.get(topic.name);
    if (old?.revision !== topic.revision) topicsChanged.push(topic);
  }
  for (const topic of before.topicsByName.values()) {
    if (!after.topicsById.has(topic.id)) topicsDeleted.push(topic);
  }
  return {
    image: after,
    topicsChanged,
    topicsDeleted,
    haveBrokerConfigsChanged: true,
    haveBrokersChanged: !isSameBrokers(before.brokers, after.brokers),
    hasControllerChanged: before.controller?.revision !== after.controller?.revision,
    partitionsChanged: partitionsBetween(before, after),
  };
}

function isSameBrokers(a: ClusterImage["brokers"], b: ClusterImage["brokers"]): boolean {
  return a.size === b.size && Array.from(a).every(([id, { epoch }]) => b.get(id)?.epoch === epoch);
}

/** In ascending order of ids; of one that comes twice, the last. */
function brokersById(brokers: readonly BrokerImage[]): ReadonlyMap<number, BrokerImage> {
  const byId = new Map(brokers.map((broker) => [broker.id, broker]));
  return new Map(Array.from(byId).sort(([a], [b]) => a - b));
}

function configsOf(entry: Entry): ConfigsImage {
  return { configs: decodeConfigs(entry), revision: entry.revision };
}

function versioned<V>(map: ReadonlyMap<string, V>): VersionedMap<V> {
  return map instanceof VersionedMap ? (map as VersionedMap<V>) : new VersionedMap(new Map(map));
}
