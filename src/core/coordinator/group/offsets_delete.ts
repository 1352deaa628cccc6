// OffsetDelete: forgets offsets of topics that no member reads.
// Invariant: what is refused comes first in the answer, and nothing comes twice, both as in Kafka.
// Kafka: KafkaApis.handleOffsetDeleteRequest, OffsetMetadataManager.deleteOffsets.

import { type KafkaErrorName, NONE, wireCodeOf } from "../../../protocol/errors.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../../../protocol/messages/47_offset_delete.ts";
import type { Group } from "./group.ts";
import type { OffsetCommitRecord } from "./group_record.ts";
import type { PendingOffsets } from "./offsets_pending.ts";
import type { OffsetTable } from "./offsets_table.ts";
import type { TopicView } from "./topic_view.ts";

export interface DeleteOptions {
  readonly group: Group | undefined;
  readonly table: OffsetTable;
  readonly pending: PendingOffsets;
  readonly topics: TopicView;
}

export interface Deletion {
  readonly records: readonly OffsetCommitRecord[];
  readonly response: OffsetDeleteResponse;
}

export function decideDelete(request: OffsetDeleteRequest, options: DeleteOptions): Deletion {
  const { groupId } = request;
  const { group, table, pending, topics } = options;
  const refusal = group === undefined ? "group_id_not_found" : group.checkOffsetDelete();
  if (group === undefined || refusal !== null) {
    return { records: [], response: answerTo(wireCodeOf(refusal ?? "group_id_not_found"), []) };
  }
  const records: OffsetCommitRecord[] = [];
  const gone = new Rows();
  const here = new Rows();
  for (const { name, partitions } of request.topics) {
    const topic = topics.named(name);
    const isRead = group.isSubscribedTo(name);
    for (const { partitionIndex } of partitions) {
      if (topic === null || partitionIndex < 0 || partitionIndex >= topic.partitionCount) {
        gone.add(name, partitionIndex, "unknown_topic_or_partition");
        continue;
      }
      const isNew = here.add(name, partitionIndex, isRead ? "group_subscribed_to_topic" : null);
      if (isRead || !isNew) continue;
      const isKnown =
        table.get(groupId, name, partitionIndex) !== null ||
        pending.has(groupId, name, partitionIndex);
      if (isKnown) records.push(tombstone(groupId, name, partitionIndex));
    }
  }
  return { records, response: answerTo(NONE, gone.with(here)) };
}

/** Forgets one offset. */
export function tombstone(group: string, topic: string, partition: number): OffsetCommitRecord {
  return { kind: "offset_commit", key: { group, topic, partition }, value: null };
}

function answerTo(errorCode: number, topics: OffsetDeleteResponse["topics"]): OffsetDeleteResponse {
  return { errorCode, throttleTimeMs: 0, topics };
}

/** Error codes by topic and partition, each once, in the order of their coming. */
class Rows {
  readonly #topics = new Map<string, Map<number, number>>();

  /** @returns false when the partition is there already, and stays as it is */
  add(topic: string, partition: number, error: KafkaErrorName | null): boolean {
    const partitions = this.#topics.get(topic) ?? new Map<number, number>();
    this.#topics.set(topic, partitions);
    if (partitions.has(partition)) return false;
    partitions.set(partition, error === null ? NONE : wireCodeOf(error));
    return true;
  }

  /** The rows of both, those of a topic together. */
  with(other: Rows): OffsetDeleteResponse["topics"] {
    const names = new Set([...this.#topics.keys(), ...other.#topics.keys()]);
    return [...names].map((name) => ({
      name,
      partitions: [...(this.#topics.get(name) ?? []), ...(other.#topics.get(name) ?? [])].map(
        ([partitionIndex, errorCode]) => ({ partitionIndex, errorCode }),
      ),
    }));
  }
}
