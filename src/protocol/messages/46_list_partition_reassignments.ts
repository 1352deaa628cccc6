// ListPartitionReassignments, API key 46, version 0.
//
// Serves: the replica moves under way (KIP-455).
// Kafka: ReplicationControlManager.listPartitionReassignments.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, int32, string } from "../schema.ts";

export const ListPartitionReassignments = api({
  apiKey: 46,
  name: "ListPartitionReassignments",
  versions: "0",
  flexible: "0+",
  request: {
    timeoutMs: int32({ default: 60000 }),
    topics: array(
      {
        name: string(),
        partitionIndexes: array(int32()),
      },
      { nullable: true, default: null },
    ),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        replicas: array(int32()),
        addingReplicas: array(int32()),
        removingReplicas: array(int32()),
      }),
    }),
  },
});
export type ListPartitionReassignmentsRequest = RequestOf<typeof ListPartitionReassignments>;
export type ListPartitionReassignmentsRequestInput = RequestInputOf<
  typeof ListPartitionReassignments
>;
export type ListPartitionReassignmentsResponse = ResponseOf<typeof ListPartitionReassignments>;
export type ListPartitionReassignmentsResponseInput = ResponseInputOf<
  typeof ListPartitionReassignments
>;
