// FindCoordinator, API key 10, versions 0–6.
//
// Serves: this broker, as the coordinator of every group; makes __consumer_offsets when it is first asked.
// Limits: keys of transactions have this broker too, whose InitProducerId says that they are not served yet; keys of share
// partitions are refused.
// v1: key types.   v3: flexible.   v4: several keys.   v6: key type 2, share partitions.
// Kafka: KafkaApis.handleFindCoordinatorRequest.

import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { handlerOf } from "../handler.ts";

export const findCoordinator = handlerOf<typeof FindCoordinator>({
  api: FindCoordinator,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.findCoordinator(caller, request, version) };
  },
});
