// How the cluster's state lies in the metadata store: one entry a topic, one for each set of dynamic configs, the cluster's
// id, the next producer id, levels of features, a mark for each broker that has logs. Values are JSON with a format version in "v".
// Invariant: a value of a newer version is refused, never guessed at.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Entry } from "../../contracts/metadata_store.ts";
import type { TopicImage } from "./image.ts";

/** Version of every value written here. */
const FORMAT = 1;

export const CLUSTER_ID_KEY = "cluster/id";
export const PRODUCER_IDS_KEY = "producer_ids/next";
/** Levels of features that somebody has set. */
export const FEATURES_KEY = "features/levels";
export const TOPIC_PREFIX = "topics/";
export const BROKER_CONFIGS_PREFIX = "configs/broker/";
export const GROUP_CONFIGS_PREFIX = "configs/group/";
const LOGS_PREFIX = "logs/broker/";
const ALL_BROKERS = "default";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function topicKey(name: string): string {
  return TOPIC_PREFIX + name;
}

/** @param broker A broker's id as text, or "" for all of them. */
export function brokerConfigsKey(broker: string): string {
  return BROKER_CONFIGS_PREFIX + (broker === "" ? ALL_BROKERS : broker);
}

/** The broker whose configs lie under `key`: its id as text, or "" for all of them. */
export function brokerOfConfigsKey(key: string): string {
  const broker = key.slice(BROKER_CONFIGS_PREFIX.length);
  return broker === ALL_BROKERS ? "" : broker;
}

export function encodeTopic(topic: Omit<TopicImage, "revision" | "name">): Uint8Array {
  return encode({
    id: topic.id,
    partitions: topic.partitionCount,
    replication: topic.replicationFactor,
    epoch: topic.leaderEpoch,
    internal: topic.isInternal,
    configs: Object.fromEntries(topic.configs),
  });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeTopic(entry: Entry): TopicImage {
  const value = decode(entry);
  const { id, partitions, replication, epoch, internal } = value;
  if (
    typeof id !== "string" ||
    typeof partitions !== "number" ||
    typeof replication !== "number" ||
    typeof epoch !== "number"
  ) {
    throw corrupt(entry.key);
  }
  return {
    name: entry.key.slice(TOPIC_PREFIX.length),
    id,
    partitionCount: partitions,
    replicationFactor: replication,
    configs: readConfigs(entry.key, value["configs"]),
    leaderEpoch: epoch,
    isInternal: internal === true,
    revision: entry.revision,
  };
}

export function groupConfigsKey(groupId: string): string {
  return GROUP_CONFIGS_PREFIX + groupId;
}

/** The dynamic settings of a broker, or of a group. */
export function encodeConfigs(configs: ReadonlyMap<string, string>): Uint8Array {
  return encode({ configs: Object.fromEntries(configs) });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeConfigs(entry: Entry): ReadonlyMap<string, string> {
  return readConfigs(entry.key, decode(entry)["configs"]);
}

export function encodeClusterId(clusterId: string): Uint8Array {
  return encode({ id: clusterId });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeClusterId(entry: Entry): string {
  const { id } = decode(entry);
  if (typeof id !== "string") throw corrupt(entry.key);
  return id;
}

export function encodeNextProducerId(next: number): Uint8Array {
  return encode({ next });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeNextProducerId(entry: Entry): number {
  const { next } = decode(entry);
  if (typeof next !== "number" || !Number.isSafeInteger(next) || next < 0) throw corrupt(entry.key);
  return next;
}

/** @param levels By name; whole numbers from 0. */
export function encodeFeatureLevels(levels: ReadonlyMap<string, number>): Uint8Array {
  return encode({ levels: Object.fromEntries(levels) });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeFeatureLevels(entry: Entry): ReadonlyMap<string, number> {
  const levels: unknown = decode(entry)["levels"];
  if (typeof levels !== "object" || levels === null) throw corrupt(entry.key);
  const found = new Map<string, number>();
  for (const [name, level] of Object.entries(levels as Fields)) {
    if (typeof level !== "number" || !Number.isInteger(level) || level < 0) {
      throw corrupt(entry.key);
    }
    found.set(name, level);
  }
  return found;
}

/** Where it is marked that a broker has logs. */
export function logsKey(brokerId: number): string {
  return LOGS_PREFIX + brokerId;
}

export function encodeLogsMark(): Uint8Array {
  return encode({});
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function checkLogsMark(entry: Entry): void {
  decode(entry);
}

/** What a value is made of, before anybody has looked at it. */
export type Fields = Readonly<Record<string, unknown>>;

/** A value in the form of all of them. */
export function encode(fields: Fields): Uint8Array {
  return encoder.encode(JSON.stringify({ v: FORMAT, ...fields }));
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decode(entry: Entry): Fields {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(entry.value));
  } catch (cause) {
    throw corrupt(entry.key, cause);
  }
  if (typeof value !== "object" || value === null) throw corrupt(entry.key);
  const fields = value as Fields;
  if (fields["v"] !== FORMAT) {
    if (typeof fields["v"] !== "number") throw corrupt(entry.key);
    throw new MetadataStoreError(
      "version",
      `Cannot read "${entry.key}" of the metadata store as it has format ${fields["v"]}: this release knows ${FORMAT}`,
    );
  }
  return fields;
}

function readConfigs(key: string, value: unknown): ReadonlyMap<string, string> {
  if (typeof value !== "object" || value === null) throw corrupt(key);
  const names = Object.keys(value);
  if (names.length === 0) return NO_CONFIGS;
  const configs = new Map<string, string>();
  for (const name of names) {
    const text: unknown = (value as Fields)[name];
    if (typeof text !== "string") throw corrupt(key);
    configs.set(name, text);
  }
  return configs;
}

/** Shared, so that ten thousand topics without settings hold no map each. */
const NO_CONFIGS: ReadonlyMap<string, string> = new Map();

export function corrupt(key: string, cause?: unknown): MetadataStoreError {
  return new MetadataStoreError("corrupt", `Cannot read "${key}" of the metadata store`, { cause });
}
