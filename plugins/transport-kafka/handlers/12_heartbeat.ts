// Heartbeat, API key 12, versions 0–4.
//
// Serves: staying a member of a classic group, and hearing that it rebalances.
// v3: static members.   v4: flexible.
// Kafka: KafkaApis.handleHeartbeatRequest.

import { Heartbeat } from "../../../src/protocol/messages/12_heartbeat.ts";
import { handlerOf } from "../handler.ts";

export const heartbeat = handlerOf<typeof Heartbeat>({
  api: Heartbeat,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.heartbeat(caller, request, version) };
  },
});
