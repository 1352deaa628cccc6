// Steps from one image to the next. Invariant: a step applies all that one revision changed, or, after a
// full read, all that differs; the image before it stays as it was.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Entry, RevisionChanges } from "../../contracts/metadata_store.ts";
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
import type { ClusterImage, ConfigsImage, TopicImage } from "./image.ts";
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
  let { features } = image;
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
    },
    topicsChanged,
    topicsDeleted,
    haveBrokerConfigsChanged: brokerConfigs !== null,
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
  return { image: after, topicsChanged, topicsDeleted, haveBrokerConfigsChanged: true };
}

function configsOf(entry: Entry): ConfigsImage {
  return { configs: decodeConfigs(entry), revision: entry.revision };
}

function versioned<V>(map: ReadonlyMap<string, V>): VersionedMap<V> {
  return map instanceof VersionedMap ? (map as VersionedMap<V>) : new VersionedMap(new Map(map));
}
