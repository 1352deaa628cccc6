// AlterPartitionReassignments, API key 45, versions 0–1.
//
// Serves: moving replicas, or cancelling it (KIP-455).
// Kafka: ReplicationControlManager.alterPartitionReassignments.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string } from "../schema.ts";

// v1: adds allowReplicationFactorChange (request); adds allowReplicationFactorChange (response).
export const AlterPartitionReassignments = api({
  apiKey: 45,
  name: "AlterPartitionReassignments",
  versions: "0-1",
  flexible: "0+",
  request: {
    timeoutMs: int32({ default: 60000 }),
    allowReplicationFactorChange: bool({ versions: "1+", default: true }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        replicas: array(int32(), { nullable: true, default: null }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    allowReplicationFactorChange: bool({ versions: "1+", default: true, ignorable: true }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    responses: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
      }),
    }),
  },
});
export type AlterPartitionReassignmentsRequest = RequestOf<typeof AlterPartitionReassignments>;
export type AlterPartitionReassignmentsRequestInput = RequestInputOf<
  typeof AlterPartitionReassignments
>;
export type AlterPartitionReassignmentsResponse = ResponseOf<typeof AlterPartitionReassignments>;
export type AlterPartitionReassignmentsResponseInput = ResponseInputOf<
  typeof AlterPartitionReassignments
>;
