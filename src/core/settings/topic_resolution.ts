// Makes the typed settings of a topic out of values by Kafka's names. Invariant: every field of
// TopicSettings is filled from exactly one name here, and every topic setting that works is read here.
// Kafka: LogConfig's constructor.

import type {
  Durability,
  PartitionerName,
  TimestampType,
  TopicCompression,
  TopicSettings,
} from "./topic_settings.ts";
import type { SettingValue } from "./values.ts";

const LEVEL_SETTINGS: Readonly<Partial<Record<TopicCompression, string>>> = {
  gzip: "compression.gzip.level",
  zstd: "compression.zstd.level",
};

/** @param read The value in force of a topic setting; null when it has none. */
export function buildTopicSettings(read: (name: string) => SettingValue | null): TopicSettings {
  const number = (name: string): number => read(name)?.number ?? 0;
  const text = (name: string): string => read(name)?.text ?? "";
  const policies = read("cleanup.policy")?.items ?? [];
  const compression = text("compression.type") as TopicCompression;
  const levelSetting = LEVEL_SETTINGS[compression];
  const level = levelSetting === undefined ? null : number(levelSetting);
  return {
    cleanupCompact: policies.includes("compact"),
    cleanupDelete: policies.includes("delete"),
    compression,
    // -1 is gzip's "the codec's own default"; for zstd it is a level of its own.
    compressionLevel: compression === "gzip" && level === -1 ? null : level,
    deleteRetentionMs: number("delete.retention.ms"),
    durability: text("millrace.durability") as Durability,
    indexIntervalBytes: number("index.interval.bytes"),
    maxMessageBytes: number("max.message.bytes"),
    maxCompactionLagMs: number("max.compaction.lag.ms"),
    messageTimestampAfterMaxMs: number("message.timestamp.after.max.ms"),
    messageTimestampBeforeMaxMs: number("message.timestamp.before.max.ms"),
    messageTimestampType: text("message.timestamp.type") as TimestampType,
    minCleanableDirtyRatio: number("min.cleanable.dirty.ratio"),
    minCompactionLagMs: number("min.compaction.lag.ms"),
    partitioner: text("partitioner") as PartitionerName,
    retentionBytes: number("retention.bytes"),
    retentionMs: number("retention.ms"),
    segmentBytes: read("internal.segment.bytes")?.number ?? number("segment.bytes"),
    segmentJitterMs: number("segment.jitter.ms"),
    segmentMs: number("segment.ms"),
    syncIntervalMs: number("millrace.sync.interval.ms"),
  };
}
