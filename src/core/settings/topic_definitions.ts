// Every topic setting of Kafka 4.3.1, and ours: what it is, its bounds, and what it does here.
// Plain text, so that it costs nothing to load; definitions.ts reads it and says how it is written.
// Kafka: LogConfig, TopicConfig, ServerTopicConfigSynonyms. Texts are our own.

/** Topic settings, in the form that `readDefinitions` takes. */
export const TOPIC_SETTINGS_TEXT: string = `
cleanup.policy list delete [compact|delete] medium honoured
  = log.cleanup.policy
  What happens to old records: "delete" drops whole segments by retention.ms and
  retention.bytes, "compact" keeps the last record of each key, both together do both, and an
  empty list keeps everything. Compacted topics take no record without a key.
compression.gzip.level int -1 [1..9|-1] medium honoured
  = compression.gzip.level
  Level of gzip where compression.type makes the broker compress again; -1 is the codec's own
  default.
compression.lz4.level int 9 [1..17] medium without-effect
  = compression.lz4.level
  lz4 has one level here
compression.type string producer [uncompressed|zstd|lz4|snappy|gzip|producer] medium honoured
  = compression.type
  Codec of the stored batches. "producer" keeps what the producer chose; anything else makes the
  broker compress again where it differs.
compression.zstd.level int 3 [-131072..22] medium honoured
  = compression.zstd.level
  Level of zstd where compression.type makes the broker compress again.
delete.retention.ms long 86400000 [0..] medium honoured
  = log.cleaner.delete.retention.ms
  How long a tombstone (a record without a value) stays in a compacted topic after the cleaner
  first met it, in milliseconds: within that time readers from the start learn of the deletion.
file.delete.delay.ms long 60000 [0..] medium without-effect
  = log.segment.delete.delay.ms
  the file of a dropped segment goes at once, when those who read it are done
flush.messages long 9223372036854775807 [1..] medium without-effect
  = log.flush.interval.messages
  millrace.durability says when a record is synced
flush.ms long 9223372036854775807 [0..] medium without-effect
  = log.flush.interval.ms log.flush.scheduler.interval.ms
  millrace.durability says when a record is synced
follower.replication.throttled.replicas list "" [throttled] medium without-effect
  copying between brokers is not throttled
index.interval.bytes int 4096 [0..] medium honoured
  = log.index.interval.bytes
  One entry of the offset index is written about every so many bytes of batches.
internal.segment.bytes int null [] medium internal honoured
  = internal.segment.bytes
  Segment size without the lower bound of segment.bytes, for tests of ours and of others.
leader.replication.throttled.replicas list "" [throttled] medium without-effect
  copying between brokers is not throttled
local.retention.bytes long -2 [-2..] medium without-effect
  = log.local.retention.bytes
  there is no tiered storage
local.retention.ms long -2 [-2..] medium without-effect
  = log.local.retention.ms
  there is no tiered storage
max.compaction.lag.ms long 9223372036854775807 [1..] medium honoured
  = log.cleaner.max.compaction.lag.ms
  After so many milliseconds a record of a compacted topic is cleaned, however little is dirty.
max.message.bytes int 1048588 [0..] medium honoured
  = message.max.bytes
  Largest record batch the topic takes, in bytes, as stored (compressed).
message.timestamp.after.max.ms long 3600000 [0..] medium honoured
  = log.message.timestamp.after.max.ms
  How far a record's own timestamp may lie ahead of the broker's clock, in milliseconds; with
  LogAppendTime it is not looked at.
message.timestamp.before.max.ms long 9223372036854775807 [0..] medium honoured
  = log.message.timestamp.before.max.ms
  How far a record's own timestamp may lie behind the broker's clock, in milliseconds; with
  LogAppendTime it is not looked at.
message.timestamp.type string CreateTime [CreateTime|LogAppendTime] medium honoured
  = log.message.timestamp.type
  CreateTime keeps the producer's timestamps; LogAppendTime stamps each batch when it is
  appended.
millrace.durability string fsync [fsync|interval|memory] high honoured
  = millrace.durability
  What an acknowledged record has reached: "fsync" the disk, "interval" the operating system
  (synced within millrace.sync.interval.ms), "memory" the same (synced when something else is).
millrace.sync.interval.ms int 50 [1..] medium honoured
  = millrace.sync.interval.ms
  How often a topic of durability "interval" is synced, in milliseconds.
min.cleanable.dirty.ratio double 0.5 [0..1] medium honoured
  = log.cleaner.min.cleanable.ratio
  Share of a compacted partition that has to be dirty, written since it was last cleaned, for the
  cleaner to come. The last segment is not cleaned; unlike Kafka's it ends early, from 1 MiB on,
  where with it this share is reached.
min.compaction.lag.ms long 0 [0..] medium honoured
  = log.cleaner.min.compaction.lag.ms
  For so many milliseconds every record of a compacted topic stays. Above 0 no segment ends early.
min.insync.replicas int 1 [1..] medium honoured
  = min.insync.replicas
  In a cluster: with fewer replicas in sync than this, or than there are where there are fewer, acks=all is
  refused (not_enough_replicas), and what is not committed yet waits.
partitioner string xxhash [xxhash|murmur2] medium fixed honoured
  = partitioner
  Hash by which the broker chooses the partition of a key where it is asked to; murmur2 agrees
  with Java's clients. Fixed when the topic is created.
preallocate boolean false [] medium without-effect
  = log.preallocate
  segment files grow as they are written
remote.log.copy.disable boolean false [] medium refused
  there is no tiered storage
remote.log.delete.on.disable boolean false [] medium refused
  there is no tiered storage
remote.storage.enable boolean false [] medium refused
  there is no tiered storage
retention.bytes long -1 [] medium honoured
  = log.retention.bytes
  Bytes a partition keeps before its oldest segments are dropped; -1 is without bound.
retention.ms long 604800000 [-1..] medium honoured
  = log.retention.ms log.retention.minutes log.retention.hours
  Milliseconds a segment is kept after its newest record; -1 keeps it for ever.
segment.bytes int 1073741824 [1048576..] medium honoured
  = log.segment.bytes
  Size at which a segment ends and the next one begins.
segment.index.bytes int 10485760 [4..] medium without-effect
  = log.index.size.max.bytes
  indexes take what they need
segment.jitter.ms long 0 [0..] medium honoured
  = log.roll.jitter.ms log.roll.jitter.hours
  Up to so many milliseconds, drawn at random, are taken off segment.ms, so that not all
  segments end together.
segment.ms long 604800000 [1..] medium honoured
  = log.roll.ms log.roll.hours
  Age of its first record at which a segment ends, full or not, in milliseconds.
unclean.leader.election.enable boolean false [] medium honoured
  = unclean.leader.election.enable
  In a cluster: where nobody in sync is there, somebody else leads, and what only they had is lost.
`;
