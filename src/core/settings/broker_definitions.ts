// The broker settings that have an effect here: Kafka's by Kafka's names, and ours.
// Plain text, so that it costs nothing to load; definitions.ts reads it and says how it is written.
// A setting that comes to work moves here from inert_definitions.ts (or inert_security.ts).
// Kafka: KafkaConfig and the configs it is put together from. Texts are our own.

/** Broker settings that work, in the form that `readDefinitions` takes. */
export const BROKER_SETTINGS_TEXT: string = `
advertised.listeners list null [] high honoured
  What clients are told to connect to, where that differs from what is listened on:
  LISTENER://HOST:PORT, separated by commas. For containers and NAT.
auto.create.topics.enable boolean true [] high honoured
  A topic that a client asks for by name, and that does not exist, is made with num.partitions
  and default.replication.factor.
auto.leader.rebalance.enable boolean true [] high honoured
  In a cluster: whether leadership goes back to the first replica of each partition once that is in sync;
  of the broker that has the controller's seat.
broker.rack string null [] medium honoured
  Where this broker stands; told to clients in metadata.
broker.session.timeout.ms int 2000 [100..3600000] medium honoured
  In a cluster: a broker that the metadata store has not heard from for so many milliseconds is taken
  for dead, and others lead what it led. Kafka's is 9000.
compression.gzip.level int -1 [1..9|-1] medium dynamic-cluster honoured
  Default of the topic setting compression.gzip.level.
compression.type string producer [uncompressed|zstd|lz4|snappy|gzip|producer] high dynamic-cluster honoured
  Default of the topic setting compression.type.
compression.zstd.level int 3 [-131072..22] medium dynamic-cluster honoured
  Default of the topic setting compression.zstd.level.
connection.failed.authentication.delay.ms int 100 [0..] low honoured
  A login that failed is answered, and its connection closed, only after so many milliseconds (KIP-306).
connections.max.idle.ms long 600000 [] medium honoured
  A connection that has carried nothing for so many milliseconds is closed.
connections.max.reauth.ms long 0 [] medium honoured
  Longest a login over SASL lasts before the client has to log in again (KIP-368); 0 is no bound but
  that of the credentials themselves.
controlled.shutdown.enable boolean true [] medium honoured
  In a cluster: whether a broker that stops hands over what it leads before it goes; false: others
  lead it once it is gone.
default.replication.factor int 1 [] medium honoured
  Replication factor of a topic that is created with -1, or created by itself.
delete.topic.enable boolean true [] high honoured
  Whether topics may be deleted at all.
fetch.max.bytes int 57671680 [1024..] medium honoured
  Upper bound of one fetch response in bytes, whatever the client asks for; a first batch larger
  than it is still sent. Not given at start, the Kafka transport stops at 8 MiB.
inter.broker.listener.name string null [] medium honoured
  In a cluster: the listener of the Kafka transport that other brokers connect to; the first one when
  left out.
leader.imbalance.check.interval.seconds long 5 [1..] high honoured
  In a cluster: how often leadership goes back to first replicas, where auto.leader.rebalance.enable
  says so, however few there are; of the broker that has the controller's seat. Kafka's is 300.
log.cleaner.backoff.ms long 15000 [0..] medium dynamic-cluster honoured
  How long the cleaner waits when there was nothing to clean, in milliseconds.
log.cleaner.dedupe.buffer.size long 134217728 [] medium dynamic-cluster honoured
  Memory for the keys of the partition that is being cleaned, in bytes, 24 a key; taken as needed.
  With more keys than fit, a part is cleaned at a time. Above 1048576 for each of log.cleaner.threads.
log.cleaner.delete.retention.ms long 86400000 [0..] medium dynamic-cluster honoured
  Default of the topic setting delete.retention.ms.
log.cleaner.enable boolean true [] medium honoured
  Whether compacted topics are cleaned at all.
log.cleaner.io.buffer.load.factor double 0.9 [] medium dynamic-cluster honoured
  How full the memory for keys gets, from 0.1 to 0.95.
log.cleaner.io.max.bytes.per.second double 1.7976931348623157E308 [] medium dynamic-cluster honoured
  Most bytes that the cleaner reads and writes in a second, both together, on average. Above 0, where
  Kafka takes 0 and then never cleans.
log.cleaner.max.compaction.lag.ms long 9223372036854775807 [1..] medium dynamic-cluster honoured
  Default of the topic setting max.compaction.lag.ms.
log.cleaner.min.cleanable.ratio double 0.5 [0..1] medium dynamic-cluster honoured
  Default of the topic setting min.cleanable.dirty.ratio.
log.cleaner.min.compaction.lag.ms long 0 [0..] medium dynamic-cluster honoured
  Default of the topic setting min.compaction.lag.ms.
log.cleanup.policy list delete [compact|delete] medium dynamic-cluster honoured
  Default of the topic setting cleanup.policy.
log.index.interval.bytes int 4096 [0..] medium dynamic-cluster honoured
  Default of the topic setting index.interval.bytes.
log.message.timestamp.after.max.ms long 3600000 [0..] medium dynamic-cluster honoured
  Default of the topic setting message.timestamp.after.max.ms.
log.message.timestamp.before.max.ms long 9223372036854775807 [0..] medium dynamic-cluster honoured
  Default of the topic setting message.timestamp.before.max.ms.
log.message.timestamp.type string CreateTime [CreateTime|LogAppendTime] medium dynamic-cluster honoured
  Default of the topic setting message.timestamp.type.
log.retention.bytes long -1 [] high dynamic-cluster honoured
  Default of the topic setting retention.bytes.
log.retention.check.interval.ms long 300000 [1..] medium honoured
  How often segments are looked at for dropping, in milliseconds.
log.retention.hours int 168 [] high honoured
  As log.retention.ms in hours; log.retention.minutes and log.retention.ms win over it.
log.retention.minutes int null [] high honoured
  As log.retention.ms in minutes; log.retention.ms wins over it.
log.retention.ms long null [] high dynamic-cluster honoured
  Default of the topic setting retention.ms.
log.roll.hours int 168 [1..] high honoured
  As log.roll.ms in hours; log.roll.ms wins over it.
log.roll.jitter.hours int 0 [0..] high honoured
  As log.roll.jitter.ms in hours; log.roll.jitter.ms wins over it.
log.roll.jitter.ms long null [] high dynamic-cluster honoured
  Default of the topic setting segment.jitter.ms.
log.roll.ms long null [] high dynamic-cluster honoured
  Default of the topic setting segment.ms.
log.segment.bytes int 1073741824 [1048576..] high dynamic-cluster honoured
  Default of the topic setting segment.bytes.
max.connections int 2147483647 [0..] medium dynamic-cluster honoured
  Connections open at once; one more is closed at once. More than 20,000 must be given at start.
max.connections.per.ip int 2147483647 [0..] medium dynamic-cluster honoured
  Connections open at once from one address; one more is closed at once.
max.incremental.fetch.session.cache.slots int 1000 [0..] medium honoured
  Fetch sessions remembered at once; 0 serves none.
max.request.partition.size.limit int 2000 [1..] medium honoured
  Most partitions in one answer to DescribeTopicPartitions.
message.max.bytes int 1048588 [0..] high dynamic-cluster honoured
  Default of the topic setting max.message.bytes.
min.insync.replicas int 1 [1..] high dynamic-cluster honoured
  Default of the topic setting min.insync.replicas.
num.partitions int 1 [1..] medium honoured
  Partitions of a topic that is created with -1, or created by itself.
offsets.topic.replication.factor short 3 [1..] high honoured
  Replicas of __consumer_offsets; as many as there are brokers while there are fewer, and more as they join.
producer.id.expiration.check.interval.ms int 600000 [1..] low internal honoured
  How often forgotten producers are looked for, in milliseconds.
producer.id.expiration.ms int 86400000 [1..] low dynamic-cluster honoured
  What a partition remembers of an idempotent producer is forgotten after so many idle
  milliseconds.
queued.max.request.bytes long -1 [] medium honoured
  Bytes of requests in flight over all connections, above which reading from sockets pauses; -1
  takes the built-in bound.
replica.fetch.backoff.ms int 1000 [0..] medium honoured
  In a cluster: a partition that could not be copied is asked for again after so many milliseconds.
replica.fetch.max.bytes int 1048576 [0..] medium honoured
  In a cluster: bytes that a follower asks for of one partition at a time; a first batch larger than it is
  still sent.
replica.fetch.min.bytes int 1 [] high honoured
  In a cluster: bytes that a leader waits for before it answers a follower, replica.fetch.wait.max.ms at most.
replica.fetch.response.max.bytes int 10485760 [0..] medium honoured
  In a cluster: bytes that a follower asks for at a time, of all partitions.
replica.fetch.wait.max.ms int 500 [] high honoured
  In a cluster: milliseconds that a leader holds the fetch of a follower when there is nothing new.
replica.lag.time.max.ms long 30000 [] high honoured
  In a cluster: a follower that has not caught up for so many milliseconds is no longer in sync.
replica.selector.class string null [org.apache.kafka.common.replica.RackAwareReplicaSelector|org.apache.kafka.common.replica.LeaderSelector] medium honoured
  In a cluster: with the rack aware selector, consumers that say their rack are sent to a replica there (KIP-392).
sasl.server.max.receive.size int 524288 [] medium honoured
  Largest message, in bytes, that is taken from a client that has not logged in.
socket.request.max.bytes int 104857600 [1..] high honoured
  Largest request in bytes; a larger one closes its connection.
transaction.state.log.min.isr int 2 [1..] high honoured
  min.insync.replicas of __transaction_state, when that is made.
transaction.state.log.replication.factor short 3 [1..] high honoured
  Replicas of __transaction_state; as many as there are brokers while there are fewer, and more as they join.
unclean.leader.election.enable boolean false [] high dynamic-cluster honoured
  Default of the topic setting unclean.leader.election.enable.
internal.segment.bytes int null [] medium internal honoured
  Default of the topic setting internal.segment.bytes.
millrace.durability string fsync [fsync|interval|memory] high dynamic-cluster honoured
  Default of the topic setting millrace.durability.
millrace.journal.bytes long 1073741824 [0..] medium honoured
  Bytes of full journal files that are kept; past it the oldest are given up: partitions that have
  grown get segment files of their own, small ones move to the journal's end. Four times as much
  while over 8 MiB a second arrive.
millrace.journal.file.bytes int 134217728 [8192..1073741824] low honoured
  A journal file is followed by the next one at so many bytes.
millrace.segment.after.bytes int 1048576 [1..] low internal honoured
  Bytes a partition has in journal files from which on it gets segment files of its own when one
  of them is given up; smaller ones are for tests.
millrace.sync.interval.ms int 50 [1..] medium dynamic-cluster honoured
  Default of the topic setting millrace.sync.interval.ms.
millrace.validate.compressed boolean true [] medium dynamic-cluster honoured
  Whether compressed batches are opened when they arrive and their records checked, as Kafka
  does; false saves the time where producers are trusted.
partitioner string xxhash [xxhash|murmur2] medium honoured
  The topic setting partitioner of topics that are created without one.
`;
