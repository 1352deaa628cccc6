// Every API that is declared, for tools, tests and clients of everything. A broker imports only what it serves, so that
// it starts without loading the rest.

import { Produce } from "./messages/00_produce.ts";
import { Fetch } from "./messages/01_fetch.ts";
import { ListOffsets } from "./messages/02_list_offsets.ts";
import { Metadata } from "./messages/03_metadata.ts";
import { OffsetCommit } from "./messages/08_offset_commit.ts";
import { OffsetFetch } from "./messages/09_offset_fetch.ts";
import { FindCoordinator } from "./messages/10_find_coordinator.ts";
import { JoinGroup } from "./messages/11_join_group.ts";
import { Heartbeat } from "./messages/12_heartbeat.ts";
import { LeaveGroup } from "./messages/13_leave_group.ts";
import { SyncGroup } from "./messages/14_sync_group.ts";
import { DescribeGroups } from "./messages/15_describe_groups.ts";
import { ListGroups } from "./messages/16_list_groups.ts";
import { SaslHandshake } from "./messages/17_sasl_handshake.ts";
import { ApiVersions } from "./messages/18_api_versions.ts";
import { CreateTopics } from "./messages/19_create_topics.ts";
import { DeleteTopics } from "./messages/20_delete_topics.ts";
import { DeleteRecords } from "./messages/21_delete_records.ts";
import { InitProducerId } from "./messages/22_init_producer_id.ts";
import { OffsetForLeaderEpoch } from "./messages/23_offset_for_leader_epoch.ts";
import { AddPartitionsToTxn } from "./messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "./messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "./messages/26_end_txn.ts";
import { WriteTxnMarkers } from "./messages/27_write_txn_markers.ts";
import { TxnOffsetCommit } from "./messages/28_txn_offset_commit.ts";
import { DescribeAcls } from "./messages/29_describe_acls.ts";
import { CreateAcls } from "./messages/30_create_acls.ts";
import { DeleteAcls } from "./messages/31_delete_acls.ts";
import { DescribeConfigs } from "./messages/32_describe_configs.ts";
import { AlterConfigs } from "./messages/33_alter_configs.ts";
import { AlterReplicaLogDirs } from "./messages/34_alter_replica_log_dirs.ts";
import { DescribeLogDirs } from "./messages/35_describe_log_dirs.ts";
import { SaslAuthenticate } from "./messages/36_sasl_authenticate.ts";
import { CreatePartitions } from "./messages/37_create_partitions.ts";
import { CreateDelegationToken } from "./messages/38_create_delegation_token.ts";
import { RenewDelegationToken } from "./messages/39_renew_delegation_token.ts";
import { ExpireDelegationToken } from "./messages/40_expire_delegation_token.ts";
import { DescribeDelegationToken } from "./messages/41_describe_delegation_token.ts";
import { DeleteGroups } from "./messages/42_delete_groups.ts";
import { ElectLeaders } from "./messages/43_elect_leaders.ts";
import { IncrementalAlterConfigs } from "./messages/44_incremental_alter_configs.ts";
import { AlterPartitionReassignments } from "./messages/45_alter_partition_reassignments.ts";
import { ListPartitionReassignments } from "./messages/46_list_partition_reassignments.ts";
import { OffsetDelete } from "./messages/47_offset_delete.ts";
import { DescribeClientQuotas } from "./messages/48_describe_client_quotas.ts";
import { AlterClientQuotas } from "./messages/49_alter_client_quotas.ts";
import { DescribeUserScramCredentials } from "./messages/50_describe_user_scram_credentials.ts";
import { AlterUserScramCredentials } from "./messages/51_alter_user_scram_credentials.ts";
import { Vote } from "./messages/52_vote.ts";
import { BeginQuorumEpoch } from "./messages/53_begin_quorum_epoch.ts";
import { EndQuorumEpoch } from "./messages/54_end_quorum_epoch.ts";
import { DescribeQuorum } from "./messages/55_describe_quorum.ts";
import { AlterPartition } from "./messages/56_alter_partition.ts";
import { UpdateFeatures } from "./messages/57_update_features.ts";
import { Envelope } from "./messages/58_envelope.ts";
import { FetchSnapshot } from "./messages/59_fetch_snapshot.ts";
import { DescribeCluster } from "./messages/60_describe_cluster.ts";
import { DescribeProducers } from "./messages/61_describe_producers.ts";
import { BrokerRegistration } from "./messages/62_broker_registration.ts";
import { BrokerHeartbeat } from "./messages/63_broker_heartbeat.ts";
import { UnregisterBroker } from "./messages/64_unregister_broker.ts";
import { DescribeTransactions } from "./messages/65_describe_transactions.ts";
import { ListTransactions } from "./messages/66_list_transactions.ts";
import { AllocateProducerIds } from "./messages/67_allocate_producer_ids.ts";
import { ConsumerGroupHeartbeat } from "./messages/68_consumer_group_heartbeat.ts";
import { ConsumerGroupDescribe } from "./messages/69_consumer_group_describe.ts";
import { ControllerRegistration } from "./messages/70_controller_registration.ts";
import { GetTelemetrySubscriptions } from "./messages/71_get_telemetry_subscriptions.ts";
import { PushTelemetry } from "./messages/72_push_telemetry.ts";
import { AssignReplicasToDirs } from "./messages/73_assign_replicas_to_dirs.ts";
import { ListConfigResources } from "./messages/74_list_config_resources.ts";
import { DescribeTopicPartitions } from "./messages/75_describe_topic_partitions.ts";
import { ShareGroupHeartbeat } from "./messages/76_share_group_heartbeat.ts";
import { ShareGroupDescribe } from "./messages/77_share_group_describe.ts";
import { ShareFetch } from "./messages/78_share_fetch.ts";
import { ShareAcknowledge } from "./messages/79_share_acknowledge.ts";
import { AddRaftVoter } from "./messages/80_add_raft_voter.ts";
import { RemoveRaftVoter } from "./messages/81_remove_raft_voter.ts";
import { UpdateRaftVoter } from "./messages/82_update_raft_voter.ts";
import { InitializeShareGroupState } from "./messages/83_initialize_share_group_state.ts";
import { ReadShareGroupState } from "./messages/84_read_share_group_state.ts";
import { WriteShareGroupState } from "./messages/85_write_share_group_state.ts";
import { DeleteShareGroupState } from "./messages/86_delete_share_group_state.ts";
import { ReadShareGroupStateSummary } from "./messages/87_read_share_group_state_summary.ts";
import { StreamsGroupHeartbeat } from "./messages/88_streams_group_heartbeat.ts";
import { StreamsGroupDescribe } from "./messages/89_streams_group_describe.ts";
import { DescribeShareGroupOffsets } from "./messages/90_describe_share_group_offsets.ts";
import { AlterShareGroupOffsets } from "./messages/91_alter_share_group_offsets.ts";
import { DeleteShareGroupOffsets } from "./messages/92_delete_share_group_offsets.ts";
import type { Api } from "./schema.ts";

/** Every API, by ascending key. */
export const apis: readonly Api[] = [
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  DescribeGroups,
  ListGroups,
  SaslHandshake,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  DeleteRecords,
  InitProducerId,
  OffsetForLeaderEpoch,
  AddPartitionsToTxn,
  AddOffsetsToTxn,
  EndTxn,
  WriteTxnMarkers,
  TxnOffsetCommit,
  DescribeAcls,
  CreateAcls,
  DeleteAcls,
  DescribeConfigs,
  AlterConfigs,
  AlterReplicaLogDirs,
  DescribeLogDirs,
  SaslAuthenticate,
  CreatePartitions,
  CreateDelegationToken,
  RenewDelegationToken,
  ExpireDelegationToken,
  DescribeDelegationToken,
  DeleteGroups,
  ElectLeaders,
  IncrementalAlterConfigs,
  AlterPartitionReassignments,
  ListPartitionReassignments,
  OffsetDelete,
  DescribeClientQuotas,
  AlterClientQuotas,
  DescribeUserScramCredentials,
  AlterUserScramCredentials,
  Vote,
  BeginQuorumEpoch,
  EndQuorumEpoch,
  DescribeQuorum,
  AlterPartition,
  UpdateFeatures,
  Envelope,
  FetchSnapshot,
  DescribeCluster,
  DescribeProducers,
  BrokerRegistration,
  BrokerHeartbeat,
  UnregisterBroker,
  DescribeTransactions,
  ListTransactions,
  AllocateProducerIds,
  ConsumerGroupHeartbeat,
  ConsumerGroupDescribe,
  ControllerRegistration,
  GetTelemetrySubscriptions,
  PushTelemetry,
  AssignReplicasToDirs,
  ListConfigResources,
  DescribeTopicPartitions,
  ShareGroupHeartbeat,
  ShareGroupDescribe,
  ShareFetch,
  ShareAcknowledge,
  AddRaftVoter,
  RemoveRaftVoter,
  UpdateRaftVoter,
  InitializeShareGroupState,
  ReadShareGroupState,
  WriteShareGroupState,
  DeleteShareGroupState,
  ReadShareGroupStateSummary,
  StreamsGroupHeartbeat,
  StreamsGroupDescribe,
  DescribeShareGroupOffsets,
  AlterShareGroupOffsets,
  DeleteShareGroupOffsets,
];
