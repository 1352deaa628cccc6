// UnregisterBroker, API key 64, version 0.
//
// Serves: forgetting a broker that is gone.
// Limits: one that is running is refused; Kafka forgets it all the same.
// Kafka: ControllerApis.handleUnregisterBroker.

import { UnregisterBroker } from "../../../src/protocol/messages/64_unregister_broker.ts";
import { handlerOf } from "../handler.ts";

export const unregisterBroker = handlerOf<typeof UnregisterBroker>({
  api: UnregisterBroker,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.unregisterBroker(caller, request, version) };
  },
});
