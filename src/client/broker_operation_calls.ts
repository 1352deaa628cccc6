// The APIs by which a cluster is operated, as the in-process port serves them.

import { AlterReplicaLogDirs } from "../protocol/messages/34_alter_replica_log_dirs.ts";
import { ElectLeaders } from "../protocol/messages/43_elect_leaders.ts";
import { AlterPartitionReassignments } from "../protocol/messages/45_alter_partition_reassignments.ts";
import { ListPartitionReassignments } from "../protocol/messages/46_list_partition_reassignments.ts";
import { UnregisterBroker } from "../protocol/messages/64_unregister_broker.ts";
import { type BrokerCall, plainCall } from "./broker_call.ts";

export const operationCalls: readonly BrokerCall[] = [
  plainCall(AlterReplicaLogDirs, ({ admin }, ...call) => admin.alterReplicaLogDirs(...call)),
  plainCall(ElectLeaders, ({ admin }, ...call) => admin.electLeaders(...call)),
  plainCall(AlterPartitionReassignments, ({ admin }, ...call) =>
    admin.alterPartitionReassignments(...call),
  ),
  plainCall(ListPartitionReassignments, ({ admin }, ...call) =>
    admin.listPartitionReassignments(...call),
  ),
  plainCall(UnregisterBroker, ({ admin }, ...call) => admin.unregisterBroker(...call)),
];
