// The broker settings of groups and of __consumer_offsets that have an effect here, as Kafka names them.
// Plain text, in the form that definitions.ts reads. Deviations from Kafka's defaults are said in the text.
// Kafka: GroupCoordinatorConfig. Texts are our own.

/** Settings of groups that work, in the form that `readDefinitions` takes. */
export const GROUP_SETTINGS_TEXT: string = `
group.consumer.assignment.interval.ms int 1000 [0..] medium dynamic-cluster honoured
  At least so many milliseconds lie between two assignments of a consumer group; its own
  consumer.assignment.interval.ms wins over it.
group.consumer.assignors list uniform,range [uniform|range] medium honoured
  The assignors that consumer groups may use on the broker: uniform, range. The first one is for
  members that name none.
group.consumer.heartbeat.interval.ms int 5000 [1..] medium honoured
  How often members of consumer groups are told to send a heartbeat, in milliseconds; sooner, down to
  500, while a group changes and for a minute afterwards. A group's own
  consumer.heartbeat.interval.ms wins over it.
group.consumer.max.assignment.interval.ms int 15000 [0..] medium honoured
  Most that a group's consumer.assignment.interval.ms may be.
group.consumer.max.heartbeat.interval.ms int 15000 [1..] medium honoured
  Most that a group's consumer.heartbeat.interval.ms may be.
group.consumer.max.session.timeout.ms int 60000 [1..] medium honoured
  Most that a group's consumer.session.timeout.ms may be.
group.consumer.max.size int 2147483647 [1..] medium honoured
  Most members of one consumer group.
group.consumer.migration.policy string bidirectional [~DISABLED|DOWNGRADE|UPGRADE|BIDIRECTIONAL] medium honoured
  Whether a group with members may change its protocol: to the consumer protocol (upgrade), back to
  the classic one (downgrade), both or neither. An empty group always may.
group.consumer.min.assignment.interval.ms int 0 [0..] medium honoured
  Least that a group's consumer.assignment.interval.ms may be.
group.consumer.min.heartbeat.interval.ms int 5000 [1..] medium honoured
  Least that a group's consumer.heartbeat.interval.ms may be.
group.consumer.min.session.timeout.ms int 45000 [1..] medium honoured
  Least that a group's consumer.session.timeout.ms may be.
group.consumer.regex.refresh.interval.ms int 600000 [10000..] medium internal honoured
  How often the topics of a regular expression are looked for anew, in milliseconds.
group.consumer.session.timeout.ms int 45000 [1..] medium honoured
  A member of a consumer group that sends no heartbeat for so many milliseconds is out; a group's own
  consumer.session.timeout.ms wins over it.
group.coordinator.rebalance.protocols list classic,consumer,streams [consumer|classic|share|streams] medium honoured
  The group protocols that are served. "classic" always is; without "consumer" that one is refused.
  Share and streams groups are not here yet.
group.initial.rebalance.delay.ms int 100 [] medium honoured
  How long a new classic group waits for more members before its first assignment, in
  milliseconds. Kafka's default is 3000: most groups here start with one member, which would wait
  for nobody.
group.max.session.timeout.ms int 1800000 [] medium honoured
  Longest session timeout that a member of a classic group may ask for, in milliseconds.
group.max.size int 2147483647 [1..] medium honoured
  Most members of one classic group.
group.min.session.timeout.ms int 6000 [] medium honoured
  Shortest session timeout that a member of a classic group may ask for, in milliseconds.
offset.metadata.max.bytes int 4096 [] high honoured
  Longest text that may be committed beside an offset, in bytes.
offsets.retention.check.interval.ms long 600000 [1..] high honoured
  How often expired offsets are looked for, in milliseconds.
offsets.retention.minutes int 10080 [1..] high honoured
  Committed offsets are kept so many minutes after their group became empty, or, where nobody is
  a member, after their commit.
offsets.topic.compression.codec int 0 [0..4] high honoured
  Codec of the batches in __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
offsets.topic.num.partitions int 50 [1..] high honoured
  Partitions of __consumer_offsets when it is made, which is when the first group is asked for.
  Each is a coordinator of its own for the groups that fall on it; one is enough for a program that
  embeds a broker.
offsets.topic.segment.bytes int 104857600 [1..] high honoured
  Segment size of __consumer_offsets when it is made, in bytes, at least 1 MiB. Small segments let it
  be compacted sooner, and loaded faster.
`;
