// What a cluster's operators may and may not, as cases of auth_kafka.test.ts: one for each API that moves, elects or forgets.

import { AlterReplicaLogDirs } from "../../src/protocol/messages/34_alter_replica_log_dirs.ts";
import { ElectLeaders } from "../../src/protocol/messages/43_elect_leaders.ts";
import { AlterPartitionReassignments } from "../../src/protocol/messages/45_alter_partition_reassignments.ts";
import { ListPartitionReassignments } from "../../src/protocol/messages/46_list_partition_reassignments.ts";
import { UnregisterBroker } from "../../src/protocol/messages/64_unregister_broker.ts";
import { asking, type Case, CLUSTER, one } from "./auth_rig.ts";

/** No broker has this id: who may ask is told so. */
const NOBODY = 4711;

const electing = asking(
  ElectLeaders,
  2,
  () => ({ electionType: 0, topicPartitions: [{ topic: "there", partitions: [0] }] }),
  ({ errorCode }) => errorCode,
);

const moving = asking(
  AlterPartitionReassignments,
  0,
  () => ({
    topics: [{ name: "there", partitions: [{ partitionIndex: 0, replicas: [NOBODY] }] }],
  }),
  ({ errorCode }) => errorCode,
);

const listingMoves = asking(
  ListPartitionReassignments,
  0,
  () => ({ topics: null }),
  ({ errorCode }) => errorCode,
);

const forgetting = asking(
  UnregisterBroker,
  0,
  () => ({ brokerId: NOBODY }),
  ({ errorCode }) => errorCode,
);

const movingFolders = asking(
  AlterReplicaLogDirs,
  2,
  () => ({ dirs: [{ path: "/nowhere", topics: [{ name: "there", partitions: [0] }] }] }),
  ({ results }) => results[0]!.partitions[0]!.errorCode,
);

export const CLUSTER_CASES: readonly Case[] = [
  { operation: "alter the cluster: elect", rule: one("alter", "cluster"), ...electing },
  { operation: "alter the cluster: move", rule: one("alter", "cluster"), ...moving },
  { operation: "describe the cluster: moves", rule: one("describe", "cluster"), ...listingMoves },
  { operation: "alter the cluster: forget", rule: one("alter", "cluster"), ...forgetting },
  { operation: "alter the cluster: folders", rule: one("alter", "cluster"), ...movingFolders },
].map((each): Case => ({ ...each, refused: CLUSTER }));
