// FindCoordinator, API key 10, versions 0–6.
//
// Serves: this broker, as the coordinator of every group and transaction; makes the topic that it keeps them in when it is
// first asked. Limits: keys of share partitions are refused.
// v1: key types.   v3: flexible.   v4: several keys.   v6: key type 2, share partitions.
// Kafka: KafkaApis.handleFindCoordinatorRequest.

import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { handlerOf } from "../handler.ts";

const TRANSACTION_KEYS = 1;

export const findCoordinator = handlerOf<typeof FindCoordinator>({
  api: FindCoordinator,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    const { groups, transactions } = context.broker;
    const finder = request.keyType === TRANSACTION_KEYS ? transactions : groups;
    return { response: await finder.findCoordinator(caller, request, version) };
  },
});
