// DeleteGroups, API key 42, versions 0–2.
//
// Serves: deleting empty groups, with their offsets.
// v2: flexible.
// Kafka: KafkaApis.handleDeleteGroupsRequest.

import { DeleteGroups } from "../../../src/protocol/messages/42_delete_groups.ts";
import { handlerOf } from "../handler.ts";

export const deleteGroups = handlerOf<typeof DeleteGroups>({
  api: DeleteGroups,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.deleteGroups(caller, request, version) };
  },
});
