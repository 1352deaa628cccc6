// AlterPartitionReassignments, API key 45, versions 0–1.
//
// Serves: moving replicas to other brokers, and cancelling that.
// Limits: the timeout is not looked at: it is answered once the store has it.
// v1: a move may be refused that changes the replication factor.
// Kafka: ControllerApis.handleAlterPartitionReassignments.

import { AlterPartitionReassignments } from "../../../src/protocol/messages/45_alter_partition_reassignments.ts";
import { handlerOf } from "../handler.ts";

export const alterPartitionReassignments = handlerOf<typeof AlterPartitionReassignments>({
  api: AlterPartitionReassignments,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.admin.alterPartitionReassignments(caller, request, version),
    };
  },
});
