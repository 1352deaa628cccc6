// JoinGroup, API key 11, versions 0–9.
//
// Serves: entering a classic group; answered when all members have come, or the time for it is up.
// Limits: as in Kafka later requests of the connection wait for the answer: a client has one connection for its group.
// v1: rebalance timeout.   v4: member ids are given by MEMBER_ID_REQUIRED.   v5: static members.   v6: flexible.
// v7: protocol type, null protocol name.   v8: reasons.   v9: skipAssignment.
// Kafka: KafkaApis.handleJoinGroupRequest.

import { JoinGroup } from "../../../src/protocol/messages/11_join_group.ts";
import { handlerOf } from "../handler.ts";

export const joinGroup = handlerOf<typeof JoinGroup>({
  api: JoinGroup,
  overlap: "serial",
  holdsFrame: "for_the_call",
  async handle(context, caller, request, version) {
    // Kept for as long as the member is one, which is longer than the frame.
    const protocols = request.protocols.map(({ name, metadata }) => ({
      name,
      metadata: metadata.slice(),
    }));
    const own = { ...request, protocols };
    return { response: await context.broker.groups.joinGroup(caller, own, version) };
  },
});
