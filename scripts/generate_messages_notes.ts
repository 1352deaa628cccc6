// What a schema does not say: for generate_messages.ts, one line an API, a few words for fields that need them,
// and which stored message goes into which file.

export interface ApiNote {
  /** What it is for, and by which KIP it came. */
  readonly serves: string;
  readonly limits?: string;
  /** Where Kafka answers it; KafkaApis when left out. */
  readonly kafka?: string;
}

export const servedApis: Record<string, ApiNote> = {
  Produce: {
    serves: "appending record batches; names until v12, topic ids from v13 (KIP-516).",
    limits:
      "v0–2 are listed in ApiVersions, as old librdkafka looks for them, and refused (decision 16).",
    kafka: "KafkaApis.handleProduceRequest, ReplicaManager.appendRecords",
  },
  Fetch: {
    serves:
      "reading record batches, for consumers and followers; sessions (KIP-227), topic ids from v13.",
    limits: "a replica id other than -1 needs cluster_action.",
    kafka: "KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages, FetchSession",
  },
  ListOffsets: {
    serves:
      "offsets by timestamp; -1 latest, -2 earliest, -3 max timestamp (v7), -4 earliest local (v8), -5 tiered (v9).",
    kafka: "KafkaApis.handleListOffsetRequest, UnifiedLog.fetchOffsetByTimestamp",
  },
  Metadata: {
    serves:
      "brokers, topics and who leads what; creates topics where allowed. v0: no topics means all; v1+: null does.",
    kafka: "KafkaApis.handleTopicMetadataRequest, KRaftMetadataCache",
  },
  OffsetCommit: {
    serves: "storing the offsets of a group; topic ids from v10 (KIP-848).",
    kafka: "GroupCoordinator.commitOffsets",
  },
  OffsetFetch: {
    serves: "the committed offsets of a group, of several from v8 (KIP-709).",
    kafka: "GroupCoordinator.fetchOffsets",
  },
  FindCoordinator: {
    serves:
      "which broker coordinates a group (0), a transactional id (1) or a share partition (2); several from v4 (KIP-699).",
  },
  JoinGroup: {
    serves: "entering a classic group and its next generation; static members from v5 (KIP-345).",
    kafka: "GroupMetadataManager.classicGroupJoin",
  },
  Heartbeat: {
    serves: "staying a member of a classic group.",
    kafka: "GroupMetadataManager.classicGroupHeartbeat",
  },
  LeaveGroup: {
    serves: "leaving a classic group, for several members from v3 (KIP-345).",
    kafka: "GroupMetadataManager.classicGroupLeave",
  },
  SyncGroup: {
    serves: "handing out the assignment that the leader of a classic group made.",
    kafka: "GroupMetadataManager.classicGroupSync",
  },
  DescribeGroups: {
    serves:
      "state and members of classic groups. An unknown group is Dead until v5, error 69 from v6 (KIP-1043).",
  },
  ListGroups: {
    serves: "the groups of one coordinator, by state (KIP-518) and by type (KIP-848).",
  },
  SaslHandshake: {
    serves:
      "choosing a SASL mechanism. After v0 bare tokens follow, after v1 SaslAuthenticate (KIP-152).",
    kafka: "SaslServerAuthenticator",
  },
  ApiVersions: {
    serves: "which APIs and versions there are (KIP-35), and which features (KIP-584).",
    limits:
      "the response header is always v0, and a version above ours is answered as v0 with error 35 (KIP-511).",
    kafka: "KafkaApis.handleApiVersionsRequest, ApiVersionManager",
  },
  CreateTopics: {
    serves: "creating topics; with their settings in the answer from v5 (KIP-525).",
    kafka: "ReplicationControlManager.createTopics",
  },
  DeleteTopics: {
    serves: "deleting topics, by name or from v6 by id (KIP-516).",
    kafka: "ReplicationControlManager.deleteTopics",
  },
  DeleteRecords: {
    serves: "moving the log start offset up (KIP-107). Offset -1 is the high watermark.",
    kafka: "ReplicaManager.deleteRecords",
  },
  InitProducerId: {
    serves: "a producer id and epoch, for idempotence and transactions (KIP-98, KIP-360).",
    limits: "v6 (two-phase commit, KIP-939) is unstable in 4.3 and not offered.",
    kafka: "TransactionCoordinator.handleInitProducerId",
  },
  OffsetForLeaderEpoch: {
    serves:
      "the end offset of a leader epoch, for clients and followers detecting truncation (KIP-101, KIP-320).",
    limits: "replica ids other than -1 need cluster_action.",
    kafka: "KafkaApis.handleOffsetForLeaderEpochRequest, Partition.lastOffsetForLeaderEpoch",
  },
  AddPartitionsToTxn: {
    serves:
      "taking partitions into a transaction; from v4 brokers only, batched and with verifyOnly (KIP-890).",
  },
  AddOffsetsToTxn: { serves: "taking a group's offsets into a transaction (KIP-98)." },
  EndTxn: {
    serves: "committing or aborting; from v5 the answer holds the next epoch (KIP-890).",
    kafka: "TransactionCoordinator.handleEndTransaction",
  },
  WriteTxnMarkers: {
    serves:
      "markers of committed and aborted transactions, from the transaction coordinator to the leaders (KIP-98).",
  },
  TxnOffsetCommit: {
    serves: "storing a group's offsets inside a transaction; v5 without AddOffsetsToTxn (KIP-890).",
  },
  DescribeAcls: {
    serves: "the ACLs that match a filter (KIP-140, patterns KIP-290).",
    kafka: "AclApis",
  },
  CreateAcls: { serves: "adding ACLs (KIP-140, patterns KIP-290).", kafka: "AclApis" },
  DeleteAcls: {
    serves: "removing the ACLs that match filters (KIP-140, patterns KIP-290).",
    kafka: "AclApis",
  },
  DescribeConfigs: {
    serves:
      "settings of topics, brokers and groups, with synonyms and documentation (KIP-133, KIP-569).",
    kafka: "ConfigHelper",
  },
  AlterConfigs: {
    serves: "replacing all settings of a resource. Superseded by IncrementalAlterConfigs.",
    kafka: "ConfigAdminManager",
  },
  AlterReplicaLogDirs: {
    serves: "moving replicas between the log directories of one broker (KIP-113).",
  },
  DescribeLogDirs: {
    serves: "sizes of partitions by log directory (KIP-113), and of the volume from v4 (KIP-827).",
    kafka: "ReplicaManager.describeLogDirs",
  },
  SaslAuthenticate: {
    serves:
      "one step of a SASL conversation, framed (KIP-152); lifetime of the session from v1 (KIP-368).",
    kafka: "SaslServerAuthenticator",
  },
  CreatePartitions: {
    serves: "adding partitions to topics (KIP-195).",
    kafka: "ReplicationControlManager.createPartitions",
  },
  CreateDelegationToken: {
    serves: "making a delegation token (KIP-48), for another owner from v3 (KIP-373).",
    kafka: "DelegationTokenManager",
  },
  RenewDelegationToken: {
    serves: "prolonging a delegation token (KIP-48).",
    kafka: "DelegationTokenManager",
  },
  ExpireDelegationToken: {
    serves: "ending a delegation token (KIP-48).",
    kafka: "DelegationTokenManager",
  },
  DescribeDelegationToken: {
    serves: "the delegation tokens of owners (KIP-48).",
    kafka: "DelegationTokenManager",
  },
  DeleteGroups: { serves: "deleting empty groups (KIP-229)." },
  ElectLeaders: {
    serves: "asking for leader elections: preferred (0) or unclean (1) (KIP-183, KIP-460).",
    kafka: "ReplicationControlManager.electLeaders",
  },
  IncrementalAlterConfigs: {
    serves: "changing single settings: set, delete, append, subtract (KIP-339).",
    kafka: "ConfigAdminManager",
  },
  AlterPartitionReassignments: {
    serves: "moving replicas, or cancelling it (KIP-455).",
    kafka: "ReplicationControlManager.alterPartitionReassignments",
  },
  ListPartitionReassignments: {
    serves: "the replica moves under way (KIP-455).",
    kafka: "ReplicationControlManager.listPartitionReassignments",
  },
  OffsetDelete: { serves: "forgetting committed offsets of a group (KIP-496)." },
  DescribeClientQuotas: { serves: "quotas by user, client id and address (KIP-546)." },
  AlterClientQuotas: {
    serves: "setting quotas by user, client id and address (KIP-546).",
    kafka: "ClientQuotaControlManager",
  },
  DescribeUserScramCredentials: {
    serves: "which users have SCRAM credentials, and their iterations (KIP-554).",
  },
  AlterUserScramCredentials: {
    serves: "setting and removing SCRAM credentials (KIP-554).",
    kafka: "ScramControlManager",
  },
  Vote: {
    serves:
      "voting for a leader of the metadata quorum (KIP-595). Between controllers; we do not speak it.",
    kafka: "KafkaRaftClient.handleVoteRequest",
  },
  BeginQuorumEpoch: {
    serves: "a new quorum leader making itself known (KIP-595). Between controllers.",
    kafka: "KafkaRaftClient",
  },
  EndQuorumEpoch: {
    serves: "a quorum leader resigning (KIP-595). Between controllers.",
    kafka: "KafkaRaftClient",
  },
  DescribeQuorum: {
    serves: "the state of the metadata quorum (KIP-595, KIP-836).",
    kafka: "KafkaRaftClient.handleDescribeQuorumRequest",
  },
  AlterPartition: {
    serves: "leaders proposing a new ISR to the controller (KIP-497).",
    kafka: "ReplicationControlManager.alterPartition",
  },
  UpdateFeatures: {
    serves: "raising and lowering finalized feature levels (KIP-584).",
    kafka: "FeatureControlManager",
  },
  Envelope: {
    serves: "a client's request forwarded by a broker to the controller (KIP-590).",
    kafka: "EnvelopeUtils",
  },
  FetchSnapshot: {
    serves: "a snapshot of the metadata log, piece by piece (KIP-630).",
    kafka: "KafkaRaftClient.handleFetchSnapshotRequest",
  },
  DescribeCluster: {
    serves: "the brokers or, by endpoint type, the controllers of the cluster (KIP-700, KIP-919).",
  },
  DescribeProducers: {
    serves: "the producer state of partitions, to find hanging transactions (KIP-664).",
    kafka: "ReplicaManager.activeProducerState",
  },
  BrokerRegistration: {
    serves: "a broker registering at the controller (KIP-631).",
    kafka: "ClusterControlManager.registerBroker",
  },
  BrokerHeartbeat: {
    serves: "a broker staying registered, asking to be unfenced or to stop (KIP-631).",
    kafka: "ReplicationControlManager.processBrokerHeartbeat",
  },
  UnregisterBroker: {
    serves: "taking a broker that is gone out of the cluster (KIP-631).",
    kafka: "ReplicationControlManager.unregisterBroker",
  },
  DescribeTransactions: {
    serves: "the state of transactional ids (KIP-664).",
    kafka: "TransactionCoordinator.handleDescribeTransactions",
  },
  ListTransactions: {
    serves: "transactions by state, producer id, age (KIP-994) and name pattern (KIP-1152).",
    kafka: "TransactionCoordinator.handleListTransactions",
  },
  AllocateProducerIds: {
    serves: "a block of producer ids from the controller (KIP-730).",
    kafka: "ProducerIdControlManager",
  },
  ConsumerGroupHeartbeat: {
    serves:
      "all of membership in a consumer group (KIP-848). Epoch 0 joins, -1 leaves, -2 leaves as a static member.",
    kafka: "GroupMetadataManager.consumerGroupHeartbeat",
  },
  ConsumerGroupDescribe: { serves: "state, members and assignments of consumer groups (KIP-848)." },
  ControllerRegistration: {
    serves: "a controller registering at the active one (KIP-919).",
    kafka: "ClusterControlManager.registerController",
  },
  GetTelemetrySubscriptions: {
    serves: "which client metrics to push, and how often (KIP-714).",
    kafka: "ClientMetricsManager",
  },
  PushTelemetry: { serves: "client metrics as OTLP (KIP-714).", kafka: "ClientMetricsManager" },
  AssignReplicasToDirs: {
    serves: "a broker telling the controller which directory holds which replica (KIP-858).",
    kafka: "ReplicationControlManager",
  },
  ListConfigResources: {
    serves: "resources that have settings; v0 lists client metrics only (KIP-714, KIP-1142).",
  },
  DescribeTopicPartitions: {
    serves: "partitions of topics page by page, with eligible leaders (KIP-966).",
    kafka: "DescribeTopicPartitionsRequestHandler",
  },
  ShareGroupHeartbeat: {
    serves: "all of membership in a share group (KIP-932).",
    kafka: "GroupMetadataManager.shareGroupHeartbeat",
  },
  ShareGroupDescribe: { serves: "state, members and assignments of share groups (KIP-932)." },
  ShareFetch: {
    serves: "acquiring records of share partitions, with acknowledgements on the way (KIP-932).",
    kafka: "SharePartitionManager",
  },
  ShareAcknowledge: {
    serves: "acknowledging acquired records: accept, release, reject, renew (KIP-932).",
    kafka: "SharePartitionManager",
  },
  AddRaftVoter: {
    serves: "adding a voter to the metadata quorum (KIP-853).",
    kafka: "KafkaRaftClient",
  },
  RemoveRaftVoter: {
    serves: "removing a voter from the metadata quorum (KIP-853).",
    kafka: "KafkaRaftClient",
  },
  UpdateRaftVoter: {
    serves: "a voter changing its endpoints and versions (KIP-853).",
    kafka: "KafkaRaftClient",
  },
  InitializeShareGroupState: {
    serves:
      "starting the state of share partitions (KIP-932). From the group to the share coordinator.",
    kafka: "ShareCoordinatorService",
  },
  ReadShareGroupState: {
    serves:
      "the state of share partitions (KIP-932). From the share leader to the share coordinator.",
    kafka: "ShareCoordinatorService",
  },
  WriteShareGroupState: {
    serves: "storing the state of share partitions (KIP-932).",
    kafka: "ShareCoordinatorService",
  },
  DeleteShareGroupState: {
    serves: "forgetting the state of share partitions (KIP-932).",
    kafka: "ShareCoordinatorService",
  },
  ReadShareGroupStateSummary: {
    serves: "start offset and epochs of share partitions, without the batches (KIP-932).",
    kafka: "ShareCoordinatorService",
  },
  StreamsGroupHeartbeat: {
    serves: "all of membership in a streams group, the topology included (KIP-1071).",
    kafka: "GroupMetadataManager.streamsGroupHeartbeat",
  },
  StreamsGroupDescribe: {
    serves: "state, topology, members and tasks of streams groups (KIP-1071).",
  },
  DescribeShareGroupOffsets: {
    serves: "start offsets and lag of share groups (KIP-932, KIP-1226).",
  },
  AlterShareGroupOffsets: { serves: "moving the start offsets of an empty share group (KIP-932)." },
  DeleteShareGroupOffsets: { serves: "forgetting a share group's offsets of topics (KIP-932)." },
};

const operations = "bit field of allowed ACL operations; -2147483648 when not asked for";

/** By "Message.field", or by field wherever it stands. */
export const aboutFields: Record<string, string> = {
  acks: "-1 all in-sync replicas, 0 none and no answer, 1 the leader",
  "ProduceRequest.transactionalId": "null when the producer is not transactional",
  "ProduceRequest.timeoutMs": "how long to wait for the in-sync replicas",
  logAppendTimeMs: "-1 unless the topic stamps on append",
  batchIndex: "index of the bad record within its batch",
  isolationLevel: "0 read uncommitted, 1 read committed",
  sessionEpoch: "0 opens a session, -1 is a full fetch that ends it",
  maxWaitMs: "how long to wait for minBytes",
  maxBytes: "of the whole answer; the first batch comes even when it is larger",
  partitionMaxBytes: "of this partition; its first batch comes even when it is larger",
  "FetchRequest.replicaId": "-1 for consumers",
  "ListOffsetsRequest.replicaId": "-1 for consumers",
  "OffsetForLeaderEpochRequest.replicaId": "-1 for consumers, -2 for a debugging consumer",
  currentLeaderEpoch: "-1 when unknown; a stale one is fenced",
  lastFetchedEpoch: "epoch of the last record fetched; the leader compares it to find divergence",
  highWatermark: "end of what the in-sync replicas have, exclusive",
  lastStableOffset: "end of what no open transaction precedes, exclusive",
  preferredReadReplica: "a nearer replica to read from (KIP-392), or -1",
  abortedTransactions: "transactions to skip when reading committed",
  "ListOffsetsRequest.timestamp": "milliseconds, or a negative special value",
  "ListOffsetsRequest.timeoutMs": "for offsets that must be looked up in a tier",
  topicAuthorizedOperations: operations,
  clusterAuthorizedOperations: operations,
  authorizedOperations: operations,
  keyType: "0 group, 1 transactional id, 2 share partition",
  generationIdOrMemberEpoch:
    "generation of a classic group, epoch of a consumer group, -1 outside of either",
  groupInstanceId: "name of a static member (KIP-345); null for a dynamic one",
  instanceId: "name of a static member; null for a dynamic one",
  requireStable: "wait out offsets of open transactions",
  skipAssignment: "the leader need not assign (KIP-814)",
  clientSoftwareName: "letters, digits, dots and dashes only, else error 42",
  validateOnly: "check, but do not do it",
  numPartitions: "-1 for the broker's default",
  replicationFactor: "-1 for the broker's default",
  lowWatermark: "log start offset afterwards; -1 on error",
  resourceType: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
  "DescribeConfigsRequest.resourceType":
    "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
  "DescribeConfigsResponse.resourceType":
    "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
  "AlterConfigsRequest.resourceType":
    "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
  "AlterConfigsResponse.resourceType":
    "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
  "IncrementalAlterConfigsRequest.resourceType":
    "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
  "IncrementalAlterConfigsResponse.resourceType":
    "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
  configOperation: "0 set, 1 delete, 2 append, 3 subtract",
  configurationKeys: "null for all",
  configSource:
    "1 topic, 2 broker, 3 cluster default, 4 static, 5 default, 6 logger, 7 client metrics, 8 group",
  configType: "1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password",
  patternType: "3 literal, 4 prefixed",
  patternTypeFilter: "1 any, 2 match, 3 literal, 4 prefixed",
  permissionType: "1 any, 2 deny, 3 allow",
  electionType: "0 preferred, 1 unclean",
  endpointType: "1 brokers, 2 controllers",
  mechanism: "1 SCRAM-SHA-256, 2 SCRAM-SHA-512",
  "SaslHandshakeRequest.mechanism": "e.g. SCRAM-SHA-512",
  memberEpoch: "0 joins, -1 leaves, -2 leaves and keeps the place of a static member",
  acknowledgeTypes: "0 gap, 1 accept, 2 release, 3 reject, 4 renew",
  shareSessionEpoch: "0 opens a session, -1 ends it",
  deliveryState: "0 available, 1 acquired, 2 acknowledged, 4 archived",
  verifyOnly: "only ask whether the partitions are in the transaction",
  throttleTimeMs: "how long the request was held back by a quota",
};

/** Files of src/protocol/internal_records, and what goes into each. */
export const storedFiles: readonly { file: string; head: string; names: readonly string[] }[] = [
  {
    file: "headers.ts",
    head: "Headers of requests and responses as messages, for tests and tools; header.ts reads and writes them by hand.",
    names: ["RequestHeader", "ResponseHeader"],
  },
  {
    file: "consumer_protocol.ts",
    head: "What members of a classic consumer group tell each other, behind an int16 version, inside JoinGroup and SyncGroup. Kafka: ConsumerProtocol.",
    names: ["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"],
  },
  {
    file: "control_records.ts",
    head: "Keys and values of control records: transaction markers, and those of the metadata log. Kafka: ControlRecordType, ControlRecordUtils.",
    names: [
      "ControlRecordTypeSchema",
      "EndTxnMarker",
      "LeaderChangeMessage",
      "SnapshotHeaderRecord",
      "SnapshotFooterRecord",
      "KRaftVersionRecord",
      "VotersRecord",
    ],
  },
  {
    file: "principal.ts",
    head: "A principal as it travels inside an Envelope. Kafka: DefaultKafkaPrincipalBuilder.",
    names: ["DefaultPrincipalData"],
  },
  {
    file: "offset_commit.ts",
    head: "Committed offsets in __consumer_offsets. Key 0 is the form of old brokers, with the same meaning as 1. Kafka: GroupCoordinatorRecordHelpers.",
    names: [
      "LegacyOffsetCommitKey",
      "LegacyOffsetCommitValue",
      "OffsetCommitKey",
      "OffsetCommitValue",
    ],
  },
  {
    file: "classic_group.ts",
    head: "A classic group with its members in __consumer_offsets. Kafka: GroupCoordinatorRecordHelpers.newGroupMetadataRecord.",
    names: ["GroupMetadataKey", "GroupMetadataValue"],
  },
  {
    file: "consumer_group.ts",
    head: "Consumer groups (KIP-848) in __consumer_offsets. Kafka: GroupCoordinatorRecordHelpers.",
    names: [
      "ConsumerGroupMetadataKey",
      "ConsumerGroupMetadataValue",
      "ConsumerGroupPartitionMetadataKey",
      "ConsumerGroupPartitionMetadataValue",
      "ConsumerGroupMemberMetadataKey",
      "ConsumerGroupMemberMetadataValue",
      "ConsumerGroupTargetAssignmentMetadataKey",
      "ConsumerGroupTargetAssignmentMetadataValue",
      "ConsumerGroupTargetAssignmentMemberKey",
      "ConsumerGroupTargetAssignmentMemberValue",
      "ConsumerGroupCurrentMemberAssignmentKey",
      "ConsumerGroupCurrentMemberAssignmentValue",
      "ConsumerGroupRegularExpressionKey",
      "ConsumerGroupRegularExpressionValue",
    ],
  },
  {
    file: "share_group.ts",
    head: "Share groups (KIP-932) in __consumer_offsets. Kafka: GroupCoordinatorRecordHelpers.",
    names: [
      "ShareGroupMetadataKey",
      "ShareGroupMetadataValue",
      "ShareGroupMemberMetadataKey",
      "ShareGroupMemberMetadataValue",
      "ShareGroupTargetAssignmentMetadataKey",
      "ShareGroupTargetAssignmentMetadataValue",
      "ShareGroupTargetAssignmentMemberKey",
      "ShareGroupTargetAssignmentMemberValue",
      "ShareGroupCurrentMemberAssignmentKey",
      "ShareGroupCurrentMemberAssignmentValue",
      "ShareGroupStatePartitionMetadataKey",
      "ShareGroupStatePartitionMetadataValue",
    ],
  },
  {
    file: "streams_group.ts",
    head: "Streams groups (KIP-1071) in __consumer_offsets. Kafka: StreamsCoordinatorRecordHelpers.",
    names: [
      "StreamsGroupMetadataKey",
      "StreamsGroupMetadataValue",
      "StreamsGroupTopologyKey",
      "StreamsGroupTopologyValue",
      "StreamsGroupMemberMetadataKey",
      "StreamsGroupMemberMetadataValue",
      "StreamsGroupTargetAssignmentMetadataKey",
      "StreamsGroupTargetAssignmentMetadataValue",
      "StreamsGroupTargetAssignmentMemberKey",
      "StreamsGroupTargetAssignmentMemberValue",
      "StreamsGroupCurrentMemberAssignmentKey",
      "StreamsGroupCurrentMemberAssignmentValue",
    ],
  },
  {
    file: "transaction_log.ts",
    head: "Transactions in __transaction_state. Kafka: TransactionLog.",
    names: ["TransactionLogKey", "TransactionLogValue"],
  },
  {
    file: "share_state.ts",
    head: "State of share partitions in __share_group_state: snapshots, and updates to them. Kafka: ShareCoordinatorRecordHelpers.",
    names: ["ShareSnapshotKey", "ShareSnapshotValue", "ShareUpdateKey", "ShareUpdateValue"],
  },
  {
    file: "producer_snapshot.ts",
    head: "Kafka's file of producer states beside a segment, to read other brokers' folders. Kafka: ProducerStateManager.",
    names: ["ProducerSnapshot"],
  },
  {
    file: "remote_log_metadata.ts",
    head: "Records of __remote_log_metadata (KIP-405). Kafka: RemoteLogMetadataSerde.",
    names: [
      "RemoteLogSegmentMetadataRecord",
      "RemoteLogSegmentMetadataUpdateRecord",
      "RemotePartitionDeleteMetadataRecord",
      "RemoteLogSegmentMetadataSnapshotRecord",
    ],
  },
  {
    file: "quorum_state.ts",
    head: "Kafka's quorum-state file. Kafka: FileQuorumStateStore.",
    names: ["QuorumStateData"],
  },
  {
    file: "cluster_metadata.ts",
    head: "Records of __cluster_metadata, to read other clusters' images: our own image lives in the metadata store. Kafka: MetadataRecordSerde.",
    names: [
      "RegisterBrokerRecord",
      "UnregisterBrokerRecord",
      "BrokerRegistrationChangeRecord",
      "FenceBrokerRecord",
      "UnfenceBrokerRecord",
      "RegisterControllerRecord",
      "TopicRecord",
      "RemoveTopicRecord",
      "PartitionRecord",
      "PartitionChangeRecord",
      "ClearElrRecord",
      "ConfigRecord",
      "ClientQuotaRecord",
      "ProducerIdsRecord",
      "FeatureLevelRecord",
      "AccessControlEntryRecord",
      "RemoveAccessControlEntryRecord",
      "UserScramCredentialRecord",
      "RemoveUserScramCredentialRecord",
      "DelegationTokenRecord",
      "RemoveDelegationTokenRecord",
      "BeginTransactionRecord",
      "EndTransactionRecord",
      "AbortTransactionRecord",
      "NoOpRecord",
      "ZkMigrationStateRecord",
    ],
  },
];
