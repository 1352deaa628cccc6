// What members of the classic protocol say to each other inside JoinGroup and SyncGroup, where the coordinator has to
// speak it for them. Invariant: an unknown newer version is read as the newest known one, as its fields come behind.
// Kafka: ConsumerProtocol.

import { ByteReader, DecodeError } from "../../../../base/byte_reader.ts";
import { ByteWriter } from "../../../../base/byte_writer.ts";
import { codecOf } from "../../../../protocol/compile.ts";
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
} from "../../../../protocol/internal_records/consumer_protocol.ts";
import type { TopicView } from "../topic_view.ts";
import type { TopicPartitionList } from "./partitions.ts";

const VERSION_MAX = 3;

/** @throws {DecodeError} */
export function readSubscription(metadata: Uint8Array): ConsumerProtocolSubscription {
  const reader = new ByteReader(metadata);
  return codecOf(ConsumerProtocolSubscription, version(reader.int16())).read(reader);
}

/** @throws {DecodeError} */
export function readAssignment(assignment: Uint8Array): ConsumerProtocolAssignment {
  const reader = new ByteReader(assignment);
  return codecOf(ConsumerProtocolAssignment, version(reader.int16())).read(reader);
}

/**
 * Partitions as a classic member is told them; topics that are gone are left out.
 *
 * @param metadata What the member joined with: it is answered in its own version
 * @throws {DecodeError} when the metadata has no version that there can be
 */
export function writeAssignment(
  partitions: Iterable<readonly [topicId: string, partitions: readonly number[]]>,
  topics: TopicView,
  metadata: Uint8Array,
): Uint8Array {
  const assignedPartitions = [];
  for (const [topicId, ids] of partitions) {
    const topic = topics.withId(topicId);
    if (topic !== null) assignedPartitions.push({ topic: topic.name, partitions: [...ids] });
  }
  const writtenVersion = version(new ByteReader(metadata).int16());
  const writer = new ByteWriter();
  writer.int16(writtenVersion);
  codecOf(ConsumerProtocolAssignment, writtenVersion).write(writer, {
    assignedPartitions,
    userData: null,
  });
  return writer.toBytes();
}

/** With topic ids; topics that do not exist are left out. */
export function withTopicIds(
  partitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  topics: TopicView,
): TopicPartitionList[] {
  return partitions.flatMap(({ topic, partitions: ids }) => {
    const seen = topics.named(topic);
    return seen === null ? [] : [{ topicId: seen.id, partitions: ids }];
  });
}

/** @throws {DecodeError} for a negative one: what stands behind it is not known */
function version(stated: number): number {
  if (stated < 0) throw new DecodeError(`Version ${stated} of what members say does not exist`);
  return Math.min(stated, VERSION_MAX);
}
