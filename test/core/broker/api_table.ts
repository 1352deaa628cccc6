// The APIs that the topic and admin halves of a broker serve, and the method of each.

import { Metadata } from "../../../src/protocol/messages/03_metadata.ts";
import { CreateTopics } from "../../../src/protocol/messages/19_create_topics.ts";
import { DeleteTopics } from "../../../src/protocol/messages/20_delete_topics.ts";
import { DeleteRecords } from "../../../src/protocol/messages/21_delete_records.ts";
import { InitProducerId } from "../../../src/protocol/messages/22_init_producer_id.ts";
import { DescribeConfigs } from "../../../src/protocol/messages/32_describe_configs.ts";
import { AlterConfigs } from "../../../src/protocol/messages/33_alter_configs.ts";
import { AlterReplicaLogDirs } from "../../../src/protocol/messages/34_alter_replica_log_dirs.ts";
import { DescribeLogDirs } from "../../../src/protocol/messages/35_describe_log_dirs.ts";
import { CreatePartitions } from "../../../src/protocol/messages/37_create_partitions.ts";
import { ElectLeaders } from "../../../src/protocol/messages/43_elect_leaders.ts";
import { IncrementalAlterConfigs } from "../../../src/protocol/messages/44_incremental_alter_configs.ts";
import { AlterPartitionReassignments } from "../../../src/protocol/messages/45_alter_partition_reassignments.ts";
import { ListPartitionReassignments } from "../../../src/protocol/messages/46_list_partition_reassignments.ts";
import { UpdateFeatures } from "../../../src/protocol/messages/57_update_features.ts";
import { DescribeCluster } from "../../../src/protocol/messages/60_describe_cluster.ts";
import { DescribeProducers } from "../../../src/protocol/messages/61_describe_producers.ts";
import { UnregisterBroker } from "../../../src/protocol/messages/64_unregister_broker.ts";
import { DescribeTopicPartitions } from "../../../src/protocol/messages/75_describe_topic_partitions.ts";
import type { Api } from "../../../src/protocol/schema.ts";

export const apisByKey: ReadonlyMap<number, { readonly api: Api; readonly method: string }> =
  new Map(
    [
      Metadata,
      CreateTopics,
      DeleteTopics,
      DeleteRecords,
      InitProducerId,
      DescribeConfigs,
      AlterConfigs,
      DescribeLogDirs,
      CreatePartitions,
      IncrementalAlterConfigs,
      AlterReplicaLogDirs,
      ElectLeaders,
      AlterPartitionReassignments,
      ListPartitionReassignments,
      UnregisterBroker,
      UpdateFeatures,
      DescribeCluster,
      DescribeProducers,
      DescribeTopicPartitions,
    ].map((api) => [
      api.apiKey,
      { api: api as unknown as Api, method: api.name[0]!.toLowerCase() + api.name.slice(1) },
    ]),
  );
