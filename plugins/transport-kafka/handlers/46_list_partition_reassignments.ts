// ListPartitionReassignments, API key 46, version 0.
//
// Serves: the moves of replicas under way.
// Limits: none.
// Kafka: ControllerApis.handleListPartitionReassignments.

import { ListPartitionReassignments } from "../../../src/protocol/messages/46_list_partition_reassignments.ts";
import { handlerOf } from "../handler.ts";

export const listPartitionReassignments = handlerOf<typeof ListPartitionReassignments>({
  api: ListPartitionReassignments,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.admin.listPartitionReassignments(caller, request, version),
    };
  },
});
