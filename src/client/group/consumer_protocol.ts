// What members of the classic protocol tell one another through the broker, which does not look into it.
// Invariant: a later version than ours is read as our highest: fields are only ever added.
// Kafka: ConsumerProtocol.

import { ByteReader, DecodeError } from "../../base/byte_reader.ts";
import { codecOf } from "../../protocol/compile.ts";
import type { MessageOf } from "../../protocol/infer.ts";
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
} from "../../protocol/internal_records/consumer_protocol.ts";
import type { Message } from "../../protocol/schema.ts";
import { encodeStoredValue } from "../../protocol/stored.ts";
import { byTopic, type TopicPartition } from "./partition_key.ts";

/** What one member told the others of itself. */
export interface MemberSubscription {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly topics: readonly string[];
  readonly owned: readonly TopicPartition[];
  /** Of which `owned` is true; -1 when it did not say. */
  readonly generation: number;
}

const VERSION = 3;

/** Of this member. `generation` is that in which it got what it owns. */
export function encodeSubscription(
  topics: readonly string[],
  owned: readonly TopicPartition[],
  generation: number,
  rack: string | null,
): Uint8Array {
  const ownedPartitions = [...byTopic(owned, ({ partition }) => partition)].map(
    ([topic, partitions]) => ({ topic, partitions }),
  );
  return encodeStoredValue(ConsumerProtocolSubscription, VERSION, {
    topics,
    userData: null,
    ownedPartitions,
    generationId: generation,
    rackId: rack,
  });
}

/** Of another member, as it came. @throws {DecodeError} */
export function decodeSubscription(
  memberId: string,
  instanceId: string | null,
  bytes: Uint8Array,
): MemberSubscription {
  const { topics, ownedPartitions, generationId, userData } = decode(
    ConsumerProtocolSubscription,
    bytes,
  );
  const owned = flat(ownedPartitions.map(({ topic, partitions }) => ({ topic, partitions })));
  // Members older than the field tell their generation in what is the assignor's own.
  const isInUserData = generationId < 0 && userData !== null && userData.length === 4;
  const generation = isInUserData ? new ByteReader(userData).int32() : generationId;
  return { memberId, instanceId, topics, owned, generation };
}

/** What a member is to have. */
export function encodeAssignment(partitions: readonly TopicPartition[]): Uint8Array {
  const assignedPartitions = [...byTopic(partitions, ({ partition }) => partition)].map(
    ([topic, numbers]) => ({ topic, partitions: numbers }),
  );
  return encodeStoredValue(ConsumerProtocolAssignment, VERSION, {
    assignedPartitions,
    userData: null,
  });
}

/** Empty bytes are an empty assignment. @throws {DecodeError} */
export function decodeAssignment(bytes: Uint8Array): readonly TopicPartition[] {
  if (bytes.length === 0) return [];
  return flat(decode(ConsumerProtocolAssignment, bytes).assignedPartitions);
}

function decode<const M extends Message>(message: M, bytes: Uint8Array): MessageOf<M> {
  const reader = new ByteReader(bytes);
  const version = reader.int16();
  if (version < message.lowest) throw new DecodeError(`${message.name} has no version ${version}`);
  return codecOf(message, Math.min(version, message.highest)).read(reader);
}

function flat(
  topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): TopicPartition[] {
  return topics.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}
