// The administrative half of a broker: settings, the cluster and how it is operated, log directories, producers. In the protocol's
// shapes, one method an API (ADR 6).

import type {
  InitProducerIdRequest,
  InitProducerIdResponse,
} from "../protocol/messages/22_init_producer_id.ts";
import type {
  DescribeConfigsRequest,
  DescribeConfigsResponse,
} from "../protocol/messages/32_describe_configs.ts";
import type {
  AlterConfigsRequest,
  AlterConfigsResponse,
} from "../protocol/messages/33_alter_configs.ts";
import type {
  AlterReplicaLogDirsRequest,
  AlterReplicaLogDirsResponse,
} from "../protocol/messages/34_alter_replica_log_dirs.ts";
import type {
  DescribeLogDirsRequest,
  DescribeLogDirsResponse,
} from "../protocol/messages/35_describe_log_dirs.ts";
import type {
  ElectLeadersRequest,
  ElectLeadersResponse,
} from "../protocol/messages/43_elect_leaders.ts";
import type {
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
} from "../protocol/messages/44_incremental_alter_configs.ts";
import type {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
} from "../protocol/messages/45_alter_partition_reassignments.ts";
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
} from "../protocol/messages/46_list_partition_reassignments.ts";
import type {
  UpdateFeaturesRequest,
  UpdateFeaturesResponse,
} from "../protocol/messages/57_update_features.ts";
import type {
  DescribeClusterRequest,
  DescribeClusterResponse,
} from "../protocol/messages/60_describe_cluster.ts";
import type {
  DescribeProducersRequest,
  DescribeProducersResponse,
} from "../protocol/messages/61_describe_producers.ts";
import type {
  UnregisterBrokerRequest,
  UnregisterBrokerResponse,
} from "../protocol/messages/64_unregister_broker.ts";
import type { Caller } from "./caller.ts";

/** Settings, cluster, log directories, producers. `version` is the API version in use: a few answers depend on it. */
export interface AdminApi {
  describeConfigs(
    caller: Caller,
    request: DescribeConfigsRequest,
    version: number,
  ): Promise<DescribeConfigsResponse>;
  alterConfigs(
    caller: Caller,
    request: AlterConfigsRequest,
    version: number,
  ): Promise<AlterConfigsResponse>;
  incrementalAlterConfigs(
    caller: Caller,
    request: IncrementalAlterConfigsRequest,
    version: number,
  ): Promise<IncrementalAlterConfigsResponse>;
  describeCluster(
    caller: Caller,
    request: DescribeClusterRequest,
    version: number,
  ): Promise<DescribeClusterResponse>;
  describeLogDirs(
    caller: Caller,
    request: DescribeLogDirsRequest,
    version: number,
  ): Promise<DescribeLogDirsResponse>;
  describeProducers(
    caller: Caller,
    request: DescribeProducersRequest,
    version: number,
  ): Promise<DescribeProducersResponse>;
  /** Of a producer without transactional id; with one, see `TransactionApi`. */
  initProducerId(
    caller: Caller,
    request: InitProducerIdRequest,
    version: number,
  ): Promise<InitProducerIdResponse>;
  /** Raises or lowers finalized feature levels, all of those named or none (KIP-584). */
  updateFeatures(
    caller: Caller,
    request: UpdateFeaturesRequest,
    version: number,
  ): Promise<UpdateFeaturesResponse>;
  /** Elects the preferred replica, or anybody who is there where nobody leads, once the store has it. Of all partitions: those that needed it. */
  electLeaders(
    caller: Caller,
    request: ElectLeadersRequest,
    version: number,
  ): Promise<ElectLeadersResponse>;
  /** Says where replicas shall be: that it is begun is answered, not that it is done. */
  alterPartitionReassignments(
    caller: Caller,
    request: AlterPartitionReassignmentsRequest,
    version: number,
  ): Promise<AlterPartitionReassignmentsResponse>;
  /** Partitions that are on their way to other brokers; whatever else is asked for is left out. */
  listPartitionReassignments(
    caller: Caller,
    request: ListPartitionReassignmentsRequest,
    version: number,
  ): Promise<ListPartitionReassignmentsResponse>;
  /** Forgets a broker that is gone for good; one that is there is refused with "invalid_request". */
  unregisterBroker(
    caller: Caller,
    request: UnregisterBrokerRequest,
    version: number,
  ): Promise<UnregisterBrokerResponse>;
  /** A broker has one folder: replicas are there, or the folder is not known. */
  alterReplicaLogDirs(
    caller: Caller,
    request: AlterReplicaLogDirsRequest,
    version: number,
  ): Promise<AlterReplicaLogDirsResponse>;
}
