// ListGroups, API key 16, versions 0–5.
//
// Serves: the groups of this broker, by state from v4, by type from v5.
// v3: flexible.   v4: states.   v5: types.
// Kafka: KafkaApis.handleListGroupsRequest.

import { ListGroups } from "../../../src/protocol/messages/16_list_groups.ts";
import { handlerOf } from "../handler.ts";

export const listGroups = handlerOf<typeof ListGroups>({
  api: ListGroups,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.listGroups(caller, request, version) };
  },
});
