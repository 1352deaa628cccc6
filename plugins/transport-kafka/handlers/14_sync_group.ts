// SyncGroup, API key 14, versions 0–5.
//
// Serves: a member's assignment of a classic group; answered when the leader has sent it.
// Limits: as in Kafka later requests of the connection wait for the answer.
// v3: static members.   v4: flexible.   v5: protocol type and name are checked.
// Kafka: KafkaApis.handleSyncGroupRequest.

import { SyncGroup } from "../../../src/protocol/messages/14_sync_group.ts";
import { handlerOf } from "../handler.ts";

export const syncGroup = handlerOf<typeof SyncGroup>({
  api: SyncGroup,
  overlap: "serial",
  holdsFrame: "for_the_call",
  async handle(context, caller, request, version) {
    // Kept for as long as the generation lasts, which is longer than the frame.
    const assignments = request.assignments.map(({ memberId, assignment }) => ({
      memberId,
      assignment: assignment.slice(),
    }));
    const own = { ...request, assignments };
    return { response: await context.broker.groups.syncGroup(caller, own, version) };
  },
});
