// What groups read of the settings, each time anew: most are dynamic. Units in the names.
// Kafka: GroupCoordinatorConfig, GroupConfig.

export interface GroupSettings {
  /** group.min.session.timeout.ms, group.max.session.timeout.ms: what a classic member may ask for. */
  readonly sessionTimeoutMsMin: number;
  readonly sessionTimeoutMsMax: number;
  /** group.initial.rebalance.delay.ms */
  readonly initialRebalanceDelayMs: number;
  /** group.max.size */
  readonly sizeMax: number;
  /** offset.metadata.max.bytes */
  readonly offsetMetadataBytesMax: number;
  /** offsets.retention.minutes */
  readonly offsetsRetentionMs: number;
  /** offsets.retention.check.interval.ms */
  readonly offsetsRetentionCheckMs: number;
  /** group.coordinator.rebalance.protocols contains "consumer". */
  readonly servesConsumerProtocol: boolean;
  /** group.consumer.migration.policy */
  readonly mayUpgrade: boolean;
  readonly mayDowngrade: boolean;
  /** group.consumer.max.size */
  readonly consumerSizeMax: number;
  /** group.consumer.assignors, the first is the default. */
  readonly consumerAssignors: readonly string[];
  /** group.consumer.regex.refresh.interval.ms */
  readonly regexRefreshMs: number;
  /** Of one group: what is set on it (consumer.session.timeout.ms …), else the broker's. */
  consumerSessionTimeoutMs(groupId: string): number;
  consumerHeartbeatIntervalMs(groupId: string): number;
  /** group.consumer.assignment.interval.ms: at least this long between two target assignments of a group. */
  consumerAssignmentIntervalMs(groupId: string): number;
}
