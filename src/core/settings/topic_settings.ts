// The settings of one topic as the log and the partitions use them: parsed, typed, with units in
// the names. Made from definitions.ts (default, broker, topic layers); a new object on every change.

export type Durability =
  /** Acknowledged means synced: the append's group commit has been fsynced. The default. */
  | "fsync"
  /** Acknowledged means written to the operating system; synced every `millrace.sync.interval.ms`. */
  | "interval"
  /** Acknowledged means written to the operating system; synced when something else is. */
  | "memory";

export type TimestampType = "CreateTime" | "LogAppendTime";
export type PartitionerName = "xxhash" | "murmur2";
/** "producer" keeps what the producer chose. */
export type TopicCompression = "producer" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd";

export interface TopicSettings {
  readonly cleanupCompact: boolean;
  readonly cleanupDelete: boolean;
  readonly compression: TopicCompression;
  /** Level for the chosen codec, where the topic re-compresses; null: the codec's default. */
  readonly compressionLevel: number | null;
  readonly deleteRetentionMs: number;
  readonly durability: Durability;
  readonly indexIntervalBytes: number;
  readonly maxMessageBytes: number;
  /** At most this long a record waits for the cleaner. */
  readonly maxCompactionLagMs: number;
  readonly messageTimestampAfterMaxMs: number;
  readonly messageTimestampBeforeMaxMs: number;
  readonly messageTimestampType: TimestampType;
  /** Share of the log that has to be dirty for the cleaner to come. */
  readonly minCleanableDirtyRatio: number;
  /** At least this long every record stays. */
  readonly minCompactionLagMs: number;
  readonly partitioner: PartitionerName;
  /** -1: no bound. */
  readonly retentionBytes: number;
  /** -1: for ever. */
  readonly retentionMs: number;
  readonly segmentBytes: number;
  readonly segmentJitterMs: number;
  readonly segmentMs: number;
  readonly syncIntervalMs: number;
}
