// What the rest of the broker may ask of the partitions it holds: the seam between the APIs
// (core/broker) and the logs (core/log). Partition objects are made on first use, so that an idle
// partition costs next to nothing.

import type { TopicImage } from "../cluster/image.ts";
import type { CleaningFigures } from "../log/cleaner_figures.ts";
import type { TopicSettings } from "../settings/topic_settings.ts";

export interface Partitions {
  /** A topic exists (made now, or found at start), or its settings or partition count changed. */
  topicChanged(topic: TopicImage, settings: TopicSettings): void;
  /** The topic is gone: appends and fetches fail at once, space is given back in the background. */
  topicDeleted(topic: TopicImage): Promise<void>;
  /** Null when this broker does not hold it (unknown topic id, or index out of range). */
  status(topicId: string, partition: number): PartitionStatus | null;
  /**
   * Moves the log start offset up to `offset` (-1: the high watermark), durable when it resolves.
   * @returns the new log start offset, or why not
   */
  deleteRecords(topicId: string, partition: number, offset: number): Promise<DeleteRecordsOutcome>;
  activeProducers(topicId: string, partition: number): readonly ActiveProducer[] | null;
  /** What the cleaner knows of a topic's partitions that hold something, in their order; none where it is not compacted. */
  cleaning(topicId: string): Promise<readonly CleaningFigures[]>;
  /** False once the log directory went offline; then every append and fetch answers kafka_storage_error. */
  readonly isOnline: boolean;
}

export type DeleteRecordsOutcome =
  | { readonly ok: true; readonly logStartOffset: number }
  | {
      readonly ok: false;
      readonly code:
        | "offset_out_of_range"
        | "kafka_storage_error"
        | "policy_violation"
        | "not_leader_or_follower";
    };

export interface PartitionStatus {
  readonly leaderEpoch: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEndOffset: number;
  /** Bytes of batches that can still be read. */
  readonly sizeBytes: number;
}

export interface ActiveProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  readonly coordinatorEpoch: number;
  /** -1: no transaction open. */
  readonly currentTransactionStartOffset: number;
}
