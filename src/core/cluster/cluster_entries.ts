// How brokers, the controller's seat and partitions lie in the metadata store, where several brokers share it (ADR 43).
// Invariant: a block holds the partitions BLOCK * 100 … of its topic without holes, and is never empty.
// Kafka: RegisterBrokerRecord, PartitionRecord, PartitionChangeRecord.

import type { Entry } from "../../contracts/metadata_store.ts";
import { corrupt, decode, encode } from "./entries.ts";
import type {
  BrokerEndpoint,
  BrokerImage,
  ControllerImage,
  KnownBroker,
  PartitionImage,
} from "./image.ts";

export const BROKER_PREFIX = "brokers/";
export const KNOWN_BROKER_PREFIX = "known_brokers/";
export const PARTITION_PREFIX = "partitions/";
/** Written with the holder's session. */
export const SEAT_KEY = "controller/seat";
/** The last epoch that a controller had. */
export const CONTROLLER_EPOCH_KEY = "controller/epoch";
/** What brokers prove to each other that they know. */
export const CLUSTER_SECRET_KEY = "cluster/secret";

/** Partitions whose states lie in one entry. */
export const BLOCK_PARTITIONS = 100;
export const CLUSTER_SECRET_BYTES = 32;

export function brokerKey(id: number): string {
  return BROKER_PREFIX + id;
}

export function knownBrokerKey(id: number): string {
  return KNOWN_BROKER_PREFIX + id;
}

/** The broker whose entry lies under `key`, which begins with `prefix`; -1 where that is no id. */
export function brokerIdOfKey(key: string, prefix: string): number {
  const id = Number(key.slice(prefix.length));
  return Number.isSafeInteger(id) && id >= 0 ? id : -1;
}

export function blockKey(topicId: string, block: number): string {
  return `${PARTITION_PREFIX}${topicId}/${block}`;
}

export function blockOf(index: number): number {
  return Math.floor(index / BLOCK_PARTITIONS);
}

/** Topic and block of a key that begins with PARTITION_PREFIX; null where it is none. */
export function blockOfKey(
  key: string,
): { readonly topicId: string; readonly block: number } | null {
  const at = key.lastIndexOf("/");
  const block = Number(key.slice(at + 1));
  if (at < PARTITION_PREFIX.length || !Number.isSafeInteger(block) || block < 0) return null;
  return { topicId: key.slice(PARTITION_PREFIX.length, at), block };
}

/** The epoch is the revision of the entry, and the id is in its key. */
export function encodeBroker(broker: Omit<BrokerImage, "epoch" | "id">): Uint8Array {
  return encode({
    incarnation: broker.incarnation,
    rack: broker.rack,
    endpoints: broker.endpoints,
    peer: broker.peer,
    release: broker.release,
    features: Object.fromEntries(
      Array.from(broker.features, ([name, { min, max }]) => [name, [min, max]]),
    ),
    stopping: broker.isStopping,
  });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeBroker(entry: Entry): BrokerImage {
  const value = decode(entry);
  const { incarnation, rack, endpoints, peer, release, features, stopping } = value;
  const id = brokerIdOfKey(entry.key, BROKER_PREFIX);
  if (
    id < 0 ||
    typeof incarnation !== "string" ||
    !isTextOrNull(rack) ||
    !Array.isArray(endpoints) ||
    typeof release !== "string" ||
    typeof features !== "object" ||
    features === null
  ) {
    throw corrupt(entry.key);
  }
  const levels = new Map<string, { min: number; max: number }>();
  for (const [name, range] of Object.entries(features)) {
    if (!isWholeNumbers(range) || range.length !== 2) throw corrupt(entry.key);
    levels.set(name, { min: range[0]!, max: range[1]! });
  }
  return {
    id,
    epoch: entry.revision,
    incarnation,
    rack,
    endpoints: endpoints.map((each: unknown) => endpointOf(entry.key, each)),
    peer: peer === null || peer === undefined ? null : endpointOf(entry.key, peer),
    release,
    features: levels,
    isStopping: stopping === true,
  };
}

function endpointOf(key: string, value: unknown): BrokerEndpoint {
  if (typeof value !== "object" || value === null) throw corrupt(key);
  const { protocol, listener, host, port, isTls } = value as Record<string, unknown>;
  if (
    typeof protocol !== "string" ||
    typeof listener !== "string" ||
    typeof host !== "string" ||
    typeof port !== "number"
  ) {
    throw corrupt(key);
  }
  return { protocol, listener, host, port, isTls: isTls === true };
}

export function encodeKnownBroker(broker: Omit<KnownBroker, "id">): Uint8Array {
  return encode({ rack: broker.rack, release: broker.release });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeKnownBroker(entry: Entry): KnownBroker {
  const { rack, release } = decode(entry);
  const id = brokerIdOfKey(entry.key, KNOWN_BROKER_PREFIX);
  if (id < 0 || !isTextOrNull(rack) || typeof release !== "string") throw corrupt(entry.key);
  return { id, rack, release };
}

export function encodeSeat(seat: Omit<ControllerImage, "revision">): Uint8Array {
  return encode({ broker: seat.brokerId, epoch: seat.epoch });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeSeat(entry: Entry): ControllerImage {
  const { broker, epoch } = decode(entry);
  if (typeof broker !== "number" || typeof epoch !== "number") throw corrupt(entry.key);
  return { brokerId: broker, epoch, revision: entry.revision };
}

export function encodeControllerEpoch(epoch: number): Uint8Array {
  return encode({ epoch });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeControllerEpoch(entry: Entry): number {
  const { epoch } = decode(entry);
  if (typeof epoch !== "number") throw corrupt(entry.key);
  return epoch;
}

/** @param secret CLUSTER_SECRET_BYTES bytes. */
export function encodeClusterSecret(secret: Uint8Array): Uint8Array {
  return encode({
    secret: Array.from(secret, (byte) => byte.toString(16).padStart(2, "0")).join(""),
  });
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeClusterSecret(entry: Entry): Uint8Array {
  const { secret } = decode(entry);
  if (typeof secret !== "string" || !SECRET.test(secret)) throw corrupt(entry.key);
  const bytes = new Uint8Array(CLUSTER_SECRET_BYTES);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = Number.parseInt(secret.slice(2 * i, 2 * i + 2), 16);
  }
  return bytes;
}

const SECRET = /^[0-9a-f]{64}$/;

/**
 * Each partition is `[leader, leaderEpoch, partitionEpoch, replicas, isr, adding, removing, elr]`, without empty lists at its end:
 * ten thousand of them change in one commit.
 */
export function encodeBlock(partitions: readonly PartitionImage[]): Uint8Array {
  return encode({ p: partitions.map(fieldsOf) });
}

function fieldsOf(partition: PartitionImage): unknown[] {
  const { leader, leaderEpoch, partitionEpoch, replicas, isr, adding, removing, elr } = partition;
  const lists = [replicas, isr, adding, removing, elr];
  while (lists.at(-1)!.length === 0) lists.pop();
  return [leader, leaderEpoch, partitionEpoch, ...lists];
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function decodeBlock(entry: Entry): PartitionImage[] {
  const { p } = decode(entry);
  if (!Array.isArray(p) || p.length === 0 || p.length > BLOCK_PARTITIONS) throw corrupt(entry.key);
  return p.map((each: unknown) => partitionOf(entry.key, each));
}

function partitionOf(key: string, value: unknown): PartitionImage {
  if (!Array.isArray(value)) throw corrupt(key);
  const [leader, leaderEpoch, partitionEpoch, ...lists] = value as unknown[];
  if (
    typeof leader !== "number" ||
    typeof leaderEpoch !== "number" ||
    typeof partitionEpoch !== "number" ||
    lists.length < 2 ||
    lists.length > 5 ||
    !lists.every(isWholeNumbers)
  ) {
    throw corrupt(key);
  }
  const [replicas, isr, adding, removing, elr] = lists;
  if (replicas!.length === 0 || isr!.length === 0) throw corrupt(key);
  return {
    leader,
    leaderEpoch,
    partitionEpoch,
    replicas: replicas!,
    isr: isr!,
    adding: adding ?? NOBODY,
    removing: removing ?? NOBODY,
    elr: elr ?? NOBODY,
  };
}

/** Shared, so that a hundred thousand partitions hold no empty lists. */
export const NOBODY: readonly number[] = [];

function isWholeNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((each) => Number.isInteger(each));
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
