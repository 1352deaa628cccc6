// The settings that a group may have of its own, as Kafka names them (resource type GROUP), beside the broker setting
// that each falls back to. Plain text, in the form that definitions.ts reads; loaded when a group's settings are asked for.
// Kafka: GroupConfig. Texts are our own.

/** Settings of groups, in the form that `readDefinitions` takes. */
export const GROUP_CONFIGS_TEXT: string = `
consumer.assignment.interval.ms int 1000 [0..] medium honoured
  = group.consumer.assignment.interval.ms
  At least so many milliseconds lie between two assignments of the group.
consumer.heartbeat.interval.ms int 5000 [1..] medium honoured
  = group.consumer.heartbeat.interval.ms
  How often members of the group are told to send a heartbeat, in milliseconds; sooner, down to 500,
  while the group changes and for a minute afterwards. Below consumer.session.timeout.ms.
consumer.session.timeout.ms int 45000 [1..] medium honoured
  = group.consumer.session.timeout.ms
  A member of the group that sends no heartbeat for so many milliseconds is out.
# without-effect share groups are not here yet
share.assignment.interval.ms int 1000 [0..] medium
  = group.share.assignment.interval.ms
share.auto.offset.reset string latest [] medium
share.delivery.count.limit int 5 [2..] medium
  = group.share.delivery.count.limit
share.heartbeat.interval.ms int 5000 [1..] medium
  = group.share.heartbeat.interval.ms
share.isolation.level string read_uncommitted [read_committed|read_uncommitted] medium
share.partition.max.record.locks int 2000 [100..] medium
  = group.share.partition.max.record.locks
share.record.lock.duration.ms int 30000 [1000..] medium
  = group.share.record.lock.duration.ms
share.renew.acknowledge.enable boolean true [] medium
share.session.timeout.ms int 45000 [1..] medium
  = group.share.session.timeout.ms
# without-effect streams groups are not here yet
streams.assignment.interval.ms int 1000 [0..] medium
  = group.streams.assignment.interval.ms
streams.heartbeat.interval.ms int 5000 [1..] medium
  = group.streams.heartbeat.interval.ms
streams.initial.rebalance.delay.ms int 3000 [0..] medium
  = group.streams.initial.rebalance.delay.ms
streams.num.standby.replicas int 0 [0..] medium
  = group.streams.num.standby.replicas
streams.session.timeout.ms int 45000 [1..] medium
  = group.streams.session.timeout.ms
`;
