// The broker settings of Kafka 4.3.1 that are accepted without effect, or refused, by the reason; and
// the names that Kafka keeps for groups, client metrics and quotas.
// Plain text, so that it costs nothing to load, and read only when such a name is met (describe, -o);
// definitions.ts reads it. A line "# status reason" holds for the lines below it.

/** Broker settings, in the form that `readDefinitions` takes. */
export const INERT_BROKER_SETTINGS_TEXT: string = `
# refused Java classes cannot be loaded; plugins are named in the config file
alter.config.policy.class.name class null [] low
authorizer.class.name string "" [] low
client.quota.callback.class class null [] low
create.topic.policy.class.name class null [] low
principal.builder.class class org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder [] medium dynamic-broker
# refused there is no tiered storage
remote.log.storage.system.enable boolean false [] medium
# without-effect Java classes cannot be loaded; plugins are named in the config file
config.providers list "" [] low dynamic-cluster
security.providers string null [] low
# without-effect client telemetry is not here
telemetry.max.bytes int 1048576 [1..] low
# without-effect one partition is cleaned at a time, in slices of 256 KiB
log.cleaner.io.buffer.size int 524288 [0..] medium dynamic-cluster
log.cleaner.threads int 1 [0..] medium dynamic-cluster
# without-effect a shard of groups runs by itself: its records of one turn are one batch
group.coordinator.append.linger.ms int -1 [-1..] medium
group.coordinator.background.threads int 2 [1..] high
group.coordinator.cached.buffer.max.bytes int 1048588 [524288..] medium dynamic-cluster
group.coordinator.threads int 4 [1..] high
# without-effect a commit waits for the log, which takes it or fails
offsets.commit.timeout.ms int 5000 [1..] high
# without-effect groups and transactions are loaded in steps of 256 KiB
offsets.load.buffer.size int 5242880 [1..] high
transaction.state.log.load.buffer.size int 5242880 [1..] high
# without-effect the file of a dropped segment goes at once, when those who read it are done
log.segment.delete.delay.ms long 60000 [0..] high dynamic-cluster
# without-effect indexes take what they need
log.index.size.max.bytes int 10485760 [4..] medium dynamic-cluster
# without-effect listeners are set with --kafka or under 'transports' in the config file
listener.security.protocol.map string SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT [] low dynamic-broker
listeners list PLAINTEXT://:9092 [] high dynamic-broker
socket.listen.backlog.size int 50 [1..] medium
# without-effect lz4 has one level here
compression.lz4.level int 9 [1..17] medium dynamic-cluster
# without-effect metrics have settings of their own
kafka.metrics.polling.interval.secs int 10 [1..] low
kafka.metrics.reporters list "" [] low
metric.reporters list org.apache.kafka.common.metrics.JmxReporter [] low dynamic-cluster
metrics.num.samples int 2 [1..] low
metrics.recording.level string INFO [] low
metrics.sample.window.ms long 30000 [1..] low
# without-effect millrace.durability says when a record is synced
log.flush.interval.messages long 9223372036854775807 [1..] high dynamic-cluster
log.flush.interval.ms long null [] high dynamic-cluster
log.flush.scheduler.interval.ms long 9223372036854775807 [] high
# without-effect offsets are recovered from the log itself, without checkpoint files
log.flush.offset.checkpoint.interval.ms int 60000 [0..] high
log.flush.start.offset.checkpoint.interval.ms int 60000 [0..] high
replica.high.watermark.checkpoint.interval.ms long 5000 [] high
# without-effect only released API versions are served
unstable.api.versions.enable boolean false [] high internal
unstable.feature.versions.enable boolean false [] high internal
# without-effect quotas are not here yet
quota.window.num int 11 [1..] low
quota.window.size.seconds int 1 [1..] low
# without-effect copying between brokers is not throttled
follower.replication.throttled.rate long 9223372036854775807 [0..] medium dynamic-cluster
leader.replication.throttled.rate long 9223372036854775807 [0..] medium dynamic-cluster
replication.quota.window.num int 11 [1..] low
replication.quota.window.size.seconds int 1 [1..] low
# without-effect there is one data folder, so no replica moves from one to another
alter.log.dirs.replication.quota.window.num int 11 [1..] low
alter.log.dirs.replication.quota.window.size.seconds int 1 [1..] low
num.replica.alter.log.dirs.threads int null [] high
replica.alter.log.dirs.io.max.bytes.per.second long 9223372036854775807 [0..] medium dynamic-cluster
# without-effect one fetcher for each leader copies all that is followed of it
num.replica.fetchers int 1 [1..] high dynamic-cluster
# without-effect a leader has 30 s to answer a fetch, beyond the wait that was asked for
replica.socket.timeout.ms int 30000 [] high
# without-effect an unclean election that is allowed is made as soon as nobody else can lead
unclean.leader.election.interval.ms long 300000 [1..] medium internal
# without-effect a session of the metadata store is renewed several times within broker.session.timeout.ms
broker.heartbeat.interval.ms int 2000 [] medium
# without-effect segment files grow as they are written
log.preallocate boolean false [] medium dynamic-cluster
# without-effect share groups are not here yet
group.share.assignment.interval.ms int 1000 [0..] medium dynamic-cluster
group.share.assignors list simple [] medium
group.share.delivery.count.limit int 5 [2..10] medium
group.share.heartbeat.interval.ms int 5000 [1..] medium
group.share.initialize.retry.interval.ms int 30000 [1..] low internal
group.share.max.assignment.interval.ms int 15000 [0..] medium
group.share.max.delivery.count.limit int 10 [5..25] medium
group.share.max.heartbeat.interval.ms int 15000 [1..] medium
group.share.max.partition.max.record.locks int 4000 [2000..10000] medium
group.share.max.record.lock.duration.ms int 60000 [30000..3600000] medium
group.share.max.session.timeout.ms int 60000 [1..] medium
group.share.max.share.sessions int 2000 [1..] medium
group.share.max.size int 200 [1..1000] medium
group.share.min.assignment.interval.ms int 0 [0..] medium
group.share.min.delivery.count.limit int 2 [2..5] medium
group.share.min.heartbeat.interval.ms int 5000 [1..] medium
group.share.min.partition.max.record.locks int 100 [100..2000] medium
group.share.min.record.lock.duration.ms int 15000 [1000..30000] medium
group.share.min.session.timeout.ms int 45000 [1..] medium
group.share.partition.max.record.locks int 2000 [100..10000] medium
group.share.persister.class.name string org.apache.kafka.server.share.persister.DefaultStatePersister [] medium internal
group.share.record.lock.duration.ms int 30000 [1000..3600000] medium
group.share.session.timeout.ms int 45000 [1..] medium
share.coordinator.append.linger.ms int -1 [-1..] medium
share.coordinator.cached.buffer.max.bytes int 1048588 [524288..] medium dynamic-cluster
share.coordinator.cold.partition.snapshot.interval.ms int 300000 [1..] low internal
share.coordinator.load.buffer.size int 5242880 [1..] high
share.coordinator.snapshot.update.records.per.snapshot int 500 [0..500] medium
share.coordinator.state.topic.compression.codec int 0 [] high
share.coordinator.state.topic.min.isr short 2 [1..] high
share.coordinator.state.topic.num.partitions int 50 [1..] high
share.coordinator.state.topic.prune.interval.ms int 300000 [1..] low internal
share.coordinator.state.topic.replication.factor short 3 [1..] high
share.coordinator.state.topic.segment.bytes int 104857600 [1..] high
share.coordinator.threads int 1 [1..] medium
share.coordinator.write.timeout.ms int 5000 [1..] high
share.fetch.purgatory.purge.interval.requests int 1000 [] medium
# without-effect socket buffers are the host's
replica.socket.receive.buffer.bytes int 65536 [] high
socket.receive.buffer.bytes int 102400 [] high
socket.send.buffer.bytes int 102400 [] high
# without-effect registering is given up by itself, two seconds after broker.session.timeout.ms
initial.broker.registration.timeout.ms int 60000 [] medium
server.max.startup.time.ms long 9223372036854775807 [0..] medium internal
# without-effect streams groups are not here yet
group.streams.assignment.interval.ms int 1000 [0..] medium dynamic-cluster
group.streams.heartbeat.interval.ms int 5000 [1..] medium
group.streams.initial.rebalance.delay.ms int 3000 [0..] medium
group.streams.max.assignment.interval.ms int 15000 [0..] medium
group.streams.max.heartbeat.interval.ms int 15000 [1..] medium
group.streams.max.session.timeout.ms int 60000 [1..] medium
group.streams.max.size int 2147483647 [1..] medium
group.streams.max.standby.replicas int 2 [0..] medium
group.streams.min.assignment.interval.ms int 0 [0..] medium
group.streams.min.heartbeat.interval.ms int 5000 [1..] medium
group.streams.min.session.timeout.ms int 45000 [1..] medium
group.streams.num.standby.replicas int 0 [0..] medium
group.streams.session.timeout.ms int 45000 [1..] medium
# without-effect connections between brokers have bounds of their own
request.timeout.ms int 30000 [] high
socket.connection.setup.timeout.max.ms long 30000 [] medium
socket.connection.setup.timeout.ms long 10000 [] medium
# without-effect the broker's id is set under 'broker' in the config file
broker.id int -1 [] high
node.id int null [0..] high
# without-effect the data folder is set with --data or under 'storage' in the config file
cordoned.log.dirs list "" [] medium dynamic-broker
log.dir list null [] high
log.dir.failure.timeout.ms long 30000 [1..] low
log.dirs list null [] high
# without-effect the host accepts connections one by one, without a rate
max.connection.creation.rate int 2147483647 [0..] medium dynamic-cluster
max.connections.per.ip.overrides string "" [] medium dynamic-cluster
# without-effect there are no thread pools to size: one event loop does the work
background.threads int 10 [1..] high dynamic-cluster
log.initial.task.delay.ms long 30000 [0..] low internal
num.io.threads int 8 [1..] high dynamic-cluster
num.network.threads int 3 [1..] high dynamic-cluster
num.recovery.threads.per.data.dir int 2 [1..] high dynamic-cluster
queued.max.requests int 500 [1..] high
# without-effect there is no KRaft quorum: the metadata store holds what the cluster agrees on
controller.listener.names list null [] high
controller.performance.always.log.threshold.ms long 2000 [0..] medium internal
controller.performance.sample.period.ms long 60000 [100..] medium internal
controller.quorum.append.linger.ms int 25 [0..] medium
controller.quorum.auto.join.enable boolean false [] low
controller.quorum.bootstrap.servers list "" [] high
controller.quorum.election.backoff.max.ms int 1000 [0..] high
controller.quorum.election.timeout.ms int 1000 [0..] high
controller.quorum.fetch.max.bytes int 1048576 [1..] low
controller.quorum.fetch.snapshot.max.bytes int 1048576 [1..] low
controller.quorum.fetch.timeout.ms int 2000 [0..] high
controller.quorum.request.timeout.ms int 2000 [0..] medium
controller.quorum.retry.backoff.ms int 20 [0..] low
controller.quorum.voters list "" [] high
controller.quota.window.num int 11 [1..] low
controller.quota.window.size.seconds int 1 [1..] low
controller.socket.timeout.ms int 30000 [] medium
early.start.listeners list null [] high
internal.metadata.delete.delay.millis long 60000 [] low internal
internal.metadata.log.segment.bytes int null [] low internal
internal.metadata.max.batch.size.in.bytes int 8388608 [] low internal
metadata.log.dir string null [] high
metadata.log.max.record.bytes.between.snapshots long 20971520 [1..] high
metadata.log.max.snapshot.interval.ms long 3600000 [0..] high
metadata.log.segment.bytes int 1073741824 [8388608..] high
metadata.log.segment.ms long 604800000 [] high
metadata.max.idle.interval.ms int 500 [0..] low
metadata.max.retention.bytes long 104857600 [] high
metadata.max.retention.ms long 604800000 [] high
process.roles list null [broker|controller] high
# without-effect there is no tiered storage
follower.fetch.last.tiered.offset.enable boolean false [] medium dynamic-cluster
log.local.retention.bytes long -2 [-2..] medium dynamic-cluster
log.local.retention.ms long -2 [-2..] medium dynamic-cluster
remote.fetch.max.wait.ms int 500 [1..] medium dynamic-cluster
remote.list.offsets.request.timeout.ms long 30000 [1..] medium dynamic-cluster
remote.log.index.file.cache.total.size.bytes long 1073741824 [1..] low dynamic-cluster
remote.log.index.file.cache.ttl.ms long 900000 [-1..] low internal
remote.log.manager.copier.thread.pool.size int 10 [1..] medium dynamic-cluster
remote.log.manager.copy.max.bytes.per.second long 9223372036854775807 [1..] medium dynamic-cluster
remote.log.manager.copy.quota.window.num int 11 [1..] medium
remote.log.manager.copy.quota.window.size.seconds int 1 [1..] medium
remote.log.manager.expiration.thread.pool.size int 10 [1..] medium dynamic-cluster
remote.log.manager.fetch.max.bytes.per.second long 9223372036854775807 [1..] medium dynamic-cluster
remote.log.manager.fetch.quota.window.num int 11 [1..] medium
remote.log.manager.fetch.quota.window.size.seconds int 1 [1..] medium
remote.log.manager.follower.thread.pool.size int 2 [1..] medium dynamic-cluster
remote.log.manager.task.interval.ms long 30000 [1..] low
remote.log.manager.task.retry.backoff.max.ms long 30000 [1..] low internal
remote.log.manager.task.retry.backoff.ms long 500 [1..] low internal
remote.log.manager.task.retry.jitter double 0.2 [0..0.5] low internal
remote.log.manager.thread.pool.size int 2 [1..] medium
remote.log.metadata.custom.metadata.max.bytes int 128 [0..] low
remote.log.metadata.manager.class.name string org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager [nonempty] medium
remote.log.metadata.manager.class.path string null [] medium
remote.log.metadata.manager.impl.prefix string rlmm.config. [nonempty] medium
remote.log.metadata.manager.listener.name string null [nonempty] medium
remote.log.reader.max.pending.tasks int 100 [1..] medium
remote.log.reader.threads int 10 [1..] medium dynamic-cluster
remote.log.storage.manager.class.name string null [nonempty] medium
remote.log.storage.manager.class.path string null [] medium
remote.log.storage.manager.impl.prefix string rsm.config. [nonempty] medium
# without-effect waiting requests are dropped from their queue at once, so nothing has to be purged
delete.records.purgatory.purge.interval.requests int 1 [] medium
fetch.purgatory.purge.interval.requests int 1000 [] medium
producer.purgatory.purge.interval.requests int 1000 [] medium
`;

/** Names of resources other than topics and brokers: -o knows them, and says that they do nothing. */
export const INERT_OTHER_SETTINGS_TEXT: string = `
# without-effect client telemetry is not here
interval.ms int 300000 [] medium
match list "" [] medium
metrics list "" [] medium
# without-effect quotas are not here yet
consumer_byte_rate long 9223372036854775807 [] medium
controller_mutation_rate double 2.147483647E9 [] medium
producer_byte_rate long 9223372036854775807 [] medium
request_percentage double 2.147483647E9 [] medium
connection_creation_rate int 2147483647 [0..] medium
`;
