// LeaveGroup, API key 13, versions 0–5.
//
// Serves: leaving a classic group, for one member, or from v3 for several.
// v3: several members, static ones by instance id.   v4: flexible.   v5: reasons.
// Kafka: KafkaApis.handleLeaveGroupRequest.

import { LeaveGroup } from "../../../src/protocol/messages/13_leave_group.ts";
import { handlerOf } from "../handler.ts";

export const leaveGroup = handlerOf<typeof LeaveGroup>({
  api: LeaveGroup,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.leaveGroup(caller, request, version) };
  },
});
